//! Doors for the fuzz targets of `tests/fuzz` to what is private. They exist in builds with `--cfg fuzzing` alone, which cargo-fuzz sets, and
//! are no part of the public API.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::Path,
    time::{Duration, SystemTime},
};

use reqwest::header::{HeaderMap, HeaderValue, RETRY_AFTER};

use crate::{
    Config, DiskOptions, ProjectKey, Result,
    event::text,
    limits,
    pipeline::{
        Action, Backoff, BatchId, Bounds, Counts, DropReason, Failure, Header, Input, Now, Outcome, Pipeline, PipelineConfig,
        RecordId, Rejection, Reply, id_hash,
        verdict::{self, Named, Verdict},
    },
    platform::http,
    store::{self, Archive, Journal, MemoryStore, Space},
};

#[path = "pipeline/tests/shares.rs"]
#[expect(dead_code, reason = "what its own tests use")]
mod shares;
#[path = "pipeline/tests/world.rs"]
mod world;

use world::{OK, World, config, flush, reply, take};

/// One step of a schedule: what happens, and three numbers that say how.
pub type Step = (u8, u8, u8, u32);

/// What a reply means for the events of a request, as plain data.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Judged {
    Delivered { short: bool },
    Named { ids: usize, silenced: usize, waiting: Vec<usize>, rejected: Vec<(usize, String)>, at_least: Option<Duration> },
    TooLarge,
    Unexplained,
    Later { at_least: Option<Duration> },
}

/// Judges a reply to a request of `count` events, with its `Retry-After` as the header has it.
pub fn judge(status: u16, retry_after: &str, body: &str, count: usize) -> Judged {
    let retry_after = retry_after_of(retry_after);
    match verdict::judge(&Reply { status, retry_after, body: body.to_owned() }, count) {
        Verdict::Delivered { short, .. } => Judged::Delivered { short },
        Verdict::Named(Named { ids, events, silenced, rejected, at_least, window }) => {
            assert!(window > 0, "a window that nothing fits into");
            let rejected = rejected.into_iter().map(|(index, why)| (index, field_of(why))).collect();
            Judged::Named { ids: ids.len(), silenced: silenced.len(), waiting: events, rejected, at_least }
        }
        Verdict::TooLarge => Judged::TooLarge,
        Verdict::Unexplained => Judged::Unexplained,
        Verdict::Retry { at_least } | Verdict::Fault { at_least, .. } => Judged::Later { at_least },
    }
}

/// How long a `Retry-After` asks to wait.
pub fn retry_after_of(text: &str) -> Option<Duration> {
    let value = HeaderValue::from_str(text).ok()?;
    http::retry_after(&HeaderMap::from_iter([(RETRY_AFTER, value)]), SystemTime::UNIX_EPOCH)
}

fn field_of(why: Rejection) -> String {
    match why {
        Rejection::InvalidField(field) | Rejection::MissingField(field) | Rejection::IdLength(field) => field,
        Rejection::Silenced | Rejection::TooLarge | Rejection::Unexplained => String::new(),
    }
}

/// Checks an event's text as the npm package does. Answers how many of its strings Amplitude will shorten.
///
/// # Errors
/// What is wrong with it.
pub fn check_text(event: &str) -> Result<u32> {
    text::check(event).map(|(_, long_strings)| long_strings)
}

/// Runs the pipeline through a schedule, with the model that its own tests check after every step, and then to its end.
pub fn run_schedule(steps: &[Step], rate: u32) {
    let mut world = World::new();
    steps.iter().for_each(|step| world.step(*step));
    world.finish(rate);
}

/// A disk store as a client uses it. Dropped without a word, it is what a killed process leaves.
#[expect(missing_debug_implementations, reason = "only the targets see it")]
pub struct DiskStore {
    journal: Journal,
    archive: Archive,
    memory: MemoryStore,
}

impl DiskStore {
    /// # Errors
    /// What keeps the store from being opened.
    pub fn open(dir: &Path) -> Result<Self> {
        let config = Config::new(ProjectKey::new("demo0000000000000000000000000key")?).disk(DiskOptions::new(dir));
        let (journal, archive) = store::open_disk(&config)?.expect("the configuration has one");
        Ok(Self { journal, archive, memory: MemoryStore::default() })
    }

    /// # Errors
    /// What keeps the record from being written.
    pub fn append(&mut self, record: &str) -> Result<()> {
        let bytes = u32::try_from(record.len()).unwrap_or(u32::MAX);
        let header = Header { user: Some(1), device: Some(2), bytes, tracked_secs: 0, first_attempt: 0 };
        self.journal.append(&header, record.as_bytes()).map(drop)
    }

    /// Reads back what was not read back yet: numbers and texts of records. Nothing may be left then.
    pub fn recall(&mut self) -> Vec<(RecordId, String)> {
        self.archive.learn(&self.journal.take_changes());
        let space = Space { bytes: usize::MAX, crowded: false, waits: &|_| 0, now_ms: 0 };
        let recalled = self.archive.recall(&space, &mut self.memory).records;
        assert_eq!(self.archive.backlog().records, 0, "something is said to be left");
        let mut text = |id| {
            let text = self.memory.get(id).expect("a record that was recalled is in memory");
            (id, String::from_utf8(text.to_vec()).expect("what was written is text"))
        };
        recalled.into_iter().map(|(id, _)| text(id)).collect()
    }

    /// Notes that records are settled, each with the bytes of its text.
    pub fn settle(&mut self, records: &[(RecordId, u32)]) {
        self.archive.settle(records);
    }

    /// Notes that a first attempt was made.
    pub fn attempt(&mut self, records: &[(RecordId, u32)]) {
        self.archive.attempted(records, 1_760_000_000);
    }
}
