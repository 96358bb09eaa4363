import { useEffect, useState } from 'preact/hooks'
import { finite } from '../exact'
import { Frames } from '../frames'
import { subscribe, unsubscribe } from '../link'
import { bridgeStanding, called, infoOf, metersOf, meterStanding } from '../model'
import { Age, BridgeChoice, Note, nothingHeard, Pill, Title, useBridge } from '../ui'
import { EventLine } from './meters'
import { Audit } from './switch'
import { t } from '../words'

// Wire shows what goes on on the bus.
export function Wire () {
  const [b, setBridge] = useBridge()
  const [held, setHeld] = useState<any[]>()
  const [only, setOnly] = useState('')
  useEffect(() => {
    if (!b) return
    const topic = `${b.root}/bridge/frame`
    subscribe(topic)
    return () => unsubscribe(topic)
  }, [b?.root])
  if (!b) return <><Title>{t('Wire', '总线')}</Title><Note>{nothingHeard()}</Note></>
  const bus = b.info?.bus
  const standing = bridgeStanding(b)
  const share = Math.round(finite(bus?.utilisation) * 100)
  const frames = (held ?? b.frames).filter(f => only === '' || f.hex.toLowerCase().includes(only.toLowerCase().replace(/\s/g, ''))).slice(0, 60)
  const listed = metersOf(b).filter(m => infoOf(b, m.name))
  const slowest = Math.max(1, ...listed.map(m => finite(infoOf(b, m.name).turnaround_ms)))
  return (
    <>
      <Title>{t('Wire', '总线')}</Title>
      <section class="card" aria-labelledby="bus">
        <div class="row between"><h2 id="bus">{t('The bus', '总线')}</h2><BridgeChoice bridge={b} choose={setBridge} /></div>
        {!bus
          ? <p class="dim">{t('Nothing is known of it, or your account may not read it.', '没有信息，或您的账号无权读取。')}</p>
          : <>
              <p><code>{String(bus.url)}</code> · {String(bus.baud)} bit/s · {standing.state !== 'online' ? <Pill standing={standing} /> : bus.state === 'up' ? <span class="pill online">{t('up', '正常')}</span> : <span class="pill offline">{t('down', '断开')}</span>} <span class="small dim">{b.infoAt ? <Age at={b.infoAt} /> : t('as the broker has kept it', '代理保留的消息')}</span></p>
              {/* How busy a bus is that nobody hears of is not known. */}
              {standing.state === 'online' && <><div class="meterline"><span>{t('Wire busy in the last minute', '最近一分钟总线占用')}</span><meter min="0" max="100" value={share} aria-label={t('Wire busy in the last minute', '最近一分钟总线占用')} /><strong>{share} %</strong></div>
              <p>{t('Requests that wait', '排队的请求')}: <strong>{String(bus.queue)}</strong></p></>}
            </>}
      </section>
      {listed.length > 0 && <section class="card" aria-labelledby="turn">
        <h2 id="turn">{t('How long each meter takes to begin an answer', '各表应答延时')}</h2>
        <ul class="turnarounds">{listed.slice().sort((x, y) => finite(infoOf(b, y.name).turnaround_ms) - finite(infoOf(b, x.name).turnaround_ms)).map(m => {
          const ms = infoOf(b, m.name).turnaround_ms
          return <li><span>{called(b, m.name)}</span><svg viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true"><rect width={finite(ms) / slowest * 100} height="8" /></svg><span class="right">{ms === null || ms === undefined ? t('not known', '未知') : `${ms} ms`}</span> <Pill standing={meterStanding(b, m)} /></li>
        })}</ul>
      </section>}
      <section class="card" aria-labelledby="frames">
        <div class="row between"><h2 id="frames">{t('Frames as they go by', '实时报文')}</h2>
          <div class="row">
            <label class="field inline"><span>{t('Only with', '筛选')}</span><input value={only} onInput={e => setOnly(e.currentTarget.value)} placeholder={t('hex digits', '十六进制')} size={12} /></label>
            <button type="button" aria-pressed={!!held} onClick={() => setHeld(held ? undefined : [...b.frames])}>{held ? t('Go on', '继续') : t('Hold', '暂停')}</button>
          </div></div>
        {frames.length === 0
          ? <Note>{t('No frame has come. Bridges publish them with DLT645_TRACE=true; your account must be allowed to read bridge/frame.', '还没有报文。网桥设置 DLT645_TRACE=true 后才发布报文；您的账号须有权读取 bridge/frame。')}</Note>
          : <Frames frames={frames} />}
      </section>
      <section class="card" aria-labelledby="events">
        <h2 id="events">{t('Events since this page was opened', '打开本页面以来的事件')}</h2>
        {b.events.length === 0 ? <p class="dim">{t('None.', '无。')}</p> : <ul class="plain">{b.events.slice(0, 50).map(e => <li><EventLine e={e} protocol={infoOf(b, String(e.meter))?.protocol} /></li>)}</ul>}
      </section>
      <Audit b={b} />
    </>
  )
}
