// The demo's server seen from outside, with what it must refuse, and the page's model of what becomes of an event.

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { connect } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { KEY, built, emulator, folder, listening, root } from './support.mjs'

const server = join(built, 'examples/demo')
const SECRET = 'fake0000000000000000000000000key'
const KEYS = { AMPLITUDE_API_KEY: KEY, AMPLITUDE_SECRET_KEY: SECRET }
const environment = { PATH: process.env.PATH, NO_PROXY: '127.0.0.1' }

// Starts the demo's server on a free port, with an emulator behind it unless `amplitude` says where; `t` ends both.
async function demo(t, { keys = KEYS, amplitude, args = [] } = {}) {
  amplitude ??= (await emulator(t)).url
  const url = await listening(t, 'examples/demo', ['--amplitude', amplitude, ...args], { ...environment, ...keys })
  return { amplitude, url }
}

// A request as it is, without the tidying of clients: its status and its body.
function raw(url, target, host = new URL(url).host) {
  return new Promise((found, failed) => {
    const socket = connect(new URL(url).port, '127.0.0.1')
    let text = ''
    socket.on('data', (chunk) => (text += chunk))
    socket.on('end', () => found({ status: Number(text.split(' ')[1]), text }))
    socket.on('error', failed)
    socket.write(`GET ${target} HTTP/1.1\r\nhost: ${host}\r\nconnection: close\r\n\r\n`)
  })
}

const put = (url, body) => fetch(url, { method: 'PUT', headers: { 'content-type': 'application/json' }, body })
const track = (url, events, more = {}) =>
  fetch(`${url}/collect`, { method: 'POST', headers: { 'content-type': 'application/json', ...more.headers }, body: more.body ?? envelope(events) })
const envelope = (events) => JSON.stringify({ api_key: KEY, events })
const event = (type, more) => ({ event_type: type, user_id: 'user-1', ...more })

test('the server serves the page and the package, each file as what it is', async (t) => {
  const { url } = await demo(t)
  for (const [path, type] of [
    ['/', 'text/html; charset=utf-8'],
    ['/main.js', 'text/javascript; charset=utf-8'],
    ['/style.css', 'text/css; charset=utf-8'],
    ['/art.svg', 'image/svg+xml'],
    ['/pkg/index.js', 'text/javascript; charset=utf-8'],
    ['/pkg/amplitude_bg.wasm', 'application/wasm'],
    ['/pkg/package.json', 'application/json'],
  ]) {
    const answer = await fetch(url + path)
    assert.equal(answer.status, 200, path)
    assert.equal(answer.headers.get('content-type'), type)
    assert.equal(answer.headers.get('x-content-type-options'), 'nosniff')
    assert.match(answer.headers.get('content-security-policy'), /default-src 'none'/)
    assert.ok((await answer.arrayBuffer()).byteLength > 100, path)
  }
})

test('nothing outside of them is served', async (t) => {
  const made = folder(t)
  for (const dir of ['www/sub', 'pkg']) mkdirSync(join(made, dir), { recursive: true })
  writeFileSync(join(made, 'www/index.html'), 'the page')
  writeFileSync(join(made, 'www/sub/a b.txt'), 'below')
  writeFileSync(join(made, 'pkg/index.js'), 'the package')
  writeFileSync(join(made, 'outside.txt'), 'OUTSIDE')
  symlinkSync(join(made, 'outside.txt'), join(made, 'www/link.txt'))
  symlinkSync(made, join(made, 'www/up'))
  const { url } = await demo(t, { args: ['--root', made] })
  assert.match((await raw(url, '/')).text, /the page/)
  assert.equal((await raw(url, '/sub/')).status, 404)
  for (const target of [
    '/../outside.txt',
    '/pkg/../../outside.txt',
    '/sub/../../outside.txt',
    '/%2e%2e/outside.txt',
    '/..%2foutside.txt',
    '/..\\outside.txt',
    '/.././outside.txt',
    `/${made}/outside.txt`,
    `${made}/outside.txt`,
    `//${made}/outside.txt`,
    '/link.txt',
    '/up/outside.txt',
    '/www/index.html',
    '/index.html%00.txt',
    '/pkg',
  ]) {
    const { status, text } = await raw(url, target)
    assert.ok(status === 404 || status === 400, `${target}: ${status}`)
    assert.doesNotMatch(text, /OUTSIDE|the page/, target)
  }
})

