import { useEffect, useRef, useState } from 'preact/hooks'
import { Bars, Chart, type Bar } from '../chart'
import { Decimal, minus, parse } from '../exact'
import { find, label, tariff } from '../items'
import { ask, now } from '../link'
import { type Bridge, learn, type Meter } from '../model'
import { day, Note, Problem } from '../ui'
import { t } from '../words'

// What meters store by themselves, and how it is asked for.
const loads: [string, () => string, string[]][] = [
  ['load_record_2', () => t('Power', '功率'), ['active_power', 'active_power_a']],
  ['load_record_1', () => t('Voltage and current', '电压、电流'), ['voltage_a', 'current_a', 'voltage_b', 'voltage_c']],
  ['load_record_4', () => t('Energy', '电能'), ['forward_active_energy', 'reverse_active_energy']]
]

// Meters of DL/T 698.45 keep one curve of all.
const curves: typeof loads = [
  ['minute_freeze', () => t('Load curve', '负荷曲线'), ['active_power', 'voltage_a', 'forward_active_energy']]
]

type Kind = 'day' | 'month' | 'settlement'

interface Stored { at: number, values: Record<string, any> }

// shifted gives the parts of a moment by the meter's clock.
const shift = (offset: string) => {
  const [, sign, h, m] = /([+-])(\d\d):(\d\d)/.exec(offset) ?? [, '+', '8', '0']
  return (sign === '-' ? -1 : 1) * (Number(h) * 60 + Number(m)) * 60_000
}
const midnight = (at: number, offset: string) => Math.floor((at + shift(offset)) / 86_400_000) * 86_400_000 - shift(offset)
const written = (at: number, offset: string) => new Date(at + shift(offset)).toISOString().slice(0, 19) + offset

