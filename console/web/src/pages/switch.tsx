import { useState } from 'preact/hooks'
import { parse } from '../exact'
import { ask, now } from '../link'
import { aside, type Bridge, bridgeList, called, infoOf, type Meter, meterStanding } from '../model'
import { Age, BridgeChoice, carries, Dialog, MeterChoice, moment, Note, Pill, positionWord, reasons as reasonText, show, Title, useBridge, useMeter } from '../ui'
import { t } from '../words'

interface Action { id: string, title: () => string, asks: () => string, danger?: boolean }

const relayActions: Action[] = [
  { id: 'trip', title: () => t('Trip (open)', '拉闸'), asks: () => t('What it feeds loses its power.', '所带负荷将停电。'), danger: true },
  { id: 'close', title: () => t('Close', '合闸'), asks: () => t('What it feeds gets power at once. Is nobody working on it?', '所带负荷将立即通电。请确认无人在线路上作业。'), danger: true },
  { id: 'permit_close', title: () => t('Permit to close', '合闸允许'), asks: () => t('Somebody must press the button at the meter to close it.', '需有人在电表上按键合闸。') },
  { id: 'alarm', title: () => t('Alarm on', '报警'), asks: () => t('The meter shows an alarm.', '电表将报警提示。') },
  { id: 'alarm_off', title: () => t('Alarm off', '报警解除'), asks: () => t('The alarm at the meter ends.', '电表将解除报警。') },
  { id: 'keep_power', title: () => t('Keep power on', '保电'), asks: () => t('The meter will refuse to trip.', '电表将拒绝拉闸。') },
  { id: 'keep_power_off', title: () => t('End of keeping power on', '保电解除'), asks: () => t('The meter may be tripped again.', '电表可再次拉闸。') }
]

const valveActions: Action[] = [
  { id: 'valve_close', title: () => t('Close the valve', '关阀'), asks: () => t('What it feeds gets nothing any more.', '将停止供应。'), danger: true },
  { id: 'valve_open', title: () => t('Open the valve', '开阀'), asks: () => t('It flows at once. Is nobody working on the pipe?', '将立即供应。请确认无人在管道上作业。'), danger: true }
]

// A Run is a command of this page, and what is known of it.
interface Run { root: string, meter: string, item: string, action: Action, at: number, reply?: any }

const runs: Run[] = []

// Switch sends relay commands, each after a question, and shows what became of them.
export function Switch () {
  const [b, setBridge] = useBridge()
  const [m, setMeter] = useMeter(b)
  const [asking, setAsking] = useState<Action>()
  const [, draw] = useState(0)
  if (!b || !m) return <><Title>{t('Switch', '拉合闸')}</Title><Note>{t('Nothing is heard of a meter yet.', '还没有电表的消息。')}</Note></>
  const info = infoOf(b, m.name)
  const address = String(info?.address ?? m.name)
  const valve = 'valve' in m.values || info?.protocol === '188'
  const item = valve ? 'valve' : 'relay'
  const standing = meterStanding(b, m)
  const allow: unknown[] | undefined = Array.isArray(b.info?.allow) ? b.info.allow : undefined
  const allowed = !allow || allow.includes('relay')
  const busy = runs.some(r => !r.reply)
  const run = async (action: Action) => {
    setAsking(undefined)
    const r: Run = { root: b.root, meter: m.name, item, action, at: now() }
    runs.unshift(r)
    draw(n => n + 1)
    const text = await ask({ root: b.root, verb: 'relay', meter: m.name, body: { action: action.id }, patience: 45_000, ttl: 10_000 })
    r.reply = typeof text === 'string' ? parse(text) ?? { error: { code: 'garbled', message: '' } } : text
    if (r.reply[item] && m.values[item]) m.values[item] = r.reply[item]
    draw(n => n + 1)
  }
  return (
    <>
      <Title>{t('Switch', '拉合闸')}</Title>
      <section class="card">
        <div class="row"><BridgeChoice bridge={b} choose={setBridge} /><MeterChoice bridge={b} meter={m} choose={setMeter} /></div>
        <Position b={b} m={m} item={item} />
        {standing.state !== 'online' && <Note kind="warn">{t('Whether this meter can be reached is not known: ', '不确定能否访问此表：')}{standing.why || t('unknown', '未知')}</Note>}
        {!allowed
          ? <Note kind="warn">{t('This bridge does not switch: its operator has not allowed the class relay (DLT645_ALLOW).', '此网桥不允许拉合闸：运行人员未开放 relay 类（DLT645_ALLOW）。')}</Note>
          : <>
              <div class="row actions">{(valve ? valveActions : relayActions.slice(0, 2)).map(a => <button type="button" class={a.id === 'trip' || a.id === 'valve_close' ? 'danger' : 'primary'} disabled={busy} onClick={() => setAsking(a)}>{a.title()}</button>)}</div>
              {!valve && <details><summary>{t('More', '更多')}</summary><div class="row actions">{relayActions.slice(2).map(a => <button type="button" disabled={busy} onClick={() => setAsking(a)}>{a.title()}</button>)}</div></details>}
            </>}
      </section>
      {asking && <Dialog title={`${asking.title()}: ${called(b, m.name)}`} yes={asking.title()} kind={asking.danger ? 'danger' : undefined} onNo={() => setAsking(undefined)} onYes={() => { void run(asking) }}>
        <p><strong>{called(b, m.name)}</strong> · {aside(b, m.name)}{address} · {b.root}</p>
        <p>{asking.asks()}</p>
        <p class="small dim">{t('The command is sent once, and never again by itself.', '命令只发送一次，绝不会自动重发。')}</p>
      </Dialog>}
      <div aria-live="polite">{runs.slice(0, 10).map((r, i) => <Outcome key={runs.length - i} run={r} />)}</div>
      <Audit b={b} />
    </>
  )
}

