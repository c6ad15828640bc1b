// The installed package where there is almost nothing: no window, no storage, no locks, no channels, as on edge runtimes. Node, with what it has
// beyond that taken away.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { after, test } from 'node:test'
import { KEY, application, emulator, names, wire } from './support.mjs'

const timeout = 60_000

// A runtime hands out the files that were deployed with a program; Node's `fetch` reads none.
const RUNTIME = `
import { readFile } from 'node:fs/promises'
for (const name of ['window', 'document', 'navigator', 'location', 'localStorage', 'indexedDB', 'BroadcastChannel', 'Worker', 'addEventListener']) {
  Reflect.deleteProperty(globalThis, name)
  if (globalThis[name] !== undefined) throw new Error(name + ' is still there')
}
const { fetch } = globalThis
globalThis.fetch = async (url, options) =>
  new URL(url).protocol === 'file:'
    ? new Response(await readFile(new URL(url)), { headers: { 'content-type': 'application/wasm' } })
    : fetch(url, options)

/** Ends, as a runtime does, when the handler has answered and all that it asked to wait for is over. */
export async function handle(handler) {
  const waits = []
  handler({ waitUntil: (promise) => waits.push(promise) })
  console.log(JSON.stringify(await Promise.all(waits)))
  process.exit()
}
`

const dir = application({ after }, {
  'runtime.mjs': RUNTIME,
  'handler.mjs': `
    import { handle } from './runtime.mjs'
    const { init, track, flush } = await import('amplitude-sdk-wasm')
    const [, , key, serverUrl, deadline] = process.argv
    handle((event) => {
      track('before init', {}, { insert_id: 'before', device_id: 'device-1' })
      init(key, { serverUrl, flushIntervalMs: 3_600_000 })
      track('after init', {}, { insert_id: 'after', device_id: 'device-1' })
      event.waitUntil(flush(deadline && Number(deadline)))
      track('after flush', {}, { insert_id: 'late', device_id: 'device-2' })
    })`,
})

/** Runs the handler to its end; what its promises resolved with. */
const run = (...args) => new Promise((done, failed) => {
  const child = spawn('node', ['handler.mjs', ...args], { cwd: dir, stdio: ['ignore', 'pipe', 'pipe'], timeout })
  let [out, err] = ['', '']
  child.stdout.on('data', (text) => (out += text))
  child.stderr.on('data', (text) => (err += text))
  child.on('error', failed)
  child.on('close', (status) => (status === 0 ? done(JSON.parse(out)) : failed(new Error(`${status}: ${out}${err}`))))
})

test('flush covers all that was tracked before it, also before init', { timeout }, async (t) => {
  const it = await emulator(t)
  const line = await wire(t, it.httpV2)
  const [report] = await run(KEY, line.url)
  assert.deepEqual(report, { delivered: 2, rejected: 0, dropped: 0, unknown: 0, pending: 0 })
  assert.deepEqual(names(await it.events()).filter((id) => id !== 'late'), ['before', 'after'])
})

test('flush waits no longer than its deadline, and tells what is pending', { timeout }, async (t) => {
  const it = await emulator(t)
  const line = await wire(t, it.httpV2)
  line.how = 'hold'
  const [report] = await run(KEY, line.url, '1500')
  assert.deepEqual(report, { delivered: 0, rejected: 0, dropped: 0, unknown: 0, pending: 2 })
  assert.ok(names(line.sent.flat()).includes('before'), 'it was sent')
})
