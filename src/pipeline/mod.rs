//! The state machine that decides what is sent when, and what each reply means. Both targets, no I/O, no clock, no randomness of its own.
//!
//! Between `track`, which offers a record's [`Header`], and the driver, which performs [`Action`]s and feeds their answers back. It
//! holds headers; the bytes stay in the store. A record is in exactly one place: waiting to be stored, in the ready queue, parked on its
//! lane, or leased to a batch. What the disk alone holds is not here; `shed` lets go of what is left to it.
//!
//! Invariants, checked by property tests after every step: accepted = delivered + rejected + dropped + unknown + pending; a record is
//! settled once; requests in flight share no lane; the order of a lane is kept; a request keeps its bounds.

mod applied;
mod backoff;
mod counts;
mod cut;
mod entry;
mod id_map;
mod lanes;
mod outcome;
mod proxy_reply;
mod removal;
mod reply;
mod seam;
mod shed;
pub(crate) mod verdict;

#[cfg(test)]
mod tests;

/// Whether a deliberate break of the core or the store is switched on, for the tests that must find it.
#[cfg(test)]
pub(crate) use self::tests::{plant, planted};
#[cfg(not(test))]
pub(crate) const fn planted(_: &str) -> bool {
    false
}

use std::collections::VecDeque;

use self::{applied::MAX_RETRY_AFTER, backoff::Jitter, entry::Entry, lanes::Lanes};
pub(crate) use self::{
    backoff::{Backoff, millis},
    lanes::{fnv1a, id_hash},
    seam::{Action, BatchId, Bounds, Header, Input, Now, Outage, PipelineConfig, RecordId, Wants},
    verdict::{Failure, Reply},
};
pub use self::{
    counts::{Counts, Report},
    outcome::{DropReason, Outcome, RejectReason, Rejection},
    proxy_reply::ProxyReply,
};

/// An entry that the store was asked to hold, and its answer.
#[derive(Debug)]
struct Storing {
    entry: Entry,
    stored: Option<bool>,
}

/// Records that go in one request, and what of them still has to go after it.
#[derive(Debug)]
struct Batch {
    id: BatchId,
    state: BatchState,
    entries: Vec<Entry>,
    /// Parts cut off by bisecting, the next one last. Their lanes stay with the batch, so that order is kept.
    later: Vec<Vec<Entry>>,
    /// The lanes that it holds.
    lanes: Vec<u64>,
    /// When it was sent last, by the pipeline's own clock.
    sent_secs: u32,
    /// The same by the driver's clocks.
    sent: Now,
    /// Its loads and requests that failed in a row.
    failures: u32,
    /// The last of these got no answer.
    unanswered: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum BatchState {
    /// To be loaded at this time or later.
    Waiting {
        not_before: u64,
    },
    Loading,
    Loaded,
    InFlight,
}

/// What three clocks showed at an answer.
#[derive(Clone, Copy, Debug)]
struct Clocks {
    server_ms: i64,
    sent: Now,
    answered: Now,
}

#[derive(Debug)]
pub(crate) struct Pipeline {
    config: PipelineConfig,
    jitter: Jitter,
    next_batch: BatchId,
    /// Offered and not yet ready, in rising order.
    storing: VecDeque<Storing>,
    /// Stored and never leased, in order.
    ready: VecDeque<Entry>,
    ready_bytes: usize,
    lanes: Lanes,
    batches: Vec<Batch>,
    actions: VecDeque<Action>,
    counts: Counts,
    /// At the last answer that confirmed events.
    clocks: Option<Clocks>,
    /// When the oldest ready record has waited long enough.
    flush_at: Option<u64>,
    /// Records up to this one are to go without waiting for more.
    flush_through: RecordId,
    /// Failures in a row; while there are any, one request at a time probes.
    failures: u32,
    /// Nothing is sent before, because of these.
    not_before: u64,
    /// The last of these failures got no answer.
    unanswered: bool,
    /// Records under way that are to be given up in place of being sent again, in rising order.
    purged: Vec<RecordId>,
    /// Bounds the requests that are cut from now on further than the configuration does. One record goes whatever its size.
    pub(crate) most_bytes: usize,
    paused: Option<&'static str>,
    /// The last time that the driver was told to wake at.
    armed: u64,
    /// Milliseconds since 1970, but for jumps of the wall clock; see [`Pipeline::tick`].
    clock_ms: u64,
    last_now: Now,
}

impl Pipeline {
    pub(crate) fn new(config: PipelineConfig, seed: u64) -> Self {
        Self {
            config,
            jitter: Jitter(seed),
            next_batch: 1,
            storing: VecDeque::new(),
            ready: VecDeque::new(),
            ready_bytes: 0,
            lanes: Lanes::default(),
            batches: Vec::new(),
            actions: VecDeque::new(),
            counts: Counts::default(),
            clocks: None,
            flush_at: None,
            flush_through: 0,
            failures: 0,
            not_before: 0,
            unanswered: false,
            purged: Vec::new(),
            most_bytes: usize::MAX,
            paused: None,
            armed: u64::MAX,
            clock_ms: 0,
            last_now: Now::default(),
        }
    }

