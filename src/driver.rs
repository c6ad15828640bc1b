//! The loop of the Rust client, on both targets: it asks the pipeline for actions, performs them, and sleeps until the next is due. (The npm
//! package has its loop in JavaScript.)
//!
//! [`Shared`] is what clients and the loop hold in common. Everything that decides is in `pipeline`; here is only doing.

#[cfg(test)]
pub(crate) mod by_hand;
mod core;
mod inbox;
mod receipts;
mod rooms;

use std::{
    future::{Future, poll_fn},
    mem,
    ops::Deref,
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU32, Ordering},
    },
    task::Poll,
    time::Duration,
};

use self::{
    core::Core,
    inbox::{DriverState, Inbox},
    receipts::Receipts,
};
use crate::{
    Error, ErrorKind, Event, Result,
    config::{Config, WhenFull},
    dead_letters::DeadLetter,
    delivery::Outgoing,
    pipeline::{BatchId, Counts, Failure, Outcome, RecordId, Reply, Report},
    platform::{self, Driver, Transport},
    plugin::{Notice, Progress},
    promise::{Promise, Signal, lock},
    purge::{Purged, Whose},
    receipt::Receipt,
    store::{SyncFile, open_disk, sync},
};

pub(crate) use self::rooms::Ticket;

/// One client's state, shared by its clones and its driver.
pub(crate) struct Shared {
    pub(crate) config: Config,
    inbox: Mutex<Inbox>,
    core: Mutex<Core>,
    signal: Signal,
    /// The process that has the driver, or the disk; 0: none yet.
    process: AtomicU32,
}

impl Shared {
    pub(crate) fn new(config: Config) -> Result<Self> {
        let mut seed = [0; 8];
        platform::fill_random(&mut seed);
        let (journal, archive) = open_disk(&config)?.unzip();
        let core = Core::new(&config, archive, u64::from_le_bytes(seed));
        let inbox = Inbox::new(core.bounds(), &config, journal, core.backlog_bytes());
        let process = AtomicU32::new(if config.disk.is_some() { platform::process_id() } else { 0 });
        Ok(Self { inbox: Mutex::new(inbox), core: Mutex::new(core), config, signal: Signal::default(), process })
    }

    /// Delivers what an earlier process left on the disk, without waiting for the first event.
    pub(crate) fn go_on(self: &Arc<Self>) -> Result<()> {
        if lock(&self.core).backlog_bytes() == 0 {
            return Ok(());
        }
        self.start_driver_once(&mut lock(&self.inbox))
    }

    /// Whether events are still taken.
    pub(crate) fn check_open(&self) -> Result<()> {
        self.check_process()?;
        lock(&self.inbox).check_open()
    }

    /// Checks an event against the configuration, seals it and queues it. A ticket is a place in the line for room, which this gives up.
    pub(crate) fn admit(self: &Arc<Self>, event: Event, want_receipt: bool, ticket: Option<Ticket>) -> Result<Option<Receipt>> {
        match self.try_admit(&event, want_receipt, ticket) {
            Ok(receipt) => Ok(receipt),
            Err(error) => Err(error.with_event(event)),
        }
    }

    fn try_admit(self: &Arc<Self>, event: &Event, want_receipt: bool, ticket: Option<Ticket>) -> Result<Option<Receipt>> {
        let ids = event.check_ids(self.config.min_id_chars())?;
        self.config.long_strings.check(event.long_strings())?;
        self.check_process()?;
        let unix_ms = platform::unix_ms();
        let take = || {
            let mut inbox = lock(&self.inbox);
            inbox.check_open()?;
            self.start_driver_once(&mut inbox)?;
            inbox.take(event, ids, ticket, want_receipt, unix_ms)
        };
        let mut taken = take();
        while let Err(error) = &taken
            && error.kind() == ErrorKind::Full
            && self.config.when_full == WhenFull::DropOldest
        {
            let freed = self.core().evict(error.needed_bytes(), &self.inbox, platform::now());
            self.signal.notify();
            taken = take();
            // Otherwise another call took the room, or it is kept for one that waits.
            if freed == 0 {
                break;
            }
        }
        let taken = taken?;
        if taken.wake {
            self.signal.notify();
        }
        if taken.long_string {
            self.notify(&Notice::LongString { event_type: event.event_type().into_owned() });
        }
        Ok(taken.receipt)
    }

    fn start_driver_once(self: &Arc<Self>, inbox: &mut Inbox) -> Result<()> {
        if inbox.driver != DriverState::NotStarted {
            return Ok(());
        }
        let transport = Arc::new(Transport::new(&self.config)?);
        Driver::start(run(Arc::clone(self), transport))?;
        self.process.store(platform::process_id(), Ordering::Relaxed);
        inbox.driver = DriverState::Running;
        Ok(())
    }

