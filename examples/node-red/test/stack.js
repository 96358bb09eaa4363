// What the tests run: a mosquitto, the bridge with simulated meters, and Node-RED, each of them
// real, on free ports of this machine, with everything that they write in one temporary folder.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import mqtt from 'mqtt'
import { find, freePort, launcher } from '../../../test/programs/programs.mjs'

export { find }

const here = fileURLToPath(new URL('.', import.meta.url))
const repository = join(here, '../../..')
const modules = join(here, 'node_modules')

// patience bounds every wait, in milliseconds; a test that passes never waits for it to end.
export const patience = 180000

const program = launcher(patience)

// missing says, for the record too, why tests must be skipped; false if nothing is missing.
export function missing (what, programs) {
  const absent = Object.keys(programs).filter(name => !programs[name])
  if (absent.length === 0) return false
  const reason = `there is no ${absent.join(', no ')}`
  console.log(`skipped: ${what}: ${reason}`)
  return reason
}

// path tells where one of the files that the project ships is, and flows reads it.
export const path = name => join(here, '..', name)
export const flows = name => JSON.parse(readFileSync(path(name), 'utf8'))

// start runs all programs, the bridge with the variables given; the object that it returns has
// what the tests need of them.
export async function start (variables = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'dlt645-node-red-'))
  const processes = []
  const close = async () => {
    for (const p of processes.reverse()) await p.stop()
    rmSync(folder, { recursive: true, force: true })
  }
  const run = (command, args, options, sign) => {
    const p = program(command, args, options)
    processes.push(p)
    return p.says(sign).then(() => p)
  }
  try {
    const port = await freePort()
    const mosquitto = await run(find('mosquitto'), ['-c', broker(folder, port)], {}, /mosquitto version .* running/)

    const binary = join(folder, 'dlt645-mqtt')
    execFileSync('go', ['build', '-o', binary, '.'], { cwd: repository, stdio: 'inherit' })
    const environment = {
      ...process.env,
      DLT645_MQTT_URL: `mqtt://127.0.0.1:${port}`,
      DLT645_MQTT_USERNAME: 'bridge',
      DLT645_MQTT_PASSWORD: password('bridge'),
      DLT645_TOPIC: 'dlt645',
      DLT645_BUS_URL: 'sim://?meters=4&baud=115200&timeout=1s',
      ...variables
    }
    const bridge = await run(binary, ['demo'], { env: environment }, /The bridge is running/)
    const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${port}`, { protocolVersion: 5, username: 'test', password: password('test') })
    processes.push({ stop: () => client.endAsync() })
    await message(client, 'dlt645/bridge/status', payload => payload === 'online')

    const url = `http://127.0.0.1:${await freePort()}`
    const nodeRed = await nodeRED(folder, new URL(url).port, run)
    return { port, url, client, mosquitto, bridge, nodeRed, close, deploy: nodes => deploy(url, nodes) }
  } catch (error) {
    await close()
    throw error
  }
}

// broker writes the configuration of a mosquitto with the access list that the project ships, where
// Node-RED is the user node-red; the user test sees everything.
function broker (folder, port) {
  const [configuration, passwords, list] = ['mosquitto.conf', 'passwords', 'acl'].map(name => join(folder, name))
  writeFileSync(passwords, '', { mode: 0o600 })
  for (const user of ['bridge', 'node-red', 'test']) {
    execFileSync(find('mosquitto_passwd'), ['-b', passwords, user, password(user)])
  }
  const shipped = readFileSync(join(repository, 'deploy', 'mosquitto', 'acl'), 'utf8')
  writeFileSync(list, `${shipped}\nuser test\ntopic readwrite #\n`, { mode: 0o600 })
  writeFileSync(configuration, `user root
listener ${port} 127.0.0.1
allow_anonymous false
password_file ${passwords}
acl_file ${list}
set_tcp_nodelay true
`)
  return configuration
}

// password is that of a user of the broker.
export const password = user => `secret-${user}`

// nodeRED starts Node-RED in a folder of its own, with no flows.
function nodeRED (folder, port, run) {
  const user = join(folder, 'node-red')
  mkdirSync(user)
  // Node-RED finds nodes that are not its own in the modules of its user's folder.
  symlinkSync(modules, join(user, 'node_modules'))
  writeFileSync(join(user, 'package.json'), JSON.stringify({ dependencies: { '@flowfuse/node-red-dashboard': '*' } }))
  writeFileSync(join(user, 'flows.json'), '[]')
  const settings = join(user, 'settings.js')
  writeFileSync(settings, `module.exports = ${JSON.stringify({
    uiHost: '127.0.0.1',
    uiPort: Number(port),
    flowFile: 'flows.json',
    credentialSecret: false,
    telemetry: { enabled: false, updateNotification: false },
    externalModules: { autoInstall: false, palette: { allowInstall: false } },
    editorTheme: { tours: false }
  })}\n`)
  const script = join(modules, 'node-red', 'red.js')
  return run(process.execPath, [script, '--userDir', user, '--settings', settings], { cwd: user }, /Started flows/)
}

// deploy replaces all flows through the admin interface.
async function deploy (url, nodes) {
  const response = await fetch(`${url}/flows`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(nodes) })
  if (!response.ok) throw new Error(`Node-RED refused the flows: ${response.status} ${await response.text()}`)
}

// message returns the next message {payload, packet} on a topic, the retained one first, whose
// payload is accepted.
export async function message (client, topic, accept = () => true) {
  return withPatience(`a message on ${topic}`, async signal => {
    const arrived = new Promise(resolve => {
      const take = (from, bytes, packet) => {
        const payload = bytes.toString()
        if (from === topic && accept(payload)) resolve({ payload, packet })
      }
      client.on('message', take)
      signal.addEventListener('abort', () => client.off('message', take))
    })
    await client.subscribeAsync(topic, { qos: 1 })
    return arrived
  })
}

// withPatience waits for what f does, but not for ever; the signal tells f when it is over.
export async function withPatience (what, f) {
  const over = new AbortController()
  let timer
  const late = new Promise((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`waited in vain for ${what}`)), patience)
  })
  try {
    return await Promise.race([f(over.signal), late])
  } finally {
    clearTimeout(timer)
    over.abort()
  }
}
