// The installed package's dead letters: events that were refused or given up are kept, listed, mended and replayed, discarded; and none depends on
// what can be loaded, stored or finished when it is given up.

import assert from 'node:assert/strict'
import { basename } from 'node:path'
import { after, test } from 'node:test'
import { KEY, application, emulator, installed, large, launch, names, open, root, run, serve, until, wire } from './support.mjs'

const timeout = 60_000
const DAY = 86_400_000
const delivered = { status: 'delivered' }
const silenced = { status: 'rejected', reason: 'its device is silenced' }
const refused = { status: 'rejected', reason: 'the field time is invalid' }

const dir = application({ after })
const browser = await launch({ after })
const site = await serve({ after }, {
  '/page.html': '<!doctype html><title>shop</title><script type="module">window.api = await import("/vendor/index.js")</script>',
  '/empty.html': '<!doctype html><title>elsewhere</title>',
  '/vendor/': installed(dir),
  '/service.js': `import * as api from './vendor/static.js'
    onmessage = async ({ data: { key, options, letter }, ports: [port] }) => {
      try {
        await api.init(key, options)
        if (letter) {
          const replayed = await api.replay(letter, { ...letter.event, device_id: 'another-device' })
          return port.postMessage({ replayed, letters: await api.deadLetters() })
        }
        const outcomes = await Promise.all(['one', 'two'].map((insert_id) => api.track('event', {}, { insert_id, device_id: 'silenced-device' })))
        const letters = await api.deadLetters()
        await api.discard(letters[0])
        port.postMessage({ outcomes, letters, rest: await api.deadLetters() })
      } catch (error) {
        port.postMessage({ error: String(error) })
      }
    }`,
})

/** What the replies of a line are that refuses these, and takes others. */
const refusing = (is) => (response, events, handOn) => {
  const bad = events.flatMap((event, at) => (is(event) ? [at] : []))
  if (!bad.length) return handOn()
  response.writeHead(400).end(JSON.stringify({ code: 400, error: 'x', events_with_invalid_fields: { time: bad } }))
}

/** An emulator that silences a device, behind a line, and pages that share one storage. */
async function shop(t) {
  const it = await emulator(t)
  await it.silence('silenced-device')
  const line = await wire(t, it.httpV2)
  const empty = await open(t, browser, `${site}/empty.html`)
  const init = (page, options) => page.evaluate(async ([key, options]) => {
    window.steps = []
    await api.init(key, { flushIntervalMs: 20, ...options, onProgress: (step) => steps.push(step) })
  }, [KEY, { serverUrl: line.url, ...options }])
  /** A page, with what happens before anything of it runs. */
  const page = async (options = {}, before) => {
    const it = await empty.context().newPage()
    it.files = []
    it.thrown = []
    it.on('pageerror', (error) => it.thrown.push(String(error)))
    it.on('request', (request) => request.url().includes('/vendor/') && it.files.push(basename(request.url())))
    await before?.(it)
    await it.goto(`${site}/page.html`)
    await it.waitForFunction(() => window.api)
    if (options) await init(it, options)
    return it
  }
  return { it, line, page, init, empty, ids: async () => names(await it.events()) }
}

const letters = (page) => page.evaluate(() => api.deadLetters())
/** A page's dead letters, once they are so many: the tab that uploads tells others of an outcome while it writes the letter. */
const lettersOf = (page, count) => until(`${count} dead letters`, async () => {
  const all = await letters(page)
  return all.length >= count && all
})
/** The insert ids of a page's dead letters, and what became of them. */
const listed = async (page) => (await letters(page)).map(({ event, outcome }) => [event.insert_id, outcome])
const track = (page, insert_id, fields = {}) => page.evaluate((fields) => api.track('event', {}, fields), { insert_id, ...fields })
const refuse = (page, insert_id) => track(page, insert_id, { device_id: 'silenced-device' })

/** Kills the renderer of a page, without a word to the page. */
async function crash(page) {
  const session = await page.context().newCDPSession(page)
  const gone = new Promise((done) => page.once('crash', done))
  session.send('Page.crash').catch(() => {})
  await gone
  await page.close()
}

