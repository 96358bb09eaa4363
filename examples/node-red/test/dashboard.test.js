// The dashboard as a user meets it: imported in the editor, looked at and used in a browser.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { chromium } from 'playwright-core'
import { find, message, missing, password, path, patience, start } from './stack.js'

const program = process.env.CHROMIUM ?? find('chromium', 'chromium-browser', 'google-chrome')
const skip = missing('the Node-RED dashboard', { mosquitto: find('mosquitto') && find('mosquitto_passwd'), go: find('go'), Chromium: program })

// Read often, so that the chart has something to draw within seconds.
const POINTS = `meter,item,interval
main,active_power,1s
main,voltage_a,1s
main,voltage_b,1s
main,voltage_c,1s
main,status_3,2s
shop,active_power,1s
shop,voltage_a,1s
shop,voltage_b,1s
shop,voltage_c,1s
shop,status_3,2s
`
const folder = mkdtempSync(join(tmpdir(), 'dlt645-dashboard-'))
let stack, browser, page
const states = {} // the last state of each meter
const commands = [] // topics of all relay requests
const problems = [] // what the browser complains of

before(async () => {
  if (skip) return
  const points = join(folder, 'points.csv')
  writeFileSync(points, POINTS)
  stack = await start({ DLT645_POINTS: points })
  stack.client.on('message', (topic, payload) => {
    if (topic.endsWith('/state')) states[topic.split('/').at(-2)] = JSON.parse(payload)
    if (topic.includes('/request/relay/')) commands.push(`${topic.split('/').at(-1)} ${JSON.parse(payload).action}`)
  })
  await stack.client.subscribeAsync(['dlt645/meter/+/state', 'dlt645/request/relay/#'])
  browser = await chromium.launch({ executablePath: program, timeout: patience })
  page = await newPage()
})

after(async () => {
  await browser?.close()
  await stack?.close()
  rmSync(folder, { recursive: true })
})

async function newPage () {
  const context = await browser.newContext({ viewport: { width: 1280, height: 1060 }, timezoneId: 'Asia/Shanghai' })
  const page = await context.newPage()
  page.setDefaultTimeout(patience)
  page.on('pageerror', error => problems.push(error.message))
  return page
}

const widget = (id, of = page) => of.locator(`#nrdb-ui-widget-${id}`)

// shows waits until a widget has a text.
const shows = (id, text, of = page) => widget(id, of).filter({ hasText: text }).waitFor()

// drawn waits until the chart has lines in these colours.
async function drawn (id, ...colours) {
  const enough = ([selector, colours]) => {
    const canvas = document.querySelector(selector)
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height)
    return colours.every(([r, g, b]) => {
      let count = 0
      for (let i = 0; i < data.length; i += 4) {
        if (data[i] === r && data[i + 1] === g && data[i + 2] === b) count++
      }
      return count > 200
    })
  }
  const channels = colours.map(c => [1, 3, 5].map(i => parseInt(c.slice(i, i + 2), 16)))
  await page.waitForFunction(enough, [`#nrdb-ui-widget-${id} canvas`, channels])
}

// step is a test that needs all those before it.
let failed = false
function step (name, f) {
  test(name, { skip }, async t => {
    if (failed) return t.skip('a step before it failed')
    failed = true
    await f()
    failed = false
  })
}

// relayOpen asks the meter itself.
async function relayOpen (meter) {
  const topic = `dlt645/reply/read/${meter}`
  const reply = message(stack.client, topic)
  await stack.client.publishAsync(`dlt645/request/read/${meter}`, 'status_3', { qos: 1 })
  return JSON.parse((await reply).payload).values['status_3.relay_open']
}

