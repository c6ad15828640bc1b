// The package as npm installs it from its .tgz: its files, under Node, and its types.

import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { application, installed, root, run } from './support.mjs'

const dir = application({ after })
const manifest = JSON.parse(readFileSync(join(installed(dir), 'package.json'), 'utf8'))
const ENTRIES = ['amplitude-sdk-wasm', 'amplitude-sdk-wasm/static']
const CALLS = [
  ...['init', 'track', 'identify', 'groupIdentify', 'setGroup', 'revenue', 'setUserId', 'setDeviceId', 'reset', 'flush'],
  ...['deadLetters', 'replay', 'discard'],
  ...['getUserId', 'getDeviceId', 'getSessionId'],
]
const NAMES = ['AmplitudeError', 'Identify', ...CALLS].sort()

test('it brings its files, its terms and the version of the crate, and needs no other package', () => {
  const targets = Object.values(manifest.exports).flatMap((it) => (typeof it === 'string' ? [it] : Object.values(it)))
  assert.ok(targets.length >= 6)
  for (const target of [manifest.types, ...targets]) assert.ok(existsSync(join(installed(dir), target)), target)
  const files = readdirSync(installed(dir))
  for (const name of ['README.md', 'LICENSE-MIT', 'LICENSE-APACHE']) assert.ok(files.includes(name), name)
  assert.equal(manifest.version, /^version = "(.*)"$/m.exec(readFileSync(join(root, 'Cargo.toml'), 'utf8'))[1])
  assert.deepEqual([manifest.dependencies, manifest.scripts], [undefined, undefined])
})

// What a browser has and Node may have: each tells when it is touched.
const GUARD = `
  const touched = []
  for (const name of ['window', 'document', 'self', 'location', 'navigator', 'localStorage', 'sessionStorage', 'indexedDB', 'fetch', 'crypto',
    'addEventListener', 'setTimeout', 'setInterval', 'queueMicrotask', 'requestIdleCallback', 'WebAssembly', 'XMLHttpRequest', 'console']) {
    const value = globalThis[name]
    Object.defineProperty(globalThis, name, { configurable: true, get: () => (touched.push(name), value) })
  }
  const before = Reflect.ownKeys(globalThis)
  const api = await import(process.argv[2])
  const added = Reflect.ownKeys(globalThis).filter((name) => !before.includes(name)).map(String)
  const found = [...touched]
  console.log(JSON.stringify({ touched: found, added, names: Object.keys(api).sort() }))
`

test('importing it under Node touches no global', () => {
  writeFileSync(join(dir, 'guard.mjs'), GUARD)
  for (const entry of ENTRIES) {
    assert.deepEqual(JSON.parse(run(dir, 'node', 'guard.mjs', entry)), { touched: [], added: [], names: NAMES }, entry)
  }
  // The guard itself sees what there is to see.
  writeFileSync(join(dir, 'noisy.mjs'), 'globalThis.extra = typeof fetch')
  assert.deepEqual(JSON.parse(run(dir, 'node', 'guard.mjs', './noisy.mjs')), { touched: ['fetch'], added: ['extra'], names: [] })
})

test('under Node calls wait, and what is wrong is refused with an Error', () => {
  writeFileSync(join(dir, 'early.mjs'), `
    import { AmplitudeError, init, track } from 'amplitude-sdk-wasm'
    console.error = () => {}
    const waits = track('a').then(() => 'settled')
    const told = async (call) => {
      try {
        await call()
      } catch (error) {
        return [error instanceof Error, error instanceof AmplitudeError, error.name, error.kind, error.retryable]
      }
    }
    const first = await Promise.race([waits, new Promise((done) => setImmediate(done, 'waits'))])
    console.log(JSON.stringify([first, await told(() => track('a', { a: NaN })), await told(() => init(5)), await told(() => init('key', { secretKey: 'x' }))]))
  `)
  const refused = [true, true, 'AmplitudeError', 'invalid', false]
  assert.deepEqual(JSON.parse(run(dir, 'node', 'early.mjs')), ['waits', refused, refused, refused])
})

