// The console against the demo, in a real browser: what a new user does.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { cleanUp, freePort, launch, missing, run, visit } from './stack.js'

describe('the demo', { skip: missing('the console in a browser', 'chromium', 'go') }, () => {
  let demo, address, browser
  before(async () => {
    demo = run({ DLT645_MQTT_URL: `embedded://127.0.0.1:${await freePort()}`, DLT645_TOPIC: `demo-${process.pid}`, DLT645_BUS_URL: 'sim://?meters=4&baud=115200&turnaround=5ms' }, 'demo')
    const line = await demo.says(/^(http:\S+)\/ /m)
    address = line[1]
    assert.equal(demo.output().split('\n').find(l => l !== ''), line.input.split('\n').find(l => l.startsWith('http')), 'the first line is the address')
    browser = await launch()
  })
  after(async () => {
    await browser?.close()
    await demo?.stop()
    cleanUp()
  })

  test('meters show their values', async () => {
    const { page, complaints, close } = await visit(browser, address)
    await page.locator('article.meter.online .big .number').first().waitFor()
    assert.deepEqual(complaints, [])
    await close()
  })
})
