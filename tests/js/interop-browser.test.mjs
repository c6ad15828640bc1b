// Amplitude's own browser SDK in Chromium against the emulator: another origin, preflights, gzip made by the browser.

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { KEY, emulator, launch, open, root, serve } from './support.mjs'

const timeout = 60_000
const browser = await launch({ after })
const site = await serve({ after }, {
  '/page.html': '<!doctype html><title>shop</title><script src="sdk/amplitude-min.js"></script>',
  '/sdk/': join(root, 'tests/js/node_modules/@amplitude/analytics-browser/lib/scripts'),
})

// Asks no other host.
const quiet = { autocapture: false, fetchRemoteConfig: false, remoteConfig: { fetchRemoteConfig: false }, logLevel: 0, flushIntervalMillis: 10 }

// A page with the SDK; whom it asks beside this machine is told, and not asked.
async function shop(t) {
  const page = await open(t, browser, 'about:blank')
  const strangers = []
  await page.route(/^https?:/, (route) => {
    if (new URL(route.request().url()).hostname === '127.0.0.1') return route.continue()
    strangers.push(route.request().url())
    return route.abort()
  })
  await page.goto(`${site}/page.html`)
  return { page, strangers }
}

test('the browser SDK delivers, and nothing is changed', { timeout }, async (t) => {
  const it = await emulator(t)
  const { page, strangers } = await shop(t)
  const headers = []
  page.on('request', (request) => request.method() === 'POST' && headers.push(request.headers()))
  const sent = await page.evaluate(async ([key, serverUrl, options]) => {
    await amplitude.init(key, 'user-00001', { serverUrl, enableRequestBodyCompression: true, ...options }).promise
    const calls = [
      amplitude.track('purchase', { price: 29.99, tags: ['a', 'ü', '𝄞'], note: 'x'.repeat(1000), other: 'y'.repeat(1000), third: 'z'.repeat(1000) }),
      amplitude.identify(new amplitude.Identify().set('plan', 'pro').add('logins', 1)),
      amplitude.groupIdentify('org', 'a', new amplitude.Identify().set('size', 5)),
      amplitude.revenue(new amplitude.Revenue().setProductId('sku-1').setPrice(4.5).setQuantity(2)),
    ]
    const results = await Promise.all(calls.map(({ promise }) => promise))
    return results.map(({ code, event }) => [code, JSON.parse(JSON.stringify(event))])
  }, [KEY, it.httpV2, quiet])
  assert.deepEqual(strangers, [])
  assert.deepEqual(sent.map(([code]) => code), Array(4).fill(200))
  const byName = (events) => Object.fromEntries(events.map((event) => [event.insert_id, event]))
  assert.deepEqual(byName(await it.events()), byName(sent.map(([, event]) => event)))
  assert.ok(headers.some((it) => it['content-encoding'] === 'gzip'), 'one of them was packed')
  assert.deepEqual((await it.people()).users[0].user_properties, { plan: 'pro', logins: 1 })
})

test('the browser SDK drops what an indexed 400 names, and delivers the rest', { timeout }, async (t) => {
  const it = await emulator(t)
  const { page, strangers } = await shop(t)
  const codes = await page.evaluate(async ([key, serverUrl, options]) => {
    await amplitude.init(key, 'user-00001', { serverUrl, ...options }).promise
    const calls = [amplitude.track('good-1'), amplitude.track('bad', {}, { price: 'five' }), amplitude.track('good-2')]
    return Promise.all(calls.map(({ promise }) => promise.then(({ code }) => code)))
  }, [KEY, it.httpV2, quiet])
  assert.deepEqual([codes, strangers], [[200, 400, 200], []])
  assert.deepEqual((await it.events()).map(({ event_type }) => event_type).sort(), ['good-1', 'good-2'])
})
