// Clients that others wrote deliver to the emulator unchanged: the official Node and Python SDKs.

import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { join, resolve } from 'node:path'
import { test } from 'node:test'
import { createInstance } from '@amplitude/analytics-node'

const root = resolve(import.meta.dirname, '../..')
const KEY = 'demo0000000000000000000000000key'

// Starts the emulator on a free port; `t` ends it.
async function emulator(t, ...options) {
  const child = spawn(join(root, 'target/debug/amplitude-emulator'), ['--port', '0', ...options], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.after(() => child.kill())
  let text = ''
  return new Promise((found, failed) => {
    child.stdout.on('data', (chunk) => {
      text += chunk
      const address = /listening on (\S+)\n/.exec(text)
      if (address) found(address[1])
    })
    child.on('exit', () => failed(new Error('the emulator ended before it listened')))
  })
}

const arrived = async (base) => (await (await fetch(`${base}/_emulator/events`)).json()).map(({ event }) => event)

async function node(base) {
  const client = createInstance()
  await client.init(KEY, { serverUrl: `${base}/2/httpapi`, flushIntervalMillis: 10, logLevel: 0 }).promise
  return client
}

test('the official Node SDK delivers', { timeout: 30_000 }, async (t) => {
  const base = await emulator(t)
  const client = await node(base)
  const results = [
    client.track('Product Purchased', { price: 29.99 }, { user_id: 'user123' }).promise,
    client.track('Item Added to Cart', { item_name: 'Laptop' }, { user_id: 'user456' }).promise,
  ]
  await client.flush().promise
  assert.deepEqual((await Promise.all(results)).map(({ code }) => code), [200, 200])
  const events = await arrived(base)
  assert.deepEqual(events.map(({ user_id }) => user_id).sort(), ['user123', 'user456'])
})

test('the official Node SDK drops what an indexed 400 names and delivers the rest', { timeout: 30_000 }, async (t) => {
  const base = await emulator(t)
  const client = await node(base)
  const good = client.track('good', {}, { user_id: 'user123' }).promise
  const bad = client.track('bad', {}, { user_id: 'user456', price: 'five' }).promise
  // Its own timer sends: after `flush` it would not try again.
  assert.equal((await bad).code, 400)
  assert.equal((await good).code, 200)
  assert.deepEqual((await arrived(base)).map(({ event_type }) => event_type), ['good'])
})

test('the official Python SDK delivers', { timeout: 60_000, skip: !process.env.AMPLITUDE_SDK_PYTHON && 'no Python: scripts/test sets it' }, async (t) => {
  const base = await emulator(t)
  const script = `
from amplitude import Amplitude, BaseEvent, Config
client = Amplitude("${KEY}", Config(server_url="${base}/2/httpapi", flush_interval_millis=10))
client.track(BaseEvent(event_type="Product Purchased", user_id="user123", event_properties={"price": 29.99}))
client.shutdown()
`
  const run = spawnSync(process.env.AMPLITUDE_SDK_PYTHON, ['-c', script], { timeout: 30_000 })
  assert.equal(run.status, 0, String(run.stderr))
  assert.deepEqual((await arrived(base)).map(({ user_id }) => user_id), ['user123'])
})
