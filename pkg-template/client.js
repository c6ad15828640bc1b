// The client behind the loader: it gives events their ids and their time, and does what the wasm decides: requests and timers.
// What wasm-bindgen writes; packing puts it, this file and its parts into one.
import * as glue from './amplitude_bg.js'
import { identity } from './identity.js'
import { AmplitudeError, LEFT, random, snapshot, storage } from './loader.js'
import { settings } from './options.js'

/** Runs a page's own function, whose errors are its own. */
function guarded(call) {
  try {
    call()
  } catch (error) {
    console.error(error)
  }
}

/** What the wasm throws is text: the kind of the error, a line feed, its message. */
function attempt(call) {
  try {
    return call()
  } catch (error) {
    if (typeof error !== 'string') throw error
    const end = error.indexOf('\n')
    throw new AmplitudeError(error.slice(end + 1), error.slice(0, end))
  }
}

function text(call, what, value) {
  if (typeof value !== 'string') throw new AmplitudeError(`${call}: ${what} must be a string`)
  return value
}

const REVENUE = {
  price: 'number',
  quantity: 'number',
  revenue: 'number',
  productId: 'string',
  revenueType: 'string',
  currency: 'string',
  receipt: 'string',
  receiptSig: 'string',
}

/** The event of each call that tracks one. */
const EVENTS = {
  track: (event, properties, fields) =>
    typeof event === 'string' ? { ...fields, event_type: event, ...(properties != null && { event_properties: properties }) } : event,
  identify: (operations) => ({ event_type: '$identify', user_properties: operations }),
  groupIdentify: (type, name, operations) => ({
    event_type: '$groupidentify',
    groups: { [text('groupIdentify', 'the group type', type)]: name },
    group_properties: operations,
  }),
  // As a property of the user and as a group of the event, as Amplitude's own SDKs do.
  setGroup: (type, name) => ({
    event_type: '$identify',
    groups: { [text('setGroup', 'the group type', type)]: name },
    user_properties: { $set: { [type]: name } },
  }),
  revenue: (revenue) => {
    const { properties, ...fields } = revenue ?? {}
    if (fields.price === undefined && fields.revenue === undefined) throw new AmplitudeError('revenue: has neither a price nor a revenue')
    const event = { ...properties, $quantity: 1 }
    for (const [name, value] of Object.entries(fields)) {
      if (!Object.hasOwn(REVENUE, name)) throw new AmplitudeError(`revenue.${name}: is no field of revenue`)
      if (typeof value !== REVENUE[name]) throw new AmplitudeError(`revenue.${name}: must be a ${REVENUE[name]}`)
      event[`$${name}`] = value
    }
    return { event_type: 'revenue_amount', event_properties: event }
  },
}

/** How long a reply asks to wait, in seconds; negative where it does not. */
function retryAfter(header) {
  const seconds = /^\d+$/.test(header) ? +header : (Date.parse(header) - Date.now()) / 1000
  return seconds >= 0 ? seconds : -1
}

let instance

/** Loads the wasm, once. */
async function instantiate() {
  if (instance) return
  const imports = { './amplitude_bg.js': glue }
  try {
    const response = await fetch(new URL('amplitude_bg.wasm', import.meta.url))
    if (!response.ok) throw new Error(`status ${response.status}`)
    // A server that does not know the type of wasm costs time alone.
    const streams = response.headers.get('content-type') === 'application/wasm'
    ;({ instance } = await (streams
      ? WebAssembly.instantiateStreaming(response, imports)
      : WebAssembly.instantiate(await response.arrayBuffer(), imports)))
  } catch (error) {
    throw new AmplitudeError(`init: the wasm cannot be loaded: ${error.message}`, 'transport')
  }
  glue.__wbg_set_wasm(instance.exports)
  instance.exports.__wbindgen_start()
}

