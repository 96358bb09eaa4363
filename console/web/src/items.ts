// The dictionary of the binary, and names of items in words.
import { learnClock } from './link'
import { changed } from './model'
import { language, own, t } from './words'

export interface Row {
  protocol: string, name: string, di: string, ranges?: string, picture: string, unit: string, access: string, text_en: string, text_zh: string
}

export let rows: Row[] = []
// What items are called otherwise, as the binary's own search knows it.
let everyday: { names: Record<string, string[]>, same: string[], moments: string[] } = { names: {}, same: [], moments: [] }
const byProtocol = new Map<string, Map<string, Row>>()
const anywhere = new Map<string, Row>()

export async function loadItems () {
  const askedAt = Date.now()
  const response = await fetch('items.json')
  learnClock(response.headers.get('Date'), askedAt)
  everyday = await (await fetch('words.json')).json()
  const seen = new Set<string>() // some tables have a row for each kind of meter
  rows = (await response.json()).map(plainly).filter((r: Row) => {
    const key = `${r.protocol} ${r.di} ${r.name}`
    return !seen.has(key) && !!seen.add(key)
  })
  // An item has its own row before that of one of its phases: a map of Modbus has a row for each.
  for (const name of [(r: Row) => r.name, (r: Row) => stem(r.name)]) {
    for (const r of rows) {
      if (!byProtocol.has(r.protocol)) byProtocol.set(r.protocol, new Map())
      const table = byProtocol.get(r.protocol)!
      if (!table.has(name(r))) table.set(name(r), r)
      if (!anywhere.has(name(r))) anywhere.set(name(r), r)
    }
  }
  changed()
}

// plainly takes the places out of a row where its family runs: they stand in braces in some tables.
function plainly (r: any): Row {
  const first: Record<string, string> = { p: '_a', r: '_1' }
  return {
    ...r,
    name: String(r.name).replace(/\{(\w)\}/g, (_, letter) => first[letter] ?? ''),
    di: r.di ?? r.oad ?? r.register ?? '',
    picture: r.picture ?? '',
    unit: r.unit ?? '',
    text_en: String(r.text_en ?? '').replace(/\{\w\}/g, ''),
    text_zh: String(r.text_zh ?? '').replace(/\{\w\}/g, '')
  }
}

const endings = /_(?:[abc]|t\d+|h\d+|\d+|block)$/
const stem = (name: string) => {
  while (endings.test(name)) name = name.replace(endings, '')
  return name
}

// find returns the row of an item's family: from the table of the protocol if that has it, else from any.
export function find (item: string, protocol?: string): Row | undefined {
  const ofProtocol = protocol === undefined ? undefined : byProtocol.get(protocol) ?? byProtocol.get(protocol.split('/')[0])
  return (ofProtocol && within(ofProtocol, item)) ?? within(anywhere, item)
}

function within (table: Map<string, Row>, item: string): Row | undefined {
  let name = item.replace(/\..*$/, '')
  for (;;) {
    const r = table.get(name)
    if (r) return r
    const shorter = name.endsWith('_time') ? name.slice(0, -5) : name.replace(endings, '')
    if (shorter === name) return undefined
    name = shorter
  }
}

export const unitOf = (item: string, protocol?: string): string =>
  item === 'clock_drift_s' ? 's' : /_time$/.test(item) || item.includes('.') ? '' : find(item, protocol)?.unit ?? ''

const tariffs: [string, string][] = [['total', '总'], ['sharp', '尖'], ['peak', '峰'], ['flat', '平'], ['valley', '谷']]
export const tariff = (n: number) => n < tariffs.length && n > 0
  ? t(`tariff ${n} (${tariffs[n][0]})`, `费率${n}（${tariffs[n][1]}）`) : n === 0 ? t('total', '总') : t(`tariff ${n}`, `费率${n}`)

export const capital = (s: string) => s.charAt(0).toUpperCase() + s.slice(1)

// label is what people call an item.
export function label (item: string, protocol?: string): string {
  const r = find(item, protocol)
  if (item === 'clock_drift_s') return t('Clock ahead by', '时钟偏快')
  if (!r) return item === 'relay' ? t('Relay', '继电器') : item === 'valve' ? t('Valve', '阀门') : item
  const [whole, flag] = item.split('.')
  const parts: string[] = []
  let rest = whole
  if (rest.endsWith('_time') && rest !== r.name) { parts.unshift(t('time', '发生时间')); rest = rest.slice(0, -5) }
  while (rest !== r.name && rest !== stem(r.name)) {
    const ending = endings.exec(rest)?.[0].slice(1)
    if (!ending) break
    rest = rest.slice(0, -ending.length - 1)
    if (ending === 'block') parts.unshift(t('all', '全部'))
    else if (/^[abc]$/.test(ending)) parts.unshift(t(`phase ${ending.toUpperCase()}`, `${ending.toUpperCase()}相`))
    else if (/^t\d/.test(ending)) parts.unshift(tariff(Number(ending.slice(1))))
    else if (/^h\d/.test(ending)) parts.unshift(t(`${ending.slice(1)} settlement(s) back`, `上${ending.slice(1)}结算日`))
    else parts.unshift(!/\bw+=/.test(r.ranges ?? '') ? t(`record ${ending}`, `第${ending}次`) : ending)
  }
  if (rest === r.name && stem(rest) !== rest && parts.length === 0) {
    const ending = /_([abc])$/.exec(rest)?.[1]
    if (ending && /p=|pp=/.test(r.ranges ?? '')) parts.unshift(t(`phase ${ending.toUpperCase()}`, `${ending.toUpperCase()}相`))
  }
  if (flag) parts.push(flag.replaceAll('_', ' '))
  const text = language === 'zh' ? r.text_zh || r.text_en : capital(r.text_en)
  const joined = parts.join(t(', ', ' '))
  return joined ? `${text}${t(', ', ' ')}${joined}` : text
}