/** What the database holds, by a hand of its own. */
const database = (page) => page.evaluate(async () => {
  const [{ name, version }] = await indexedDB.databases()
  const done = (request) => new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error)
  })
  const db = await done(indexedDB.open(name))
  const transaction = db.transaction(['chunks', 'marks'])
  const [chunks, keys] = await Promise.all(['chunks', 'marks'].map((it) => done(transaction.objectStore(it).getAllKeys())))
  db.close()
  return { version, chunks, marks: keys.filter((key) => typeof key === 'string'), letters: keys.filter((key) => typeof key === 'number') }
})

/** A page whose transaction does not end, from where it is to do that with a dead letter in the store. */
const stopping = (method) => (page) => page.addInitScript((method) => {
  const real = IDBObjectStore.prototype[method]
  IDBObjectStore.prototype[method] = function (it) {
    if (typeof (it?.key ?? it) !== 'number') return real.apply(this, arguments)
    window.stopped = true
    const goOn = () => (this.get(0).onsuccess = goOn)
    goOn()
  }
}, method)
const stopped = (page) => page.waitForFunction(() => window.stopped)

test('a refused event is listed by its page, by another tab, and by the next visit', { timeout }, async (t) => {
  const { page } = await shop(t)
  const [uploads, other] = [await page(), await page()]
  assert.deepEqual(await letters(uploads), [])
  const from = Date.now()
  assert.deepEqual(await refuse(other, 'refused'), silenced)
  const [letter, ...more] = await lettersOf(other, 1)
  assert.deepEqual(more, [])
  assert.equal(typeof letter.key, 'string')
  assert.ok(letter.givenUpMs >= from && letter.givenUpMs <= Date.now(), `${letter.givenUpMs}`)
  assert.deepEqual(letter.outcome, silenced)
  const { event_type, insert_id, device_id, library } = letter.event
  assert.deepEqual({ event_type, insert_id, device_id }, { event_type: 'event', insert_id: 'refused', device_id: 'silenced-device' })
  assert.match(library, /^amplitude-sdk-wasm/)
  assert.deepEqual(await letters(uploads), [letter])
  await uploads.close()
  await other.close()
  const next = await page()
  assert.deepEqual(await letters(next), [letter])
  const { chunks, marks } = await database(next)
  assert.deepEqual([chunks, marks], [[], []], 'as an event it is forgotten')
})

test('what expired and what is of unknown fate are dead letters, too', { timeout }, async (t) => {
  const { line, page, ids } = await shop(t)
  line.how = 'hold'
  const first = await page({ maxAgeMs: 8 * DAY })
  await first.evaluate(() => api.track('event', {}, { insert_id: 'sent', device_id: 'device-1' }).stored)
  await until('it is sent', () => line.sent.length)
  await first.evaluate(() => api.track('event', {}, { insert_id: 'waits', device_id: 'device-1' }).stored)
  await crash(first)
  line.how = 'up'
  const late = await page({ maxAgeMs: 8 * DAY }, (it) => it.clock.install({ time: Date.now() + 9 * DAY }))
  await late.waitForFunction(() => steps.filter(({ type }) => type === 'settled').length === 2)
  assert.deepEqual(await listed(late), [
    ['sent', { status: 'unknown', reason: 'no answer came, and it is too old to be sent again' }],
    ['waits', { status: 'dropped', reason: 'it waited longer than `maxAgeMs`' }],
  ])
  assert.deepEqual(await ids(), [])
})

test('what is delivered or dropped by a plugin is none, and a page loads no more for that than is counted', { timeout }, async (t) => {
  const { page } = await shop(t)
  const it = await page()
  const outcomes = await it.evaluate(async () => [await api.track('a'), await api.identify({ $set: { a: 1 } }), await api.flush()])
  assert.deepEqual(outcomes.slice(0, 2), [delivered, delivered])
  assert.deepEqual(await refuse(it, 'refused'), silenced)
  const size = JSON.parse(run(root, 'node', 'scripts/size.mjs', installed(dir), '2').trim().split('\n').at(-1))
  assert.deepEqual(it.files.sort(), size.files.map(({ file }) => file).sort())
  assert.deepEqual(await listed(it), [['refused', silenced]])
  assert.deepEqual(it.files.slice(size.files.length), size.on_demand_files.map(({ file }) => file))
})

