// The page: starts the SDK as any page does, and gives its parts what they need of it.

import { AmplitudeError, Identify, flush, getDeviceId, getSessionId, getUserId, identify, init, reset, setUserId, track } from './pkg/index.js'
import { startAccess } from './access.js'
import { ask, find, number } from './dom.js'
import { startExport } from './export.js'
import { startLine } from './line.js'
import { startPerson } from './person.js'
import { startShop } from './shop.js'
import { createStory } from './story.js'
import { startTimeline } from './timeline.js'

const person = startPerson({ Identify, getDeviceId, getSessionId, getUserId, identify, reset, setUserId })
const timeline = startTimeline()
const story = createStory({
  changed(entry) {
    timeline.show(story, entry)
    person.show()
  },
})
timeline.show(story)

/** Tracks an event; what the SDK refuses is told with the others. */
function tracked(type, properties, fields) {
  track(type, properties, fields).catch((error) => {
    if (!(error instanceof AmplitudeError)) throw error
    story.refuse(type, error)
  })
}

startShop(tracked)
startExport(getDeviceId)

find('#silenced').addEventListener('click', () => {
  tracked('Sensor Reading', { reading: 17 }, { device_id: 'silenced-device' })
})
find('#not-a-number').addEventListener('click', () => tracked('Product Viewed', { product_id: 'mug-tide', price: NaN }))
find('#flush').addEventListener('click', () => flush())

// Calls may come before `init`: the SDK keeps them with their time.
tracked('Shop Opened', { path: location.pathname })

try {
  const { projectKey, amplitude } = await ask('/api/config')
  find('#emulator').href = amplitude
  await init(projectKey, { serverUrl: '/collect', flushIntervalMs: 1200, onProgress: story.apply })
  person.show()
  await startLine()
  await startAccess()
  document.documentElement.dataset.ready = ''
  await showWeight()
} catch (error) {
  find('#trouble').textContent = `The demo cannot start. ${error.message}`
  find('#trouble').hidden = false
  throw error
}

/** What the SDK weighs here, by the files that were loaded. The demo's server sends them as they are; gzip is what other servers send. */
async function showWeight() {
  const files = performance.getEntriesByType('resource').filter(({ name }) => name.startsWith(`${location.origin}/pkg/`))
  let [raw, packed] = [0, 0]
  for (const { name } of files) {
    const content = await (await fetch(name)).blob()
    raw += content.size
    packed += (await new Response(content.stream().pipeThrough(new CompressionStream('gzip'))).blob()).size
  }
  const kilobytes = (bytes) => `${number(Math.round(bytes / 100) / 10)} kB`
  find('#weight').textContent = `The SDK on this page: ${files.length} files, ${kilobytes(packed)} by gzip, ${kilobytes(raw)} without.`
}
