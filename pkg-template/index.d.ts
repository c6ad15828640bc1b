/** What JSON can hold. Numbers must be finite. */
export type Json = string | number | boolean | null | Date | readonly Json[] | { readonly [key: string]: Json }

/** At most 1000 keys, nested at most 40 deep. */
export type Properties = { readonly [key: string]: Json }

/** The fields of an event, named as Amplitude's HTTP V2 API names them. */
export interface EventFields {
  /** A stable id of 5 to 1024 characters. Default: what `setUserId` set. */
  user_id?: string
  /** An id of 5 to 1024 characters. Default: a random one that stays in the browser. */
  device_id?: string
  /** Milliseconds since 1970. Default: when the call was made. */
  time?: number
  /** Amplitude ignores a second event of a device with the same id for seven days. Default: random. */
  insert_id?: string
  /** The session's start in milliseconds since 1970, -1 outside of sessions. Default: the current session. */
  session_id?: number
  /** Tells the order of events with the same time. */
  event_id?: number
  event_properties?: Properties
  user_properties?: Properties
  /** At most 5 types and 10 groups. */
  groups?: { readonly [type: string]: string | readonly string[] }
  group_properties?: Properties
  $skip_user_properties_sync?: boolean
  /** Default: the browser's. */
  user_agent?: string
  app_version?: string
  /** Default: `"Web"`. */
  platform?: string
  os_name?: string
  os_version?: string
  device_brand?: string
  device_manufacturer?: string
  device_model?: string
  carrier?: string
  country?: string
  region?: string
  city?: string
  dma?: string
  /** Default: the browser's. */
  language?: string
  price?: number
  quantity?: number
  revenue?: number
  productId?: string
  revenueType?: string
  /** Three upper-case letters (ISO 4217). */
  currency?: string
  /** -90 to 90. */
  location_lat?: number
  /** -180 to 180. */
  location_lng?: number
  /** Default: `"$remote"`, the address that the request comes from. */
  ip?: string
  idfa?: string
  idfv?: string
  adid?: string
  android_id?: string
  android_app_set_id?: string
  plan?: { branch?: string; source?: string; version?: string; versionId?: string }
  ingestion_metadata?: { source_name?: string; source_version?: string }
  partner_id?: string
  /** Default: this package and its version. */
  library?: string
  version_name?: string
}

/** An event with its type. */
export interface Event extends EventFields {
  event_type: string
}

/** What became of an event, for good. */
export interface Outcome {
  status: 'delivered' | 'rejected' | 'dropped' | 'unknown'
  /** Why it was not delivered. */
  reason?: string
}

/** The outcome of an event, and before it whether the event is safe. */
export interface Tracked extends Promise<Outcome> {
  /**
   * True once the event is in IndexedDB, from where this page, another tab or a later page delivers it; also for one that was settled sooner.
   * False where it only waits in memory, because the browser has no IndexedDB, no Web Locks or no room: what waits when the page ends is then
   * left in localStorage. False, too, for a call that was refused. Never rejects.
   */
  readonly stored: Promise<boolean>
}

/** What became of the events that a flush covers; `pending` ones were not settled in time and are still on their way. */
export interface Report {
  delivered: number
  rejected: number
  dropped: number
  unknown: number
  pending: number
}

/**
 * A step on the way of events. `ids` are numbers of this page; `event` is the event as JSON. Of the tabs of an origin one sends for all: `sending`
 * is told there, and what other tabs or earlier pages left has numbers there, too.
 */
export type Progress =
  | { type: 'queued'; ids: number[]; method: string; event: string }
  | { type: 'sending'; ids: number[] }
  | ({ type: 'settled'; ids: number[] } & Outcome)
  | { type: 'notice'; text: string }

/** The options of `init`. One that is not listed here is refused. */
export interface Options {
  /** Where the project was made. Default: `"us"`. */
  region?: 'us' | 'eu'
  /** The full ingestion URL of an own proxy; https, http on loopback, or a path on the page's own origin. */
  serverUrl?: string
  /**
   * What the proxy at `serverUrl` answers once it has the events, where that is not Amplitude's own answer: with this status (default: any of 200 to
   * 299) a JSON object that holds at least this field, or exactly this text but for white space around it. Default: only Amplitude's answer counts.
   */
  proxyReply?: { status?: number; field: string; value: string | number | boolean } | { status?: number; body: string }
  /** As by `setUserId`. Default: what the last page had. */
  userId?: string
  /** As by `setDeviceId`. Default: what the last page had, or a random id. */
  deviceId?: string
  /** `"batch"` takes 20 MB a request and shows data later. Default: `"httpV2"`. */
  api?: 'httpV2' | 'batch'
  /** What happens to strings of more than 1024 UTF-16 code units, which Amplitude shortens. Default: `"pass"`. */
  longStrings?: 'pass' | 'refuse'
  /** How long an event waits for others, in milliseconds. Default: 1000. */
  flushIntervalMs?: number
  /** How many waiting events are sent without waiting longer, at most `batchEvents`. Default: 200. */
  flushAt?: number
  /** The most events of one request, 1 to 2000. Default: 2000. */
  batchEvents?: number
  /** The bytes of events, as JSON, that may be pending, stored ones included; beyond them calls reject with kind `full`. Default: 64,000,000. */
  queueBytes?: number
  /**
   * How long an event may wait, stored or not, before it ends as `dropped` because it expired, in milliseconds, at least 1000. One that
   * was sent and may have arrived does not expire. Default: for ever.
   */
  maxAgeMs?: number
  /** The least characters of a user or device id, 1 to 1024. Default: Amplitude's 5. */
  minIdLength?: number
  /** From a request's start to the end of its answer, in milliseconds. Default: 30,000. */
  requestTimeoutMs?: number
  /** The silence that ends a session, in milliseconds. Default: 1,800,000. */
  sessionTimeoutMs?: number
  /** Each sees every event and answers with it, changed or not, or with `null` to drop it. One that throws is reported and skipped. */
  plugins?: readonly ((event: Event) => Event | null)[]
  /** Follows events on their way, to show it. */
  onProgress?: (step: Progress) => void
  /** Refused: this package takes the project's API key alone. */
  secretKey?: never
}