test('what an earlier page stored and this one refuses is one', { timeout }, async (t) => {
  const { line, page, it } = await shop(t)
  // Who becomes the origin's uploader sends at once what is stored, and this page may become it after the call.
  const unsent = (it) => it.route(line.url, (route) => route.abort())
  const first = await page({ minIdLength: 1, flushIntervalMs: 3_600_000 }, unsent)
  await first.evaluate(() => api.track('event', {}, { insert_id: 'short', device_id: 'abc' }).stored)
  await crash(first)
  const next = await page()
  await next.waitForFunction(() => steps.some(({ type }) => type === 'settled'))
  const reason = 'device_id: is shorter than 5 characters; see `min_id_length`, on a page `minIdLength`'
  assert.deepEqual(await listed(next), [['short', { status: 'rejected', reason }]])
  const [letter] = await letters(next)
  assert.deepEqual(await next.evaluate((letter) => api.replay(letter, { ...letter.event, device_id: 'abc-12' }), letter), delivered)
  assert.deepEqual((await it.events()).map(({ insert_id, device_id }) => [insert_id, device_id]), [['short', 'abc-12']])
  assert.deepEqual(await letters(next), [])
  assert.equal(line.sent.length, 1)
})

test('one is mended and replayed: as it was but for that, whoever the user is now', { timeout }, async (t) => {
  const { it, line, page } = await shop(t)
  line.how = refusing(({ time }) => time < 1000)
  const tab = await page()
  assert.deepEqual(await track(tab, 'old', { time: 7, device_id: 'device-1' }), refused)
  const [letter] = await letters(tab)
  await tab.evaluate(() => api.setUserId('somebody-else'))
  const mended = { ...letter.event, time: Date.now(), event_properties: { mended: true } }
  const seen = await tab.evaluate(async ([letter, event]) => {
    const call = api.replay(letter, event)
    return [await call.stored, await call, await api.deadLetters()]
  }, [letter, mended])
  assert.deepEqual(seen, [true, delivered, []])
  assert.deepEqual((await it.events()).map(({ event_type, user_id, device_id, insert_id, time, event_properties }) => ({ event_type, user_id, device_id, insert_id, time, event_properties })), [
    { event_type: 'event', user_id: undefined, device_id: 'device-1', insert_id: 'old', time: mended.time, event_properties: { mended: true } },
  ])
})

test('one is replayed as it was; a new event in its place has its insert id, and the time of now', { timeout }, async (t) => {
  const { line, page, it } = await shop(t)
  line.how = refusing(() => true)
  const tab = await page()
  for (const id of ['same', 'anew']) assert.deepEqual(await track(tab, id, { device_id: 'device-1' }), refused)
  line.how = 'up'
  const before = Date.now()
  await tab.evaluate(async () => {
    const [same, anew] = await api.deadLetters()
    await api.replay(same)
    await api.replay(anew, { event_type: 'another', user_id: 'user-1' })
  })
  const [same, anew] = await it.events()
  assert.deepEqual([same.event_type, same.insert_id], ['event', 'same'])
  assert.deepEqual([anew.event_type, anew.insert_id, anew.device_id], ['another', 'anew', undefined])
  assert.ok(anew.time >= before)
  assert.deepEqual(await letters(tab), [])
})

test('what is replayed and refused again is a letter again, and the one before is gone', { timeout }, async (t) => {
  const { page } = await shop(t)
  const tab = await page()
  await refuse(tab, 'refused')
  const [first] = await letters(tab)
  assert.deepEqual(await tab.evaluate((letter) => api.replay(letter), first), silenced)
  const [second, ...more] = await letters(tab)
  assert.deepEqual([second.event, more], [first.event, []])
  assert.ok(second.givenUpMs >= first.givenUpMs && second.key !== first.key)
})

