// Asks the demo's server what the Export API returns, and shows it.

import { ask, element, find, number, plural } from './dom.js'

/** So many rows are shown without being asked for. */
const FIRST_ROWS = 12

export function startExport(getDeviceId) {
  const button = find('#export-now')
  const note = find('#export-note')
  const all = find('#export-all')
  let events = []

  const showRows = (count) => {
    find('#export-rows').replaceChildren(...events.slice(0, count).map((event) => row(event, getDeviceId())))
    find('#export-table').hidden = events.length === 0
    all.hidden = events.length <= count
    all.textContent = `Show all ${number(events.length)}`
  }

  const show = ({ outcome, total, unreadable, ...answer }) => {
    events = answer.events
    const own = events.filter((event) => event.device_id === getDeviceId()).length
    const of = total > events.length ? `; of the newest ${number(events.length)}, ${number(own)} are from this device.` : `, ${number(own)} of them from this device.`
    note.textContent =
      outcome === 'no_data'
        ? 'The server answers that there is no event in the last 24 hours.'
        : `${plural(total, 'event')} in the last 24 hours${of}`
    find('#export-unread').hidden = unreadable.length === 0
    find('#export-unread').textContent = `Could not be read: ${unreadable.join('; ')}`
    showRows(FIRST_ROWS)
  }

  all.addEventListener('click', () => showRows(events.length))
  button.addEventListener('click', async () => {
    button.disabled = true
    note.classList.remove('bad')
    note.textContent = 'Asking…'
    try {
      show(await ask('/api/export'))
    } catch (error) {
      note.classList.add('bad')
      note.textContent = error.message
    } finally {
      button.disabled = false
    }
  })
}

function row(event, device) {
  const cell = (label, text, attributes) => element('td', { 'data-label': label, ...attributes }, text)
  const properties = Object.entries(event.event_properties ?? {}).map(([name, value]) => `${name}: ${typeof value === 'string' ? value : JSON.stringify(value)}`)
  return element('tr', { 'data-insert-id': event.insert_id },
    cell('Time (UTC)', (event.event_time ?? '').slice(11, 19), { title: event.event_time }),
    cell('Event', event.event_type, { class: 'event' }),
    cell('User', event.user_id ?? '–', { class: 'id', title: event.user_id }),
    cell('Device', event.device_id === device ? 'this one' : event.device_id ?? '–', { class: 'id', title: event.device_id }),
    cell('Properties', properties.join(' · ') || '–', { class: 'properties' }))
}
