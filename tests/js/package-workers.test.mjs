// The installed package where there is no page: in a dedicated worker, in a shared one, and in a service worker.

import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { KEY, application, emulator, installed, launch, names, open, serve, until, wire } from './support.mjs'

const timeout = 60_000

// Answers `{ key, serverUrl }` with what became of an early call and of a late one.
const WORK = `
  async function work(api, { key, serverUrl }) {
    const early = api.track('early', { from: 'worker' })
    await api.init(key, { serverUrl })
    const late = api.track('late')
    const report = await api.flush()
    const refused = await api.init(key, { secretKey: 'x' }).catch((error) => [error instanceof Error, error.name])
    return { report, outcomes: await Promise.all([early, late]), refused, device: api.getDeviceId() }
  }
`
const dir = application({ after })
const site = await serve({ after }, {
  '/page.html': '<!doctype html><title>shop</title>',
  '/vendor/': installed(dir),
  '/worker.js': `import * as api from './vendor/index.js'${WORK}
    onmessage = async ({ data }) => postMessage(await work(api, data))`,
  '/shared.js': `import * as api from './vendor/index.js'${WORK}
    onconnect = ({ ports: [port] }) => (port.onmessage = async ({ data }) => port.postMessage(await work(api, data)))`,
  // A service worker knows no dynamic import.
  '/service.js': `import * as api from './vendor/static.js'${WORK}
    onmessage = ({ data, ports: [port] }) => work(api, data).then((answer) => port.postMessage(answer), (error) => port.postMessage(String(error)))`,
  // Answers its page at once, and delivers behind it.
  '/waits.js': `import { flush, init, track } from './vendor/static.js'
    function deliver(event, { key, serverUrl, id }) {
      init(key, { serverUrl, flushIntervalMs: 3_600_000 })
      track('behind the page', {}, { insert_id: id })
      event.waitUntil(flush())
    }
    onmessage = (event) => deliver(event, event.data)
    onactivate = (event) => event.waitUntil(clients.claim())
    onfetch = (event) => {
      const { pathname, searchParams } = new URL(event.request.url)
      if (pathname !== '/buy') return
      deliver(event, Object.fromEntries(searchParams))
      event.respondWith(new Response('bought'))
    }`,
  '/late.js': `import * as api from './vendor/index.js'
    onmessage = ({ data, ports: [port] }) => api.init(data.key, data).then(() => port.postMessage('loaded'), (error) => port.postMessage(error instanceof Error))`,
})
const browser = await launch({ after })

async function delivers(t, ask) {
  const it = await emulator(t)
  const page = await open(t, browser, `${site}/page.html`)
  const seen = await page.evaluate(ask, { key: KEY, serverUrl: it.httpV2 })
  assert.deepEqual(seen.outcomes, Array(2).fill({ status: 'delivered' }), JSON.stringify(seen))
  assert.deepEqual([seen.report.pending, seen.refused], [0, [true, 'AmplitudeError']])
  const events = await it.events()
  assert.deepEqual(events.map(({ event_type, device_id }) => [event_type, device_id]), [['early', seen.device], ['late', seen.device]])
}

test('a dedicated worker delivers', { timeout }, (t) => delivers(t, (data) => new Promise((done, failed) => {
  const worker = new Worker('./worker.js', { type: 'module' })
  worker.onmessage = ({ data }) => done(data)
  worker.onerror = ({ message }) => failed(new Error(message))
  worker.postMessage(data)
})))

test('a shared worker delivers', { timeout }, (t) => delivers(t, (data) => new Promise((done, failed) => {
  const { port } = Object.assign(new SharedWorker('./shared.js', { type: 'module' }), { onerror: ({ message }) => failed(new Error(message)) })
  port.onmessage = ({ data }) => done(data)
  port.postMessage(data)
})))

// Registers a service worker and asks it once.
const ask = async ({ script, ...data }) => {
  const registration = await navigator.serviceWorker.register(script, { type: 'module' })
  await navigator.serviceWorker.ready
  const { port1, port2 } = new MessageChannel()
  const answer = new Promise((done) => (port1.onmessage = ({ data }) => done(data)))
  registration.active.postMessage(data, [port2])
  return answer
}

test('a service worker delivers by the static entry', { timeout }, async (t) => {
  const it = await emulator(t)
  const page = await open(t, browser, `${site}/page.html`)
  const seen = await page.evaluate(ask, { script: './service.js', key: KEY, serverUrl: it.httpV2 })
  assert.deepEqual(seen.outcomes, Array(2).fill({ status: 'delivered' }), JSON.stringify(seen))
  assert.deepEqual((await it.events()).map(({ event_type }) => event_type), ['early', 'late'])
})

test('a service worker with the other entry is told by an Error', { timeout }, async (t) => {
  const page = await open(t, browser, `${site}/page.html`)
  assert.equal(await page.evaluate(ask, { script: './late.js', key: KEY }), true)
})

// How a page asks the worker, which must not wait for it.
const WAYS = {
  message: async (data) => (await navigator.serviceWorker.ready).active.postMessage(data),
  fetch: async (data) => {
    if ((await (await fetch(`/buy?${new URLSearchParams(data)}`)).text()) !== 'bought') throw new Error('the worker did not answer')
  },
}

for (const [way, send] of Object.entries(WAYS)) {
  test(`a service worker that waits for flush in its ${way} handler delivers when the page is closed`, { timeout }, async (t) => {
    const it = await emulator(t)
    const line = await wire(t, it.httpV2)
    const held = []
    line.how = (response, events, handOn) => held.push(handOn)
    const page = await open(t, browser, `${site}/page.html`)
    await page.evaluate(async () => {
      const controlled = new Promise((done) => (navigator.serviceWorker.oncontrollerchange = done))
      await navigator.serviceWorker.register('./waits.js', { type: 'module' })
      await controlled
    })
    await page.evaluate(send, { key: KEY, serverUrl: line.url, id: `by-${way}` })
    const context = page.context()
    await page.close()
    await until('it is sent, by nobody but the worker', () => held.length)
    assert.equal(context.pages().length, 0)
    held.forEach((handOn) => handOn())
    await until('it is delivered', async () => (await it.events()).length)
    assert.deepEqual(names(await it.events()), [`by-${way}`])
    assert.equal(line.sent.length, 1)
  })
}
