import { useState } from 'preact/hooks'
import { Chart } from '../chart'
import { Decimal, parse } from '../exact'
import { label, unitOf } from '../items'
import { ask, now } from '../link'
import { aside, type Bridge, bridgeList, bridgeStanding, called, infoOf, isStale, learn, type Meter, metersOf, meterStanding } from '../model'
import { Age, choose, clock, moment, Note, nothingHeard, Pill, Problem, show, Spark, Title, Value } from '../ui'
import { own, t } from '../words'
import { History } from './history'

// What a card shows first, of whatever protocol.
const first = ['active_power', 'thermal_power', 'flow_rate', 'forward_active_energy', 'heat_energy', 'cooling_energy', 'volume', 'voltage_a', 'voltage_b', 'voltage_c',
  'current_a', 'current_b', 'current_c', 'power_factor', 'frequency', 'reverse_active_energy', 'supply_temperature', 'return_temperature']

const hidden = (item: string) => ['relay', 'valve', 'relay_open', 'clock_drift_s', 'status'].includes(item) || item.startsWith('status_')

const ordered = (m: Meter) => Object.keys(m.values).sort((a, b) => {
  const place = (x: string) => { const i = first.indexOf(x); return i < 0 ? 100 : i }
  return place(a) - place(b) || a.localeCompare(b, 'en', { numeric: true })
})

// headline is the value that is written large, and drawn.
const headline = (m: Meter) => first.find(i => m.values[i] instanceof Decimal) ?? ordered(m).find(i => m.values[i] instanceof Decimal)

export function Meters ({ path }: { path: string[] }) {
  const list = bridgeList()
  const b = path[1] ? list.find(b => b.root === path[1]) : undefined
  const m = b && path[2] ? b.meters.get(path[2]) : undefined
  if (b && m) return <Detail b={b} m={m} key={`${b.root} ${m.name}`} />
  if (path[2]) return <><Title>{path[2]}</Title><Note>{t('Nothing is heard of this meter.', '没有这块表的消息。')}</Note></>
  const shown = b ? [b] : list
  return (
    <>
      <Title>{t('Meters', '电能表')}</Title>
      {list.length === 0 && <Note>{nothingHeard()}</Note>}
      {shown.map(b => {
        const standing = bridgeStanding(b)
        const meters = metersOf(b)
        return (
          <section aria-label={b.root}>
            <h2 class={list.length > 1 || standing.state !== 'online' ? 'row' : 'hide'}>{b.root} <Pill standing={standing} /> {standing.why && <span class="small dim">{standing.why}</span>}</h2>
            {standing.state === 'online' && b.info && b.info.bus?.state !== 'up' && <Note kind="bad">{t(`The bus ${String(b.info.bus?.url)} is down: no meter can be reached.`, `总线 ${String(b.info.bus?.url)} 已断开：任何电表都无法访问。`)}</Note>}
            {meters.length === 0 && <Note>{t('No meter is named. Find them with Scan.', '还没有命名的电表，请用“搜表”查找。')}</Note>}
            <div class="cards">{meters.map(m => <Card b={b} m={m} key={m.name} />)}</div>
          </section>
        )
      })}
    </>
  )
}

