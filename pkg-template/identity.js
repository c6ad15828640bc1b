// Who the events are of: user, device and session, kept from page to page where the browser lets us.
import { random, storage } from './loader.js'

// The last event's time is written no more often than this; a write costs more than the rest of a call.
const WRITE_EVERY_MS = 5000

/** The ids of a project's events. `check` throws for a `user_id` or `device_id` that breaks a rule. */
export function identity(key, sessionTimeoutMs, check) {
  const name = `amplitude-sdk:${key}`
  let written = 0
  // Once: what the browser is asked costs more than the rest.
  const { language, userAgent } = globalThis.navigator ?? {}
  const ids = {
    ...kept(name, sessionTimeoutMs, check),

    setUserId(id) {
      if (id !== undefined) check({ user_id: id })
      ids.userId = id
      write(0)
    },

    setDeviceId(id) {
      check({ device_id: id })
      ids.deviceId = id
      write(0)
    },

    /** Forgets the user and becomes a new device. */
    reset() {
      ids.userId = undefined
      ids.deviceId = random()
      write(0)
    },

    /** The fields that an event of that time has where it does not bring them itself. */
    stamp(time) {
      // A session ends after silence. A clock that was set back leaves it as it is.
      const goesOn = time - ids.lastMs < sessionTimeoutMs
      if (!goesOn) ids.sessionId = time
      ids.lastMs = goesOn ? Math.max(ids.lastMs, time) : time
      if (!goesOn || time - written >= WRITE_EVERY_MS) write(time)
      return {
        time,
        session_id: ids.sessionId,
        device_id: ids.deviceId,
        ...(ids.userId !== undefined && { user_id: ids.userId }),
        platform: 'Web',
        ip: '$remote',
        ...(language && { language }),
        ...(userAgent && { user_agent: userAgent }),
        library: 'amplitude-sdk-wasm/@VERSION@',
      }
    },
  }

  const write = (time) => {
    written = time
    const { userId, deviceId, sessionId, lastMs } = ids
    storage((store) => store.setItem(name, JSON.stringify({ userId, deviceId, sessionId, lastMs })))
  }
  return ids
}

/** What the last page left, in a storage that anybody may have written to; or a new device. */
function kept(name, sessionTimeoutMs, check) {
  let found
  try {
    found = JSON.parse(storage((store) => store.getItem(name))) ?? {}
  } catch {
    found = {}
  }
  const { userId, deviceId, sessionId, lastMs } = found
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
