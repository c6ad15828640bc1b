// Amplitude's own Node SDK against the emulator. Its timers are ticked while nothing is on the wire, so that it waits, but not in earnest.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Identify, Revenue, createInstance } from '@amplitude/analytics-node'
import { Http } from '@amplitude/analytics-node/lib/cjs/transports/http.js'
import { KEY, emulator, large, names } from './support.mjs'

const timeout = 60_000
const INTERVAL = 10_000
const turn = () => new Promise((done) => setImmediate(done))

/** A client, and when by its own timers it sent its requests; `answered` follows each answer before the client has it. */
async function node(t, url, { key = KEY, answered = () => {}, ...config } = {}) {
  // Another client of the same test had them.
  t.mock.timers.reset()
  const client = createInstance()
  const quiet = () => {}
  const loggerProvider = { enable: quiet, disable: quiet, log: quiet, debug: quiet, error: quiet, warn: quiet }
  let now = 0
  let queued = 0
  let onTheWire = 0
  const sentAt = []
  const http = new Http()
  const transportProvider = {
    async send(...request) {
      onTheWire += 1
      sentAt.push(now)
      try {
        const answer = await http.send(...request)
        await answered(answer)
        return answer
      } finally {
        onTheWire -= 1
      }
    },
  }
  // The SDK tells its storage of every change of its queue.
  const storageProvider = { isEnabled: async () => true, get: async () => undefined, set: async (_, events) => (queued = events.length) }
  await client.init(key, { serverUrl: url, flushIntervalMillis: INTERVAL, loggerProvider, transportProvider, storageProvider, ...config }).promise
  t.mock.timers.enable({ apis: ['setTimeout'] })

  const until = async (what, step, check) => {
    const end = performance.now() + 30_000
    while (!check()) {
      if (performance.now() > end) throw new Error(`not in time: ${what}`)
      if (!onTheWire) {
        now += step
        t.mock.timers.tick(step)
      }
      await turn()
    }
  }
  const settle = async (promise) => {
    let outcome
    promise.then((value) => (outcome = { value }), (error) => (outcome = { error }))
    await until('the outcome', 100, () => outcome)
    if (outcome.error) throw outcome.error
    return outcome.value
  }
  return {
    client,
    sentAt,
    settle,
    /** Tracks all, so that one batch holds them, and waits until each has its code. */
    async trackAll(events, send = () => {}) {
      const codes = Promise.all(events.map((event) => client.track(event).promise.then(({ code }) => [event.insert_id, code])))
      await until('all are queued', 1, () => queued === events.length)
      send()
      return settle(codes.then(Object.fromEntries))
    },
  }
}

const event = (insert_id, fields) => ({ event_type: 'tested', user_id: `user-of-${insert_id}`, insert_id, ...fields })
const some = (count, name, fields) => Array.from({ length: count }, (_, number) => event(`${name}-${number}`, fields))
const statuses = async (it) => (await it.requests()).map(({ status, events }) => [status, events])
const plain = (value) => JSON.parse(JSON.stringify(value))

test('the Node SDK delivers, and nothing is changed', { timeout }, async (t) => {
  const it = await emulator(t)
  for (const url of [it.httpV2, it.batch]) {
    const before = (await it.events()).length
    const { client, settle } = await node(t, url)
    const options = { user_id: 'user-00001', device_id: 'device-1' }
    const calls = [
      client.track('purchase', { price: 29.99, tags: ['a', 'ü', '𝄞'], deep: { er: [1, true] } }, { ...options, time: 1_760_000_000_000 }),
      client.track({ event_type: 'full', ...options, session_id: 1_760_000_000_000, price: 4.5, quantity: 2, productId: 'sku-1', location_lat: 1.5 }),
      client.identify(new Identify().set('plan', 'pro').add('logins', 1).unset('old'), options),
      client.groupIdentify('org', 'a', new Identify().set('size', 5), options),
      client.setGroup('org', ['a', 'b'], options),
      client.revenue(new Revenue().setProductId('sku-1').setPrice(4.5).setQuantity(2), options),
    ]
    const results = await settle(Promise.all(calls.map(({ promise }) => promise)))
    assert.ok(results.every(({ code }) => code === 200))
    const byName = (events) => Object.fromEntries(events.map((it) => [it.insert_id, it]))
    assert.deepEqual(byName((await it.events()).slice(before)), byName(results.map((result) => plain(result.event))))
  }
  const { users, groups } = await it.people()
  assert.deepEqual([users[0].user_properties.plan, users[0].user_properties.logins, groups[0].group_properties.size], ['pro', 2, 5])
  assert.ok((await it.requests()).every(({ status }) => status === 200))
})

test('the Node SDK halves its batches until none is too large', { timeout }, async (t) => {
  const it = await emulator(t)
  const { trackAll } = await node(t, it.httpV2, { flushQueueSize: 8 })
  const sent = some(8, 'large', { event_properties: large(300_000) })
  const codes = await trackAll(sent)
  assert.deepEqual(Object.values(codes), Array(8).fill(200))
  // Both batches of four are too large, and each halves the size: to two, to one.
  assert.deepEqual(await statuses(it), [...Array(3).fill([413, null]), ...Array(8).fill([200, 1])])
  assert.deepEqual(names(await it.events()), names(sent))
})

