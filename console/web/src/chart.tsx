// Charts of time series, with units, gaps where nothing came, and zoom.
import { useEffect, useRef } from 'preact/hooks'
import uPlot from 'uplot'
import 'uplot/dist/uPlot.min.css'
import { t } from './words'

export interface Curve { label: string, data: (number | null)[], dashed?: boolean }

// seconds are the distances at which times may stand below a chart: none is shorter than what is written there.
const seconds = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400, 2 * 86_400, 7 * 86_400, 14 * 86_400, 28 * 86_400]

const colour = (name: string) => getComputedStyle(document.documentElement).getPropertyValue(name).trim()

// Chart draws curves over x, seconds since 1970. minutes: x is minutes of a day instead.
export function Chart ({ x, curves, unit, minutes, summary }: { x: number[], curves: Curve[], unit: string, minutes?: boolean, summary: string }) {
  const box = useRef<HTMLDivElement>(null)
  const plot = useRef<uPlot>()
  const theme = document.documentElement.dataset.theme ?? ''
  const shape = JSON.stringify([curves.map(c => c.label), unit, minutes, theme, document.documentElement.lang])
  const data = [x, ...curves.map(c => c.data)] as uPlot.AlignedData

  useEffect(() => {
    const node = box.current!
    const ink = colour('--muted'); const lines = colour('--line')
    const colours = [colour('--curve-1'), colour('--curve-2'), colour('--curve-3')]
    const axis = { stroke: ink, grid: { stroke: lines, width: 1 }, ticks: { stroke: lines, width: 1 }, font: '12px system-ui, sans-serif' }
    const hm = (v: number) => `${String(Math.floor(v / 60)).padStart(2, '0')}:${String(Math.round(v % 60)).padStart(2, '0')}`
    const two = (n: number) => String(n).padStart(2, '0')
    const clock = (v: number) => { const d = new Date(v * 1000); return `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}` }
    const date = (v: number) => { const d = new Date(v * 1000); return `${two(d.getMonth() + 1)}-${two(d.getDate())}` }
    // Where another day begins, and at the beginning if there are several, the day stands as well.
    const times = (splits: number[]) => splits.map((v, i) =>
      (i > 0 ? date(v) !== date(splits[i - 1]) : date(v) !== date(splits[splits.length - 1])) ? `${clock(v)}\n${date(v)}` : clock(v))
    const moment = (v: number) => date(v) === date(Date.now() / 1000) ? clock(v) : `${date(v)} ${clock(v)}`
    const u = new uPlot({
      width: node.clientWidth || 300,
      height: 260,
      cursor: { drag: { x: true, y: false } },
      scales: { x: { time: !minutes } },
      legend: { live: true },
      axes: [
        { ...axis, space: 70, values: (_u, splits) => minutes ? splits.map(hm) : times(splits), incrs: minutes ? [15, 30, 60, 120, 180, 240, 360] : seconds },
        { ...axis, label: unit, labelFont: '12px system-ui, sans-serif', labelSize: 18, size: 56 }
      ],
      series: [
        { label: t('Time', '时间'), value: (_u, v) => v === null ? '—' : minutes ? hm(v) : moment(v) },
        ...curves.map((c, i) => ({
          label: c.label,
          stroke: colours[i % colours.length],
          width: 2,
          dash: c.dashed ? [6, 4] : undefined,
          spanGaps: false,
          points: { show: (u: uPlot) => u.data[0].length < 30 },
          value: (_u: uPlot, v: number | null) => v === null ? '—' : `${v} ${unit}`
        }))
      ]
    }, data, node)
    plot.current = u
    const resized = new ResizeObserver(() => { if (node.clientWidth > 0) u.setSize({ width: node.clientWidth, height: 260 }) })
    resized.observe(node)
    return () => { resized.disconnect(); u.destroy(); plot.current = undefined }
  }, [shape])

  useEffect(() => {
    const u = plot.current
    if (!u) return
    // Who has zoomed in keeps what he looks at.
    const all = u.data[0]
    const zoomed = all && all.length > 1 && u.scales.x.min !== undefined && (u.scales.x.min! > all[0] || u.scales.x.max! < all[all.length - 1])
    u.setData(data, !zoomed)
  })

  // show looks at a part of the curves: times as wide as now, and moved by a share of its width.
  const show = (wider: number, by: number) => {
    const u = plot.current
    const all = u?.data[0]
    if (!u || !all || all.length < 2 || u.scales.x.min === undefined) return
    const [from, to] = [all[0], all[all.length - 1]]
    const { min, max } = u.scales.x as { min: number, max: number }
    const width = Math.min(to - from, Math.max((max - min) * wider, (to - from) / 1000))
    const begin = Math.min(to - width, Math.max(from, (min + max - width) / 2 + by * width))
    u.setScale('x', { min: begin, max: begin + width })
  }
  const ways: [string, string, number, number][] = [
    ['+', t('Zoom in', '放大'), 0.5, 0], ['−', t('Zoom out', '缩小'), 2, 0], ['◀', t('Earlier', '向前'), 1, -0.5], ['▶', t('Later', '向后'), 1, 0.5]
  ]

  return (
    <figure class="chart">
      <div ref={box} role="img" aria-label={summary} />
      <div class="row tight noprint" role="group" aria-label={t('What is seen of the chart', '图表显示范围')}>
        {ways.map(([sign, title, wider, by]) => <button type="button" class="zoom" aria-label={title} title={title} onClick={() => show(wider, by)}>{sign}</button>)}
        <button type="button" class="zoom" onClick={() => show(Infinity, 0)}>{t('All', '全部')}</button>
      </div>
      <figcaption class="small">{t('Drag to zoom, double-click to see all; or use the buttons. A gap: nothing came.', '拖动可放大，双击恢复全部；也可使用按钮。空白处表示没有数据。')}</figcaption>
    </figure>
  )
}