const isChinese = (word: string) => /\p{Script=Han}/u.test(word)

// usual writes a word of electricians as tables do: 电能 for 电量.
function usual (word: string): string {
  const plain = word.toUpperCase().replace(/[！-～]/g, c => String.fromCharCode(c.charCodeAt(0) - 0xFEE0))
  const pairs = everyday.same
  const by = new Map(pairs.flatMap((w, i) => i % 2 ? [] : [[w, pairs[i + 1]]]))
  return by.size === 0 ? plain : plain.replace(new RegExp([...by.keys()].join('|'), 'g'), w => by.get(w)!)
}

// meant are the names of the items that an everyday word may mean.
function meant (word: string): string[] {
  if (!isChinese(word)) return []
  const key = usual(word)
  for (const moment of everyday.moments) {
    const names = key.startsWith(moment) ? own(everyday.names, key.slice(moment.length)) : undefined
    if (names) return names
  }
  return []
}

// hasWord says whether a word occurs in a row, or is the name or the identifier of an item of it.
function hasWord (r: Row, word: string): boolean {
  if (`${r.name} ${r.di} ${r.text_en} ${r.text_zh}`.toLowerCase().includes(word)) return true
  const table = byProtocol.get(r.protocol)
  if (table && r.ranges && endings.test(word) && within(table, word) === r) return true
  return word.length === r.di.length && /^[0-9a-f]+$/.test(word) && /[a-z]/.test(r.di) && [...word].every((c, i) => /[a-z]/.test(r.di[i]) || r.di[i].toLowerCase() === c)
}

// search finds rows by words, all of which must match, in the dictionaries of some protocols; of rows that
// mean the same item by the same name the first. It finds what dlt645-mqtt items does.
export function search (text: string, protocols: Iterable<string>): Row[] {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean)
  // A model of a protocol, such as modbus/dtsu666, may have a table of its own.
  const wanted = new Set([...protocols].flatMap(p => [p, p.split('/')[0]]))
  const known = rows.filter(r => wanted.has(r.protocol))
  const names = new Set<string>()
  const matching = (words: string[]) => (known.length > 0 ? known : rows).filter(r => words.every(w => hasWord(r, w)) && !names.has(r.name) && !!names.add(r.name))
  const found = words.flatMap((word, i) => meant(word).flatMap(name => matching(words.map((w, k) => k === i ? name : w))))
  found.push(...matching(words))
  return found.length > 0 ? found : matching(words.map(w => isChinese(w) ? usual(w).toLowerCase() : w))
}

// variants are the members of a family that people ask for: how its name ends for each.
export function variants (r: Row): { phases: string[], tariffs: string[], back: string[] } {
  const runs = new Map((r.ranges ?? '').split(' ').filter(range => range.includes('=')).map(range => [range[0], range.slice(range.indexOf('=') + 1)]))
  const block = (list: string) => /,F+$/.test(list) ? ['block'] : []
  const p = runs.get('p'); const tt = runs.get('t'); const h = runs.get('h')
  const named = /_a(?=_|$)/.test(r.name)
  const phases = p === undefined ? [] : named ? ['a', 'b', 'c', ...block(p)] : /^0+\.\./.test(p) ? ['', 'a', 'b', 'c', ...block(p)] : []
  const tariffs = tt === undefined || phases.length > 0 || /_\d+$/.test(r.name) ? [] : [...(/^0/.test(tt) ? [''] : []), 't1', 't2', 't3', 't4', ...block(tt)]
  const back = h === undefined ? [] : h.includes('..') ? ['', 'h1', 'h2', 'h3'] : ['', 'h1', 'h2']
  return { phases, tariffs, back }
}

// member is the name of one member of a family.
export function member (r: Row, ending: string, back: string): string {
  if (ending === '' && back === '') return r.name
  if (ending !== '' && variants(r).phases.length > 0 && /_a(?=_|$)/.test(r.name)) return [r.name.replace(/_a(?=_|$)/, `_${ending}`), back].filter(Boolean).join('_')
  const [, base, time] = /^(.*?)(_time)?$/.exec(r.name)!
  return [base.replace(/_t1$/, ''), ending, back].filter(Boolean).join('_') + (time ?? '')
}
