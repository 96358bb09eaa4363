// The console against the demo, in a real browser: what a new user does, and what each page looks like.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import mqtt from 'mqtt'
import { binary, cleanUp, freePort, inspect, launch, missing, patience, picture, repository, run, standIn, visit, willing } from './stack.js'

describe('the demo', { skip: missing('the console in a browser', 'chromium', 'go') }, () => {
  let demo, address, browser, client, root
  before(async () => {
    const port = await freePort()
    root = `demo-${process.pid}`
    demo = run({
      DLT645_MQTT_URL: `embedded://127.0.0.1:${port}`, DLT645_TOPIC: root, DLT645_BUS_URL: 'sim://?meters=4&protocols=2007,2007,698,188&baud=115200&turnaround=5ms', DLT645_METER_NAMES: 'shop=Shop 商铺', DLT645_HTTP: `127.0.0.1:${await freePort()}`
    }, 'demo')
    address = (await demo.says(/^(http:\S+)\/ /m))[1]
    assert.match(demo.output().trimStart(), /^http/, 'the first line is the address')
    browser = await launch()
    client = await mqtt.connectAsync(`mqtt://127.0.0.1:${port}`, { protocolVersion: 5 })
  })
  after(async () => {
    await client?.endAsync()
    await browser?.close()
    const memory = demo && readFileSync(`/proc/${demo.pid}/status`, 'utf8').match(/VmRSS:\s+(\d+)/)?.[1]
    if (memory) console.log(`# the demo has ${Math.round(memory / 1024)} MiB resident at the end`)
    await demo?.stop()
    cleanUp()
  })

  test('a new user sees, reads, switches, finds the slow meter and changes what is polled', async () => {
    const { page, complaints, close } = await visit(browser, address)
    const meter = page.locator('article.meter', { has: page.getByRole('link', { name: 'main', exact: true }) })
    await meter.locator('.pill.online').waitFor()

    // Another meter has a name for people.
    await page.locator('article.meter', { has: page.getByRole('link', { name: 'Shop 商铺', exact: true }) }).getByText(/^shop · 000000000002/).waitFor()

    // See a power curve.
    await meter.getByRole('link', { name: 'main' }).click()
    const chart = page.getByRole('img', { name: /^Active power: \d+ readings/ })
    await chart.waitFor()
    await chart.locator('canvas').waitFor()
    await page.getByRole('row', { name: /^Forward active energy, tariff 1 \(sharp\)/ }).waitFor()

    // Read a voltage by its Chinese name, with its digits.
    await page.getByRole('link', { name: 'Read', exact: true }).click()
    await page.getByRole('searchbox').fill('电压')
    await page.getByRole('button', { name: 'Voltage, phase A', exact: true }).click()
    await page.getByRole('button', { name: 'Read main' }).click()
    const row = page.getByRole('row', { name: /^Voltage, phase A/ })
    await row.waitFor()
    assert.match(await row.locator('.number').innerText(), /^\d{3}\.\d$/, 'exactly the digits of the meter')
    await page.getByText('2007 · 000000000001 · read · 02010100 · Voltage, phase A').waitFor()

    // Switch a relay: the question can be answered by no.
    await page.getByRole('link', { name: 'Switch', exact: true }).click()
    await page.getByRole('button', { name: 'Trip (open)' }).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByText('What it feeds loses its power.').waitFor()
    assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Cancel')
    await page.keyboard.press('Escape')
    await dialog.waitFor({ state: 'detached' })
    assert.equal(await page.locator('.outcome').count(), 0)
    await page.getByRole('button', { name: 'Trip (open)' }).click()
    await dialog.getByRole('button', { name: 'Trip (open)' }).click()
    await page.locator('.outcome.good', { hasText: 'verified' }).waitFor()
    await page.locator('.positionline').getByText('relay open').waitFor()
    await page.getByRole('row', { name: /main relay trip verified/ }).waitFor()
    await page.getByRole('button', { name: 'Close', exact: true }).click()
    await dialog.getByRole('button', { name: 'Close' }).click()
    await page.locator('.positionline').getByText('relay closed').waitFor()

    // Find which meter is slow.
    await page.getByRole('link', { name: 'Wire', exact: true }).click()
    await page.locator('.turnarounds li', { hasText: /main.*\d+ ms/ }).waitFor()
    await page.locator('.frame.received .said', { hasText: 'read' }).first().waitFor()

    // Change what is polled: a fault is told at its row, the bar moves, and the table comes into force.
    await page.getByRole('link', { name: 'Points', exact: true }).click()
    await page.getByRole('textbox', { name: 'Interval, row 1', exact: true }).waitFor()
    const budget = page.getByTestId('budget')
    await budget.waitFor()
    const before = await budget.innerText()
    await page.getByRole('textbox', { name: 'Interval, row 1', exact: true }).fill('soon')
    await page.locator('tr.complaint', { hasText: 'soon' }).waitFor()
    assert.ok(await page.getByRole('button', { name: 'Put in force' }).isDisabled())
    await page.getByRole('textbox', { name: 'Interval, row 1', exact: true }).fill('1s')
    await page.waitForFunction(before => { const b = document.querySelector('[data-testid=budget]'); return b && b.innerText !== before }, before)
    await page.getByRole('searchbox', { name: 'Item, by a word' }).fill('frequency')
    await page.getByRole('button', { name: /^Add Grid frequency/i }).click()
    await page.getByRole('button', { name: 'Put in force', disabled: false }).click()
    await page.getByText(/^In force: \d+ points/).waitFor()
    await page.getByRole('link', { name: 'Meters', exact: true }).click()
    await meter.getByRole('link', { name: 'main' }).click()
    await page.getByRole('row', { name: /frequency/i }).waitFor()

    // The file's table, down and up.
    await page.getByRole('link', { name: 'Points', exact: true }).click()
    await page.getByText('This table came by MQTT').waitFor()
    const download = page.waitForEvent('download')
    await page.getByRole('button', { name: 'Download CSV' }).click()
    const csv = await (await download).path()
    assert.match(readFileSync(csv, 'utf8'), /^meter,item,interval.*\nmain,voltage_block,1s,207\.0,253\.0,0\.3/)
    await page.locator('input[type=file]').setInputFiles({ name: 'points.csv', mimeType: 'text/csv', buffer: Buffer.from('电表;数据项;间隔;名称\nmain;voltage_a;5s;进线\n# nothing\n*;status_3;30s;\n') })
    await page.getByRole('textbox', { name: 'Name, row 1', exact: true }).waitFor()
    assert.equal(await page.getByRole('textbox', { name: 'Name, row 1', exact: true }).inputValue(), '进线')
    await page.getByRole('button', { name: 'Back to the file’s table' }).click()
    await page.getByRole('dialog').getByRole('button', { name: 'Go back' }).click()
    await page.getByText('This is the table of DLT645_POINTS').waitFor()
    assert.deepEqual(complaints, [])
    await close()
  })

  test('a scan finds the meters and writes the line for the settings', async () => {
    const { page, complaints, close } = await visit(browser, address, { hash: 'scan' })
    await page.getByRole('spinbutton').fill('4')
    await page.getByRole('button', { name: 'Search', exact: true }).click()
    await page.getByText('It ended when the wanted number was found').waitFor({ timeout: 4 * patience })
    const line = await page.getByTestId('meters-line').innerText()
    assert.match(line, /^DLT645_METERS=/)
    // Whichever is found first, and each with what it takes to reach it.
    assert.deepEqual(line.replace('DLT645_METERS=', '').split(',').sort(), ['grid=000000000003@698', 'main=000000000001@2007', 'shop=000000000002@2007', 'water=00000000000004@188?type=10'])
    assert.deepEqual(complaints, [])
    await close()
  })

  test('what meters have stored: today and yesterday, by day, by month', async () => {
    const { page, complaints, close } = await visit(browser, address, { hash: `meters/${root}/main` })
    await page.getByRole('button', { name: 'Today and yesterday' }).click()
    await page.getByRole('img', { name: /Active power.*by time of day: \d+ records of today, [1-9]\d* of yesterday/ }).waitFor()
    await page.getByRole('button', { name: 'Energy by day', disabled: false }).click()
    await page.getByRole('columnheader', { name: /tariff 2 \(peak\) kWh/ }).waitFor()
    await page.getByRole('columnheader', { name: 'total kWh' }).waitFor()
    const [, ...numbers] = await page.locator('.bars tbody tr').first().locator('th, td').allInnerTexts()
    assert.ok(Math.abs(numbers.slice(0, -1).reduce((sum, n) => sum + Number(n), 0) - Number(numbers.at(-1))) < 0.05, `tariffs and total: ${numbers}`)
    assert.ok(await page.locator('.bars tbody tr').count() > 20)
    await picture(page, 'energy-by-day')
    // The simulated meter freezes no months, so its settlements stand in for them.
    await page.getByRole('button', { name: 'Energy by month', disabled: false }).click()
    await page.getByText(/^Energy by (month|settlement period), as the meter has counted it/).waitFor()
    assert.ok(await page.locator('.bars tbody tr').count() > 10)
    assert.equal(await page.getByRole('alert').count(), 0)
    await page.getByRole('button', { name: 'Energy by day', disabled: false }).click()
    await page.getByText('Energy by day, as the meter has counted it').waitFor()
    await inspect(page, 'energy by day')
    // The days are the meter's, wherever the browser stands.
    const days = visited => visited.locator('.bars tbody th').allInnerTexts()
    const far = await visit(browser, address, { hash: `meters/${root}/main`, timezone: 'America/New_York' })
    await far.page.getByRole('button', { name: 'Energy by day' }).click()
    await far.page.getByText('Energy by day, as the meter has counted it').waitFor()
    assert.deepEqual(await days(far.page), await days(page))
    await far.close()
    assert.deepEqual(complaints, [])
    await close()
  })

  test('whatever others publish is shown as text', async () => {
    const evil = '<img src=x onerror="document.title=\'owned\'">'
    const name = '<b>bold<script>alert(1)<script>'
    const { page, complaints, close } = await visit(browser, address)
    const send = (topic, payload, retain = true) => client.publishAsync(`evil/${topic}`, typeof payload === 'string' ? payload : JSON.stringify(payload), { retain, qos: 1 })
    await send('bridge/status', 'online')
    await send('bridge/info', { version: evil, protocols: [evil], allow: ['relay', evil], bus: { url: evil, state: 'up', baud: evil, echo: false, queue: evil, utilisation: evil }, meters: [{ name: evil, display_name: evil, address: evil, protocol: evil, online: true, turnaround_ms: evil }] })
    await send(`meter/${name}/availability`, 'online')
    await send(`meter/${name}/state`, { voltage_a: evil, [evil]: evil, relay: evil, time: evil, times: { voltage_a: evil } })
    await send(`meter/${name}/event`, { event_type: evil, time: evil, meter: evil, item: evil, value: evil, unit: evil }, false)
    await send('bridge/audit', { time: evil, topic: evil, request: evil, meter: evil, action: evil, ok: false, error: { code: evil, message: evil }, user_properties: { user: evil } }, false)
    await send('bridge/scan', { state: evil, protocol: evil, asked: evil, left: evil, pattern: evil, meters: [{ address: evil, protocol: evil, baud: evil, parity: evil }] })
    await send('bridge/frame', { direction: evil, time: evil, hex: evil }, false)
    // What is no JSON, too deep, or of the wrong kind must not stop the page either.
    for (const nonsense of ['{', 'null', '[]', '7', '"x"', '{"bus":7,"meters":7,"allow":7}', '['.repeat(5000)]) {
      await send('bridge/info', nonsense, false); await send(`meter/${name}/state`, nonsense, false); await send(`meter/${name}/event`, nonsense, false); await send('bridge/audit', nonsense, false); await send('bridge/scan', nonsense, false)
    }
    // Words that every object of the browser has are words like any other.
    for (const word of ['__proto__', 'constructor', 'toString']) {
      await send(`meter/${name}/event`, { event_type: word, time: '2026-11-20T18:00:00+08:00', meter: name, item: word }, false)
      await send('bridge/audit', { time: '2026-11-20T18:00:00+08:00', request: word, meter: name, result: 'refused', reasons: [word] }, false)
      await send('bridge/frame', { direction: word, time: '2026-11-20T18:00:00+08:00', hex: '68' }, false)
      await send(`meter/${word}/state`, `{"time":"2026-11-20T18:00:00+08:00","relay":"${word}","${word}":5,"voltage_a":220.1}`)
    }
    await page.locator('article.meter', { hasText: '<b>bold' }).waitFor()
    const markup = async where => {
      assert.equal(await page.locator('main img, main script, main b, main svg[onload]').count(), 0, where)
      assert.doesNotMatch(await page.title(), /owned/)
    }
    await markup('meters')
    await page.locator('article.meter a', { hasText: '<b>bold' }).click()
    await page.locator('h1', { hasText: '<b>bold' }).waitFor()
    await markup('a meter')
    for (const where of ['read', 'switch', 'points', 'scan', 'wire', 'fleet']) {
      await page.goto(`${address}/#/${where}`)
      await page.locator('h1').waitFor()
      if (!['fleet'].includes(where)) await page.getByRole('combobox', { name: 'Bridge', exact: true }).selectOption('evil')
      await markup(where)
    }
    await page.goto(`${address}/#/meters/evil/__proto__`)
    await page.getByRole('row', { name: /^Voltage, phase A 220\.1 V/ }).waitFor()
    for (const word of ['__proto__', 'constructor', 'toString']) await send(`meter/${word}/state`, '')
    for (const topic of ['bridge/status', 'bridge/info', 'bridge/scan', `meter/${name}/availability`, `meter/${name}/state`]) await send(topic, '')
    assert.deepEqual(complaints, [])
    await close()
  })

  test('an address that was cut off leads somewhere', async () => {
    const { page, complaints, close } = await visit(browser, address, { hash: 'meters/%E5%8C' })
    await page.locator('article.meter').first().waitFor()
    await page.goto(`${address}/#/meters/${root}/%E5%8C`)
    await page.getByText('Nothing is heard of this meter.').waitFor()
    assert.deepEqual(complaints, [])
    await close()
  })

  test('what is no meter is asked of nobody', async () => {
    const { page, complaints, close } = await visit(browser, address, { hash: 'read' })
    await page.getByRole('searchbox').fill('voltage')
    await page.getByRole('button', { name: 'Voltage, phase A', exact: true }).click()
    for (const nobody of ['#', 'ma+n']) {
      await page.getByLabel('or an address').fill(nobody)
      await page.getByRole('button', { name: `Read ${nobody}`, exact: true }).click()
      await page.getByText(`“${nobody}” can be no meter; nothing was sent.`).waitFor()
    }
    assert.equal(await page.locator('.link').innerText(), 'connected') // a broker ends the connection of whoever publishes there
    assert.deepEqual(complaints, [])
    await close()
  })

  test('the short words of electricians find what the command items finds', async () => {
    const { page, close } = await visit(browser, address, { hash: 'read', chinese: true })
    const count = page.getByRole('status').filter({ hasText: '找到' })
    for (const word of ['频率', '总电量', '需量', '余额', '时钟', '力率', '表底', '当前频率', '止码', 'Ａ电压', '尖段']) {
      const lines = execFileSync(binary(), ['items', '-json', '-protocol', '2007', word], { encoding: 'utf8' }).trim().split('\n').map(line => JSON.parse(line))
      await page.getByRole('searchbox').fill('')
      await page.locator('ul.found').waitFor({ state: 'detached' })
      await page.getByRole('searchbox').fill(word)
      await page.locator('ul.found li').first().waitFor()
      const first = page.locator('ul.found li').first().locator('code')
      await count.waitFor()
      assert.ok(sameFamily(await first.innerText(), lines[0].di), `${word}: ${await first.innerText()}, the command finds ${lines[0].name}`)
    }
    await close()
  })
  // sameFamily says whether an identifier is one of a family whose places that run are small letters.
  const sameFamily = (family, di) => family.length === di.length && [...family].every((c, i) => /[a-z]/.test(c) || c === di[i])

  test('a chart is zoomed without a mouse', async () => {
    const { page, close } = await visit(browser, address, { hash: `meters/${root}/main` })
    await page.getByRole('button', { name: 'Today and yesterday' }).click()
    const chart = page.locator('.chart', { has: page.getByRole('img', { name: /by time of day/ }) })
    await page.getByRole('img', { name: /[1-9]\d* of yesterday/ }).waitFor() // which comes after today
    await page.getByRole('button', { name: 'Today and yesterday', disabled: false }).waitFor()
    const drawn = () => chart.locator('canvas').evaluate(c => c.toDataURL())
    await chart.locator('canvas').waitFor()
    const whole = await drawn()
    for (const key of ['Zoom in', 'Earlier', 'All']) {
      await chart.getByRole('button', { name: key, exact: true }).focus()
      await page.keyboard.press('Enter')
      for (const until = Date.now() + patience; (await drawn() === whole) !== (key === 'All');) {
        assert.ok(Date.now() < until, key)
        await page.evaluate(() => new Promise(resolve => requestAnimationFrame(resolve)))
      }
    }
    await close()
  })

  test('who was let in without an account can sign in with one', async () => {
    const { page, complaints, close } = await visit(browser, address)
    await page.locator('article.meter').first().waitFor()
    await page.getByRole('button', { name: 'Sign in with an account' }).click()
    await page.getByLabel('User name').waitFor()
    await page.getByRole('button', { name: 'Go on without an account' }).click()
    await page.locator('article.meter.online').first().waitFor()
    await page.getByRole('button', { name: 'Sign in with an account' }).click()
    await page.getByLabel('User name').fill('somebody')
    await page.getByRole('button', { name: 'Sign in', exact: true }).click()
    await page.getByText('signed in as somebody').waitFor()
    assert.deepEqual(complaints, [])
    await close()
  })

  test('a table keeps all that the bridge would take, and says what it would not', async () => {
    const { page, complaints, close } = await visit(browser, address, { hash: 'points' })
    const cell = (title, row) => page.getByLabel(`${title}, row ${row}`, { exact: true })
    await cell('Interval', 1).waitFor()
    const upload = (text, name = 'points.csv') => page.locator('input[type=file]').setInputFiles({ name, mimeType: 'text/csv', buffer: Buffer.from(text) })
    // Each word that the bridge takes for the head of a column.
    const source = readFileSync(join(repository, 'bridge/points/csv.go'), 'utf8')
    const heads = [...source.matchAll(/"(\p{Script=Han}+)": column(\w+)/gu)].map(([, word, column]) => [word, column])
    assert.ok(heads.length > 15)
    const values = { Meter: 'main', Item: 'voltage_a', Interval: '7s', Min: '200', Max: '250', Deadband: '0.5', Name: 'x', Retain: 'true', Discovery: 'false' }
    for (const [word, column] of heads) {
      const others = ['Meter', 'Item'].filter(c => c !== column)
      await upload(`${[word, ...others.map(c => c.toLowerCase())].join(',')}\n${[values[column], ...others.map(c => values[c])].join(',')}\n`, `${word}.csv`)
      await page.getByText(`${word}.csv`).waitFor()
      assert.equal(await cell(column, 1).inputValue(), values[column], word)
      assert.equal(await page.locator('main .note.warn').count(), 0, word)
    }
    await upload('meter,item,intervall\nmain,voltage_a,5s,7\n')
    await page.getByText('“intervall” is no column').waitFor()
    await page.getByText('Row 1: “7” stands behind the last column').waitFor()
    // Looking at another page loses nothing.
    await page.getByRole('link', { name: 'Meters', exact: true }).click()
    await page.locator('article.meter').first().waitFor()
    await page.getByRole('link', { name: 'Points', exact: true }).click()
    await page.getByText('“intervall” is no column').waitFor()
    assert.equal(await cell('Item', 1).inputValue(), 'voltage_a')
    await upload(Buffer.from([0x50, 0x4B, 3, 4, 20, 0]), 'points.xlsx')
    await page.getByText('This is no CSV').waitFor()
    assert.equal(await cell('Item', 1).inputValue(), 'voltage_a')
    await page.getByRole('button', { name: 'Undo all changes' }).click()
    await page.getByText('This is the table of DLT645_POINTS').waitFor()
    // What is in force is what is shown, also where it is a word, or has other marks between its columns.
    const shown = {
      off: () => page.getByText('Nothing is polled.').count(),
      basic: () => page.getByText('These are the basic points').count(),
      'meter;item;interval\nmain;voltage_a;11s\n': async () => await page.locator('td.interval input').count() === 1 && await cell('Interval', 1).inputValue() === '11s'
    }
    for (const [table, there] of Object.entries(shown)) {
      await client.publishAsync(`${root}/request/config`, table, { qos: 1 })
      for (const until = Date.now() + patience; !await there();) {
        assert.ok(Date.now() < until, `${table} is not shown`)
        await page.getByRole('button', { name: 'Undo all changes' }).click()
        await page.getByRole('button', { name: 'Undo all changes' }).waitFor()
      }
      await page.getByText('This table came by MQTT').waitFor()
    }
    await client.publishAsync(`${root}/request/config`, '', { qos: 1 })
    assert.deepEqual(complaints, [])
    await close()
  })

  // A bridge that the broker's stand-in tells of.
  const tell = broker => (topic, payload) => broker.say({ cmd: 'publish', topic: `${root}/${topic}`, payload: typeof payload === 'string' ? payload : JSON.stringify(payload), qos: 0, retain: false })
  const known = say => {
    say('bridge/status', 'online')
    say('bridge/info', { allow: ['relay'], bus: { url: 'sim://', state: 'up', queue: 0, utilisation: 0.25 }, meters: [{ name: 'main', address: '1', protocol: '2007', online: true, turnaround_ms: 9 }] })
    say('meter/main/availability', 'online')
  }

  test('a page in the background stays in time with its signs of life', async () => {
    let broker
    const { page, close } = await visit(browser, address, { prepare: async page => { await page.clock.install(); broker = await standIn(page, willing) } })
    await page.locator('.link.up').waitFor()
    const { keepalive } = broker.packets.find(p => p.cmd === 'connect')
    assert.ok(keepalive * 1.5 > 120, `the broker waits ${keepalive * 1.5} s`)
    known(tell(broker))
    // Browsers wake such a page once a minute; the bridge waits two.
    for (let minute = 1; minute < 6; minute++) {
      const pings = () => broker.packets.filter(p => p.cmd === 'pingreq').length
      const before = pings()
      await page.clock.fastForward(60_000)
      // What comes after the answer to the ping is shown, so that the answer has come.
      for (let i = 1; pings() === before; i++) {
        assert.ok(i < 4, `no sign of life in minute ${minute}`)
        tell(broker)('meter/main/state', { time: new Date().toISOString(), voltage_a: minute * 10 + i })
        await page.locator('article.meter .number', { hasText: String(minute * 10 + i) }).waitFor()
      }
      tell(broker)('meter/main/state', { time: new Date().toISOString(), voltage_a: minute * 10 + 9 })
      await page.locator('article.meter .number', { hasText: String(minute * 10 + 9) }).waitFor()
    }
    assert.equal(broker.packets.filter(p => p.cmd === 'connect').length, 1, 'it has lost its connection')
    assert.equal(await page.locator('.link').innerText(), 'connected')
    await close()
  })

  test('a connection on which nothing comes any more is lost', async () => {
    let broker
    const { page, close } = await visit(browser, address, { prepare: async page => { broker = await standIn(page, p => p.cmd === 'pingreq' ? undefined : willing(p)) } })
    await page.locator('.link.up').waitFor()
    await page.getByText('The connection to the broker is lost.').waitFor()
    assert.ok(broker.packets.some(p => p.cmd === 'pingreq'))
    await close()
  })

  test('who may not hear the answer is told so, and nothing is sent', async () => {
    let broker
    const { page, close } = await visit(browser, address, {
      hash: 'switch',
      prepare: async page => {
        broker = await standIn(page, p => p.cmd === 'subscribe' && p.subscriptions.some(s => s.topic.includes('/reply/'))
          ? { cmd: 'suback', messageId: p.messageId, granted: p.subscriptions.map(() => 135) }
          : willing(p))
      }
    })
    await page.locator('.link.up').waitFor()
    known(tell(broker))
    await page.getByRole('button', { name: 'Trip (open)' }).click()
    await page.getByRole('dialog').getByRole('button', { name: 'Trip (open)' }).click()
    await page.locator('.outcome.bad', { hasText: 'where the answer would come; nothing was sent' }).waitFor()
    assert.equal(broker.packets.filter(p => p.cmd === 'publish').length, 0)
    await close()
  })

  test('where nobody listens it is said at once', async () => {
    let broker
    const { page, close } = await visit(browser, address, {
      hash: 'switch', prepare: async page => { broker = await standIn(page, p => p.cmd === 'publish' ? { cmd: 'puback', messageId: p.messageId, reasonCode: 16 } : willing(p)) }
    })
    await page.locator('.link.up').waitFor()
    known(tell(broker))
    await page.getByRole('button', { name: 'Trip (open)' }).click()
    await page.getByRole('dialog').getByRole('button', { name: 'Trip (open)' }).click()
    await page.locator('.outcome.bad', { hasText: 'No bridge listens there.' }).waitFor()
    await close()
  })

  test('a value that was not read leaves a gap, and a time ahead of the clock is no age', async () => {
    let broker
    const { page, close } = await visit(browser, address, { prepare: async page => { broker = await standIn(page, willing) } })
    await page.locator('.link.up').waitFor()
    const say = tell(broker)
    known(say)
    const state = (seconds, power) => say('meter/main/state', { time: new Date(Date.now() + seconds * 1000).toISOString(), active_power: power })
    const pieces = n => page.waitForFunction(n => document.querySelector('.spark path')?.getAttribute('d').split('M').length === n + 1, n)
    for (const [at, power] of [[-100, 1], [-90, 2], [-80, 3]]) state(at, power)
    await pieces(1)
    say('meter/main/stale', ['active_power'])
    for (const [at, power] of [[-20, 1], [-10, 2]]) state(at, power)
    await pieces(2)
    say('meter/main/stale', [])
    state(3600, 2)
    await page.locator('article.meter').getByText('60 min ahead').waitFor()
    await close()
  })

  const looks = [
    { name: 'light' }, { name: 'dark', dark: true }, { name: 'phone', width: 360, height: 740 }, { name: 'phone-dark-chinese', width: 360, height: 740, dark: true, chinese: true },
    { name: 'chinese', chinese: true }, { name: 'wall', width: 2560, height: 1440, dark: true }
  ]
  for (const { name: look, ...options } of looks) {
    test(`each page fits and can be used by everybody: ${look}`, async () => {
      const { page, complaints, close } = await visit(browser, address, options)
      assert.equal(await page.locator('html').getAttribute('lang'), options.chinese ? 'zh-CN' : 'en')
      for (const where of ['meters', `meters/${root}/main`, 'read', 'switch', 'points', 'scan', 'wire', 'fleet']) {
        await page.goto(`${address}/#/${where}`)
        await page.locator('h1').waitFor()
        if (where === 'meters') await page.locator('article.meter.online .big .number').first().waitFor()
        if (where.includes('/')) await page.locator('canvas').waitFor()
        if (where === 'read') await page.getByRole('searchbox').fill(options.chinese ? '有功电能' : 'active power')
        if (where === 'points') await page.getByTestId('budget').waitFor()
        if (where === 'wire') await page.locator('.frame.received .said span').first().waitFor()
        await inspect(page, `${where}, ${look}`)
        await picture(page, `${where.replace(`/${root}/`, '-')}-${look}`)
      }
      assert.deepEqual(complaints, [])
      await close()
    })
  }

  test('meters of other protocols look like any other', async () => {
    const mixed = run({
      DLT645_MQTT_URL: `embedded://127.0.0.1:${await freePort()}`, DLT645_TOPIC: `mixed-${process.pid}`, DLT645_BUS_URL: 'sim://?meters=4&protocols=2007,698,188,modbus/sdm630&baud=115200&turnaround=5ms',
      DLT645_METERS: 'main=1,grid=000000000002@698,water=00000000000003@188,chiller=4@modbus/sdm630', DLT645_POINTS: 'basic', DLT645_HTTP: `127.0.0.1:${await freePort()}`
    }, 'demo')
    try {
      const address = (await mixed.says(/^(http:\S+)\/ /m))[1]
      const { page, complaints, close } = await visit(browser, address, { hash: `meters/mixed-${process.pid}/grid`, chinese: true })
      await page.getByRole('row', { name: /正向有功电能 \d+\.\d\d kWh/ }).waitFor()
      await page.getByRole('button', { name: '日电量' }).click()
      await page.getByRole('columnheader', { name: /费率2（峰） kWh/ }).waitFor()
      await page.getByRole('button', { name: '今天与昨天', disabled: false }).click()
      await page.getByRole('img', { name: /有功功率：今天 \d+ 条记录，昨天 [1-9]\d* 条/ }).waitFor()
      await page.goto(`${address}/#/read`)
      await page.getByRole('combobox', { name: '电能表', exact: true }).selectOption('grid')
      await page.getByRole('searchbox').fill('反向有功')
      await page.getByRole('button', { name: '反向有功电能, 费率1（尖）', exact: true }).click()
      await page.getByRole('button', { name: '抄读 grid' }).click()
      await page.getByRole('row', { name: /反向有功电能 费率1（尖） 0\.00 kWh/ }).waitFor()
      await page.goto(`${address}/#/switch`)
      await page.getByRole('button', { name: '拉闸' }).click()
      await page.getByRole('dialog').getByRole('button', { name: '拉闸' }).click()
      await page.locator('.outcome .word').waitFor()
      // The valve of a water meter is open or shut, and does not let its water through as a relay its current.
      await page.getByRole('combobox', { name: '电能表', exact: true }).selectOption('water')
      await page.locator('.positionline .on', { hasText: '阀门 开' }).waitFor()
      await page.getByRole('button', { name: '关阀' }).click()
      await page.getByRole('dialog').getByRole('button', { name: '关阀' }).click()
      await page.locator('.outcome.good', { hasText: '阀门: 关' }).waitFor()
      await page.locator('.positionline .off', { hasText: '阀门 关' }).waitFor()
      // What became of it is still said of the valve when another meter is chosen.
      await page.getByRole('combobox', { name: '电能表', exact: true }).selectOption('main')
      await page.locator('.outcome.good', { hasText: '阀门: 关' }).waitFor()
      // A map of Modbus has a row for each phase beside that of the whole.
      await page.goto(`${address}/#/meters/mixed-${process.pid}/chiller`)
      await page.getByRole('row', { name: /^有功功率 .*active_power$/ }).waitFor()
      assert.equal(await page.getByRole('row', { name: /^A相有功功率/ }).count(), 0)
      await page.getByRole('row', { name: /^A相电压 .*voltage_a$/ }).waitFor()
      assert.deepEqual(complaints, [])
      await close()
    } finally {
      await mixed.stop()
    }
  })

  test('by keyboard alone', async () => {
    const { page, close } = await visit(browser, address)
    await page.locator('article.meter.online').first().waitFor()
    await page.keyboard.press('Tab')
    assert.equal(await page.evaluate(() => document.activeElement.className), 'skip')
    await page.keyboard.press('Enter')
    assert.equal(await page.evaluate(() => document.activeElement.tagName), 'H1')
    const focused = () => page.evaluate(() => document.activeElement.textContent)
    for (let i = 0; i < 30 && await focused() !== 'main'; i++) await page.keyboard.press('Tab')
    assert.equal(await focused(), 'main')
    await page.keyboard.press('Enter')
    await page.getByRole('heading', { level: 1, name: 'main' }).waitFor()
    await page.waitForFunction(() => document.activeElement.tagName === 'H1') // so that a screen reader says where it is
    await close()
  })
})
