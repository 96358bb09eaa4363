// Numbers with exactly the digits that the meter sent.

// A Decimal is a number of a payload: its text is what people see, its value what charts draw.
export class Decimal {
  constructor (readonly text: string) {}
  valueOf () { return Number(this.text) }
  toString () { return this.text }
  toJSON () { return Number(this.text) }
}

const token = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g
const mark = '\u0001'
const number = /^-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?$/

// parse reads JSON whose numbers become Decimals; undefined if it is none.
export function parse (text: string): any {
  try {
    const marked = text.replace(token, found => found[0] === '"' ? found : `"${'\\u0001'}${found}"`)
    return JSON.parse(marked, (_key, value) =>
      typeof value === 'string' && value[0] === mark && number.test(value.slice(1)) ? new Decimal(value.slice(1)) : value)
  } catch {
    return undefined
  }
}

// plain reads JSON in the usual way; undefined if it is none.
export function plain (text: string): any {
  try { return JSON.parse(text) } catch { return undefined }
}

// finite makes a number of whatever stands in a payload; 0 if it is none.
export const finite = (value: unknown): number => Number.isFinite(Number(value)) ? Number(value) : 0

const digits = (d: string) => (d.split('.')[1] ?? '').length
const scaled = (d: string, places: number) => {
  const [whole, fraction = ''] = d.split('.')
  return BigInt(whole + fraction.padEnd(places, '0'))
}

// minus subtracts without floating point in between.
export function minus (a: Decimal, b: Decimal): Decimal {
  const places = Math.max(digits(a.text), digits(b.text))
  const n = scaled(a.text, places) - scaled(b.text, places)
  const s = (n < 0n ? -n : n).toString().padStart(places + 1, '0')
  const at = s.length - places
  return new Decimal((n < 0n ? '-' : '') + s.slice(0, at) + (places ? '.' + s.slice(at) : ''))
}
