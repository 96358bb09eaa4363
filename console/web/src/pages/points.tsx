import { Component } from 'preact'
import { useEffect, useMemo, useRef, useState } from 'preact/hooks'
import { finite, plain } from '../exact'
import { label, member, rows as dictionary, search, variants } from '../items'
import { ask, link, now } from '../link'
import { type Bridge, bridgeStanding, infoOf, metersOf, protocolsOf } from '../model'
import { BridgeChoice, Dialog, download, Note, nothingHeard, Problem, Title, useBridge } from '../ui'
import { language, own, t } from '../words'

const columns = ['meter', 'item', 'interval', 'min', 'max', 'deadband', 'name', 'retain', 'discovery'] as const
type Column = typeof columns[number]
type Point = Partial<Record<Column, string>> & { key: number }

// What Chinese headers call the columns, as the bridge knows them.
const chinese: Record<string, Column> = {
  电表: 'meter', 表计: 'meter', 仪表: 'meter', 表地址: 'meter', 通信地址: 'meter', 数据项: 'item', 数据标识: 'item', 项目: 'item',
  间隔: 'interval', 周期: 'interval', 采集间隔: 'interval', 采集周期: 'interval', 下限: 'min', 最小值: 'min', 上限: 'max', 最大值: 'max',
  死区: 'deadband', 变化阈值: 'deadband', 名称: 'name', 保留: 'retain', 发现: 'discovery', 自动发现: 'discovery'
}
const titles: Record<Column, () => string> = {
  meter: () => t('Meter', '电能表'), item: () => t('Item', '数据项'), interval: () => t('Interval', '间隔'), min: () => t('Min', '下限'), max: () => t('Max', '上限'),
  deadband: () => t('Deadband', '死区'), name: () => t('Name', '名称'), retain: () => t('Retain', '保留'), discovery: () => t('Discovery', '发现')
}

let keys = 0

// readCSV takes the rows out of a table as the bridge understands it: comments, quotes, semicolons and tabs. The
// faults say what of it has no place in the rows.
export function readCSV (text: string): { points: Point[], faults: string[] } {
  const lines: string[][] = []
  const body = text.replace(/^\uFEFF/, '')
  const first = body.split(/\r?\n/).find(l => l.trim() !== '' && !l.startsWith('#')) ?? ''
  const comma = [';', '\t', ','].map(c => [c, first.split(c).length] as const).sort((a, b) => b[1] - a[1])[0][0]
  let cell = ''; let row: string[] = []; let quoted = false; let comment = false
  const end = () => { row.push(cell.trim()); cell = ''; if (row.some(c => c !== '')) lines.push(row); row = [] }
  for (let i = 0; i < body.length; i++) {
    const c = body[i]
    if (comment) { if (c === '\n') comment = false; continue }
    if (quoted) {
      if (c === '"' && body[i + 1] === '"') { cell += '"'; i++ } else if (c === '"') quoted = false
      else cell += c
    } else if (c === '"' && cell.trim() === '') { quoted = true; cell = '' } else if (c === comma) { row.push(cell.trim()); cell = '' } else if (c === '\n') end()
    else if (c === '#' && row.length === 0 && cell.trim() === '') comment = true
    else if (c !== '\r') cell += c
  }
  end()
  const head = (lines.shift() ?? []).map(h => own(chinese, h) ?? h.toLowerCase() as Column)
  const faults: string[] = []
  head.forEach((h, i) => {
    const known = (columns as readonly string[]).includes(h)
    if (h as string !== '' && !known) faults.push(t(`“${h}” is no column; what stands in it was left out. There are ${columns.join(', ')}.`, `没有名为“${h}”的列，其中的内容未载入。可用的列：${columns.join('、')}。`))
    if (known && head.indexOf(h) < i) faults.push(t(`The column ${h} stands there twice.`, `“${h}”列重复。`))
  })
  for (const c of ['meter', 'item'] as const) if (!head.includes(c)) faults.push(t(`The column ${c} is missing; the first line is the header.`, `缺少“${titles[c]()}”列（${c}）；第一行须为表头。`))
  const points = lines.map((cells, n) => {
    const p: Point = { key: ++keys }
    head.forEach((h, i) => { if ((columns as readonly string[]).includes(h) && cells[i]) p[h] = cells[i] })
    for (const beyond of cells.slice(head.length)) if (beyond !== '') faults.push(t(`Row ${n + 1}: “${beyond}” stands behind the last column of the header.`, `第 ${n + 1} 行：“${beyond}”超出了表头的最后一列。`))
    return p
  })
  return { points, faults }
}

