// The client behind the loader: makes events of calls, with their ids and their time, and tells what became of them.
// What wasm-bindgen writes; packing puts it, this file and its parts into one.
import * as glue from './amplitude_bg.js'
import { identity } from './identity.js'
import { AmplitudeError, LEFT, random, snapshot, storage } from './loader.js'
import { settings } from './options.js'
import { queue } from './queue.js'

/** Runs a page's own function, whose errors are its own. */
function guarded(call) {
  try {
    call()
  } catch (error) {
    console.error(error)
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

let instance

/** Loads the wasm, once. */
async function instantiate() {
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

/** Opens the client of a project: checks the options, loads the wasm, sends what earlier pages left. */
export async function open(key, options, slot) {
  const given = settings(options)
  const { plugins, onProgress } = given
  await instantiate()

  const flushes = new Set()
  const progress = (step) => onProgress && guarded(() => onProgress(step))
  const notice = (message) => {
    console.warn(`amplitude: ${message}`)
    progress({ type: 'notice', text: message })
  }
  const settled = (record, outcome) => {
    record.settle(outcome)
    for (const note of flushes) note(record, outcome.status)
  }
  const line = queue(key, slot, given, { progress, notice, settled })

  const ids = identity(key, given.sessionTimeoutMs, (id) => line.check(JSON.stringify({ event_type: 'check', ...id })))
  if (given.deviceId !== undefined) ids.setDeviceId(given.deviceId)
  if (given.userId !== undefined) ids.setUserId(given.userId)

  // Those that are taken from what an earlier page left, and of which that is still there.
  let adopted
  const add = (...event) => {
    const record = line.add(...event)
    adopted?.push(record)
    return record
  }

  /** The event as the plugins leave it; nothing where one drops it. */
  const enrich = (event) => {
    for (const [index, plugin] of plugins.entries()) {
      try {
        const copy = JSON.parse(event)
        const { time, insert_id } = copy
        const answer = plugin(copy)
        if (answer === null) return undefined
        // An answer made anew would lack what keeps an event from being counted twice, and its time.
        const changed = snapshot('plugin', answer && { time, insert_id, ...answer })
        line.check(changed)
        event = changed
      } catch (error) {
        notice(`plugin ${plugin.name || index} failed and was skipped: ${String(error?.message ?? error)}`)
      }
    }
    return event
  }

  const track = (method, args, time, id, keep) => {
    const own = EVENTS[method](...args)
    if (own === null || typeof own !== 'object') throw new AmplitudeError(`${method}: needs an event type or an event`)
    const event = enrich(snapshot(method, { ...ids.stamp(time), insert_id: id, ...own }))
    if (event === undefined) {
      keep(true)
      return { status: 'dropped', reason: 'a plugin dropped it' }
    }
    // What is refused is thrown before there is a promise, which an adopted call leaves to nobody.
    let settle
    const settled = new Promise((resolve) => (settle = resolve))
    const { number } = add(event, 0, settle, keep)
    progress({ type: 'queued', ids: [number], method, event })
    return settled
  }

  const flush = (deadlineMs = 30_000) => {
    if (!(deadlineMs >= 0)) throw new AmplitudeError('flush: the deadline must be a number')
    return new Promise((resolve) => {
      const covered = new Set(line.records)
      const report = { delivered: 0, rejected: 0, dropped: 0, unknown: 0, pending: covered.size }
      const done = () => {
        clearTimeout(limit)
        flushes.delete(note)
        resolve(report)
      }
      const note = (record, status) => {
        if (!covered.delete(record)) return
        report.pending--
        report[status]++
        if (!report.pending) done()
      }
      const limit = setTimeout(done, Math.min(deadlineMs, 0x7fff_ffff))
      if (!covered.size) return done()
      flushes.add(note)
      line.flush()
    })
  }

  const run = (method, args, time, id = random(), keep) => {
    if (!EVENTS[method]) keep(true)
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
        return track(method, args, time, id, keep)
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

  /** Takes what earlier pages left; what finds no room stays for a later one, and so does what is for another server. */
  const adopt = (kept) => {
    for (const name of Object.keys(kept)) {
      const of = [`${LEFT}${key}:`, `${LEFT}:`].some((prefix) => name.startsWith(prefix))
      if (!of || name.endsWith(slot)) continue
      guarded(() => {
        const [stored, records] = [[], []]
        adopted = records
        const keeping = (take) => {
          let keep
          const promise = new Promise((resolve) => (keep = resolve))
          take(keep)
          stored.push(promise)
        }
        let stays = { events: [], calls: [] }
        try {
          const { url = given.url, tried = [], events, calls } = JSON.parse(kept.getItem(name))
          const left = events.map((event, at) => ({ event, tried: tried[at] >>> 0 }))
          const take = ({ event, tried }) => keeping((keep) => add(JSON.stringify(event), tried, () => {}, keep))
          const staying = url === given.url ? roomless(left, take) : left
          stays = {
            url,
            tried: staying.map((it) => it.tried),
            events: staying.map((it) => it.event),
            // A time that is none would spoil the session of all that is tracked after it.
            calls: roomless(calls, ({ method, args, time, id }) =>
              keeping((keep) => run(method, JSON.parse(args), Number.isSafeInteger(time) ? time : Date.now(), id, keep))),
          }
        } finally {
          for (const record of records) record.left = true
          // Not before the store has it. What nobody can read goes, too.
          Promise.all(stored).then(() => {
            for (const record of records) record.left = false
            storage((kept) => {
              if (stays.events[0] || stays.calls[0]) kept.setItem(name, JSON.stringify(stays))
              else kept.removeItem(name)
            })
          })
        }
      })
    }
  }
  storage(adopt)
  adopted = undefined

  // A page that is hidden may end without a further word.
  globalThis.document?.addEventListener('visibilitychange', () => document.visibilityState === 'hidden' && line.hide())

  return { run, ids, leave: () => line.leave(), back: () => line.back() }
}
