// What is known of the bridges and meters, from the topics that the account may read.
import { Decimal, parse, plain } from './exact'
import { link, now, subscribe } from './link'
import { t } from './words'

export interface Sample { at: number, value: number | null } // null: a gap

export interface Meter {
  name: string
  availability?: 'online' | 'offline'
  values: Record<string, any> // Decimals, booleans, texts
  times: Record<string, number> // of each value, milliseconds
  series: Map<string, Sample[]>
  state?: string // when the newest value was read
  stale: Set<string> // items that the bridge has not read as it should
}

export interface Bridge {
  root: string
  status?: string
  info?: any
  infoAt: number // when it came live, 0 if it has not yet
  scan?: any
  config?: any // null: none came by MQTT
  meters: Map<string, Meter>
  events: any[]
  audits: any[]
  frames: { at: number, direction: string, hex: string }[]
  units: Record<string, string> // of items, as replies have named them
  offset: string // of the meters' clocks from UTC, "+08:00"
}

export const bridges = new Map<string, Bridge>()

const most = { bridges: 200, meters: 2000, series: 4000, events: 300, frames: 400 }
const longest = 65 * 60_000 // states come once an hour at least while there are readings

// table has nothing in it but what strangers put there.
const table = () => Object.create(null) as Record<string, any>

const listeners = new Set<() => void>()
let due: ReturnType<typeof setTimeout> | undefined

// changed has the page drawn anew, at most ten times a second.
export function changed () {
  due ??= setTimeout(() => {
    due = undefined
    for (const l of listeners) l()
  }, 100)
}

export function onChange (f: () => void) {
  listeners.add(f)
  return () => { listeners.delete(f) }
}

export function forget () {
  bridges.clear()
  changed()
}

function bridgeOf (root: string): Bridge | undefined {
  let b = bridges.get(root)
  if (!b && bridges.size < most.bridges) {
    b = { root, infoAt: 0, meters: new Map(), events: [], audits: [], frames: [], units: table(), offset: '+08:00' }
    bridges.set(root, b)
    follow(root)
  }
  return b
}

// follow subscribes to all that a bridge publishes, topic by topic, so that an account that may
// read some of it gets that.
export function follow (root: string) {
  subscribe(...['status', 'info', 'scan', 'audit', 'config'].map(s => `${root}/bridge/${s}`),
    ...['state', 'availability', 'event', 'stale', 'readings'].map(s => `${root}/meter/+/${s}`))
}

// discover looks for the bridges of a site.
export function discover () {
  for (const s of ['status', 'info']) subscribe(`+/bridge/${s}`, `+/+/bridge/${s}`)
}

function meterOf (b: Bridge, name: string): Meter | undefined {
  let m = b.meters.get(name)
  if (!m && b.meters.size < most.meters) {
    m = { name, values: table(), times: table(), series: new Map(), stale: new Set() }
    b.meters.set(name, m)
  }
  return m
}

const keep = <T>(list: T[], entry: T, most: number) => {
  list.unshift(entry)
  if (list.length > most) list.length = most
}

// receive takes a message.
export function receive (topic: string, text: string, retained: boolean) {
  const found = /^(.+)\/(?:bridge\/([a-z]+)|meter\/([^/]+)\/([a-z]+))$/.exec(topic)
  if (!found) return
  const [, root, ofBridge, name, ofMeter] = found
  const b = bridgeOf(root)
  if (!b) return
  if (ofBridge) receiveBridge(b, ofBridge, text, retained)
  else receiveMeter(b, name, ofMeter, text, retained)
  changed()
}

