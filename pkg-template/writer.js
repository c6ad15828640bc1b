// Group commit: chunks and what became of their records, on the way into the store. What comes during one transaction goes with the next.
import { keyOf } from './chunk.js'
import { LETTERS_BYTES, letterBytes } from './store.js'

// In a chunk's mark: this one is settled. Otherwise when it was sent first, in seconds since 1970, or 0.
export const GONE = -1
// To write more at once would hold up the page, and the first request.
const CHUNKS_A_WRITE = 32

/**
 * Writes into the store that `current` answers with, once `opened` has resolved; `chunks` has by their keys those that are there. Tells `closing`
 * that the open chunk is to take no more records, `wrote` which chunks are stored, `failed` that some could not be, `lost` that nothing can be.
 */
export function writer(slot, opened, chunks, { current, closing, wrote, failed, lost }) {
  // Not in the store yet.
  let fresh = []
  // The store does not know yet what became of their records.
  const changed = new Set()
  // Dead letters that it does not have.
  let letters = []
  let stopped = false
  let count = 0

  let tail = opened
  let next
  const commit = () => {
    next ??= tail = tail.then(() => {
      next = undefined
      return write()
    })
    return next
  }

  const write = async () => {
    if (!current()) return
    const added = []
    while (fresh[0] && added.length < CHUNKS_A_WRITE) {
      const chunk = fresh.shift()
      if (chunk.pending) added.push(chunk)
    }
    if (fresh[0]) commit()
    else if (!stopped) closing()
    for (const chunk of added) {
      chunk.key = keyOf(chunk, ++count, slot)
      chunks.set(chunk.key, chunk)
    }
    const [marked, removed] = [[], []]
    for (const chunk of changed) {
      // What was sent before it is stored is marked as soon as it is.
      if (!chunk.key && chunk.pending && !stopped) continue
      changed.delete(chunk)
      if (chunk.key) (chunk.pending ? marked : removed).push(chunk)
    }
    let buried = []
    if (!stopped) [buried, letters] = [letters, []]
    const all = [...added, ...marked, ...removed, ...buried]
    if (!all[0]) return
    try {
      await current().write(
        added.map(({ key, bytes }) => ({ key, events: bytes })),
        marked.map(({ key, records }) => ({ key, tried: records.map(({ gone, tried }) => (gone ? GONE : tried)) })),
        removed.map(({ key }) => key),
        buried,
      )
    } catch (error) {
      letters = [...buried, ...letters]
      if (!added[0] && !buried[0]) return lost(error)
      // No room for more, perhaps; what is there can still be read and removed.
      for (const chunk of added) {
        chunks.delete(chunk.key)
        chunk.key = undefined
      }
      for (const chunk of [...marked, ...removed]) changed.add(chunk)
      failed(error)
      return write()
    }
    for (const chunk of added) {
      chunk.written = true
      chunk.bytes = undefined
      for (const record of chunk.records) record.keep(true)
    }
    if (added[0]) wrote(added)
  }

  return {
    /** The dead letters that are not stored. */
    letters: () => letters,

    /** Keeps more of them, of those that are not stored the newest within the bound. */
    bury(added) {
      letters = [...letters, ...added]
      let bytes = 0
      for (const letter of letters) bytes += letterBytes(letter)
      while (bytes > LETTERS_BYTES) bytes -= letterBytes(letters.shift())
      commit()
    },

    /** A new chunk, to be stored with the records that it has by then. */
    add: (chunk) => stopped || fresh.push(chunk),

    /** Something became of its records. */
    change: (chunk) => changed.add(chunk),

    /** Resolves when the store has what became of stored records until now, and some of what is new. */
    commit,

    /** Resolves when it has all. */
    async drain() {
      do await commit()
      while (fresh[0])
    },

    /** From here on nothing new is stored. */
    stop() {
      stopped = true
      fresh = []
    },
  }
}
