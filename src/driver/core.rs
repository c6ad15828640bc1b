//! What the driver works on: the pipeline with its store, and who waits for what becomes of the events.

use std::{mem, sync::Mutex, time::Duration};

use super::{
    Effects, Receipts, Sync,
    inbox::{Contents, DriverState, Inbox},
};
use crate::{
    Error, Result,
    config::Config,
    dead_letters::{DeadLetter, DeadLetters},
    delivery::{Delivery, Effect},
    pipeline::{BatchId, Bounds, Counts, DropReason, Failure, Input, Now, Outcome, RecordId, Reply, Report, Wants, millis},
    promise::{Promise, lock},
    purge::{Purged, Whose},
    receipt::Receipt,
    store::{Archive, SyncFile, add_unsynced, letter_file},
};

/// Its lock is never held across an await, a request or a caller's code; the inbox's is taken under it, never the other way round.
pub(super) struct Core {
    delivery: Delivery,
    /// Answers that the pipeline has not been told yet.
    pub(super) replies: Vec<(BatchId, std::result::Result<Reply, Failure>)>,
    letters: DeadLetters,
    problems: Problems,
    receipts: Receipts,
    flushes: Vec<PendingFlush>,
    /// What is swapped for the inbox's contents; kept for its capacity.
    gathered: Contents,
    /// The newest record, in memory or on the disk.
    last_id: RecordId,
    disk: Disk,
    /// As the inbox had them when it was emptied last.
    driver: DriverState,
    closing: bool,
}

/// What the disk needs of the driver; without one, nothing.
#[derive(Default)]
struct Disk {
    /// How much is read back into memory, at most.
    memory_bound: usize,
    /// How long what was written may wait to be brought to the disk itself; `None`: the system sees to it.
    sync_ms: Option<u64>,
    unsynced: Vec<SyncFile>,
    unsynced_receipts: Vec<Receipt>,
    sync_at: Option<u64>,
    /// When to look again for what others have left.
    adopt_at: u64,
}

/// What was told lately: a full disk has the same to say with each batch.
#[derive(Default)]
struct Problems(Vec<(String, u64)>);

impl Problems {
    /// Leaves out what was told within the last minute.
    fn keep_news(&mut self, problems: &mut Vec<Error>, now: Now) {
        self.0.retain(|(_, at)| now.mono_ms < at + 60_000);
        problems.retain(|problem| {
            let is_news = self.0.iter().all(|(told, _)| told != problem.message());
            if is_news {
                self.0.push((problem.message().to_owned(), now.mono_ms));
            }
            is_news
        });
    }
}

/// How often the driver looks for what processes have left that are gone, e.g. the older half of a rolling deploy.
const ADOPT_MS: u64 = 30_000;

/// A flush that waits for every event up to `through`, or for its deadline.
struct PendingFlush {
    through: RecordId,
    deadline_ms: u64,
    ends_client: bool,
    report: Report,
    promise: Promise<Report>,
}

impl Disk {
    fn wake_at(&self) -> u64 {
        let adopt_at = if self.memory_bound == 0 { u64::MAX } else { self.adopt_at };
        adopt_at.min(self.sync_at.unwrap_or(u64::MAX))
    }

    /// What is to be brought to the disk itself, and whose receipts wait for it.
    fn due(&mut self) -> Option<Sync> {
        self.sync_at = None;
        let sync = Sync { files: mem::take(&mut self.unsynced), receipts: mem::take(&mut self.unsynced_receipts) };
        (!sync.files.is_empty()).then_some(sync)
    }
}