step('import, set the broker, deploy', async () => {
  await page.goto(stack.url)
  await page.locator('#red-ui-header-button-deploy').waitFor()
  await page.locator('#red-ui-header-button-sidemenu').click()
  await page.locator('#menu-item-import').click()
  await page.locator('#red-ui-clipboard-dialog-import-file-upload').setInputFiles(path('dlt645-dashboard.json'))
  await page.locator('#red-ui-clipboard-dialog-ok').click()
  await page.locator('#red-ui-workspace-tabs').getByText('DL/T 645 meters').click()
  const invalid = await page.evaluate(() => {
    const found = []
    const look = node => { if (node.valid === false || node.type === 'unknown') found.push(`${node.type} ${node.id} ${node.validationErrors}`) }
    window.RED.nodes.eachNode(look)
    window.RED.nodes.eachConfig(look)
    return found
  })
  assert.deepEqual(invalid, [])

  await page.locator('#d1645meters').dblclick()
  await page.locator('#node-input-btn-broker-edit').click()
  await page.locator('#node-config-input-port').fill(String(stack.port))
  await page.locator('.red-ui-tray').getByText('Security', { exact: true }).click()
  await page.locator('#node-config-input-user').fill('node-red')
  await page.locator('#node-config-input-password').fill(password('node-red'))
  await page.locator('#node-config-dialog-ok').click()
  await page.locator('#node-dialog-ok').click()
  const deploy = page.locator('#red-ui-header-button-deploy')
  await deploy.click()
  await deploy.and(page.locator('.disabled')).waitFor() // else the editor would not let the page go
  await stack.nodeRed.says(/Connected to broker/)
})

step('the chart draws, the gauges show the voltages', async () => {
  await page.goto(`${stack.url}/dashboard/meters`)
  await shows('d1645list', 'main')
  await shows('d1645text', /online, last reading \d\d:\d\d:\d\d, \d+ s ago/)
  await drawn('d1645chart', '#0d74ce', '#e07b00')
  for (const [id, item] of [['d1645gauge1', 'voltage_a'], ['d1645gauge2', 'voltage_b'], ['d1645gauge3', 'voltage_c']]) {
    await seen(id, () => states.main[item])
    await readable(id)
  }
})

// readable waits until the number of a gauge, all of it, stands within the arc and not upon it.
async function readable (id, of = page) {
  await of.waitForFunction(selector => {
    const gauge = document.querySelector(selector)
    const texts = [...gauge.querySelectorAll('*')].filter(e => e.children.length === 0 && /^\d+(\.\d+)?$/.test(e.textContent.trim())).map(e => {
      const range = document.createRange()
      range.selectNodeContents(e)
      return range.getBoundingClientRect()
    })
    const number = texts.sort((a, b) => b.height - a.height)[0]
    const arc = gauge.querySelector('#backdrop path')?.getBoundingClientRect()
    if (!number || !arc) return false
    const [x, y, inner] = [arc.left + arc.width / 2, arc.bottom, arc.width / 2 - 8]
    // A line of text is a third higher than its digits.
    return [number.left, number.right].every(side => Math.hypot(side - x, y - (number.top + number.height / 6)) < inner)
  }, `#nrdb-ui-widget-${id}`)
}

// seen waits until a widget shows a value that has come over MQTT, whichever is the newest.
async function seen (id, value) {
  const until = Date.now() + patience
  while (Date.now() < until) {
    const text = await widget(id).textContent()
    if (text.includes(String(value()))) return
  }
  assert.fail(`${id} shows ${await widget(id).textContent()}, not ${value()}`)
}

step('energy by tariff', async () => {
  await shows('d1645asof', /^main, read \d\d:\d\d:\d\d/)
  await drawn('d1645bars', '#0d74ce')
})

step('another meter', async () => {
  await widget('d1645list').click()
  await page.getByRole('option', { name: 'shop' }).click()
  await shows('d1645asof', /^shop, read/)
  await seen('d1645gauge1', () => states.shop.voltage_a)
  // It has a single phase: no needle may stand anywhere for the others.
  await widget('d1645gauge2').waitFor({ state: 'hidden' })
  await widget('d1645gauge3').waitFor({ state: 'hidden' })
})

