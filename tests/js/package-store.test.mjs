// The installed package's store: what survives the end of a page, tabs that share one uploader, and what happens where there is no store.

import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { KEY, application, emulator, installed, large, launch, names, open, serve, until, wire } from './support.mjs'

const timeout = 60_000
const delivered = { status: 'delivered' }

const dir = application({ after })
const browser = await launch({ after })
const IMPORT = '<script type="module">window.api = await import("/vendor/index.js")</script>'
const site = await serve({ after }, {
  '/page.html': `<!doctype html><title>shop</title>${IMPORT}`,
  '/empty.html': '<!doctype html><title>elsewhere</title>',
  '/frame.html': '<!doctype html><title>frame</title><iframe sandbox="allow-scripts" src="/page.html"></iframe>',
  '/vendor/': installed(dir),
})
const PAGE = `${site}/page.html`
const DAY = 86_400

/** An emulator behind a line, and tabs that share one storage. */
async function shop(t) {
  const it = await emulator(t)
  const line = await wire(t, it.httpV2)
  const first = await open(t, browser, PAGE)
  let uploader
  const ready = async (page, options) => {
    page.requests = 0
    page.on('request', (request) => {
      if (request.url() !== line.url || request.method() !== 'POST') return
      page.requests++
      uploader = page
    })
    await page.waitForFunction(() => window.api)
    if (options) await init(page, options)
    return page
  }
  const init = (page, options) => page.evaluate(async ([key, options]) => {
    window.steps = []
    await api.init(key, { flushIntervalMs: 20, ...options, onProgress: (step) => steps.push(step) })
  }, [KEY, { serverUrl: line.url, ...options }])
  const tab = async (options = {}) => {
    const page = await first.context().newPage()
    await page.goto(PAGE)
    return ready(page, options)
  }
  return { it, line, init, tab, uploader: () => uploader, first: (options = {}) => ready(first, options), ids: async () => names(await it.events()) }
}

/** Tracks events with these ids; resolves when all are stored, with what each `stored` told. Their outcomes go to `window.outcomes`. */
const track = (page, ...ids) => page.evaluate((ids) => {
  window.outcomes ??= {}
  const calls = ids.map((id) => api.track('event', {}, { insert_id: id }))
  calls.forEach((call, index) => call.then((outcome) => (outcomes[ids[index]] = outcome)))
  return Promise.all(calls.map(({ stored }) => stored))
}, ids)

const outcomes = (page, count) => page.waitForFunction((count) => Object.keys(window.outcomes ?? {}).length === count && outcomes, count).then((it) => it.jsonValue())

/** Kills the renderer of a page, without a word to the page. */
const crash = async (page) => {
  const session = await page.context().newCDPSession(page)
  const gone = new Promise((done) => page.once('crash', done))
  // It answers no more.
  session.send('Page.crash').catch(() => {})
  await gone
  await page.close()
}

/** What is in the store: its chunks and its marks. */
const stored = (page) => page.evaluate(async () => {
  const [{ name }] = await indexedDB.databases()
  const done = (request) => new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error)
  })
  const db = await done(indexedDB.open(name))
  const transaction = db.transaction(['chunks', 'marks'])
  const [chunks, marks] = await Promise.all(['chunks', 'marks'].map((it) => done(transaction.objectStore(it).getAll())))
  db.close()
  // Those whose keys are numbers are dead letters.
  const ofChunks = marks.filter(({ key }) => typeof key === 'string')
  return { name, chunks: chunks.map(({ key, events }) => ({ key, events: new TextDecoder().decode(events) })), marks: ofChunks }
})

const numbered = (prefix, count) => Array.from({ length: count }, (_, index) => `${prefix}-${index}`)

