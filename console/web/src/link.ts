// The link to the broker: one MQTT connection over /mqtt, made anew when it is lost.
import mqtt from 'mqtt'
import { changed, forget, receive } from './model'
import { plain } from './exact'
import { t } from './words'

export type State = 'connecting' | 'login' | 'up' | 'lost'

export const link = {
  state: 'connecting' as State,
  why: '', // it is not up
  retryAt: 0, // when the next attempt is due, milliseconds
  lostAt: 0, // when it was up last
  user: '',
  ahead: 0 // how far the bridge's clock is ahead of the browser's, milliseconds
}

// now is the time by the bridge's clock.
export const now = () => Date.now() + link.ahead

const session = Array.from(crypto.getRandomValues(new Uint8Array(8)), b => b.toString(16).padStart(2, '0')).join('')
const pauses = [1, 2, 4, 8, 15]

let client: mqtt.MqttClient | undefined
let attempts = 0
let timer: ReturnType<typeof setTimeout> | undefined
const wanted = new Set<string>()
const refusedTopics = new Set<string>()

const account = {
  load (): { user: string, password: string } | undefined {
    try { return plain(sessionStorage.getItem('account') ?? '') } catch { return undefined }
  },
  save (user: string, password: string) {
    try { sessionStorage.setItem('account', JSON.stringify({ user, password })) } catch { /* then it is asked for again */ }
  },
  clear () { try { sessionStorage.removeItem('account') } catch { /* nothing was kept */ } }
}
let current = account.load()
let handed: typeof current // by the bridge, to be kept nowhere

// takeAccount signs in with the account that the bridge hands to whoever Home Assistant has let in.
export async function takeAccount () {
  try {
    const response = await fetch('account.json', { cache: 'no-store' })
    if (response.ok) current = handed = await response.json()
  } catch { /* then it is asked for */ }
  connect()
}

export function login (user: string, password: string) {
  current = { user, password }
  connect()
}

export function logout () {
  account.clear()
  current = undefined
  forget()
  connect()
}

// refused says whether the broker wants another account: MQTT 5, 3.2.2.2, and the codes of MQTT 3.
const refused = (code: unknown) => [4, 5, 134, 135, 140].includes(code as number)

export function connect () {
  clearTimeout(timer)
  client?.removeAllListeners()
  client?.on('error', () => {})
  client?.end(true)
  if (link.state !== 'lost') link.state = 'connecting'
  link.retryAt = 0
  changed()
  const url = new URL('mqtt', location.href) // the page may stand under a path of a proxy's
  url.protocol = location.protocol === 'https:' ? 'wss:' : 'ws:'
  url.hash = url.search = ''
  const used = current
  // A client of its own for each connection, so that nothing that was not sent goes out later.
  const c = client = mqtt.connect(url.href, {
    protocolVersion: 5,
    clientId: `console-${session}-${++attempts}`,
    clean: true,
    reconnectPeriod: 0,
    connectTimeout: 8000,
    keepalive: 30,
    timerVariant: 'native',
    username: used?.user || undefined,
    password: used?.password || undefined,
    properties: { receiveMaximum: 1000 }
  })
  let denied = false
  c.on('connect', () => {
    link.state = 'up'
    link.why = ''
    link.user = used?.user ?? ''
    if (used && used !== handed) account.save(used.user, used.password)
    failures = 0
    refusedTopics.clear()
    if (wanted.size > 0) subscribeNow([...wanted])
    changed()
  })
  c.on('message', (topic, payload, packet) => {
    const text = new TextDecoder().decode(payload)
    if (!answer(text, packet)) receive(topic, text, !!packet.retain)
  })
  c.on('error', (error: any) => {
    if (refused(error.code)) {
      denied = true
      link.state = 'login'
      link.why = used ? t('The broker does not take this name and password.', 'MQTT 代理不接受这个用户名或密码。') : ''
      account.clear()
      changed()
    } else {
      c.end(true) // what cannot be understood any more, for instance
    }
  })
  c.on('disconnect', packet => { link.why = packet.properties?.reasonString ?? '' })
  c.on('close', () => {
    if (c !== client || denied) return
    if (link.state === 'up') link.lostAt = Date.now()
    link.state = 'lost'
    for (const p of pending.values()) p.lost()
    void explain()
    const pause = pauses[Math.min(failures++, pauses.length - 1)] * 1000
    link.retryAt = Date.now() + pause
    timer = setTimeout(connect, pause)
    changed()
  })
}
let failures = 0

// explain finds out from the bridge why there is no way to the broker.
async function explain () {
  try {
    const response = await fetch('readyz', { cache: 'no-store' })
    const text = (await response.text()).trim()
    link.why = response.ok
      ? t('the bridge is there; the way to the broker was cut, or too many pages are open', '网桥正常，但到 MQTT 代理的连接断开了，或打开的页面太多')
      : t(`the bridge says: ${text}`, `网桥报告：${text}`)
  } catch {
    link.why = t('the machine of the bridge does not answer', '网桥所在的机器没有应答')
  }
  changed()
}

