// How another SDK for browsers loses, repeats or delays events, each as a test that this package does not. The store's own tests are in
// package-store.test.mjs. Where waits would be long, the page's clock is the test's.

import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { KEY, application, emulator, installed, launch, names, open, serve, until, wire } from './support.mjs'

const timeout = 60_000
const delivered = { status: 'delivered' }

const dir = application({ after })
const browser = await launch({ after })
const site = await serve({ after }, {
  '/page.html': '<!doctype html><title>shop</title><script type="module">window.api = await import("/vendor/index.js")</script>',
  '/vendor/': installed(dir),
})
const PAGE = `${site}/page.html`

/** An emulator behind a line, and a page that has imported the package; `clock`: its time stands still until the test lets it pass. */
async function shop(t, { clock = false } = {}) {
  const it = await emulator(t)
  const line = await wire(t, it.httpV2)
  const page = await open(t, browser, PAGE)
  if (clock) {
    await page.clock.install()
    await page.reload()
  }
  await page.waitForFunction(() => window.api)
  const ids = async () => names(await it.events())
  return { it, line, page, ids, init: (options) => init(page, line, options) }
}

const init = (page, line, options = {}) => page.evaluate(async ([key, options]) => {
  window.steps = []
  await api.init(key, { flushIntervalMs: 0, ...options, onProgress: (step) => steps.push(step) })
}, [KEY, { serverUrl: line.url, ...options }])

/** Another tab of the same browser. */
async function tab(page, line, options) {
  const other = await page.context().newPage()
  await other.goto(PAGE)
  await other.waitForFunction(() => window.api)
  await init(other, line, options)
  return other
}

/** Tracks and answers when all are stored; outcomes come into `window.outcomes`, by their ids. */
const track = (page, ...ids) => page.evaluate((ids) => {
  window.outcomes ??= {}
  const calls = ids.map((id) => api.track('event', {}, { insert_id: id }))
  calls.forEach((call, index) => call.then(({ status }) => (outcomes[ids[index]] = status)))
  return Promise.all(calls.map(({ stored }) => stored))
}, ids)

const outcomes = (page) => page.evaluate(() => window.outcomes)
const settled = (page, count) => page.waitForFunction((count) => Object.keys(window.outcomes ?? {}).length === count && outcomes, count).then((it) => it.jsonValue())
const notices = (page) => page.evaluate(() => steps.filter(({ type }) => type === 'notice').map(({ text }) => text))
const numbered = (count, prefix = 'event') => Array.from({ length: count }, (_, index) => `${prefix}-${index}`)

/** Lets the page's time pass until `check` holds; what happens in between takes its own. */
const pass = (page, what, check, step = 5000) => until(what, async () => {
  if (await check()) return true
  await page.clock.runFor(step)
})

async function crash(page) {
  const session = await page.context().newCDPSession(page)
  const gone = new Promise((done) => page.once('crash', done))
  session.send('Page.crash').catch(() => {})
  await gone
  await page.close()
}

const html = (status) => (response) => response.writeHead(status, { 'content-type': 'text/html' }).end('<!doctype html><title>Please log in</title>')
const answer = (body) => (response) => response.writeHead(200, { 'content-type': 'application/json' }).end(body)

test('T1: an outage of more tries than five deletes nothing', { timeout }, async (t) => {
  const { line, page, init } = await shop(t, { clock: true })
  line.how = (response) => response.writeHead(503).end()
  await init()
  await track(page, ...numbered(3))
  await pass(page, 'ten tries', () => line.sent.length >= 10)
  assert.deepEqual(await outcomes(page), {})
  line.how = 'up'
  await pass(page, 'the server is back', async () => Object.keys(await outcomes(page)).length === 3)
  assert.deepEqual(Object.values(await outcomes(page)), Array(3).fill('delivered'))
})

