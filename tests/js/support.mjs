// What the tests share: an emulator on a free port, the installed package, a static server, Chromium. Each ends with its test, `t`;
// where it is the file's, `t` is `{ after }` of node:test.

import { spawn, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import { tmpdir } from 'node:os'
import { extname, join, normalize, resolve } from 'node:path'
import { chromium } from 'playwright-core'

export const root = resolve(import.meta.dirname, '../..')
/** The package as `scripts/build-npm` leaves it. */
export const pkg = join(root, 'pkg')
/** Where cargo leaves programs: in the folder that it is told, where it is told one. */
export const built = resolve(root, process.env.CARGO_TARGET_DIR || 'target', 'debug')
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

/** Starts a program of this crate on a free port; where it listens. */
export function listening(t, program, options, env = process.env) {
  const child = spawn(join(built, program), ['--port', '0', ...options], { stdio: ['ignore', 'pipe', 'inherit'], env })
  t.after(() => child.kill())
  return new Promise((found, failed) => {
    let text = ''
    child.stdout.on('data', (chunk) => {
      text += chunk
      const address = /listening on (\S+)\n/.exec(text)
      if (address) found(address[1])
    })
    child.on('error', failed)
    child.on('exit', () => failed(new Error(`${program} ended before it listened`)))
  })
}

/** Starts an emulator and waits until it listens. */
export async function emulator(t, ...options) {
  const url = await listening(t, 'amplitude-emulator', options)
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

/** Serves texts and, where a path ends with a slash, folders: `{ '/page.html': '<p>', '/pkg/': folder }`. Answers with its address. */
export async function serve(t, places) {
  const server = http.createServer((request, response) => {
    const path = new URL(request.url, 'http://localhost').pathname
    const place = Object.keys(places).find((it) => (it.endsWith('/') ? path.startsWith(it) : path === it))
    const file = place?.endsWith('/') && join(places[place], normalize(path.slice(place.length)))
    const body = file ? statSync(file, { throwIfNoEntry: false })?.isFile() && readFileSync(file) : places[place]
    if (!body) return response.writeHead(404).end()
    // Pages in a sandbox have no origin.
    response.setHeader('access-control-allow-origin', '*').setHeader('content-type', TYPES[extname(path)] ?? 'text/html').end(body)
  })
  await new Promise((done) => server.listen(0, '127.0.0.1', done))
  t.after(() => {
    server.close()
    server.closeAllConnections()
  })
  return `http://127.0.0.1:${server.address().port}`
}

/** A line to a server, by default an emulator's HTTP V2, that a test can cut and listen on: `how` it treats requests from now on. */
export async function wire(t, target) {
  const cors = { 'access-control-allow-origin': '*', 'access-control-allow-headers': 'content-type', 'access-control-max-age': '600' }
  const line = {
    /** 'up', 'down': breaks connections, 'hold': answers never, 'mute': hands on and answers never, or a function that answers a request,
     * `(response, events, handOn) => …`. */
    how: 'up',
    /** The events of every request that came, in order. */
    sent: [],
    /** How many requests are open now, and were at most. */
    open: 0,
    most: 0,
  }
  const server = http.createServer(async (request, response) => {
    if (request.method === 'OPTIONS') return response.writeHead(204, cors).end()
    line.most = Math.max(line.most, ++line.open)
    response.on('close', () => line.open--)
    let body = ''
    try {
      for await (const chunk of request.setEncoding('utf8')) body += chunk
    } catch {
      // The page went while it sent.
      return
    }
    const { events } = JSON.parse(body)
    line.sent.push(events)
    const { how } = line
    if (how === 'down') return request.socket.destroy()
    if (how === 'hold') return
    for (const [name, value] of Object.entries(cors)) response.setHeader(name, value)
    const handOn = () => {
      const onward = http.request(target, { method: 'POST', headers: { 'content-type': 'application/json' } }, (answer) => {
        if (how === 'mute') return answer.resume()
        response.writeHead(answer.statusCode, { 'content-type': answer.headers['content-type'] ?? 'text/plain' })
        answer.pipe(response)
      })
      onward.on('error', () => response.destroy())
      onward.end(body)
    }
    if (typeof how === 'function') how(response, events, handOn)
    else handOn()
  })
  await new Promise((done) => server.listen(0, '127.0.0.1', done))
  t.after(() => {
    server.close()
    server.closeAllConnections()
  })
  line.url = `http://127.0.0.1:${server.address().port}/2/httpapi`
  return line
}

/** One Chromium for the tests of a file. */
export async function launch(t) {
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox'] })
  t.after(() => browser.close())
  return browser
}

/** A page whose storage nobody else sees; what it throws by itself fails the test. */
export async function open(t, browser, url) {
  const context = await browser.newContext()
  const page = await context.newPage()
  const thrown = []
  page.on('pageerror', (error) => thrown.push(error))
  t.after(async () => {
    await context.close()
    if (thrown.length) throw new AggregateError(thrown, `the page threw: ${thrown.map(String).join(', ')}`)
  })
  await page.goto(url)
  return page
}

/** WCAG 2: the lowest contrast of these texts with what is behind them. */
export function lowestContrast(page, selector) {
  return page.evaluate((selector) => {
    const channel = (value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4)
    const luminance = (color) => {
      const canvas = document.createElement('canvas').getContext('2d')
      canvas.fillStyle = color
      canvas.fillRect(0, 0, 1, 1)
      const [red, green, blue] = [...canvas.getImageData(0, 0, 1, 1).data].map((value) => channel(value / 255))
      return 0.2126 * red + 0.7152 * green + 0.0722 * blue
    }
    const behind = (node) => {
      const color = getComputedStyle(node).backgroundColor
      return color === 'rgba(0, 0, 0, 0)' ? behind(node.parentElement) : color
    }
    const contrast = (node) => {
      const [low, high] = [luminance(getComputedStyle(node).color), luminance(behind(node))].sort((a, b) => a - b)
      return (high + 0.05) / (low + 0.05)
    }
    const texts = [...document.querySelectorAll(selector)]
    if (!texts.length) throw new Error(`${selector}: there is none`)
    return Math.min(...texts.map(contrast))
  }, selector)
}

/** A folder that goes with the test. */
export function folder(t) {
  const dir = mkdtempSync(join(tmpdir(), 'amplitude-sdk-'))
  t.after(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}

/** Runs a program to its end; what it prints. */
export function run(cwd, program, ...args) {
  const { status, error, stdout, stderr } = spawnSync(program, args, { cwd, encoding: 'utf8', timeout: 120_000 })
  if (error) throw error
  if (status !== 0) throw new Error(`${program} ${args.join(' ')}: ${status}\n${stdout}${stderr}`)
  return stdout
}

/** An application that has the packed package from its .tgz, and these files. */
export function application(t, files = {}) {
  const dir = folder(t)
  const [{ filename }] = JSON.parse(run(pkg, 'npm', 'pack', '--json', '--ignore-scripts', '--pack-destination', dir))
  writeFileSync(join(dir, 'package.json'), JSON.stringify({ name: 'application', private: true, type: 'module' }))
  run(dir, 'npm', 'install', '--offline', '--no-audit', '--no-fund', '--ignore-scripts', join(dir, filename))
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(join(dir, name, '..'), { recursive: true })
    writeFileSync(join(dir, name), text)
  }
  return dir
}

/** The package's folder in an application. */
export const installed = (dir) => join(dir, 'node_modules/amplitude-sdk-wasm')

/** The insert ids of events, by which a test names them. */
export const names = (events) => events.map(({ insert_id }) => insert_id)

/** Properties that take about so many bytes, in strings that nobody shortens. */
export const large = (bytes) => ({ list: Array.from({ length: Math.ceil(bytes / 1000) }, () => 'x'.repeat(997)) })
