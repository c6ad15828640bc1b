//! The loop of the Rust client, on both targets: it asks the pipeline for actions, performs them, and sleeps until the next is due. (The npm
//! package has its loop in JavaScript.)
//!
//! [`Shared`] is what clients and the loop hold in common. Everything that decides is in `pipeline`; here is only doing.

mod receipts;
mod rooms;

use std::{
    future::{Future, poll_fn},
    mem,
    ops::Deref,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard},
    task::Poll,
    time::Duration,
};

use crate::{
    Error, ErrorKind, Event, Result,
    client::Receipt,
    config::Config,
    context::InsertIds,
    delivery::{Delivery, Effect, Outgoing},
    event::Stamp,
    pipeline::{BatchId, Counts, DropReason, Failure, Header, Input, Now, Outcome, RecordId, Reply, Report, millis},
    platform::{self, Driver, Transport},
    plugin::{Notice, Progress},
    promise::{Promise, Signal, lock},
};
use receipts::Receipts;
use rooms::Rooms;
pub(crate) use rooms::Ticket;

/// One client's state, shared by its clones and its driver.
pub(crate) struct Shared {
    pub(crate) config: Config,
    core: Mutex<Core>,
    signal: Signal,
}

/// What one thread at a time touches. Its lock is never held across an await, a request or a caller's code.
struct Core {
    delivery: Delivery,
    insert_ids: InsertIds,
    /// The record being sealed; kept for its capacity.
    scratch: String,
    /// Answers that the driver has not fed to the pipeline yet.
    replies: Vec<(BatchId, Result<Reply, Failure>)>,
    receipts: Receipts,
    flushes: Vec<PendingFlush>,
    rooms: Rooms,
    driver: DriverState,
    /// Nobody can track any more: the driver ends when nothing is pending.
    closing: bool,
}

#[derive(PartialEq)]
enum DriverState {
    NotStarted,
    Running,
    Stopped,
}

/// A flush that waits for every event up to `through`, or for its deadline.
struct PendingFlush {
    through: RecordId,
    deadline_ms: u64,
    ends_client: bool,
    report: Report,
    promise: Promise<Report>,
}

impl Shared {
    pub(crate) fn new(config: Config) -> Result<Self> {
        let mut seed = [0; 8];
        platform::fill_random(&mut seed);
        let core = Core {
            delivery: Delivery::new(&config, u64::from_le_bytes(seed)),
            insert_ids: InsertIds::new(),
            scratch: String::new(),
            replies: Vec::new(),
            receipts: Receipts::default(),
            flushes: Vec::new(),
            rooms: Rooms::default(),
            driver: DriverState::NotStarted,
            closing: false,
        };
        Ok(Self { config, core: Mutex::new(core), signal: Signal::default() })
    }

    /// Whether events are still taken.
    pub(crate) fn check_open(&self) -> Result<()> {
        lock(&self.core).check_open()
    }

    /// Checks an event against the configuration, seals it and queues it. A ticket is a place in the line for room, which this gives up.
    pub(crate) fn admit(self: &Arc<Self>, event: Event, want_receipt: bool, ticket: Option<Ticket>) -> Result<Option<Receipt>> {
        match self.try_admit(&event, want_receipt, ticket) {
            Ok(receipt) => Ok(receipt),
            Err(error) => Err(error.with_event(event)),
        }
    }

    fn try_admit(self: &Arc<Self>, event: &Event, want_receipt: bool, ticket: Option<Ticket>) -> Result<Option<Receipt>> {
        event.check_ids(self.config.min_id_chars())?;
        let long_strings = event.long_strings();
        self.config.long_strings.check(long_strings)?;
        let now = platform::now();
        let mut guard = lock(&self.core);
        let core = &mut *guard;
        let keep = match ticket {
            Some(ticket) => core.rooms.leave(ticket),
            None => core.rooms.kept(),
        };
        core.check_open()?;
        if core.driver == DriverState::NotStarted {
            self.start_driver()?;
            core.driver = DriverState::Running;
        }

        core.scratch.clear();
        let stamp = Stamp {
            time_ms: i64::try_from(now.unix_ms).unwrap_or(i64::MAX),
            insert_id: core.insert_ids.next(),
            library: platform::LIBRARY,
        };
        let sealed = event.seal(&stamp, &mut core.scratch);
        let bytes = core.scratch.len();
        let header = Header { user: sealed.user, device: sealed.device, bytes: u32::try_from(bytes).unwrap_or(u32::MAX) };
        let admitted = core.delivery.admit(header, core.scratch.as_bytes(), keep, now)?;
        let receipt = want_receipt.then(|| Receipt::new(admitted.id));
        if let Some(receipt) = &receipt {
            core.receipts.insert(admitted.id, receipt);
            receipt.stored.set(if admitted.stored { Ok(()) } else { Err(ErrorKind::Store) });
        }
        let notice = core.delivery.count_long_strings(long_strings);
        drop(guard);
        if admitted.wake {
            self.signal.notify();
        }
        if notice {
            self.notify(&Notice::LongString { event_type: event.event_type().into_owned() });
        }
        Ok(receipt)
    }

