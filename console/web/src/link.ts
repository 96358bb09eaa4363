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
  lostAt: 0, // when it was up last, by the bridge's clock
  user: '',
  anonymous: false, // whether the broker lets in without an account
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
const granted = new Map<string, boolean>() // whether the broker has let us subscribe, by this connection

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

// signIn asks for an account, of a broker too that lets in without one.
export function signIn () {
  end()
  link.state = 'login'
  link.why = ''
  forget()
}

// Browsers wake a page in the background once a minute only, so a page that was woken as late as that must
// still be in time with its signs of life: for the broker, and for the bridge, which waits two minutes.
const keepalive = 180 // seconds, of which the broker waits one and a half times
const beatEvery = 10_000

// end gives up the connection.
function end () {
  clearTimeout(timer)
  for (const p of pending.values()) p.lost()
  client?.removeAllListeners()
  client?.on('error', () => {})
  client?.end(true)
  client = undefined
}

// refused says whether the broker wants another account: MQTT 5, 3.2.2.2, and the codes of MQTT 3.
const refused = (code: unknown) => [4, 5, 134, 135, 140].includes(code as number)

export function connect () {
  end()
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
    keepalive,
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
    link.anonymous ||= !used
    if (used && used !== handed) account.save(used.user, used.password)
    failures = 0
    granted.clear()
    unanswered = false
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
  c.on('packetsend', packet => {
    // The message of a request, by which the broker acknowledges it.
    if (packet.cmd === 'publish' && packet.properties?.correlationData) published.set(packet.messageId!, new TextDecoder().decode(packet.properties.correlationData))
  })
  const published = new Map<number, string>()
  c.on('packetreceive', packet => {
    unanswered = false
    if (packet.cmd !== 'puback') return
    const p = pending.get(published.get(packet.messageId!) ?? '')
    published.delete(packet.messageId!)
    if (packet.reasonCode === 16) p?.unheard() // nobody listens, MQTT 5, 3.4.2.1
  })
  c.on('disconnect', packet => { link.why = packet.properties?.reasonString ?? '' })
  c.on('close', () => { if (c === client && !denied) lost() })
}
let failures = 0

// lost gives up a connection that is no more, and has another one made in a while.
function lost () {
  end()
  if (link.state === 'up') link.lostAt = now()
  link.state = 'lost'
  void explain()
  const pause = pauses[Math.min(failures++, pauses.length - 1)] * 1000
  link.retryAt = Date.now() + pause
  timer = setTimeout(connect, pause)
  changed()
}

let unanswered = false // a ping went out, and nothing has come since

// beat asks for a sign of life. Without one until the next beat there is no connection any more, whatever the browser says.
function beat () {
  if (link.state !== 'up' || !client?.connected) return
  if (unanswered) return lost()
  unanswered = true
  client.sendPing()
}
setInterval(beat, beatEvery)

// Whoever comes back to the page wants to know at once.
function look () {
  if (document.hidden) return
  if (link.state === 'lost') connect()
  else if (!unanswered) {
    beat()
    const asked = client
    setTimeout(() => { if (asked === client && unanswered) lost() }, 4000)
  }
}
document.addEventListener('visibilitychange', look)
addEventListener('online', look)
addEventListener('offline', look)

// explain finds out from the bridge why there is no way to the broker.
async function explain () {
  try {
    const askedAt = Date.now()
    const response = await fetch('readyz', { cache: 'no-store' })
    learnClock(response.headers.get('Date'), askedAt)
    const text = (await response.text()).trim()
    link.why = response.ok
      ? t('the bridge is there; the way to the broker was cut, or too many pages are open', '网桥正常，但到 MQTT 代理的连接断开了，或打开的页面太多')
      : t(`the bridge says: ${text}`, `网桥报告：${text}`)
  } catch {
    link.why = t('the machine of the bridge does not answer', '网桥所在的机器没有应答')
  }
  changed()
}

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
    const some = topics.slice(i, i + 50)
    c.subscribe(some, { qos: 1 }, (_error, _subscribed, packet) => {
      if (c !== client) return
      const codes = packet?.granted ?? []
      some.forEach((topic, k) => granted.set(topic, !(Number(codes[k]) >= 128)))
      for (const p of pending.values()) p.subscribed()
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

const pending = new Map<string, { take (text: string): void, lost (): void, unheard (): void, subscribed (): void }>()

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
  // A broker would end the connection of whoever publishes to what is no topic.
  if (/[+#\0]/.test(a.meter ?? '')) {
    return Promise.resolve(failure('unknown_meter', t(`“${a.meter}” can be no meter; nothing was sent.`, `“${a.meter}”不可能是电能表；什么也没有发出。`)))
  }
  const topic = `${a.root}/request/${a.verb}${a.meter ? `/${a.meter}` : ''}`
  const responseTopic = replyTopic(a.root)
  const body: Record<string, unknown> = { id, ...a.body }
  if (a.ttl) body.expires = new Date(now() + a.ttl).toISOString().replace(/\.\d+Z$/, 'Z')
  subscribe(responseTopic)
  return new Promise(resolve => {
    let sent = false
    const finish = (result: string | ReturnType<typeof failure>) => {
      clearTimeout(late)
      pending.delete(id)
      resolve(result)
    }
    const late = setTimeout(() => finish(!sent ? failure('no_connection', t('The broker does not answer; nothing was sent.', 'MQTT 代理没有应答；什么也没有发出。')) : failure('no_reply', t(
      `No reply came within ${Math.round(a.patience / 1000)} s. Is the bridge running, and may your account read ${responseTopic}?`,
      `${Math.round(a.patience / 1000)} 秒内没有收到应答。网桥在运行吗？您的账号有权读取 ${responseTopic} 吗？`))), a.patience)
    pending.set(id, {
      take: finish,
      lost: () => finish(sent
        ? failure('no_reply', t('The connection was lost before the reply came.', '在收到应答之前连接断开了。'))
        : failure('no_connection', t('The connection was lost; nothing was sent.', '连接断开了；什么也没有发出。'))),
      unheard: () => finish(failure('no_bridge', t('No bridge listens there.', '没有网桥在监听。'))),
      subscribed: () => {
        // Nothing is asked of which the answer could not be heard.
        if (sent || !granted.has(responseTopic)) return
        if (granted.get(responseTopic)) {
          sent = true
          publish()
        } else {
          finish(failure('not_authorised', t(
            `The broker does not let ${link.user || 'you'} read ${responseTopic}, where the answer would come; nothing was sent.`,
            `MQTT 代理不允许${link.user || '您'}读取 ${responseTopic}，应答会发到那里；什么也没有发出。`)))
        }
      }
    })
    const publish = () => c.publish(topic, a.text ?? JSON.stringify(body), {
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
      } else if (error.code >= 128) {
        finish(failure('not_taken', String(error.message)))
      }
    })
    pending.get(id)!.subscribed()
  })
}
