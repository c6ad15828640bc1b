//! The pipeline and its store as one: takes records, cuts requests, tells outcomes. Both targets; what a loop drives, native or JavaScript.

use std::mem;

use crate::{
    Error, Result,
    config::Config,
    context::Envelope,
    pipeline::{Action, BatchId, DropReason, Header, Input, Now, Outage, Outcome, Pipeline, RecordId},
    purge::{Purged, Whose},
    store::{Archive, Backlog, MemoryStore, Place, Slot, Written},
};

pub(crate) struct Delivery {
    pub(crate) pipeline: Pipeline,
    pub(crate) store: MemoryStore,
    /// What is on the disk, where the records are kept there too.
    archive: Option<Archive>,
    /// What was on the disk alone when it was closed.
    left: Backlog,
    envelope: Envelope,
    /// The run of failures that the disk knows of, and whether that is an earlier process's, which this one has not taken up yet.
    outage: Outage,
    resumes: bool,
    /// Requests that are loaded and not yet on their way.
    loaded: Vec<Outgoing>,
    /// What was told as given up and is settled next.
    given_up: Option<(Vec<RecordId>, Outcome)>,
}

/// A request and the records in it.
pub(crate) struct Outgoing {
    pub(crate) batch: BatchId,
    pub(crate) ids: Vec<RecordId>,
    pub(crate) body: Vec<u8>,
}

/// What a loop is to do, or to tell.
pub(crate) enum Effect {
    /// Send it, then feed [`Input::Reply`].
    Send(Outgoing),
    /// These events are about to be forgotten, and nobody has them: their texts, for who keeps dead letters.
    GivenUp { events: Vec<Vec<u8>>, outcome: Outcome },
    /// The outcome of these records is known.
    Settled { ids: Vec<RecordId>, outcome: Outcome },
    /// Delivery is paused, and why.
    Paused { reason: &'static str },
}

impl Delivery {
    pub(crate) fn new(config: &Config, archive: Option<Archive>, seed: u64) -> Self {
        let envelope = Envelope::new(&config.key, config.min_id_length);
        let pipeline = Pipeline::new(config.pipeline(envelope.bytes(), archive.is_some()), seed);
        let outage = archive.as_ref().map_or(Outage::default(), Archive::outage);
        Self {
            pipeline,
            store: MemoryStore::default(),
            archive,
            left: Backlog::default(),
            outage,
            resumes: outage != Outage::default(),
            envelope,
            loaded: Vec::new(),
            given_up: None,
        }
    }

    /// Takes over records that were checked against the bounds, with the store that holds them.
    pub(crate) fn take(&mut self, records: &[(RecordId, Header)], store: &mut MemoryStore, now: Now) {
        self.store.absorb(store);
        self.enter(records, now);
    }

    fn enter(&mut self, records: &[(RecordId, Header)], now: Now) {
        for &(id, header) in records {
            self.pipeline.take(id, header);
            self.pipeline.stored(id, true, now);
        }
    }

    /// Hears what was written to the disk; `here`: what of it also came into memory.
    pub(crate) fn learn(&mut self, changes: &[Written], here: Option<Place>) {
        if let Some(archive) = &mut self.archive {
            archive.learn(changes);
            if let Some(place) = here {
                archive.skip_to(place);
            }
        }
    }

    /// Reads back what stands on the disk alone, up to that many bytes. Answers how many records broken files have lost.
    pub(crate) fn recall(&mut self, most: usize, now: Now) -> u64 {
        let Some(archive) = &mut self.archive else { return 0 };
        let records = archive.recall(most, &mut self.store);
        let lost = archive.take_lost();
        self.enter(&records, now);
        self.pipeline.count_dropped(lost, DropReason::Store);
        lost
    }

    /// Forgets events: what waits in memory and on the disk, and what of it is still in files though its outcome is known. Counts them in
    /// `purged`.
    ///
    /// # Errors
    /// When a file could not be overwritten; the rest is done.
    pub(crate) fn purge(&mut self, whose: Whose<'_>, purged: &mut Purged, now: Now) -> Result<()> {
        let store = &mut self.store;
        let mut text = Vec::new();
        let mut is_meant = |id| {
            text.clear();
            store.load(&[id], &mut text) && whose.is(&text)
        };
        let (given_up, under_way) = self.pipeline.purge(&mut is_meant, now);
        let mut unknown = Vec::new();
        let mut result = Ok(());
        if let Some(archive) = &mut self.archive {
            let may_be = whose.may_be();
            let is_meant = |header: &Header, event: &[u8]| may_be(header) && whose.is(event);
            result = archive.forget(&is_meant, &given_up, &under_way, &mut unknown);
        }
        purged.events += (given_up.len() + unknown.len()) as u64;
        purged.under_way += under_way.len() as u64;
        self.pipeline.purge_unknown(unknown);
        result
    }

