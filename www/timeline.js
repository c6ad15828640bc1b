// Shows the story: the stations with their counts, and one line for each event, newest first.

import { element, find, number, plural, time } from './dom.js'
import { isSettled } from './story.js'

export function startTimeline() {
  const list = find('#story')
  // The line of each entry that is shown.
  const lines = new Map()
  const say = announcer(find('#live'))

  const chip = ({ state, attempts, request }) => (state !== 'sending' ? state : attempts > 1 ? `attempt ${attempts}` : `request ${request.number}`)

  const show = (story, entry) => {
    for (const [name, count] of [...Object.entries(story.counts), ['requests', story.requests]]) {
      const place = find(`#count-${name}`)
      if (place) place.textContent = number(count)
    }
    find('#story-empty').hidden = story.entries.length > 0
    find('#story-hidden').hidden = story.hidden === 0
    find('#story-hidden').textContent = `${plural(story.hidden, 'older event')} no longer shown.`
    find('#ticker-count').textContent = story.pending ? `${number(story.pending)} waiting` : ''
    if (!entry) return

    let line = lines.get(entry)
    if (!line && story.entries.includes(entry)) {
      line = createLine(entry)
      lines.set(entry, line)
      list.prepend(line.item)
    }
    line?.update(entry, chip(entry))
    for (const [old, { item }] of lines) {
      if (lines.size <= story.entries.length) break
      // The oldest were put in first.
      item.remove()
      lines.delete(old)
    }
    find('#ticker-chip').textContent = chip(entry)
    find('#ticker-chip').dataset.state = entry.state
    find('#ticker-text').textContent = entry.title
    if (isSettled(entry) || entry.state === 'refused') say(`${entry.title} ${entry.state}`)
  }

  return { show }
}

function createLine(entry) {
  const chip = element('span', { class: 'chip' })
  const hint = element('span', { class: 'hint' })
  const steps = element('ol', { class: 'steps' })
  const json = element('pre', {}, pretty(entry.event))
  const item = element('li', {},
    element('details', {},
      element('summary', {}, element('span', { class: 'what' }, element('b', {}, entry.title), hint), chip),
      steps,
      entry.event && json))

  const update = (entry, text) => {
    item.dataset.state = entry.state
    chip.dataset.state = entry.state
    chip.textContent = text
    hint.textContent = entry.reason || summary(entry.event)
    // Steps are added, never changed.
    for (const step of entry.steps.slice(steps.children.length)) {
      steps.append(element('li', {}, element('time', {}, time(step.at)), element('span', {}, step.text)))
    }
  }
  return { item, update }
}

/** What one reads of an event without opening it: the product, what changed of the user, or its properties. */
function summary(event) {
  if (!event) return ''
  const { event_type: type, event_properties: properties = {}, user_properties: changes = {}, revenue } = JSON.parse(event)
  const { name, quantity } = properties
  if (name) return [name, quantity > 1 && `${quantity} of them`, revenue && `revenue ${revenue}`].filter(Boolean).join(' · ')
  if (type === '$identify') return Object.entries(changes).map(([operation, values]) => `${operation} ${Object.keys(values).join(', ')}`).join(' · ')
  return Object.entries(properties).map(([name, value]) => `${name} ${value}`).join(' · ')
}

function pretty(event) {
  return event && JSON.stringify(JSON.parse(event), null, 2)
}

/** Says what was settled to those who listen rather than look, a few at a time. */
function announcer(place) {
  let waiting = []
  return (text) => {
    waiting.push(text)
    if (waiting.length > 1) return
    setTimeout(() => {
      place.textContent = waiting.length > 3 ? `${waiting.length} events settled` : waiting.join(', ')
      waiting = []
    }, 800)
  }
}