/** Every error of this package. */
export class AmplitudeError extends Error {
  name: 'AmplitudeError'
  /**
   * `full`: the queue has no room; `transport`: the wasm, or the part for dead letters, cannot be loaded. Both are retryable. `store`: IndexedDB
   * failed.
   */
  kind: 'invalid' | 'full' | 'too_large' | 'transport' | 'store'
  retryable: boolean
}

/** Changes of a user's or a group's properties. One for each property: Amplitude does not say which of two would win. */
export class Identify {
  set(key: string, value: Json): this
  setOnce(key: string, value: Json): this
  add(key: string, value: number): this
  append(key: string, value: Json): this
  prepend(key: string, value: Json): this
  preInsert(key: string, value: Json): this
  postInsert(key: string, value: Json): this
  remove(key: string, value: Json): this
  unset(key: string): this
  /** Removes all properties; stands alone. */
  clearAll(): this
}

/** The operations of an `Identify` as an object: `{ $set: { plan: 'pro' } }`. */
export type Operations = Identify | { readonly [operation: `$${string}`]: Properties | string }

/** Revenue of one kind of product; a price or a revenue must be there. */
export interface Revenue {
  price?: number
  /** Default: 1. */
  quantity?: number
  revenue?: number
  productId?: string
  revenueType?: string
  currency?: string
  receipt?: string
  receiptSig?: string
  properties?: Properties
}

/**
 * Loads the wasm and starts. All other calls may come before it: they wait, as they were made and when they were made.
 * Rejects with an `AmplitudeError` for a wrong key or option.
 */
export function init(projectKey: string, options?: Options): Promise<void>
/** Tracks an event. Resolves with what became of it; rejects when the event breaks a limit. Nobody has to wait for it. */
export function track(type: string, properties?: Properties, fields?: EventFields): Tracked
export function track(event: Event): Tracked
/** Changes the user's properties. */
export function identify(operations: Operations): Tracked
/** Changes the properties of a group, or of several of one type. */
export function groupIdentify(type: string, name: string | readonly string[], operations: Operations): Tracked
/** Puts the user into a group. */
export function setGroup(type: string, name: string | readonly string[]): Tracked
/** Tracks revenue. */
export function revenue(revenue: Revenue): Tracked
/** Sets the user's id, of 5 to 1024 characters, for all later events; without one it is forgotten. Stays in the browser. */
export function setUserId(id?: string | null): Promise<void>
/** Sets the device's id, of 5 to 1024 characters, for all later events. Stays in the browser. */
export function setDeviceId(id: string): Promise<void>
/** Forgets the user and becomes a new device. */
export function reset(): Promise<void>
/**
 * Sends what waits; resolves when everything that this page tracked before is settled, or after `deadlineMs` milliseconds (default 30,000). Before
 * `init` is done it waits for that first. In service workers and on edge runtimes: `event.waitUntil(flush())`.
 */
export function flush(deadlineMs?: number): Promise<Report>

/** An event that was rejected, that waited longer than `maxAgeMs`, or of which nobody knows whether it arrived. */
export interface DeadLetter {
  /** By which `replay` and `discard` know the letter; no two have the same. */
  readonly key: string
  /** What became of the event, and why. */
  readonly outcome: Outcome
  /** When it was given up, in milliseconds since 1970. */
  readonly givenUpMs: number
  /** As it was sent, with its time and its insert id. */
  readonly event: Event
}

/**
 * The dead letters of the project and server, the oldest first: of all pages and tabs of the origin the newest 16 MB, in IndexedDB. Where that is
 * missing or has no room, those of this page, in memory. This, `replay` and `discard` load a part of their own first, and reject with kind
 * `transport` where it cannot be loaded; the letters are kept without it.
 */
export function deadLetters(): Promise<DeadLetter[]>
/**
 * Tracks a dead letter's event again, as it was or mended, and removes the letter once the event is stored. When it rejects, the letter stays.
 * Plugins do not see the event again, and no id of now is added to it. It keeps its insert id, so that Amplitude, which remembers these for seven
 * days, takes it once; what is older and `unknown` may be counted twice. A `flush` covers it from when its `stored` has resolved.
 */
export function replay(letter: DeadLetter, event?: Event): Tracked
/** Removes a dead letter. */
export function discard(letter: DeadLetter): Promise<void>
/** `undefined` before `init` is done. */
export function getUserId(): string | undefined
/** `undefined` before `init` is done. */
export function getDeviceId(): string | undefined
/** The session's start in milliseconds since 1970; `undefined` before the first event. */
export function getSessionId(): number | undefined
