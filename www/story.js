// What became of each event so far, told by the SDK's progress. A model without a page; timeline.js shows it.

const NAMES = { identify: 'Identify', groupIdentify: 'Group Identify', setGroup: 'Group set', revenue: 'Revenue' }
const SETTLED = ['delivered', 'rejected', 'dropped', 'unknown']

/**
 * `most` bounds the entries that are kept to be shown, not the events that are followed. `changed(entry)` is called with each entry
 * that is new or another than before.
 */
export function createStory({ most = 60, now = Date.now, changed = () => {} } = {}) {
  // The newest first.
  const entries = []
  const onTheWay = new Map()
  const counts = { queued: 0, sending: 0, delivered: 0, rejected: 0, dropped: 0, unknown: 0, refused: 0 }
  let requests = 0
  let told = 0

  const add = (entry) => {
    entries.unshift({ number: ++told, state: 'note', reason: '', steps: [], attempts: 0, request: undefined, ...entry })
    if (entries.length > most) entries.pop()
    return entries[0]
  }

  const move = (entry, state, text, reason = '') => {
    if (entry.state in counts) counts[entry.state] -= 1
    counts[state] += 1
    Object.assign(entry, { state, reason })
    entry.steps.push({ at: now(), text })
    changed(entry)
  }

  const follow = (id, entry) => {
    onTheWay.set(id, add(entry))
    return onTheWay.get(id)
  }

  // The SDK gives a number to what an earlier page left, too, and tells nothing else of it.
  const find = (id) => onTheWay.get(id) ?? follow(id, { title: 'Left by an earlier page', event: '' })

  const queued = ({ ids: [id], method, event }) => {
    const entry = follow(id, { title: title(method, event), event })
    move(entry, 'queued', 'queued in this page')
  }

  const sending = ({ ids }) => {
    const request = { number: ++requests, refused: false }
    const others = ids.length === 1 ? '' : ids.length === 2 ? ', with one other event' : `, with ${ids.length - 1} other events`
    for (const id of ids) {
      const entry = find(id)
      const before = entry.request
      const why = before && `request ${before.number} ${before.refused ? 'was refused because of another event' : 'did not get through'}; again `
      entry.request = request
      entry.attempts += 1
      move(entry, 'sending', `${why ?? ''}in request ${request.number}${others}`)
    }
  }

  const settled = ({ ids, status, reason }) => {
    for (const id of ids) {
      const entry = find(id)
      onTheWay.delete(id)
      if (entry.request && status === 'rejected') entry.request.refused = true
      move(entry, status, reason ? `${status}: ${reason}` : status, reason)
    }
  }

  const tell = { queued, sending, settled, notice: ({ text }) => changed(add({ title: text, event: '' })) }

  return {
    entries,
    counts,
    /** How many entries are too old to be kept. */
    get hidden() {
      return told - entries.length
    },
    get requests() {
      return requests
    },
    get pending() {
      return counts.queued + counts.sending
    },
    apply: (step) => tell[step.type]?.(step),
    /** A call that the SDK refused before it became an event. */
    refuse: (title, error) => move(add({ title, event: '' }), 'refused', `refused in this page: ${error.message}`, error.message),
  }
}

export const isSettled = (entry) => SETTLED.includes(entry.state)

function title(method, event) {
  return NAMES[method] ?? String(JSON.parse(event).event_type)
}
