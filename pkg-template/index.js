// The package's entry: the wasm is loaded by a dynamic import when `init` is called. Nothing happens when this is imported.
import { create } from './core.js'

export { AmplitudeError, Identify } from './core.js'
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
  getUserId,
  getDeviceId,
  getSessionId,
} = create(() => import('./amplitude.js'))
