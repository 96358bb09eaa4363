// Small parts that the pages share.
import type { ComponentChildren } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import { Decimal } from './exact'
import { label, unitOf } from './items'
import { now } from './link'
import { aside, type Bridge, bridgeList, called, type Meter, metersOf, infoOf, isOld, type Standing } from './model'
import { language, own, t } from './words'

// age says how long ago something was, in the largest unit that fits.
export function age (at: number): string {
  const s = Math.round((now() - at) / 1000)
  if (Number.isNaN(s)) return ''
  if (s < -5) return t(`${span(-s)} ahead`, `快 ${span(-s)}`) // by a clock that is
  if (s < 2) return t('now', '刚刚')
  return t(`${span(s)} ago`, `${span(s)}前`)
}

// span writes seconds in the largest unit that fits.
function span (s: number): string {
  if (s < 100) return t(`${s} s`, `${s} 秒`)
  const m = Math.round(s / 60)
  if (m < 100) return t(`${m} min`, `${m} 分钟`)
  const h = Math.round(m / 60)
  if (h < 48) return t(`${h} h`, `${h} 小时`)
  return t(`${Math.round(h / 24)} days`, `${Math.round(h / 24)} 天`)
}

const locale = () => language === 'zh' ? 'zh-CN' : 'en-GB'
export const clock = (at: number) => Number.isNaN(at) ? '' : new Date(at).toLocaleTimeString(locale())
export const day = (at: number, timeZone?: string) => new Date(at).toLocaleDateString(locale(), { month: '2-digit', day: '2-digit', timeZone })
export const moment = (at: number) => Number.isNaN(at) ? '' : `${day(at)} ${clock(at)}`

export function Age ({ at, stale }: { at: number, stale?: boolean }) {
  if (!at || Number.isNaN(at)) return null
  return <time class={stale || isOld(at) ? 'age old' : 'age'} dateTime={new Date(at).toISOString()} title={new Date(at).toLocaleString(locale())}>{age(at)}</time>
}

// show writes a value for people.
export function show (value: any): string {
  if (value === null || value === undefined) return '—'
  if (value instanceof Decimal) return value.text.replace(/^-/, '−')
  if (value === true) return t('yes', '是')
  if (value === false) return t('no', '否')
  if (typeof value === 'object') return JSON.stringify(value)
  return String(value)
}

// positionWord says how a relay or a valve stands. In Chinese the two have words of their own.
export function positionWord (item: string, value: any): string {
  const words: Record<string, string> = item === 'valve'
    ? { open: t('open', '开'), closed: t('closed', '关'), abnormal: t('abnormal', '异常') }
    : { open: t('open', '断开'), closed: t('closed', '闭合') }
  return own(words, value) ?? String(value)
}

// A valve that is open lets through, a relay that is open does not.
export const carries = (item: string, value: any) => (item === 'valve') === (value === 'open')

export function Pill ({ standing }: { standing: Standing }) {
  const word = { online: t('online', '在线'), offline: t('offline', '离线'), unknown: t('unknown', '未知') }[standing.state]
  return <span class={`pill ${standing.state}`} title={standing.why}>{word}</span>
}

export function Value ({ item, value, bridge, protocol }: { item: string, value: any, bridge: Bridge, protocol?: string }) {
  const unit = value === null || value === undefined ? '' : bridge.units[item] ?? unitOf(item, protocol)
  if (item === 'relay' || item === 'valve') return <span class={carries(item, value) ? 'position on' : 'position off'}>{positionWord(item, value)}</span>
  return <span class="value"><span class="number">{show(value)}</span>{unit && <span class="unit"> {unit}</span>}</span>
}

export function Title ({ children }: { children: ComponentChildren }) {
  return <h1 tabIndex={-1}>{children}</h1>
}

export function Note ({ kind = 'info', children }: { kind?: 'info' | 'warn' | 'bad' | 'good', children: ComponentChildren }) {
  return <p class={`note ${kind}`}>{children}</p>
}

// Problem shows an error of a reply.
export function Problem ({ error }: { error: any }) {
  if (!error) return null
  return (
    <div class="note bad" role="alert">
      <strong>{String(error.code ?? '')}</strong> {String(error.message ?? '')}
      {Array.isArray(error.reasons) && <> ({reasons(error.reasons)})</>}
    </div>
  )
}

const chosen = { root: '', meter: '' }

// useBridge is the bridge that the pages are about, if there are several.
export function useBridge (): [Bridge | undefined, (root: string) => void] {
  const [, draw] = useState(0)
  const list = bridgeList()
  const own = document.querySelector('meta[name=dlt645-root]')?.getAttribute('content')
  const b = list.find(b => b.root === chosen.root) ?? list.find(b => b.root === own) ?? list[0]
  return [b, root => { chosen.root = root; draw(n => n + 1) }]
}

export function choose (root: string, meter: string) {
  chosen.root = root
  chosen.meter = meter
}