    fn start_driver(self: &Arc<Self>) -> Result<()> {
        let transport = Arc::new(Transport::new(&self.config)?);
        Driver::start(run(Arc::clone(self), transport))
    }

    /// Tells the owner's hook, or the log where there is none.
    pub(crate) fn notify(&self, notice: &Notice) {
        match &self.config.notice_hook {
            // The hook is a caller's code: its panic must not end the driver.
            Some(hook) => {
                let _ = platform::catch_panic(|| hook(notice));
            }
            None => platform::log(notice),
        }
    }

    fn progress(&self, progress: &Progress<'_>) {
        if let Some(hook) = &self.config.progress_hook {
            let _ = platform::catch_panic(|| hook(progress));
        }
    }

    pub(crate) fn count_dropped(&self, reason: DropReason) {
        lock(&self.core).delivery.pipeline.count_dropped(reason);
    }

    pub(crate) fn counts(&self) -> Counts {
        lock(&self.core).delivery.pipeline.counts()
    }

    pub(crate) fn pending_json(&self) -> String {
        let text = lock(&self.core).delivery.pending_json();
        String::from_utf8(text).unwrap_or_default()
    }

    /// Keeps when there is room for that many bytes beside what others wait for.
    pub(crate) fn wait_for_room(&self, bytes: usize) -> Promise<()> {
        let mut core = lock(&self.core);
        let promise = core.rooms.ask(bytes);
        self.grant_rooms(core);
        promise
    }

    /// A place in the line for room, and when it is there.
    pub(crate) fn join_line(&self, bytes: usize) -> (Ticket, Promise<()>) {
        let mut core = lock(&self.core);
        let place = core.rooms.join(bytes);
        self.grant_rooms(core);
        place
    }

    pub(crate) fn leave_line(&self, ticket: Ticket) {
        let mut core = lock(&self.core);
        core.rooms.leave(ticket);
        self.grant_rooms(core);
    }

    /// Whoever changes the line sees to it himself: the driver has no reason to wake for it.
    fn grant_rooms(&self, mut core: MutexGuard<'_, Core>) {
        let mut granted = Vec::new();
        core.grant_rooms(&mut granted);
        drop(core);
        granted.into_iter().for_each(|room| room.set(()));
    }

    pub(crate) fn flush(&self, deadline: Duration) -> Promise<Report> {
        self.flush_through(&mut lock(&self.core), deadline, false)
    }

    pub(crate) fn shutdown(&self, deadline: Duration) -> Promise<Report> {
        let mut core = lock(&self.core);
        core.closing = true;
        self.flush_through(&mut core, deadline, true)
    }

    /// The last handle is gone: what waits is sent without delay, then the driver ends.
    pub(crate) fn close(&self) {
        let mut core = lock(&self.core);
        core.closing = true;
        core.delivery.pipeline.handle(Input::Flush, platform::now());
        self.signal.notify();
    }

    fn flush_through(&self, core: &mut Core, deadline: Duration, ends_client: bool) -> Promise<Report> {
        let promise = Promise::new();
        let now = platform::now();
        let pending = core.delivery.pipeline.unsettled();
        let flush = PendingFlush {
            through: core.delivery.pipeline.last_id(),
            deadline_ms: now.mono_ms.saturating_add(millis(deadline)),
            ends_client,
            report: Report::covering(pending),
            promise: promise.clone(),
        };
        if core.driver != DriverState::Running {
            // Without a driver nothing can be pending.
            promise.set(flush.report);
            return promise;
        }
        core.flushes.push(flush);
        core.delivery.pipeline.handle(Input::Flush, now);
        self.signal.notify();
        promise
    }
}

/// Runs until nobody can track any more and nothing is pending, or until a shutdown's deadline.
async fn run(shared: Arc<Shared>, transport: Arc<Transport>) {
    let shared = Guarded(shared);
    loop {
        let Some(wake_at_ms) = shared.step(&transport) else { return };
        let now_ms = platform::now().mono_ms;
        if wake_at_ms <= now_ms {
            continue;
        }
        let mut timer = pin!(platform::sleep(Duration::from_millis(wake_at_ms - now_ms)));
        poll_fn(|cx| match shared.signal.poll(cx) {
            Poll::Ready(()) => Poll::Ready(()),
            Poll::Pending => timer.as_mut().poll(cx),
        })
        .await;
    }
}