step('the relay switches after a yes, once, and only then', async () => {
  const other = await newPage()
  await other.goto(`${stack.url}/dashboard/meters`)
  await shows('d1645switch', 'Relay 继电器: closed', other)

  const toggle = widget('d1645switch').locator('input')
  const question = page.getByText(/the relay of shop\?/)
  await shows('d1645switch', 'Relay 继电器: closed')
  await toggle.click()
  await question.waitFor()
  assert.equal(await other.getByText(/the relay of shop\?/).count(), 0, 'somebody else is asked')
  await page.getByRole('button', { name: 'Cancel' }).click()
  await question.waitFor({ state: 'hidden' })
  assert.equal(await relayOpen('shop'), false)

  await toggle.click()
  await page.getByText('Open the relay of shop?').waitFor()
  await page.getByRole('button', { name: 'Switch the relay' }).dblclick()
  await page.getByText('shop: relay open (verified)').waitFor()
  await shows('d1645switch', 'Relay 继电器: open')
  await shows('d1645switch', 'Relay 继电器: open', other)
  assert.equal(await toggle.isChecked(), false)
  assert.equal(await relayOpen('shop'), true)
  await shows('d1645events', 'relay')

  await toggle.click()
  await page.getByText('Close the relay of shop?').waitFor()
  await page.getByRole('button', { name: 'Switch the relay' }).click()
  await page.getByText('shop: relay closed (verified)').waitFor()
  assert.equal(await relayOpen('shop'), false)
  assert.deepEqual(commands, ['shop trip', 'shop close'])
})

if (process.env.PICTURE) step('a picture for the documents', async () => {
  await widget('d1645list').click()
  await page.getByRole('option', { name: 'main' }).click()
  await shows('d1645asof', /^main, read/)
  await page.getByRole('button', { name: 'Close' }).click()
  await page.getByText(/\(verified\)/).waitFor({ state: 'hidden' })
  // A minute of readings makes a better picture than some seconds.
  const first = Date.now()
  for (const seconds of [20, 40, 60]) {
    await message(stack.client, 'dlt645/meter/main/state', state => Date.parse(JSON.parse(state).time) > first + seconds * 1000)
  }
  await page.evaluate(() => window.scrollTo(0, 0))
  await page.screenshot({ path: process.env.PICTURE })
})

step('the page fits a phone', async () => {
  const phone = await browser.newContext({ viewport: { width: 360, height: 740 }, timezoneId: 'Asia/Shanghai' })
  const small = await phone.newPage()
  small.setDefaultTimeout(patience)
  await small.goto(`${stack.url}/dashboard/meters`)
  await shows('d1645events', 'relay', small)
  const outside = await small.evaluate(() => [...document.querySelectorAll('.nrdb-ui-group, .nrdb-ui-widget')]
    .filter(e => e.getBoundingClientRect().width > 0 && e.getBoundingClientRect().right > innerWidth + 1).map(e => e.id || e.className))
  assert.deepEqual(outside, [])
  const details = await small.getByText('relay: open').boundingBox()
  assert.ok(details && details.x >= 0 && details.x + details.width <= 360, `the details of an event stand at ${JSON.stringify(details)}`)
  for (const id of ['d1645gauge1', 'd1645gauge2', 'd1645gauge3']) if (await widget(id, small).isVisible()) await readable(id, small)
  if (process.env.PICTURE) await small.screenshot({ path: process.env.PICTURE.replace('.png', '-phone.png'), fullPage: true })
  await phone.close()
})

step('a meter behind a bridge that is gone is unknown, and its curve ends', async () => {
  await stack.bridge.stop('SIGKILL')
  await shows('d1645text', 'unknown: the bridge is gone')
  await shows('d1645switch', /Relay: closed 合 at \d\d:\d\d/)
  await widget('d1645gauge1').waitFor({ state: 'hidden' })
  if (process.env.PICTURE) await page.screenshot({ path: process.env.PICTURE.replace('.png', '-gone.png') })
})

step('nothing went wrong in the browser', async () => {
  assert.deepEqual(problems, [])
})