test('of two tabs one uploads, everything arrives once, and each call hears its outcome', { timeout }, async (t) => {
  const { line, first, tab, ids } = await shop(t)
  const tabs = [await first(), await tab()]
  for (let round = 0; round < 3; round++) {
    const told = await Promise.all(tabs.map((page, index) => track(page, ...numbered(`tab${index}-${round}`, 20))))
    assert.ok(told.flat().every((it) => it === true), 'all are in the store')
  }
  for (const page of tabs) assert.deepEqual(Object.values(await outcomes(page, 60)), Array(60).fill(delivered))
  const expected = tabs.flatMap((_, index) => [0, 1, 2].flatMap((round) => numbered(`tab${index}-${round}`, 20))).sort()
  assert.deepEqual((await ids()).sort(), expected)
  assert.deepEqual(names(line.sent.flat()).sort(), expected, 'nothing is sent twice')
  assert.deepEqual(tabs.map(({ requests }) => requests > 0), [true, false], 'the first tab uploads for both')
  await until('the store is empty', async () => {
    const { chunks, marks } = await stored(tabs[0])
    return !chunks.length && !marks.length
  })
})

test('a flush and a refusal reach the tab that does not upload', { timeout }, async (t) => {
  const { it, first, tab } = await shop(t)
  await it.silence('silenced-device')
  await first({ flushIntervalMs: 60_000 })
  const page = await tab({ flushIntervalMs: 60_000 })
  const seen = await page.evaluate(async () => {
    const calls = [api.track('good'), api.track('bad', {}, { device_id: 'silenced-device' })]
    const report = await api.flush()
    return { report, outcomes: await Promise.all(calls), steps: steps.map(({ type }) => type) }
  })
  assert.deepEqual(seen.report, { delivered: 1, rejected: 1, dropped: 0, unknown: 0, pending: 0 })
  assert.deepEqual(seen.outcomes, [delivered, { status: 'rejected', reason: 'its device is silenced' }])
  assert.deepEqual(seen.steps, ['queued', 'queued', 'settled', 'settled'])
  assert.equal(page.requests, 0)
})

test('when the tab that uploads is closed, the next one takes over what it had', { timeout }, async (t) => {
  const { line, first, tab, ids } = await shop(t)
  const [closing, staying] = [await first(), await tab()]
  line.how = 'hold'
  await track(closing, 'of-the-closed', 'of-the-closed-2')
  await track(staying, 'of-the-other')
  await until('a request is under way', () => line.open)
  line.how = 'up'
  await closing.close()
  assert.deepEqual(await outcomes(staying, 1), { 'of-the-other': delivered })
  assert.deepEqual((await ids()).sort(), ['of-the-closed', 'of-the-closed-2', 'of-the-other'])
})

test('when the tab that uploads crashes, the next one takes over; without one, the next visit does', { timeout }, async (t) => {
  const { line, first, tab, ids } = await shop(t)
  line.how = 'hold'
  const [one, two] = [await first(), await tab()]
  await track(one, 'one')
  await until('it is sent', () => line.sent.length)
  await crash(one)
  await track(two, 'two')
  await until('the second tab sends what the first had sent', () => names(line.sent.flat()).filter((id) => id === 'one').length === 2)
  await crash(two)
  line.how = 'up'
  await tab()
  await until('all', async () => (await ids()).length === 2)
  assert.deepEqual(await ids(), ['one', 'two'])
})

