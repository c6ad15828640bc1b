// The installed package in a small application of Vite: as it is built and previewed, and on the development server.

import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { build, createServer, preview } from 'vite'
import { KEY, application, emulator, folder, launch, open } from './support.mjs'

const timeout = 120_000

const dir = application({ after }, {
  'index.html': '<!doctype html><title>shop</title><script type="module" src="/main.js"></script>',
  // The emulator's address comes with the page's.
  'main.js': `
    import { flush, init, track } from 'amplitude-sdk-wasm'
    const early = track('early', { from: 'page' })
    init('${KEY}', { serverUrl: new URLSearchParams(location.search).get('to') })
    const late = track('late')
    const worker = new Worker(new URL('./worker.js', import.meta.url), { type: 'module' })
    const worked = new Promise((done) => (worker.onmessage = ({ data }) => done(data)))
    worker.postMessage(new URLSearchParams(location.search).get('to'))
    const report = await flush()
    window.seen = [report.pending, ...(await Promise.all([early, late, worked]))]
  `,
  'refused.html': '<!doctype html><title>shop</title><script type="module" src="/refused.js"></script>',
  'refused.js': `
    import { init } from 'amplitude-sdk-wasm'
    init('${KEY}').catch(({ kind, message }) => (window.seen = [kind, message]))
  `,
  'worker.js': `
    import { init, track } from 'amplitude-sdk-wasm'
    onmessage = async ({ data }) => {
      await init('${KEY}', { serverUrl: data })
      postMessage(await track('from a worker'))
    }
  `,
})
const browser = await launch({ after })
const common = { root: dir, configFile: false, logLevel: 'error', worker: { format: 'es' } }
const local = { host: '127.0.0.1', port: 0 }

async function delivers(t, address) {
  const it = await emulator(t)
  const page = await open(t, browser, `${address}?to=${encodeURIComponent(it.httpV2)}`)
  await page.waitForFunction(() => window.seen, undefined, { timeout: 30_000 })
  assert.deepEqual(await page.evaluate(() => seen), [0, ...Array(3).fill({ status: 'delivered' })])
  assert.deepEqual((await it.events()).map(({ event_type }) => event_type).sort(), ['early', 'from a worker', 'late'])
}

test('it is built, and delivers when it is previewed', { timeout }, async (t) => {
  await build({ ...common, base: './' })
  const assets = readdirSync(join(dir, 'dist/assets'))
  assert.ok(assets.some((name) => /^amplitude_bg-.+\.wasm$/.test(name)), `the wasm has a name of its own: ${assets}`)
  const server = await preview({ ...common, preview: local })
  // Not the HTTP server's own `close`, which waits for connections that Chromium opened in advance.
  t.after(() => server.close())
  await delivers(t, `http://127.0.0.1:${server.httpServer.address().port}/`)
})

test('it delivers on the development server, told to leave the package as it is', { timeout }, async (t) => {
  const server = await createServer({ ...common, server: local, optimizeDeps: { exclude: ['amplitude-sdk-wasm'] } })
  t.after(() => server.close())
  await server.listen()
  await delivers(t, `http://127.0.0.1:${server.httpServer.address().port}/`)
})

test('on the development server that was not told, the error says where to read', { timeout }, async (t) => {
  const server = await createServer({ ...common, server: local, cacheDir: folder(t), optimizeDeps: { include: ['amplitude-sdk-wasm'] } })
  t.after(() => server.close())
  await server.listen()
  const page = await open(t, browser, `http://127.0.0.1:${server.httpServer.address().port}/refused.html`)
  await page.waitForFunction(() => window.seen, undefined, { timeout: 30_000 })
  const [kind, message] = await page.evaluate(() => seen)
  assert.equal(kind, 'transport')
  assert.match(message, /^init: the wasm cannot be loaded: a page came for http.*amplitude_bg\.wasm; see "What it needs" in the package's README$/)
})
