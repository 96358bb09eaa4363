// Frames, each explained by the decoder of the binary.
import { useEffect, useState } from 'preact/hooks'
import { Decimal, parse } from './exact'
import { label } from './items'
import { clock } from './ui'
import { own, t } from './words'

export interface Frame { at: number, direction: string, hex: string }

const explained = new Map<string, any[] | string>()
let waiting = 0

// explain asks the binary once for each frame; masked ones cannot be explained.
async function explain (hex: string): Promise<any[] | string> {
  const known = explained.get(hex)
  if (known) return known
  if (hex.includes('*')) return t('A password was in it, which is masked.', '其中含密码，已隐去。')
  if (waiting > 8) return ''
  waiting++
  try {
    const ask = async (protocol: string) => {
      const response = await fetch(`decode?hex=${encodeURIComponent(hex)}${protocol && `&protocol=${protocol}`}`)
      return parse(await response.text()) ?? { error: response.status }
    }
    const nothing = (a: any) => !Array.isArray(a) || a.every(d => d?.error)
    let answer = await ask('')
    // Frames of Modbus have no marks of their own.
    if (nothing(answer)) {
      const other = await ask('modbus')
      if (!nothing(other)) answer = other
    }
    const found = Array.isArray(answer) ? answer : String(answer?.error ?? '')
    if (explained.size > 1000) explained.clear()
    explained.set(hex, found)
    return found
  } catch {
    return ''
  } finally {
    waiting--
  }
}

const arrows: Record<string, () => string> = {
  sent: () => t('sent', '发送'), received: () => t('received', '接收'), ignored: () => t('ignored', '忽略')
}

function Line ({ f }: { f: Frame }) {
  const [what, setWhat] = useState<any[] | string>(explained.get(f.hex) ?? '')
  useEffect(() => {
    let gone = false
    void explain(f.hex).then(w => { if (!gone) setWhat(w) })
    return () => { gone = true }
  }, [f.hex])
  return (
    <li class={`frame ${/^(sent|received|ignored)$/.test(f.direction) ? f.direction : ''}`}>
      <span class="small"><time>{clock(f.at)}.{String(f.at % 1000).padStart(3, '0')}</time> <strong>{own(arrows, f.direction)?.() ?? f.direction}</strong></span>
      <code class="hex">{f.hex.replace(/(..)(?=.)/g, '$1 ')}</code>
      <span class="small said">{typeof what === 'string' ? what : what.map((d, i) => <span key={i}>{said(d)}</span>)}</span>
    </li>
  )
}

// said puts a description into one line, whatever keys its protocol has.
function said (d: any): string {
  if (!d || typeof d !== 'object') return String(d)
  if (d.error) return String(d.error)
  const parts = [d.protocol, d.address, d.function ?? d.service, d.item && !d.values ? label(String(d.item)) : d.di].filter(Boolean).map(String)
  // Of the flags of a status word those that are set.
  const values = d.values && typeof d.values === 'object'
    ? Object.entries(d.values).filter(([k, v]) => !k.includes('.') || (v !== false && v !== '')).map(([k, v]) =>
      k.includes('.') ? k.replace(/^.*\./, '').replaceAll('_', ' ') + (v === true ? '' : ` ${text(v)}`) : `${label(k)} ${text(v)}${d.units?.[k] ? ` ${d.units[k]}` : ''}`)
    : []
  const refused = d.refusal ?? d.reasons
  if (refused) parts.push(t('refused: ', '拒绝：') + text(refused))
  return [...parts, ...values].join(' · ')
}

const text = (v: any): string => v instanceof Decimal ? v.text : v && typeof v === 'object' ? 'value' in v ? [v.value, v.unit].filter(x => x !== undefined && x !== '').join(' ') : JSON.stringify(v) : String(v)

export function Frames ({ frames }: { frames: Frame[] }) {
  return <ol class="frames">{frames.map(f => <Line key={`${f.at} ${f.direction} ${f.hex}`} f={f} />)}</ol>
}