test('T2: what meets an error in a flush goes again', { timeout }, async (t) => {
  const { it, page, init, ids } = await shop(t)
  await it.fault({ kind: 'status', status: 502 })
  await init({ flushIntervalMs: 60_000 })
  await track(page, ...numbered(50))
  assert.equal((await page.evaluate(() => api.flush())).delivered, 50)
  assert.equal((await ids()).length, 50)
})

test('T4: a login page with status 200 delivers nothing', { timeout }, async (t) => {
  const { line, page, init } = await shop(t)
  line.how = html(200)
  await init()
  await track(page, 'event')
  await until('it is sent again', () => line.sent.length >= 2)
  assert.deepEqual(await outcomes(page), {})
  assert.equal((await notices(page)).length, 1)
  line.how = 'up'
  assert.deepEqual(await settled(page, 1), { event: 'delivered' })
})

for (const [what, body] of [['an object without a code', '{"ok":true}'], ['a text', '"success"']]) {
  test(`T5: 200 with JSON that is ${what} delivers nothing, is told, and does not count as a failure of the events`, { timeout }, async (t) => {
    const { line, page, init } = await shop(t, { clock: true })
    line.how = answer(body)
    await init()
    await track(page, 'event')
    await pass(page, 'more tries than its cap', () => line.sent.length >= 7)
    assert.deepEqual(await outcomes(page), {})
    assert.equal((await notices(page)).length, 1)
    line.how = 'up'
    await pass(page, 'the proxy is right', async () => (await outcomes(page)).event)
    assert.deepEqual(await outcomes(page), { event: 'delivered' })
  })
}

test('T6: a plugin that throws once stops nothing', { timeout }, async (t) => {
  const { line, page, ids } = await shop(t)
  await page.evaluate(async ([key, serverUrl]) => {
    let calls = 0
    const plugin = (event) => {
      if (++calls === 1) throw new Error('once')
      return event
    }
    await api.init(key, { serverUrl, plugins: [plugin] })
    await Promise.all(['one', 'two', 'three'].map((id) => api.track('event', {}, { insert_id: id })))
  }, [KEY, line.url])
  assert.deepEqual(await ids(), ['one', 'two', 'three'])
})

test('T8: 413 halves the batch that was too large, and no later one', { timeout }, async (t) => {
  const { line, page, init, ids } = await shop(t)
  line.how = (response, events, handOn) => (events.length > 1 ? response.writeHead(413).end('{"code":413,"error":"Payload too large"}') : handOn())
  await init({ flushIntervalMs: 60_000 })
  await track(page, ...numbered(4))
  assert.equal((await page.evaluate(() => api.flush())).delivered, 4)
  assert.deepEqual(line.sent.map((events) => events.length), [4, 2, 1, 1, 2, 1, 1], 'none is sent whole twice')
  line.how = 'up'
  await track(page, ...numbered(4, 'later'))
  await page.evaluate(() => api.flush())
  assert.equal(line.sent.at(-1).length, 4)
  assert.equal((await ids()).length, 8)
})

test('T9: a reply that never comes ends after its time, and the events go again', { timeout }, async (t) => {
  const { line, page, init } = await shop(t)
  line.how = 'hold'
  await init({ requestTimeoutMs: 300 })
  await track(page, 'event')
  await until('it is under way', () => line.sent.length)
  line.how = 'up'
  assert.deepEqual(await settled(page, 1), { event: 'delivered' })
})