// decode makes a text of a file, as the bridge does; undefined if it is none.
function decode (bytes: ArrayBuffer): string | undefined {
  for (const encoding of ['utf-8', 'gb18030']) {
    try { return new TextDecoder(encoding, { fatal: true }).decode(bytes) } catch { /* another one */ }
  }
}

// A workbook of a spreadsheet is an archive, or older.
const isWorkbook = (bytes: ArrayBuffer) => [[0x50, 0x4B, 3, 4], [0xD0, 0xCF, 0x11, 0xE0]].some(begin => begin.every((b, i) => new Uint8Array(bytes)[i] === b))

// isWord says whether a text has the place of a table.
const isWord = (csv: string) => ['', 'basic', 'off'].includes(csv.trim())

const byMQTT = () => t('This table came by MQTT and has the place of the file’s.', '此表由 MQTT 下发，代替了配置文件中的采集表。')

// A Draft is a table that is being edited. It stays while other pages are looked at.
interface Draft { points: Point[], source: string, faults: string[] }

const drafts = new Map<string, Draft>()
addEventListener('beforeunload', e => { if (drafts.size > 0) e.preventDefault() })

const writeCSV = (points: Point[]) => [columns.join(','), ...points.map(p => columns.map(c => {
  const v = p[c] ?? ''
  return /[",\n]/.test(v) ? `"${v.replaceAll('"', '""')}"` : v
}).join(','))].join('\n') + '\n'

const rowsOf = (points: Point[]) => points.map(({ key: _key, ...p }) => Object.fromEntries(Object.entries(p).filter(([, v]) => v !== '')))

// Points edits the table of what is polled, tries it, and puts it in force.
export function Points () {
  const [b, setBridge] = useBridge()
  if (!b) return <><Title>{t('Points', '采集点')}</Title><Note>{nothingHeard()}</Note></>
  const allow: unknown[] | undefined = Array.isArray(b.info?.allow) ? b.info.allow : undefined
  return (
    <>
      <Title>{t('Points', '采集点')}</Title>
      <p>{t('What the bridge reads by itself, how often, and within which limits.', '网桥自动采集哪些数据、多久一次、限值是多少。')} <BridgeChoice bridge={b} choose={setBridge} /></p>
      {allow && !allow.includes('config') && <Note kind="warn">{t('This bridge takes no table by MQTT: its operator has not allowed the class config (DLT645_ALLOW). Edit here, download the file, and name it in DLT645_POINTS.', '此网桥不接受通过 MQTT 下发的采集表：运行人员未开放 config 类（DLT645_ALLOW）。可在此编辑并下载文件，再由 DLT645_POINTS 指定。')}</Note>}
      <Editor b={b} key={b.root} />
    </>
  )
}

function Editor ({ b }: { b: Bridge }) {
  const draft = drafts.get(b.root)
  const [points, setPoints] = useState<Point[] | undefined>(draft?.points)
  const [source, setSource] = useState(draft?.source ?? '')
  const [faults, setFaults] = useState<string[]>(draft?.faults ?? [])
  const [trial, setTrial] = useState<any>()
  const [trying, setTrying] = useState(false)
  const [said, setSaid] = useState<any>()
  const [back, setBack] = useState(false)
  const [edited, setEdited] = useState(!!draft)
  const turn = useRef(0)
  const file = useRef<HTMLInputElement>(null)
  const ready = bridgeStanding(b).state === 'online'

  const config = async (body: Record<string, unknown> | string) => {
    const text = await ask({ root: b.root, verb: 'config', ...(typeof body === 'string' ? { text: body } : { body }), patience: 30_000 })
    return typeof text === 'string' ? plain(text) ?? { error: { code: 'garbled', message: '' } } : text
  }

  // load shows the table in force: one that came by MQTT stands on bridge/config, that of the file is told
  // by a dry run of going back to it.
  const load = async () => {
    setEdited(false); setTrial(undefined); setTrying(false); setFaults([])
    const sent = typeof b.config?.csv === 'string' ? b.config.csv : undefined
    if (sent !== undefined && !isWord(sent)) {
      const table = readCSV(sent)
      setPoints(table.points); setFaults(table.faults)
      setSource(byMQTT())
      return
    }
    const reply: any = await config({ ...(sent === undefined ? {} : { csv: sent }), dry_run: true })
    const csv = typeof reply.csv === 'string' ? reply.csv : ''
    if (!isWord(csv)) {
      const table = readCSV(csv)
      setPoints(table.points); setFaults(table.faults)
      setSource(t('This is the table of DLT645_POINTS.', '这是 DLT645_POINTS 指定的采集表。'))
    } else if (Array.isArray(reply.plan) || csv.trim() === 'off') {
      setPoints((reply.plan ?? []).flatMap((read: any) => (read.items ?? []).map((item: any) => ({ key: ++keys, meter: String(read.meter), item: String(item), interval: String(read.interval).replace(/(?<=m)0s$|(?<=h)0m0s$/, '') }))))
      setSource((sent === undefined ? '' : `${byMQTT()} `) + (sent !== undefined
        ? csv.trim() === 'off' ? t('Nothing is polled.', '当前不采集任何数据。') : t('These are the basic points, written out.', '这是基本采集点的展开。')
        : csv.trim() === 'off' ? t('Nothing is polled (DLT645_POINTS=off).', '当前不采集任何数据（DLT645_POINTS=off）。') : t('These are the basic points (DLT645_POINTS=basic), written out.', '这是基本采集点（DLT645_POINTS=basic）的展开。')))
    } else {
      setPoints([])
      setSource('')
      setSaid(reply)
    }
  }
  useEffect(() => { if (ready && points === undefined && link.state === 'up') void load() }, [ready, points === undefined, link.state])

  // Each change is tried a moment later; only the answer to the last one counts.
  useEffect(() => {
    if (!points) return
    const mine = ++turn.current
    setTrying(true)
    const timer = setTimeout(() => {
      void config({ points: rowsOf(points), dry_run: true }).then(reply => {
        if (mine !== turn.current) return
        setTrial(reply); setTrying(false)
      })
    }, 600)
    return () => clearTimeout(timer)
  }, [points])

  useEffect(() => {
    if (edited && points) drafts.set(b.root, { points, source, faults })
    else drafts.delete(b.root)
  }, [edited, points, source, faults])

  const change = (next: Point[]) => { setEdited(true); setSaid(undefined); setPoints(next) }
  const latest = useRef<(edit: (old: Point[]) => Point[]) => void>(() => {})
  latest.current = edit => change(edit(points ?? []))
  const edit = useMemo(() => (e: (old: Point[]) => Point[]) => latest.current(e), [])

  const upload = async (chosen: File | undefined) => {
    if (!chosen) return
    const bytes = await chosen.arrayBuffer()
    const text = isWorkbook(bytes) ? undefined : decode(bytes)
    if (text === undefined) {
      setSaid({ error: { code: chosen.name, message: t('This is no CSV in UTF-8 or GB18030, but perhaps the workbook of a spreadsheet: open it there and save it as CSV UTF-8.', '这不是 UTF-8 或 GB18030 编码的 CSV，可能是电子表格文件：请用电子表格软件打开，另存为 CSV UTF-8。') } })
      return
    }
    const table = readCSV(text)
    setSource(chosen.name)
    change(table.points)
    setFaults(table.faults)
  }

  const apply = async () => {
    const reply: any = await config({ points: rowsOf(points ?? []), version: `console ${new Date(now()).toISOString().slice(0, 16)}` })
    setSaid(reply)
    if (!reply.error) { setEdited(false); setTrial(reply); setFaults([]); setSource(byMQTT()) }
  }
  const toFile = async () => {
    setBack(false)
    const reply: any = await config('')
    setSaid(reply)
    if (!reply.error) { b.config = null; setPoints(undefined) }
  }

  const rows: any[] = trial?.error?.rows ?? []
  const complaints = useMemo(() => {
    const by = new Map<number, any[]>()
    for (const r of rows) by.set(Number(r.row), [...by.get(Number(r.row)) ?? [], r])
    return by
  }, [trial])
  const valid = trial && !trial.error && !trying
  if (!ready) return <Note kind="warn">{t('The bridge must be online for that.', '网桥在线时才能编辑。')}</Note>
  if (!points) return <p class="dim" role="status">{t('Asking the bridge for its table…', '正在向网桥获取采集表……')}</p>
  return (
    <>
      {source && <p class="small dim">{source}</p>}
      {faults.length > 0 && <div class="note warn" role="alert">{faults.slice(0, 20).map(f => <div>{f}</div>)}</div>}
      <section class="card" aria-labelledby="budget">
        <h2 id="budget">{t('Share of the wire', '总线占用预算')}</h2>
        <Budget trial={trial} trying={trying} />
      </section>
      <Add b={b} add={p => change([...points, { key: ++keys, interval: '1m', ...p }])} />
      <section class="card" aria-labelledby="table">
        <h2 id="table">{t('Table', '采集表')} <span class="small dim">{t(`${points.length} rows`, `${points.length} 行`)}</span></h2>
        <datalist id="meter-names"><option value="*" />{metersOf(b).map(m => <option value={m.name} />)}</datalist>
        <div class="scroll" tabIndex={0} role="group" aria-labelledby="table">
          <table class="edit">
            <thead><tr>{columns.map(c => <th scope="col">{titles[c]()}</th>)}<th scope="col"><span class="hide">{t('Remove', '删除')}</span></th></tr></thead>
            <tbody>{points.map((p, i) => <Line key={p.key} p={p} row={i + 1} wrong={complaints.get(i + 1)} edit={edit} language={language} words={dictionary.length} />)}</tbody>
          </table>
        </div>
        {trial?.error && rows.filter(r => !(r.row >= 1 && r.row <= points.length)).length === 0 && rows.length > 0 ? null : <Problem error={trial?.error} />}
        <div class="row noprint">
          <button type="button" class="primary" disabled={!edited || !valid} onClick={() => { void apply() }}>{t('Put in force', '下发生效')}</button>
          <button type="button" onClick={() => { setEdited(false); setPoints(undefined) }}>{t('Undo all changes', '放弃修改')}</button>
          <button type="button" onClick={() => download('points.csv', writeCSV(points))}>{t('Download CSV', '下载 CSV')}</button>
          <button type="button" onClick={() => file.current?.click()}>{t('Upload CSV', '上传 CSV')}</button>
          <input ref={file} type="file" accept=".csv,text/csv,text/plain" hidden onChange={e => { void upload(e.currentTarget.files?.[0]); e.currentTarget.value = '' }} />
          <button type="button" onClick={() => setBack(true)}>{t('Back to the file’s table', '恢复配置文件的采集表')}</button>
        </div>
        <div role="status">{said && !said.error && <Note kind="good">{said.changed ? t(`In force: ${said.points} points.`, `已生效：${said.points} 个采集点。`) : t('It was in force already.', '内容未变。')}</Note>}</div>
        <Problem error={said?.error} />
      </section>
      {back && <Dialog title={t('Back to the file’s table', '恢复配置文件的采集表')} yes={t('Go back', '恢复')} onNo={() => setBack(false)} onYes={() => { void toFile() }}>
        <p>{t('The table of DLT645_POINTS comes into force again. The present one is gone unless you have downloaded it.', 'DLT645_POINTS 指定的采集表将重新生效。当前的表如未下载将丢失。')}</p>
      </Dialog>}
    </>
  )
}

interface LineProps { p: Point, row: number, wrong?: any[], edit: (e: (old: Point[]) => Point[]) => void, language: string, words: number }

// A Line is a row of the table. A table may have a thousand, so that each is drawn anew only if something of it has changed.
class Line extends Component<LineProps> {
  shouldComponentUpdate (next: LineProps) {
    return (Object.keys(next) as (keyof LineProps)[]).some(k => next[k] !== this.props[k])
  }

  render ({ p, row, wrong, edit }: LineProps) {
    const set = (column: Column, value: string) => edit(old => old.map(q => q.key === p.key ? { ...q, [column]: value } : q))
    return (
      <>
        <tr class={wrong ? 'wrong' : ''}>
          {columns.map(c => <td class={c}><input aria-label={`${titles[c]()}, ${t('row', '第')} ${row}${t('', ' 行')}`} aria-invalid={!!wrong?.some(w => !w.column || w.column === c)} title={c === 'item' ? label(p.item ?? '') : undefined}
            list={c === 'meter' ? 'meter-names' : undefined} value={p[c] ?? ''} onInput={e => set(c, e.currentTarget.value)} autocomplete="off" spellcheck={false} /></td>)}
          <td><button type="button" class="quiet" aria-label={t(`Remove row ${row}`, `删除第 ${row} 行`)} onClick={() => edit(old => old.filter(q => q.key !== p.key))}>×</button></td>
        </tr>
        {wrong && <tr class="complaint"><td colSpan={columns.length + 1}>{wrong.map(w => <div class="badtext">{w.column ? <code>{String(w.column)}</code> : null} {String(w.message)}</div>)}</td></tr>}
      </>
    )
  }
}

function Budget ({ trial, trying }: { trial: any, trying: boolean }) {
  if (!trial || trial.error || trial.budget === undefined) {
    return <p class="dim" role="status">{trying ? t('Trying…', '正在试算……') : trial?.error ? t('The table has faults, so it cannot be told.', '采集表有误，无法计算。') : t('Not known yet.', '尚未计算。')}</p>
  }
  const percent = (x: number) => `${(finite(x) * 100).toFixed(1)} %`
  const width = (x: number) => Math.min(100, finite(x) * 100)
  return (
    <div class={trying ? 'dim' : ''}>
      <svg class="budget" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">
        <rect class="rail" width="100" height="6" /><rect class="worst" width={width(trial.budget_worst)} height="6" /><rect class="used" width={width(trial.budget)} height="6" />
      </svg>
      <p role="status"><strong data-testid="budget">{percent(trial.budget)}</strong> {t('of the wire’s time', '的总线时间')}; {t('if meters that were not heard yet answer late:', '若未应答过的表响应较慢：')} {percent(trial.budget_worst)} · {t(`${trial.points} points`, `${trial.points} 个采集点`)}</p>
    </div>
  )
}

// Add finds an item in the dictionary and makes a row of it.
function Add ({ b, add }: { b: Bridge, add: (p: Partial<Point>) => void }) {
  const [text, setText] = useState('')
  const [meter, setMeter] = useState('*')
  const protocol = meter === '*' ? undefined : infoOf(b, meter)?.protocol
  const found = text.trim() === '' ? [] : search(text, protocol ? [protocol] : protocolsOf(b)).filter(r => !/\+(?!U$)|^=/.test(r.picture)).slice(0, 12)
  return (
    <section class="card noprint" aria-labelledby="add">
      <h2 id="add">{t('Add a point', '添加采集点')}</h2>
      <div class="row">
        <label class="field"><span>{t('Meter', '电能表')}</span><select value={meter} onChange={e => setMeter(e.currentTarget.value)}><option value="*">{t('all that know it (*)', '所有支持的表（*）')}</option>{metersOf(b).map(m => <option>{m.name}</option>)}</select></label>
        <label class="field grow"><span>{t('Item, by a word', '数据项（按名称查找）')}</span><input type="search" value={text} onInput={e => setText(e.currentTarget.value)} placeholder={t('power, 功率…', '功率、电压……')} autocomplete="off" /></label>
      </div>
      {found.length > 0 && <ul class="found">{found.map(r => {
        const v = variants(r)
        const ending = v.phases.length > 0 && v.phases[0] !== '' ? 'block' : ''
        const item = member(r, ending, '')
        return <li key={r.protocol + r.di}><div>{label(item, r.protocol)} <code>{item}</code> <span class="small dim">{r.unit}</span></div><button type="button" class="chip" onClick={() => { add({ meter, item }); setText('') }} aria-label={t(`Add ${label(item, r.protocol)}`, `添加 ${label(item, r.protocol)}`)}>{t('Add', '添加')}</button></li>
      })}</ul>}
    </section>
  )
}
