// The page's words, in English and Chinese, each pair where it is used.

export type Language = 'en' | 'zh'

const kept = () => { try { return localStorage.getItem('language') } catch { return null } }

export let language: Language = (kept() ?? (navigator.language.toLowerCase().startsWith('zh') ? 'zh' : 'en')) as Language

export function setLanguage (l: Language) {
  language = l
  try { localStorage.setItem('language', l) } catch { /* a browser that keeps nothing */ }
  document.documentElement.lang = l === 'zh' ? 'zh-CN' : 'en'
}

// t chooses between the two.
export const t = (en: string, zh: string) => language === 'zh' ? zh : en

// own looks a word of a stranger up: only what the table itself has counts, not what every object has.
export const own = <T>(table: Record<string, T>, key: unknown): T | undefined => Object.hasOwn(table, String(key)) ? table[String(key)] : undefined