function receiveBridge (b: Bridge, what: string, text: string, retained: boolean) {
  switch (what) {
    case 'status':
      b.status = text === 'online' || text === 'offline' ? text : undefined
      if (b.status !== 'online') gapAll(b)
      break
    case 'info': {
      const info = plain(text)
      b.info = info && typeof info === 'object' ? info : undefined
      if (!retained) b.infoAt = now() // what the broker has kept may be of any age
      if (b.info?.bus?.state !== 'up') gapAll(b)
      break
    }
    case 'scan': b.scan = plain(text); break
    case 'config': b.config = text === '' ? null : plain(text); break
    case 'audit': { const a = parse(text); if (a) keep(b.audits, a, most.events); break }
    case 'frame': {
      const f = plain(text)
      if (f && typeof f.hex === 'string') keep(b.frames, { at: Date.parse(f.time), direction: String(f.direction), hex: f.hex }, most.frames)
    }
  }
}

function receiveMeter (b: Bridge, name: string, what: string, text: string, retained: boolean) {
  const m = meterOf(b, name)
  if (!m) return
  switch (what) {
    case 'availability':
      if (text === '') delete m.availability
      else if (text === 'online' || text === 'offline') m.availability = text
      if (m.availability !== 'online') gap(m)
      if (text === '' && m.state === undefined) b.meters.delete(name)
      break
    case 'state': {
      if (text === '') {
        m.values = table(); m.times = table(); delete m.state
        gap(m)
        break
      }
      const state = parse(text)
      if (!state || typeof state !== 'object') return
      m.state = String(state.time)
      learnOffset(b, m.state)
      const newest = Date.parse(m.state)
      const values: Record<string, any> = table()
      for (const [item, value] of Object.entries(state)) {
        if (item === 'time' || item === 'times') continue
        values[item] = value
        const at = Date.parse(state.times?.[item] ?? m.state)
        m.times[item] = Number.isNaN(at) ? newest : at
        if (value instanceof Decimal) addSample(m, item, m.times[item], value.valueOf())
      }
      m.values = values
      break
    }
    case 'stale': {
      const list = plain(text)
      const stale = new Set<string>(Array.isArray(list) ? list.map(String) : [])
      for (const item of stale) if (!m.stale.has(item)) gap(m, item)
      m.stale = stale
      break
    }
    case 'readings': {
      const r = parse(text)
      if (r && typeof r === 'object' && !Array.isArray(r)) {
        const at = Date.parse(String(r.time))
        for (const [item, value] of Object.entries(r)) {
          if (!(value instanceof Decimal) || item === 'relay') continue
          addSample(m, item, at, value.valueOf())
          if (item in m.values && at > (m.times[item] ?? 0)) { m.values[item] = value; m.times[item] = at }
        }
      }
      break
    }
    case 'event': {
      const e = parse(text)
      if (e && !retained) keep(b.events, { ...e, meter: e.meter ?? name }, most.events)
    }
  }
}

function learnOffset (b: Bridge, moment: string) {
  const offset = /([+-]\d\d:\d\d|Z)$/.exec(moment)?.[1]
  if (offset) b.offset = offset === 'Z' ? '+00:00' : offset
}

export function addSample (m: Meter, item: string, at: number, value: number) {
  let s = m.series.get(item)
  if (!s) m.series.set(item, s = [])
  const last = s.at(-1)
  if (Number.isNaN(at) || (last && at <= last.at)) return
  if (last && last.value !== null && at - last.at > longest) s.push({ at: last.at + 1, value: null })
  s.push({ at, value })
  if (s.length > most.series) s.splice(0, s.length - most.series)
}

// gap ends the curves of a meter, or of one of its items, until something comes again. It begins behind what was known last.
function gap (m: Meter, item?: string) {
  for (const s of item === undefined ? m.series.values() : [m.series.get(item) ?? []]) {
    const last = s.at(-1)
    if (last && last.value !== null) s.push({ at: last.at + 1, value: null })
  }
}

function gapAll (b: Bridge) { for (const m of b.meters.values()) gap(m) }

// gapEverywhere is for when the page itself hears nothing.
export function gapEverywhere () { for (const b of bridges.values()) gapAll(b) }