test('renderers that are killed 50 times at any moment lose nothing that was stored', { timeout: 240_000 }, async (t) => {
  const { it, line, first, tab, uploader, ids } = await shop(t)
  const context = (await first(null)).context()
  const kept = new Set()
  await context.exposeFunction('kept', (ids) => ids.forEach((id) => kept.add(id)))
  let number = 0
  // Tracks without an end, and tells of each event that is stored.
  const busy = async (page) => {
    await page.evaluate((name) => {
      let number = 0
      setInterval(async () => {
        const ids = Array.from({ length: 5 }, () => `${name}-${++number}`)
        const stored = await Promise.all(ids.map((id) => api.track('event', {}, { insert_id: id }).stored))
        if (stored.every((it) => it)) kept(ids)
      }, 20)
    }, `tab${++number}`)
    return page
  }
  // The same moments in each run.
  let seed = 7
  const random = () => (seed = (seed * 48_271) % 2_147_483_647) / 2_147_483_647
  const tabs = [await busy(await tab()), await busy(await tab())]
  for (let kills = 0; kills < 50; kills++) {
    // Most of them while a request is under way and is not answered, though some of those arrive.
    line.how = ['up', 'hold', 'mute'][kills % 3]
    const [before, wanted] = [kept.size, 1 + Math.floor(50 * random())]
    await until('more is stored', () => kept.size >= before + wanted)
    // In turn the one that uploads and the other.
    const victim = kills % 2 ? +(tabs[0] === uploader()) : +(tabs[1] === uploader())
    await crash(tabs[victim])
    tabs[victim] = await busy(await tab())
  }
  line.how = 'up'
  for (const page of tabs) await crash(page)
  const all = [...kept]
  assert.ok(all.length > 500, `${all.length} were stored`)
  await tab()
  await until('all that was stored arrived', async () => {
    const arrived = new Set(await ids())
    return all.every((id) => arrived.has(id))
  }, 60_000)
  const events = await ids()
  assert.equal(new Set(events).size, events.length)
  const { duplicated } = await it.state()
  assert.ok(duplicated > 0, 'some had arrived and were sent again')
  t.diagnostic(`${all.length} events were stored, ${events.length} arrived, ${duplicated} of them twice`)
})

test('what is stored is not spilled, what is not stored yet is', { timeout }, async (t) => {
  const { line, first, init, ids } = await shop(t)
  line.how = 'down'
  const page = await first()
  await track(page, 'stored')
  await page.evaluate(() => addEventListener('pagehide', () => api.track('late', {}, { insert_id: 'late' })))
  await page.goto(`${site}/empty.html`)
  const left = await page.evaluate(() => Object.entries(localStorage).filter(([name]) => name.includes(':left:')).map(([, text]) => JSON.parse(text)))
  assert.deepEqual(left.map(({ url, events }) => [url, names(events)]), [[line.url, ['late']]])
  line.how = 'up'
  await page.goto(PAGE)
  await page.waitForFunction(() => window.api)
  await init(page)
  await until('both', async () => (await ids()).length === 2)
  assert.deepEqual(await ids(), ['stored', 'late'])
})

test('what waits goes with keepalive when the page is left, and is kept until a reply says that it arrived', { timeout }, async (t) => {
  const { it, line, first, init, ids } = await shop(t)
  const page = await first({ flushIntervalMs: 60_000 })
  await page.evaluate(() => Promise.all([api.track('event', {}, { insert_id: 'first' }), api.flush()]))
  await track(page, 'waits')
  await page.goto(`${site}/empty.html`)
  await until('it is sent by the page that went', async () => (await ids()).length === 2)
  assert.deepEqual((await stored(page)).chunks.length, 1, 'nobody saw the reply')
  await page.goto(PAGE)
  await page.waitForFunction(() => window.api)
  await init(page)
  await until('it is sent again', async () => (await it.state()).duplicated === 1)
  assert.deepEqual(names(line.sent.flat()), ['first', 'waits', 'waits'], 'under the same id')
})

test('requests that outlive the page keep within the sum of 64 KiB', { timeout }, async (t) => {
  const { line, first } = await shop(t)
  const page = await first({ flushIntervalMs: 60_000 })
  await page.evaluate(() => Promise.all([api.track('event'), api.flush()]))
  line.how = 'hold'
  const seen = await page.evaluate(async (large) => {
    const sizes = []
    const { fetch } = globalThis
    globalThis.fetch = (url, options) => {
      sizes.push([options.keepalive, options.body.length])
      return fetch(url, options)
    }
    const calls = Array.from({ length: 60 }, (_, index) => api.track('large', large, { device_id: `device-${index}` }))
    await Promise.all(calls.map(({ stored }) => stored))
    let settled = 0
    calls.forEach((call) => call.then(() => settled++))
    Object.defineProperty(document, 'visibilityState', { value: 'hidden' })
    for (let times = 0; times < 3; times++) document.dispatchEvent(new Event('visibilitychange'))
    await new Promise((done) => setTimeout(done))
    return { sizes, settled }
  }, large(3000))
  const kept = seen.sizes.filter(([keepalive]) => keepalive).map(([, bytes]) => bytes)
  const sum = kept.reduce((sum, bytes) => sum + bytes, 0)
  assert.ok(sum > 40_000 && sum <= 65_536, `${sum} bytes in ${kept.length} requests`)
  assert.equal(seen.settled, 0, 'a request that was handed over has delivered nothing')
})

