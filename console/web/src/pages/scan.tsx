import { useState } from 'preact/hooks'
import { finite, plain } from '../exact'
import { ask } from '../link'
import { BridgeChoice, Copy, Note, nothingHeard, Problem, Title, useBridge } from '../ui'
import { t } from '../words'

const kept: { root: string, busy: boolean, reply?: any } = { root: '', busy: false }

// entry returns how a meter that was found is written in DLT645_METERS: what it takes to reach it, and the line's
// settings where they are not those of the bus.
function entry (m: any, bus: any) {
  const parity = new URLSearchParams(String(bus?.url ?? '').split('?')[1] ?? '').get('parity') ?? 'even'
  const options = [
    m.options ? String(m.options) : '',
    m.baud && bus?.baud && m.baud !== bus.baud ? `baud=${m.baud}` : '',
    m.parity && m.parity !== parity ? `parity=${m.parity}` : ''
  ].filter(Boolean)
  return `${m.address}@${m.protocol}${options.length > 0 ? `?${options.join('&')}` : ''}`
}

// Scan finds the meters on a bus, and writes the line that names them.
export function Scan () {
  const [b, setBridge] = useBridge()
  const [, draw] = useState(0)
  if (!b) return <><Title>{t('Scan', '搜表')}</Title><Note>{nothingHeard()}</Note></>
  const known: string[] = Array.isArray(b.info?.protocols) ? b.info.protocols.map(String) : []
  const tunable = /^(serial|rfc2217):/.test(String(b.info?.bus?.url ?? '')) // the bridge sets speed and parity
  const start = async (e: any) => {
    e.preventDefault()
    const form = new FormData(e.currentTarget)
    const body: Record<string, unknown> = {}
    const protocols = form.getAll('protocol').map(String)
    if (protocols.length > 0 && protocols.length < known.length) body.protocols = protocols
    const speeds = String(form.get('speeds') ?? '').split(/[\s,，]+/).map(Number).filter(n => n > 0)
    if (speeds.length > 0) body.speeds = speeds
    if (form.get('parity')) body.parities = [form.get('parity')]
    if (Number(form.get('meters')) > 0) body.meters = Number(form.get('meters'))
    kept.root = b.root; kept.busy = true; kept.reply = undefined
    b.scan = undefined
    draw(n => n + 1)
    const answer = await ask({ root: b.root, verb: 'scan', body, patience: 3 * 3_600_000 })
    kept.busy = false
    kept.reply = typeof answer === 'string' ? plain(answer) : answer
    draw(n => n + 1)
  }
  const ours = kept.root === b.root
  const progress = b.scan
  const reply = ours ? kept.reply : undefined
  const meters: any[] = (Array.isArray(reply?.meters) ? reply.meters : Array.isArray(progress?.meters) ? progress.meters : [])
  // Where somebody has answered; in the end what was understood of no meter that was found.
  const heard: any[] = Array.isArray((reply ?? progress)?.heard) ? (reply ?? progress).heard : []
  const share = finite(progress?.asked) / Math.max(1, finite(progress?.asked) + finite(progress?.left))
  // Names of meters that are named already are kept.
  const names = new Map<string, string>((Array.isArray(b.info?.meters) ? b.info.meters : []).map((m: any) => [`${m.address}@${m.protocol}`, String(m.name)]))
  const entries = meters.map((m, i) => `${names.get(`${m.address}@${m.protocol}`) ?? `meter${i + 1}`}=${entry(m, b.info?.bus)}`).join(',')
  const line = `DLT645_METERS=${entries.includes('&') ? `'${entries}'` : entries}` // quoted for shells
  return (
    <>
      <Title>{t('Scan', '搜表')}</Title>
      <form class="card" onSubmit={e => { void start(e) }}>
        <div class="row"><BridgeChoice bridge={b} choose={setBridge} />
          <label class="field"><span>{t('How many meters are there? (empty: not known)', '共有几块表？（不知道则留空）')}</span><input name="meters" type="number" min="1" max="1000" inputMode="numeric" /></label></div>
        {known.length > 0 && <fieldset><legend>{t('Protocols', '规约')}</legend><div class="row">{known.map(p => <label class="check"><input type="checkbox" name="protocol" value={p} defaultChecked /> {p}</label>)}</div></fieldset>}
        {tunable && <div class="row">
          <label class="field"><span>{t('Speeds (empty: the usual ones)', '波特率（留空为常用值）')}</span><input name="speeds" placeholder="2400, 9600" /></label>
          <label class="field"><span>{t('Parity', '校验')}</span><select name="parity"><option value="">{t('that of the bus, even and none', '总线设置、偶校验、无校验')}</option><option>even</option><option>odd</option><option>none</option></select></label>
        </div>}
        <p class="small dim">{t('All other work goes first, so a scan of a busy bus takes long. With the number of meters it ends when they are found.', '其他任务优先，繁忙总线上搜表较慢。给出表数时，找齐即结束。')}</p>
        <button class="primary" disabled={kept.busy}>{kept.busy ? t('Searching…', '正在搜表……') : t('Search', '开始搜表')}</button>
      </form>
      {(progress || reply) && <section class="card" aria-labelledby="found">
        <h2 id="found">{t('Found', '已找到')}: {meters.length}</h2>
        {progress && !reply && <>
          <progress max="1" value={share} aria-label={t('Progress', '进度')} />
          <p class="small dim" role="status">{t(`${progress.asked} questions asked, about ${progress.left} left, some ${Math.ceil(finite(progress.remaining_ms) / 1000)} s`, `已询问 ${progress.asked} 次，约剩 ${progress.left} 次，约 ${Math.ceil(finite(progress.remaining_ms) / 1000)} 秒`)} · {String(progress.protocol ?? '')} {progress.baud ? `${progress.baud} bit/s ${progress.parity}` : ''} <code>{String(progress.pattern ?? '')}</code></p>
        </>}
        {heard.length > 0 && <ul class="plain small">{heard.map(h => <li>{String(h?.message ?? '')}</li>)}</ul>}
        <Problem error={reply?.error} />
        {reply?.stopped && <Note kind="warn">{t('It ended early: ', '提前结束：')}{String(reply.stopped.message)}</Note>}
        {reply?.ok && <Note kind={reply.sure ? 'good' : 'info'}>{reply.sure ? t('All patterns were asked; there are no others.', '已询问所有地址段，没有遗漏。') : t('It ended when the wanted number was found, or something was heard that no meter could be made of: there may be others.', '找到指定数量后结束，或收到了无法识别的应答：可能还有其他表。')}</Note>}
        {meters.length > 0 && <>
          <div class="scroll" tabIndex={0} role="group" aria-labelledby="found"><table>
            <thead><tr><th scope="col">{t('Address', '表地址')}</th><th scope="col">{t('Protocol', '规约')}</th><th scope="col">{t('Line', '线路')}</th><th scope="col">{t('Named', '名称')}</th></tr></thead>
            <tbody>{meters.map(m => <tr><th scope="row"><code>{String(m.address)}</code></th><td>{String(m.protocol)}</td><td>{m.baud ? `${m.baud} bit/s ${m.parity ?? ''}` : ''}</td><td>{names.get(`${m.address}@${m.protocol}`) ?? <span class="dim">{t('not yet', '未命名')}</span>}</td></tr>)}</tbody>
          </table></div>
          <h3>{t('For the bridge’s settings', '网桥配置')}</h3>
          <div class="row"><code class="line" data-testid="meters-line">{line}</code><Copy text={line} /></div>
        </>}
      </section>}
    </>
  )
}
