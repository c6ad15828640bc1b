// For service workers, which know no dynamic import: all is imported with this file, the wasm still by `init`.
import * as client from './client.js'
import * as letters from './letters.js'
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
  () => client,
  async () => letters,
)
