// What the tests run: the binary, built once, a mosquitto with the access list that the project ships, and
// a real browser; on free ports of this machine, with everything that they write in one temporary folder.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { chromium } from 'playwright-core'
import packets from 'mqtt-packet'
import { find, freePort, launcher } from '../../../test/programs/programs.mjs'

export { freePort }

export const repository = fileURLToPath(new URL('../../..', import.meta.url))

// patience bounds every wait, in milliseconds; a test that passes never waits for it to end.
export const patience = 90000

const program = launcher(patience)

// missing says, for the record too, why tests must be skipped; false if nothing is missing.
export function missing (what, ...programs) {
  const absent = programs.filter(name => !find(name))
  if (absent.length === 0) return false
  const reason = `there is no ${absent.join(', no ')}`
  console.log(`skipped: ${what}: ${reason}`)
  return reason
}

export const folder = mkdtempSync(join(tmpdir(), 'dlt645-console-'))
export const cleanUp = () => rmSync(folder, { recursive: true, force: true })

let built
export function binary () {
  built ??= (() => {
    const path = join(folder, 'dlt645-mqtt')
    execFileSync('go', ['build', '-o', path, '.'], { cwd: repository, stdio: 'inherit' })
    return path
  })()
  return built
}

// ours is the environment without variables of the bridge.
const ours = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('DLT645_')))

// run starts the binary, and waits until it says that it is ready.
export function run (variables, ...args) {
  return program(binary(), args, { env: { ...ours, ...variables } })
}

// mosquitto starts a broker with the access list and the accounts that the project ships.
export async function mosquitto (port, ...accounts) {
  const home = join(folder, `mosquitto-${port}`)
  mkdirSync(home, { recursive: true })
  const [configuration, passwords] = ['mosquitto.conf', 'passwords'].map(name => join(home, name))
  writeFileSync(passwords, '', { mode: 0o600 })
  for (const user of accounts) execFileSync(find('mosquitto_passwd'), ['-b', passwords, user, password(user)])
  const list = join(home, 'acl')
  // The user test plays what meters and bridges do.
  writeFileSync(list, readFileSync(join(repository, 'deploy/mosquitto/acl'), 'utf8') + '\nuser test\ntopic readwrite #\n', { mode: 0o600 })
  writeFileSync(configuration, `user root\nlistener ${port} 127.0.0.1\nallow_anonymous false\npassword_file ${passwords}\nacl_file ${list}\nset_tcp_nodelay true\n`)
  const p = program(find('mosquitto'), ['-c', configuration])
  await p.says(/mosquitto version .* running/)
  return p
}

export const password = user => `secret-${user}`

// launch starts the browser. It asks nobody but this machine.
export const launch = () => chromium.launch({
  executablePath: find('chromium'),
  timeout: patience,
  args: ['--no-sandbox', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync']
})

// visit opens a page of the console in a browser of its own. Whatever the browser complains about, and
// whatever it asks of another host, is noted in complaints.
export async function visit (browser, address, { width = 1280, height = 900, dark = false, chinese = false, hash = 'meters', timezone = 'Asia/Shanghai', prepare = async _page => {} } = {}) {
  const context = await browser.newContext({
    viewport: { width, height }, colorScheme: dark ? 'dark' : 'light', locale: chinese ? 'zh-CN' : 'en-GB', timezoneId: timezone, reducedMotion: 'reduce', acceptDownloads: true
  })
  const page = await context.newPage()
  page.setDefaultTimeout(patience)
  await prepare(page)
  const complaints = []
  page.on('console', m => { if (['error', 'warning'].includes(m.type()) && !/net::ERR_CONNECTION_REFUSED|WebSocket connection to|status of 50[23]/.test(m.text())) complaints.push(m.text()) })
  page.on('pageerror', error => complaints.push(error.stack))
  page.on('request', r => { if (new URL(r.url()).host !== new URL(address).host && !r.url().startsWith('blob:')) complaints.push(`asks ${r.url()}`) })
  await page.goto(`${address}/#/${hash}`)
  return { page, complaints, close: () => context.close() }
}

// standIn takes the place of the broker behind a page. For each packet of the page, answer says what the broker sends, if
// anything; say sends more.
export async function standIn (page, answer) {
  const broker = { packets: [], say: _packet => {} }
  await page.routeWebSocket('**/mqtt', ws => {
    const parser = packets.parser({ protocolVersion: 5 })
    broker.say = packet => ws.send(packets.generate(packet, { protocolVersion: 5 }))
    parser.on('packet', packet => {
      broker.packets.push(packet)
      const reply = answer(packet, broker)
      if (reply) broker.say(reply)
    })
    ws.onMessage(data => parser.parse(Buffer.from(data)))
  })
  return broker
}

// willing is what a broker answers that lets everybody do everything.
export const willing = packet => ({
  connect: { cmd: 'connack', sessionPresent: false, reasonCode: 0, properties: {} },
  subscribe: { cmd: 'suback', messageId: packet.messageId, granted: (packet.subscriptions ?? []).map(s => s.qos) },
  publish: packet.qos > 0 && { cmd: 'puback', messageId: packet.messageId, reasonCode: 0 },
  pingreq: { cmd: 'pingresp' }
})[packet.cmd]

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
const pictures = process.env.PICTURES

// inspect finds what axe has to say, and what does not fit.
export async function inspect (page, where) {
  await page.evaluate(axe)
  const found = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ['violations'] }))
  assert.deepEqual(found.violations.map(v => `${v.id}: ${v.help}: ${v.nodes.map(n => n.html).join('\n')}`), [], `axe, ${where}`)
  const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)
  assert.ok(over <= 0, `${where} is ${over} pixels too wide`)
}

export async function picture (page, name) {
  if (!pictures) return
  mkdirSync(pictures, { recursive: true })
  await page.screenshot({ path: join(pictures, `${name}.png`), fullPage: true })
}
