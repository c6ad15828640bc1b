// The package's entry: the rest is loaded by a dynamic import when `init` is called. Nothing happens when this is imported.
import { create } from './loader.js'

export { AmplitudeError, Identify } from './loader.js'
export const {
  init,
  track,
  identify,
  groupIdentify,
  setGroup,
  revenue,
  setUserId,
  setDeviceId,
  reset,
  flush,
  deadLetters,
  replay,
  discard,
  getUserId,
  getDeviceId,
  getSessionId,
} = create(
  () => import('./client.js'),
  () => import('./letters.js'),
)