test('a chunk keeps which of its events are settled', { timeout }, async (t) => {
  const { line, first, tab } = await shop(t)
  const page = await first()
  // The first is refused; the second is never answered.
  line.how = (response, events) => {
    if (events.length === 2) response.writeHead(400).end(JSON.stringify({ code: 400, error: 'x', events_with_invalid_fields: { time: [0] } }))
  }
  await track(page, 'refused', 'good')
  assert.deepEqual(await outcomes(page, 1), { refused: { status: 'rejected', reason: 'the field time is invalid' } })
  await until('the store knows', async () => (await stored(page)).marks.some(({ tried }) => tried[0] === -1))
  await until('the other one is sent', () => line.sent.length === 2)
  await crash(page)
  line.sent.length = 0
  await tab()
  await until('something is sent', () => line.sent.length)
  assert.deepEqual(names(line.sent[0]), ['good'])
})

test('what was sent without an answer is sent again for almost seven days, and not after', { timeout }, async (t) => {
  const { line, first, tab } = await shop(t)
  line.how = 'hold'
  const page = await first()
  await track(page, 'young')
  await until('the attempt is noted', async () => (await stored(page)).marks.length === 1)
  await page.evaluate(() => api.track('event', {}, { insert_id: 'old', device_id: 'another-device' }).stored)
  await until('so is that of the second', async () => (await stored(page)).marks.length === 2)
  const { chunks } = await stored(page)
  await page.goto(`${site}/empty.html`)
  const now = Math.floor(Date.now() / 1000)
  const tried = { young: now - 6 * DAY, old: now - 7 * DAY + 3600 }
  // As if that long had passed since.
  await page.evaluate(async ([keys, name]) => {
    await new Promise((resolve, reject) => {
      const request = indexedDB.open(name)
      request.onsuccess = () => {
        const transaction = request.result.transaction('marks', 'readwrite')
        for (const [key, tried] of keys) transaction.objectStore('marks').put({ key, tried: [tried] })
        transaction.oncomplete = () => resolve(request.result.close())
        transaction.onabort = () => reject(transaction.error)
      }
    })
  }, [chunks.map(({ key, events }) => [key, tried[JSON.parse(events).insert_id]]), (await stored(page)).name])
  line.how = 'up'
  line.sent.length = 0
  const next = await tab()
  await next.waitForFunction(() => steps.filter(({ type }) => type === 'settled').length === 2)
  const settled = await next.evaluate(() => steps.filter(({ type }) => type === 'settled').map(({ status }) => status))
  assert.deepEqual(settled.sort(), ['delivered', 'unknown'])
  assert.deepEqual(names(line.sent.flat()), ['young'])
})

test('what is for one server goes to no other', { timeout }, async (t) => {
  const { it, line, first, init, ids } = await shop(t)
  line.how = 'down'
  const page = await first()
  await track(page, 'stored')
  await page.evaluate(() => addEventListener('pagehide', () => api.track('late', {}, { insert_id: 'late' })))
  await page.goto(PAGE)
  await page.waitForFunction(() => window.api)
  await init(page, { serverUrl: it.httpV2 })
  assert.deepEqual(await page.evaluate(() => api.track('event', {}, { insert_id: 'elsewhere' })), delivered)
  assert.deepEqual(await ids(), ['elsewhere'])
  line.how = 'up'
  await page.goto(PAGE)
  await page.waitForFunction(() => window.api)
  await init(page)
  await until('all', async () => (await ids()).length === 3)
  assert.deepEqual(names(line.sent.at(-1)).at(-1), 'late')
})

