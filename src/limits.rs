//! Every number that Amplitude documents, once, with its source.
//!
//! Sources, all under `amplitude.com/docs`, as read on 2026-03-13 unless stated: (V2) HTTP V2 API, (Batch) Batch Event
//! Upload API, (Limits) Limits, (Export) Export API, (Group) Group Identify API, (Cohorts)
//! Behavioral Cohorts API. (SDK) marks what Amplitude's own SDKs
//! enforce and no page states.

/// Events in one request. (V2) (Batch)
pub const BATCH_EVENTS: usize = 2000;
/// Bytes of one HTTP V2 request's body, before compression. (V2)
pub const HTTP_V2_BYTES: usize = 1_000_000;
/// Bytes of one Batch request's body, before compression. (Batch)
pub const BATCH_BYTES: usize = 20_000_000;
/// Nesting of an object of properties. (V2)
pub const DEPTH: usize = 40;
/// Keys of one object of properties. 1000 by the JavaScript SDK, 1024 by the Python SDK: the stricter one. (SDK)
pub const KEYS: usize = 1000;
/// Characters of a string before Amplitude shortens it, counted as UTF-16 code units. (Limits)
pub const STRING_CHARS: usize = 1024;
/// Characters of a user or device id at most. (V2)
pub const ID_CHARS: usize = 1024;
/// Characters of a user or device id at least, unless `options.min_id_length` says otherwise. (V2)
pub const MIN_ID_CHARS: usize = 5;
/// Group types of one event; Amplitude ignores more. (V2)
pub const GROUP_TYPES: usize = 5;
/// Groups of one event, all types together; Amplitude ignores more. (V2)
pub const GROUPS: usize = 10;
/// Days for which a repeated `insert_id` of one device is ignored. (V2)
pub const DEDUP_DAYS: u64 = 7;
/// Seconds that a throttled user or device waits on HTTP V2. (V2)
pub const THROTTLE_WAIT_SECS: u64 = 30;
/// Events a second of one user or device on HTTP V2, averaged over a recent window. (V2)
pub const HTTP_V2_EPS: u64 = 30;
/// Events a second of one user or device on Batch, averaged over [`THROTTLE_WINDOW_SECS`]. (Batch)
pub const BATCH_EPS: u64 = 1000;
/// Seconds over which a rate is averaged. (Batch)
pub const THROTTLE_WINDOW_SECS: u64 = 30;
/// Events of one user or device in 24 hours on Batch, counted once the id sent too fast. (Batch)
pub const DAILY_QUOTA: u64 = 500_000;
/// Group identifies of one Group Identify request, and group properties of one. (Group)
pub const GROUP_IDENTIFIES: usize = 1024;
/// Bytes of one Group Identify request. (Group)
pub const GROUP_IDENTIFY_BYTES: usize = 1_000_000;
/// Ids that Amplitude refuses, compared without case. (V2)
pub const FORBIDDEN_IDS: &[&str] = &[
    "anonymous",
    "nil",
    "none",
    "null",
    "n/a",
    "na",
    "undefined",
    "unknown",
    "",
    "00000000-0000-0000-0000-000000000000",
    "{}",
    "lmy47d",
    "0",
    "-1",
];
/// Event types that Amplitude keeps for itself. (V2)
pub const RESERVED_EVENT_TYPES: &[&str] = &[
    "[Amplitude] Start Session",
    "[Amplitude] End Session",
    "[Amplitude] Revenue",
    "[Amplitude] Revenue (Verified)",
    "[Amplitude] Revenue (Unverified)",
    "[Amplitude] Merged User",
];
/// Days of one export's range. (Export)
pub const EXPORT_DAYS: u64 = 365;
/// Ids in one request that makes or changes a cohort. (Cohorts)
pub const COHORT_IDS: usize = 100_000;
/// Bytes of one export. (Export)
pub const EXPORT_BYTES: u64 = 4_000_000_000;
