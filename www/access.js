// Delegated access: what a program without the secret key asks for, what it was granted, and what becomes of its tokens. The demo's server
// holds them; this page is told of them in words.

import { ask, element, find, number, plural, time } from './dom.js'

const post = (path, body = {}) =>
  ask(path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })

const FORGOTTEN = 'The demo’s server does not know you any more: it was started anew, and has forgotten what you allowed. Ask again.'

export async function startAccess() {
  const note = find('#access-note')
  const result = find('#access-result')
  const life = startLife()
  let meanings = new Map()
  let program = ''

  const show = (view) => {
    program = view.application
    const { grant, timeline } = view
    const alive = grant?.token
    say(note, view.note ?? (view.forgotten ? { tone: 'bad', text: FORGOTTEN } : grant && !alive ? over() : undefined))
    if (!meanings.size) {
      meanings = new Map(view.offers.map(({ scope, meaning }) => [scope, meaning]))
      find('#ask-scopes').replaceChildren(...view.offers.map(offer))
    }
    find('#ask').hidden = Boolean(alive)
    find('#grant').hidden = !alive
    if (alive) {
      find('#grant-scopes').replaceChildren(...asked(grant, meanings))
      find('#token-print').textContent = alive.fingerprint
      find('#token-refreshes').textContent = alive.refreshes ? times(alive.refreshes) : alive.refreshable ? 'not yet' : 'never: offline access was not granted'
    }
    life.show(alive)
    find('#told').replaceChildren(...timeline.map((entry) => told(entry, program)))
    find('#told-empty').hidden = timeline.length > 0
  }

  const over = () => ({ tone: 'bad', text: `What you allowed is over: ${program} has no token any more. Ask again.` })

  const update = async () => {
    try {
      show(await ask('/access'))
    } catch (error) {
      say(note, { tone: 'bad', text: sentence(error.message) })
    }
  }

  /** Runs a step of the story, with no other one meanwhile; `did` says what came of it. */
  const step = (button, place, run) =>
    button.addEventListener('click', async (click) => {
      click.preventDefault()
      const buttons = document.querySelectorAll('#access button')
      for (const it of buttons) it.disabled = true
      say(place, { tone: 'soft', text: 'Asking…' })
      let outcome
      try {
        outcome = { tone: 'good', ...(await run()) }
      } catch (error) {
        outcome = { tone: 'bad', text: sentence(error.message) }
      }
      await update()
      if (outcome.text !== undefined) say(place, outcome)
      for (const it of buttons) it.disabled = false
      // A button that is gone takes the focus along.
      if (button.closest('[hidden]')) find('#access-title').focus()
      else button.focus()
    })

  step(find('#ask-now'), note, async () => {
    const scopes = [...find('#ask').elements].filter((it) => it.checked).map((it) => it.value)
    const { url } = await post('/access/ask', { scopes })
    location.assign(url)
    return { tone: 'soft', text: 'Going to the consent page…' }
  })
  step(find('#read-events'), result, async () => ({ text: read(await post('/access/events')) }))
  step(find('#look-up'), result, async () => {
    const { login, organization } = await post('/access/account')
    return { text: `The token acts for ${login ?? 'nobody in particular'}, of ${organization ?? 'an organization without a name'}.` }
  })
  step(find('#refresh-now'), result, async () => {
    await post('/access/refresh')
    return { text: 'A newer token took the old one’s place.' }
  })
  step(find('#revoke'), note, async () => {
    await post('/access/revoke')
    say(result)
    // The server's own words are in the view.
    return {}
  })

  // The browser may show the page as it was left for the consent page.
  window.addEventListener('pageshow', (shown) => {
    if (!shown.persisted) return
    for (const it of document.querySelectorAll('#access button')) it.disabled = false
    update()
  })

  await update()
  // Back from the consent page: all above has its place by now.
  if (location.hash === '#access') {
    find('#access').scrollIntoView({ behavior: 'instant' })
    find('#access-title').focus({ preventScroll: true })
  }
}

function say(place, { tone = '', text = '' } = {}) {
  place.className = `outcome ${tone}`
  place.textContent = text
}

function read({ total, kinds, unreadable }) {
  const parts = Object.entries(kinds).sort(([, one], [, other]) => other - one).map(([kind, count]) => `${kind} ${number(count)}`)
  const unread = unreadable.length ? ` Could not be read: ${unreadable.join('; ')}.` : ''
  return `${plural(total, 'event')} of the last 24 hours, read with the bearer alone: no secret key was involved.${parts.length ? ` ${parts.join(' · ')}.` : ''}${unread}`
}

const offer = ({ scope, meaning }) =>
  element('li', {},
    element('label', {},
      element('input', { type: 'checkbox', name: 'scope', value: scope, checked: true }),
      element('span', { class: 'what' }, meaning, element('code', {}, scope))))

const times = (count) => (count === 1 ? 'once' : `${number(count)} times`)

/** What was asked for, in the order of the offers. */
function asked({ scopes }, meanings) {
  return [...meanings].flatMap(([name, meaning]) => {
    const found = scopes.find(({ scope }) => scope === name)
    if (!found) return []
    const { granted, used } = found
    return element('li', { 'data-scope': name, 'data-state': granted ? 'delivered' : 'rejected' },
      element('span', { class: 'what' }, meaning, element('code', {}, name)),
      element('span', { class: 'outcome-of' },
        element('span', { class: 'chip' }, granted ? 'granted' : 'not granted'),
        granted ? element('span', { class: 'soft' }, used ? `used ${times(used)}` : 'not used so far') : ''))
  })
}

/** An error's message as a sentence. */
const sentence = (text) => `${text[0].toUpperCase()}${text.slice(1)}${/[.?!]$/.test(text) ? '' : '.'}`

const TONES = { good: 'delivered', bad: 'rejected', busy: 'sending', note: 'queued' }

const told = ({ at, event, tone, text }, program) =>
  element('li', { 'data-event': event, 'data-state': TONES[tone] },
    element('span', { class: 'who' }, element('time', {}, time(at)), element('span', { class: 'chip' }, event.replaceAll('_', ' ') || program)),
    element('p', {}, text))

/** Counts the token's life down. */
function startLife() {
  const bar = find('#life')
  const text = find('#token-life')
  let [ends, lifetime, refreshable] = []

  const tick = () => {
    if (ends === undefined) return
    const left = Math.max(0, Math.ceil((ends - performance.now()) / 1000))
    bar.max = lifetime
    bar.value = left
    find('#token-ends').textContent = left ? 'Expires' : 'Expired'
    text.textContent = left
      ? `in ${Math.floor(left / 60)}:${String(left % 60).padStart(2, '0')}`
      : refreshable ? 'the next call gets a newer one first' : 'nothing renews it: revoke, and ask again'
  }
  setInterval(tick, 500)

  const show = (token) => {
    ends = token?.expires_in_ms == null ? undefined : performance.now() + token.expires_in_ms
    lifetime = token?.lifetime_s
    refreshable = token?.refreshable
    bar.hidden = ends === undefined
    if (token && ends === undefined) text.textContent = 'when the server says so'
    tick()
  }

  return { show }
}