test('more than the queue takes waits in the store, and goes as room comes', { timeout }, async (t) => {
  const { line, first, init, ids } = await shop(t)
  line.how = 'down'
  const page = await first()
  const all = numbered('big', 40)
  for (const id of all) {
    await page.evaluate(([id, large]) => api.track('big', large, { insert_id: id }).stored, [id, large(2000)])
  }
  line.how = 'up'
  await page.goto(PAGE)
  await page.waitForFunction(() => window.api)
  await init(page, { queueBytes: 10_000 })
  const refused = await page.evaluate(() => api.track('event').catch(({ kind, retryable }) => [kind, retryable]))
  assert.ok(refused.status === 'delivered' || refused[0] === 'full')
  await until('all', async () => (await ids()).filter((id) => id.startsWith('big')).length === 40)
  assert.deepEqual((await ids()).filter((id) => id.startsWith('big')), all, 'in order')
  assert.ok(line.sent.slice(-5).every((events) => JSON.stringify(events).length < 11_000))
})

/** How a browser refuses, as what runs before the page; there the package must go on as it did without a store. */
const REFUSALS = {
  'without IndexedDB': () => Object.defineProperty(globalThis, 'indexedDB', { value: undefined }),
  'where IndexedDB throws': () => (IDBFactory.prototype.open = () => { throw new DOMException('denied', 'SecurityError') }),
  'where IndexedDB fails': () => {
    const { open } = IDBFactory.prototype
    IDBFactory.prototype.open = function () {
      return open.call(this, 'newer', (globalThis.version = (globalThis.version ?? 3) - 1))
    }
    indexedDB.open('x')
  },
  'without Web Locks': () => Object.defineProperty(Navigator.prototype, 'locks', { value: undefined }),
  'where Web Locks throw': () => (LockManager.prototype.request = () => Promise.reject(new DOMException('denied', 'SecurityError'))),
  'without channels between tabs': () => Object.defineProperty(globalThis, 'BroadcastChannel', { value: undefined }),
  'without room': () => {
    const { put } = IDBObjectStore.prototype
    IDBObjectStore.prototype.put = function (value) {
      if (this.name === 'chunks') throw new DOMException('full', 'QuotaExceededError')
      return put.call(this, value)
    }
  },
}

for (const [where, refuse] of Object.entries(REFUSALS)) {
  test(`${where} events wait in memory, and at the end of the page in localStorage`, { timeout }, async (t) => {
    const { line, first, ids, init } = await shop(t)
    line.how = 'down'
    const page = await first(null)
    await page.addInitScript(refuse)
    await page.reload()
    await page.waitForFunction(() => window.api)
    await init(page)
    assert.deepEqual(await track(page, 'left'), [false])
    assert.deepEqual(await page.evaluate(() => steps.filter(({ type, text }) => type === 'notice' && text.includes('wait in memory')).length), 1)
    await page.reload()
    await page.waitForFunction(() => window.api)
    line.how = 'up'
    await init(page)
    assert.deepEqual(await page.evaluate(() => Promise.all([api.track('event', {}, { insert_id: 'own' }), api.flush()])).then(([own]) => own), delivered)
    await until('both', async () => (await ids()).length === 2)
    assert.deepEqual(await ids(), ['left', 'own'])
  })
}

test('in a frame without an origin events are delivered', { timeout }, async (t) => {
  const { line, first, ids } = await shop(t)
  const page = await first(null)
  await page.goto(`${site}/frame.html`)
  const frame = await until('the frame', () => page.frames()[1])
  await frame.waitForFunction(() => window.api)
  const seen = await frame.evaluate(async ([key, serverUrl]) => {
    const notices = []
    await api.init(key, { serverUrl, onProgress: ({ text }) => text && notices.push(text) })
    const call = api.track('event', {}, { insert_id: 'framed' })
    return { stored: await call.stored, outcome: await call, notices: notices.length }
  }, [KEY, line.url])
  assert.deepEqual(seen, { stored: false, outcome: delivered, notices: 1 })
  assert.deepEqual(await ids(), ['framed'])
})

