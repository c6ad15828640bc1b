// The tabs of an origin: one at a time has the lock and uploads, all hear what the others say.

/** Joins the tabs that share a name. Throws where the browser has no locks or no channels. */
export function join(name, { lead, hear, fail }) {
  const channel = new BroadcastChannel(name)
  channel.onmessage = ({ data }) => hear(data)
  let leave
  const tabs = {
    tell: (message) => channel.postMessage(message),

    /** Has `lead` called once no other tab leads; this one does then until `resign`. */
    stand() {
      const ending = new AbortController()
      const resigned = new Promise((resolve) => {
        leave = () => {
          ending.abort()
          resolve()
        }
      })
      const held = () => {
        lead()
        return resigned
      }
      navigator.locks.request(name, { signal: ending.signal }, held).catch((error) => ending.signal.aborted || fail(error))
    },

    /** Lets another tab lead. */
    resign: () => leave(),
  }
  tabs.stand()
  return tabs
}
