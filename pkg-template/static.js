// For service workers, which know no dynamic import: the client is imported with this file, the wasm still by `init`.
import * as client from './client.js'
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
  getUserId,
  getDeviceId,
  getSessionId,
} = create(() => client)