// A defect: it halves the size it was configured with, not the batch that was too large.
test('a batch far below its configured size is sent whole again and again by the Node SDK', { timeout }, async (t) => {
  const it = await emulator(t)
  const { trackAll } = await node(t, it.httpV2, { flushQueueSize: 32 })
  await trackAll(some(4, 'large', { event_properties: large(300_000) }))
  // At 32, 16, 8 and 4 a batch it is the same four events.
  assert.deepEqual(await statuses(it), [...Array(4).fill([413, null]), [200, 2], [200, 2]])
})

test('the Node SDK splits what are too many events', { timeout }, async (t) => {
  const it = await emulator(t)
  const { trackAll } = await node(t, it.httpV2, { flushQueueSize: 4000 })
  await trackAll(some(2001, 'many'))
  assert.deepEqual(await statuses(it), [[413, 2001], [200, 2000], [200, 1]])
})

test('the Node SDK drops one event that is too large by itself', { timeout }, async (t) => {
  const it = await emulator(t)
  const { trackAll } = await node(t, it.httpV2)
  assert.deepEqual(await trackAll([event('too-large', { event_properties: large(1_100_000) })]), { 'too-large': 413 })
  assert.deepEqual(await it.events(), [])
})

test('the Node SDK drops what each indexed 400 names, and delivers the rest', { timeout }, async (t) => {
  const it = await emulator(t)
  await it.silence('silenced-device')
  const { trackAll } = await node(t, it.httpV2)
  const codes = await trackAll([
    event('good-1'),
    event('missing', { user_id: undefined }),
    event('price', { price: 'five' }),
    event('good-2'),
    event('reserved', { event_type: '[Amplitude] Revenue' }),
    event('short', { user_id: 'abc' }),
    event('forbidden', { device_id: 'unknown' }),
    event('silenced', { device_id: 'silenced-device' }),
    event('good-3'),
  ])
  const bad = { missing: 400, price: 400, reserved: 400, short: 400, forbidden: 400, silenced: 400 }
  assert.deepEqual(codes, { 'good-1': 200, 'good-2': 200, 'good-3': 200, ...bad })
  assert.deepEqual(await statuses(it), [[400, 9], [400, 8], [400, 6], [400, 4], [200, 3]])
  assert.deepEqual(names(await it.events()), ['good-1', 'good-2', 'good-3'])
})

test('the Node SDK drops a batch when it lacks its key, or has that of the other region', { timeout }, async (t) => {
  const it = await emulator(t)
  for (const [url, key] of [[it.httpV2, 'wrong-key'], [`${it.url}/eu/2/httpapi`, KEY]]) {
    const { trackAll } = await node(t, url, { key })
    assert.deepEqual(await trackAll([event('lost')]), { lost: 400 })
  }
  assert.deepEqual(await statuses(it), [[400, null], [400, null]])
})

// A defect: its one timer takes the longest wait, so that the cold users wait with the hot one.
test('the Node SDK waits 30 seconds with all users when one is throttled, then delivers all', { timeout }, async (t) => {
  const it = await emulator(t, '--throttle', 'documented')
  const { trackAll, sentAt } = await node(t, it.httpV2, { answered: () => it.advance(30_000) })
  const codes = await trackAll([event('cold-1'), ...some(31, 'hot', { user_id: 'hot-user' }), event('cold-2')])
  assert.ok(Object.values(codes).every((code) => code === 200))
  assert.deepEqual(await statuses(it), [[429, 33], [200, 33]])
  const waited = sentAt[1] - sentAt[0]
  assert.ok(waited >= 30_000 && waited < 30_500, `it waited ${waited} ms`)
})

test('the Node SDK drops the events of a user whose daily quota is used up', { timeout }, async (t) => {
  const it = await emulator(t, '--throttle', '1000:10')
  const { trackAll } = await node(t, it.batch)
  const spam = some(11, 'spam', { user_id: 'spam-user' })
  const codes = await trackAll([...spam, event('good')])
  assert.deepEqual(codes, { ...Object.fromEntries(spam.map(({ insert_id }) => [insert_id, 429])), good: 200 })
  assert.deepEqual(await statuses(it), [[429, 12], [200, 1]])
})

test('the Node SDK sends again after 503 and after 502; what had arrived by then does not count twice', { timeout }, async (t) => {
  const it = await emulator(t)
  await it.fault({ kind: 'status', status: 503 })
  await it.fault({ kind: 'accept_then_status', status: 502 })
  const { trackAll } = await node(t, it.httpV2)
  assert.deepEqual(await trackAll([event('again', { device_id: 'device-1' })]), { again: 200 })
  const { accepted, duplicated, requests } = await it.state()
  assert.deepEqual([accepted, duplicated, requests], [1, 1, 3])
})

// Defects: it believes any 200, and gives up at once where there is no answer.
test('a login page with status 200 counts as delivered for the Node SDK, and a broken connection loses the batch', { timeout }, async (t) => {
  const it = await emulator(t)
  const { trackAll } = await node(t, it.httpV2)
  await it.fault({ kind: 'html' })
  assert.deepEqual(await trackAll([event('html')]), { html: 200 })
  await it.fault({ kind: 'hang_up' })
  assert.deepEqual(await trackAll([event('hang-up')]), { 'hang-up': 0 })
  assert.deepEqual(await it.events(), [])
})

// A defect: only its own timer tries again.
test('what meets a 502 in a flush is lost for the Node SDK', { timeout }, async (t) => {
  const it = await emulator(t)
  await it.fault({ kind: 'status', status: 502 })
  const { client, trackAll } = await node(t, it.httpV2)
  const codes = await trackAll([event('flushed')], () => client.flush())
  assert.deepEqual([codes, await it.events()], [{ flushed: 502 }, []])
})
