// The switch of the line to Amplitude. While it is cut, the demo's server hangs up on every request with events.

import { ask, find } from './dom.js'

const UP = 'Up: requests get through.'
const CUT = 'Cut: requests get no answer. Events wait, and go again by themselves: after a moment, then after twice as long, at most a minute.'

export async function startLine() {
  const control = find('#line')

  const show = ({ up }) => {
    control.setAttribute('aria-checked', String(up))
    find('#line-text').textContent = up ? UP : CUT
    find('#line-text').classList.remove('bad')
    find('#stations').classList.toggle('cut', !up)
  }

  control.addEventListener('click', async () => {
    const up = control.getAttribute('aria-checked') !== 'true'
    try {
      show(await ask('/api/line', { method: 'PUT', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ up }) }))
    } catch (error) {
      find('#line-text').textContent = error.message
      find('#line-text').classList.add('bad')
    }
  })

  show(await ask('/api/line'))
}
