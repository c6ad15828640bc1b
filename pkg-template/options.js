// The options of `init`: each read once, and none left over, because a misspelt one would be ignored in silence.
import { AmplitudeError } from './shared.js'

const HOSTS = { us: 'https://api2.amplitude.com', eu: 'https://api.eu.amplitude.com' }
const PATHS = { httpV2: '/2/httpapi', batch: '/batch' }
const MOST = 0x7fff_ffff

/** Checks the options and gives them their defaults; those that the wasm knows are left to it. */
export function settings(options) {
  const unread = { ...options }
  const refuse = (name, what) => {
    throw new AmplitudeError(`options.${name}: ${what}`)
  }
  const take = (name, good, what, standard) => {
    const value = unread[name]
    delete unread[name]
    if (value === undefined) return standard
    if (!good(value)) refuse(name, `must be ${what}`)
    return value
  }
  const whole = (name, least, most, standard) =>
    take(name, (value) => Number.isInteger(value) && value >= least && value <= most, `a whole number from ${least} to ${most}`, standard)
  const text = (name) => take(name, (value) => typeof value === 'string', 'a string')
  const one = (name, values) => take(name, (value) => values.includes(value), values.map((value) => `"${value}"`).join(' or '), values[0])

  const [region, api] = [one('region', Object.keys(HOSTS)), one('api', Object.keys(PATHS))]
  const proxy = take('proxyReply', isReply, '{ status?, field, value } or { status?, body }')
  if (proxy && unread.serverUrl === undefined) refuse('proxyReply', 'needs serverUrl')
  const queueBytes = whole('queueBytes', 1, MOST, 64_000_000)
  const read = {
    url: address(text('serverUrl') ?? HOSTS[region] + PATHS[api]),
    proxy,
    queueBytes,
    requestTimeoutMs: whole('requestTimeoutMs', 1, MOST, 30_000),
    sessionTimeoutMs: whole('sessionTimeoutMs', 1, MOST, 1_800_000),
    userId: text('userId'),
    deviceId: text('deviceId'),
    plugins: take('plugins', (value) => Array.isArray(value) && value.every((it) => typeof it === 'function'), 'a list of functions', []),
    onProgress: take('onProgress', (value) => typeof value === 'function', 'a function'),
    // In the order in which the constructor in src/npm/mod.rs takes them.
    core: [
      api === 'batch',
      one('longStrings', ['pass', 'refuse']) === 'refuse',
      whole('flushIntervalMs', 0, MOST, -1),
      whole('flushAt', 1, MOST, 0),
      whole('batchEvents', 1, 2000, 0),
      queueBytes,
      whole('minIdLength', 1, 1024, 0),
      whole('maxAgeMs', 1000, Number.MAX_SAFE_INTEGER, 0),
      Math.random(),
    ],
  }
  for (const name of Object.keys(unread)) refuse(name, 'is no option')
  return read
}

/** Whether that says what an own proxy answers. */
function isReply(declared) {
  const { status = 200, field, value, body } = declared ?? {}
  return status >= 200 && status <= 299 && (field ? typeof field === 'string' && ['string', 'boolean', 'number'].includes(typeof value) : typeof body === 'string')
}

/** https, http on this machine, or an address on the page's own origin, whatever that is. */
function address(text) {
  const page = globalThis.location
  let url
  try {
    url = new URL(text, page?.href)
  } catch {
    throw new AmplitudeError('options.serverUrl: is not a URL')
  }
  // A name or what belongs to it, for which no packed file has a word.
  if (/^\w+:\/\/[^/?#]*@/.test(url.href)) throw new AmplitudeError('options.serverUrl: must not hold a user name')
  const near = url.origin === page?.origin || /^(localhost|127(\.\d+){3}|\[::1\])$/.test(url.hostname)
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && near)) {
    throw new AmplitudeError('options.serverUrl: must be https, or http on a loopback address')
  }
  return url.href
}
