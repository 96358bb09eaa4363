// Charts of time series, with units, gaps where nothing came, and zoom.
import { useEffect, useRef } from 'preact/hooks'
import uPlot from 'uplot'
import 'uplot/dist/uPlot.min.css'
import { t } from './words'

export interface Curve { label: string, data: (number | null)[], dashed?: boolean }

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
    const u = new uPlot({
      width: node.clientWidth || 300,
      height: 260,
      cursor: { drag: { x: true, y: false } },
      scales: { x: { time: !minutes } },
      legend: { live: true },
      axes: [
        { ...axis, space: 70, values: (_u, splits) => splits.map(v => minutes ? hm(v) : clock(v)), ...(minutes ? { incrs: [15, 30, 60, 120, 180, 240, 360] } : {}) },
        { ...axis, label: unit, labelFont: '12px system-ui, sans-serif', labelSize: 18, size: 56 }
      ],
      series: [
        { label: t('Time', '时间'), value: (_u, v) => v === null ? '—' : minutes ? hm(v) : clock(v) },
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

  return (
    <figure class="chart">
      <div ref={box} role="img" aria-label={summary} />
      <figcaption class="small">{t('Drag to zoom, double-click to see all. A gap: nothing came.', '拖动可放大，双击恢复全部。空白处表示没有数据。')}</figcaption>
    </figure>
  )
}

// A Bar is a period: its parts, and what they come to by the meter's own count.
export interface Bar { label: string, parts: { label: string, value: number, text: string }[], total?: string }

// Bars stacks parts; the same stands in a table for those who cannot see it.
export function Bars ({ bars, unit, caption }: { bars: Bar[], unit: string, caption: string }) {
  const sums = bars.map(b => b.parts.reduce((s, p) => s + Math.max(0, p.value), 0))
  const most = Math.max(...sums, 1e-9)
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
            <span>{sums[i] > 0 || b.parts.length > 0 ? b.label : `${b.label} —`}</span>
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
