// The console against a mosquitto with the access list that the project ships, as each of its accounts; and
// what it says when something is gone.
import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { connect } from 'node:net'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { cleanUp, folder, freePort, inspect, launch, missing, mosquitto, password, picture, run, visit } from './stack.js'

describe('a broker with accounts', { skip: missing('the console with accounts', 'chromium', 'go', 'mosquitto', 'mosquitto_passwd') }, () => {
  const accounts = ['bridge', 'reader', 'operator', 'billing', 'test']
  let port, broker, bridge, meters, address, browser, busPort
  const bus = () => run({}, 'simulate', '-listen', `127.0.0.1:${busPort}`, '-meters', '2', '-baud', '9600')

  before(async () => {
    port = await freePort()
    broker = await mosquitto(port, ...accounts)
    busPort = await freePort()
    meters = bus()
    await meters.says(/127\.0\.0\.1/)
    const http = `127.0.0.1:${await freePort()}`
    address = `http://${http}`
    // shop has another password than the bridge believes, and nobody is at the address of ghost.
    const passwords = join(folder, 'passwords-of-meters')
    writeFileSync(passwords, 'shop=02999999\n', { mode: 0o600 })
    bridge = run({
      DLT645_MQTT_URL: `mqtt://127.0.0.1:${port}`, DLT645_MQTT_USERNAME: 'bridge', DLT645_MQTT_PASSWORD: password('bridge'),
      DLT645_BUS_URL: `tcp://127.0.0.1:${busPort}?baud=9600&timeout=1s&latency=10ms`, DLT645_METERS: 'main=1,shop=2,ghost=99', DLT645_ALLOW: 'read,relay,config',
      DLT645_METER_PASSWORD: '02000000', DLT645_METER_PASSWORDS_FILE: passwords, DLT645_CLOCK: 'trusted', DLT645_HTTP: http, DLT645_CONSOLE: 'true', DLT645_TRACE: 'true'
    })
    await bridge.says(/ready for requests/)
    browser = await launch()
  })
  after(async () => {
    await browser?.close()
    await bridge?.stop()
    await meters?.stop()
    await broker?.stop()
    cleanUp()
  })

  // signIn opens a page and signs in at the broker.
  async function signIn (user, hash = 'meters', word = password(user)) {
    const visited = await visit(browser, address, { hash })
    await visited.page.getByLabel('User name').fill(user)
    await visited.page.getByLabel('Password').fill(word)
    await visited.page.getByRole('button', { name: 'Sign in' }).click()
    return visited
  }
  const card = (page, name) => page.locator('article.meter', { has: page.getByRole('link', { name, exact: true }) })
  const command = async (page, meter, action) => {
    await page.goto(`${address}/#/switch`)
    await page.getByRole('combobox', { name: 'Meter', exact: true }).selectOption(meter)
    await page.getByRole('button', { name: action, exact: true }).click()
    await page.getByRole('dialog').getByRole('button', { name: action }).click()
  }

  test('who has the wrong password sees nothing', async () => {
    const { page, close } = await signIn('operator', 'meters', 'wrong')
    await page.getByText('The broker does not take this name and password.').waitFor()
    await picture(page, 'sign-in')
    await inspect(page, 'sign-in')
    assert.equal(await page.locator('article.meter').count(), 0)
    await page.reload() // it is not remembered
    await page.getByLabel('User name').waitFor()
    await close()
  })

  test('under the path of a proxy, with an account that is handed to the page, it signs in by itself', async () => {
    // What Home Assistant is to an app: a path of its own, and nobody comes along who has not signed in there.
    const path = '/api/hassio_ingress/token'
    const proxy = createServer(async (request, response) => {
      if (!request.url.startsWith(`${path}/`)) return response.writeHead(404).end()
      if (request.url === `${path}/account.json`) {
        return response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ user: 'operator', password: password('operator') }))
      }
      const answer = await fetch(address + request.url.slice(path.length))
      const text = await answer.text()
      response.writeHead(answer.status, { 'content-type': answer.headers.get('content-type') })
      response.end(text.replace('name="dlt645-account" content=""', 'name="dlt645-account" content="given"'))
    })
    proxy.on('upgrade', (request, socket, head) => {
      const there = connect(new URL(address).port, '127.0.0.1', () => {
        const { rawHeaders: raw } = request
        const lines = raw.flatMap((name, i) => i % 2 ? [] : [`${name}: ${raw[i + 1]}`])
        there.write(`GET ${request.url.slice(path.length)} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`)
        there.write(head)
        there.pipe(socket).pipe(there)
      })
      for (const end of [there, socket]) end.on('error', () => { there.destroy(); socket.destroy() })
    })
    await new Promise(resolve => proxy.listen(0, '127.0.0.1', resolve))
    const { page, complaints, close } = await visit(browser, `http://127.0.0.1:${proxy.address().port}${path}`)
    await card(page, 'main').getByText(/\bV\b/).first().waitFor()
    await page.getByText('signed in as operator').waitFor()
    assert.equal(await page.evaluate(() => sessionStorage.getItem('account')), null, 'the account is kept in the browser')
    assert.deepEqual(complaints, [])
    await page.getByRole('link', { name: 'licences' }).click()
    await page.getByText('The console of dlt645-mqtt contains').waitFor()
    await close()
    proxy.closeAllConnections()
    proxy.close()
  })

  test('the reader reads, and switches nothing', async () => {
    const { page, complaints, close } = await signIn('reader')
    await card(page, 'main').locator('.pill.online').waitFor()
    await card(page, 'ghost').locator('.pill.offline').waitFor()
    await page.getByText('signed in as reader').waitFor()
    await page.goto(`${address}/#/read`)
    await page.getByRole('searchbox').fill('voltage')
    await page.getByRole('button', { name: 'Voltage, phase A', exact: true }).click()
    await page.getByRole('button', { name: 'Read main' }).click()
    await page.getByRole('row', { name: /^Voltage, phase A/ }).waitFor()
    await command(page, 'main', 'Trip (open)')
    await page.locator('.outcome.bad', { hasText: 'The broker does not let reader publish' }).waitFor()
    await page.locator('.positionline').getByText('relay closed').waitFor()
    // The account stays in its tab, and goes when its owner says so.
    await page.reload()
    await page.getByText('signed in as reader').waitFor()
    await page.getByRole('button', { name: 'Sign out' }).click()
    await page.getByLabel('User name').waitFor()
    await page.reload()
    await page.getByLabel('User name').waitFor()
    assert.deepEqual(complaints, [])
    await close()
  })

  test('billing sees its one meter, and no other', async () => {
    const { page, close } = await signIn('billing')
    await card(page, 'shop').locator('.pill.online').waitFor()
    assert.deepEqual(await page.locator('article.meter h3').allInnerTexts(), ['shop'])
    await close()
  })

  test('the operator trips: verified, refused, unknown look like what they are', async () => {
    const { page, complaints, close } = await signIn('operator')
    await card(page, 'main').locator('.pill.online').waitFor()
    await command(page, 'main', 'Trip (open)')
    await page.locator('.outcome.good', { hasText: 'verified' }).waitFor()
    await command(page, 'shop', 'Trip (open)')
    await page.locator('.outcome.bad', { hasText: 'refused' }).waitFor()
    await command(page, 'ghost', 'Trip (open)')
    const unknown = page.locator('.outcome.unknown', { hasText: 'It may have been done or not' })
    await unknown.waitFor()
    await picture(page, 'outcomes')
    await inspect(page, 'outcomes')
    const borders = await page.locator('.outcome').evaluateAll(all => all.map(o => getComputedStyle(o).borderTopStyle))
    assert.deepEqual(borders, ['dashed', 'solid', 'solid'])
    await page.getByRole('row', { name: /ghost relay trip unknown/ }).waitFor()
    await page.getByRole('row', { name: /operator/ }).first().waitFor() // who it was stands in the audit
    await command(page, 'main', 'Close')
    await page.locator('.outcome.good', { hasText: 'Close' }).waitFor()
    assert.deepEqual(complaints, [])
    await close()
  })

  test('basic points are written out, and can be changed', async () => {
    const { page, complaints, close } = await signIn('operator', 'points')
    await page.getByText('These are the basic points').waitFor()
    await page.getByRole('textbox', { name: 'Interval, row 1', exact: true }).fill('5s')
    await page.getByRole('button', { name: 'Put in force', disabled: false }).click()
    await page.getByText(/^In force: \d+ points/).waitFor()
    assert.deepEqual(complaints, [])
    await close()
  })

  test('a meter behind a bridge that is gone is unknown', async () => {
    const south = run({
      DLT645_MQTT_URL: `mqtt://127.0.0.1:${port}`, DLT645_MQTT_USERNAME: 'test', DLT645_MQTT_PASSWORD: password('test'), DLT645_TOPIC: 'south', DLT645_DISCOVERY: 'off',
      DLT645_BUS_URL: 'sim://?meters=1&baud=115200', DLT645_METERS: 'canteen=1'
    })
    await south.says(/ready for requests/)
    const { page, complaints, close } = await signIn('test')
    await card(page, 'canteen').locator('.pill.online').waitFor()
    await card(page, 'canteen').locator('.big .number').waitFor()
    await page.goto(`${address}/#/fleet`)
    await page.getByRole('row', { name: /south .*online 1 of 1 online/ }).waitFor()
    await south.stop('SIGKILL')
    const row = page.getByRole('row', { name: /south .*offline 0 of 1 online, 1 unknown/ })
    await row.waitFor()
    assert.deepEqual((await row.locator('td.right').allInnerTexts()), ['—', '—'], 'how busy a bus was whose bridge is gone')
    await page.goto(`${address}/#/meters`)
    await card(page, 'canteen').locator('.pill.unknown').waitFor()
    await card(page, 'canteen').getByText('the bridge is gone').waitFor()
    await picture(page, 'a-bridge-is-gone')
    await inspect(page, 'a bridge is gone')
    await card(page, 'main').locator('.pill.online').waitFor()
    assert.deepEqual(complaints, [])
    await close()
  })

  test('meters that are unplugged are said to be', async () => {
    const { page, close } = await signIn('reader')
    await card(page, 'main').locator('.pill.online').waitFor()
    await meters.stop()
    await page.getByText(/^The bus .* is down: no meter can be reached/).waitFor()
    await card(page, 'main').locator('.pill.unknown').waitFor()
    meters = bus()
    await card(page, 'main').locator('.pill.online').waitFor()
    await close()
  })

  test('the broker restarts: nothing is claimed meanwhile, and the page comes back by itself', async () => {
    const { page, close } = await signIn('reader')
    await card(page, 'main').locator('.pill.online').waitFor()
    await broker.stop()
    await page.getByText('The connection to the broker is lost.').waitFor()
    await card(page, 'main').locator('.pill.unknown').waitFor()
    assert.equal(await page.locator('.pill.online').count(), 0)
    await picture(page, 'the-broker-is-gone')
    await inspect(page, 'the broker is gone')
    broker = await mosquitto(port, ...accounts)
    await page.locator('.link.up').waitFor()
    await card(page, 'main').locator('.pill.online').waitFor()
    await close()
  })

  test('ten pages at once cost little memory', async () => {
    const visits = []
    for (let i = 0; i < 10; i++) visits.push(await signIn('operator', 'wire'))
    for (const v of visits) await v.page.locator('.frame').first().waitFor()
    const resident = Number(readFileSync(`/proc/${bridge.pid}/status`, 'utf8').match(/VmRSS:\s+(\d+)/)[1]) / 1024
    console.log(`# the bridge has ${resident.toFixed(1)} MiB resident with ten pages`)
    assert.ok(resident < 40)
    for (const v of visits) await v.close()
  })
})