    /// Takes a record into the books that was checked against [`Pipeline::bounds`]. The caller appends it to the store under the id and then tells
    /// [`Pipeline::stored`].
    pub(crate) fn take(&mut self, id: RecordId, header: Header) {
        let entry = Entry::new(id, header);
        self.storing.push_back(Storing { entry, stored: None });
        self.counts.accepted += 1;
        self.counts.pending += 1;
        self.counts.pending_bytes += u64::from(header.bytes);
    }

    /// Whether the driver must be woken, because something is due sooner than it knows. Once is enough: it asks again after the wake-up.
    pub(crate) fn must_wake(&mut self, now: Now) -> bool {
        let wake = self.wake_at(now).max(now.mono_ms) < self.armed;
        if wake {
            self.armed = now.mono_ms;
        }
        wake
    }

    /// For how many records the driver wants to be woken, beside the time that [`Pipeline::wake_at`] tells.
    pub(crate) fn wants(&self, now: Now) -> Wants {
        let busy = self.active() >= self.allowed() || self.batches.len() >= self.config.max_in_flight;
        if busy || self.is_due(now) {
            Wants::NOTHING
        } else if self.flush_at.is_none() {
            Wants::ANYTHING
        } else {
            Wants { records: self.config.flush_events - self.ready.len(), bytes: self.config.flush_bytes - self.ready_bytes }
        }
    }

    /// The store's answer: whether it holds the record. Records become ready in the order of `track`, whatever the order in which a store
    /// answers; its first answer counts.
    pub(crate) fn stored(&mut self, id: RecordId, stored: bool, now: Now) {
        let place = self.storing.binary_search_by_key(&id, |storing| storing.entry.id);
        let place = place.ok().and_then(|at| self.storing.get_mut(at));
        let Some(storing) = place.filter(|storing| storing.stored.is_none()) else { return };
        storing.stored = Some(stored);
        if !stored {
            let entry = storing.entry;
            self.settle(&[entry], Outcome::Dropped(DropReason::Store));
            if planted("a failed append holds up the rest") {
                return;
            }
        }
        while let Some(&Storing { entry, stored }) = self.storing.front()
            && let Some(stored) = stored.or(planted("an unanswered append counts as stored").then_some(true))
        {
            self.storing.pop_front();
            if !stored && !planted("a failed append is sent") {
                continue;
            }
            if self.ready.is_empty() {
                self.flush_at = Some(now.mono_ms.saturating_add(self.config.flush_interval_ms));
            }
            self.ready_bytes += entry.bytes as usize;
            if planted("a later event overtakes") {
                self.ready.push_front(entry);
            } else {
                self.ready.push_back(entry);
            }
        }
    }

    /// Feeds what happened.
    pub(crate) fn handle(&mut self, input: Input, now: Now) {
        match input {
            Input::Loaded { batch } => {
                if let Some(at) = self.position(batch, BatchState::Loading) {
                    self.batches[at].state = BatchState::Loaded;
                }
            }
            Input::LoadFailed { batch, lost } => {
                if let Some(at) = self.position(batch, BatchState::Loading) {
                    let batch = self.batches.swap_remove(at);
                    self.load_failed(batch, &lost, now);
                }
            }
            Input::Reply { batch, reply } => {
                if let Some(at) = self.position(batch, BatchState::InFlight) {
                    let batch = self.batches.swap_remove(at);
                    self.judged(batch, &reply, now);
                }
            }
            Input::Flush { through } => self.flush_through = self.flush_through.max(through),
            Input::Online => {
                if self.unanswered {
                    self.not_before = 0;
                }
                for batch in self.batches.iter_mut().filter(|batch| batch.unanswered) {
                    if let BatchState::Waiting { not_before } = &mut batch.state {
                        *not_before = 0;
                    }
                }
            }
        }
    }

    /// What of a run of failures the next process must know.
    pub(crate) fn outage(&self, now: Now) -> Outage {
        if self.failures == 0 {
            return Outage::default();
        }
        let wait = self.not_before.saturating_sub(now.mono_ms);
        Outage { failures: self.failures, until_ms: now.unix_ms.saturating_add(wait) }
    }

    /// Goes on with a run of failures that an earlier process met. A time that no failure asks for was told by a clock that was wrong.
    pub(crate) fn resume(&mut self, outage: Outage, now: Now) {
        self.failures = outage.failures;
        let wait = outage.until_ms.saturating_sub(now.unix_ms);
        let wait = if wait > millis(MAX_RETRY_AFTER) { 0 } else { wait };
        self.not_before = now.mono_ms.saturating_add(wait);
    }

