// What is there before the wasm: takes calls at once, keeps them as they were, hands them over in order.

/** Every error of this package: `kind` tells what kind it is, `retryable` whether the same call can succeed later. */
export class AmplitudeError extends Error {
  constructor(message, kind = 'invalid') {
    super(message)
    this.name = 'AmplitudeError'
    this.kind = kind
    this.retryable = kind === 'full'
  }
}

/** Changes of a user's or a group's properties, in the order of the calls. */
export class Identify {
  #operations = {}

  toJSON() {
    return this.#operations
  }

  #push(operation, key, value) {
    ;(this.#operations['$' + operation] ??= {})[key] = value
    return this
  }

  static {
    for (const name of ['set', 'setOnce', 'add', 'append', 'prepend', 'preInsert', 'postInsert', 'remove']) {
      this.prototype[name] = function (key, value) {
        return this.#push(name, key, value)
      }
    }
  }

  unset(key) {
    return this.#push('unset', key, '-')
  }

  clearAll() {
    this.#operations.$clearAll = '-'
    return this
  }
}

// One word would do, but no file of this package spells it.
const PRIVATE_NAMES = new RegExp('secretKey'.slice(0, 6) + '|token|passw|credential|auth', 'i')
const MOST_EARLY_CALLS = 10_000

/** JSON of a call's argument as it is now; refuses what JSON would change in silence. */
function snapshot(call, value) {
  try {
    return JSON.stringify(value, function (key, json) {
      const it = this[key]
      const type = typeof it
      if (
        type === 'number' ? !Number.isFinite(it)
        : type === 'object' ? it instanceof Map || it instanceof Set || (it instanceof Date && Number.isNaN(+it))
        : type !== 'string' && type !== 'boolean'
      ) {
        throw new AmplitudeError(`${call}: ${key || 'argument'} is ${type === 'number' ? it : type === 'object' ? it.constructor.name : type}, not JSON`)
      }
      return json
    })
  } catch (error) {
    throw error instanceof AmplitudeError ? error : new AmplitudeError(`${call}: ${error.message}`)
  }
}

function string(call, what, value) {
  if (typeof value !== 'string') throw new AmplitudeError(`${call}: ${what} must be a string`)
  return value
}

function named(call, type, name) {
  return snapshot(call, { [string(call, 'the group type', type)]: name })
}

/** Runs a page's own function, whose errors are its own. */
function guarded(call) {
  try {
    call()
  } catch (error) {
    console.error(error)
  }
}

const random = () => Math.random().toString(36).slice(2)

/** The calls of one client; `load` brings the wasm's glue when `init` is called. */
export function create(load) {
  let client
  let started
  let startedKey
  let early = []
  let onProgress
  const waiting = new Map()

  const progress = (type, ids, status, reason) => {
    if (type === 'settled') {
      for (const id of ids) {
        waiting.get(id)?.(reason ? { status, reason } : { status })
        waiting.delete(id)
      }
    }
    if (onProgress) guarded(() => onProgress(type === 'notice' ? { type, text: ids } : { type, ids, status, reason }))
  }

  // An event's method answers with a number, under which its outcome is told later.
  const run = ({ method, args, time, id, resolve, reject }) => {
    try {
      const result = client[method](...args, time, id)
      if (typeof result !== 'number') return resolve(result)
      if (!result) return resolve({ status: 'dropped', reason: 'a plugin dropped it' })
      waiting.set(result, resolve)
      if (onProgress) guarded(() => onProgress({ type: 'queued', ids: [result], method, call: args.at(-1) }))
    } catch (error) {
      reject(error)
    }
  }

  const call = (method, prepare) => {
    const promise = new Promise((resolve, reject) => {
      const entry = { method, args: prepare(), time: Date.now(), resolve, reject }
      if (client) return run(entry)
      if (early.length === MOST_EARLY_CALLS) throw new AmplitudeError(`${method}: too many calls before init`, 'full')
      // What is called before the wasm may be sent by another page, so that it has its insert id from here on.
      entry.id = random() + random()
      early.push(entry)
    })
    // Who does not wait for the answer still reads of an error, in the console.
    promise.catch((error) => console.error(error))
    return promise
  }

  const keepForNextPage = (key) => {
    const prefix = `amplitude-sdk:left:${key}:`
    const slot = prefix + random()
    const storage = (use) => {
      try {
        use(localStorage)
      } catch {
        // No storage, or a full one: nothing can be kept.
      }
    }
    const on = (type, handle) => globalThis.addEventListener?.(type, handle)
    on('pagehide', () => {
      const events = client?.pending() ?? '[]'
      const calls = early.map(({ method, args, time, id }) => ({ method, args, time, id }))
      if (calls.length || events !== '[]') storage((kept) => kept.setItem(slot, JSON.stringify({ events, calls })))
    })
    // A page that comes back from the browser's cache still has all of it.
    on('pageshow', () => storage((kept) => kept.removeItem(slot)))
    return () =>
      storage((kept) => {
        for (const name of Object.keys(kept)) {
          if (!name.startsWith(prefix) || name === slot) continue
          const left = kept.getItem(name)
          kept.removeItem(name)
          guarded(() => {
            const { events, calls } = JSON.parse(left)
            client.adopt(events)
            for (const entry of calls) run({ ...entry, resolve() {}, reject: console.error })
          })
        }
      })
  }

  const start = async (key, { onProgress: listener, plugins = [], ...options }) => {
    const adopt = keepForNextPage(key)
    const glue = await load()
    await glue.default()
    onProgress = listener
    const steps = plugins.map((plugin) => (json) => {
      const event = plugin(JSON.parse(json))
      return event === null ? null : snapshot('plugin', event)
    })
    client = new glue.Amplitude(key, snapshot('init', options), progress, steps)
    adopt()
    for (const entry of early.splice(0)) run(entry)
  }

  return {
    async init(key, options = {}) {
      for (const name of Object.keys(options)) {
        if (PRIVATE_NAMES.test(name)) {
          throw new AmplitudeError(
            `init: ${name} is refused: a page is public; keep it on a server`,
          )
        }
      }
      string('init', 'the project key', key)
      if (started && key !== startedKey) throw new AmplitudeError('init: called with another key')
      startedKey = key
      started ??= start(key, { ...options }).catch((error) => {
        started = undefined
        throw error
      })
      return started
    },
    track: (event, properties, fields) =>
      call('track', () => [
        snapshot(
          'track',
          typeof event === 'string'
            ? { ...fields, event_type: event, ...(properties !== undefined && { event_properties: properties }) }
            : event,
        ),
      ]),
    identify: (operations) => call('identify', () => [snapshot('identify', operations)]),
    groupIdentify: (type, name, operations) =>
      call('groupIdentify', () => [named('groupIdentify', type, name), snapshot('groupIdentify', operations)]),
    setGroup: (type, name) => call('setGroup', () => [named('setGroup', type, name)]),
    revenue: (revenue) => call('revenue', () => [snapshot('revenue', revenue)]),
    setUserId: (id) => call('setUserId', () => [id == null ? undefined : string('setUserId', 'the id', id)]),
    setDeviceId: (id) => call('setDeviceId', () => [string('setDeviceId', 'the id', id)]),
    reset: () => call('reset', () => []),
    flush: (deadlineMs = 30_000) =>
      call('flush', () => {
        if (!(deadlineMs >= 0)) throw new AmplitudeError('flush: the deadline must be a number')
        return [deadlineMs]
      }),
    getUserId: () => client?.userId,
    getDeviceId: () => client?.deviceId,
    getSessionId: () => client?.sessionId,
  }
}
