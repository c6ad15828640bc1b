// Drives the wasm, which decides what is sent when: makes its requests, keeps its timers, tells what became of records.
import * as glue from './amplitude_bg.js'
import { utf8 } from './chunk.js'
import { AmplitudeError, storage } from './shared.js'
import { view } from './wasm.js'

// What a browser lets all requests of a page carry together that outlive it.
const KEEPALIVE_BYTES = 65_536
// Less is not worth a request of its own.
const LEAST_BYTES = 4096
// The desk is a part of the wasm's memory where texts are written for it; only for a larger event there is a larger one. Chunks grow there, and
// Chromium puts values of more than 64 KiB into files of their own, at twice the price.
export const DESK_BYTES = 64_000

/** Calls the wasm. What it throws is text: the kind of the error, a line feed, its message. */
function attempt(call) {
  try {
    return call()
  } catch (error) {
    if (typeof error !== 'string') throw error
    const [kind, ...message] = error.split('\n')
    throw new AmplitudeError(message.join('\n'), kind)
  }
}

/** How long a reply asks to wait, in seconds; negative where it does not. */
function retryAfter(header) {
  const seconds = /^\d+$/.test(header) ? +header : (Date.parse(header) - Date.now()) / 1000
  return seconds >= 0 ? seconds : -1
}

/** Whether an own proxy's answer is the one that it was declared to give when it has the events. */
function isDeclared({ status, field, value, body }, got, answer) {
  if (!(got >= 200 && got <= 299) || (status ?? got) !== got) return false
  if (!field) return answer.trim() === body.trim()
  try {
    return JSON.parse(answer)[field] === value
  } catch {
    return false
  }
}

/** Sends records: `size` bytes of text, and in `tried` when they were sent first, in seconds since 1970, or 0. */
export function uploader(key, { url, proxy, requestTimeoutMs, core: parameters }, { noteAttempts, settled, progress, notice }) {
  let core
  let timer
  // The loop runs as soon as the page lets it.
  let woken = false
  let records
  let leaving = false
  let keptAlive = 0
  const tasks = []
  // What nobody will send again, until its outcome is told.
  let givenUp = []
  let desk
  // Failures in a row, as far as the next page knows of them.
  const outage = `amplitude-sdk:outage:${key}:${url}`
  let noted = 0

  const begin = () => {
    records = new Map()
    desk = undefined
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
          const [sent, size] = [recordsOf(ids), body.length]
          // The wasm's own bytes go after this. To send a large body costs the page a fifth as a blob, which the browser copies beside it.
          const copy = size > KEEPALIVE_BYTES ? new Blob([body]) : body.slice()
          tasks.push(() => send(mine, batch, sent, copy, size))
        },
        given_up: (event) => givenUp.push(event.slice()),
        settled: (ids, status, reason) => {
          const [ended, events] = [recordsOf(ids), givenUp]
          for (let at = 0; at < ids.length; at++) records.delete(ids[at])
          givenUp = []
          tasks.push(() => settled(ended, reason ? { status, reason } : { status }, events))
        },
        notice: (message) => tasks.push(() => notice(message)),
      },
      utf8.encode(key),
      ...parameters,
    )))
    // A page that opens while the server is down waits as long as the last one would have.
    storage((kept) => {
      const [failures, until] = (kept.getItem(outage) ?? '').split(' ').map(Number)
      if (failures > 0 && until > 0) core.resume((noted = failures), until, performance.now(), Date.now())
    })
  }

  /** Has the next page know of an outage, or of its end. */
  const noteOutage = () => {
    const failures = core.failures()
    if (failures === noted) return
    noted = failures
    const until = core.paused_until(performance.now(), Date.now())
    storage((kept) => (failures ? kept.setItem(outage, `${failures} ${until}`) : kept.removeItem(outage)))
  }

  // Lists of thousands, which iterators would make slow.
  const recordsOf = (ids) => {
    const list = []
    for (let at = 0; at < ids.length; at++) list.push(records.get(ids[at]))
    return list
  }

  const away = () => leaving || globalThis.document?.visibilityState === 'hidden'
  const work = () => {
    if (tasks[0]) for (const task of tasks.splice(0)) task()
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

  const send = async (of, batch, sent, body, size) => {
    const fresh = sent.filter((record) => !record.tried)
    for (const record of fresh) record.tried = Math.floor(Date.now() / 1000)
    progress?.({ type: 'sending', ids: sent.map(({ number }) => number) })
    if (fresh[0]) {
      const written = noteAttempts(fresh)
      // A page that ends has no time to wait.
      if (!away()) await written
      if (of !== core) return
    }
    let [status, wait, answer] = [0, -1, '']
    // `AbortSignal.timeout` is younger than the other things that are needed here.
    const ending = new AbortController()
    const limit = setTimeout(() => ending.abort(), requestTimeoutMs)
    const keepalive = away() && keptAlive + size <= KEEPALIVE_BYTES
    const kept = keepalive ? size : 0
    keptAlive += kept
    try {
      const headers = { 'content-type': 'application/json' }
      const response = await fetch(url, { method: 'POST', headers, body, signal: ending.signal, keepalive })
      answer = await response.text()
      wait = retryAfter(response.headers.get('retry-after'))
      status = response.status
      // In the words of Amplitude's own.
      if (proxy && isDeclared(proxy, status, answer)) answer = `{"code":${status},"events_ingested":${sent.length}}`
    } catch {
      // Where the browser knows that there is no network, the server cannot have seen the request.
      if (globalThis.navigator?.onLine === false) status = 1
    }
    keptAlive -= kept
    clearTimeout(limit)
    if (of !== core) return
    if (!core.reply(batch, status, wait, utf8.encode(answer), performance.now(), Date.now()) && fresh[0]) {
      for (const record of fresh) record.tried = 0
      noteAttempts(fresh)
    }
    noteOutage()
    loop()
  }

  // Memory that has grown leaves a view without length.
  const reach = (bytes) => {
    if (desk?.length >= bytes) return
    const most = Math.max(bytes, DESK_BYTES)
    const at = core.desk(most)
    desk = view(at, most)
  }

  begin()
  // What failed without an answer goes again at once.
  globalThis.addEventListener?.('online', () => {
    core.online()
    loop()
  })
  return {
    /** Writes a text on the desk, and bytes behind it; answers how many bytes they are. Takes room of three bytes for each character. */
    write(at, text, ending) {
      reach(at + text.length * 3 + ending.length)
      const bytes = utf8.encodeInto(text, desk.subarray(at)).written
      desk.set(ending, at + bytes)
      return bytes + ending.length
    },

    /** What stands at the start of the desk. */
    read(bytes) {
      reach(bytes)
      return desk.slice(0, bytes)
    },

    /** Puts bytes on the desk. */
    put(at, bytes) {
      reach(at + bytes.length)
      desk.set(bytes, at)
    },

    check: (at, bytes) => attempt(() => core.check(at, bytes)),

    /** Gives the wasm the record whose text stands at that place on the desk. */
    hand(record, at) {
      const tracked = record.chunk.since / 1000
      records.set(attempt(() => core.track(at, record.size, tracked, record.tried, performance.now(), Date.now())), record)
      record.handed = true
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
