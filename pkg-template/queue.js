// Where events wait, from the call to their outcome: in the store, and with the one tab that uploads for all. Where there is no store, or are no
// locks, each tab keeps what it has in memory and sends it by itself.
//
// A record is an event: of this tab, or in the tab that uploads of any.
import { asBytes, bytesOf, lines, newChunk, newRecord, push, storedChunk, takes } from './chunk.js'
import { spill } from './left.js'
import { AmplitudeError } from './shared.js'
import { openStore } from './store.js'
import { join } from './tabs.js'
import { DESK_BYTES, uploader } from './uploader.js'
import { GONE, writer } from './writer.js'

const [NOTHING, LINE_FEED] = [new Uint8Array(), new Uint8Array([10])]
const UNHEARD = { status: 'unknown', reason: 'another tab sent it, and was closed before it told its outcome' }

export function queue(key, slot, settings, { progress, notice, settled }) {
  const name = `amplitude-sdk:${key}:${settings.url}`
  let store
  let tabs
  // This tab has the lock; it also knows what the others left; it sends by itself what it cannot store.
  let [leads, ready, alone] = [false, false, false]
  // What waits is to go as soon as the wasm has it.
  let hurried = false
  let away = false
  let loading = false
  let [bytes, numbers, lastMs] = [0, 0, 0]
  // The chunk that takes further records; its bytes stand on the desk of the wasm.
  let open
  // Those with records that the wasm does not have yet, in their order.
  const backlog = new Set()
  // By key, those that the store has: this tab's own, and all of them where it leads.
  const chunks = new Map()
  const own = new Set()
  // How many records of this tab are not settled.
  let waiting = 0

  const wasm = uploader(key, settings, {
    progress,
    notice,
    noteAttempts(sent) {
      for (const { chunk } of sent) down.change(chunk)
      return down.commit()
    },
    settled(records, outcome, events) {
      conclude(records, outcome, events)
      pump()
    },
  })

  /** The outcome of records, for this tab and for the others, and the events that nobody will send again. */
  const conclude = (records, outcome, events) => {
    const foreign = {}
    for (const { settle, chunk, at } of records) if (!settle) (foreign[chunk.key] ??= []).push(at)
    // Before the store forgets them, so that nobody waits in vain: to hear it twice does no harm.
    if (Object.keys(foreign)[0]) tabs?.tell({ settled: foreign, outcome })
    // They go into the store with the news of their outcome.
    down.bury(events.map((event) => ({ event, outcome, givenUpMs: Date.now() })))
    settle(records, outcome)
  }

  const settle = (records, outcome) => {
    const news = records.filter(({ gone }) => !gone)
    for (const record of news) {
      const { chunk } = record
      record.gone = true
      if (leads) down.change(chunk)
      if (!--chunk.pending && chunk !== open) forget(chunk)
      if (record.settle) {
        waiting--
        bytes -= record.size
        record.keep(true)
        settled(record, outcome)
      }
    }
    if (leads) down.commit()
    if (news[0]) progress?.({ type: 'settled', ids: news.map(({ number }) => number), ...outcome })
  }

  const settleAll = (chunk, outcome) => {
    settle(chunk.records, outcome)
    forget(chunk)
  }

  const forget = (chunk) => {
    if (!own.delete(chunk) && chunks.has(chunk.key)) bytes -= chunk.size
    chunks.delete(chunk.key)
    backlog.delete(chunk)
  }

  const close = () => {
    if (!open) return
    if (open.pending) open.bytes = wasm.read(open.size)
    else forget(open)
    open = undefined
  }

  /** Where on the desk there is room for so many characters: behind the open chunk, or where that is full, in its place. */
  const deskFor = (length) => {
    if (open?.size + 3 * length > DESK_BYTES) close()
    return open?.size ?? 0
  }

  // In the order of the calls, also where the clock is set back.
  const now = () => (lastMs = Math.max(lastMs, Date.now()))

  const claim = (size) => {
    if (bytes + size > settings.queueBytes) throw new AmplitudeError('the queue is full', 'full')
  }

  /** Has what is stored under this key sent. */
  const enqueue = (key) => {
    if (typeof key !== 'string') return
    if (!chunks.has(key)) {
      const chunk = storedChunk(key)
      bytes += chunk.size
      chunks.set(key, chunk)
    }
    backlog.add(chunks.get(key))
  }

  /** Gives the wasm what the backlog holds, as far as there is room. */
  const pump = () => {
    if (!ready && !alone) return
    for (const chunk of backlog) {
      if (chunk === open) close()
      const here = chunk.records[0] && (chunk.bytes || chunk.records.every((it) => it.handed || it.gone))
      if (!here && store) return load(chunk)
      if (here && !chunk.records.every(hand)) break
      if (chunk.written) chunk.bytes = undefined
      backlog.delete(chunk)
    }
    if (hurried) {
      hurried = !!backlog.size
      wasm.flush()
    }
  }

  /** Answers whether there was room for it. */
  const hand = (record) => {
    if (record.handed || record.gone) return true
    try {
      const at = deskFor(record.size)
      wasm.put(at, bytesOf(record))
      wasm.hand(record, at)
    } catch (error) {
      if (error.kind === 'full') return false
      // Of other options, or nobody knows of whom.
      conclude([record], { status: 'rejected', reason: error.message }, [bytesOf(record).slice()])
    }
    return true
  }

  /** Reads a chunk of the backlog, and what is behind it at once. */
  const load = async (wanted) => {
    if (loading) return
    loading = true
    try {
      const [found, marks] = await store.read(wanted.key)
      for (const { key, events } of found) {
        const chunk = chunks.get(key)
        if (backlog.has(chunk)) fill(chunk, asBytes(events), marks.find((mark) => mark.key === key)?.tried ?? [])
      }
      if (found[0]?.key !== wanted.key) settleAll(wanted, UNHEARD)
    } catch (error) {
      lose(error)
    }
    loading = false
    pump()
  }

  const fill = (chunk, bytes, tried) => {
    if (!own.has(chunk) && !chunk.records[0]) lines(bytes, (from, size) => push(newRecord(chunk, from, size, ++numbers, 0)))
    for (const record of chunk.records) record.tried ||= Math.max(tried[record.at] || 0, 0)
    chunk.bytes = bytes
    settle(chunk.records.filter(({ at }) => tried[at] === GONE), UNHEARD)
  }

  /** From here on this tab sends by itself what is not stored. */
  const fail = (error) => {
    if (alone) return
    alone = true
    notice(`events wait in memory, not in the store: ${error?.message ?? error}`)
    down.stop()
    for (const chunk of own) {
      if (chunk.written) continue
      for (const record of chunk.records) record.keep(false)
      backlog.add(chunk)
    }
    pump()
  }

  /** The store is gone: another tab may have one. */
  const lose = (error) => {
    store = undefined
    leads = ready = false
    tabs?.resign()
    fail(error)
  }

  /** What was stored and is not there any more was settled by a tab that this one did not hear. */
  const reconcile = (keys) => {
    const there = new Set(keys)
    for (const chunk of own) if (chunk.written && !there.has(chunk.key)) settleAll(chunk, UNHEARD)
  }

  const lead = async () => {
    leads = true
    try {
      const keys = await store.keys()
      if (!leads) return
      reconcile(keys)
      // In their order: what earlier pages left, what this one has, what other tabs stored meanwhile.
      const later = [...own, ...backlog]
      backlog.clear()
      for (const key of keys) enqueue(key)
      for (const chunk of later) backlog.add(chunk)
      hurried ||= !!keys[0]
      ready = true
      pump()
    } catch (error) {
      lose(error)
    }
  }

  const hear = ({ take, flush, settled, outcome }) => {
    for (const key in settled) {
      const chunk = chunks.get(key)
      if (!own.has(chunk)) continue
      settle(settled[key].map((at) => chunk.records[at]), outcome)
    }
    if (!leads) return
    take?.forEach(enqueue)
    // Timers of a hidden tab are late, and the tab that has these may be in sight.
    hurried ||= flush || globalThis.document?.visibilityState === 'hidden'
    pump()
  }

  const start = async () => {
    try {
      if (!globalThis.navigator?.locks) throw new Error('there are no Web Locks')
      store = await openStore(name, lose)
      tabs = join(name, { lead, hear, fail: lose })
      if (away) tabs.resign()
    } catch (error) {
      fail(error)
    }
  }
  const down = writer(slot, Promise.resolve().then(start), chunks, {
    current: () => store,
    closing: close,
    wrote: (added) => leads || tabs.tell({ take: added.map(({ key }) => key) }),
    failed: fail,
    lost: lose,
  })

  return {
    /** The store, once all is there that it takes, and the dead letters that it does not take. */
    letters: async () => {
      await down.drain()
      return { store, unstored: down.letters() }
    },

    /** The number of the last record, and how many of this tab are not settled. */
    waiting: () => [numbers, waiting],

    check(text) {
      const at = deskFor(text.length)
      wasm.check(at, wasm.write(at, text, NOTHING))
    },

    /**
     * Takes an event's text, and bytes behind it that end its line; tells `settle` its outcome and `keep` whether it is stored. One that an
     * earlier page left waits `since` then, and was sent first when `tried` says, in seconds since 1970; 0: never.
     */
    add(text, settle, keep, ending = LINE_FEED, since = now(), tried = 0) {
      const length = text.length + ending.length
      // No text has fewer bytes than characters.
      claim(length)
      if (open && !takes(open, since)) close()
      const at = deskFor(length)
      const size = wasm.write(at, text, ending) - 1
      claim(size)
      if (!open) {
        open = newChunk(since)
        down.add(open)
      }
      const record = newRecord(open, at, size, numbers + 1, tried, settle, keep)
      if (alone || (ready && !backlog.size)) {
        try {
          wasm.hand(record, at)
        } catch (error) {
          if (alone || error.kind !== 'full') throw error
        }
      } else {
        wasm.check(at, size)
      }
      push(record)
      if (!record.at) own.add(open)
      open.size += size + 1
      bytes += size
      numbers++
      waiting++
      if (leads && !record.handed) backlog.add(open)
      if (alone) keep(false)
      else down.commit()
      return record
    },

    /** What waits goes without waiting for more. */
    async flush() {
      hurried = true
      if (ready || alone) return pump()
      await down.drain()
      if (!leads && !alone) tabs.tell({ flush: true })
    },

    /** What waits goes while the page still can. */
    hide() {
      if (ready || alone) wasm.flush()
    },

    /** The page ends: what is not stored, as the inside of a JSON object. */
    leave() {
      away = true
      wasm.leave(true)
      this.hide()
      close()
      const unstored = [...own].flatMap((chunk) => (chunk.written ? [] : chunk.records.filter((it) => !it.gone && !it.spilled)))
      if (!alone) {
        tabs?.resign()
        leads = ready = false
        wasm.stop()
        backlog.clear()
        for (const chunk of chunks.values()) own.has(chunk) || forget(chunk)
        for (const chunk of own) for (const record of chunk.records) record.handed = false
      }
      return spill(unstored, settings.url)
    },

    /** The page is back. */
    async back() {
      if (!away) return
      away = false
      wasm.leave(false)
      if (alone || !tabs) return
      tabs.stand()
      try {
        reconcile(await store.keys())
      } catch (error) {
        lose(error)
      }
    },
  }
}