    /// A forked process has no driver, its files are its parent's, and its locks may be held by threads that it does not have.
    fn check_process(&self) -> Result<()> {
        let process = self.process.load(Ordering::Relaxed);
        if process == 0 || process == platform::process_id() {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Closed,
            "the process was forked after the client was used, or its disk store opened: make a client in the child",
        ))
    }

    /// The core, with all that was tracked before this call.
    fn core(&self) -> MutexGuard<'_, Core> {
        let now = platform::now();
        let mut core = lock(&self.core);
        core.gather(&self.inbox, now);
        if core.must_wake(now) || core.rearm(&self.inbox, now) {
            self.signal.notify();
        }
        core
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

    pub(crate) fn count_plugin_drop(&self) {
        lock(&self.inbox).contents.dropped_by_plugins += 1;
    }

    pub(crate) fn counts(&self) -> Counts {
        if self.check_process().is_err() {
            return Counts::default();
        }
        self.core().counts()
    }

    pub(crate) fn pending_json(&self) -> String {
        if self.check_process().is_err() {
            return String::from("[]");
        }
        let text = self.core().pending_json();
        String::from_utf8(text).unwrap_or_default()
    }

    /// Keeps when there is room for that many bytes beside what others wait for.
    pub(crate) fn wait_for_room(&self, bytes: usize) -> Promise<()> {
        self.change_line(|inbox| inbox.wait_for_room(bytes))
    }

    /// A place in the line for room, and when it is there.
    pub(crate) fn join_line(&self, bytes: usize) -> (Ticket, Promise<()>) {
        self.change_line(|inbox| inbox.join_line(bytes))
    }

    pub(crate) fn leave_line(&self, ticket: Ticket) {
        self.change_line(|inbox| inbox.leave_line(ticket));
    }

    /// Whoever changes the line sees to it himself: the driver has no reason to wake for it.
    fn change_line<T>(&self, change: impl FnOnce(&mut Inbox) -> T) -> T {
        let mut granted = Vec::new();
        let answer = {
            let mut inbox = lock(&self.inbox);
            let answer = change(&mut inbox);
            inbox.grant_rooms(&mut granted);
            answer
        };
        granted.into_iter().for_each(|room| room.set(()));
        answer
    }

    pub(crate) fn dead_letters(&self) -> Result<Vec<DeadLetter>> {
        self.check_process()?;
        let (letters, broken) = self.core().dead_letters()?;
        if broken > 0 {
            let reason = format!("disk store: {broken} lines of the dead letters cannot be read");
            self.notify(&Notice::Store { reason });
        }
        Ok(letters)
    }

    pub(crate) fn purge(self: &Arc<Self>, whose: Whose<'_>) -> Result<Purged> {
        self.check_open()?;
        let purged = self.core().purge(whose, &self.inbox, platform::now());
        // It has taken over what others left, which is this client's to deliver now.
        let started = self.go_on();
        self.signal.notify();
        started.and(purged)
    }

    pub(crate) fn discard(&self, letter: &DeadLetter) -> Result<()> {
        self.check_process()?;
        self.core().discard(letter)
    }

    pub(crate) fn online(&self) {
        if self.check_process().is_ok() {
            self.core().online(platform::now());
            self.signal.notify();
        }
    }

    pub(crate) fn flush(&self, deadline: Duration) -> Promise<Report> {
        self.flush_all(deadline, false)
    }

    pub(crate) fn shutdown(&self, deadline: Duration) -> Promise<Report> {
        self.flush_all(deadline, true)
    }

    fn flush_all(&self, deadline: Duration, ends_client: bool) -> Promise<Report> {
        if self.check_process().is_err() {
            // Nothing was taken in this process; what waits is the parent's.
            let promise = Promise::new();
            promise.set(Report::default());
            return promise;
        }
        if ends_client {
            lock(&self.inbox).closing = true;
        }
        let (promise, work) = self.core().flush(deadline, ends_client, platform::now());
        if work {
            self.signal.notify();
        }
        promise
    }

    /// The last handle is gone: what waits is sent without delay, then the driver ends.
    pub(crate) fn close(&self) {
        if self.check_process().is_err() {
            return;
        }
        lock(&self.inbox).closing = true;
        self.core().hurry(platform::now());
        self.signal.notify();
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
        lock(&self.core).end(&self.inbox, platform::now(), &mut effects);
        // What is on the disk is for the next client, before anybody hears of the end.
        lock(&self.core).close(&self.inbox, platform::now());
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
    problems: Vec<Error>,
    sync: Option<Sync>,
}

/// Files to bring to the disk itself, and the receipts that wait for it.
struct Sync {
    files: Vec<SyncFile>,
    receipts: Vec<Receipt>,
}

impl Shared {
    /// Performs all that is due. Answers when the next may be, or `None` when the driver has nothing left to do, ever.
    fn step(self: &Arc<Self>, transport: &Arc<Transport>) -> Option<u64> {
        let mut effects = Effects::default();
        let next = lock(&self.core).step(&self.inbox, platform::now(), &mut effects);
        if next.is_none() {
            // Before anybody hears of the end.
            lock(&self.core).close(&self.inbox, platform::now());
        }
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
        if let Some(Sync { files, receipts }) = effects.sync {
            let synced = sync(&files).inspect_err(|error| self.notify(&Notice::Store { reason: error.with_reasons() }));
            let stored = synced.map_err(|error| error.kind());
            receipts.into_iter().for_each(|receipt| receipt.stored.set(stored));
        }
        for (ids, outcome) in &effects.settled {
            self.progress(&Progress::Settled { ids, outcome });
        }
        effects.receipts.into_iter().for_each(|(receipt, outcome)| receipt.settled.set(outcome));
        effects.rooms.into_iter().for_each(|room| room.set(()));
        effects.reports.into_iter().for_each(|(promise, report)| promise.set(report));
        for problem in effects.problems {
            self.notify(&Notice::Store { reason: problem.with_reasons() });
        }
        for reason in effects.paused {
            let at = self.config.origin();
            let reason = if at.is_empty() { reason.to_owned() } else { [reason, " (", &at, ")"].concat() };
            self.notify(&Notice::DeliveryPaused { reason });
        }
    }
}
