import { finite } from '../exact'
import { bridgeList, bridgeStanding, meterStanding, metersOf } from '../model'
import { Age, Note, nothingHeard, Pill, Title } from '../ui'
import { t } from '../words'

// Fleet has a row for each bridge that the account may see.
export function Fleet () {
  const list = bridgeList()
  return (
    <>
      <Title>{t('Fleet', '网桥')}</Title>
      <p>{t('Every bridge of this broker whose topics your account may read.', '此 MQTT 代理上您的账号有权查看的所有网桥。')}</p>
      {list.length === 0 && <Note>{nothingHeard()}</Note>}
      <div class="scroll" tabIndex={0} role="group" aria-label={t('Bridges', '网桥')}>
        <table class="wide">
          <thead><tr>
            <th scope="col">{t('Bridge', '网桥')}</th><th scope="col">{t('State', '状态')}</th><th scope="col">{t('Meters', '电能表')}</th>
            <th scope="col">{t('Bus', '总线')}</th><th scope="col" class="right">{t('Wire busy', '总线占用')}</th><th scope="col" class="right">{t('Queue', '排队')}</th>
            <th scope="col">{t('Allowed', '允许的操作')}</th><th scope="col">{t('Version', '版本')}</th><th scope="col">{t('Heard', '最近消息')}</th>
          </tr></thead>
          <tbody>
            {list.map(b => {
              const standing = bridgeStanding(b)
              const meters = metersOf(b)
              const count = (state: string) => meters.filter(m => meterStanding(b, m).state === state).length
              const [on, off, unknown] = [count('online'), count('offline'), count('unknown')]
              return (
                <tr class={standing.state}>
                  <th scope="row"><a href={`#/meters/${encodeURIComponent(b.root)}`}>{b.root}</a>{b.info && (b.info.site || b.info.host) ? <div class="small dim">{[b.info.site, b.info.host].filter(Boolean).map(String).join(' · ')}</div> : null}</th>
                  <td><Pill standing={standing} /></td>
                  <td>
                    {t(`${on} of ${meters.length} online`, `${on}/${meters.length} 在线`)}
                    {off > 0 && <span class="badtext">{t(`, ${off} offline`, `，${off} 离线`)}</span>}
                    {unknown > 0 && <span class="dim">{t(`, ${unknown} unknown`, `，${unknown} 未知`)}</span>}
                  </td>
                  <td>{b.info ? <><code class="url">{String(b.info.bus?.url)}</code> {b.info.bus?.baud ? <>{String(b.info.bus.baud)} bit/s </> : null}{standing.state === 'online' ? b.info.bus?.state === 'up' ? null : <span class="badtext">{t('down', '断开')}</span> : <span class="dim">{t('unknown', '未知')}</span>}</> : '—'}</td>
                  <td class="right">{b.info && standing.state === 'online' ? `${Math.round(finite(b.info.bus?.utilisation) * 100)} %` : '—'}</td>
                  <td class="right">{b.info && standing.state === 'online' ? String(b.info.bus?.queue) : '—'}</td>
                  <td>{Array.isArray(b.info?.allow) ? b.info.allow.map(String).join(', ') : '—'}</td>
                  <td>{b.info ? String(b.info.version) : '—'}</td>
                  <td>{b.infoAt ? <Age at={b.infoAt} /> : b.info ? t('kept by the broker', '代理保留') : '—'}</td>
                </tr>
              )
            })}
          </tbody>
        </table>
      </div>
    </>
  )
}
