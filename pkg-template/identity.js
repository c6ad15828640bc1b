// Who the events are of: user, device and session, kept from page to page where the browser lets us.
import { utf8 } from './chunk.js'
import { random, storage } from './shared.js'

// The last event's time is written no more often than this; a write costs more than the rest of a call.
const WRITE_EVERY_MS = 5000

/** The ids of a project's events. `check` throws for a `user_id` or `device_id` that breaks a rule. */
export function identity(key, sessionTimeoutMs, check) {
  const name = `amplitude-sdk:${key}`
  let written = 0
  const part = (name, value) => (value === undefined ? '' : `,"${name}":${JSON.stringify(value)}`)
  // Once: what the browser is asked costs more than the rest.
  const { language, userAgent } = globalThis.navigator ?? {}
  const fixed = {
    user_agent: userAgent || undefined,
    platform: 'Web',
    language: language || undefined,
    ip: '$remote',
    library: 'amplitude-sdk-wasm/@VERSION@',
  }
  const names = Object.keys(fixed)
  const ending = (own) => {
    let text = ''
    for (const name of names) if (own[name] === undefined) text += part(name, fixed[name])
    return { text: `${text}}`, bytes: utf8.encode(`${text}}\n`) }
  }
  const usual = ending({})
  const ids = {
    ...kept(name, sessionTimeoutMs, check),

    setUserId(id) {
      if (id !== undefined) check({ user_id: id })
      ids.userId = id
      change()
    },

    setDeviceId(id) {
      check({ device_id: id })
      ids.deviceId = id
      change()
    },

    /** Forgets the user and becomes a new device. */
    reset() {
      ids.userId = undefined
      ids.deviceId = random()
      change()
    },

    /** An event's JSON with the fields of that time that it does not bring itself, all but its ending; `text` is the JSON of `own`. */
    stamped(text, own, time, id) {
      // A session ends after silence. A clock that was set back leaves it as it is.
      const goesOn = time - ids.lastMs < sessionTimeoutMs
      if (!goesOn) ids.sessionId = time
      ids.lastMs = goesOn ? Math.max(ids.lastMs, time) : time
      if (!goesOn || time - written >= WRITE_EVERY_MS) write(time)
      // Texts that are put together take half as long as an object that is, and its JSON.
      let parts = text.slice(0, -1)
      if (own.user_id === undefined) parts += userPart
      if (own.device_id === undefined) parts += devicePart
      if (own.time === undefined) parts += `,"time":${time}`
      if (own.session_id === undefined) parts += `,"session_id":${ids.sessionId}`
      if (own.insert_id === undefined) parts += `,"insert_id":"${id}"`
      return parts
    },

    /** What is the same for all events of a page, ready to be copied as a line's end. */
    ending: (own) => (names.every((name) => own[name] === undefined) ? usual : ending(own)),
  }

  let userPart
  let devicePart
  const renew = () => {
    userPart = part('user_id', ids.userId)
    devicePart = part('device_id', ids.deviceId)
  }
  renew()

  const write = (time) => {
    written = time
    const { userId, deviceId, sessionId, lastMs } = ids
    storage((store) => store.setItem(name, JSON.stringify({ userId, deviceId, sessionId, lastMs })))
  }
  const change = () => {
    renew()
    write(0)
  }
  return ids
}

/** What the last page left, in a storage that anybody may have written to; or a new device. */
function kept(name, sessionTimeoutMs, check) {
  let last
  try {
    last = JSON.parse(storage((store) => store.getItem(name))) ?? {}
  } catch {
    last = {}
  }
  const { userId, deviceId, sessionId, lastMs } = last
  const good = (field, id) => {
    try {
      check({ [field]: id })
      return typeof id === 'string'
    } catch {
      return false
    }
  }
  return {
    userId: good('user_id', userId) ? userId : undefined,
    deviceId: good('device_id', deviceId) ? deviceId : random(),
    // A session from the future, of a clock that was wrong, would not end before that.
    ...(Number.isSafeInteger(sessionId) && Number.isSafeInteger(lastMs) && lastMs < Date.now() + sessionTimeoutMs && { sessionId, lastMs }),
  }
}
