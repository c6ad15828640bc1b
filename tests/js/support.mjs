// What the tests share: an emulator on a free port, a static server, Chromium. Each ends with its test.

import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import http from 'node:http'
import { tmpdir } from 'node:os'
import { extname, join, normalize, resolve } from 'node:path'
import { chromium } from 'playwright-core'

export const root = resolve(import.meta.dirname, '../..')
/** The package as `scripts/build-npm` leaves it. */
export const pkg = join(root, 'pkg')
/** The emulator's default project. */
export const KEY = 'demo0000000000000000000000000key'

/** JSON of an answer. Not by `fetch`, whose timers a test that mocks timers would tick. */
function json(url, body) {
  return new Promise((found, failed) => {
    const headers = { 'content-type': 'application/json' }
    const request = http.request(url, { method: body ? 'POST' : 'GET', headers, agent: false }, async (answer) => {
      let text = ''
      for await (const chunk of answer.setEncoding('utf8')) text += chunk
      if (answer.statusCode >= 300) return failed(new Error(`${url}: ${answer.statusCode} ${text}`))
      found(text ? JSON.parse(text) : undefined)
    })
    request.on('error', failed)
    request.end(body && JSON.stringify(body))
  })
}

/** Starts an emulator and waits until it listens. */
export async function emulator(t, ...options) {
  const child = spawn(join(root, 'target/debug/amplitude-emulator'), ['--port', '0', ...options], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.after(() => child.kill())
  const url = await new Promise((found, failed) => {
    let text = ''
    child.stdout.on('data', (chunk) => {
      text += chunk
      const address = /listening on (\S+)\n/.exec(text)
      if (address) found(address[1])
    })
    child.on('error', failed)
    child.on('exit', () => failed(new Error('the emulator ended before it listened')))
  })
  const all = async (name) => {
    const items = []
    for (;;) {
      const page = await json(`${url}/_emulator/${name}?after=${items.at(-1)?.number ?? 0}`)
      if (!page.length) return items
      items.push(...page)
    }
  }
  const post = (name, body) => json(`${url}/_emulator/${name}`, body)
  return {
    url,
    httpV2: `${url}/2/httpapi`,
    batch: `${url}/batch`,
    /** What it accepted, in order. */
    events: async () => (await all('events')).map(({ event }) => event),
    /** What it answered, in order: path, status, number of events. */
    requests: () => all('requests'),
    people: () => json(`${url}/_emulator/people`),
    state: () => json(`${url}/_emulator/state`),
    fault: (fault) => post('faults', fault),
    silence: (device_id) => post('silence', { device_id }),
    advance: (advance_ms) => post('clock', { advance_ms }),
  }
}

/** Waits until `check` answers with something true, which is the answer. */
export async function until(what, check, patience = 20_000) {
  const end = performance.now() + patience
  for (;;) {
    const found = await check()
    if (found) return found
    if (performance.now() > end) throw new Error(`not within ${patience} ms: ${what}`)
    await new Promise((done) => setTimeout(done, 10))
  }
}

const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.wasm': 'application/wasm', '.json': 'application/json', '.css': 'text/css' }

/** Serves folders and texts of HTML or JavaScript: `{ '/pkg/': folder, '/': text, '/sw.js': text }`. Answers with its address. */
export async function serve(t, places) {
  const server = http.createServer((request, response) => {
    const path = normalize(new URL(request.url, 'http://localhost').pathname)
    const send = (type, body) => response.setHeader('content-type', type ?? 'application/octet-stream').end(body)
    if (typeof places[path] === 'string' && !path.endsWith('/')) return send(TYPES[extname(path)], places[path])
    const place = Object.keys(places).filter((it) => it.endsWith('/') && path.startsWith(it)).sort((a, b) => b.length - a.length)[0]
    if (place && /^\s*</.test(places[place])) return path === place ? send('text/html', places[place]) : response.writeHead(404).end()
    const file = place && join(places[place], path.slice(place.length) || 'index.html')
    if (!file || !statSync(file, { throwIfNoEntry: false })?.isFile()) return response.writeHead(404).end()
    send(TYPES[extname(file)], readFileSync(file))
  })
  await new Promise((done) => server.listen(0, '127.0.0.1', done))
  t.after(() => {
    server.close()
    server.closeAllConnections()
  })
  return `http://127.0.0.1:${server.address().port}`
}

/** One Chromium for the tests of a file. */
export function launch() {
  return chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox'] })
}

/** A page with storage of its own that fails its test when it throws. */
export async function open(t, browser, url) {
  const context = await browser.newContext()
  t.after(() => context.close())
  const page = await context.newPage()
  page.on('pageerror', (error) => t.diagnostic(`the page threw: ${error.stack}`))
  if (url) await page.goto(url)
  return page
}

/** A folder that goes when the test ends. */
export function folder(t) {
  const dir = mkdtempSync(join(tmpdir(), 'amplitude-sdk-'))
  t.after(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}

/** The insert ids of events, by which a test names them. */
export const names = (events) => events.map(({ insert_id }) => insert_id)

/** Properties that take about so many bytes, in strings that nobody shortens. */
export const large = (bytes) => ({ list: Array.from({ length: Math.ceil(bytes / 1000) }, () => 'x'.repeat(997)) })