test('a letter that cannot be replayed stays, and the call tells why', { timeout }, async (t) => {
  const { page } = await shop(t)
  const tab = await page()
  await refuse(tab, 'refused')
  const [letter] = await letters(tab)
  const told = await tab.evaluate(async (letter) => {
    const tell = (call) => call.then(() => 'no error', ({ name, kind, message }) => [name, kind, message])
    const failing = api.replay(letter, { ...letter.event, country: 7 })
    const stored = await failing.stored
    return [stored, await tell(failing), await tell(api.replay(letter, 'text')), await tell(api.replay()), await tell(api.replay({ event: letter.event })), await tell(api.discard()), await tell(api.discard({ key: '7' }))]
  }, letter)
  assert.deepEqual(told, [
    false,
    ['AmplitudeError', 'invalid', 'country: must be a string, not a number'],
    ['AmplitudeError', 'invalid', 'replay: needs an event'],
    ['AmplitudeError', 'invalid', 'replay: needs a letter of deadLetters'],
    ['AmplitudeError', 'invalid', 'replay: needs a letter of deadLetters'],
    ['AmplitudeError', 'invalid', 'discard: needs a letter of deadLetters'],
    ['AmplitudeError', 'invalid', 'discard: needs a letter of deadLetters'],
  ])
  assert.deepEqual(await letters(tab), [letter])
})

test('of two tabs each sees, discards and replays what the other one sees', { timeout }, async (t) => {
  const { page, ids } = await shop(t)
  const tabs = [await page(), await page()]
  for (const id of ['one', 'two', 'three']) await refuse(tabs[1], id)
  const [one, two, three] = await lettersOf(tabs[0], 3)
  const place = (await database(tabs[0])).letters.slice(0, 1)
  await tabs[1].evaluate((letter) => api.discard(letter), one)
  assert.deepEqual(await letters(tabs[0]), [two, three])
  assert.deepEqual(await tabs[1].evaluate((letter) => api.replay(letter, { ...letter.event, device_id: 'another-device' }), three), delivered)
  for (const tab of tabs) assert.deepEqual(await letters(tab), [two])
  assert.deepEqual(await ids(), ['three'])
  // Who still has one that is gone does no harm to what came into its place, which has the same bytes.
  await tabs[0].evaluate((letter) => api.discard(letter), two)
  await refuse(tabs[0], 'six')
  const [six] = await lettersOf(tabs[0], 1)
  assert.equal(six.event.insert_id, 'six')
  assert.deepEqual((await database(tabs[0])).letters, place)
  await tabs[1].evaluate((letter) => api.discard(letter), one)
  assert.deepEqual(await letters(tabs[1]), [six])
})

test('calls that are made before init wait for it', { timeout }, async (t) => {
  const { page, init, line } = await shop(t)
  const first = await page()
  for (const id of ['one', 'two']) await refuse(first, id)
  const [one, two] = await letters(first)
  await first.close()
  const next = await page(false)
  const early = await next.evaluateHandle(([one, two]) => {
    const calls = [api.discard(one), api.replay(two, { ...two.event, device_id: 'another-device' }), api.deadLetters()]
    return Promise.race([Promise.all(calls), Promise.resolve('waits')]).then((first) => ({ first, calls: Promise.all(calls) }))
  }, [one, two])
  assert.equal(await early.evaluate(({ first }) => first), 'waits')
  await init(next, { serverUrl: line.url })
  assert.deepEqual((await early.evaluate(({ calls }) => calls))[1], delivered)
  assert.deepEqual(await letters(next), [])
})