test('a foreign name for this machine is refused', async (t) => {
  const { url } = await demo(t)
  const { port } = new URL(url)
  for (const host of [`localhost:${port}`, `127.0.0.1:${port}`, `[::1]:${port}`, 'localhost', '[::1]']) {
    assert.equal((await raw(url, '/api/export', host)).status, 200, host)
  }
  for (const host of ['shop.example', `shop.example:${port}`, 'localhost.shop.example', '10.0.0.1', '', '[::1].example']) {
    const { status, text } = await raw(url, '/api/export', host)
    assert.ok(status === 421 || status === 400, `${host}: ${status}`)
    assert.doesNotMatch(text, /no_data/)
  }
})

test('a line that is cut gives no answer, and one that is up gives the emulator’s', async (t) => {
  const { url, amplitude } = await demo(t)
  const line = async () => (await fetch(`${url}/api/line`)).json()
  const arrived = async () => (await (await fetch(`${amplitude}/_emulator/events`)).json()).length
  assert.deepEqual(await line(), { up: true })
  assert.equal((await track(url, [event('a')])).status, 200)
  const packed = { headers: { 'content-encoding': 'gzip' }, body: gzipSync(envelope([event('b')])) }
  assert.equal((await track(url, [], packed)).status, 200)
  const refused = await track(url, [event('c', { time: 'soon' })])
  assert.equal(refused.status, 400)
  assert.deepEqual((await refused.json()).events_with_invalid_fields, { time: [0] })
  assert.equal((await fetch(`${url}/collect`, { method: 'POST', body: 'x'.repeat(2_000_001) })).status, 413)
  assert.equal(await arrived(), 2)

  assert.deepEqual(await (await put(`${url}/api/line`, '{"up": false}')).json(), { up: false })
  await assert.rejects(track(url, [event('d')]), (error) => error.cause?.code === 'UND_ERR_SOCKET' || error.cause?.code === 'ECONNRESET')
  assert.equal(await arrived(), 2)
  assert.equal((await put(`${url}/api/line`, '{"up": "yes"}')).status, 422)
  assert.deepEqual(await line(), { up: false })
  await put(`${url}/api/line`, '{"up": true}')
  assert.equal((await track(url, [event('d')])).status, 200)
  assert.equal(await arrived(), 3)
})

test('the export tells events, an empty range, a wrong range, a wrong secret and a server that is gone', async (t) => {
  const { url, amplitude } = await demo(t)
  const ask = async (base, query = '') => {
    const answer = await fetch(`${base}/api/export${query}`)
    const text = await answer.text()
    assert.doesNotMatch(text, new RegExp(SECRET))
    return [answer.status, JSON.parse(text)]
  }
  assert.deepEqual(await ask(url), [200, { outcome: 'no_data', total: 0, events: [], unreadable: [] }])

  const many = Array.from({ length: 600 }, (_, i) => event('many', { insert_id: `id-${i}`, event_properties: { i } }))
  assert.equal((await track(url, many)).status, 200)
  const [status, { total, events, outcome }] = await ask(url)
  assert.deepEqual([status, outcome, total, events.length], [200, 'events', 600, 500])
  assert.deepEqual(events[0].event_properties, { i: 599 })
  assert.deepEqual([events[0].insert_id, events[499].insert_id], ['id-599', 'id-100'])

  assert.deepEqual((await ask(url, '?start=20200101T00&end=20200101T05'))[1].outcome, 'no_data')
  for (const query of ['?start=20200101T05&end=20200101T00', '?start=yesterday&end=20200101T00', '?start=20200101T00', '?end=20200101T00']) {
    const [status, { error }] = await ask(url, query)
    assert.deepEqual([status, error.kind], [400, 'invalid'], query)
    assert.match(error.message, /start|end/)
  }

  const other = await demo(t, { amplitude, keys: { ...KEYS, AMPLITUDE_SECRET_KEY: 'fake0000000000000000000000other' } })
  const [unauthorized, refusal] = await ask(other.url)
  assert.deepEqual([unauthorized, refusal.error.kind], [502, 'unauthorized'])

  const gone = await demo(t, { amplitude: 'http://127.0.0.1:9' })
  const [unreachable, failure] = await ask(gone.url)
  assert.deepEqual([unreachable, failure.error.kind], [502, 'transport'])
  assert.equal((await track(gone.url, [event('a')])).status, 502)
})

test('an archive that cannot be read is told, not hidden', async (t) => {
  const broken = createServer((_, response) => response.end('this is no archive'))
  await new Promise((done) => broken.listen(0, '127.0.0.1', done))
  t.after(() => broken.close())
  const { url } = await demo(t, { amplitude: `http://127.0.0.1:${broken.address().port}` })
  const { total, unreadable } = await (await fetch(`${url}/api/export`)).json()
  assert.equal(total, 0)
  assert.equal(unreadable.length, 1)
})

