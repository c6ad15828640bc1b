// Where events wait, from the call to their outcome: in the store, and with the one tab that uploads for all. Where there is no store, or are no
// locks, each tab keeps what it has in memory and sends it by itself.
//
// A record is an event: of this tab, or in the tab that uploads of any. Its `text` is here until the store has it, or the wasm where there is no
// store. Chunks of records are written by group commit: what comes during one transaction goes with the next.
import { AmplitudeError } from './loader.js'
import { openStore } from './store.js'
import { join } from './tabs.js'
import { uploader } from './uploader.js'

// Chromium puts values of more than 64 KiB into files of their own, at twice the price.
const CHUNK_CHARACTERS = 60_000
// In a chunk's mark: this one is settled. Otherwise the second of its first attempt, or 0.
const GONE = -1
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
  let [bytes, numbers, chunksWritten, lastMs] = [0, 0, 0, 0]
  // The chunk that takes further records.
  let open
  let unwritten = []
  // Those with records that the wasm does not have yet.
  let backlog = []
  // By key, those that the store has: this tab's own, and all of them where it leads.
  const chunks = new Map()
  const own = new Set()
  // This tab's records that are not settled.
  const records = new Set()
  // The store does not know yet what became of their records.
  const dirty = new Set()

  const wasm = uploader(key, settings, {
    progress,
    notice,
    noteAttempts(sent) {
      for (const { chunk } of sent) dirty.add(chunk)
      return commit()
    },
    settled(list, outcome) {
      conclude(list, outcome)
      pump()
    },
  })

  /** The outcome of records, for this tab and for the others. */
  const conclude = (list, outcome) => {
    const news = {}
    let foreign = false
    for (const record of list) {
      if (!records.has(record)) {
        foreign = true
        ;(news[record.chunk.key] ??= []).push(record.at)
      }
      settle(record, outcome)
    }
    // Before the store forgets them, so that nobody waits in vain: to hear it twice does no harm.
    if (foreign) tabs?.tell({ settled: news, outcome })
    told(list, outcome)
  }

  const told = (list, outcome) => list[0] && progress({ type: 'settled', ids: list.map(({ number }) => number), ...outcome })

  const settle = (record, outcome) => {
    const { chunk } = record
    if (record.gone) return
    record.gone = true
    record.text = undefined
    if (leads) {
      dirty.add(chunk)
      commit()
    }
    if (!--chunk.left && chunk !== open) forget(chunk)
    if (records.delete(record)) {
      bytes -= record.bytes
      record.keep(true)
      settled(record, outcome)
    }
  }

  const settleAll = (chunk, outcome) => {
    const list = chunk.records.filter(({ gone }) => !gone)
    for (const record of list) settle(record, outcome)
    told(list, outcome)
    forget(chunk)
  }

  const forget = (chunk) => {
    if (!own.delete(chunk) && chunks.has(chunk.key)) bytes -= chunk.size
    chunks.delete(chunk.key)
  }

  const close = () => {
    if (open && !open.left) forget(open)
    open = undefined
  }

  const list = (chunk) => {
    if (chunk.listed) return
    chunk.listed = true
    backlog.push(chunk)
  }

  const listKey = (key) => {
    if (typeof key !== 'string') return
    if (!chunks.has(key)) {
      const chunk = { key, written: true, size: +key.split('-')[3] || 0, records: [], left: 0 }
      bytes += chunk.size
      chunks.set(key, chunk)
    }
    list(chunks.get(key))
  }

  /** Gives the wasm what the backlog holds, as far as there is room. */
  const pump = () => {
    if (!ready && !alone) return
    while (backlog[0]) {
      const [chunk] = backlog
      const here = chunk.records[0] && chunk.records.every((it) => it.handed || it.gone || it.text !== undefined)
      if (!here && store) return load(chunk)
      if (here && !chunk.records.every(hand)) break
      backlog.shift()
      // It may still take records.
      if (own.has(chunk)) chunk.listed = false
    }
    if (hurried) {
      hurried = !!backlog[0]
      wasm.flush()
    }
  }

  /** Answers whether there was room for it. */
  const hand = (record) => {
    if (record.handed || record.gone) return true
    try {
      wasm.hand(record)
    } catch (error) {
      if (error.kind === 'full') return false
      // Of other options, or nobody knows of whom.
      conclude([record], { status: 'rejected', reason: error.message })
      return true
    }
    record.handed = true
    if (record.chunk.written) record.text = undefined
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
        if (chunk?.listed) fill(chunk, String(events).split('\n'), marks.find((mark) => mark.key === key)?.tried ?? [])
      }
      if (found[0]?.key !== wanted.key) settleAll(wanted, UNHEARD)
      backlog = backlog.filter((chunk) => chunks.has(chunk.key) || own.has(chunk))
    } catch (error) {
      lose(error)
    }
    loading = false
    pump()
  }

  const fill = (chunk, texts, tried) => {
    if (!own.has(chunk) && !chunk.records[0]) {
      chunk.records = texts.map((text, at) => ({ chunk, at, number: ++numbers, tried: 0 }))
      chunk.left = texts.length
    }
    for (const record of chunk.records) {
      record.tried ||= Math.max(tried[record.at] || 0, 0)
      if (tried[record.at] === GONE) settle(record, UNHEARD)
      else if (!record.handed && !record.gone) record.text = texts[record.at] ?? ''
    }
  }

  let tail
  let next
  /** Resolves when the store has all that is so now. */
  const commit = () => {
    next ??= tail = tail.then(() => {
      next = undefined
      return write()
    })
    return next
  }

  const write = async () => {
    if (!store) return
    const added = alone ? [] : unwritten.splice(0).filter((chunk) => chunk.left)
    if (!alone) close()
    for (const chunk of added) {
      lastMs = Math.max(lastMs, Date.now())
      chunk.key = [lastMs, String(++chunksWritten).padStart(9, 0), slot, chunk.size].join('-')
      chunks.set(chunk.key, chunk)
    }
    const changed = [...dirty].filter((chunk) => chunk.key)
    dirty.clear()
    const marked = changed.filter((chunk) => chunk.left)
    const removed = changed.filter((chunk) => !chunk.left)
    if (!added[0] && !changed[0]) return
    try {
      await store.write(
        added.map(({ key, records }) => ({ key, events: records.map(({ text }) => text).join('\n') })),
        marked.map(({ key, records }) => ({ key, tried: records.map(({ gone, tried }) => (gone ? GONE : tried)) })),
        removed.map(({ key }) => key),
      )
    } catch (error) {
      if (!added[0]) return lose(error)
      // No room for more, perhaps; what is there can still be read and removed.
      for (const chunk of added) {
        chunks.delete(chunk.key)
        chunk.key = undefined
      }
      for (const chunk of changed) dirty.add(chunk)
      fail(error)
      return write()
    }
    for (const chunk of added) {
      chunk.written = true
      for (const record of chunk.records) {
        if (record.handed || !leads) record.text = undefined
        record.keep(true)
      }
    }
    if (!leads && added[0]) tabs.tell({ take: added.map(({ key }) => key) })
  }

  /** From here on this tab sends by itself what is not stored. */
  const fail = (error) => {
    if (alone) return
    alone = true
    notice(`events wait in memory, not in the store: ${error?.message ?? error}`)
    unwritten = []
    for (const chunk of own) {
      if (chunk.written) continue
      for (const record of chunk.records) record.keep(false)
      list(chunk)
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
      const later = backlog
      backlog = []
      for (const chunk of later) chunk.listed = false
      for (const key of keys) listKey(key)
      for (const chunk of [...own, ...later]) list(chunk)
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
      const list = settled[key].map((at) => chunk.records[at]).filter((record) => !record.gone)
      for (const record of list) settle(record, outcome)
      told(list, outcome)
    }
    if (!leads) return
    take?.forEach(listKey)
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
  tail = start()

  return {
    records,
    check: wasm.check,

    /** Takes an event's text, `tried` first in that second or never; tells `settle` its outcome and `keep` whether it is stored. */
    add(text, tried, settle, keep) {
      if (bytes + text.length > settings.queueBytes) throw new AmplitudeError('the queue is full', 'full')
      if (open?.size + text.length > CHUNK_CHARACTERS) close()
      if (!open) {
        open = { written: false, size: 0, records: [], left: 0 }
        if (!alone) unwritten.push(open)
      }
      const record = { text, tried, settle, keep, chunk: open, at: open.records.length, bytes: text.length, number: numbers + 1 }
      if (alone || (ready && !backlog[0])) {
        try {
          wasm.hand(record)
          record.handed = true
        } catch (error) {
          if (alone || error.kind !== 'full') throw error
        }
      } else {
        wasm.check(text)
      }
      numbers++
      bytes += record.bytes
      own.add(open)
      records.add(record)
      open.records.push(record)
      open.size += record.bytes
      open.left++
      if (leads && !record.handed) list(open)
      if (alone) keep(false)
      else commit()
      return record
    },

    /** What waits goes without waiting for more. */
    flush() {
      hurried = true
      if (ready || alone) pump()
      else commit().then(() => leads || alone || tabs.tell({ flush: true }))
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
      const left = [...own].flatMap((chunk) => (chunk.written ? [] : chunk.records.filter((it) => !it.gone && !it.left)))
      if (!alone) {
        tabs?.resign()
        leads = ready = false
        wasm.stop()
        backlog = []
        for (const chunk of chunks.values()) own.has(chunk) || forget(chunk)
        for (const chunk of own) {
          chunk.listed = false
          for (const record of chunk.records) record.handed = false
        }
      }
      const { url } = settings
      return left[0] && `"url":${JSON.stringify(url)},"tried":[${left.map(({ tried }) => tried)}],"events":[${left.map(({ text }) => text)}]`
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