test('calls that a page made and left are the next one\'s, or stay undone where it cannot do them', { timeout }, async (t) => {
  const { page, ids } = await shop(t)
  const first = await page()
  for (const id of ['one', 'two']) await refuse(first, id)
  const both = await letters(first)
  for (const [before, rest] of [[(it) => it.route('**/letters.js', (route) => route.abort()), both], [undefined, []]]) {
    const ends = await page(false)
    await ends.evaluate(([one, two]) => void [api.discard(one), api.replay(two, { ...two.event, device_id: 'another-device' })], both)
    await ends.goto(`${site}/empty.html`)
    const errors = []
    const next = await page({}, async (it) => {
      it.on('console', (message) => message.type() === 'error' && errors.push(message.text()))
      await before?.(it)
    })
    if (rest.length) await until('both are told', () => errors.filter((text) => text.includes('letters.js cannot be loaded')).length === 2)
    await until('they are as they should be', async () => JSON.stringify(await letters(first)) === JSON.stringify(rest))
    await until('nothing is left', () => next.evaluate(() => Object.keys(localStorage).every((name) => !name.includes(':left:'))))
    assert.deepEqual(next.thrown, [])
  }
  await until('the event arrives', async () => (await ids()).length)
  assert.deepEqual(await ids(), ['two'])
})

// In memory where there is no store, and where the store takes no letter.
const NOT_STORED = {
  'there is no IndexedDB': () => Reflect.deleteProperty(window, 'indexedDB'),
  'there is no room for them': () => {
    const real = IDBObjectStore.prototype.put
    IDBObjectStore.prototype.put = function (it) {
      if (typeof it.key === 'number') throw new DOMException('no room', 'QuotaExceededError')
      return real.apply(this, arguments)
    }
  },
}
for (const [why, script] of Object.entries(NOT_STORED)) {
  test(`where ${why} they are in memory`, { timeout }, async (t) => {
    const { page, ids, line } = await shop(t)
    const tab = await page({}, (it) => it.addInitScript(script))
    for (const id of ['one', 'two', 'three']) assert.deepEqual(await refuse(tab, id), silenced)
    const [one, two, three] = await letters(tab)
    assert.deepEqual(names([one, two, three].map(({ event }) => event)), ['one', 'two', 'three'])
    assert.equal(new Set([one, two, three].map(({ key }) => key)).size, 3)
    assert.deepEqual(await tab.evaluate((letter) => api.replay(letter, { ...letter.event, device_id: 'another-device' }), two), delivered)
    await tab.evaluate((letter) => api.discard(letter), one)
    assert.deepEqual(await letters(tab), [three])
    assert.deepEqual(await ids(), ['two'])
    const notices = await tab.evaluate(() => steps.filter(({ type }) => type === 'notice').map(({ text }) => text))
    assert.equal(notices.length, 1, notices.join())
    assert.match(notices[0], /^events wait in memory, not in the store: /)
    // The next page neither has them nor sends their events.
    await tab.close()
    line.sent.length = 0
    const next = await page()
    assert.deepEqual(await track(next, 'next'), delivered)
    assert.deepEqual([await letters(next), names(line.sent.flat())], [[], ['next']])
  })
}

// In the store the one across the bound stays.
for (const [where, most, script] of [['in the store', 16], ['in memory', 15, NOT_STORED['there is no IndexedDB']]]) {
  test(`${where} the newest are kept, 16 MB of them`, { timeout }, async (t) => {
    const { it, page, line } = await shop(t)
    line.how = refusing(() => true)
    const tab = await page({ api: 'batch', flushIntervalMs: 60_000 }, (it) => script && it.addInitScript(script))
    const numbers = Array.from({ length: 12 }, (_, index) => `${index}`)
    for (let round = 0; round < 2; round++) {
      const outcomes = await tab.evaluate(([ids, properties]) => {
        const calls = ids.map((insert_id) => api.track('event', properties, { insert_id }))
        api.flush()
        return Promise.all(calls)
      }, [numbers.map((it) => `${round}-${it}`), large(1_000_000)])
      assert.deepEqual(outcomes, Array(12).fill(refused))
    }
    const kept = names((await letters(tab)).map(({ event }) => event))
    assert.deepEqual(kept, [...numbers.map((it) => `0-${it}`), ...numbers.map((it) => `1-${it}`)].slice(-most))
    assert.deepEqual(await it.events(), [])
  })
}