test('what is missing at the start is named', (t) => {
  const made = folder(t)
  cpSync(join(root, 'www'), join(made, 'www'), { recursive: true })
  const run = (args, env) => {
    const { status, stderr } = spawnSync(server, args, { env: { ...environment, ...env }, encoding: 'utf8', timeout: 20_000 })
    assert.equal(status, 1)
    assert.doesNotMatch(stderr, /panicked/)
    return stderr
  }
  assert.match(run(['--root', made], KEYS), /pkg.*make npm/)
  assert.match(run([], {}), /AMPLITUDE_API_KEY/)
  assert.match(run([], { AMPLITUDE_API_KEY: KEY }), /AMPLITUDE_SECRET_KEY/)
  assert.match(run(['--amplitude', 'http://shop.example'], KEYS), /https, or http on a loopback/)
  assert.match(run(['--port', '99999'], KEYS), /99999/)
  assert.match(run(['--port'], KEYS), /--port: has no value/)
  assert.match(run(['--secret', SECRET], KEYS), /--secret: is no option/)
})

// --- the model of the page ---------------------------------------------------------------------------------------------

// No package.json says that the page's files are modules; to browsers they are.
const { createStory } = await import(`data:text/javascript,${encodeURIComponent(readFileSync(join(root, 'www/story.js'), 'utf8'))}`)

const queued = (id, type = 'Product Viewed') => ({ type: 'queued', ids: [id], method: 'track', event: JSON.stringify({ event_type: type }) })
const texts = (entry) => entry.steps.map(({ text }) => text)

test('the story follows an event through attempts to its outcome', () => {
  const changed = []
  const story = createStory({ now: () => 7, changed: (entry) => changed.push(`${entry.title} ${entry.state}`) })
  story.apply(queued(1))
  story.apply({ type: 'queued', ids: [2], method: 'identify', event: '{"$set":{"plan":"pro"}}' })
  assert.deepEqual([story.pending, story.counts.queued], [2, 2])
  story.apply({ type: 'sending', ids: [1, 2] })
  story.apply({ type: 'sending', ids: [1, 2] })
  assert.deepEqual([story.counts.queued, story.counts.sending, story.requests], [0, 2, 2])
  story.apply({ type: 'settled', ids: [2], status: 'rejected', reason: 'its device is silenced' })
  story.apply({ type: 'sending', ids: [1] })
  story.apply({ type: 'settled', ids: [1], status: 'delivered' })
  const [second, first] = story.entries
  assert.deepEqual([first.title, second.title], ['Product Viewed', 'Identify'])
  assert.deepEqual(texts(first), [
    'queued in this page',
    'in request 1, with one other event',
    'request 1 did not get through; again in request 2, with one other event',
    'request 2 was refused because of another event; again in request 3',
    'delivered',
  ])
  assert.deepEqual([second.state, second.reason, texts(second).at(-1)], ['rejected', 'its device is silenced', 'rejected: its device is silenced'])
  assert.deepEqual([story.pending, story.counts.delivered, story.counts.rejected], [0, 1, 1])
  assert.deepEqual(changed.slice(0, 3), ['Product Viewed queued', 'Identify queued', 'Product Viewed sending'])
})

test('the story tells what an earlier page left, what the page refused, and what it does not know', () => {
  const story = createStory()
  story.apply({ type: 'sending', ids: [9] })
  story.apply({ type: 'settled', ids: [9], status: 'delivered' })
  story.refuse('Product Viewed', new Error('price is NaN'))
  story.apply({ type: 'notice', text: 'delivery is paused' })
  story.apply({ type: 'a later version’s step', ids: [1] })
  assert.deepEqual(story.entries.map(({ title, state }) => [title, state]), [
    ['delivery is paused', 'note'],
    ['Product Viewed', 'refused'],
    ['Left by an earlier page', 'delivered'],
  ])
  assert.deepEqual([story.counts.refused, story.counts.delivered, story.pending], [1, 1, 0])
})

test('the story keeps few entries and follows them all', () => {
  const story = createStory({ most: 3 })
  for (let id = 1; id <= 10; id += 1) story.apply(queued(id))
  assert.deepEqual([story.entries.length, story.hidden, story.pending], [3, 7, 10])
  story.apply({ type: 'sending', ids: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10] })
  story.apply({ type: 'settled', ids: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10], status: 'delivered' })
  assert.deepEqual([story.entries.length, story.hidden, story.pending, story.counts.delivered], [3, 7, 0, 10])
})
