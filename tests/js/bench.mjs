// Benchmarks of the package in Chromium, one JSON object a line: what a `track` call costs the page, how fast events are delivered, and how long
// an event is only in memory. Part of scripts/bench.
//
//   node tests/js/bench.mjs [ROUNDS]        needs pkg/, see scripts/build-npm

import http from 'node:http'
import { KEY, launch, pkg, serve } from './support.mjs'

const rounds = Number(process.argv[2] ?? 5)
const N = 20_000
const ending = []
const t = { after: (end) => ending.push(end) }

/** Takes everything at once and counts it. */
async function sink() {
  const cors = { 'access-control-allow-origin': '*', 'access-control-allow-headers': 'content-type', 'access-control-max-age': '600' }
  const server = http.createServer(async (request, response) => {
    const chunks = []
    for await (const chunk of request) chunks.push(chunk)
    const events_ingested = Buffer.concat(chunks).toString('latin1').split('"insert_id"').length - 1
    response.writeHead(200, { ...cors, 'content-type': 'application/json' })
    response.end(JSON.stringify({ code: 200, events_ingested, payload_size_bytes: 1, server_upload_time: Date.now() }))
  })
  await new Promise((done) => server.listen(0, '127.0.0.1', done))
  t.after(() => {
    server.close()
    server.closeAllConnections()
  })
  return `http://127.0.0.1:${server.address().port}/2/httpapi`
}

/** Runs in the page. The reference event. */
async function measure({ key, serverUrl, count }) {
  const properties = (i) => ({
    product_id: `sku${i}`,
    price: 29.99,
    quantity: i % 7,
    currency: 'USD',
    tags: ['a', 'b', 'c'],
    discounted: i % 2 === 0,
    category: 'Laptops',
    note: 'a somewhat longer string value here',
  })
  await api.init(key, { serverUrl })
  await Promise.all([api.track('warm', properties(0)), api.flush()])

  // One at a time, as a page's events are.
  const windows = []
  for (let i = 0; i < 100; i++) {
    const began = performance.now()
    await api.track('Product Purchased', properties(i)).stored
    windows.push(performance.now() - began)
    await new Promise((done) => setTimeout(done, 5))
  }
  await api.flush()
  windows.sort((a, b) => a - b)

  const began = performance.now()
  const calls = []
  for (let i = 0; i < count; i++) {
    calls.push(api.track('Product Purchased', properties(i), { user_id: `user-${i % 1000}`, device_id: `device-${i % 1000}` }))
  }
  const taken = performance.now()
  await Promise.all(calls.map(({ stored }) => stored))
  const stored = performance.now()
  const { delivered } = await api.flush(60_000)
  const ended = performance.now()

  // The same text, with nothing around it.
  const event = {
    time: 1, session_id: 1, device_id: 'device-1', user_id: 'user-1', platform: 'Web', ip: '$remote', language: 'en-US',
    user_agent: navigator.userAgent, library: 'amplitude-sdk-wasm/0.1.0', insert_id: '0'.repeat(32), event_type: 'Product Purchased',
  }
  let bytes = 0
  const json = performance.now()
  for (let i = 0; i < count; i++) bytes += JSON.stringify({ ...event, time: i, event_properties: properties(i) }).length
  const stringify = performance.now() - json
  const outcomes = await Promise.all(calls)
  if (outcomes.some(({ status }) => status !== 'delivered')) throw new Error(`not all were delivered: ${delivered} at the flush`)
  return {
    track: ((taken - began) * 1000) / count,
    stringify: (stringify * 1000) / count,
    rate: (count * 1000) / (ended - began),
    stored: stored - began,
    median: windows[50],
    late: windows[95],
    bytes: bytes / count,
  }
}

const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]
const print = (name, value, unit, more = {}) => console.log(JSON.stringify({ name, value: Number(value.toFixed(3)), unit, rounds, ...more }))

try {
  const browser = await launch(t)
  const serverUrl = await sink()
  const site = await serve(t, {
    '/page.html': '<!doctype html><script type="module">window.api = await import("/pkg/index.js")</script>',
    '/pkg/': pkg,
  })
  const results = []
  for (let round = 0; round < rounds; round++) {
    const context = await browser.newContext()
    const page = await context.newPage()
    await page.goto(`${site}/page.html`)
    await page.waitForFunction(() => window.api)
    results.push(await page.evaluate(measure, { key: KEY, serverUrl, count: N }))
    await context.close()
  }
  const of = (field) => median(results.map((it) => it[field]))
  print('browser: track call', of('track'), 'us', { n: N, json_bytes: Math.round(of('bytes')) })
  print('browser: JSON.stringify of the same event', of('stringify'), 'us', { n: N })
  print('browser: track call beyond JSON.stringify', median(results.map((it) => it.track - it.stringify)), 'us', { n: N })
  print('browser: events delivered', of('rate'), '1/s', { n: N })
  print('browser: 20,000 events stored', of('stored'), 'ms')
  print('browser: from track to stored, median', of('median'), 'ms')
  print('browser: from track to stored, 95 of 100', of('late'), 'ms')
} finally {
  for (const end of ending.reverse()) await end()
}
