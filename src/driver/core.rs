//! What the driver works on: the pipeline with its store, and who waits for what becomes of the events.

use std::{mem, sync::Mutex, time::Duration};

use super::{
    Effects, Receipts,
    inbox::{Contents, DriverState, Inbox},
};
use crate::{
    config::Config,
    delivery::{Delivery, Effect},
    pipeline::{BatchId, Bounds, Counts, DropReason, Failure, Input, Now, Outcome, RecordId, Reply, Report, millis},
    promise::{Promise, lock},
};

/// Its lock is never held across an await, a request or a caller's code; the inbox's is taken under it, never the other way round.
pub(super) struct Core {
    delivery: Delivery,
    /// Answers that the pipeline has not been told yet.
    pub(super) replies: Vec<(BatchId, Result<Reply, Failure>)>,
    receipts: Receipts,
    flushes: Vec<PendingFlush>,
    /// What is swapped for the inbox's contents; kept for its capacity.
    gathered: Contents,
    /// As the inbox had them when it was emptied last.
    driver: DriverState,
    closing: bool,
}

/// A flush that waits for every event up to `through`, or for its deadline.
struct PendingFlush {
    through: RecordId,
    deadline_ms: u64,
    ends_client: bool,
    report: Report,
    promise: Promise<Report>,
}

impl Core {
    pub(super) fn new(config: &Config, seed: u64) -> Self {
        Self {
            delivery: Delivery::new(config, seed),
            replies: Vec::new(),
            receipts: Receipts::default(),
            flushes: Vec::new(),
            gathered: Contents::default(),
            driver: DriverState::default(),
            closing: false,
        }
    }

    pub(super) fn bounds(&self) -> Bounds {
        self.delivery.pipeline.bounds()
    }

    /// Empties the inbox.
    pub(super) fn gather(&mut self, inbox: &Mutex<Inbox>, now: Now) {
        {
            let mut inbox = lock(inbox);
            mem::swap(&mut inbox.contents, &mut self.gathered);
            self.driver = inbox.driver;
            self.closing = inbox.closing;
        }
        let contents = &mut self.gathered;
        self.delivery.take(&contents.headers, &mut contents.store, now);
        contents.headers.clear();
        contents.bytes = 0;
        contents.receipts.drain(..).for_each(|receipt| self.receipts.insert(receipt));
        let pipeline = &mut self.delivery.pipeline;
        pipeline.count_long_strings(mem::take(&mut contents.long_strings));
        pipeline.count_dropped(mem::take(&mut contents.dropped_by_plugins), DropReason::Plugin);
    }

    pub(super) fn must_wake(&mut self, now: Now) -> bool {
        self.delivery.pipeline.must_wake(now)
    }

    pub(super) fn counts(&self) -> Counts {
        self.delivery.pipeline.counts()
    }

    pub(super) fn pending_json(&self) -> Vec<u8> {
        self.delivery.pending_json()
    }

    /// What waits goes without waiting for more.
    pub(super) fn hurry(&mut self, now: Now) {
        self.delivery.pipeline.handle(Input::Flush, now);
    }

    /// Promises a report on all that is pending. Answers whether the driver has something to do for it.
    pub(super) fn flush(&mut self, deadline: Duration, ends_client: bool, now: Now) -> (Promise<Report>, bool) {
        let promise = Promise::new();
        let report = Report::covering(self.delivery.pipeline.unsettled());
        if self.driver != DriverState::Running {
            // Without a driver nothing can be pending.
            promise.set(report);
            return (promise, false);
        }
        self.flushes.push(PendingFlush {
            through: self.delivery.pipeline.last_id(),
            deadline_ms: now.mono_ms.saturating_add(millis(deadline)),
            ends_client,
            report,
            promise: promise.clone(),
        });
        self.hurry(now);
        (promise, true)
    }

    /// Feeds the pipeline what came, performs what needs the lock and notes what does not. Answers when the next thing is due, or `None` when
    /// the driver has nothing left to do, ever.
    pub(super) fn step(&mut self, inbox: &Mutex<Inbox>, now: Now, effects: &mut Effects) -> Option<u64> {
        self.gather(inbox, now);
        for (batch, reply) in mem::take(&mut self.replies) {
            self.delivery.pipeline.handle(Input::Reply { batch, reply }, now);
        }
        self.obey(now, effects);
        if self.flushes.iter().any(|flush| flush.ends_client && flush.deadline_ms <= now.mono_ms) {
            self.delivery.pipeline.abandon(DropReason::Shutdown);
            self.obey(now, effects);
        }
        self.answer_flushes(now, effects);

        let counts = self.counts();
        let mut inbox = lock(inbox);
        let more = inbox.expect(counts.pending_bytes, self.delivery.pipeline.wants(now));
        inbox.grant_rooms(&mut effects.rooms);
        if self.closing && counts.pending == 0 {
            inbox.driver = DriverState::Stopped;
            self.driver = DriverState::Stopped;
            return None;
        }
        if more {
            return Some(now.mono_ms);
        }
        let deadline = self.flushes.iter().map(|flush| flush.deadline_ms).min().unwrap_or(u64::MAX);
        Some(self.delivery.pipeline.wake_at(now).min(deadline))
    }

    /// Leaves nobody waiting for a driver that is gone. After an orderly end there is nobody.
    pub(super) fn end(&mut self, inbox: &Mutex<Inbox>, now: Now, effects: &mut Effects) {
        {
            let mut inbox = lock(inbox);
            inbox.closing = true;
            inbox.driver = DriverState::Stopped;
        }
        self.gather(inbox, now);
        self.delivery.pipeline.abandon(DropReason::Driver);
        self.obey(now, effects);
        self.answer_flushes(now, effects);
        lock(inbox).grant_rooms(&mut effects.rooms);
    }

    fn obey(&mut self, now: Now, effects: &mut Effects) {
        while let Some(effect) = self.delivery.next(now) {
            match effect {
                Effect::Send(outgoing) => effects.sends.push(outgoing),
                Effect::Settled { ids, outcome } => self.settle(ids, outcome, effects),
                Effect::Paused { reason } => effects.paused.push(reason),
            }
        }
    }

    fn settle(&mut self, ids: Vec<RecordId>, outcome: Outcome, effects: &mut Effects) {
        for flush in &mut self.flushes {
            let covered = ids.iter().filter(|id| **id <= flush.through).count();
            flush.report.settle(covered as u64, &outcome);
        }
        for id in &ids {
            if let Some(receipt) = self.receipts.remove(*id) {
                effects.receipts.push((receipt, outcome.clone()));
            }
        }
        effects.settled.push((ids, outcome));
    }

    fn answer_flushes(&mut self, now: Now, effects: &mut Effects) {
        let done = self.flushes.extract_if(.., |flush| flush.report.pending == 0 || flush.deadline_ms <= now.mono_ms);
        effects.reports.extend(done.map(|flush| (flush.promise, flush.report)));
    }
}
