// Who the events are of: the ids of user, device and session, and the calls that change them.

import { find, time } from './dom.js'

export function startPerson({ Identify, getDeviceId, getSessionId, getUserId, identify, reset, setUserId }) {
  const note = find('#person-note')
  const plan = find('#plan')

  const show = () => {
    const session = getSessionId()
    find('#user-id').textContent = getUserId() ?? 'nobody is signed in'
    find('#device-id').textContent = getDeviceId() ?? '…'
    find('#session-id').textContent = session ? `${session}, since ${time(session)}` : 'begins with the first event'
  }

  // Nobody waits for the outcome, which may come much later; a refusal comes at once.
  const changed = (operations) => {
    identify(operations).catch((error) => (note.textContent = error.message))
  }

  // Says what the SDK refuses, such as an id that is too short.
  const attempt = async (call) => {
    note.textContent = ''
    try {
      await call()
    } catch (error) {
      note.textContent = error.message
    }
    show()
  }

  find('#sign-in').addEventListener('submit', (submitted) => {
    submitted.preventDefault()
    const input = find('#user-input')
    attempt(async () => {
      await setUserId(input.value.trim())
      input.value = ''
      changed(new Identify().setOnce('first_signed_in', new Date()))
    })
  })

  plan.addEventListener('change', () => {
    changed(plan.value ? new Identify().set('plan', plan.value) : new Identify().unset('plan'))
  })

  find('#reset').addEventListener('click', () => {
    plan.value = ''
    attempt(reset)
  })

  return { show }
}
