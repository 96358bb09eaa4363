// The subflow DL/T 645 in a Node-RED, asked over HTTP.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { find, flows, message, missing, password, patience, start, withPatience } from './stack.js'

const skip = missing('the Node-RED subflow', { mosquitto: find('mosquitto') && find('mosquitto_passwd'), go: find('go') })
let stack

before(async () => {
  if (skip) return
  stack = await start()
  const broker = flows('dlt645-dashboard.json').find(node => node.type === 'mqtt-broker')
  broker.port = String(stack.port)
  broker.credentials = { user: 'node-red', password: password('node-red') }
  await stack.deploy([...flows('dlt645-subflow.json'), broker, ...probes(broker.id)])
  // A first read shows that Node-RED has its connection to the broker.
  await connected()
})

after(() => stack?.close())

// probes is a flow with one page of HTTP for each way to use the subflow: POST its input, get
// the message that comes out.
function probes (broker) {
  const settings = {
    read: { METER: 'main' },
    'read-any': {},
    'read-wrong-item': { METER: 'main', CONTENT: 'voltage_a, no_such_item' },
    relay: { REQUEST: 'relay', METER: 'shop' },
    raw: { REQUEST: 'raw' },
    'no-broker': { METER: 'main', BROKER: { type: 'conf-type', value: '' } },
    nobody: { METER: 'main', TOPIC: 'nobody', TIMEOUT: { type: 'num', value: '2' } },
    'nobody-relay': { REQUEST: 'relay', METER: 'main', TOPIC: 'nobody', TIMEOUT: { type: 'num', value: '2' } }
  }
  const nodes = [{ id: 'probes', type: 'tab', label: 'probes' }]
  for (const [name, properties] of Object.entries(settings)) {
    const env = Object.entries({ BROKER: { type: 'conf-type', value: broker }, ...properties }).map(([name, value]) => typeof value === 'string' ? { name, type: 'str', value } : { name, ...value })
    nodes.push(
      { id: `${name}-in`, type: 'http in', z: 'probes', url: `/${name}`, method: 'post', wires: [[`${name}-take`]] },
      // The body is the message: {payload, meter, …}.
      { id: `${name}-take`, type: 'function', z: 'probes', func: 'return Object.assign(msg, { payload: undefined }, msg.payload)', outputs: 1, libs: [], wires: [[`${name}-call`]] },
      { id: `${name}-call`, type: 'subflow:d1645subflow', z: 'probes', env, wires: [[`${name}-good`], [`${name}-bad`]] },
      { id: `${name}-good`, type: 'function', z: 'probes', func: give(1), outputs: 1, libs: [], wires: [[`${name}-out`]] },
      { id: `${name}-bad`, type: 'function', z: 'probes', func: give(2), outputs: 1, libs: [], wires: [[`${name}-out`]] },
      { id: `${name}-out`, type: 'http response', z: 'probes', statusCode: '200', wires: [] }
    )
  }
  // A node without a place on the canvas would be taken for one of configuration.
  return nodes.map(node => ({ x: 0, y: 0, ...node }))
}

const give = output => `const { payload, reply, units, error } = msg;\nmsg.payload = { output: ${output}, payload, reply, units, error };\nreturn msg;`

const post = (probe, body) => fetch(`${stack.url}/${probe}`, { signal: AbortSignal.timeout(patience), method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) })

async function ask (probe, body = {}) {
  const response = await post(probe, body)
  assert.equal(response.status, 200)
  return response.json()
}

// connected waits until the flows run, which on a slow machine they do after they were taken, and until they
// have their broker.
function connected () {
  return withPatience('the flows and their broker', async signal => {
    while (!signal.aborted) {
      const response = await post('read', { payload: 'voltage_a' })
      if (response.status === 200 && (await response.json()).error?.code !== 'not_connected') return
      await new Promise(resolve => setTimeout(resolve, 100))
    }
  })
}

test('the files are complete', () => {
  const subflow = flows('dlt645-subflow.json')
  const dashboard = flows('dlt645-dashboard.json')
  assert.deepEqual(dashboard.slice(0, subflow.length), subflow, 'the dashboard must bring the same subflow along')
  const ids = new Set(dashboard.map(node => node.id))
  assert.equal(ids.size, dashboard.length, 'an id stands twice')
  for (const node of dashboard) {
    const links = [...(node.wires ?? []).flat(), ...(node.links ?? []), ...['z', 'broker', 'group', 'page', 'ui', 'theme'].map(key => node[key])]
    if (node.type.startsWith('subflow:')) links.push(node.env.find(property => property.name === 'BROKER').value)
    for (const link of links) {
      if (typeof link !== 'string' || link === '' || node.type === 'mqtt-broker' || link.startsWith('${')) continue
      assert.ok(ids.has(link), `${node.id} leads to ${link}, which is not there`)
    }
    assert.ok(!('credentials' in node), `${node.id} has credentials`)
  }
})

test('read: one item, several, and the meter\'s points', { skip }, async () => {
  const one = await ask('read', { payload: 'voltage_a' })
  assert.equal(one.output, 1)
  assert.deepEqual(Object.keys(one.payload), ['voltage_a'])
  assert.ok(one.payload.voltage_a > 180 && one.payload.voltage_a < 260, `voltage_a is ${one.payload.voltage_a}`)
  assert.equal(one.units.voltage_a, 'V')
  assert.equal(one.reply.meter, 'main')
  assert.equal(one.error, undefined)

  for (const payload of ['voltage_a, forward_active_energy', ['voltage_a', 'forward_active_energy'], { items: ['voltage_a', 'forward_active_energy'] }, '{"items":["voltage_a","forward_active_energy"]}']) {
    const two = await ask('read', { payload })
    assert.deepEqual(Object.keys(two.payload), ['voltage_a', 'forward_active_energy'], JSON.stringify(payload))
  }
  // An inject node sends the time.
  const points = await ask('read', { payload: 1763700000000 })
  assert.equal(points.output, 1, JSON.stringify(points.error))
  assert.equal(typeof points.payload.active_power, 'number')
})

