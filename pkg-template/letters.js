// Dead letters: events that were refused or given up, kept for somebody to look at, mend and send again. This lists, removes and replays them, and a
// page loads it when one of that is asked for; writer.js and store.js keep them, so that none depends on what can be loaded.
import { AmplitudeError, random, snapshot } from './loader.js'

const decoder = new TextDecoder()
// In memory they have keys while the page is there.
let count = 0

/** What each does has one kind of error, and nobody who does not wait for it misses that. */
const guarded = (call, act) => async (client, ...args) => {
  try {
    return await act(client, ...args)
  } catch (error) {
    const told = error instanceof AmplitudeError ? error : new AmplitudeError(`${call}: ${error?.message ?? error}`, 'store')
    console.error(told)
    throw told
  }
}

/** All of them, the oldest first. */
export const deadLetters = guarded('deadLetters', async ({ line, notice }) => {
  const { store, unstored } = await line.letters()
  const stored = store ? (await store.transact('readonly', (_, marks) => [marks.getAll(IDBKeyRange.upperBound(Infinity))]))[0] : []
  for (const it of unstored) it.key ??= --count
  const letters = []
  let broken = 0
  for (const { key, event, outcome, givenUpMs } of [...stored, ...unstored]) {
    try {
      // The store gives a key again where the last letters are gone.
      letters.push({ key: `${givenUpMs}:${key}`, outcome, givenUpMs, event: JSON.parse(decoder.decode(event)) })
    } catch {
      broken++
    }
  }
  // Somebody else wrote into the database, and the bound takes them in time.
  if (broken) notice(`${broken} dead letters are not JSON`)
  return letters
})

/** Removes one; if it is gone, it is. */
export const discard = guarded('discard', ({ line }, letter) => remove(line, checked('discard', letter)))

/** Tracks its event again, as it was or mended; then removes it. */
export const replay = guarded('replay', async ({ line, notice, progress, keep }, letter, mended) => {
  const { event } = checked('replay', letter)
  const given = mended ?? event
  if (typeof given !== 'object' || Array.isArray(given)) throw new AmplitudeError('replay: needs an event')
  // It has the ids of its time; nothing of now is added.
  const text = snapshot('replay', { time: Date.now(), insert_id: event.insert_id ?? random(), ...given })
  let [settle, told] = []
  const outcome = new Promise((resolve) => (settle = resolve))
  const stored = new Promise((resolve) => (told = resolve))
  const { number } = line.add(text, settle, told)
  progress?.({ type: 'queued', ids: [number], method: 'replay', event: text })
  keep(await stored)
  try {
    await remove(line, letter)
  } catch (error) {
    notice(`the dead letter of an event that was replayed stays: ${error?.message ?? error}`)
  }
  return outcome
})

async function remove(line, letter) {
  const { store, unstored } = await line.letters()
  const [givenUpMs, key] = letter.key.split(':').map(Number)
  const isMeant = (it) => it?.key === key && it.givenUpMs === givenUpMs
  const at = unstored.findIndex(isMeant)
  if (at >= 0) unstored.splice(at, 1)
  else if (store && key > 0) {
    await store.transact('readwrite', (_, marks) => {
      const found = marks.get(key)
      found.onsuccess = () => isMeant(found.result) && marks.delete(key)
      return [found]
    })
  }
}

function checked(call, letter) {
  if (typeof letter?.key !== 'string' || typeof letter.event !== 'object' || !letter.event) {
    throw new AmplitudeError(`${call}: needs a letter of deadLetters`)
  }
  return letter
}