const USE = `
  import { AmplitudeError, Identify, deadLetters, discard, flush, getDeviceId, getSessionId, getUserId, groupIdentify, identify, init, replay, reset,
    revenue, setDeviceId, setGroup, setUserId, track, type DeadLetter, type Event, type Operations, type Options, type Outcome, type Progress,
    type Report } from 'amplitude-sdk-wasm'
  import * as api from 'amplitude-sdk-wasm'
  import * as still from 'amplitude-sdk-wasm/static'

  const options: Options = {
    region: 'eu',
    flushIntervalMs: 500,
    plugins: [(event) => (event.event_type === 'x' ? null : { ...event, platform: 'Kiosk' })],
    onProgress: (step: Progress) => {
      if (step.type === 'settled') console.log(step.status.toUpperCase(), step.reason?.length, step.ids[0])
      if (step.type === 'notice') console.log(step.text)
    },
  }
  const started: Promise<void> = init('key', options)
  const outcome: Promise<Outcome> = track('a', { price: 1, tags: ['a'], when: new Date(), deep: { er: null } }, { user_id: 'user-1', time: 5 })
  const event: Event = { event_type: 'a', groups: { org: ['a', 'b'] }, plan: { version: '1' } }
  const operations: Operations = { $set: { plan: 'pro' }, $clearAll: '-' }
  const all: Promise<Outcome>[] = [
    track(event), identify(new Identify().set('a', 1).unset('b')), identify(operations), groupIdentify('org', ['a'], { $set: { size: 5 } }),
    setGroup('org', 'a'), revenue({ price: 4.99, quantity: 2, productId: 'sku-1', properties: { a: 1 } }),
  ]
  const done: Promise<void>[] = [setUserId('user-1'), setUserId(null), setUserId(), setDeviceId('device-1'), reset()]
  const report: Promise<Report> = flush(5000)
  const ids: [string | undefined, string | undefined, number | undefined] = [getUserId(), getDeviceId(), getSessionId()]
  const letters: Promise<DeadLetter[]> = deadLetters()
  const replayed: Promise<Outcome>[] = []
  letters.then(([letter]) => {
    if (!letter || letter.outcome.status === 'unknown') return
    const safe: Promise<boolean> = replay(letter).stored
    replayed.push(replay(letter, { ...letter.event, time: letter.givenUpMs, insert_id: letter.key }))
    const gone: Promise<void> = discard(letter)
    return [safe, gone]
  })
  const error: Error = new AmplitudeError('text')
  const same: typeof api = still

  // Neither more nor less than there is.
  const names = NAMES as const
  type Named = (typeof names)[number]
  const nothing: [Exclude<keyof typeof api, Named>, Exclude<Named, keyof typeof api>] extends [never, never] ? true : false = true

  // @ts-expect-error a secret has no place here
  init('key', { secretKey: 'x' })
  // @ts-expect-error an option is misspelt
  init('key', { flushInterval: 5 })
  // @ts-expect-error there is no such region
  init('key', { region: 'mars' })
  // @ts-expect-error no property holds a function
  track('a', { f: () => 1 })
  // @ts-expect-error an event has a type
  track({ user_id: 'user-1' })
  // @ts-expect-error a price is a number
  track('a', {}, { price: '5' })
  // @ts-expect-error numbers alone can be added
  new Identify().add('a', '1')
  // @ts-expect-error a letter is no event
  replay({ event_type: 'x' })
  // @ts-expect-error an id is a text
  setUserId(5)
  export { started, outcome, all, done, report, ids, replayed, error, same, nothing }
`

test('its types are those of the calls, for both ways to resolve modules', () => {
  writeFileSync(join(dir, 'use.ts'), USE.replace('NAMES', JSON.stringify(NAMES)))
  const tsc = join(import.meta.dirname, 'node_modules/.bin/tsc')
  for (const [module, resolution] of [['nodenext', 'nodenext'], ['esnext', 'bundler']]) {
    const strict = ['--strict', '--exactOptionalPropertyTypes', '--noUncheckedIndexedAccess']
    const target = ['--target', 'es2022', '--lib', 'es2022,dom']
    const given = run(dir, tsc, '--noEmit', ...strict, ...target, '--module', module, '--moduleResolution', resolution, '--listFiles', 'use.ts')
    assert.match(given, /amplitude-sdk-wasm\/index\.d\.ts/, 'the types are the package\'s')
  }
})
