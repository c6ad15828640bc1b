// The examples of the READMEs, run as they stand: the JavaScript in Chromium, the first Rust one as the program that it is a copy of.
// The emulator is in the place of Amplitude. That all Rust examples compile is seen to by the doc tests.

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { KEY, application, built, emulator, folder, installed, launch, open, root, run, serve, until } from './support.mjs'

const timeout = 60_000

/** The fenced blocks of a language in a Markdown file, each with the line before it. */
function blocks(file, language) {
  const text = readFileSync(join(root, file), 'utf8')
  return [...text.matchAll(new RegExp(`(.*)\\n\`\`\`${language}\\b.*\\n([^]*?)\\n\`\`\``, 'g'))].map(([, before, code]) => ({ before, code }))
}

const dir = application({ after })
const browser = await launch({ after })

// Runs a block as a page's module, with Amplitude's address led to the emulator and no other known; answers with what arrives.
async function arrives(t, code) {
  const it = await emulator(t, '--project', 'YOUR_API_KEY:not-needed:us')
  const site = await serve(t, {
    '/page.html': `<!doctype html><title>shop</title>
      <script type="importmap">{ "imports": { "amplitude-sdk-wasm": "./vendor/index.js" } }</script><script type="module" src="block.js"></script>`,
    '/block.js': code,
    '/vendor/': installed(dir),
  })
  const page = await open(t, browser, 'about:blank')
  const strangers = []
  await page.route(/^https?:/, async (route) => {
    const url = route.request().url()
    if (url.startsWith(site)) return route.continue()
    if (url === 'https://api2.amplitude.com/2/httpapi') return route.fulfill({ response: await route.fetch({ url: it.httpV2 }) })
    strangers.push(url)
    return route.abort()
  })
  const expected = [...code.matchAll(/\b(track|identify)\((?:["'](.+?)["'])?/g)].map(([, call, type]) => (call === 'track' ? type : '$identify'))
  await page.goto(`${site}/page.html`)
  await until('what the block tracks', async () => (await it.state()).accepted >= expected.length)
  assert.deepEqual(strangers, [])
  const events = await it.events()
  assert.deepEqual(events.map(({ event_type }) => event_type), expected)
  return events
}

test('the JavaScript of the README delivers', { timeout }, async (t) => {
  const examples = blocks('README.md', 'js').filter(({ code }) => code.includes('amplitude-sdk-wasm'))
  assert.ok(examples.length > 0)
  for (const { code } of examples) {
    const [purchased] = await arrives(t, code)
    assert.deepEqual(purchased.event_properties, { product_id: 'sku456', price: 29.99 })
  }
})

test('the JavaScript of the package\'s README delivers', { timeout }, async (t) => {
  const [first, ...others] = blocks('pkg-template/README.md', 'js').filter(({ code }) => code.includes('amplitude-sdk-wasm'))
  assert.ok((await arrives(t, first.code)).length > 0)
  // That of the dead letters, on a page that has some.
  assert.equal(others.length, 1)
  const site = await serve(t, {
    '/page.html': `<!doctype html><title>shop</title>
      <script type="importmap">{ "imports": { "amplitude-sdk-wasm": "./vendor/index.js" } }</script><script type="module" src="block.js"></script>`,
    '/block.js': `import { init, track } from 'amplitude-sdk-wasm'
      init('${KEY}', { serverUrl: '/collect' })
      window.outcomes = await Promise.all(['late', 'bad', 'good'].map((it) => track(it, {}, { device_id: it + '-device' })))
      ${others[0].code}
      window.rest = await deadLetters()`,
    '/vendor/': installed(dir),
  })
  const page = await open(t, browser, 'about:blank')
  const requests = []
  await page.route(`${site}/collect`, (route) => {
    const { events } = route.request().postDataJSON()
    requests.push(events.map(({ event_type }) => event_type))
    const at = (type) => events.flatMap((event, at) => (event.event_type === type ? [at] : []))
    const code = requests.length === 1 ? 400 : 200
    const reply = { 400: { code, events_with_invalid_fields: { time: at('late'), price: at('bad') } }, 200: { code, events_ingested: events.length } }
    return route.fulfill({ status: code, json: reply[code] })
  })
  await page.goto(`${site}/page.html`)
  await until('what the block replays', () => requests.length === 3)
  await page.waitForFunction(() => window.rest)
  assert.deepEqual(await page.evaluate(() => outcomes.map(({ status }) => status)), ['rejected', 'rejected', 'delivered'])
  assert.deepEqual(requests, [['late', 'bad', 'good'], ['good'], ['late']])
  await until('both are gone', () => page.evaluate(() => import('./vendor/index.js').then(({ deadLetters }) => deadLetters()).then((letters) => !letters.length)))
})

/** The code in the one form that rustfmt gives it, without what is said about the file. */
function formatted(t, code) {
  const file = join(folder(t), 'code.rs')
  writeFileSync(file, code.replace(/^\/\/!.*\n+/gm, ''))
  run(root, 'rustfmt', '--edition', '2024', '--config-path', root, file)
  return readFileSync(file, 'utf8')
}

test('the first Rust example is the program, and the program delivers its two events', { timeout }, async (t) => {
  const examples = blocks('README.md', 'rust')
  const named = examples.filter(({ before }) => before.includes('examples/two_events.rs'))
  assert.deepEqual(named, examples.slice(0, 1), 'the first example says which program it is')
  assert.equal(formatted(t, named[0].code), formatted(t, readFileSync(join(root, 'examples/two_events.rs'), 'utf8')))

  const it = await emulator(t)
  const env = { PATH: process.env.PATH, AMPLITUDE_API_KEY: KEY, AMPLITUDE_SERVER_URL: it.httpV2 }
  const { status, stdout, stderr } = spawnSync(join(built, 'examples/two_events'), { env, encoding: 'utf8', timeout: 30_000 })
  assert.deepEqual([status, stdout, stderr], [0, '2 delivered, 0 rejected, 0 not sent\n', ''])
  const events = await it.events()
  assert.deepEqual(events.map(({ user_id, event_type, event_properties }) => [user_id, event_type, event_properties]), [
    ['user123', 'Product Purchased', { product_id: 'sku456', price: 29.99 }],
    ['user456', 'Item Added to Cart', { item_name: 'Laptop' }],
  ])
})
