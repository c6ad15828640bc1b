// The package as it is packed: its loader under Node, its types, and a bare page in Chromium against the emulator.

import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { extname, join, resolve } from 'node:path'
import { test } from 'node:test'
import { chromium } from 'playwright-core'

const root = resolve(import.meta.dirname, '../..')
const pkg = join(root, 'pkg')
const KEY = 'demo0000000000000000000000000key'

// Starts the emulator on a free port; `t` ends it.
async function emulator(t) {
  const child = spawn(join(root, 'target/debug/amplitude-emulator'), ['--port', '0'], { stdio: ['ignore', 'pipe', 'inherit'] })
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

// A client that writes down what the loader hands over.
function recorder() {
  const calls = []
  const run = (method, args, time, id) => {
    calls.push({ method, args, time, id })
    return { status: 'delivered' }
  }
  return { calls, client: { open: async () => ({ run, ids: {}, pending: () => '[]' }) } }
}

test('importing it under Node touches nothing', async () => {
  const before = Object.getOwnPropertyNames(globalThis).length
  const api = await import(join(pkg, 'index.js'))
  assert.equal(typeof api.init, 'function')
  assert.equal(Object.getOwnPropertyNames(globalThis).length, before)
})

test('early calls keep their arguments, their time and their order', async () => {
  const { create } = await import(join(pkg, 'loader.js'))
  const { calls, client } = recorder()
  const api = create(async () => client)
  const properties = { price: 1 }
  const first = api.track('first', properties)
  properties.price = 2
  api.setUserId('user-1')
  const second = api.track({ event_type: 'second' })
  await api.init(KEY)
  const third = api.track('third')
  assert.deepEqual(await Promise.all([first, second, third]), Array(3).fill({ status: 'delivered' }))
  assert.deepEqual(calls.map(({ method }) => method), ['track', 'setUserId', 'track', 'track'])
  assert.deepEqual(calls.map(({ args }) => args[0]?.event_type ?? args[0]), ['first', 'user-1', 'second', 'third'])
  assert.equal(calls[0].args[1].price, 1)
  assert.ok(Math.abs(calls[0].time - Date.now()) < 60_000)
  assert.ok(calls[0].id.length > 10 && calls[0].id !== calls[2].id, 'an early call has an insert id of its own')
})

test('what JSON would change in silence is refused', async (t) => {
  t.mock.method(console, 'error', () => {})
  const { create, AmplitudeError } = await import(join(pkg, 'loader.js'))
  const { client } = recorder()
  const api = create(async () => client)
  const cycle = {}
  cycle.self = cycle
  const bad = [NaN, Infinity, 1n, undefined, () => {}, Symbol('x'), new Map(), new Set(), new Date(NaN), cycle, [undefined]]
  for (const value of bad) {
    await assert.rejects(api.track('a', { value }), (error) => error instanceof AmplitudeError && error.kind === 'invalid')
  }
  const good = api.track('a', { value: new Date(0) })
  await api.init(KEY)
  assert.equal((await good).status, 'delivered')
})

test('a secret is refused by its name, before anything is loaded', async () => {
  const { create } = await import(join(pkg, 'loader.js'))
  for (const name of ['secretKey', 'secret_key', 'apiSecret', 'accessToken', 'password', 'authorization']) {
    const api = create(() => assert.fail('loaded'))
    await assert.rejects(api.init(KEY, { [name]: 'fake' }), (error) => error.name === 'AmplitudeError' && error.message.includes(name))
  }
})

test('its types are right', () => {
  const dir = mkdtempSync(join(tmpdir(), 'amplitude-types-'))
  try {
    cpSync(pkg, join(dir, 'node_modules/amplitude-sdk-wasm'), { recursive: true })
    writeFileSync(join(dir, 'good.ts'), `
      import { Identify, init, track, type Outcome } from 'amplitude-sdk-wasm'
      init('key', { region: 'eu', plugins: [(event) => (event.event_type === 'x' ? null : event)] })
      const outcome: Promise<Outcome> = track('a', { price: 1, tags: ['a'] }, { user_id: 'user-1' })
      new Identify().set('a', 1).unset('b')
      // @ts-expect-error a secret has no place here
      init('key', { secretKey: 'x' })
      // @ts-expect-error no property holds a function
      track('a', { f: () => 1 })
      export { outcome }
    `)
    const tsc = join(import.meta.dirname, 'node_modules/.bin/tsc')
    const run = spawnSync(tsc, ['--noEmit', '--strict', '--module', 'nodenext', '--target', 'es2022', '--lib', 'es2022,dom', 'good.ts'], { cwd: dir })
    assert.equal(run.status, 0, String(run.stdout))
  } finally {
    rmSync(dir, { recursive: true })
  }
})

const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.wasm': 'application/wasm' }

test('a bare page delivers through a relative URL', { timeout: 60_000 }, async (t) => {
  const base = await emulator(t)
  const server = createServer((request, response) => {
    if (request.url === '/') return response.setHeader('content-type', 'text/html').end('<!doctype html><title>shop</title>')
    const path = join(pkg, new URL(request.url, 'http://x').pathname.replace('/pkg/', ''))
    try {
      response.setHeader('content-type', TYPES[extname(path)] ?? 'text/plain').end(readFileSync(path))
    } catch {
      response.writeHead(404).end()
    }
  })
  await new Promise((done) => server.listen(0, '127.0.0.1', done))
  t.after(() => server.close())
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox'] })
  t.after(() => browser.close())
  const page = await browser.newPage()
  await page.goto(`http://127.0.0.1:${server.address().port}/`)
  const seen = await page.evaluate(async (url) => {
    const api = await import('./pkg/index.js')
    const early = api.track('Product Purchased', { product_id: 'sku456', price: 29.99 }, { user_id: 'user123' })
    await api.init('demo0000000000000000000000000key', { serverUrl: `${url}/2/httpapi`, flushIntervalMs: 10 })
    await api.setUserId('user456')
    const later = [
      api.track('Item Added to Cart', { item_name: 'Laptop' }),
      api.identify(new api.Identify().set('plan', 'pro')),
      api.groupIdentify('org', 'acme', { $set: { plan: 'gold' } }),
      api.setGroup('org', 'acme'),
      api.revenue({ price: 4.99, quantity: 2, productId: 'sku-1' }),
    ]
    const report = await api.flush()
    const outcomes = await Promise.all([early, ...later])
    const refusal = await api.track('a', {}, { price: 'five' }).catch((error) => [error instanceof Error, error.name, error.kind, error.message])
    return { report, outcomes, refusal, device: api.getDeviceId(), session: api.getSessionId() }
  }, base)
  assert.equal(seen.report.pending, 0)
  assert.deepEqual(seen.outcomes, Array(6).fill({ status: 'delivered' }))
  assert.deepEqual(seen.refusal.slice(0, 3), [true, 'AmplitudeError', 'invalid'])
  assert.match(seen.refusal[3], /^price: must be a number/)
  const events = (await (await fetch(`${base}/_emulator/events`)).json()).map(({ event }) => event)
  assert.equal(events.length, 6)
  const find = (type) => events.find((event) => event.event_type === type)
  assert.deepEqual(find('Product Purchased').event_properties, { product_id: 'sku456', price: 29.99 })
  assert.equal(find('Product Purchased').user_id, 'user123')
  assert.equal(find('Item Added to Cart').user_id, 'user456')
  assert.equal(find('revenue_amount').event_properties.$price, 4.99)
  assert.ok(events.every((event) => event.device_id === seen.device && event.session_id === seen.session && event.platform === 'Web'))
})

test('what a page leaves is delivered by the next', { timeout: 60_000 }, async (t) => {
  const base = await emulator(t)
  const server = createServer((request, response) => {
    if (!request.url.startsWith('/pkg/')) return response.setHeader('content-type', 'text/html').end('<!doctype html><title>shop</title>')
    const path = join(pkg, request.url.replace('/pkg/', ''))
    response.setHeader('content-type', TYPES[extname(path)] ?? 'text/plain').end(readFileSync(path))
  })
  await new Promise((done) => server.listen(0, '127.0.0.1', done))
  t.after(() => server.close())
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox'] })
  t.after(() => browser.close())
  const page = await browser.newPage()
  const address = `http://127.0.0.1:${server.address().port}`
  await page.goto(`${address}/one`)
  await page.evaluate(async (key) => {
    const api = await import('./pkg/index.js')
    await api.init(key, { serverUrl: 'http://127.0.0.1:9/2/httpapi' })
    api.track('left behind', { page: 1 }, { insert_id: 'left-behind-1' })
  }, KEY)
  await page.goto(`${address}/two`)
  const report = await page.evaluate(async ([key, url]) => {
    const api = await import('./pkg/index.js')
    await api.init(key, { serverUrl: `${url}/2/httpapi` })
    return api.flush()
  }, [KEY, base])
  assert.equal(report.delivered, 1)
  const [{ event }] = await (await fetch(`${base}/_emulator/events`)).json()
  assert.deepEqual([event.event_type, event.insert_id], ['left behind', 'left-behind-1'])
})