    /// What stands on the disk alone.
    pub(crate) fn backlog(&self) -> Backlog {
        self.archive.as_ref().map_or(self.left, Archive::backlog)
    }

    /// What the disk store has to say.
    pub(crate) fn take_problems(&mut self) -> Vec<Error> {
        self.archive.as_mut().map(Archive::take_problems).unwrap_or_default()
    }

    /// Lets go of the disk, for the next client. What is settled goes with the last segment's end.
    pub(crate) fn close(&mut self) {
        if let Some(mut archive) = self.archive.take() {
            archive.settle(&[]);
            self.left = archive.backlog();
        }
    }

    /// Parts of the folder that processes have left since it was opened, with records in them.
    pub(crate) fn find_left(&self) -> Vec<Slot> {
        self.archive.as_ref().map(Archive::find_left).unwrap_or_default()
    }

    /// Takes over what they left, behind what the journal has written. Answers the number of the journal's next segment.
    pub(crate) fn adopt(&mut self, left: Vec<Slot>) -> u32 {
        self.archive.as_mut().map_or(0, |archive| archive.adopt_left(left))
    }

    /// Gives up all that is in memory, or lets go of it where the disk keeps it.
    pub(crate) fn abandon(&mut self, reason: DropReason) {
        self.pipeline.abandon(self.archive.is_none().then_some(reason));
    }

    /// Has the next process know of a run of failures.
    pub(crate) fn note_outage(&mut self, now: Now) {
        if let Some(archive) = &mut self.archive {
            let outage = self.pipeline.outage(now);
            if outage.failures != self.outage.failures {
                archive.note_outage(outage);
                self.outage = outage;
            }
        }
    }

    /// The next thing to do, until `None`.
    pub(crate) fn next(&mut self, now: Now) -> Option<Effect> {
        if mem::take(&mut self.resumes) {
            self.pipeline.resume(self.outage, now);
        }
        if let Some((ids, outcome)) = self.given_up.take() {
            return Some(self.settle(ids, outcome));
        }
        loop {
            match self.pipeline.next(now)? {
                Action::Load { batch, ids, bytes } => {
                    let mut body = Vec::with_capacity(bytes);
                    self.envelope.open(&mut body);
                    if self.store.load(&ids, &mut body) {
                        self.loaded.push(Outgoing { batch, ids, body });
                        self.pipeline.handle(Input::Loaded { batch }, now);
                    } else {
                        self.pipeline.handle(Input::LoadFailed { batch, lost: Vec::new() }, now);
                    }
                }
                Action::Send { batch } => {
                    if let Some(at) = self.loaded.iter().position(|loaded| loaded.batch == batch) {
                        let mut outgoing = self.loaded.swap_remove(at);
                        self.envelope.close(&mut outgoing.body, now.unix_ms);
                        if let Some(archive) = &mut self.archive {
                            let secs = u32::try_from(now.unix_ms / 1000).unwrap_or(u32::MAX);
                            archive.attempted(&self.store.sized(&outgoing.ids), secs);
                        }
                        return Some(Effect::Send(outgoing));
                    }
                }
                Action::Settle { ids, outcome } if outcome.makes_a_dead_letter() => {
                    let events = ids.iter().map(|id| self.text(*id)).collect();
                    self.given_up = Some((ids, outcome.clone()));
                    return Some(Effect::GivenUp { events, outcome });
                }
                Action::Settle { ids, outcome } => return Some(self.settle(ids, outcome)),
                Action::NotAttempted { ids } => {
                    if let Some(archive) = &mut self.archive {
                        archive.not_attempted(&self.store.sized(&ids));
                    }
                }
                Action::Paused { reason } => return Some(Effect::Paused { reason }),
            }
        }
    }

    fn text(&mut self, id: RecordId) -> Vec<u8> {
        let mut text = Vec::new();
        self.store.load(&[id], &mut text);
        text
    }

    fn settle(&mut self, ids: Vec<RecordId>, outcome: Outcome) -> Effect {
        if let Some(archive) = &mut self.archive
            && outcome != Outcome::Kept
        {
            archive.settle(&self.store.sized(&ids));
        }
        self.store.settle(&ids);
        Effect::Settled { ids, outcome }
    }

    /// The records that are not settled, as the text of one JSON array: UTF-8, as its records are.
    pub(crate) fn pending_json(&self) -> Vec<u8> {
        let mut text = vec![b'['];
        self.store.load_all(&mut text);
        text.push(b']');
        text
    }
}
