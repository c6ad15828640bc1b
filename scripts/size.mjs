// What a page downloads of the npm package: raw, gzip -9 and brotli -11 bytes of every file, their total, and the
// part that must be there before the first `track` call. Apart from them, what is loaded only when a page asks for it.
// Ends with a JSON line, and with 1 where a target is missed.
//
//   node scripts/size.mjs [PKG_DIR [PER_CENT]]        1 kB = 1000 bytes
//
// PER_CENT is how far above a target is still let through, because compilers differ by some bytes. Default: 0.

import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { basename, dirname, join, relative, resolve } from 'node:path'
import { constants, brotliCompressSync, gzipSync } from 'node:zlib'

const TOTAL_GZIP = 40_000
const FIRST_CALL_GZIP = 2_000
// No other file is left out of the total, and these only where nothing but a dynamic import leads to them. That a page
// which does not ask for them loads them not is tested in tests/js/package-letters.test.mjs.
const ON_DEMAND = ['letters.js']
const ON_DEMAND_GZIP = 1_200

const root = resolve(import.meta.dirname ?? dirname(new URL(import.meta.url).pathname), '..')
const pkg = resolve(process.argv[2] ?? join(root, 'pkg'))
const margin = 1 + Number(process.argv[3] ?? 0) / 100

const entry = join(pkg, entryOf(JSON.parse(readFileSync(join(pkg, 'package.json'), 'utf8'))))
const atOnce = follow([entry], staticImports)
const all = follow([entry], (text) => [...staticImports(text), ...laterImports(text)])
if (![...all].some((file) => file.endsWith('.wasm'))) throw new Error(`${entry} leads to no .wasm file: the walk is broken`)

// Without the way to them, so that they take nothing out of the total but themselves.
const onDemand = ON_DEMAND.map((name) => join(pkg, name))
const loaded = follow([entry], (text) => [...staticImports(text), ...laterImports(text).filter((path) => !ON_DEMAND.includes(basename(path)))])
for (const file of onDemand) {
  if (!all.has(file)) throw new Error(`nothing leads to ${file}`)
  if (loaded.has(file)) throw new Error(`${file} is imported at once`)
}

const row = (file) => ({ file: relative(pkg, file), ...bytes(file), first: atOnce.has(file) })
const rows = [...loaded].map(row)
const later = [...all].filter((file) => !loaded.has(file)).map(row)
const [total, onDemandTotal] = [sum(rows), sum(later)]
const first = sum(rows.filter((row) => row.first))

print('what a page loads', 'raw', 'gzip', 'brotli')
for (const row of rows) print(row.file + (row.first ? ' *' : ''), row.raw, row.gzip, row.brotli)
print('total', total.raw, total.gzip, total.brotli)
print('* before the first track call', first.raw, first.gzip, first.brotli)
print('loaded when asked for')
for (const row of later) print(row.file, row.raw, row.gzip, row.brotli)
print('total', onDemandTotal.raw, onDemandTotal.gzip, onDemandTotal.brotli)
const official = join(root, 'tests/js/node_modules/@amplitude/analytics-browser/lib/scripts/amplitude-min.js')
if (existsSync(official)) {
  const their = bytes(official)
  print('(official browser bundle)', their.raw, their.gzip, their.brotli)
}
for (const file of readdirSync(pkg, { recursive: true }).filter((name) => /\.(m?js|wasm)$/.test(name))) {
  if (!all.has(join(pkg, file))) console.log(`  not loaded by the default entry: ${file}`)
}

const missed = []
if (total.gzip > TOTAL_GZIP * margin) missed.push(`total gzip ${total.gzip} B is above ${TOTAL_GZIP} B`)
if (first.gzip > FIRST_CALL_GZIP * margin) missed.push(`gzip before the first track call ${first.gzip} B is above ${FIRST_CALL_GZIP} B`)
if (onDemandTotal.gzip > ON_DEMAND_GZIP * margin) missed.push(`gzip when asked for ${onDemandTotal.gzip} B is above ${ON_DEMAND_GZIP} B`)
console.log(JSON.stringify({ name: 'page_load_gzip', value: total.gzip, unit: 'B', total, first_call: first, files: rows, on_demand: onDemandTotal, on_demand_files: later, missed }))
for (const miss of missed) console.error(`missed: ${miss}`)
process.exitCode = missed.length ? 1 : 0

// The file that `import 'amplitude-sdk-wasm'` means in a browser.
function entryOf(manifest) {
  let target = manifest.exports?.['.'] ?? manifest.exports ?? manifest.module ?? manifest.main
  while (typeof target === 'object') target = target.browser ?? target.import ?? target.default
  if (!target) throw new Error('package.json names no entry')
  return target
}

// All files reached from `from`; a missing one throws, because a page would miss it too.
function follow(from, next) {
  const seen = new Set()
  const open = [...from]
  while (open.length) {
    const file = open.pop()
    if (seen.has(file)) continue
    seen.add(file)
    if (!/\.m?js$/.test(file)) continue
    for (const path of next(readFileSync(file, 'utf8'))) open.push(resolve(dirname(file), path))
  }
  return seen
}

function staticImports(text) {
  return matches(text, /(?:\bfrom|\bimport)\s*["'](\.[^"']+)["']/g)
}

// Dynamic imports, and files named by a URL relative to the module.
function laterImports(text) {
  return [
    ...matches(text, /\bimport\(\s*["'`](\.[^"'`]+)["'`]/g),
    ...matches(text, /\bnew URL\(\s*["'`]([^"'`:]+)["'`]\s*,\s*import\.meta\.url/g),
  ]
}

function matches(text, pattern) {
  return [...text.matchAll(pattern)].map((match) => match[1])
}

function bytes(file) {
  const content = readFileSync(file)
  return {
    raw: content.length,
    gzip: gzip(content),
    brotli: brotliCompressSync(content, {
      params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: content.length },
    }).length,
  }
}

// gzip itself where it is installed: the zlib inside of Node is another one, and a per cent behind.
function gzip(content) {
  const run = spawnSync('gzip', ['-9', '-n'], { input: content, maxBuffer: 1 << 28 })
  return run.status === 0 ? run.stdout.length : gzipSync(content, { level: 9 }).length
}

function sum(rows) {
  const add = (key) => rows.reduce((left, row) => left + row[key], 0)
  return { raw: add('raw'), gzip: add('gzip'), brotli: add('brotli') }
}

function print(name, ...cells) {
  console.log(name.padEnd(34) + cells.map((cell) => String(cell).padStart(9)).join(''))
}
