// Amplitude's own Python SDK against the emulator. `python_client.py` leads it; a test moves its clock, so that nothing waits in earnest.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { test } from 'node:test'
import { KEY, emulator, large, names, until } from './support.mjs'

const { AMPLITUDE_SDK_PYTHON } = process.env
const timeout = 60_000

// Each event with its name is settled once, or `undefined` when the client ends without a word about it.
function python(t, url, { key = KEY, ...config } = {}) {
  assert.ok(AMPLITUDE_SDK_PYTHON, 'AMPLITUDE_SDK_PYTHON names a Python that has amplitude-analytics: scripts/test sets it')
  const options = { server_url: url, flush_interval_millis: 1000, ...config }
  const child = spawn(AMPLITUDE_SDK_PYTHON, [join(import.meta.dirname, 'python_client.py'), key, JSON.stringify(options)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  t.after(() => child.kill())
  const told = []
  let ended = false
  createInterface({ input: child.stdout }).on('line', (line) => {
    const outcome = JSON.parse(line)
    if (outcome.ended) ended = true
    else told.push(outcome)
  })
  const command = (...words) => child.stdin.write(`${JSON.stringify(words)}\n`)
  const codes = () => Object.fromEntries(told.map(({ event, code }) => [event.insert_id, code]))
  return {
    told,
    codes,
    track: (events) => events.forEach((event) => command('track', event)),
    advance: (ms) => command('advance', ms),
    settled: (count) => until(`${count} outcomes`, () => told.length >= count && codes()),
    // What it has to say when all its threads are done.
    end: async () => {
      const exit = once(child, 'exit')
      command('end')
      assert.deepEqual((await exit)[0], 0)
      await until('its last word', () => ended)
      return codes()
    },
  }
}

// Sent as one batch: the client sends at once what fills its queue.
function batch(t, url, events, config) {
  const client = python(t, url, { flush_queue_size: events.length, ...config })
  client.track(events)
  return client
}

const event = (insert_id, fields) => ({ event_type: 'tested', user_id: `user-of-${insert_id}`, insert_id, ...fields })

test('the Python SDK delivers, and nothing is changed', { timeout }, async (t) => {
  const it = await emulator(t)
  for (const url of [it.httpV2, it.batch]) {
    const client = batch(t, url, [
      event('purchase', { event_properties: { price: 29.99, tags: ['a', 'ü', '𝄞'], deep: { er: [1, true] } }, time: 1_760_000_000_000 }),
      event('plain', { device_id: 'device-1', session_id: 1_760_000_000_000, app_version: '1.2', groups: { org: ['a', 'b'] } }),
      event('identify', { event_type: '$identify', user_properties: { $set: { plan: 'pro' }, $add: { logins: 1 } } }),
      event('group', { event_type: '$groupidentify', groups: { org: 'a' }, group_properties: { $set: { size: 5 } } }),
      event('revenue', { price: 4.5, quantity: 2, product_id: 'sku-1', revenue_type: 'purchase', location_lat: 1.5 }),
    ].map((it) => ({ ...it, insert_id: `${url.at(-1)}-${it.insert_id}` })))
    await client.settled(5)
    assert.ok(client.told.every(({ code }) => code === 200))
    const sent = client.told.map((outcome) => outcome.event)
    const arrived = (await it.events()).slice(-5)
    assert.deepEqual(byName(arrived), byName(sent))
  }
  assert.deepEqual((await it.requests()).map(({ status, events }) => [status, events]), [[200, 5], [200, 5]])
  assert.equal((await it.people()).groups[0].group_properties.size, 5)
})

const byName = (events) => Object.fromEntries(events.map((it) => [it.insert_id, it]))

test('the Python SDK splits what is too large, until all of it has arrived', { timeout }, async (t) => {
  const it = await emulator(t)
  const sent = Array.from({ length: 8 }, (_, number) => event(`large-${number}`, { event_properties: large(300_000) }))
  const codes = await batch(t, it.httpV2, sent).settled(8)
  assert.deepEqual(Object.values(codes), Array(8).fill(200))
  assert.deepEqual(names(await it.events()).sort(), sent.map(({ insert_id }) => insert_id))
  const statuses = (await it.requests()).map(({ status }) => status)
  // Eight, then four and four, then two at most.
  assert.deepEqual(statuses.slice(0, 1), [413])
  assert.ok(statuses.filter((status) => status === 413).length <= 3 && statuses.filter((status) => status === 200).length >= 4, String(statuses))
})

test('the Python SDK splits what are too many events', { timeout }, async (t) => {
  const it = await emulator(t)
  const sent = Array.from({ length: 2001 }, (_, number) => event(`many-${number}`))
  // A slow machine needs a while to tell them to the client, which must not send the first ones meanwhile.
  await batch(t, it.httpV2, sent, { flush_interval_millis: 5000 }).settled(2001)
  const requests = await it.requests()
  assert.deepEqual([requests[0].status, requests[0].events], [413, 2001])
  assert.ok(requests.slice(1).every(({ status, events }) => status === 200 && events <= 1000))
  assert.equal(new Set(names(await it.events())).size, 2001)
})

test('the Python SDK drops one event that is too large by itself', { timeout }, async (t) => {
  const it = await emulator(t)
  const codes = await batch(t, it.httpV2, [event('too-large', { event_properties: large(1_100_000) })]).settled(1)
  assert.deepEqual([codes, await it.events()], [{ 'too-large': 413 }, []])
})

test('the Python SDK drops what each indexed 400 names, and delivers the rest', { timeout }, async (t) => {
  const it = await emulator(t)
  await it.silence('silenced-device')
  const codes = await batch(t, it.httpV2, [
    event('good-1'),
    event('reserved', { event_type: '[Amplitude] Revenue' }),
    event('good-2'),
    event('currency', { currency: 'euro' }),
    event('short', { user_id: 'abc' }),
    event('forbidden', { device_id: 'unknown' }),
    event('silenced', { device_id: 'silenced-device' }),
    event('good-3'),
  ]).settled(8)
  const bad = { reserved: 400, currency: 400, short: 400, forbidden: 400, silenced: 400 }
  assert.deepEqual(codes, { 'good-1': 200, 'good-2': 200, 'good-3': 200, ...bad })
  assert.deepEqual(names(await it.events()).sort(), ['good-1', 'good-2', 'good-3'])
  // What comes back to the queue may go again in pieces.
  assert.deepEqual((await statuses(it))[0], [400, 8])
})

const statuses = async (it) => (await it.requests()).map(({ status, events }) => [status, events])

test('the Python SDK lets a throttled user wait for 30 seconds, and nobody else', { timeout }, async (t) => {
  const it = await emulator(t, '--throttle', 'documented')
  const hot = Array.from({ length: 31 }, (_, number) => event(`hot-${number}`, { user_id: 'hot-user' }))
  const client = batch(t, it.httpV2, [...hot.slice(0, 20), event('cold-1'), ...hot.slice(20), event('cold-2')])
  assert.deepEqual(await client.settled(2), { 'cold-1': 200, 'cold-2': 200 })
  assert.deepEqual((await statuses(it))[0], [429, 33])
  assert.deepEqual(names(await it.events()).sort(), ['cold-1', 'cold-2'])
  client.advance(20_000)
  await it.advance(20_000)
  client.track([event('cold-3')])
  assert.deepEqual(await client.settled(3), { 'cold-1': 200, 'cold-2': 200, 'cold-3': 200 }, 'ten seconds are left')
  client.advance(11_000)
  await it.advance(11_000)
  await client.settled(34)
  assert.ok(client.told.every(({ code }) => code === 200))
  assert.equal(new Set(names(await it.events())).size, 34)
})

test('the Python SDK drops the events of a user whose daily quota is used up', { timeout }, async (t) => {
  const it = await emulator(t, '--throttle', '1000:10')
  const spam = Array.from({ length: 11 }, (_, number) => event(`spam-${number}`, { user_id: 'spam-user' }))
  const codes = await batch(t, it.batch, [...spam, event('good')]).settled(12)
  assert.deepEqual(codes, { ...Object.fromEntries(spam.map(({ insert_id }) => [insert_id, 429])), good: 200 })
})

test('the Python SDK sends again after 503 and after 502; what had arrived by then does not count twice', { timeout }, async (t) => {
  const it = await emulator(t)
  await it.fault({ kind: 'status', status: 503 })
  await it.fault({ kind: 'accept_then_status', status: 502 })
  assert.deepEqual(await batch(t, it.httpV2, [event('again')]).settled(1), { again: 200 })
  const { accepted, duplicated, requests } = await it.state()
  assert.deepEqual([accepted, duplicated, requests], [1, 1, 3])
})

test('a key of the other region is unknown; the Python SDK drops the events and tells nobody', { timeout }, async (t) => {
  const it = await emulator(t)
  const client = batch(t, `${it.url}/eu/2/httpapi`, [event('lost')])
  await until('the request', async () => (await it.requests()).length)
  assert.deepEqual(await client.end(), {})
  assert.deepEqual(await statuses(it), [[400, null]])
})

test('a login page with status 200, or a broken connection, loses events of the Python SDK without a word', { timeout }, async (t) => {
  const it = await emulator(t)
  for (const kind of ['html', 'hang_up']) {
    await it.fault({ kind })
    const before = (await it.requests()).length
    const client = batch(t, it.httpV2, [event(kind)])
    await until('the request', async () => (await it.requests()).length > before)
    assert.deepEqual(await client.end(), {})
  }
  assert.deepEqual(await it.events(), [])
})

test('what meets a 500 while the Python SDK shuts down is lost without a word', { timeout }, async (t) => {
  const it = await emulator(t)
  await it.fault({ kind: 'status', status: 500, count: 5 })
  const client = python(t, it.httpV2, { flush_queue_size: 10 })
  client.track([event('last')])
  assert.deepEqual(await client.end(), {})
  assert.deepEqual([(await statuses(it))[0], await it.events()], [[500, null], []])
})
