import { useMemo, useState } from 'preact/hooks'
import { Frames } from '../frames'
import { parse } from '../exact'
import { capital, label, member, type Row, rows, search, tariff, unitOf, variants } from '../items'
import { ask } from '../link'
import { infoOf, learn, protocolsOf } from '../model'
import { BridgeChoice, clock, MeterChoice, Note, nothingHeard, Problem, show, Title, useBridge, useMeter } from '../ui'
import { language, t } from '../words'

// Read reads any item of any meter.
export function Read () {
  const [b, setBridge] = useBridge()
  const [m, setMeter] = useMeter(b)
  const [other, setOther] = useState('')
  const [text, setText] = useState('')
  const [items, setItems] = useState<string[]>([])
  const [reply, setReply] = useState<any>()
  const [busy, setBusy] = useState(false)
  const protocol = b && !other && m ? infoOf(b, m.name)?.protocol : undefined
  const found = useMemo(() => text.trim() === '' ? [] : search(text, protocol ? [protocol] : b ? protocolsOf(b) : []), [text, protocol, rows.length])
  if (!b) return <><Title>{t('Read', '抄读')}</Title><Note>{nothingHeard()}</Note></>
  const target = other.trim() || m?.name
  const toggle = (item: string) => setItems(items.includes(item) ? items.filter(i => i !== item) : [...items, item].slice(-64))
  const read = async (e?: Event) => {
    e?.preventDefault()
    if (!target || items.length === 0) return
    setBusy(true)
    const began = performance.now()
    const answer = await ask({ root: b.root, verb: 'read', meter: target, body: { items, trace: true }, patience: 65_000 })
    const r = typeof answer === 'string' ? parse(answer) : answer
    setBusy(false)
    setReply({ ...r, took: performance.now() - began })
    if (r?.values && !other) learn(b, target, r)
  }
  return (
    <>
      <Title>{t('Read', '抄读')}</Title>
      <form class="card" onSubmit={e => { void read(e) }}>
        <div class="row">
          <BridgeChoice bridge={b} choose={setBridge} />
          <MeterChoice bridge={b} meter={m} choose={setMeter} />
          <label class="field"><span>{t('or an address', '或表地址')}</span><input value={other} onInput={e => setOther(e.currentTarget.value)} placeholder="000000000001" autocomplete="off" /></label>
        </div>
        <label class="field"><span>{t('What to read: a word, a name or an identifier', '要抄读的数据：名称或数据标识')}</span>
          <input type="search" value={text} onInput={e => setText(e.currentTarget.value)} placeholder={t('voltage, 电压, 0201…', '电压、voltage、0201…')} autocomplete="off" />
        </label>
        <p class="small dim" role="status">{text.trim() === '' ? '' : t(`${found.length} found`, `找到 ${found.length} 项`)}</p>
        {found.length > 0 && <ul class="found" aria-label={t('Items found', '找到的数据项')}>{found.slice(0, 40).map(r => <Found key={r.protocol + r.di + r.name} r={r} items={items} toggle={toggle} />)}</ul>}
        {found.every(r => r.di !== text.trim().toUpperCase()) && /^[0-9a-fA-F]{4,8}$/.test(text.trim()) &&
          <button type="button" onClick={() => { toggle(text.trim().toUpperCase()); setText('') }}>{t(`Read the identifier ${text.trim()}`, `抄读数据标识 ${text.trim()}`)}</button>}
        {items.length > 0 && <div class="chips" role="group" aria-label={t('To be read', '待抄读')}>{items.map(i => <button type="button" class="chip" onClick={() => toggle(i)} aria-label={t(`Leave out ${label(i, protocol)}`, `去掉 ${label(i, protocol)}`)}>{label(i, protocol)} <code>{i}</code> ×</button>)}</div>}
        <button class="primary" disabled={busy || items.length === 0 || !target}>{busy ? t('Reading…', '正在抄读…') : t(`Read ${target ?? ''}`, `抄读 ${target ?? ''}`)}</button>
      </form>
      {reply && <Result reply={reply} protocol={protocol} />}
    </>
  )
}

