// Drives the wasm, which decides what is sent when: makes its requests, keeps its timers, tells what became of records.
import * as glue from './amplitude_bg.js'
import { AmplitudeError } from './loader.js'

// What a browser lets all requests of a page carry together that outlive it.
const KEEPALIVE_BYTES = 65_536
// Less is not worth a request of its own.
const LEAST_BYTES = 4096

/** What the wasm throws is text: the kind of the error, a line feed, its message. */
export function attempt(call) {
  try {
    return call()
  } catch (error) {
    if (typeof error !== 'string') throw error
    const end = error.indexOf('\n')
    throw new AmplitudeError(error.slice(end + 1), error.slice(0, end))
  }
}

/** How long a reply asks to wait, in seconds; negative where it does not. */
function retryAfter(header) {
  const seconds = /^\d+$/.test(header) ? +header : (Date.parse(header) - Date.now()) / 1000
  return seconds >= 0 ? seconds : -1
}

/** Sends records: objects with a `text`, and in `tried` the second of their first attempt, or 0. */
export function uploader(key, { url, requestTimeoutMs, core: parameters }, { noteAttempts, settled, progress, notice }) {
  let core
  let timer
  // The loop runs as soon as the page lets it.
  let woken = false
  let records
  let leaving = false
  let keptAlive = 0
  const tasks = []

  const begin = () => {
    records = new Map()
    // The wasm tells what is to be done while it is at work, so that it is done afterwards.
    const mine = (core = attempt(() => new glue.Core(
      {
        wake: () => {
          if (woken) return
          woken = true
          clearTimeout(timer)
          timer = setTimeout(loop)
        },
        send: (batch, ids, body) => {
          const [sent, bytes] = [Array.from(ids, (id) => records.get(id)), body.slice()]
          tasks.push(() => send(mine, batch, sent, bytes))
        },
        settled: (ids, status, reason) => {
          const found = Array.from(ids, (id) => records.get(id))
          for (const id of ids) records.delete(id)
          tasks.push(() => settled(found, reason ? { status, reason } : { status }))
        },
        notice: (message) => tasks.push(() => notice(message)),
      },
      key,
      ...parameters,
    )))
  }

  const away = () => leaving || globalThis.document?.visibilityState === 'hidden'
  const work = () => {
    for (const task of tasks.splice(0)) task()
  }
  const loop = () => {
    clearTimeout(timer)
    woken = false
    const room = KEEPALIVE_BYTES - keptAlive
    const next = core.step(away() && room > LEAST_BYTES ? room : 0, performance.now(), Date.now())
    // Engines take 31 bits of milliseconds; who wakes early sleeps again.
    if (next < Infinity) timer = setTimeout(loop, Math.min(Math.max(Math.ceil(next - performance.now()), 0), 0x7fff_ffff))
    work()
  }

  const send = async (of, batch, sent, body) => {
    const fresh = sent.filter((record) => !record.tried)
    for (const record of fresh) record.tried = Math.floor(Date.now() / 1000)
    progress({ type: 'sending', ids: sent.map(({ number }) => number) })
    if (fresh[0]) {
      const noted = noteAttempts(fresh)
      // A page that ends has no time to wait.
      if (!away()) await noted
      if (of !== core) return
    }
    let [status, wait, answer] = [0, -1, '']
    // `AbortSignal.timeout` is younger than the other things that are needed here.
    const ending = new AbortController()
    const limit = setTimeout(() => ending.abort(), requestTimeoutMs)
    const keepalive = away() && keptAlive + body.length <= KEEPALIVE_BYTES
    const kept = keepalive ? body.length : 0
    keptAlive += kept
    try {
      const headers = { 'content-type': 'application/json' }
      const response = await fetch(url, { method: 'POST', headers, body, signal: ending.signal, keepalive })
      answer = await response.text()
      wait = retryAfter(response.headers.get('retry-after'))
      status = response.status
    } catch {
      // Where the browser knows that there is no network, the server cannot have seen the request.
      if (globalThis.navigator?.onLine === false) status = 1
    }
    keptAlive -= kept
    clearTimeout(limit)
    if (of !== core) return
    if (!core.reply(batch, status, wait, answer, performance.now(), Date.now()) && fresh[0]) {
      for (const record of fresh) record.tried = 0
      noteAttempts(fresh)
    }
    loop()
  }

  begin()
  return {
    check: (event) => attempt(() => core.check(event)),

    hand(record) {
      records.set(attempt(() => core.track(record.text, record.tried, performance.now(), Date.now())), record)
      work()
    },

    /** What waits goes without waiting for more. */
    flush() {
      core.flush()
      loop()
    },

    /** The page ends, or is back. */
    leave: (leaves) => (leaving = leaves),

    /** Forgets all records, to begin anew. */
    stop() {
      clearTimeout(timer)
      woken = false
      core.free()
      begin()
    },
  }
}
