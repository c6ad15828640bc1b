// The installed package's `maxAgeMs`: what has waited too long, on this page or since an earlier one, ends as dropped and says why. The page's
// clock is the test's.

import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { KEY, application, emulator, installed, launch, names, open, serve, until, wire } from './support.mjs'

const timeout = 60_000
const HOUR = 3_600_000
const expired = { status: 'dropped', reason: 'it waited longer than `maxAgeMs`' }
const delivered = { status: 'delivered' }

const dir = application({ after })
const browser = await launch({ after })
const site = await serve({ after }, {
  '/page.html': '<!doctype html><title>shop</title><script type="module">window.api = await import("/vendor/index.js")</script>',
  '/empty.html': '<!doctype html><title>elsewhere</title>',
  '/vendor/': installed(dir),
})

/** A line to an emulator, and pages that share one storage and are opened so many hours from now. */
async function shop(t) {
  const line = await wire(t, (await emulator(t)).httpV2)
  const empty = await open(t, browser, `${site}/empty.html`)
  const page = async (hours, options) => {
    const it = await empty.context().newPage()
    await it.clock.install({ time: Date.now() + hours * HOUR })
    await it.goto(`${site}/page.html`)
    await it.waitForFunction(() => window.api)
    await it.evaluate(async ([key, options]) => {
      window.steps = []
      await api.init(key, { ...options, onProgress: (step) => steps.push(step) })
    }, [KEY, { serverUrl: line.url, ...options }])
    return it
  }
  return { line, page }
}

/** So many outcomes that a page was told, those of earlier pages' events among them. */
const outcomes = async (page, count) => {
  await page.waitForFunction((count) => steps.filter(({ type }) => type === 'settled').flatMap(({ ids }) => ids).length >= count, count)
  return page.evaluate(() => steps.filter(({ type }) => type === 'settled').map(({ status, reason }) => (reason ? { status, reason } : { status })))
}

const chunks = (page) => page.evaluate(async () => {
  const [{ name }] = await indexedDB.databases()
  const done = (request) => new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error)
  })
  const db = await done(indexedDB.open(name))
  const count = await done(db.transaction('chunks').objectStore('chunks').count())
  db.close()
  return count
})

/** Ends a page without a word to it. */
async function crash(page) {
  const session = await page.context().newCDPSession(page)
  const gone = new Promise((done) => page.once('crash', done))
  session.send('Page.crash').catch(() => {})
  await gone
  await page.close()
}

/** A page that uploads for all, and waits with what is tracked from here on. */
async function leader(page) {
  const it = await page(0, { flushIntervalMs: HOUR })
  await it.evaluate(() => Promise.all([api.track('first'), api.flush()]))
  return it
}

/** Leaves an event in the store, never sent. */
async function store(page, id) {
  const tab = await leader(page)
  assert.equal(await tab.evaluate((insert_id) => api.track('event', {}, { insert_id }).stored, id), true)
  await crash(tab)
}

/** Leaves an event in localStorage, never sent: tracked after the page has sent what it could. */
async function leave(page, id) {
  const tab = await page(0, { flushIntervalMs: HOUR })
  await tab.evaluate((insert_id) => addEventListener('pagehide', () => void api.track('event', {}, { insert_id })), id)
  await tab.goto(`${site}/empty.html`)
  assert.match(await tab.evaluate(() => JSON.stringify({ ...localStorage })), new RegExp(id))
  await tab.close()
}

/** Leaves a call in localStorage that was made before `init`. */
async function call(page, id) {
  const tab = await page(0, {}).then((it) => it.reload().then(() => it))
  await tab.waitForFunction(() => window.api)
  await tab.evaluate((insert_id) => void api.track('event', {}, { insert_id }), id)
  await tab.goto(`${site}/empty.html`)
  assert.match(await tab.evaluate(() => JSON.stringify({ ...localStorage })), new RegExp(id))
  await tab.close()
}

for (const [where, keep] of Object.entries({ 'the store': store, localStorage: leave, 'a call before init': call })) {
  test(`what an earlier page left in ${where} expires`, { timeout }, async (t) => {
    const { line, page } = await shop(t)
    await keep(page, 'old')
    line.sent.length = 0
    const next = await page(25, { maxAgeMs: 24 * HOUR })
    assert.deepEqual(await next.evaluate(() => api.track('event', {}, { insert_id: 'young' })), delivered)
    assert.deepEqual((await outcomes(next, 2)).sort((a, b) => a.status.localeCompare(b.status)), [delivered, expired])
    assert.deepEqual(names(line.sent.flat()), ['young'])
    await until('nothing is left', async () => (await chunks(next)) === 0 && (await next.evaluate(() => Object.keys(localStorage).every((it) => !it.includes(':left:')))))
  })

  test(`what an earlier page left in ${where} is delivered before that`, { timeout }, async (t) => {
    const { line, page } = await shop(t)
    await keep(page, 'old')
    line.sent.length = 0
    const next = await page(23, { maxAgeMs: 24 * HOUR })
    assert.deepEqual(await outcomes(next, 1), [delivered])
    assert.deepEqual(names(line.sent.flat()), ['old'])
  })
}

test('what a page takes over from an earlier one keeps its age in the store', { timeout }, async (t) => {
  const { line, page } = await shop(t)
  const uploads = await leader(page)
  await leave(page, 'old')
  const takes = await page(20, {})
  await until('it is stored', async () => (await chunks(takes)) === 1)
  // In this order, or it would upload instead.
  await crash(takes)
  await crash(uploads)
  assert.ok(!names(line.sent.flat()).includes('old'))
  const next = await page(25, { maxAgeMs: 24 * HOUR })
  assert.deepEqual(await outcomes(next, 1), [expired])
})

test('without the option an event waits for ever', { timeout }, async (t) => {
  const { line, page } = await shop(t)
  await store(page, 'old')
  line.sent.length = 0
  const next = await page(24 * 365, {})
  assert.deepEqual(await outcomes(next, 1), [delivered])
  assert.deepEqual(names(line.sent.flat()), ['old'])
})

test('an age is a whole number of milliseconds, a second at least', { timeout }, async (t) => {
  const { page } = await shop(t)
  for (const maxAgeMs of [0, 999, 1.5, Infinity, '1000']) {
    await assert.rejects(page(0, { maxAgeMs }), /options\.maxAgeMs: must be a whole number from 1000 to/)
  }
})
