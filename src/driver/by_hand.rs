//! The driver without its loop and its threads, for simulations that are the loop.

use std::sync::Mutex;

use super::{Effects, core::Core, inbox::Inbox};
use crate::{
    Config, Event, Result,
    delivery::Outgoing,
    pipeline::{BatchId, Counts, Failure, Now, Outcome, RecordId, Reply},
    promise::lock,
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
        let inbox = Mutex::new(Inbox::new(core.bounds(), &config, journal, core.has_backlog()));
        Ok(Self { core, inbox, config })
    }

    pub(crate) fn track(&self, event: &Event, unix_ms: u64) -> Result<()> {
        let ids = event.check_ids(self.config.min_id_chars())?;
        lock(&self.inbox).take(event, ids, None, false, unix_ms).map(drop)
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