// History reads what the meter has stored: today against yesterday, and energy by day and month.
export function History ({ b, m, protocol }: { b: Bridge, m: Meter, protocol?: string }) {
  const kinds = protocol === '698' ? curves : loads
  const [what, setWhat] = useState(kinds[0][0])
  const [samples, setSamples] = useState<Stored[]>([])
  const [units, setUnits] = useState<Record<string, string>>({})
  const [periods, setPeriods] = useState<{ kind: Kind, stored: Stored[], unit: string }>()
  const [busy, setBusy] = useState('')
  const [problem, setProblem] = useState<any>()
  const stop = useRef(false)
  useEffect(() => () => { stop.current = true }, []) // nobody waits for the rest
  const today = midnight(now(), b.offset)

  // read brings what was stored between two moments, by and by.
  const read = async (item: string, from: number, to: number, take: (s: Stored[], units: Record<string, string>) => void) => {
    let begin = written(from, b.offset)
    const end = written(to, b.offset)
    for (let portions = 0; portions < 20; portions++) {
      const text = await ask({ root: b.root, verb: 'read', meter: m.name, body: { items: [item], from: begin, to: end }, patience: 400_000 })
      const reply = typeof text === 'string' ? parse(text) : text
      if (!reply) return { code: 'garbled', message: t('The reply cannot be read.', '应答无法解析。') }
      if (reply.units) learn(b, m.name, { units: reply.units })
      take((reply.samples ?? []).map((s: any) => ({ at: Date.parse(s.time), values: s.values ?? {} })), reply.units ?? {})
      const wrong = reply.error ?? Object.values(reply.errors ?? {})[0]
      if (wrong) return wrong
      if (!reply.next || stop.current) return undefined
      begin = String(reply.next)
    }
    return undefined
  }

  const readDays = async () => {
    stop.current = false
    setProblem(undefined); setSamples([]); setPeriods(undefined)
    const yesterday = today - 86_400_000
    const portion = 3 * 3_600_000
    // The newest first, for it is what is looked at.
    for (let to = now(); to > yesterday && !stop.current; to -= portion) {
      const from = Math.max(to - portion, yesterday)
      setBusy(t(`Reading from ${new Date(from + shift(b.offset)).toISOString().slice(11, 16)} on…`, `正在抄读 ${new Date(from + shift(b.offset)).toISOString().slice(11, 16)} 起的记录…`))
      const wrong = await read(what, from, to, (s, u) => { setSamples(old => [...old, ...s]); setUnits(old => ({ ...old, ...u })) })
      if (wrong) { setProblem(wrong); break }
    }
    setBusy('')
  }

  const readPeriods = async (kind: 'day' | 'month') => {
    stop.current = false
    setProblem(undefined); setSamples([]); setPeriods(undefined)
    setBusy(t('Reading…', '正在抄读…'))
    let stored: Stored[] = []
    let unit = 'kWh'
    const take = (s: Stored[], u: Record<string, string>) => { stored = [...stored, ...s]; unit = u.forward_active_energy ?? unit }
    const wrong = kind === 'day'
      ? await read('daily_freeze_forward_active_energy_block', today - 31 * 86_400_000, now(), take)
      : await read('monthly_freeze_forward_active_energy_block', today - 400 * 86_400_000, now(), take)
    if (kind === 'month' && wrong && stored.length === 0) {
      // Not every meter freezes by month; its registers at the settlements mostly come to the same.
      const registers = await readSettlements()
      if (registers.length > 1) {
        setPeriods({ kind: 'settlement', stored: registers, unit })
        setBusy('')
        return
      }
    }
    if (wrong) setProblem(wrong)
    setPeriods({ kind, stored, unit })
    setBusy('')
  }

  // readSettlements brings the registers of now and of the last twelve settlements; at is how many back, negative.
  const readSettlements = async (): Promise<Stored[]> => {
    const back = Array.from({ length: 13 }, (_, h) => h)
    const items = back.map(h => h === 0 ? 'forward_active_energy_block' : `forward_active_energy_block_h${h}`)
    const text = await ask({ root: b.root, verb: 'read', meter: m.name, body: { items }, patience: 120_000 })
    const values = (typeof text === 'string' ? parse(text) : undefined)?.values ?? {}
    return back.map(h => {
      const ending = h === 0 ? '' : `_h${h}`
      return {
        at: -h,
        values: Object.fromEntries(Object.entries(values).filter(([k]) => h === 0 ? !/_h\d+$/.test(k) : k.endsWith(ending)).map(([k, v]) => [k.slice(0, k.length - ending.length), v]))
      }
    }).filter(s => s.values.forward_active_energy instanceof Decimal)
  }

  const names = [...new Set(samples.flatMap(s => Object.keys(s.values)))]
  const group = kinds.find(([id]) => id === what) ?? kinds[0]
  const [wanted, setWanted] = useState('')
  const item = names.includes(wanted) ? wanted : group[2].find(i => names.includes(i)) ?? names[0]

  // Others have nothing of the kind, or nobody has said how they tell it.
  if (protocol !== undefined && protocol !== '2007' && protocol !== '698') return null
  return (
    <section class="card" aria-labelledby="stored">
      <h2 id="stored">{t('What the meter has stored', '电表存储的数据')}</h2>
      <div class="row noprint">
        <label class="field inline"><span>{t('Record', '记录')}</span>
          <select value={what} onChange={e => { setWhat(e.currentTarget.value); setSamples([]) }}>{kinds.map(([id, title]) => <option value={id}>{title()}</option>)}</select>
        </label>
        <button type="button" disabled={busy !== ''} onClick={() => { void readDays() }}>{t('Today and yesterday', '今天与昨天')}</button>
        <button type="button" disabled={busy !== ''} onClick={() => { void readPeriods('day') }}>{t('Energy by day', '日电量')}</button>
        <button type="button" disabled={busy !== ''} onClick={() => { void readPeriods('month') }}>{t('Energy by month', '月电量')}</button>
        {busy && <button type="button" onClick={() => { stop.current = true }}>{t('Enough', '停止')}</button>}
      </div>
      <p class="small dim" role="status">{busy || t('It is read from the meter, and points are read more rarely meanwhile; at 2400 baud a day takes about half a minute.', '数据直接从电表抄读，其间采集点抄读变慢；2400 波特率下一天约需半分钟。')}</p>
      <Problem error={problem} />
      {item && <>
        {names.length > 1 && <label class="field inline"><span>{t('Value', '数据项')}</span>
          <select value={item} onChange={e => setWanted(e.currentTarget.value)}>{names.map(i => <option value={i}>{label(i, protocol)}</option>)}</select></label>}
        <TwoDays samples={samples} item={item} unit={units[item] ?? find(item, protocol)?.unit ?? ''} today={today} protocol={protocol} />
      </>}
      {periods && <Periods {...periods} offset={b.offset} />}
    </section>
  )
}

