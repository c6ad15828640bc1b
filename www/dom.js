// The few things that every part of the page needs from the document.

export const find = (selector, within = document) => within.querySelector(selector)

/** `element('p', { class: 'note' }, 'text', child)`; functions become listeners, null, undefined and false leave an attribute out. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name)
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === 'function') made.addEventListener(key, value)
    else if (value != null && value !== false) made.setAttribute(key, value === true ? '' : value)
  }
  made.append(...children)
  return made
}

/** A drawing of art.svg; its colours come from the CSS around it. */
export function drawing(name) {
  const space = 'http://www.w3.org/2000/svg'
  const svg = document.createElementNS(space, 'svg')
  const use = document.createElementNS(space, 'use')
  svg.setAttribute('viewBox', '0 0 160 140')
  svg.setAttribute('aria-hidden', 'true')
  use.setAttribute('href', `art.svg#${name}`)
  svg.append(use)
  return svg
}

/** Uses a storage of the browser, where it lets us. */
export function stored(storage, use) {
  try {
    return use(window[storage])
  } catch {
    // Without one, what would be kept lasts as long as the page.
  }
}

const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit', hour12: false })

export const time = (ms) => clock.format(ms)
export const number = (value) => value.toLocaleString('en')
export const plural = (count, one, many = `${one}s`) => `${number(count)} ${count === 1 ? one : many}`

/** JSON of this page's own server, or an error whose message can be shown. */
export async function ask(path, options) {
  const response = await fetch(path, options).catch(() => {
    throw new Error('The demo’s server does not answer. Is “make demo” still running?')
  })
  const answer = await response.json().catch(() => ({}))
  if (!response.ok) throw new Error(answer.error?.message ?? `The demo’s server answers with status ${response.status}.`)
  return answer
}
