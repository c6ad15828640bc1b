// Brings the wasm, once for all clients of a page.
// What wasm-bindgen writes; packing puts it and the client's files into one.
import * as glue from './amplitude_bg.js'
import { AmplitudeError } from './shared.js'

let instance

/** Loads the wasm, once. */
export async function instantiate() {
  if (instance) return
  const imports = { './amplitude_bg.js': glue }
  try {
    const response = await fetch(new URL('amplitude_bg.wasm', import.meta.url))
    if (!response.ok) throw new Error(`status ${response.status}`)
    const type = response.headers.get('content-type')
    // What a server for one-page applications gives for a file that it does not have.
    if (type?.startsWith('text/html')) throw new Error(`a page came for ${response.url}; see "What it needs" in the package's README`)
    // A server that does not know the type of wasm costs time alone.
    const streams = type === 'application/wasm'
    ;({ instance } = await (streams
      ? WebAssembly.instantiateStreaming(response, imports)
      : WebAssembly.instantiate(await response.arrayBuffer(), imports)))
  } catch (error) {
    throw new AmplitudeError(`init: the wasm cannot be loaded: ${error.message}`, 'transport')
  }
  glue.__wbg_set_wasm(instance.exports)
  instance.exports.__wbindgen_start()
}

/** So many bytes of its memory from there on; without length once the memory has grown. */
export const view = (at, bytes) => new Uint8Array(instance.exports.memory.buffer, at, bytes)