function Position ({ b, m, item }: { b: Bridge, m: Meter, item: string }) {
  const standing = meterStanding(b, m)
  const value = m.values[item]
  return (
    <p class="positionline">
      <Pill standing={standing} />{' '}
      {value === undefined
        ? <span class="position unknown">{t('position unknown', '位置未知')}</span>
        : <>
            <span class={`position ${standing.state !== 'online' ? 'stale' : carries(item, value) ? 'on' : 'off'}`}>{item === 'valve' ? t('valve', '阀门') : t('relay', '继电器')} {positionWord(item, value)}</span>{' '}
            <span class="small dim">{t('as the meter said', '电表状态字')} <Age at={m.times[item] ?? Date.parse(m.state ?? '')} /></span>
          </>}
    </p>
  )
}

// outcome gives a result its words and its look. What is not known looks like nothing else.
export function outcome (reply: any): { kind: string, word: string, more: string } {
  if (reply.result === 'verified') return { kind: 'good', word: t('verified', '已确认'), more: t('Done, and read back.', '已执行，并已回读确认。') }
  if (reply.result === 'acknowledged') return { kind: 'warn', word: t('acknowledged', '已应答'), more: reply.pending ? t('The meter took the command, but the relay has not moved yet.', '电表已接受命令，但继电器尚未动作。') : t('The meter has confirmed it; it was not read back.', '电表已应答，未回读确认。') }
  if (reply.result === 'refused') return { kind: 'bad', word: t('refused', '被拒绝'), more: t('The meter has said no.', '电表拒绝执行。') }
  if (reply.result === 'sent') return { kind: 'warn', word: t('sent', '已发送'), more: '' }
  const lost = reply.error?.code === 'no_reply' || reply.error?.code === 'garbled'
  if (reply.result === 'unknown' || (lost && !reply.result)) {
    return { kind: 'unknown', word: t('unknown', '结果未知'), more: t('It may have been done or not. Look at the meter before you ask again.', '可能已执行，也可能没有。请查看电表后再操作。') }
  }
  return { kind: 'bad', word: t('not done', '未执行'), more: t('Nothing was sent to the meter.', '没有向电表发送命令。') }
}

function Outcome ({ run }: { run: Run }) {
  const { item } = run
  const of = bridgeList().length > 1 ? `${run.meter} · ${run.root}` : run.meter
  if (!run.reply) return <section class="outcome waiting"><h2>{run.action.title()}: {of}</h2><p>{t('Sent; waiting for what the meter says…', '已发送，等待电表应答……')}</p></section>
  const o = outcome(run.reply)
  const reasons = run.reply.reasons ?? run.reply.error?.reasons
  return (
    <section class={`outcome ${o.kind}`}>
      <h2><span class="word">{o.word}</span> {run.action.title()}: {of} <span class="small dim">{moment(run.at)}</span></h2>
      <p>{o.more}</p>
      {run.reply[item] && <p>{item === 'valve' ? t('Valve', '阀门') : t('Relay', '继电器')}: {positionWord(item, run.reply[item])}</p>}
      {Array.isArray(reasons) && <p>{t('Reasons', '原因')}: {reasonText(reasons)}</p>}
      {run.reply.clock_offset_s !== undefined && <p>{/^[-−]/.test(show(run.reply.clock_offset_s)) ? t('The meter’s clock is behind by', '电表时钟慢') : t('The meter’s clock is ahead by', '电表时钟快')} {show(run.reply.clock_offset_s).replace(/^[-−]/, '')} s</p>}
      {(run.reply.message || run.reply.error) && <p class="small">{run.reply.error && <code>{String(run.reply.error.code)}</code>} {String(run.reply.message ?? run.reply.error?.message ?? '')}</p>}
    </section>
  )
}

export function Audit ({ b }: { b: Bridge }) {
  return (
    <section class="card" aria-labelledby="audit">
      <h2 id="audit">{t('Commands of everybody since this page was opened', '打开本页面以来所有人的命令')}</h2>
      {b.audits.length === 0
        ? <p class="dim">{t('None, or your account may not read them.', '无，或您的账号无权读取。')}</p>
        : <div class="scroll" tabIndex={0} role="group" aria-labelledby="audit"><table>
            <thead><tr><th scope="col">{t('Time', '时间')}</th><th scope="col">{t('Meter', '电能表')}</th><th scope="col">{t('Command', '命令')}</th><th scope="col">{t('Result', '结果')}</th><th scope="col">{t('By', '操作者')}</th></tr></thead>
            <tbody>{b.audits.slice(0, 50).map(a => {
              const o = outcome(a)
              return <tr><td>{moment(Date.parse(a.time))}</td><th scope="row">{String(a.meter ?? '—')}</th><td>{String(a.request)} {String(a.action ?? a.item ?? '')}</td><td><span class={`tag ${o.kind}`}>{o.word}</span> {a.error ? String(a.error.code) : Array.isArray(a.reasons) ? reasonText(a.reasons) : ''}</td><td>{String(a.user_properties?.user ?? a.user_properties?.client ?? '')}</td></tr>
            })}</tbody>
          </table></div>}
    </section>
  )
}