test('events of an earlier version come through while its tab is open, and neither holds up the other', { timeout }, async (t) => {
  const { line, page, empty, ids } = await shop(t)
  // As the first version made it, and left it: one event with a mark, one without.
  const old = await empty.context().newPage()
  await old.goto(`${site}/empty.html`)
  await old.evaluate(async (name) => {
    window.blocked = []
    const request = indexedDB.open(name, 1)
    request.onupgradeneeded = () => {
      for (const it of ['chunks', 'marks']) request.result.createObjectStore(it, { keyPath: 'key' })
    }
    const db = (window.db = await new Promise((resolve) => (request.onsuccess = () => resolve(request.result))))
    db.onversionchange = () => blocked.push('asked to go')
    window.put = (part, it) => new Promise((resolve, reject) => {
      const transaction = db.transaction(['chunks', 'marks'], 'readwrite')
      transaction.objectStore(part).put(it)
      transaction.oncomplete = resolve
      transaction.onabort = () => reject(transaction.error)
    })
    const events = ['one', 'bad', 'two'].map((insert_id, at) => JSON.stringify({ event_type: 'event', insert_id, device_id: at === 1 ? 'silenced-device' : `device-${at}` }))
    const text = `${events.join('\n')}\n`
    const key = `${Date.now()}-000000001-${'0'.repeat(32)}-${text.length}`
    await put('chunks', { key, events: new TextEncoder().encode(text) })
    await put('marks', { key, tried: [Math.floor(Date.now() / 1000) - 60, 0, 0] })
  }, `amplitude-sdk:${KEY}:${line.url}`)
  const tab = await page()
  await until('both arrive', async () => (await ids()).length === 2)
  assert.deepEqual((await ids()).sort(), ['one', 'two'])
  await until('the third is a letter', async () => (await listed(tab)).length)
  assert.deepEqual(await listed(tab), [['bad', silenced]])
  await until('the events are forgotten', async () => !(await database(tab)).chunks.length)
  // The old tab still has it, and stores what the next page sends.
  assert.deepEqual(await old.evaluate(() => blocked), [])
  await tab.close()
  await old.evaluate(() => {
    const text = '{"event_type":"event","insert_id":"three","device_id":"device-3"}\n'
    return put('chunks', { key: `${Date.now()}-000000002-${'0'.repeat(32)}-${text.length}`, events: new TextEncoder().encode(text) })
  })
  const next = await page()
  await until('it arrives', async () => (await ids()).length === 3)
  assert.deepEqual(await listed(next), [['bad', silenced]])
})

test('where the part that lists them cannot be loaded, none is lost: the call tells so, and a later one finds them', { timeout }, async (t) => {
  const { page, ids } = await shop(t)
  const tab = await page({}, (it) => it.route('**/letters.js', (route) => route.abort()))
  assert.deepEqual(await refuse(tab, 'refused'), silenced)
  const failed = () => tab.evaluate(() => api.deadLetters().then(() => 'no error', ({ name, kind, retryable, message }) => ({ name, kind, retryable, message })))
  const { message, ...error } = await failed()
  assert.deepEqual(error, { name: 'AmplitudeError', kind: 'transport', retryable: true })
  assert.match(message, /^deadLetters: letters\.js cannot be loaded: /)
  assert.deepEqual(await track(tab, 'good'), delivered, 'all else goes on')
  const next = await page()
  const [letter] = await letters(next)
  assert.deepEqual([letter.event.insert_id, letter.outcome], ['refused', silenced])
  const replay = await tab.evaluate(async (letter) => {
    const call = api.replay(letter)
    return [await call.catch(({ kind }) => kind), await call.stored]
  }, letter)
  assert.deepEqual(replay, ['transport', false])
  assert.deepEqual(await ids(), ['good'])
  // The network is back.
  await tab.unroute('**/letters.js')
  assert.deepEqual(await letters(tab), [letter])
})

