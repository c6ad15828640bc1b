//! The driver without its loop and its threads, for simulations that are the loop.

use std::sync::Mutex;

use super::{Effects, core::Core, inbox::Inbox};
use crate::{
    Config, ErrorKind, Event, Result,
    delivery::Outgoing,
    pipeline::{BatchId, Counts, Failure, Now, Outcome, RecordId, Reply},
    promise::lock,
    purge::{Purged, Whose},
    store::open_disk,
};

pub(crate) struct ByHand {
    core: Core,
    inbox: Mutex<Inbox>,
    config: Config,
}

/// What a step did.
pub(crate) struct Done {
    pub(crate) sends: Vec<Outgoing>,
    pub(crate) settled: Vec<(Vec<RecordId>, Outcome)>,
    /// When the next thing is due; `None`: the client has ended.
    pub(crate) wake_at: Option<u64>,
}

impl ByHand {
    pub(crate) fn new(config: Config, seed: u64) -> Result<Self> {
        let (journal, archive) = open_disk(&config)?.unzip();
        let core = Core::new(&config, archive, seed);
        let inbox = Mutex::new(Inbox::new(core.bounds(), &config, journal, core.backlog_bytes()));
        Ok(Self { core, inbox, config })
    }

    /// Where the queue is full, the oldest events make room. `false`: they are all under way.
    pub(crate) fn track(&mut self, event: &Event, now: Now) -> Result<bool> {
        let ids = event.check_ids(self.config.min_id_chars())?;
        loop {
            let taken = lock(&self.inbox).take(event, ids, None, false, now.unix_ms);
            match taken {
                Err(error) if error.kind() == ErrorKind::Full => {
                    self.core.gather(&self.inbox, now);
                    if self.core.evict(error.needed_bytes(), &self.inbox, now) == 0 {
                        return Ok(false);
                    }
                }
                taken => return taken.map(|_| true),
            }
        }
    }

    pub(crate) fn purge(&mut self, whose: Whose<'_>, now: Now) -> Result<Purged> {
        self.core.gather(&self.inbox, now);
        self.core.purge(whose, &self.inbox, now)
    }

    pub(crate) fn step(&mut self, now: Now) -> Done {
        let mut effects = Effects::default();
        let wake_at = self.core.step(&self.inbox, now, &mut effects);
        assert!(effects.problems.is_empty(), "{:?}", effects.problems);
        Done { sends: effects.sends, settled: effects.settled, wake_at }
    }

    pub(crate) fn reply(&mut self, batch: BatchId, reply: Result<Reply, Failure>) {
        self.core.replies.push((batch, reply));
    }

    pub(crate) fn flush(&mut self, now: Now) {
        self.core.gather(&self.inbox, now);
        self.core.hurry(now);
    }

    pub(crate) fn counts(&mut self, now: Now) -> Counts {
        self.core.gather(&self.inbox, now);
        self.core.counts()
    }

    /// How many bytes of records, headers and lanes are in memory.
    pub(crate) fn in_memory(&self) -> (usize, usize, usize) {
        self.core.in_memory()
    }
}
