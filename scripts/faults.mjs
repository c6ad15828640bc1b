// Runs this crate's client and Amplitude's own through the same faults and counts at the server what became of their events.
//
//   node scripts/faults.mjs LOAD PYTHON [SCENARIO]...     LOAD: examples/load, built; PYTHON: one that has amplitude-analytics
//
// Prints a Markdown table. Without names all scenarios run, at the same time, and the table is also written to docs/delivery.md.

import { execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { cpus, tmpdir, totalmem } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { faultServer } from './faults-server.mjs'

const root = resolve(import.meta.dirname, '..')

const SCENARIOS = {
  outage: { seconds: 600, title: 'Outage: 503 for ten minutes' },
  'brown-out': { seconds: 60, title: 'Brown-out: 30 % of requests fail' },
  'hung server': { seconds: 60, title: 'Hung server: no answer' },
  'connection refused': { seconds: 60, title: 'Connection refused' },
  'broken connections': { seconds: 60, title: 'Broken connections: reset, nothing taken' },
  'lost answers': { seconds: 60, title: 'Lost answers: taken, then reset' },
  'captive portal': { seconds: 60, title: 'Captive portal: 200 with a page' },
  'full disk': { seconds: 60, title: 'Full disk: 400 kB, and 503 meanwhile' },
}
const EVENTS = 2000
/** How long all is well before the fault, how long events are still tracked after it, and how long is waited then. */
const [BEFORE_S, AFTER_S, WAIT_S] = [10, 20, 180]

export const ours = (load, env = {}) => ({ title: 'this crate', command: [load], env: { STORE: 'memory', ...env } })

/** One client through one fault. What was counted, and what the client said. */
export async function run(client, { fault, events, before, seconds, after, wait, seed = 1 }) {
  const dir = mkdtempSync(join(tmpdir(), 'amplitude-sdk-faults-'))
  const server = await faultServer({ seed })
  const ids = join(dir, 'ids')
  writeFileSync(ids, '')
  const orders = { N: events, URL: server.url, RATE: events / (before + seconds + after), DEADLINE_S: wait, IDS: ids }
  const stores = client.env.STORE === 'disk' ? { DIR: join(dir, 'store') } : {}
  const [program, ...words] = client.command
  const child = spawn(program, words, { env: { ...process.env, ...client.env, ...stores, ...orders }, stdio: ['ignore', 'pipe', 'inherit'] })
  const ended = new AbortController()
  const pass = (seconds) => sleep(seconds * 1000, undefined, { signal: ended.signal })
  const weather = async () => {
    await pass(before)
    await server.fail(fault)
    await pass(seconds)
    await server.heal()
  }
  try {
    // A client that fails ends the run at once.
    const [said] = await Promise.all([output(child), weather()])
    const { delivered: told } = JSON.parse(said)
    const tracked = readFileSync(ids, 'utf8').split('\n').filter(Boolean)
    if (tracked.length !== events) throw new Error(`${client.title}: ${tracked.length} of ${events} events were tracked`)
    const { requests, sent, taken, repeated } = server.books
    const lost = tracked.filter((id) => !taken.has(id)).length
    return { tracked: tracked.length, requests, sent, delivered: taken.size, repeated, lost, told }
  } finally {
    ended.abort()
    child.kill()
    await server.end()
    rmSync(dir, { recursive: true, force: true })
  }
}

async function output(child) {
  let text = ''
  child.stdout.on('data', (chunk) => (text += chunk))
  const code = await new Promise((ended, failed) => child.on('error', failed).on('close', ended))
  if (code !== 0) throw new Error(`${child.spawnfile} ended with ${code}`)
  return text
}

/** The disk store's client, or why there is none. */
function disk(load) {
  const client = ours(load, { STORE: 'disk' })
  const dir = mkdtempSync(join(tmpdir(), 'amplitude-sdk-faults-'))
  try {
    execFileSync(load, { env: { ...process.env, STORE: 'disk', DIR: dir, N: 0 }, stdio: 'pipe', timeout: 60_000 })
    return [{ ...client, title: 'this crate, on disk' }]
  } catch (error) {
    console.error(`left out: the disk store: ${String(error.stderr ?? error).trim()}`)
    return []
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}

/** The disk store's client on a disk of 400 kB, in a namespace of its own, or why there is none. */
function smallDisk(client) {
  const mount = 'mkdir -p "$DIR" && mount -t tmpfs -o size=400k none "$DIR" && exec "$0"'
  const command = ['unshare', '--user', '--map-root-user', '--mount', 'sh', '-c', mount]
  const dir = mkdtempSync(join(tmpdir(), 'amplitude-sdk-faults-'))
  try {
    execFileSync(command[0], [...command.slice(1), 'true'], { env: { ...process.env, DIR: dir }, stdio: 'pipe' })
    return [{ ...client, command: [...command, ...client.command] }]
  } catch (error) {
    console.error(`left out: the full disk: ${String(error.stderr ?? error).trim()}`)
    return []
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}

async function main([load, python, ...names]) {
  const unknown = names.filter((name) => !(name in SCENARIOS))
  if (!load || !python || unknown.length) {
    throw new Error(`usage: faults.mjs LOAD PYTHON [SCENARIO]...; scenarios: ${Object.keys(SCENARIOS).join(', ')}`)
  }
  const clients = [
    ours(load),
    ...disk(load),
    { title: 'Node SDK', command: [process.execPath, join(import.meta.dirname, 'faults-node.mjs')], env: {} },
    { title: 'Python SDK', command: [python, join(import.meta.dirname, 'faults-python.py')], env: {} },
  ]
  const chosen = names.length ? names : Object.keys(SCENARIOS)
  const longest = Math.max(...chosen.map((name) => SCENARIOS[name].seconds)) + BEFORE_S + AFTER_S + WAIT_S
  console.error(`${chosen.length} scenarios with ${clients.length} clients, at most ${Math.ceil(longest / 60)} minutes`)
  // The others have nothing on the disk.
  const meeting = (fault) => (fault === 'full disk' ? clients.filter(({ env }) => env.STORE === 'disk').flatMap(smallDisk) : clients)
  const rows = chosen.flatMap((fault) => meeting(fault).map((client) => ({ fault, client })))
  const runs = await Promise.allSettled(
    rows.map(async ({ fault, client }) => {
      const { seconds, title } = SCENARIOS[fault]
      const counted = await run(client, { fault, seconds, events: EVENTS, before: BEFORE_S, after: AFTER_S, wait: WAIT_S })
      console.error(`${fault}, ${client.title}: ${JSON.stringify(counted)}`)
      return { title, client: client.title, ...counted }
    }),
  )
  const failed = runs.filter(({ status }) => status === 'rejected').map(({ reason }) => reason)
  if (failed.length) throw new AggregateError(failed, failed.map(String).join('; '))
  const text = [...table(runs.map(({ value }) => value)), '', ...machine(python)].join('\n')
  console.log(text)
  if (!names.length) write(text)
}

const number = (value) => value.toLocaleString('en-US')

function table(figures) {
  const lines = figures.map(({ title, client, sent, delivered, repeated, lost, told }) => {
    const cells = [title, client, ...[sent, delivered, repeated, lost, told].map(number)]
    return `| ${cells.join(' | ')} |`
  })
  return ['| Fault | Client | Sent | Delivered | Repeated | Lost | Client says delivered |', '| --- | --- | ---: | ---: | ---: | ---: | ---: |', ...lines]
}

function machine(python) {
  const require = createRequire(join(root, 'tests/js/package.json'))
  const { version } = JSON.parse(readFileSync(join(require.resolve('@amplitude/analytics-node'), '../../../package.json')))
  const ask = "import importlib.metadata as m, platform as p; print(m.version('amplitude-analytics'), 'on Python', p.python_version())"
  const pythons = execFileSync(python, ['-c', ask], { encoding: 'utf8' }).trim()
  const crate = /^version = "(.*)"$/m.exec(readFileSync(join(root, 'Cargo.toml'), 'utf8'))[1]
  const [{ model }] = cpus()
  return [
    `Versions: amplitude-sdk ${crate}; @amplitude/analytics-node ${version} on Node ${process.versions.node}; amplitude-analytics ${pythons}.`,
    `Machine: ${cpus().length} × ${model.trim()}, ${Math.round(totalmem() / 1e9)} GB, ${process.platform}; ${new Date().toISOString().slice(0, 10)}.`,
  ]
}

/** Puts the figures between their marks in the text about them. */
function write(text) {
  const path = join(root, 'docs/delivery.md')
  const [start, end] = ['<!-- figures: written by scripts/faults -->', '<!-- end of figures -->']
  const old = readFileSync(path, 'utf8')
  const [from, to] = [old.indexOf(start), old.indexOf(end)]
  if (from < 0 || to < from) throw new Error(`${path} lacks the marks around its figures`)
  writeFileSync(path, `${old.slice(0, from + start.length)}\n\n${text}\n\n${old.slice(to)}`)
}

if (import.meta.filename === process.argv[1]) await main(process.argv.slice(2))