test('read: what the meter has stored', { skip }, async () => {
  const from = new Date(Date.now() - 3 * 86_400_000).toISOString()
  const history = await ask('read', { payload: { items: ['daily_freeze_forward_active_energy'], from } })
  assert.equal(history.output, 1, JSON.stringify(history.error))
  assert.equal(history.payload.length, 3)
  assert.equal(typeof history.payload[0].values.forward_active_energy, 'number')
  assert.ok(history.payload[0].time < history.payload[2].time)
})

test('read: the meter may be named by the message', { skip }, async () => {
  const byName = await ask('read-any', { meter: 'shop', payload: 'current_a' })
  assert.equal(byName.reply.meter, 'shop')
  const byAddress = await ask('read-any', { meter: '000000000002', payload: 'current_a' })
  assert.equal(byAddress.reply.meter, 'shop')
  for (const meter of [undefined, 2, 'main/../shop', '+']) {
    const wrong = await ask('read-any', { meter, payload: 'current_a' })
    assert.equal(wrong.output, 2)
    assert.match(wrong.payload, /Which meter\?/)
  }
})

test('read: what fails is told in words, with what could be read', { skip }, async () => {
  const partly = await ask('read-wrong-item')
  assert.equal(partly.output, 2)
  assert.equal(partly.error.code, 'unknown_item')
  assert.match(partly.payload, /^main: no_such_item: .*neither the name/)
  assert.equal(typeof partly.reply.values.voltage_a, 'number')
})

test('read: a meter that is not there', { skip }, async () => {
  const silent = await ask('read-any', { meter: '000000000099', payload: 'voltage_a' })
  assert.equal(silent.output, 2)
  assert.equal(silent.error.code, 'timeout')
  assert.match(silent.payload, /^000000000099: voltage_a: no answer: .*check its address/)
})

test('a bridge that is not there', { skip }, async () => {
  const read = await ask('nobody', { payload: 'voltage_a' })
  assert.equal(read.output, 2)
  assert.equal(read.error.code, 'no_reply')
  assert.match(read.payload, /No reply to read main within 2 s\. Is the bridge running/)
  assert.equal(read.reply, undefined)
  const relay = await ask('nobody-relay', { payload: 'trip' })
  assert.match(relay.payload, /look at the meter before you send it again/)
})

test('requests at the same time get their own replies', { skip }, async () => {
  const items = ['voltage_a', 'voltage_b', 'voltage_c', 'current_a', 'current_b', 'current_c', 'active_power', 'frequency']
  const answers = await Promise.all(items.map(payload => ask('read', { payload })))
  assert.deepEqual(answers.map(a => Object.keys(a.payload)), items.map(item => [item]))
})

test('raw: a frame as hex, and one that is none', { skip }, async () => {
  const voltage = await ask('raw', { payload: '68 01 00 00 00 00 00 68 11 04 33 34 34 35 B6 16' })
  assert.equal(voltage.output, 1, voltage.payload)
  assert.match(voltage.payload, /^68010000000000689106333434353?/)
  const bad = await ask('raw', { payload: '68 01 00 00 00 00 00 68 11 04 33 34 34 35 B7 16' })
  assert.equal(bad.output, 2)
  assert.equal(bad.error.code, 'bad_request')
  const none = await ask('raw')
  assert.match(none.payload, /Which frame\?/)
})

test('relay: a command says what became of it, and cannot come late or twice', { skip }, async () => {
  const request = message(stack.client, 'dlt645/request/relay/shop')
  const trip = await ask('relay', { payload: 'trip' })
  assert.equal(trip.output, 1, trip.payload)
  assert.deepEqual(trip.payload, { result: 'verified', relay: 'open' })

  const { payload: text, packet } = await request
  const body = JSON.parse(text)
  assert.equal(packet.retain, false)
  assert.equal(packet.properties.messageExpiryInterval, 10)
  assert.equal(packet.properties.responseTopic, 'dlt645/reply/node-red')
  assert.equal(packet.properties.correlationData.toString(), body.id)
  assert.match(body.id, /^[0-9a-f-]{36}$/)

  const close = await ask('relay', { payload: 'close' })
  assert.deepEqual(close.payload, { result: 'verified', relay: 'closed' })
  assert.notEqual(close.reply.id, trip.reply.id)
  for (const payload of [undefined, true, 1, '']) {
    const none = await ask('relay', { payload })
    assert.match(none.payload, /What shall the relay do\?/)
  }
  const wrong = await ask('relay', { payload: 'toggle' })
  assert.equal(wrong.error.code, 'bad_request')
})

test('a broker that is not there', { skip }, async () => {
  const none = await ask('no-broker', { payload: 'voltage_a' })
  assert.equal(none.error.code, 'not_connected')
  assert.match(none.payload, /^No broker is chosen/)

  await stack.mosquitto.stop()
  for (;;) {
    const { output, error } = await ask('nobody', { payload: 'voltage_a' })
    assert.equal(output, 2)
    if (error.code === 'no_reply') continue // Node-RED had not noticed yet
    assert.equal(error.code, 'not_connected')
    assert.match(error.message, /^Not connected to the MQTT broker, so nothing was sent\./)
    return
  }
})