    /// The next thing to do, until `None`; then nothing is due before [`Pipeline::wake_at`].
    pub(crate) fn next(&mut self, now: Now) -> Option<Action> {
        self.tick(now);
        self.lanes.expire(now.mono_ms);
        loop {
            if let Some(action) = self.actions.pop_front() {
                return Some(action);
            }
            if let Some(batch) = self.batches.iter_mut().find(|batch| batch.state == BatchState::Loaded) {
                batch.state = BatchState::InFlight;
                batch.sent_secs = secs(self.clock_ms);
                batch.sent = now;
                return Some(Action::Send { batch: batch.id });
            }
            if now.mono_ms < self.not_before || self.active() >= self.allowed() {
                break;
            }
            let waiting = self
                .batches
                .iter()
                .position(|batch| matches!(batch.state, BatchState::Waiting { not_before } if not_before <= now.mono_ms));
            match waiting {
                Some(at) => {
                    let batch = self.batches.swap_remove(at);
                    if let Some(action) = self.start(batch, now) {
                        return Some(action);
                    }
                }
                None if self.batches.len() < self.config.max_in_flight && self.is_due(now) => {
                    if let Some(action) = self.cut(now) {
                        return Some(action);
                    }
                }
                None => break,
            }
        }
        self.armed = self.wake_at(now);
        None
    }

    /// When the next thing is due, by the clock that only runs forward; `u64::MAX`: not before something happens.
    pub(crate) fn wake_at(&self, now: Now) -> u64 {
        let mut at = self.lanes.next_expiry();
        if self.active() < self.allowed() {
            for batch in &self.batches {
                if let BatchState::Waiting { not_before } = batch.state {
                    at = at.min(not_before.max(self.not_before));
                }
            }
            if self.batches.len() < self.config.max_in_flight {
                if self.is_due(now) {
                    at = at.min(self.not_before);
                } else if let Some(flush_at) = self.flush_at {
                    at = at.min(flush_at.max(self.not_before));
                }
            }
        }
        at
    }

    /// Moves the pipeline's own clock by whichever clock went further, so that an event never looks younger than it is: the wall clock
    /// can be set back, and the other one stands still while a machine sleeps.
    fn tick(&mut self, now: Now) {
        let wall = now.unix_ms.saturating_sub(self.last_now.unix_ms);
        let mono = now.mono_ms.saturating_sub(self.last_now.mono_ms);
        self.clock_ms =
            if planted("the wall clock alone counts") { now.unix_ms } else { self.clock_ms.saturating_add(wall.max(mono)) };
        self.last_now = now;
    }

    /// The records whose [`Action::Settle`] the driver has not seen.
    pub(crate) fn unsettled(&self) -> u64 {
        let settled = self.actions.iter().map(|action| match action {
            // What the store keeps is pending still.
            Action::Settle { ids, outcome } if *outcome != Outcome::Kept => ids.len() as u64,
            _ => 0,
        });
        self.counts.pending + settled.sum::<u64>()
    }

    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    /// Counts events that were dropped before they became records.
    pub(crate) fn count_dropped(&mut self, events: u64, reason: DropReason) {
        self.counts.accepted += events;
        self.counts.pending += events;
        self.counts.settle(events, &Outcome::Dropped(reason));
    }

    pub(crate) fn count_long_strings(&mut self, strings: u64) {
        self.counts.long_strings += strings;
    }

    pub(crate) fn bounds(&self) -> Bounds {
        self.config.bounds
    }

    /// Answers to what a batch is not waiting for, late or double, find nothing.
    fn position(&self, id: BatchId, state: BatchState) -> Option<usize> {
        self.batches.iter().position(|batch| batch.id == id && (batch.state == state || planted("a late answer counts")))
    }

    fn active(&self) -> usize {
        self.batches.iter().filter(|batch| !matches!(batch.state, BatchState::Waiting { .. })).count()
    }

    /// While the last request failed, one at a time probes whether the server is back.
    fn allowed(&self) -> usize {
        if self.failures > 0 { 1 } else { self.config.max_in_flight }
    }

    fn is_due(&self, now: Now) -> bool {
        self.lanes.has_open()
            || self.ready.front().is_some_and(|oldest| oldest.id <= self.flush_through)
            || self.ready.len() >= self.config.flush_events
            || self.ready_bytes >= self.config.flush_bytes
            || self.flush_at.is_some_and(|at| at <= now.mono_ms)
    }
}

fn secs(ms: u64) -> u32 {
    u32::try_from(ms / 1000).unwrap_or(u32::MAX)
}