const reasonWords: Record<string, () => string> = {
  other: () => t('another error', '其他错误'),
  no_such_data: () => t('the meter has no such data', '无请求数据'),
  not_authorised: () => t('wrong password, or not authorised', '密码错或未授权'),
  authentication_required: () => t('the meter wants its security module', '需经安全模块认证'),
  authentication_suspended: () => t('authentication suspended', '身份认证挂起'),
  authentication_failed: () => t('authentication failed', '身份认证失败'),
  mac: () => t('MAC check failed', 'MAC 校验失败'),
  deadline_passed: () => t('its deadline has passed by the meter’s clock', '命令超过有效时间'),
  power_kept: () => t('the meter keeps its power on', '处于保电状态')
}

// reasons writes those of a refusal for people.
export const reasons = (list: unknown[]) => list.map(r => own(reasonWords, r)?.() ?? String(r)).join(t(', ', '，'))

export function BridgeChoice ({ bridge, choose }: { bridge: Bridge | undefined, choose: (root: string) => void }) {
  const list = bridgeList()
  if (list.length < 2) return null
  return (
    <label class="field"><span>{t('Bridge', '网桥')}</span>
      <select value={bridge?.root} onChange={e => choose(e.currentTarget.value)}>
        {list.map(b => <option value={b.root}>{b.root}</option>)}
      </select>
    </label>
  )
}

export function useMeter (b: Bridge | undefined): [Meter | undefined, (name: string) => void] {
  const [, draw] = useState(0)
  const list = b ? metersOf(b) : []
  return [list.find(m => m.name === chosen.meter) ?? list[0], name => { chosen.meter = name; draw(n => n + 1) }]
}

export function MeterChoice ({ bridge, meter, choose }: { bridge: Bridge, meter: Meter | undefined, choose: (name: string) => void }) {
  return (
    <label class="field"><span>{t('Meter', '电能表')}</span>
      <select value={meter?.name} onChange={e => choose(e.currentTarget.value)}>
        {metersOf(bridge).map(m => <option value={m.name}>{called(bridge, m.name)}{infoOf(bridge, m.name) && infoOf(bridge, m.name).address !== m.name ? ` · ${aside(bridge, m.name)}${infoOf(bridge, m.name).address}` : ''}</option>)}
      </select>
    </label>
  )
}

// Dialog asks before something is done. The way back has the focus.
export function Dialog ({ title, children, yes, kind, onYes, onNo }: { title: string, children: ComponentChildren, yes: string, kind?: 'danger', onYes: () => void, onNo: () => void }) {
  const ref = useRef<HTMLDialogElement>(null)
  useEffect(() => { ref.current?.showModal() }, [])
  return (
    <dialog ref={ref} aria-labelledby="asks" onCancel={e => { e.preventDefault(); onNo() }}>
      <h2 id="asks">{title}</h2>
      {children}
      <div class="row end">
        <button type="button" autofocus onClick={onNo}>{t('Cancel', '取消')}</button>
        <button type="button" class={kind === 'danger' ? 'danger' : 'primary'} onClick={onYes}>{yes}</button>
      </div>
    </dialog>
  )
}

export function Copy ({ text }: { text: string }) {
  const [done, setDone] = useState(false)
  const copy = async () => {
    try { await navigator.clipboard.writeText(text); setDone(true) } catch { setDone(false) }
  }
  // Browsers have a clipboard for secure pages only.
  return navigator.clipboard ? <button type="button" onClick={() => { void copy() }}>{done ? t('Copied', '已复制') : t('Copy', '复制')}</button> : null
}

export function download (name: string, text: string, type = 'text/csv') {
  const a = document.createElement('a')
  a.href = URL.createObjectURL(new Blob([text], { type: `${type};charset=utf-8` }))
  a.download = name
  a.click()
  setTimeout(() => URL.revokeObjectURL(a.href), 1000)
}

// Spark is a small curve without axes; gaps stay gaps.
export function Spark ({ meter, item }: { meter: Meter, item: string }) {
  const s = (meter.series.get(item) ?? []).slice(-120)
  const known = s.filter(p => p.value !== null)
  if (known.length < 2) return <svg class="spark" viewBox="0 0 100 28" aria-hidden="true" />
  const from = s[0].at; const to = Math.max(now(), s[s.length - 1].at)
  const values = known.map(p => p.value as number)
  const low = Math.min(...values); const high = Math.max(...values)
  let path = ''
  let pen = 'M'
  for (const p of s) {
    if (p.value === null) { pen = 'M'; continue }
    const x = (p.at - from) / (to - from || 1) * 100
    const y = 26 - (p.value - low) / (high - low || 1) * 24
    path += `${pen}${x.toFixed(1)} ${y.toFixed(1)}`
    pen = 'L'
  }
  return <svg class="spark" viewBox="0 0 100 28" preserveAspectRatio="none" aria-hidden="true"><path d={path} vector-effect="non-scaling-stroke" /></svg>
}

export const name = (item: string, protocol?: string) => label(item, protocol)

// nothingHeard may have two reasons, and a broker does not say that it keeps a topic from an account.
export const nothingHeard = () => t('Nothing is heard of a bridge. Is one running, and may your account read its topics?', '没有收到网桥的消息。网桥在运行吗？您的账号有权读取它的主题吗？')
