// For service workers, which know no dynamic import: the glue is imported with this file, the wasm still by `init`.
import * as glue from './amplitude.js'
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
} = create(() => glue)
