// A stand-in for Amplitude on loopback that fails as it is told, and counts by insert_id every event that reaches it.

import http from 'node:http'
import { once } from 'node:events'
import { gunzipSync } from 'node:zlib'

const page = (status, text) => ({ status, type: 'text/html', body: `<html><body><h1>${text}</h1></body></html>` })
const unavailable = { status: 503, type: 'application/json', body: '{"code":503,"error":"Service Unavailable"}' }

/**
 * What each fault does with a request that was read whole: whether its events are taken into the books, and what comes back. Without a
 * status: an answer that confirms; `resets` breaks the connection, `hangs` says nothing for ever. `refused` closes the port.
 */
export const FAULTS = {
  outage: () => unavailable,
  'brown-out': (random) => {
    if (random() >= 0.3) return { takes: true }
    return random() < 0.5 ? unavailable : { takes: true, ...page(502, 'Bad Gateway') }
  },
  'hung server': () => ({ hangs: true }),
  'connection refused': 'refused',
  'broken connections': () => ({ resets: true }),
  'lost answers': () => ({ takes: true, resets: true }),
  // The disk is the client's own.
  'full disk': () => unavailable,
  'captive portal': () => page(200, 'Please log in'),
}

const HEALTHY = () => ({ takes: true })

/** Starts one. Its books: `sent` events on the wire, `taken` by insert_id, and `repeated`, those of them that came again. */
export async function faultServer({ seed = 1 } = {}) {
  const books = { requests: 0, sent: 0, taken: new Set(), repeated: 0 }
  const random = generator(seed)
  let answer = HEALTHY

  const server = http.createServer(async (request, response) => {
    const chunks = []
    try {
      for await (const chunk of request) chunks.push(chunk)
    } catch {
      // The client went before its request was whole, which is then nobody's.
      return
    }
    const body = Buffer.concat(chunks)
    const { events } = JSON.parse(request.headers['content-encoding'] === 'gzip' ? gunzipSync(body) : body)
    books.requests += 1
    books.sent += events.length
    const { takes, resets, hangs, status = 200, type = 'application/json', body: text } = answer(random)
    for (const { insert_id } of events) {
      // Also while it fails: what it has and is given again is a repetition.
      if (books.taken.has(insert_id)) books.repeated += 1
      else if (takes) books.taken.add(insert_id)
    }
    if (hangs) return
    if (resets) return request.socket.resetAndDestroy()
    const confirmed = { code: 200, events_ingested: events.length, payload_size_bytes: body.length, server_upload_time: Date.now() }
    response.writeHead(status, { 'content-type': type }).end(text ?? JSON.stringify(confirmed))
  })
  // A connection that a client keeps open is not closed under its next request.
  server.keepAliveTimeout = 600_000

  const listen = (port) => once(server.listen(port, '127.0.0.1'), 'listening')
  const close = () => {
    const closed = once(server, 'close')
    server.close()
    server.closeAllConnections()
    return closed
  }
  await listen(0)
  const { port } = server.address()
  return {
    url: `http://127.0.0.1:${port}/2/httpapi`,
    books,
    /** From now on it fails so. */
    fail: async (name) => {
      if (!(name in FAULTS)) throw new Error(`no such fault: ${name}`)
      if (FAULTS[name] === 'refused') await close()
      else answer = FAULTS[name]
    },
    /** What hangs goes on hanging; what comes from now on is confirmed. */
    heal: async () => {
      answer = HEALTHY
      if (!server.listening) await listen(port)
    },
    end: () => (server.listening ? close() : undefined),
  }
}

/** Numbers from 0 to 1, the same for the same seed (mulberry32). */
function generator(seed) {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