function Found ({ r, items, toggle }: { r: Row, items: string[], toggle: (item: string) => void }) {
  const v = variants(r)
  const [back, setBack] = useState('')
  const endings = v.phases.length > 0 ? v.phases : v.tariffs.length > 0 ? v.tariffs : ['']
  const word = (e: string) => e === '' ? t('total', '总') : e === 'block' ? t('all', '全部') : /^t/.test(e) ? tariff(Number(e.slice(1))) : t(`phase ${e.toUpperCase()}`, `${e.toUpperCase()}相`)
  const title = language === 'zh' ? r.text_zh || r.text_en : capital(r.text_en)
  return (
    <li>
      <div><strong>{title}</strong> <span class="small dim">{language === 'zh' ? r.text_en : r.text_zh}</span> <span class="small"><code>{r.di}</code>{r.unit && ` ${r.unit}`}</span></div>
      <div class="row tight">
        {v.back.length > 0 && <select aria-label={t(`${title}: when`, `${title}：时间`)} value={back} onChange={e => setBack(e.currentTarget.value)}>
          {v.back.map(h => <option value={h}>{h === '' ? t('now', '当前') : t(`${h.slice(1)} settlement(s) back`, `上${h.slice(1)}结算日`)}</option>)}
        </select>}
        {endings.map(e => {
          const item = member(r, e, back)
          const alone = endings.length === 1
          return <button type="button" class="chip" aria-pressed={items.includes(item)} onClick={() => toggle(item)} aria-label={alone ? `${t('choose', '选择')}: ${title}` : `${title}, ${word(e)}`}>{alone ? t('choose', '选择') : word(e)}</button>
        })}
      </div>
    </li>
  )
}

function Result ({ reply, protocol }: { reply: any, protocol?: string }) {
  const entries = Object.entries(reply.values ?? {})
  const errors = Object.entries(reply.errors ?? {}) as [string, any][]
  return (
    <section class="card" aria-labelledby="came">
      <h2 id="came">{t('What came', '结果')} {reply.meter ? `· ${String(reply.meter)}` : ''}{reply.address && reply.address !== reply.meter ? <span class="small dim"> {String(reply.address)}</span> : null}</h2>
      <Problem error={reply.error} />
      {entries.length > 0 && <div class="scroll" tabIndex={0} role="group" aria-labelledby="came"><table>
        <thead><tr><th scope="col">{t('What', '名称')}</th><th scope="col" class="right">{t('Value', '数值')}</th><th scope="col">{t('Item', '数据项')}</th></tr></thead>
        <tbody>{entries.map(([i, v]) => <tr><th scope="row">{label(i, protocol)}</th><td class="right"><span class="number">{show(v)}</span> <span class="unit">{v === null ? '' : String(reply.units?.[i] ?? unitOf(i, protocol))}</span></td><td><code>{i}</code></td></tr>)}</tbody>
      </table></div>}
      {errors.map(([i, e]) => <div class="note bad"><code>{i}</code> <strong>{String(e?.code)}</strong> {String(e?.message)}{Array.isArray(e?.reasons) && ` (${e.reasons.join(', ')})`}</div>)}
      {reply.bus && <p class="small dim">{t(`Read at ${clock(Date.parse(reply.time))}: ${reply.bus.queued_ms} ms in the queue, ${reply.bus.wire_ms} ms on the wire, ${reply.bus.steps} conversation(s) with the meter, ${Math.round(reply.took)} ms in all.`,
        `${clock(Date.parse(reply.time))} 抄读：排队 ${reply.bus.queued_ms} 毫秒，总线 ${reply.bus.wire_ms} 毫秒，与电表通信 ${reply.bus.steps} 次，共 ${Math.round(reply.took)} 毫秒。`)}</p>}
      {Array.isArray(reply.frames) && <><h3>{t('Frames', '报文')}</h3><Frames frames={reply.frames.map((f: any) => ({ at: Date.parse(f.time), direction: String(f.direction), hex: String(f.hex) }))} /></>}
    </section>
  )
}
