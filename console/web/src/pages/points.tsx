import { useEffect, useRef, useState } from 'preact/hooks'
import { finite, plain } from '../exact'
import { label, member, search, variants } from '../items'
import { ask, link } from '../link'
import { type Bridge, bridgeStanding, infoOf, metersOf, protocolsOf } from '../model'
import { BridgeChoice, Dialog, download, Note, Problem, Title, useBridge } from '../ui'
import { t } from '../words'

const columns = ['meter', 'item', 'interval', 'min', 'max', 'deadband', 'name', 'retain', 'discovery'] as const
type Column = typeof columns[number]
type Point = Partial<Record<Column, string>> & { key: number }

const chinese: Record<string, Column> = { 电表: 'meter', 数据项: 'item', 间隔: 'interval', 下限: 'min', 上限: 'max', 死区: 'deadband', 名称: 'name', 保留: 'retain', 发现: 'discovery' }
const titles: Record<Column, () => string> = {
  meter: () => t('Meter', '电能表'), item: () => t('Item', '数据项'), interval: () => t('Interval', '间隔'), min: () => t('Min', '下限'), max: () => t('Max', '上限'),
  deadband: () => t('Deadband', '死区'), name: () => t('Name', '名称'), retain: () => t('Retain', '保留'), discovery: () => t('Discovery', '发现')
}

let keys = 0

// readCSV takes the rows out of a table as the bridge understands it: comments, quotes, semicolons and tabs.
export function readCSV (text: string): Point[] {
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
  const head = (lines.shift() ?? []).map(h => chinese[h] ?? h.toLowerCase() as Column)
  return lines.map(cells => {
    const p: Point = { key: ++keys }
    head.forEach((h, i) => { if ((columns as readonly string[]).includes(h) && cells[i]) p[h] = cells[i] })
    return p
  })
}

const writeCSV = (points: Point[]) => [columns.join(','), ...points.map(p => columns.map(c => {
  const v = p[c] ?? ''
  return /[",\n]/.test(v) ? `"${v.replaceAll('"', '""')}"` : v
}).join(','))].join('\n') + '\n'

const rowsOf = (points: Point[]) => points.map(({ key: _key, ...p }) => Object.fromEntries(Object.entries(p).filter(([, v]) => v !== '')))

// Points edits the table of what is polled, tries it, and puts it in force.
export function Points () {
  const [b, setBridge] = useBridge()
  if (!b) return <><Title>{t('Points', '采集点')}</Title><Note>{t('Nothing is heard of a bridge yet.', '还没有网桥的消息。')}</Note></>
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
  const [points, setPoints] = useState<Point[]>()
  const [source, setSource] = useState('')
  const [trial, setTrial] = useState<any>()
  const [trying, setTrying] = useState(false)
  const [said, setSaid] = useState<any>()
  const [back, setBack] = useState(false)
  const [edited, setEdited] = useState(false)
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
    setEdited(false); setTrial(undefined); setTrying(false)
    if (b.config?.csv && b.config.csv.includes(',')) {
      setPoints(readCSV(b.config.csv))
      setSource(t('This table came by MQTT and has the place of the file’s.', '此表由 MQTT 下发，代替了配置文件中的采集表。'))
      return
    }
    const reply: any = await config({ dry_run: true })
    const csv = typeof reply.csv === 'string' ? reply.csv : ''
    if (csv.includes(',')) {
      setPoints(readCSV(csv))
      setSource(t('This is the table of DLT645_POINTS.', '这是 DLT645_POINTS 指定的采集表。'))
    } else if (Array.isArray(reply.plan)) {
      setPoints(reply.plan.flatMap((read: any) => (read.items ?? []).map((item: any) => ({ key: ++keys, meter: String(read.meter), item: String(item), interval: String(read.interval).replace(/(?<=m)0s$|(?<=h)0m0s$/, '') }))))
      setSource(csv === 'off' ? t('Nothing is polled (DLT645_POINTS=off).', '当前不采集任何数据（DLT645_POINTS=off）。') : t('These are the basic points (DLT645_POINTS=basic), written out.', '这是基本采集点（DLT645_POINTS=basic）的展开。'))
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

  const change = (next: Point[]) => { setEdited(true); setSaid(undefined); setPoints(next) }
  const set = (key: number, column: Column, value: string) => change((points ?? []).map(p => p.key === key ? { ...p, [column]: value } : p))

  const upload = async (chosen: File | undefined) => {
    if (!chosen) return
    const bytes = await chosen.arrayBuffer()
    let text: string
    try { text = new TextDecoder('utf-8', { fatal: true }).decode(bytes) } catch { text = new TextDecoder('gb18030').decode(bytes) }
    setSource(chosen.name)
    change(readCSV(text))
  }

  const apply = async () => {
    const reply: any = await config({ points: rowsOf(points ?? []), version: `console ${new Date().toISOString().slice(0, 16)}` })
    setSaid(reply)
    if (!reply.error) { setEdited(false); setTrial(reply) }
  }
  const toFile = async () => {
    setBack(false)
    const reply: any = await config('')
    setSaid(reply)
    if (!reply.error) { b.config = null; setPoints(undefined) }
  }

  const complaints = new Map<number, any[]>()
  const rows: any[] = trial?.error?.rows ?? []
  for (const r of rows) complaints.set(Number(r.row), [...complaints.get(Number(r.row)) ?? [], r])
  const valid = trial && !trial.error && !trying
  if (!ready) return <Note kind="warn">{t('The bridge must be online for that.', '网桥在线时才能编辑。')}</Note>
  if (!points) return <p class="dim" role="status">{t('Asking the bridge for its table…', '正在向网桥获取采集表……')}</p>
  return (
    <>
      {source && <p class="small dim">{source}</p>}
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
            <tbody>{points.map((p, i) => {
              const wrong = complaints.get(i + 1)
              return [
                <tr key={p.key} class={wrong ? 'wrong' : ''}>
                  {columns.map(c => <td class={c}><input aria-label={`${titles[c]()}, ${t('row', '第')} ${i + 1}${t('', ' 行')}`} aria-invalid={!!wrong?.some(w => !w.column || w.column === c)} title={c === 'item' ? label(p.item ?? '') : undefined}
                    list={c === 'meter' ? 'meter-names' : undefined} value={p[c] ?? ''} onInput={e => set(p.key, c, e.currentTarget.value)} autocomplete="off" spellcheck={false} /></td>)}
                  <td><button type="button" class="quiet" aria-label={t(`Remove row ${i + 1}`, `删除第 ${i + 1} 行`)} onClick={() => change(points.filter(q => q.key !== p.key))}>×</button></td>
                </tr>,
                wrong && <tr key={`${p.key}!`} class="complaint"><td colSpan={columns.length + 1}>{wrong.map(w => <div class="badtext">{w.column ? <code>{String(w.column)}</code> : null} {String(w.message)}</div>)}</td></tr>
              ]
            })}</tbody>
          </table>
        </div>
        {trial?.error && rows.filter(r => !(r.row >= 1 && r.row <= points.length)).length === 0 && rows.length > 0 ? null : <Problem error={trial?.error} />}
        <div class="row noprint">
          <button type="button" class="primary" disabled={!edited || !valid} onClick={() => { void apply() }}>{t('Put in force', '下发生效')}</button>
          <button type="button" onClick={() => { setPoints(undefined) }}>{t('Undo all changes', '放弃修改')}</button>
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
