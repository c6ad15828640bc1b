//! The ledger: how many events came in and what became of them. It always adds up.

use super::outcome::{DropReason, Outcome};

const DROP_REASONS: usize = DropReason::ALL.len();

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
    /// Strings of more than 1024 characters that were passed on for Amplitude to shorten.
    pub long_strings: u64,
    dropped_by_reason: [u64; DROP_REASONS],
}

impl Counts {
    /// How many events were dropped for a reason.
    #[must_use]
    pub fn dropped_for(&self, reason: DropReason) -> u64 {
        self.dropped_by_reason[reason as usize]
    }

    pub(super) fn settle(&mut self, events: u64, outcome: &Outcome) {
        self.pending -= events;
        match outcome {
            Outcome::Delivered => self.delivered += events,
            Outcome::Rejected(_) => self.rejected += events,
            Outcome::Unknown => self.unknown += events,
            Outcome::Kept => self.pending += events,
            Outcome::Dropped(reason) => {
                self.dropped += events;
                self.dropped_by_reason[*reason as usize] += events;
            }
        }
    }
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
    dropped_by_reason: [u64; DROP_REASONS],
}

impl Report {
    /// How many events were dropped for a reason.
    #[must_use]
    pub fn dropped_for(&self, reason: DropReason) -> u64 {
        self.dropped_by_reason[reason as usize]
    }

    pub(crate) fn covering(pending: u64) -> Self {
        Self { pending, ..Self::default() }
    }

    pub(crate) fn settle(&mut self, events: u64, outcome: &Outcome) {
        if *outcome == Outcome::Kept {
            return;
        }
        self.pending = self.pending.saturating_sub(events);
        match outcome {
            Outcome::Kept => {}
            Outcome::Delivered => self.delivered += events,
            Outcome::Rejected(_) => self.rejected += events,
            Outcome::Unknown => self.unknown += events,
            Outcome::Dropped(reason) => {
                self.dropped += events;
                self.dropped_by_reason[*reason as usize] += events;
            }
        }
    }
}