impl Core {
    pub(super) fn new(config: &Config, archive: Option<Archive>, seed: u64) -> Self {
        let disk = config.disk.as_ref().map(|options| Disk {
            memory_bound: options.memory_bound(),
            sync_ms: options.sync_ms(),
            ..Disk::default()
        });
        Self {
            last_id: archive.as_ref().map_or(0, Archive::last_id),
            problems: Problems::default(),
            letters: DeadLetters::new(config.dead_letter_bound(), letter_file(config)),
            delivery: Delivery::new(config, archive, seed),
            disk: disk.unwrap_or_default(),
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
        self.empty(&mut lock(inbox));
        self.enter_gathered(now);
    }

    fn empty(&mut self, inbox: &mut Inbox) {
        inbox.tell_written();
        mem::swap(&mut inbox.contents, &mut self.gathered);
        self.driver = inbox.driver;
        self.closing = inbox.closing;
    }

    fn enter_gathered(&mut self, now: Now) {
        let contents = &mut self.gathered;
        self.last_id = self.last_id.max(mem::take(&mut contents.last_id));
        if let Some(sync_ms) = self.disk.sync_ms
            && contents.bytes + contents.spilled_bytes > 0
        {
            add_unsynced(&mut self.disk.unsynced, &contents.written);
            self.disk.unsynced_receipts.extend(contents.receipts.iter().cloned());
            self.disk.sync_at.get_or_insert(now.mono_ms.saturating_add(sync_ms));
        }
        self.delivery.take(&contents.records, &mut contents.store, now);
        self.delivery.learn(&mem::take(&mut contents.written), contents.here_to.take());
        contents.records.clear();
        contents.bytes = 0;
        contents.spilled_bytes = 0;
        contents.spilled_records = 0;
        contents.receipts.drain(..).for_each(|receipt| self.receipts.insert(receipt));
        let pipeline = &mut self.delivery.pipeline;
        pipeline.count_long_strings(mem::take(&mut contents.long_strings));
        pipeline.count_dropped(mem::take(&mut contents.dropped_by_plugins), DropReason::Plugin);
    }

    pub(super) fn must_wake(&mut self, now: Now) -> bool {
        self.delivery.pipeline.must_wake(now)
    }

    pub(super) fn counts(&self) -> Counts {
        let mut counts = self.delivery.pipeline.counts();
        counts.clock_drift_ms = self.delivery.pipeline.clock_drift_ms();
        let backlog = self.delivery.backlog();
        counts.accepted += backlog.records;
        counts.pending += backlog.records;
        counts.pending_bytes += backlog.bytes;
        counts
    }

    /// Of the records that stand on the disk alone; 0: there is none.
    pub(super) fn backlog_bytes(&self) -> u64 {
        self.delivery.backlog().bytes
    }

    pub(super) fn pending_json(&self) -> Vec<u8> {
        self.delivery.pending_json()
    }

    /// What waits goes without waiting for more.
    pub(super) fn hurry(&mut self, now: Now) {
        self.delivery.pipeline.handle(Input::Flush { through: self.last_id }, now);
    }

    /// Has the oldest events make room for a further one. An eighth of the queue at a time, so that it costs little for each. Answers how many
    /// bytes that freed.
    pub(super) fn evict(&mut self, bytes: usize, inbox: &Mutex<Inbox>, now: Now) -> u64 {
        let mut left = bytes.max(self.bounds().queue / 8) as u64;
        let mut freed = 0;
        while left > 0 {
            let some = self.delivery.evict(left, now);
            freed += some;
            left = left.saturating_sub(some);
            // On the disk the next ones are read, only to be given up: no more than those.
            let next = (self.disk.memory_bound / 2).min(usize::try_from(left).unwrap_or(usize::MAX));
            if left > 0 && !self.recall_some(next, now) {
                break;
            }
        }
        self.rearm(inbox, now);
        freed
    }

    /// Forgets events, here and in what processes have left that are gone.
    ///
    /// # Errors
    /// When a file could not be changed; the rest is done.
    pub(super) fn purge(&mut self, whose: Whose<'_>, inbox: &Mutex<Inbox>, now: Now) -> Result<Purged> {
        self.disk.adopt_at = 0;
        self.adopt(inbox, now);
        let mut purged = Purged::default();
        let events = self.delivery.purge(whose, &mut purged, now);
        let letters = self.letters.purge(whose).map(|letters| purged.dead_letters = letters);
        self.rearm(inbox, now);
        events.and(letters).map(|()| purged)
    }

    /// What was refused or given up, and how many lines of its file cannot be read.
    pub(super) fn dead_letters(&mut self) -> Result<(Vec<DeadLetter>, usize)> {
        self.letters.list()
    }

    pub(super) fn discard(&mut self, letter: &DeadLetter) -> Result<()> {
        self.letters.remove(letter)
    }

    /// What failed without an answer goes again at once.
    pub(super) fn online(&mut self, now: Now) {
        self.delivery.pipeline.handle(Input::Online, now);
    }

    /// Promises a report on all that is pending. Answers whether the driver has something to do for it.
    pub(super) fn flush(&mut self, deadline: Duration, ends_client: bool, now: Now) -> (Promise<Report>, bool) {
        let promise = Promise::new();
        let report = Report::covering(self.delivery.pipeline.unsettled() + self.delivery.backlog().records);
        if self.driver != DriverState::Running {
            // Without a driver nothing can be pending.
            promise.set(report);
            return (promise, false);
        }
        self.flushes.push(PendingFlush {
            through: self.last_id,
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
        self.adopt(inbox, now);
        for (batch, reply) in mem::take(&mut self.replies) {
            self.delivery.pipeline.handle(Input::Reply { batch, reply }, now);
        }
        self.obey(now, effects);
        let recalled = self.recall(now, effects);
        let over = self.flushes.iter().any(|flush| flush.ends_client && flush.deadline_ms <= now.mono_ms);
        if over {
            self.delivery.abandon(DropReason::Shutdown);
            self.obey(now, effects);
        }
        self.answer_flushes(now, effects);
        self.delivery.note_outage(now);
        effects.problems.extend(self.delivery.take_problems());
        self.problems.keep_news(&mut effects.problems, now);

        let ends = over || (self.closing && self.counts().pending == 0);
        if ends || self.disk.sync_at.is_some_and(|at| at <= now.mono_ms) {
            effects.sync = self.disk.due();
        }
        let more = self.rearm(inbox, now) || recalled;
        let mut inbox = lock(inbox);
        inbox.grant_rooms(&mut effects.rooms);
        if ends {
            inbox.driver = DriverState::Stopped;
            self.driver = DriverState::Stopped;
        }
        drop(inbox);
        if ends {
            self.leave_nobody_waiting(effects);
            return None;
        }
        if more {
            return Some(now.mono_ms);
        }
        let deadline = self.flushes.iter().map(|flush| flush.deadline_ms).min().unwrap_or(u64::MAX);
        Some(self.delivery.pipeline.wake_at(now).min(self.delivery.sweep_at()).min(deadline).min(self.disk.wake_at()))
    }

    /// Tells the inbox how much is pending and for what the driver wants to be woken. Answers whether that is there already.
    pub(super) fn rearm(&self, inbox: &Mutex<Inbox>, now: Now) -> bool {
        let wants = if self.disk.sync_ms.is_some() && self.disk.sync_at.is_none() {
            Wants::ANYTHING
        } else {
            self.delivery.pipeline.wants(now)
        };
        let in_memory = self.delivery.pipeline.counts().pending_bytes;
        lock(inbox).expect(in_memory, self.delivery.backlog().bytes, self.delivery.room() > 0, wants)
    }

    /// Reads back what stands on the disk alone, where there is room in memory. Answers whether there may be more.
    fn recall(&mut self, now: Now, effects: &mut Effects) -> bool {
        let more = self.recall_some(self.delivery.room(), now);
        // A flush covers what comes in only now.
        self.obey(now, effects);
        more
    }

    /// Reads back some of what stands on the disk alone. Answers whether there was any.
    fn recall_some(&mut self, bytes: usize, now: Now) -> bool {
        let (lost, more) = self.delivery.recall(bytes, now);
        for flush in &mut self.flushes {
            flush.report.settle(lost, &Outcome::Dropped(DropReason::Store));
        }
        more
    }

    /// Leaves nobody waiting for a driver that is gone. After an orderly end there is nobody.
    pub(super) fn end(&mut self, inbox: &Mutex<Inbox>, now: Now, effects: &mut Effects) {
        {
            let mut inbox = lock(inbox);
            inbox.closing = true;
            inbox.driver = DriverState::Stopped;
        }
        self.gather(inbox, now);
        self.delivery.abandon(DropReason::Driver);
        self.obey(now, effects);
        effects.sync = self.disk.due();
        self.leave_nobody_waiting(effects);
        lock(inbox).grant_rooms(&mut effects.rooms);
    }

    /// At the end: what is not settled is on the disk, and reports are given as they are.
    fn leave_nobody_waiting(&mut self, effects: &mut Effects) {
        effects.receipts.extend(self.receipts.drain().map(|receipt| (receipt, Outcome::Kept)));
        effects.reports.extend(self.flushes.drain(..).map(|flush| (flush.promise, flush.report)));
    }

    /// Lets go of the disk, so that the next client finds it free.
    pub(super) fn close(&mut self, inbox: &Mutex<Inbox>, now: Now) {
        lock(inbox).end_segment();
        self.gather(inbox, now);
        self.delivery.close();
        lock(inbox).close_disk();
    }

    /// Takes over what other processes have left that are gone.
    fn adopt(&mut self, inbox: &Mutex<Inbox>, now: Now) {
        if self.disk.memory_bound == 0 || now.mono_ms < self.disk.adopt_at {
            return;
        }
        self.disk.adopt_at = now.mono_ms + ADOPT_MS;
        let (left, segments) = self.delivery.find_left();
        if left.is_empty() {
            return;
        }
        {
            // At once, so that nothing that is tracked meanwhile stands where they will.
            let mut inbox = lock(inbox);
            inbox.make_way(segments);
            self.empty(&mut inbox);
        }
        self.enter_gathered(now);
        // A flush covers what is taken over.
        self.last_id = self.last_id.max(self.delivery.adopt(left));
    }

    fn obey(&mut self, now: Now, effects: &mut Effects) {
        while let Some(effect) = self.delivery.next(now) {
            match effect {
                Effect::Send(outgoing) => effects.sends.push(outgoing),
                Effect::Settled { ids, outcome } => {
                    if outcome.makes_a_dead_letter() {
                        // Before the store forgets them.
                        let events: Vec<_> = ids.iter().filter_map(|id| self.delivery.text(*id).map(<[u8]>::to_vec)).collect();
                        effects.problems.extend(self.letters.add(&events, &outcome, now.unix_ms).err());
                    }
                    self.settle(ids, outcome, effects);
                }
                Effect::Paused { reason } => effects.paused.push(reason),
            }
        }
    }

    #[cfg(test)]
    pub(super) fn in_memory(&self) -> (usize, usize, usize) {
        self.delivery.in_memory()
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
        // What was left on the disk for later is covered by nobody, and pending neither.
        let none_pending = self.counts().pending == 0;
        let done =
            self.flushes.extract_if(.., |flush| flush.report.pending == 0 || none_pending || flush.deadline_ms <= now.mono_ms);
        effects.reports.extend(done.map(|flush| (flush.promise, flush.report)));
    }
}
