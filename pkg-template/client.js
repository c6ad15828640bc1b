// The client behind the loader: makes events of calls, with their ids and their time, and tells what became of them.
import { EVENTS, text } from './events.js'
import { identity } from './identity.js'
import { adopt } from './left.js'
import { AmplitudeError, snapshot, storage } from './shared.js'
import { settings } from './options.js'
import { queue } from './queue.js'
import { instantiate } from './wasm.js'

/** Runs a page's own function, whose errors are its own. */
function guarded(call) {
  try {
    call()
  } catch (error) {
    console.error(error)
  }
}

/** Opens the client of a project: checks the options, loads the wasm, sends what earlier pages left. `loadLetters` brings `letters.js`. */
export async function open(key, options, slot, loadLetters) {
  const given = settings(options)
  const { plugins, onProgress } = given
  await instantiate()

  const flushes = new Set()
  const progress = onProgress && ((step) => guarded(() => onProgress(step)))
  const notice = (message) => {
    console.warn(`amplitude: ${message}`)
    progress?.({ type: 'notice', text: message })
  }
  const settled = (record, outcome) => {
    record.settle(outcome)
    for (const tell of flushes) tell(record, outcome.status)
  }
  const line = queue(key, slot, given, { progress, notice, settled })

  const ids = identity(key, given.sessionTimeoutMs, (id) => line.check(JSON.stringify({ event_type: 'check', ...id })))
  if (given.deviceId !== undefined) ids.setDeviceId(given.deviceId)
  if (given.userId !== undefined) ids.setUserId(given.userId)

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

  const track = (method, args, time, id, keep, resolve, since) => {
    const own = EVENTS[method](...args)
    const text = ids.stamped(snapshot(method, own), own, time, id)
    const ending = ids.ending(own)
    if (!plugins[0] && !progress) return line.add(text, resolve, keep, ending.bytes, since)
    const event = enrich(text + ending.text)
    if (event === undefined) {
      keep(true)
      return resolve({ status: 'dropped', reason: 'a plugin dropped it' })
    }
    const record = line.add(event, resolve, keep, undefined, since)
    progress?.({ type: 'queued', ids: [record.number], method, event })
    return record
  }

  const flush = (deadlineMs) => {
    // Of a call before `init`, JSON.
    deadlineMs ??= 30_000
    if (!(deadlineMs >= 0)) throw new AmplitudeError('flush: the deadline must be a number')
    return new Promise((resolve) => {
      const [last, pending] = line.waiting()
      const report = { delivered: 0, rejected: 0, dropped: 0, unknown: 0, pending }
      const done = () => {
        clearTimeout(limit)
        flushes.delete(tell)
        resolve(report)
      }
      const tell = ({ number }, status) => {
        if (number > last) return
        report.pending--
        report[status]++
        if (!report.pending) done()
      }
      const limit = setTimeout(done, Math.min(deadlineMs, 0x7fff_ffff))
      if (!pending) return done()
      flushes.add(tell)
      line.flush()
    })
  }

  const others = {
    flush,
    reset: ids.reset,
    setUserId: (id) => ids.setUserId(id == null ? undefined : text('setUserId', 'the id', id)),
    setDeviceId: (id) => ids.setDeviceId(text('setDeviceId', 'the id', id)),
  }

  const ofLetters = async (method, args, keep) => {
    try {
      const part = await loadLetters().catch((error) => {
        throw new AmplitudeError(`${method}: letters.js cannot be loaded: ${error.message}`, 'transport')
      })
      return await part[method]({ line, notice, progress, keep }, ...args)
    } finally {
      keep(false)
    }
  }

  /** Does what a call asks for; answers with the record of an event that waits now, or `since` then. */
  const run = (method, args, time, id, keep, resolve, since) => {
    if (EVENTS[method]) return track(method, args, time, id, keep, resolve, since)
    if (!others[method]) return resolve(ofLetters(method, args, keep))
    resolve(others[method](...args))
    keep(true)
  }

  storage((kept) => adopt(kept, key, slot, given.url, { add: line.add, run, guarded }))

  // A page that is hidden may end without a further word.
  globalThis.document?.addEventListener('visibilitychange', () => document.visibilityState === 'hidden' && line.hide())

  return { run, ids, leave: () => line.leave(), back: () => line.back() }
}