addEventListener('online', () => { if (link.state === 'lost') connect() })

// learnClock compares the browser's clock with that of the bridge, which the header Date tells in seconds.
export function learnClock (header: string | null, askedAt: number) {
  const theirs = Date.parse(header ?? '')
  if (Number.isNaN(theirs)) return
  const ahead = theirs + 500 - (askedAt + Date.now()) / 2
  link.ahead = Math.abs(ahead) > 1500 ? ahead : 0
}

function subscribeNow (topics: string[]) {
  const c = client
  if (!c?.connected) return
  for (let i = 0; i < topics.length; i += 50) {
    c.subscribe(topics.slice(i, i + 50), { qos: 1 }, (_error, granted) => {
      for (const g of granted ?? []) if (g.qos >= 128) refusedTopics.add(g.topic)
      changed()
    })
  }
}

// subscribe keeps topics subscribed, over reconnections too.
export function subscribe (...topics: string[]) {
  const fresh = topics.filter(topic => !wanted.has(topic))
  for (const topic of fresh) wanted.add(topic)
  if (fresh.length > 0) subscribeNow(fresh)
}

export function unsubscribe (topic: string) {
  if (wanted.delete(topic) && client?.connected) client.unsubscribe(topic)
}

export interface Ask {
  root: string
  verb: string
  meter?: string
  body?: Record<string, unknown>
  text?: string // in place of body
  patience: number // milliseconds until no reply is expected any more
  ttl?: number // milliseconds in which a command must begin
}

// A Failure is what the page itself has to say in place of a reply.
export const failure = (code: string, message: string) => ({ ok: false, error: { code, message } })

const pending = new Map<string, { take (text: string): void, lost (): void }>()

function answer (text: string, packet: mqtt.IPublishPacket): boolean {
  const mark = packet.properties?.correlationData
  const p = mark && pending.get(new TextDecoder().decode(mark))
  if (p) p.take(text)
  return !!p
}

const verbs = ['read', 'write', 'relay', 'maintenance', 'broadcast', 'raw', 'scan', 'config']

// replyTopic is where the access list that the project ships lets an account read: under its name.
function replyTopic (root: string) {
  const name = link.user && !/[+#/]/.test(link.user) && !verbs.includes(link.user) ? link.user : 'console'
  return `${root}/reply/${name}/${session}`
}

// ask publishes a request and returns the text of its reply, or a failure. A command is published once,
// and by a connection that is there: nothing that waits is sent later.
export function ask (a: Ask): Promise<string | ReturnType<typeof failure>> {
  const c = client
  if (link.state !== 'up' || !c?.connected) {
    return Promise.resolve(failure('no_connection', t('There is no connection to the broker; nothing was sent.', '没有到 MQTT 代理的连接；什么也没有发出。')))
  }
  const id = Array.from(crypto.getRandomValues(new Uint8Array(8)), b => b.toString(16).padStart(2, '0')).join('')
  const topic = `${a.root}/request/${a.verb}${a.meter ? `/${a.meter}` : ''}`
  const responseTopic = replyTopic(a.root)
  const body: Record<string, unknown> = { id, ...a.body }
  if (a.ttl) body.expires = new Date(now() + a.ttl).toISOString().replace(/\.\d+Z$/, 'Z')
  subscribe(responseTopic)
  return new Promise(resolve => {
    const finish = (result: string | ReturnType<typeof failure>) => {
      clearTimeout(late)
      pending.delete(id)
      resolve(result)
    }
    const late = setTimeout(() => finish(failure('no_reply', t(
      `No reply came within ${Math.round(a.patience / 1000)} s. Is the bridge running, and may your account read ${responseTopic}?`,
      `${Math.round(a.patience / 1000)} 秒内没有收到应答。网桥在运行吗？您的账号有权读取 ${responseTopic} 吗？`))), a.patience)
    pending.set(id, {
      take: finish,
      lost: () => finish(failure('no_reply', t('The connection was lost before the reply came.', '在收到应答之前连接断开了。')))
    })
    c.publish(topic, a.text ?? JSON.stringify(body), {
      qos: 1,
      properties: {
        responseTopic,
        correlationData: new TextEncoder().encode(id) as any,
        contentType: a.text === undefined ? 'application/json' : 'text/plain',
        userProperties: { client: 'console', ...(link.user ? { user: link.user } : {}) },
        ...(a.ttl ? { messageExpiryInterval: Math.max(1, Math.round(a.ttl / 1000)) } : {})
      }
    }, (error: any) => {
      if (!error || !pending.has(id)) return
      if (error.code === 135) {
        finish(failure('not_authorised', t(
          `The broker does not let ${link.user || 'you'} publish to ${topic}.`, `MQTT 代理不允许${link.user || '您'}发布到 ${topic}。`)))
      } else if (error.code === 16) { // nobody listens, MQTT 5, 3.4.2.1
        finish(failure('no_bridge', t('No bridge listens there.', '没有网桥在监听。')))
      } else if (error.code >= 128) {
        finish(failure('not_taken', String(error.message)))
      }
    })
  })
}