test('T11: a flush that comes while another runs, or before init, tells the truth', { timeout }, async (t) => {
  const { line, page, ids } = await shop(t)
  const held = []
  line.how = (response, events, handOn) => held.push(handOn)
  const early = page.evaluate(() => {
    api.track('event', {}, { insert_id: 'before-init' })
    return api.flush()
  })
  await init(page, line, { flushIntervalMs: 60_000 })
  await until('the first flush runs', () => held.length)
  const late = page.evaluate(() => {
    api.track('event', {}, { insert_id: 'during-a-flush' })
    window.during = api.flush()
    during.then(() => (window.done = true))
    return during
  })
  await page.evaluate(() => api.track('event', {}, { insert_id: 'behind', device_id: 'another-device' }).stored)
  assert.equal(await page.evaluate(() => window.done), undefined, 'nothing is delivered yet')
  line.how = 'up'
  held.forEach((handOn) => handOn())
  assert.deepEqual([(await early).delivered, (await late).delivered, (await late).pending], [1, 2, 0])
  assert.ok((await ids()).includes('during-a-flush'))
})

test('T12: tabs do not overwrite each other’s events', { timeout }, async (t) => {
  const { line, page, init, ids } = await shop(t)
  line.how = 'hold'
  await init()
  const other = await tab(page, line)
  await track(page, ...numbered(3, 'one'))
  await track(other, ...numbered(3, 'two'))
  await track(page, 'one-last')
  await crash(page)
  await other.close()
  line.how = 'up'
  await tab({ context: () => other.context() }, line)
  await until('all', async () => (await ids()).length === 7)
  assert.deepEqual((await ids()).sort(), [...numbered(3, 'one'), 'one-last', ...numbered(3, 'two')])
})

test('T13: a tab that opens while another uploads sends nothing again', { timeout }, async (t) => {
  const { line, page, init } = await shop(t)
  const held = []
  line.how = (response, events, handOn) => held.push(handOn)
  await init()
  await track(page, 'under-way')
  await until('it is under way', () => held.length)
  const other = await tab(page, line)
  await track(other, 'of-the-new-tab')
  line.how = 'up'
  held.forEach((handOn) => handOn())
  assert.deepEqual([await settled(page, 1), await settled(other, 1)], [{ 'under-way': 'delivered' }, { 'of-the-new-tab': 'delivered' }])
  assert.deepEqual(names(line.sent.flat()).sort(), ['of-the-new-tab', 'under-way'])
})

test('T14: an event is written once, whatever is queued', { timeout }, async (t) => {
  const { line, page, init } = await shop(t)
  line.how = 'hold'
  await init()
  const { queued, written } = await page.evaluate(async () => {
    let written = 0
    for (const [type, method] of [[IDBObjectStore, 'put'], [Storage, 'setItem']]) {
      const write = type.prototype[method]
      type.prototype[method] = function (...args) {
        written += JSON.stringify(args, (key, value) => (ArrayBuffer.isView(value) ? 'x'.repeat(value.length) : value)).length
        return write.apply(this, args)
      }
    }
    let queued = 0
    for (let i = 0; i < 1000; i++) {
      // One after the other, as in the life of a page.
      await api.track('event', { note: 'x'.repeat(100) }).stored
      queued += JSON.parse(JSON.stringify(steps.at(-1))).event?.length ?? 0
    }
    return { queued, written }
  })
  assert.ok(queued > 300_000, `${queued} bytes were queued`)
  assert.ok(written < 2 * queued, `${written} bytes were written for ${queued}`)
})

test('T15: no number of events is too large for the store', { timeout }, async (t) => {
  const { line, page, init, ids } = await shop(t)
  line.how = 'hold'
  await init()
  const context = page.context()
  const all = numbered(3000)
  assert.ok((await track(page, ...all)).every((stored) => stored))
  await crash(page)
  line.how = 'up'
  await tab({ context: () => context }, line)
  await until('all', async () => (await ids()).length === 3000)
  assert.deepEqual((await ids()).sort(), all.sort())
})

test('T16: the way into the store takes no timer, which a hidden tab would not get', { timeout }, async (t) => {
  const { line, page, init } = await shop(t, { clock: true })
  await init()
  await page.evaluate(() => {
    window.timers = 0
    const { setTimeout } = globalThis
    globalThis.setTimeout = (...args) => (timers++, setTimeout(...args))
  })
  await page.clock.pauseAt(Date.now() + 3_600_000)
  await track(page, ...numbered(2000))
  assert.ok((await page.evaluate(() => timers)) < 10)
  assert.equal(line.sent.length, 0)
})

