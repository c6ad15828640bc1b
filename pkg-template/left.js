// What a page leaves in localStorage when it ends: taken over by the next page that opens the same project.
import { textOf } from './chunk.js'
import { LEFT, random, storage } from './shared.js'

/** A time that is none would spoil the session of all that is tracked after it. */
const moment = (time) => (Number.isSafeInteger(time) ? time : Date.now())

const past = (time) => Math.min(moment(time), Date.now())

/** Records for the next page, as the inside of a JSON object; nothing for none. */
export function spill(records, url) {
  const [since, tried] = [records.map(({ chunk }) => chunk.since), records.map(({ tried }) => tried)]
  return records[0] && `"url":${JSON.stringify(url)},"since":[${since}],"tried":[${tried}],"events":[${records.map(textOf)}]`
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

/**
 * Takes what was left for this key and server by other pages than this one. What finds no room stays for a later page, and so does what is for another
 * server. `add` takes an event that is whole, `run` a call that was made before there was a client; both answer with the record, if there is one.
 */
export function adopt(kept, key, slot, ownUrl, { add, run, guarded }) {
  for (const name of Object.keys(kept)) {
    const of = [`${LEFT}${key}:`, `${LEFT}:`].some((prefix) => name.startsWith(prefix))
    if (of && !name.endsWith(slot)) guarded(() => adoptOne(kept, name, ownUrl, add, run))
  }
}

function adoptOne(kept, name, ownUrl, add, run) {
  const [stored, records] = [[], []]
  const keeping = (take) => {
    let keep
    const promise = new Promise((resolve) => (keep = resolve))
    const record = take(keep)
    if (record) records.push(record)
    stored.push(promise)
  }
  let stays = { events: [], calls: [] }
  try {
    const { url = ownUrl, since = [], tried = [], events, calls } = JSON.parse(kept.getItem(name))
    const items = events.map((event, at) => ({ event, since: past(since[at]), tried: tried[at] >>> 0 }))
    const take = ({ event, since, tried }) => keeping((keep) => add(JSON.stringify(event), () => {}, keep, undefined, since, tried))
    const staying = url === ownUrl ? roomless(items, take) : items
    stays = {
      url,
      since: staying.map((it) => it.since),
      tried: staying.map((it) => it.tried),
      events: staying.map((it) => it.event),
      calls: roomless(calls, ({ method, args, time, id }) => {
        const name = /^\w+$/.test(id) ? id : random()
        const told = (answer) => Promise.resolve(answer).catch(console.error)
        keeping((keep) => run(method, JSON.parse(args), moment(time), name, keep, told, past(time)))
      }),
    }
  } finally {
    // Those are still there, so that this page need not leave them once more.
    for (const record of records) record.spilled = true
    // Not before the store has it. What nobody can read goes, too.
    Promise.all(stored).then(() => {
      for (const record of records) record.spilled = false
      storage((kept) => {
        if (stays.events[0] || stays.calls[0]) kept.setItem(name, JSON.stringify(stays))
        else kept.removeItem(name)
      })
    })
  }
}
