import { render } from 'preact'
import { useEffect, useErrorBoundary, useState } from 'preact/hooks'
import './console.css'
import { loadItems } from './items'
import { connect, link, login, logout, signIn, takeAccount } from './link'
import { bridgeList, changed, discover, follow, gapEverywhere, onChange } from './model'
import { Fleet } from './pages/fleet'
import { Meters } from './pages/meters'
import { Points } from './pages/points'
import { Read } from './pages/read'
import { Scan } from './pages/scan'
import { Switch } from './pages/switch'
import { Wire } from './pages/wire'
import { clock, Note } from './ui'
import { language, setLanguage, t } from './words'

const meta = (name: string) => document.querySelector(`meta[name=dlt645-${name}]`)?.getAttribute('content') ?? ''

const pages: [string, () => string, (p: { path: string[] }) => any][] = [
  ['meters', () => t('Meters', '电能表'), Meters],
  ['read', () => t('Read', '抄读'), Read],
  ['switch', () => t('Switch', '拉合闸'), Switch],
  ['points', () => t('Points', '采集点'), Points],
  ['scan', () => t('Scan', '搜表'), Scan],
  ['wire', () => t('Wire', '总线'), Wire],
  ['fleet', () => t('Fleet', '网桥')  , Fleet]
]

type Theme = 'auto' | 'light' | 'dark'
const themes: Theme[] = ['auto', 'light', 'dark']
let theme: Theme = (() => { try { return (localStorage.getItem('theme') ?? 'auto') as Theme } catch { return 'auto' } })()

function setTheme (next: Theme) {
  theme = next
  try { localStorage.setItem('theme', next) } catch { /* a browser that keeps nothing */ }
  const dark = matchMedia('(prefers-color-scheme: dark)').matches
  document.documentElement.dataset.theme = next === 'auto' ? (dark ? 'dark' : 'light') : next
  changed()
}

// pathOf takes the address apart. Of one that was cut off in the middle of a character the rest counts as it stands.
const pathOf = (hash: string) => hash.replace(/^#\/?/, '').split('/').map(part => {
  try { return decodeURIComponent(part) } catch { return part }
})

// Guarded shows a page, or, where it stumbles over something that was published, says so, and leaves the way to the others.
function Guarded ({ children }: { children: any }) {
  const [error] = useErrorBoundary()
  return error
    ? <Note kind="bad">{t('This page cannot be shown: ', '无法显示本页面：')}{String(error)}</Note>
    : children
}

function Page () {
  const [, draw] = useState(0)
  const [path, setPath] = useState(pathOf(location.hash))
  useEffect(() => onChange(() => draw(n => n + 1)), [])
  useEffect(() => {
    const moved = () => {
      setPath(pathOf(location.hash))
      setTimeout(() => {
        scrollTo(0, 0)
        document.querySelector<HTMLElement>('main h1')?.focus({ preventScroll: true })
      }, 0)
    }
    addEventListener('hashchange', moved)
    return () => removeEventListener('hashchange', moved)
  }, [])
  useEffect(() => { document.querySelector('nav [aria-current]')?.scrollIntoView({ block: 'nearest', inline: 'center' }) }, [path[0]])
  const here = pages.find(([id]) => id === path[0]) ?? pages[0]
  const Body = here[2]
  document.title = `${here[1]()} · dlt645-mqtt`
  return (
    <>
      <a class="skip" href="#main" onClick={e => { e.preventDefault(); document.querySelector<HTMLElement>('main h1')?.focus() }}>{t('To the content', '跳到正文')}</a>
      <header class="top">
        <a class="brand" href="#/meters"><img src="icon.svg" alt="" width="28" height="28" /><span>dlt645-mqtt</span></a>
        <div class="tools">
          <Connection />
          <button type="button" class="quiet" onClick={() => { setLanguage(language === 'zh' ? 'en' : 'zh'); changed() }} lang={language === 'zh' ? 'en' : 'zh-CN'}>{language === 'zh' ? 'English' : '中文'}</button>
          <button type="button" class="quiet" onClick={() => setTheme(themes[(themes.indexOf(theme) + 1) % 3])}
            aria-label={t('Colours: ', '配色：') + { auto: t('as the system', '跟随系统'), light: t('light', '浅色'), dark: t('dark', '深色') }[theme]}>
            {{ auto: '◐', light: '☀', dark: '☾' }[theme]}
          </button>
        </div>
        <nav aria-label={t('Pages', '页面')}>
          {pages.map(([id, title]) => <a href={`#/${id}`} aria-current={here[0] === id ? 'page' : undefined}>{title()}</a>)}
        </nav>
      </header>
      <Banner />
      <main id="main" class={link.state === 'lost' ? 'stale' : ''}>
        {link.state === 'login' ? <Login /> : <Guarded key={path.join('/')}><Body path={path} key={here[0]} /></Guarded>}
      </main>
      <footer class="bottom small">
        dlt645-mqtt {meta('version')} · <a href="licences.txt">{t('licences', '许可证')}</a>
        {link.user && <> · {t('signed in as', '当前用户')} {link.user} <button type="button" class="quiet" onClick={logout}>{t('Sign out', '退出')}</button></>}
        {!link.user && link.state === 'up' && <> · <button type="button" class="quiet" onClick={signIn}>{t('Sign in with an account', '用账号登录')}</button></>}
      </footer>
    </>
  )
}