// A Bar is a period: its parts, and what they come to by the meter's own count.
export interface Bar { label: string, parts: { label: string, value: number, text: string }[], total?: string }

// Bars stacks parts; the same stands in a table for those who cannot see it.
export function Bars ({ bars, unit, caption }: { bars: Bar[], unit: string, caption: string }) {
  const sums = bars.map(b => b.parts.reduce((s, p) => s + Math.max(0, p.value), 0))
  const most = Math.max(...sums, 1e-9)
  const apart = Math.ceil(bars.length / 6) // at most six names have room on a phone
  const names = bars.find(b => b.parts.length > 0)?.parts.map(p => p.label) ?? []
  const totals = names.length > 1 && bars.some(b => b.total !== undefined)
  return (
    <figure class="bars">
      <div class="stacks" aria-hidden="true">
        {bars.map((b, i) => (
          <div class="stack" title={`${b.label}: ${b.parts.map(p => `${p.label} ${p.text}`).join(', ')}`}>
            <svg viewBox="0 0 10 100" preserveAspectRatio="none">
              {b.parts.reduce<{ y: number, nodes: any[] }>((acc, p, k) => {
                const h = Math.max(0, p.value) / most * 100
                acc.nodes.push(<rect class={`part-${k}`} x="1" width="8" y={100 - acc.y - h} height={h} />)
                return { y: acc.y + h, nodes: acc.nodes }
              }, { y: 0, nodes: [] }).nodes}
            </svg>
            <span class={i % apart === 0 && i + apart / 2 < bars.length ? 'far' : ''}>{sums[i] > 0 || b.parts.length > 0 ? b.label : `${b.label} —`}</span>
          </div>
        ))}
      </div>
      <div class="legend" aria-hidden="true">{names.map((n, k) => <span><i class={`part-${k}`} />{n}</span>)}</div>
      <div class="scroll" tabIndex={0} role="group" aria-label={caption}>
        <table>
          <caption>{caption}</caption>
          <thead><tr><th scope="col">{t('Period', '时段')}</th>{names.map(n => <th scope="col" class="right">{n} {unit}</th>)}{totals && <th scope="col" class="right">{t('total', '总')} {unit}</th>}</tr></thead>
          <tbody>
            {bars.map(b => <tr><th scope="row">{b.label}</th>{b.parts.length > 0 ? <>{b.parts.map(p => <td class="right">{p.text}</td>)}{totals && <td class="right">{b.total ?? '—'}</td>}</> : <td colSpan={names.length + (totals ? 1 : 0) || 1}>{t('nothing stored', '没有存储的数据')}</td>}</tr>)}
          </tbody>
        </table>
      </div>
    </figure>
  )
}