function Card ({ b, m }: { b: Bridge, m: Meter }) {
  const standing = meterStanding(b, m)
  const info = infoOf(b, m.name)
  const protocol = info?.protocol
  const top = headline(m)
  const rest = ordered(m).filter(i => i !== top && !hidden(i)).slice(0, 6)
  const position = 'relay' in m.values ? 'relay' : 'valve' in m.values ? 'valve' : undefined
  return (
    <article class={`card meter ${standing.state}`}>
      <header class="row between">
        <h3><a href={`#/meters/${encodeURIComponent(b.root)}/${encodeURIComponent(m.name)}`}>{called(b, m.name)}</a></h3>
        <Pill standing={standing} />
      </header>
      <p class="small dim">
        {info ? <>{aside(b, m.name)}{String(info.address)} · {String(protocol)}{info.turnaround_ms !== null && info.turnaround_ms !== undefined ? <> · {String(info.turnaround_ms)} ms</> : null}</> : null}
        {standing.why && <>{info ? ' · ' : ''}{standing.why}</>}
      </p>
      {top
        ? <div class="headline">
            <div class={isStale(m, top) ? 'old' : ''}><span class="small">{label(top, protocol)}</span><span class="big"><Value item={top} value={m.values[top]} bridge={b} protocol={protocol} /></span></div>
            <Spark meter={m} item={top} />
          </div>
        : <p class="dim">{t('No values yet.', '还没有数据。')}</p>}
      {rest.length > 0 && <dl class="pairs">{rest.map(i => <div key={i} class={isStale(m, i) ? 'old' : ''} title={isStale(m, i) ? t('not read as it should have been', '未按时抄到') : undefined}><dt>{label(i, protocol)}</dt><dd><Value item={i} value={m.values[i]} bridge={b} protocol={protocol} /></dd></div>)}</dl>}
      <footer class="row between small">
        {position ? <span>{position === 'valve' ? t('Valve', '阀门') : label(position)} <Value item={position} value={m.values[position]} bridge={b} /></span> : <span />}
        {m.state && <span>{standing.state === 'online' ? '' : t('as of ', '截至 ')}<Age at={Date.parse(m.state)} /></span>}
      </footer>
    </article>
  )
}

function Detail ({ b, m }: { b: Bridge, m: Meter }) {
  const standing = meterStanding(b, m)
  const info = infoOf(b, m.name)
  const protocol = info?.protocol
  const numeric = [...new Set([...ordered(m).filter(i => m.values[i] instanceof Decimal), ...m.series.keys()])]
  const [wanted, setWanted] = useState('')
  const item = numeric.includes(wanted) ? wanted : headline(m) ?? ''
  const [problem, setProblem] = useState<any>()
  const [reading, setReading] = useState(false)
  const readNow = async () => {
    setReading(true)
    const reply = await ask({ root: b.root, verb: 'read', meter: m.name, patience: 65_000, text: '' })
    setReading(false)
    const r = typeof reply === 'string' ? parse(reply) : reply
    if (r?.values) learn(b, m.name, r)
    setProblem(r?.error ?? Object.values(r?.errors ?? {})[0])
  }
  const events = b.events.filter(e => e.meter === m.name)
  return (
    <>
      <p class="small"><a href="#/meters">← {t('All meters', '全部电表')}</a></p>
      <div class="row"><Title>{called(b, m.name)}</Title><Pill standing={standing} /></div>
      <p class="dim">
        {info && <>{aside(b, m.name)}{String(info.address)} · {String(protocol)}{info.turnaround_ms !== null && info.turnaround_ms !== undefined && <> · {t('answers after', '应答延时')} {String(info.turnaround_ms)} ms</>}</>}
        {info && (info.ct !== undefined || info.pt !== undefined) && <> · {info.ct !== undefined && `CT ${String(info.ct)} `}{info.pt !== undefined && `PT ${String(info.pt)} `}{t('(values are primary)', '（一次侧数值）')}</>}
        {standing.why && <> · {standing.why}</>}
      </p>
      <div class="row noprint">
        <button type="button" class="primary" disabled={reading} onClick={() => { void readNow() }}>{reading ? t('Reading…', '正在抄读…') : t('Read now', '立即抄读')}</button>
        <a class="button" href="#/read" onClick={() => choose(b.root, m.name)}>{t('Read other items', '抄读其他数据')}</a>
        <a class="button" href="#/switch" onClick={() => choose(b.root, m.name)}>{t('Switch', '拉合闸')}</a>
      </div>
      <Problem error={problem} />
      <section class="card" aria-labelledby="curve">
        <div class="row between">
          <h2 id="curve">{t('As it comes in', '实时曲线')}</h2>
          <label class="field inline"><span>{t('Value', '数据项')}</span>
            <select value={item} onChange={e => setWanted(e.currentTarget.value)}>{numeric.map(i => <option value={i}>{label(i, protocol)}</option>)}</select>
          </label>
        </div>
        <Live m={m} item={item} title={label(item, protocol)} unit={b.units[item] ?? unitOf(item, protocol)} />
      </section>
      <section class="card" aria-labelledby="values">
        <h2 id="values">{t('Values', '数据')}</h2>
        <div class="scroll" tabIndex={0} role="group" aria-labelledby="values">
          <table>
            <thead><tr><th scope="col">{t('What', '名称')}</th><th scope="col" class="right">{t('Value', '数值')}</th><th scope="col">{t('Age', '时间')}</th><th scope="col" class="wideonly">{t('Item', '数据项')}</th></tr></thead>
            <tbody>{ordered(m).map(i => (
              <tr key={i}><th scope="row">{label(i, protocol)}</th><td class="right"><Value item={i} value={m.values[i]} bridge={b} protocol={protocol} /></td><td><Age at={m.times[i]} stale={isStale(m, i)} />{m.stale.has(i) && <div class="small age old">{t('not read since', '此后未抄到')}</div>}</td><td class="wideonly"><code>{i}</code></td></tr>
            ))}</tbody>
          </table>
        </div>
        {Object.keys(m.values).length === 0 && <p class="dim">{t('No point of this meter is polled, or nothing has come yet.', '这块表没有采集点，或还没有收到数据。')}</p>}
      </section>
      <History b={b} m={m} protocol={protocol} />
      <section class="card" aria-labelledby="events">
        <h2 id="events">{t('Events since this page was opened', '打开本页面以来的事件')}</h2>
        {events.length === 0 ? <p class="dim">{t('None.', '无。')}</p> : <ul class="plain">{events.slice(0, 30).map(e => <li><EventLine e={e} protocol={protocol} /></li>)}</ul>}
      </section>
    </>
  )
}