function TwoDays ({ samples, item, unit, today, protocol }: { samples: Stored[], item: string, unit: string, today: number, protocol?: string }) {
  const minutes = new Map<number, [number | null, number | null]>()
  for (const s of samples) {
    const value = s.values[item]
    if (!(value instanceof Decimal)) continue
    const ofToday = s.at >= today
    const minute = Math.round((s.at - (ofToday ? today : today - 86_400_000)) / 60_000)
    if (minute < 0 || minute > 1440) continue
    const pair = minutes.get(minute) ?? [null, null]
    pair[ofToday ? 0 : 1] = value.valueOf()
    minutes.set(minute, pair)
  }
  // A record that is missing is a gap: the usual distance tells which are.
  const x = [...minutes.keys()].sort((p, q) => p - q)
  const step = Math.max(1, x.slice(1).map((v, i) => v - x[i]).sort((p, q) => p - q)[Math.floor((x.length - 1) / 2)] ?? 15)
  for (let i = x.length - 1; i > 0; i--) if (x[i] - x[i - 1] > 1.5 * step) x.splice(i, 0, x[i - 1] + step)
  const curve = (k: 0 | 1) => x.map(v => minutes.get(v)?.[k] ?? null)
  const known = (k: 0 | 1) => curve(k).filter(v => v !== null).length
  const title = label(item, protocol)
  return <Chart x={x} minutes unit={unit} curves={[{ label: t('today', '今天'), data: curve(0) }, { label: t('yesterday', '昨天'), data: curve(1), dashed: true }]}
    summary={t(`${title} by time of day: ${known(0)} records of today, ${known(1)} of yesterday`, `${title}：今天 ${known(0)} 条记录，昨天 ${known(1)} 条`)} />
}

function difference (before: Stored, after: Stored, item: string): Decimal | undefined {
  const [x, y] = [before.values[item], after.values[item]]
  return x instanceof Decimal && y instanceof Decimal ? minus(y, x) : undefined
}

// Periods shows what was used between one freeze and the next, by tariff.
function Periods ({ kind, stored, unit, offset }: { kind: Kind, stored: Stored[], unit: string, offset: string }) {
  const list = [...stored].sort((p, q) => p.at - q.at)
  if (list.length < 2) return <Note>{t('The meter has stored too little for that.', '电表存储的记录不足。')}</Note>
  const used = list[list.length - 1].values
  // Tariffs that have never counted are left out.
  const tariffs = Object.keys(used).map(k => /^forward_active_energy_t(\d+)$/.exec(k)?.[1]).filter(Boolean).map(Number)
    .filter(n => used[`forward_active_energy_t${n}`] instanceof Decimal && Number(used[`forward_active_energy_t${n}`]) > 0)
  const keys: [string, string][] = tariffs.length > 0 ? tariffs.map(n => [`forward_active_energy_t${n}`, tariff(n)]) : [['forward_active_energy', tariff(0)]]
  const bars: Bar[] = []
  for (let i = 1; i < list.length; i++) {
    const [before, after] = [list[i - 1], list[i]]
    // A freeze that is missing must not count two days as one.
    const days = Math.round((after.at - before.at) / 86_400_000)
    const whole = kind === 'day' ? days === 1 : kind === 'month' ? days >= 28 && days <= 31 : after.at - before.at === 1
    // The day is the meter's, wherever the browser stands.
    const inPeriod = new Date(before.at + shift(offset) + 3_600_000)
    const name = kind === 'day' ? day(inPeriod.getTime(), 'UTC') : kind === 'month' ? inPeriod.toISOString().slice(0, 7) : after.at === 0 ? t('since the last', '本结算周期') : t(`${-after.at} back`, `上${-after.at}结算周期`)
    bars.push({
      label: whole ? name : `${name}…`,
      parts: whole
        ? keys.flatMap(([k, title]) => {
          const d = difference(before, after, k)
          return d ? [{ label: title, value: d.valueOf(), text: d.text }] : []
        })
        : [],
      total: whole ? difference(before, after, 'forward_active_energy')?.text : undefined
    })
  }
  return <Bars bars={bars} unit={unit} caption={kind === 'day' ? t('Energy by day, as the meter has counted it', '日电量（按电表示数）') : kind === 'month' ? t('Energy by month, as the meter has counted it', '月电量（按电表示数）') : t('Energy by settlement period, as the meter has counted it', '各结算周期电量（按电表示数）')} />
}
