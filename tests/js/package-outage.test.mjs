// The installed package while a server is down or is not Amplitude's own: what the next page knows of it, what ends the wait, what a proxy says.

import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { KEY, application, emulator, installed, launch, open, serve, until, wire } from './support.mjs'

const timeout = 60_000

const dir = application({ after })
const browser = await launch({ after })
const site = await serve({ after }, {
  '/page.html': '<!doctype html><title>shop</title><script type="module">window.api = await import("/vendor/index.js")</script>',
  '/vendor/': installed(dir),
})

async function shop(t) {
  const line = await wire(t, (await emulator(t)).httpV2)
  const first = await open(t, browser, `${site}/page.html`)
  /** A further page of the same storage, so many milliseconds from now. */
  const page = async (later, options = {}) => {
    const it = await first.context().newPage()
    await it.clock.install({ time: Date.now() + later })
    await it.goto(`${site}/page.html`)
    await it.waitForFunction(() => window.api)
    await it.evaluate(([key, options]) => api.init(key, options), [KEY, { serverUrl: line.url, flushIntervalMs: 0, ...options }])
    return it
  }
  return { line, page }
}

const json = (status, body, headers = {}) => (response) =>
  response.writeHead(status, { 'content-type': 'application/json', 'access-control-expose-headers': 'retry-after', ...headers }).end(body)

test('a page that opens in an outage waits as long as the last one would have', { timeout }, async (t) => {
  const { line, page } = await shop(t)
  line.how = json(503, '', { 'retry-after': '600' })
  const one = await page(0)
  await one.evaluate(() => void api.track('first'))
  await until('the outage is noted', () => one.evaluate(() => Object.keys(localStorage).some((it) => it.startsWith('amplitude-sdk:outage:'))))
  await one.close()
  assert.equal(line.sent.length, 1)

  line.how = 'up'
  const two = await page(0)
  const second = two.evaluate(() => api.track('second'))
  await two.clock.fastForward(500_000)
  const report = two.evaluate(() => api.flush(20_000))
  await two.clock.fastForward(30_000)
  assert.equal((await report).pending, 1)
  assert.equal(line.sent.length, 1, 'it asked too soon')
  await two.clock.fastForward(80_000)
  assert.deepEqual(await second, { status: 'delivered' })
  assert.deepEqual(line.sent.slice(1).flat().map(({ event_type }) => event_type), ['first', 'second'])
  assert.equal(await two.evaluate(() => Object.keys(localStorage).some((it) => it.startsWith('amplitude-sdk:outage:'))), false)
})

test('a network that is back ends the wait', { timeout }, async (t) => {
  const { line, page } = await shop(t)
  const it = await page(0)
  await it.evaluate(() => Promise.all([api.track('warm'), api.flush()]))
  await it.context().setOffline(true)
  await it.evaluate(() => void (window.outcome = api.track('survivor')))
  // It tries, and waits longer and longer, until a wait has begun that is long enough to be told from none.
  let waits = 0
  for (let minute = 0; minute < 60 && waits <= 20_000; minute++) {
    await it.clock.fastForward(60_000)
    waits = await it.evaluate(async () => {
      await new Promise((done) => { new MessageChannel().port1.onmessage = done; done() })
      const name = Object.keys(localStorage).find((it) => it.includes(':outage:'))
      return name ? Number(localStorage.getItem(name).split(' ')[1]) - Date.now() : 0
    })
  }
  assert.equal(line.sent.length, 1)
  assert.ok(waits > 20_000, `it waits for ${waits} ms`)
  await it.context().setOffline(false)
  assert.deepEqual(await it.evaluate(() => outcome), { status: 'delivered' })
})

test("an own proxy's answer counts where it was declared, and nothing else", { timeout }, async (t) => {
  const { line, page } = await shop(t)
  const declared = { proxyReply: { field: 'ok', value: true, status: 202 } }
  line.how = json(202, '{"id":7,"ok":true}')
  const it = await page(0, declared)
  assert.deepEqual(await it.evaluate(() => api.track('taken')), { status: 'delivered' })
  for (const answer of [json(200, '{"ok":true}'), json(202, '{"ok":false}'), json(202, '<html>'), json(202, 'null')]) {
    line.sent.length = 0
    line.how = (response, events, handOn) => (line.sent.length > 1 ? json(202, '{"ok":true}')(response) : answer(response))
    assert.deepEqual(await it.evaluate(() => api.track('kept')), { status: 'delivered' })
    assert.equal(line.sent.length, 2)
  }
  await it.close()
  line.how = (response) => response.writeHead(204).end()
  const other = await page(0, { proxyReply: { status: 204, body: '' } })
  assert.deepEqual(await other.evaluate(() => api.track('taken')), { status: 'delivered' })
})

test('a declaration that says nothing is refused by name', { timeout }, async (t) => {
  const page = await open(t, browser, `${site}/page.html`)
  await page.waitForFunction(() => window.api)
  const refused = (options) => page.evaluate(([key, options]) => api.init(key, options).then(() => 'taken', ({ message }) => message), [KEY, options])
  const serverUrl = 'http://127.0.0.1:9/'
  for (const proxyReply of [{}, null, 'ok', { field: 'ok' }, { field: 'ok', value: [1] }, { status: 302, body: '' }, { body: 7 }]) {
    assert.match(await refused({ serverUrl, proxyReply }), /options\.proxyReply: must be/, JSON.stringify(proxyReply))
  }
  assert.match(await refused({ proxyReply: { body: 'ok' } }), /options\.proxyReply: needs serverUrl/)
})
