// Gives the glue the short names that wasm-opt gave the module's imports and exports; what wasm-bindgen calls them, hashes and all, is half a
// kilobyte of the download. Takes out what this package has no use for.
//
//   node scripts/shorten-names.mjs NAMES.json FILE...
//
// NAMES.json is what `wasm-opt --minify-imports-and-exports-and-modules` prints.

import { readFileSync, writeFileSync } from 'node:fs'

const [map, ...files] = process.argv.slice(2)
const { imports, exports } = JSON.parse(readFileSync(map, 'utf8'))
if (!imports.length || !exports.length) throw new Error(`${map} names no imports or no exports`)
const texts = new Map(files.map((file) => [file, readFileSync(file, 'utf8')]))

/** Every name must be found, or the module and its glue would not fit. */
function rename(what, name, pattern, text) {
  let found = 0
  for (const [file, content] of texts) {
    texts.set(file, content.replace(pattern, (...match) => {
      found++
      return text(match)
    }))
  }
  if (!found) throw new Error(`no file names the ${what} ${name}`)
}

const escaped = (name) => name.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&')
for (const [module, name, short] of imports) {
  rename('import', name, new RegExp(`\\bexport function ${escaped(name)}\\(`, 'g'), () => `export function ${short}(`)
  if (module !== imports[0][0]) throw new Error(`more than one module is imported: ${module}`)
}
// One by one: a namespace that is handed on as a whole would need a getter for each.
const handed = imports.map(([, , short]) => `${short}: glue.${short}`).join(', ')
rename('module', imports[0][0], new RegExp(`'${escaped(imports[0][0])}': glue\\b`, 'g'), () => `a: { ${handed} }`)
for (const [name, short] of exports) {
  // Some are the runtime's own, and no glue calls them.
  const pattern = new RegExp(`\\b(wasm|exports)\\.${escaped(name)}\\b`, 'g')
  if ([...texts.values()].some((text) => pattern.test(text))) rename('export', name, pattern, ([, owner]) => `${owner}.${short}`)
}
// The client lives as long as its page, so that nothing is ever finalised.
rename('finaliser', 'Core', /^ *CoreFinalization\.(un)?register\(.*\);$/gm, () => '')
for (const [file, text] of texts) writeFileSync(file, text)