test('a page that crashes before a letter is down still has the event, which is refused once more', { timeout }, async (t) => {
  const { page, line } = await shop(t)
  const tab = await page({}, stopping('put'))
  await tab.evaluate(() => void api.track('event', {}, { insert_id: 'refused', device_id: 'silenced-device' }))
  await stopped(tab)
  await crash(tab)
  assert.deepEqual(names(line.sent.flat()), ['refused'])
  const next = await page()
  await until('it is a letter', async () => (await letters(next)).length)
  assert.deepEqual([await listed(next), names(line.sent.flat())], [[['refused', silenced]], ['refused', 'refused']])
  assert.deepEqual((await database(next)).chunks, [])
})

test('a page that crashes once a letter is down does not send the event again', { timeout }, async (t) => {
  const { page, line, empty } = await shop(t)
  const tab = await page()
  await tab.evaluate(() => void api.track('event', {}, { insert_id: 'refused', device_id: 'silenced-device' }))
  await until('the letter is down', async () => (await empty.evaluate(async () => (await indexedDB.databases()).length)) && (await database(empty)).letters.length)
  assert.deepEqual((await database(empty)).chunks, [], 'and with it what it was')
  await crash(tab)
  const next = await page()
  assert.deepEqual(await track(next, 'next'), delivered)
  assert.deepEqual([await listed(next), names(line.sent.flat())], [[['refused', silenced]], ['refused', 'next']])
})

test('a page that crashes between the event and the removal of its letter has both', { timeout }, async (t) => {
  const { page, ids } = await shop(t)
  const first = await page()
  await refuse(first, 'refused')
  const [letter] = await letters(first)
  await first.close()
  const tab = await page({ flushIntervalMs: 3_600_000 }, stopping('delete'))
  await tab.evaluate((letter) => void api.replay(letter, { ...letter.event, device_id: 'another-device' }), letter)
  await stopped(tab)
  await crash(tab)
  assert.deepEqual(await ids(), [], 'it was not sent by then')
  const next = await page()
  await until('it is delivered', async () => (await ids()).length)
  assert.deepEqual([await ids(), await letters(next)], [['refused'], [letter]])
})

test('what somebody else wrote among them is passed over, and told', { timeout }, async (t) => {
  const { page } = await shop(t)
  const tab = await page()
  await refuse(tab, 'refused')
  await tab.evaluate(async () => {
    const [{ name }] = await indexedDB.databases()
    const request = indexedDB.open(name)
    await new Promise((done) => (request.onsuccess = done))
    const transaction = request.result.transaction('marks', 'readwrite')
    for (const it of [{ key: 1 }, { key: 2, event: 'text' }, { key: 3, event: new Uint8Array([123]) }]) transaction.objectStore('marks').put(it)
    await new Promise((done) => (transaction.oncomplete = done))
    request.result.close()
  })
  assert.deepEqual(await listed(tab), [['refused', silenced]])
  assert.ok(await tab.evaluate(() => steps.some(({ text }) => text === '3 dead letters are not JSON')))
})

test('a service worker has them, too, and shares them with the pages', { timeout }, async (t) => {
  const { line, page, empty, ids } = await shop(t)
  const ask = (data) => empty.evaluate(async (data) => {
    await navigator.serviceWorker.register('./service.js', { type: 'module' })
    const { active } = await navigator.serviceWorker.ready
    const { port1, port2 } = new MessageChannel()
    active.postMessage(data, [port2])
    return new Promise((done) => (port1.onmessage = (event) => done(event.data)))
  }, { key: KEY, options: { serverUrl: line.url, flushIntervalMs: 20 }, ...data })
  const { outcomes, letters: both, rest, error } = await ask()
  assert.equal(error, undefined)
  assert.deepEqual(outcomes, [silenced, silenced])
  assert.deepEqual([names(both.map(({ event }) => event)), rest], [['one', 'two'], [both[1]]])
  const tab = await page()
  assert.deepEqual(await letters(tab), rest)
  assert.deepEqual(await ask({ letter: rest[0] }), { replayed: delivered, letters: [] })
  assert.deepEqual(await ids(), ['two'])
  assert.deepEqual(await letters(tab), [])
})