test('a store of a later version is left alone', { timeout }, async (t) => {
  const { line, first, init, ids } = await shop(t)
  const page = await first(null)
  const version = await page.evaluate((name) => new Promise((resolve) => {
    indexedDB.open(name, 2).onsuccess = ({ target: { result } }) => {
      result.close()
      resolve(result.version)
    }
  }), `amplitude-sdk:${KEY}:${line.url}`)
  assert.equal(version, 2)
  await init(page)
  assert.deepEqual(await track(page, 'event'), [false])
  assert.deepEqual(await outcomes(page, 1), { event: delivered })
  assert.deepEqual(await ids(), ['event'])
})

test('a store whose deletion hangs is not waited for', { timeout }, async (t) => {
  const { line, first, init, tab } = await shop(t)
  const other = await tab(null)
  await other.evaluate((name) => new Promise((resolve) => {
    // Holds its connection, whatever anybody asks.
    indexedDB.open(name).onsuccess = ({ target: { result } }) => {
      window.held = result
      indexedDB.deleteDatabase(name).onblocked = resolve
    }
  }), `amplitude-sdk:${KEY}:${line.url}`)
  const page = await first(null)
  await init(page)
  assert.deepEqual(await track(page, 'event'), [false])
  assert.deepEqual(await outcomes(page, 1), { event: delivered })
})

test('a store that somebody deletes costs no event of the pages that are open', { timeout }, async (t) => {
  const { line, first, tab, ids } = await shop(t)
  line.how = 'down'
  const pages = [await first(), await tab()]
  await track(pages[0], 'before')
  await until('it was sent', () => line.sent.length)
  await pages[0].evaluate((name) => new Promise((resolve, reject) => {
    Object.assign(indexedDB.deleteDatabase(name), { onsuccess: resolve, onerror: reject, onblocked: reject })
  }), `amplitude-sdk:${KEY}:${line.url}`)
  for (const [index, page] of pages.entries()) assert.deepEqual(await track(page, `after-${index}`), [false])
  line.how = 'up'
  assert.deepEqual(await outcomes(pages[0], 2), { before: delivered, 'after-0': delivered })
  assert.deepEqual(await outcomes(pages[1], 1), { 'after-1': delivered })
  assert.deepEqual((await ids()).sort(), ['after-0', 'after-1', 'before'])
})

test('a store that holds what nobody understands delivers the rest', { timeout }, async (t) => {
  const { line, first, init, ids } = await shop(t)
  line.how = 'down'
  const page = await first()
  await track(page, 'good')
  const { name } = await stored(page)
  await page.goto(`${site}/empty.html`)
  await page.evaluate((name) => new Promise((resolve, reject) => {
    indexedDB.open(name).onsuccess = ({ target: { result } }) => {
      const transaction = result.transaction(['chunks', 'marks'], 'readwrite')
      const [chunks, marks] = ['chunks', 'marks'].map((it) => transaction.objectStore(it))
      for (const chunk of [{ key: 5 }, { key: '0' }, { key: '1', events: 7 }, { key: '2-3-4-x', events: '{\n\n[]' }]) chunks.put(chunk)
      for (const mark of [{ key: '1', tried: 'x' }, { key: '2-3-4-x', tried: [null, NaN] }, { key: 'zz', tried: [1] }]) marks.put(mark)
      transaction.oncomplete = () => resolve(result.close())
      transaction.onabort = () => reject(transaction.error)
    }
  }), name)
  line.how = 'up'
  await page.goto(PAGE)
  await page.waitForFunction(() => window.api)
  await init(page)
  assert.deepEqual(await page.evaluate(() => api.track('event', {}, { insert_id: 'own' })), delivered)
  assert.deepEqual(await ids(), ['good', 'own'])
})