function Live ({ m, item, title, unit }: { m: Meter, item: string, title: string, unit: string }) {
  const s = m.series.get(item) ?? []
  const known = s.filter(p => p.value !== null).map(p => p.value as number)
  if (known.length === 0) return <p class="dim">{t('Nothing has come yet.', '还没有收到数据。')}</p>
  const summary = t(`${title}: ${known.length} readings from ${clock(s[0].at)} to ${clock(s[s.length - 1].at)}, lowest ${Math.min(...known)} ${unit}, highest ${Math.max(...known)} ${unit}, last ${known[known.length - 1]} ${unit}`,
    `${title}：${clock(s[0].at)} 至 ${clock(s[s.length - 1].at)} 共 ${known.length} 个读数，最低 ${Math.min(...known)} ${unit}，最高 ${Math.max(...known)} ${unit}，最近 ${known[known.length - 1]} ${unit}`)
  const x = s.map(p => p.at / 1000)
  const y = s.map(p => p.value)
  // The axis goes on to the present, so that it shows when nothing has come for a while.
  const until = now() / 1000
  if (until > x[x.length - 1]) { x.push(until); y.push(null) }
  return <Chart x={x} curves={[{ label: title, data: y }]} unit={unit} summary={summary} />
}

const eventWords: Record<string, () => string> = {
  limit_passed: () => t('limit passed', '越限'),
  limit_cleared: () => t('back within limits', '越限恢复'),
  offline: () => t('does not answer', '失去应答'),
  online: () => t('answers again', '恢复应答'),
  relay: () => t('relay moved', '继电器动作'),
  valve: () => t('valve moved', '阀门动作'),
  clock_drift: () => t('clock is off', '时钟偏差'),
  clock_right: () => t('clock is right again', '时钟恢复正常'),
  power_failure: () => t('power failed', '停电'),
  implausible_value: () => t('implausible value, withheld', '数值不合理，未发布'),
  meter_reset: () => t('register began anew', '示数重新开始'),
  command_refused: () => t('command not carried out', '命令未执行'),
  command_unknown: () => t('not known whether the command was carried out', '命令是否执行未知')
}

export function EventLine ({ e, protocol }: { e: any, protocol?: string }) {
  const more = ['value', 'bound', 'relay', 'valve', 'reason', 'drift_s', 'count', 'last', 'verb', 'action', 'result', 'code'].filter(k => e[k] !== undefined)
  return (
    <>
      <time class="small dim">{moment(Date.parse(e.time))}</time> <strong>{String(e.meter)}</strong>{' '}
      {own(eventWords, e.event_type)?.() ?? String(e.event_type)}
      {e.item !== undefined && <> · {label(String(e.item), protocol)}</>}
      {more.map(k => <> · <span class="dim">{k}</span> {show(e[k])}{(k === 'value' || k === 'bound' || k === 'last') && e.unit ? ` ${String(e.unit)}` : ''}</>)}
    </>
  )
}