function Connection () {
  const word = { connecting: t('connecting', '连接中'), login: t('signed out', '未登录'), up: t('connected', '已连接'), lost: t('no connection', '连接断开') }[link.state]
  return <span class={`link ${link.state}`} role="status">{word}</span>
}

function Banner () {
  if (link.state !== 'lost') return null
  const left = Math.max(0, Math.ceil((link.retryAt - Date.now()) / 1000))
  return (
    <div class="banner" role="alert">
      <strong>{t('The connection to the broker is lost.', '到 MQTT 代理的连接已断开。')}</strong>{' '}
      {link.lostAt > 0 && <>{t(`What stands here is as of ${clock(link.lostAt)}; how the meters are now is not known.`, `以下内容截至 ${clock(link.lostAt)}；电表现在的状态未知。`)} </>}
      {link.why && <span>{capital(link.why)}. </span>}
      <span aria-hidden="true">{t(`Next attempt in ${left} s.`, `${left} 秒后重试。`)} </span>
      <button type="button" onClick={connect}>{t('Now', '立即重试')}</button>
    </div>
  )
}

const capital = (s: string) => s.charAt(0).toUpperCase() + s.slice(1).replace(/[.。]$/, '')

function Login () {
  const send = (e: any) => {
    e.preventDefault()
    const form = new FormData(e.currentTarget)
    login(String(form.get('user')), String(form.get('password')))
  }
  return (
    <form class="card login" onSubmit={send}>
      <h1 tabIndex={-1}>{t('Sign in at the broker', '登录 MQTT 代理')}</h1>
      <p>{t('With an account of the MQTT broker. What you may see and do here is what its access list allows that account.',
        '请使用 MQTT 代理的账号。您在这里能看到和操作的内容，由代理的访问控制列表决定。')}</p>
      {link.why && <Note kind="bad">{link.why}</Note>}
      <label class="field"><span>{t('User name', '用户名')}</span><input name="user" autocomplete="username" required autofocus /></label>
      <label class="field"><span>{t('Password', '密码')}</span><input name="password" type="password" autocomplete="current-password" /></label>
      <div class="row">
        <button class="primary">{t('Sign in', '登录')}</button>
        {link.anonymous && <button type="button" onClick={() => login('', '')}>{t('Go on without an account', '不登录，继续')}</button>}
      </div>
      {location.protocol === 'http:' && !/^(localhost|127\.|\[::1\])/.test(location.hostname) &&
        <p class="small">{t('This page came without encryption: whoever can listen on the network can read the password.', '本页面未加密：能监听网络的人可以看到密码。')}</p>}
    </form>
  )
}

setLanguage(language)
setTheme(theme)
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => setTheme(theme))
render(<Page />, document.getElementById('page')!)

discover()
if (meta('root')) follow(meta('root'))
if (meta('account')) void takeAccount()
else connect()
let failed = 0
const items = () => {
  loadItems().catch(() => { setTimeout(items, Math.min(30, ++failed * 2) * 1000) })
}
items()
let was = link.state
onChange(() => {
  if (was === 'up' && link.state !== 'up') gapEverywhere()
  was = link.state
})
// Ages grow.
setInterval(() => { if (!document.hidden && bridgeList().length >= 0) changed() }, 1000)
