// A chunk: events that are stored together, as lines of JSON in UTF-8, with a record for each that says what became of it.

export const utf8 = new TextEncoder()
const decoder = new TextDecoder()

// A record waits as long as its chunk, give or take this.
const ABOUT_AS_LONG_MS = 1000

/** A new one, of events that wait since then. */
export const newChunk = (since) => chunk(undefined, since, 0)

/** One that the store has under this key. */
export function storedChunk(key) {
  const [since, , , size] = key.split('-')
  return chunk(key, +since || 0, +size || 0)
}

/** The key of a chunk is made of when its events were tracked, a number that rises, its tab, and its bytes. */
export const keyOf = ({ since, size }, number, slot) => [since, String(number).padStart(9, 0), slot, size].join('-')

export const takes = (chunk, since) => Math.abs(chunk.since - since) < ABOUT_AS_LONG_MS

const chunk = (key, since, size) => ({
  key,
  written: key !== undefined,
  since,
  size,
  // Here from when it takes no further records until the store has them, and again where they are read back.
  bytes: undefined,
  records: [],
  // How many records are not settled.
  pending: 0,
})

/** The record of these bytes, to be pushed behind the others; `tried`: when it was sent first, in seconds since 1970, or 0. */
export const newRecord = (chunk, from, size, number, tried, settle, keep) => ({
  chunk,
  at: chunk.records.length,
  from,
  size,
  number,
  tried,
  settle,
  keep,
  // The wasm has it.
  handed: false,
  // It is settled.
  gone: false,
  // It is still in localStorage, where an earlier page left it.
  spilled: false,
})

export function push(record) {
  record.chunk.records.push(record)
  record.chunk.pending++
}

/** The lines of a chunk that was stored, by whomever: text, too, is read as such. */
export const asBytes = (events) => (events instanceof Uint8Array ? events : utf8.encode(String(events)))

/** Calls with the start and the bytes of each line, of which there is one at least. */
export function lines(bytes, each) {
  let from = 0
  do {
    const end = bytes.indexOf(10, from)
    const to = end < 0 ? bytes.length : end
    each(from, to - from)
    from = to + 1
  } while (from < bytes.length)
}

export const bytesOf = ({ chunk, from, size }) => chunk.bytes.subarray(from, from + size)
export const textOf = (record) => decoder.decode(bytesOf(record))
