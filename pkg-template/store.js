// The events of a project and server in IndexedDB: chunks of many events, each written once and removed once, and a small mark for a chunk of
// which some events were sent or are settled. The keys of both are strings. Among the marks are the dead letters, whose keys are numbers: a part of
// their own would need a new version of the database, and that would wait for all tabs that have the old one open, or take it from them.

const CHUNKS = 'chunks'
const MARKS = 'marks'
// A store that does not open by then is none: another tab may hold up its deletion.
const PATIENCE_MS = 5000
const CHUNKS_A_READ = 16
// What dead letters take up at most: beyond it the oldest go.
export const LETTERS_BYTES = 16_000_000

export const letterBytes = ({ event }) => event.length + 100

/** Opens the store; `lost` hears when it is taken away. */
export const openStore = (name, lost) =>
  new Promise((resolve, reject) => {
    let late = false
    const limit = setTimeout(() => {
      late = true
      reject(new Error('IndexedDB does not answer'))
    }, PATIENCE_MS)
    // This throws in a sandbox.
    const request = indexedDB.open(name, 1)
    request.onupgradeneeded = () => {
      for (const it of [CHUNKS, MARKS]) request.result.createObjectStore(it, { keyPath: 'key' })
    }
    request.onerror = () => reject(request.error)
    request.onsuccess = () => {
      clearTimeout(limit)
      const db = request.result
      if (late) return db.close()
      const gone = () => {
        db.close()
        lost(new Error('the database was deleted'))
      }
      // Somebody deletes it, or has deleted it.
      db.onversionchange = db.onclose = gone
      resolve(access(db))
    }
  })

/**
 * Adds dead letters. The key of each is where it ends, in bytes, in the line of all letters, so that those beyond the bound are a range; and they are
 * all up to infinity, because numbers come before strings.
 */
const bury = (marks, letters) => {
  marks.openKeyCursor(IDBKeyRange.upperBound(Infinity), 'prev').onsuccess = ({ target: { result } }) => {
    let end = result?.key ?? 0
    for (const it of letters) marks.put({ ...it, key: (end += letterBytes(it)) })
    marks.delete(IDBKeyRange.upperBound(end - LETTERS_BYTES))
  }
}

const access = (db) => {
  /** Answers with the results of the requests that `use` makes of both parts, once all of it is down. */
  const transact = (mode, use) =>
    new Promise((resolve, reject) => {
      const transaction = db.transaction([CHUNKS, MARKS], mode)
      let requests
      try {
        requests = use(transaction.objectStore(CHUNKS), transaction.objectStore(MARKS))
      } catch (error) {
        transaction.abort()
        throw error
      }
      transaction.oncomplete = () => resolve(requests.map(({ result }) => result))
      transaction.onabort = () => reject(transaction.error ?? new Error('IndexedDB gave up'))
    })
  return {
    transact,

    /** The keys of all chunks, in their order. */
    keys: async () => (await transact('readonly', (chunks) => [chunks.getAllKeys()]))[0],

    /** Some chunks from this key on, and the marks of them. */
    read: (key) =>
      transact('readonly', (chunks, marks) => {
        const requests = [chunks.getAll(IDBKeyRange.lowerBound(key), CHUNKS_A_READ)]
        requests[0].onsuccess = ({ target: { result } }) => requests.push(marks.getAll(IDBKeyRange.bound(key, result.at(-1)?.key ?? key)))
        return requests
      }),

    /** All of it or nothing. */
    write: (added, marked, removed, buried) =>
      transact('readwrite', (chunks, marks) => {
        if (buried[0]) bury(marks, buried)
        return [
          ...added.map((it) => chunks.put(it)),
          ...marked.map((it) => marks.put(it)),
          ...removed.flatMap((key) => [chunks.delete(key), marks.delete(key)]),
        ]
      }),
  }
}