/// The driver's own handle. However the driver ends, also by a panic, nobody waits for it afterwards.
struct Guarded(Arc<Shared>);

impl Deref for Guarded {
    type Target = Arc<Shared>;

    fn deref(&self) -> &Arc<Shared> {
        &self.0
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        let mut effects = Effects::default();
        lock(&self.core).end(platform::now(), &mut effects);
        self.tell(effects);
    }
}

/// A request under way. However it ends, also by a panic, the pipeline is told.
struct Awaited {
    shared: Arc<Shared>,
    batch: BatchId,
    reply: Result<Reply, Failure>,
}

impl Drop for Awaited {
    fn drop(&mut self) {
        let reply = mem::replace(&mut self.reply, Err(Failure::Interrupted));
        lock(&self.shared.core).replies.push((self.batch, reply));
        self.shared.signal.notify();
    }
}

/// What a step found to do outside of the lock.
#[derive(Default)]
struct Effects {
    sends: Vec<Outgoing>,
    settled: Vec<(Vec<RecordId>, Outcome)>,
    receipts: Vec<(Receipt, Outcome)>,
    paused: Vec<&'static str>,
    reports: Vec<(Promise<Report>, Report)>,
    rooms: Vec<Promise<()>>,
}

impl Shared {
    /// Performs all that is due. Answers when the next may be, or `None` when the driver has nothing left to do, ever.
    fn step(self: &Arc<Self>, transport: &Arc<Transport>) -> Option<u64> {
        let mut effects = Effects::default();
        let next = lock(&self.core).step(platform::now(), &mut effects);
        let sends = mem::take(&mut effects.sends);
        // Before what is sent next, because replies came before it.
        self.tell(effects);
        for Outgoing { batch, ids, body } in sends {
            self.progress(&Progress::Sending { ids: &ids });
            let transport = Arc::clone(transport);
            let request = Awaited { shared: Arc::clone(self), batch, reply: Err(Failure::Interrupted) };
            platform::spawn(async move {
                let mut request = request;
                request.reply = transport.send(body).await;
            });
        }
        next
    }

    fn tell(&self, effects: Effects) {
        for (ids, outcome) in &effects.settled {
            self.progress(&Progress::Settled { ids, outcome });
        }
        effects.receipts.into_iter().for_each(|(receipt, outcome)| receipt.settled.set(outcome));
        effects.rooms.into_iter().for_each(|room| room.set(()));
        effects.reports.into_iter().for_each(|(promise, report)| promise.set(report));
        for reason in effects.paused {
            self.notify(&Notice::DeliveryPaused { reason: reason.to_owned() });
        }
    }
}

impl Core {
    /// Feeds the pipeline what came, performs what needs the lock and notes what does not.
    fn step(&mut self, now: Now, effects: &mut Effects) -> Option<u64> {
        for (batch, reply) in mem::take(&mut self.replies) {
            self.delivery.pipeline.handle(Input::Reply { batch, reply }, now);
        }
        self.obey(now, effects);
        if self.flushes.iter().any(|flush| flush.ends_client && flush.deadline_ms <= now.mono_ms) {
            self.delivery.pipeline.abandon(DropReason::Shutdown);
            self.obey(now, effects);
        }
        self.answer_flushes(now, effects);
        self.grant_rooms(&mut effects.rooms);
        if self.closing && self.delivery.pipeline.counts().pending == 0 {
            self.driver = DriverState::Stopped;
            return None;
        }
        let deadline = self.flushes.iter().map(|flush| flush.deadline_ms).min().unwrap_or(u64::MAX);
        Some(self.delivery.pipeline.wake_at(now).min(deadline))
    }

    /// Leaves nobody waiting for a driver that is gone. After an orderly end there is nobody.
    fn end(&mut self, now: Now, effects: &mut Effects) {
        self.closing = true;
        self.driver = DriverState::Stopped;
        self.delivery.pipeline.abandon(DropReason::Driver);
        self.obey(now, effects);
        self.answer_flushes(now, effects);
        self.grant_rooms(&mut effects.rooms);
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

    fn grant_rooms(&mut self, granted: &mut Vec<Promise<()>>) {
        self.rooms.grant(&self.delivery.pipeline, self.closing, granted);
    }

    fn check_open(&self) -> Result<()> {
        if self.closing { Err(Error::new(ErrorKind::Closed, "the client was shut down")) } else { Ok(()) }
    }
}
