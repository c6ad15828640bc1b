//! What the pipeline and those around it tell each other: records and their numbers in, actions out, answers in. No action is waited for; a
//! store or a network answers when it can, and in any order.

use super::{Backoff, Failure, Outcome, ProxyReply, Reply, planted};
use crate::{Error, ErrorKind};

/// A record's number, rising with the order of `track`.
pub(crate) type RecordId = u64;

/// A batch's number.
pub(crate) type BatchId = u64;

/// The time, twice: one clock that only runs forward for waiting, and the wall clock for ages.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Now {
    pub(crate) mono_ms: u64,
    pub(crate) unix_ms: u64,
}

/// What the pipeline must know of a record: its ids' hashes and its size.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Header {
    pub(crate) user: Option<u64>,
    pub(crate) device: Option<u64>,
    pub(crate) bytes: u32,
    /// When it was tracked, in seconds since 1970.
    pub(crate) tracked_secs: u32,
    /// When the first attempt was made that the server may have taken, in seconds since 1970; 0: there was none.
    pub(crate) first_attempt: u32,
}

impl Header {
    /// What keeps its order: the device, without one the user.
    pub(crate) fn lane(&self) -> u64 {
        self.device.or(self.user).unwrap_or_default()
    }
}

#[derive(Clone, Debug)]
pub(crate) struct PipelineConfig {
    pub(crate) batch_events: usize,
    pub(crate) bounds: Bounds,
    pub(crate) flush_interval_ms: u64,
    pub(crate) flush_events: usize,
    pub(crate) flush_bytes: usize,
    pub(crate) max_in_flight: usize,
    /// The age in seconds at which an event is given up.
    pub(crate) max_age_secs: u32,
    /// Whether the store notes attempts.
    pub(crate) notes_attempts: bool,
    pub(crate) backoff: Backoff,
    /// What an own proxy answers in place of Amplitude.
    pub(crate) proxy_reply: Option<ProxyReply>,
}

/// Failures in a row, and until when nothing is sent because of them: what the next process or page must know, so that it does not begin
/// with a further request to a server that is down.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Outage {
    /// 0: there is none.
    pub(crate) failures: u32,
    /// In milliseconds since 1970.
    pub(crate) until_ms: u64,
}

/// How large things may be, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// A whole request, envelope included.
    pub(crate) batch: usize,
    pub(crate) envelope: usize,
    /// All that is not settled.
    pub(crate) queue: usize,
}

impl Bounds {
    /// Whether a record may come to those that are queued, and leave as many bytes free as `keep`.
    pub(crate) fn check(&self, bytes: usize, queued: usize, keep: usize) -> Result<(), Refusal> {
        let limit = self.queue.min(self.batch.saturating_sub(self.envelope));
        if bytes > limit {
            return Err(Refusal::TooLarge { limit: self.queue.min(self.batch) });
        }
        if self.fit(queued.saturating_add(bytes).saturating_add(keep)) { Ok(()) } else { Err(Refusal::Full) }
    }

    /// Whether the queue may hold that much.
    pub(crate) fn fit(&self, queued: usize) -> bool {
        queued <= self.queue || planted("the queue has no bound")
    }
}

/// How many records, or bytes of them, are worth waking the driver for: what is sooner than it would wake by itself.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wants {
    pub(crate) records: usize,
    pub(crate) bytes: usize,
}

impl Wants {
    pub(crate) const NOTHING: Self = Self { records: usize::MAX, bytes: usize::MAX };
    pub(crate) const ANYTHING: Self = Self { records: 1, bytes: usize::MAX };

    pub(crate) fn are_met(self, records: usize, bytes: usize) -> bool {
        records >= self.records || bytes >= self.bytes
    }
}

/// Why an offer was refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Refusal {
    /// The queue is at its bound.
    Full,
    /// The record fits into no request, or into no queue.
    TooLarge { limit: usize },
}

impl Refusal {
    pub(crate) fn into_error(self, bytes: usize) -> Error {
        match self {
            Self::Full => Error::full(bytes),
            Self::TooLarge { limit } => Error::new(
                ErrorKind::TooLarge,
                [
                    "event: its ",
                    &crate::json::decimal(bytes as u64),
                    " bytes of JSON fit into no request, or no queue, of ",
                    &crate::json::decimal(limit as u64),
                    " bytes",
                ]
                .concat(),
            ),
        }
    }
}

/// What the driver tells.
#[derive(Debug)]
pub(crate) enum Input {
    /// The body of the batch is complete.
    Loaded { batch: BatchId },
    /// The store could not load the batch's records now; those in `lost` it never will.
    LoadFailed { batch: BatchId, lost: Vec<RecordId> },
    /// The request ended.
    Reply { batch: BatchId, reply: Result<Reply, Failure> },
    /// Send what waits, up to that record, without waiting for more.
    Flush { through: RecordId },
    /// The network is back: what failed without an answer goes again at once.
    Online,
}

/// What the driver is to do.
#[derive(Debug)]
pub(crate) enum Action {
    /// Load these records into a body of that many bytes, in this order, then feed [`Input::Loaded`].
    Load { batch: BatchId, ids: Vec<RecordId>, bytes: usize },
    /// Send the batch's body, then feed [`Input::Reply`].
    Send { batch: BatchId },
    /// The outcome of these records is known; the store may forget them.
    Settle { ids: Vec<RecordId>, outcome: Outcome },
    /// The last attempt did not reach the server with these.
    NotAttempted { ids: Vec<RecordId> },
    /// The owner should hear that delivery is paused, and why.
    Paused { reason: &'static str },
}