test('T17: init asks nobody, and what was tracked before it outlives the page', { timeout }, async (t) => {
  const { line, page, ids } = await shop(t)
  const asked = []
  page.on('request', (request) => asked.push(request.url()))
  await page.evaluate(() => void api.track('event', {}, { insert_id: 'early' }))
  // The page ends before `init` does.
  await page.route('**/*.wasm', () => {})
  await page.evaluate(([key, serverUrl]) => void api.init(key, { serverUrl }), [KEY, line.url])
  await page.unroute('**/*.wasm')
  await page.reload()
  await page.waitForFunction(() => window.api)
  await init(page, line)
  await until('it arrives', async () => (await ids()).length)
  assert.deepEqual(await ids(), ['early'])
  assert.ok(asked.length >= 3)
  for (const url of asked) assert.ok(url.startsWith(site) || url === line.url, url)
})

test('T18: what is handed to the browser at the end of a page is not delivered yet', { timeout }, async (t) => {
  const { line, page, init } = await shop(t)
  await init({ flushIntervalMs: 60_000 })
  await page.evaluate(() => Promise.all([api.track('event', {}, { insert_id: 'first' }), api.flush()]))
  line.how = 'hold'
  await track(page, 'handed-over')
  await page.evaluate(() => {
    navigator.sendBeacon = () => assert.fail('its answer is never seen')
    Object.defineProperty(document, 'visibilityState', { value: 'hidden' })
    document.dispatchEvent(new Event('visibilitychange'))
  })
  await until('it is handed over', () => line.sent.length === 2)
  assert.deepEqual(await outcomes(page), {})
  const context = page.context()
  await crash(page)
  line.how = 'up'
  await tab({ context: () => context }, line)
  await until('the next page sends it', () => line.sent.length === 3)
  assert.deepEqual(names(line.sent.at(-1)), ['handed-over'])
})

for (const status of [401, 403, 404]) {
  test(`T19: ${status} with a page of HTML is told once, asked for again seldom, and loses nothing`, { timeout }, async (t) => {
    const { line, page, init } = await shop(t, { clock: true })
    const times = []
    line.how = (response) => {
      times.push(page.evaluate(() => performance.now()))
      html(status)(response)
    }
    await init()
    await track(page, 'event')
    await pass(page, 'eight tries', () => times.length >= 8, 1000)
    const at = await Promise.all(times)
    assert.ok(at[7] - at[6] > 5000, String(at))
    assert.deepEqual(await outcomes(page), {})
    assert.equal((await notices(page)).length, 1)
    line.how = 'up'
    await pass(page, 'the proxy lets it through', async () => (await outcomes(page)).event)
    assert.deepEqual(await outcomes(page), { event: 'delivered' })
  })
}

test('T20: one event that the server stumbles over exhausts none of its neighbours', { timeout }, async (t) => {
  const { line, page, init, ids } = await shop(t, { clock: true })
  line.how = (response, events, handOn) => (names(events).includes('poison') ? response.writeHead(500).end() : handOn())
  await init({ flushIntervalMs: 100 })
  await page.evaluate(() => {
    window.outcomes = {}
    for (const id of ['one', 'two', 'poison', 'three', 'four']) {
      api.track('event', {}, { insert_id: id, device_id: `device-of-${id}` }).then(({ status }) => (outcomes[id] = status))
    }
  })
  await pass(page, 'the others', async () => Object.keys(await outcomes(page)).length === 4)
  assert.deepEqual((await ids()).sort(), ['four', 'one', 'three', 'two'])
  line.how = 'up'
  await pass(page, 'that one', async () => (await outcomes(page)).poison)
  assert.deepEqual(Object.values(await outcomes(page)), Array(5).fill('delivered'))
})
