//! The ledger: how many events came in and what became of them, and why. It always adds up.

use super::outcome::{DropReason, Outcome, RejectReason};

/// What became of a client's events so far: accepted = delivered + rejected + dropped + unknown + pending.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Counts {
    /// Taken by `track`.
    pub accepted: u64,
    /// Confirmed by Amplitude.
    pub delivered: u64,
    /// Refused by Amplitude.
    pub rejected: u64,
    /// Given up on this side.
    pub dropped: u64,
    /// Sent, never answered, too old to be sent again.
    pub unknown: u64,
    /// Not settled yet.
    pub pending: u64,
    /// Bytes of JSON that the pending events hold.
    pub pending_bytes: u64,
    /// Requests that Amplitude confirmed with fewer events than they held, e.g. because it knew some already.
    pub short_replies: u64,
    /// How far Amplitude's clock is ahead of this machine's (behind, where it is negative), in milliseconds and to within half a round trip,
    /// by its last answer. Amplitude corrects the times of events by it, because each request tells when it was sent. `None`: no answer has
    /// told it yet, or the last one was slow or met by a clock that was set.
    pub clock_drift_ms: Option<i64>,
    /// Strings of more than 1024 characters that were passed on for Amplitude to shorten.
    pub long_strings: u64,
    reasons: Reasons,
}

/// What became of the events that a flush covers.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Report {
    /// Confirmed by Amplitude since the call.
    pub delivered: u64,
    /// Refused by Amplitude since the call.
    pub rejected: u64,
    /// Given up on this side since the call.
    pub dropped: u64,
    /// Found to be of unknown fate since the call.
    pub unknown: u64,
    /// Not settled at the deadline.
    pub pending: u64,
    reasons: Reasons,
}

/// Why events were refused or given up.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Reasons {
    rejected: [u64; RejectReason::ALL.len()],
    dropped: [u64; DropReason::ALL.len()],
}

impl Reasons {
    fn count(&mut self, events: u64, outcome: &Outcome) {
        match outcome {
            Outcome::Rejected(rejection) => self.rejected[rejection.reason() as usize] += events,
            Outcome::Dropped(reason) => self.dropped[*reason as usize] += events,
            Outcome::Delivered | Outcome::Unknown | Outcome::Kept => {}
        }
    }
}

impl Counts {
    /// How many events Amplitude refused for a reason; over all reasons, `rejected`.
    #[must_use]
    pub fn rejected_for(&self, reason: RejectReason) -> u64 {
        self.reasons.rejected[reason as usize]
    }

    /// How many events were dropped for a reason; over all reasons, `dropped`.
    #[must_use]
    pub fn dropped_for(&self, reason: DropReason) -> u64 {
        self.reasons.dropped[reason as usize]
    }

    pub(super) fn settle(&mut self, events: u64, outcome: &Outcome) {
        self.pending -= events;
        match outcome {
            Outcome::Delivered => self.delivered += events,
            Outcome::Rejected(_) => self.rejected += events,
            Outcome::Dropped(_) => self.dropped += events,
            Outcome::Unknown => self.unknown += events,
            Outcome::Kept => self.pending += events,
        }
        self.reasons.count(events, outcome);
    }
}

impl Report {
    /// How many events Amplitude refused for a reason; over all reasons, `rejected`.
    #[must_use]
    pub fn rejected_for(&self, reason: RejectReason) -> u64 {
        self.reasons.rejected[reason as usize]
    }

    /// How many events were dropped for a reason; over all reasons, `dropped`.
    #[must_use]
    pub fn dropped_for(&self, reason: DropReason) -> u64 {
        self.reasons.dropped[reason as usize]
    }

    pub(crate) fn covering(pending: u64) -> Self {
        Self { pending, ..Self::default() }
    }

    pub(crate) fn settle(&mut self, events: u64, outcome: &Outcome) {
        match outcome {
            Outcome::Kept => return,
            Outcome::Delivered => self.delivered += events,
            Outcome::Rejected(_) => self.rejected += events,
            Outcome::Dropped(_) => self.dropped += events,
            Outcome::Unknown => self.unknown += events,
        }
        self.pending = self.pending.saturating_sub(events);
        self.reasons.count(events, outcome);
    }
}
