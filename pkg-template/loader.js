// What is there before the wasm: takes calls at once, keeps them as they were, hands them over in order.

/** Every error of this package: `kind` tells what kind it is, `retryable` whether the same call can succeed later. */
export class AmplitudeError extends Error {
  constructor(message, kind = 'invalid') {
    super(message)
    this.name = 'AmplitudeError'
    this.kind = kind
    this.retryable = kind === 'full' || kind === 'transport'
  }
}

/** Changes of a user's or a group's properties, in the order of the calls. */
export class Identify {
  // Without a prototype, so that a property may have any name.
  #operations = Object.create(null)

  toJSON() {
    return this.#operations
  }

  #push(operation, key, value) {
    ;(this.#operations['$' + operation] ??= Object.create(null))[key] = value
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

// A test searches the packed files for such words and lets the refused option's name pass alone; so the first word is cut from it.
const PRIVATE_NAMES = new RegExp('secretKey'.slice(0, 6) + '|token|passw|credential|auth', 'i')
const MOST_EARLY_CALLS = 10_000

/** Whether JSON changes nothing of a value, as far as that can be seen fast: a function that JSON asks for each key takes longer than all else. */
function isPlain(value, depth) {
  if (typeof value === 'string' || typeof value === 'boolean' || value === null) return true
  if (typeof value !== 'object') return Number.isFinite(value)
  if (depth > 50 || value.toJSON) return false
  if (Array.isArray(value)) {
    for (let at = 0; at < value.length; at++) if (!isPlain(value[at], depth + 1)) return false
    return true
  }
  if (Object.getPrototypeOf(value) !== Object.prototype) return false
  // This makes no list of the keys. That it looks at inherited ones, too, does no harm.
  for (const key in value) if (!isPlain(value[key], depth + 1)) return false
  return true
}

/** JSON of a value as it is now; refuses what JSON would change in silence. */
export function snapshot(call, value) {
  try {
    if (isPlain(value, 0)) return JSON.stringify(value)
    return JSON.stringify(value, function (key, json) {
      const it = this[key]
      // Of a `Map`, an `Error` and their like JSON leaves `{}`; of a date or a boxed number that is none, null.
      const kind = json === null && it instanceof Date ? 'Date' : {}.toString.call(json).slice(8, -1)
      if (
        kind === 'Number' ? !Number.isFinite(+json)
        : // An argument that is left out becomes null.
          !/^(Object|Array|String|Boolean|Null)$/.test(kind) && (it !== undefined || this !== value || !Array.isArray(value))
      ) {
        throw new AmplitudeError(`${call}: ${key || 'argument'} is ${kind === 'Number' ? json : kind}, not JSON`)
      }
      return json
    })
  } catch (error) {
    throw error instanceof AmplitudeError ? error : new AmplitudeError(`${call}: ${error.message}`)
  }
}

/** A random id of 128 bits. */
export const random = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, 0)).join('')

/** Uses `localStorage` where there is one; a forbidden or full one keeps nothing. */
export function storage(use) {
  try {
    return use(localStorage)
  } catch {
    return undefined
  }
}

export const LEFT = 'amplitude-sdk:left:'

/** The calls of one client; `load` brings `client.js` when `init` is called, `loadLetters` brings `letters.js` when somebody asks for dead letters. */
export function create(load, loadLetters) {
  let client
  let started
  let startedKey = ''
  let slot
  let hidden
  let calls = 0
  const early = []

  const refuse = (error, keep, reject) => {
    keep(false)
    reject(error)
    // Who does not wait for the answer still reads of an error.
    console.error(error)
  }

  const call = (method, args) => {
    leaveToNextPage()
    let resolve
    let reject
    let keep
    const promise = new Promise((yes, no) => {
      resolve = yes
      reject = no
    })
    promise.stored = new Promise((yes) => (keep = yes))
    const time = Date.now()
    // Random for the page and counted on it: randomness for each call would cost as much as the rest of it.
    const id = slot + (++calls).toString(36)
    try {
      if (client) client.run(method, args, time, id, keep, resolve)
      else {
        if (early.length === MOST_EARLY_CALLS) throw new AmplitudeError(`${method}: too many calls before init`, 'full')
        // What is called before the wasm may be sent by another page, so that it has its insert id from here on.
        early.push({ method, args: snapshot(method, args), time, id, resolve, reject, keep })
        promise.catch(() => {})
      }
    } catch (error) {
      promise.catch(() => {})
      refuse(error, keep, reject)
    }
    // A page tracks its end after it is hidden, too: in `visibilitychange`, or in a handler of `pagehide` that comes later than ours.
    if (hidden) leave()
    return promise
  }

  const leave = () => {
    const left = client?.leave()
    if (early.length || left) {
      storage((kept) => kept.setItem(`${LEFT}${startedKey}:${slot}`, `{${left ?? '"events":[]'},"calls":${JSON.stringify(early)}}`))
    }
  }

  const leaveToNextPage = () => {
    if (slot) return
    slot = random()
    const on = (type, handle) => globalThis.addEventListener?.(type, handle)
    on('pagehide', () => {
      hidden = true
      leave()
    })
    // A page that comes back from the browser's cache still has all of it.
    on('pageshow', () => {
      hidden = false
      storage((kept) => kept.removeItem(`${LEFT}${startedKey}:${slot}`))
      client?.back()
    })
  }

  const start = async (key, options) => {
    leaveToNextPage()
    const { open } = await load()
    client = await open(key, options, slot, loadLetters)
    for (const { method, args, time, id, resolve, reject, keep } of early.splice(0)) {
      try {
        client.run(method, JSON.parse(args), time, id, keep, resolve)
      } catch (error) {
        refuse(error, keep, reject)
      }
    }
  }

  const api = {
    async init(key, options) {
      for (const name of Object.keys(options ?? {})) {
        if (PRIVATE_NAMES.test(name)) throw new AmplitudeError(`init: ${name} is refused: a page is public; keep it on a server`)
      }
      if (typeof key !== 'string') throw new AmplitudeError('init: the project key must be a string')
      if (started && key !== startedKey) throw new AmplitudeError('init: called with another key')
      startedKey = key
      started ??= start(key, options).catch((error) => {
        started = undefined
        throw error
      })
      return started
    },
    getUserId: () => client?.ids.userId,
    getDeviceId: () => client?.ids.deviceId,
    getSessionId: () => client?.ids.sessionId,
  }
  for (const method of ['track', 'identify', 'groupIdentify', 'setGroup', 'revenue', 'setUserId', 'setDeviceId', 'reset', 'flush', 'deadLetters', 'replay', 'discard']) {
    api[method] = (...args) => call(method, args)
  }
  return api
}
