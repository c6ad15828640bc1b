// Amplitude's own Node client under the same orders as examples/load.rs: environment N, URL, RATE, DEADLINE_S, IDS; one JSON line at the end.

import { appendFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { setTimeout as sleep } from 'node:timers/promises'

const { N, URL, RATE, DEADLINE_S, IDS } = process.env
const require = createRequire(new globalThis.URL('../tests/js/package.json', import.meta.url))
const { createInstance, Types } = require('@amplitude/analytics-node')

const client = createInstance()
// All else as it comes.
await client.init('demo0000000000000000000000000key', { serverUrl: URL, logLevel: Types.LogLevel.None }).promise

const n = Number(N)
const told = { delivered: 0, dropped: 0 }
const outcomes = []
const start = performance.now()
for (let i = 0; i < n; i += 1) {
  await sleep(Math.max(0, start + (i / RATE) * 1000 - performance.now()))
  const who = String(i % 1000).padStart(5, '0')
  const insert_id = `node-${process.pid}-${i}`
  const properties = {
    product_id: `sku${i % 1000}`,
    price: 29.99,
    quantity: i % 7,
    currency: 'USD',
    tags: ['a', 'b', 'c'],
    discounted: i % 2 === 0,
    category: 'Laptops',
    note: 'a somewhat longer string value here',
  }
  const options = { user_id: `user-${who}`, device_id: `device-${who}`, insert_id }
  const { promise } = client.track('Product Purchased', properties, options)
  outcomes.push(promise.then(({ code }) => (told[code === 200 ? 'delivered' : 'dropped'] += 1)))
  appendFileSync(IDS, `${insert_id}\n`)
}
await Promise.race([Promise.all(outcomes), sleep(DEADLINE_S * 1000)])
console.log(JSON.stringify({ n, ...told, pending: n - told.delivered - told.dropped }))
process.exit(0)