/** Opens the client of a project: checks the options, loads the wasm, sends what earlier pages left. */
export async function open(key, options, slot) {
  const { url, requestTimeoutMs, sessionTimeoutMs, userId, deviceId, plugins, onProgress, core: parameters } = settings(options)
  await instantiate()

  let timer
  const tasks = []
  const waiting = new Map()
  const flushes = new Set()
  const progress = (step) => onProgress && guarded(() => onProgress(step))
  const notice = (message) => {
    console.warn(`amplitude: ${message}`)
    progress({ type: 'notice', text: message })
  }
  // The wasm tells what is to be done while it is at work, so that it is done afterwards.
  const core = attempt(() => new glue.Core(
    {
      wake: () => {
        clearTimeout(timer)
        timer = setTimeout(loop)
      },
      send: (batch, ids, body) => {
        const [numbers, bytes] = [[...ids], body.slice()]
        tasks.push(() => {
          progress({ type: 'sending', ids: numbers })
          send(batch, bytes)
        })
      },
      settled: (ids, status, reason) => {
        const numbers = [...ids]
        tasks.push(() => {
          const outcome = reason ? { status, reason } : { status }
          for (const id of numbers) {
            waiting.get(id)?.(outcome)
            waiting.delete(id)
            for (const note of flushes) note(id, status)
          }
          progress({ type: 'settled', ids: numbers, ...outcome })
        })
      },
      notice: (message) => tasks.push(() => notice(message)),
    },
    key,
    ...parameters,
  ))

  const work = () => {
    for (const task of tasks.splice(0)) task()
  }
  const loop = () => {
    clearTimeout(timer)
    const next = core.step(performance.now(), Date.now())
    // Engines take 31 bits of milliseconds; who wakes early sleeps again.
    if (next < Infinity) timer = setTimeout(loop, Math.min(Math.max(Math.ceil(next - performance.now()), 0), 0x7fff_ffff))
    work()
  }
  const send = async (batch, body) => {
    let [status, wait, answer] = [0, -1, '']
    // `AbortSignal.timeout` is younger than the other things that are needed here.
    const ending = new AbortController()
    const limit = setTimeout(() => ending.abort(), requestTimeoutMs)
    try {
      const headers = { 'content-type': 'application/json' }
      const response = await fetch(url, { method: 'POST', headers, body, signal: ending.signal })
      answer = await response.text()
      wait = retryAfter(response.headers.get('retry-after'))
      status = response.status
    } catch {
      // Where the browser knows that there is no network, the server cannot have seen the request.
      if (globalThis.navigator?.onLine === false) status = 1
    }
    clearTimeout(limit)
    core.reply(batch, status, wait, answer, performance.now(), Date.now())
    loop()
  }

  const check = (event) => attempt(() => core.check(JSON.stringify(event)))
  const ids = identity(key, sessionTimeoutMs, (id) => check({ event_type: 'check', ...id }))
  if (deviceId !== undefined) ids.setDeviceId(deviceId)
  if (userId !== undefined) ids.setUserId(userId)

  /** Queues an event's text; `settle` is told its outcome. */
  const queue = (event, settle) => {
    const id = attempt(() => core.track(event, performance.now(), Date.now()))
    waiting.set(id, settle)
    work()
    return id
  }

  /** The event as the plugins leave it; nothing where one drops it. */
  const enrich = (event) => {
    for (const [index, plugin] of plugins.entries()) {
      try {
        const given = JSON.parse(event)
        const { time, insert_id } = given
        const answer = plugin(given)
        if (answer === null) return undefined
        // An answer made anew would lack what keeps an event from being counted twice, and its time.
        const changed = snapshot('plugin', answer && { time, insert_id, ...answer })
        attempt(() => core.check(changed))
        event = changed
      } catch (error) {
        notice(`plugin ${plugin.name || index} failed and was skipped: ${String(error?.message ?? error)}`)
      }
    }
    return event
  }

  const track = (method, args, time, id) => {
    const own = EVENTS[method](...args)
    if (own === null || typeof own !== 'object') throw new AmplitudeError(`${method}: needs an event type or an event`)
    const event = enrich(snapshot(method, { ...ids.stamp(time), insert_id: id, ...own }))
    if (event === undefined) return { status: 'dropped', reason: 'a plugin dropped it' }
    // What is refused is thrown before there is a promise, which an adopted call leaves to nobody.
    let settle
    const settled = new Promise((resolve) => (settle = resolve))
    const number = queue(event, settle)
    progress({ type: 'queued', ids: [number], method, event })
    return settled
  }

  const flush = (deadlineMs = 30_000) => {
    if (!(deadlineMs >= 0)) throw new AmplitudeError('flush: the deadline must be a number')
    return new Promise((resolve) => {
      const covered = new Set(waiting.keys())
      const report = { delivered: 0, rejected: 0, dropped: 0, unknown: 0, pending: covered.size }
      const done = () => {
        clearTimeout(limit)
        flushes.delete(note)
        resolve(report)
      }
      const note = (id, status) => {
        if (!covered.delete(id)) return
        report.pending--
        report[status]++
        if (!report.pending) done()
      }
      const limit = setTimeout(done, Math.min(deadlineMs, 0x7fff_ffff))
      if (!covered.size) return done()
      flushes.add(note)
      core.flush()
      loop()
    })
  }

  const run = (method, args, time, id = random()) => {
    switch (method) {
      case 'flush':
        return flush(args[0] ?? undefined)
      case 'reset':
        return ids.reset()
      case 'setUserId':
        return ids.setUserId(args[0] == null ? undefined : text(method, 'the id', args[0]))
      case 'setDeviceId':
        return ids.setDeviceId(text(method, 'the id', args[0]))
      default:
        return track(method, args, time, id)
    }
  }

  /** Takes these; answers with those for which there was no room. */
  const roomless = (items, take) =>
    items.filter((item) => {
      try {
        take(item)
      } catch (error) {
        if (error.retryable) return true
        console.error(error)
      }
    })

  /** Sends what earlier pages left; what finds no room stays for a later one. */
  const adopt = (kept) => {
    for (const name of Object.keys(kept)) {
      const of = [`${LEFT}${key}:`, `${LEFT}:`].some((prefix) => name.startsWith(prefix))
      if (!of || name.endsWith(slot)) continue
      guarded(() => {
        const text = kept.getItem(name)
        // First, because what nobody can read must not stay for ever.
        kept.removeItem(name)
        const { events, calls } = JSON.parse(text)
        const full = {
          events: roomless(events, (event) => queue(JSON.stringify(event), () => {})),
          // A time that is none would spoil the session of all that is tracked after it.
          calls: roomless(calls, ({ method, args, time, id }) =>
            run(method, JSON.parse(args), Number.isSafeInteger(time) ? time : Date.now(), id)),
        }
        if (full.events[0] || full.calls[0]) kept.setItem(name, JSON.stringify(full))
      })
    }
  }
  storage(adopt)

  return { run, ids, pending: () => new TextDecoder().decode(core.pending()) }
}