// learn takes the values of a reply to a read.
export function learn (b: Bridge, name: string, reply: any) {
  Object.assign(b.units, Object.fromEntries(Object.entries(reply.units ?? {}).map(([k, v]) => [k, String(v)])))
  const m = b.meters.get(name)
  if (!m || !reply.time) return
  learnOffset(b, String(reply.time))
  for (const [item, value] of Object.entries(reply.values ?? {})) {
    const at = Date.parse(reply.times?.[item] ?? reply.time)
    if (value instanceof Decimal) addSample(m, item, at, value.valueOf())
    if (item in m.values && value !== null && at >= (m.times[item] ?? 0)) {
      m.values[item] = value
      m.times[item] = at
    }
  }
  changed()
}

export interface Standing { state: 'online' | 'offline' | 'unknown', why: string }

// standing says how a bridge stands, which is never better than what is known.
export function bridgeStanding (b: Bridge): Standing {
  if (link.state !== 'up') return { state: 'unknown', why: t('this page has no connection to the broker', '本页面没有到 MQTT 代理的连接') }
  if (b.status === 'online') return { state: 'online', why: '' }
  if (b.status === 'offline') return { state: 'offline', why: t('the bridge is gone', '网桥已离线') }
  return { state: 'unknown', why: t('nothing is heard of the bridge', '没有网桥的消息') }
}

export const infoOf = (b: Bridge, name: string) => (Array.isArray(b.info?.meters) ? b.info.meters : []).find((m: any) => m?.name === name)

// called is what people call a meter: its display name, else the name that its topics have.
export const called = (b: Bridge, name: string) => {
  const display = infoOf(b, name)?.display_name
  return typeof display === 'string' && display !== '' ? display : name
}

// aside is the name that the topics of a meter have, if people call it something else.
export const aside = (b: Bridge, name: string) => called(b, name) === name ? '' : `${name} · `

export function meterStanding (b: Bridge, m: Meter): Standing {
  const bridge = bridgeStanding(b)
  if (bridge.state !== 'online') return { state: 'unknown', why: bridge.why }
  if (b.info && b.info.bus?.state !== 'up') return { state: 'unknown', why: t('the bus is down', '总线已断开') }
  if (m.availability === 'offline') return { state: 'offline', why: t('the meter does not answer', '电表没有应答') }
  if (m.availability === 'online') return { state: 'online', why: '' }
  const listed = infoOf(b, m.name)
  if (listed?.online === false) return { state: 'offline', why: t('the meter does not answer', '电表没有应答') }
  if (listed && listed.turnaround_ms !== null && listed.turnaround_ms !== undefined) return { state: 'online', why: '' }
  return { state: 'unknown', why: t('it was not asked yet', '尚未询问过') }
}

// metersOf lists the meters of a bridge: those that it names, and others of which it publishes something.
export function metersOf (b: Bridge): Meter[] {
  for (const m of Array.isArray(b.info?.meters) ? b.info.meters : []) if (typeof m?.name === 'string') meterOf(b, m.name)
  const order = new Map((Array.isArray(b.info?.meters) ? b.info.meters : []).map((m: any, i: number) => [m?.name, i]))
  return [...b.meters.values()].sort((x, y) => (Number(order.get(x.name) ?? 1e6)) - Number(order.get(y.name) ?? 1e6) || x.name.localeCompare(y.name))
}

// protocolsOf are those that the named meters of a bridge speak.
export const protocolsOf = (b: Bridge): string[] =>
  [...new Set<string>((Array.isArray(b.info?.meters) ? b.info.meters : []).map((m: any) => String(m?.protocol)))]

export const bridgeList = () => [...bridges.values()].sort((x, y) => x.root.localeCompare(y.root))

// isOld says whether a value is older than any that is looked after can be.
export const isOld = (at: number) => now() - at > longest

// isStale says whether a value is not what the meter would say now, as far as anybody can tell.
export const isStale = (m: Meter, item: string) => m.stale.has(item) || isOld(m.times[item] ?? 0)
