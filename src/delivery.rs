//! The pipeline and its store as one: takes records, cuts requests, tells outcomes. Both targets; what a loop drives, native or JavaScript.

use std::mem;

use crate::{
    Error, Result,
    config::Config,
    context::Envelope,
    pipeline::{Action, BatchId, DropReason, Header, Input, Now, Outage, Outcome, Pipeline, RecordId},
    purge::{Purged, Whose},
    store::{Archive, Backlog, DiskOptions, Left, MemoryStore, Place, Space, Written},
};

pub(crate) struct Delivery {
    pub(crate) pipeline: Pipeline,
    pub(crate) store: MemoryStore,
    /// What is on the disk, where the records are kept there too.
    archive: Option<Archive>,
    /// How much is held in memory, at most, of what the disk keeps.
    memory_bound: usize,
    /// What was on the disk alone when it was closed.
    left: Backlog,
    envelope: Envelope,
    /// The run of failures that the disk knows of, and whether that is an earlier process's, which this one has not taken up yet.
    outage: Outage,
    resumes: bool,
    /// Requests that are loaded and not yet on their way.
    loaded: Vec<Outgoing>,
    /// What was told as settled last; its texts go with the next call.
    settled: Option<(Vec<RecordId>, bool)>,
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
    /// The outcome of these records is known. They are forgotten by the next call; until then [`Delivery::text`] has them.
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
            memory_bound: config.disk.as_ref().map_or(0, DiskOptions::memory_bound),
            left: Backlog::default(),
            outage,
            resumes: outage != Outage::default(),
            envelope,
            loaded: Vec::new(),
            settled: None,
        }
    }

    /// Takes over records that were checked against the bounds, with the store that holds them.
    pub(crate) fn take(&mut self, records: &[(RecordId, Header)], store: &mut MemoryStore, now: Now) {
        self.store.absorb(store);
        for &(id, header) in records {
            match &mut self.archive {
                Some(archive) if archive.must_defer(header.lane()) => {
                    archive.defer(id, &header, self.pipeline.waits(&header, now));
                    self.store.settle(&[id]);
                }
                _ => self.enter(id, header, now),
            }
        }
    }

    fn enter(&mut self, id: RecordId, header: Header, now: Now) {
        self.pipeline.take(id, header);
        self.pipeline.stored(id, true, now);
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

    /// Reads back what stands on the disk alone, up to that many bytes. Answers how many records broken files have lost, and
    /// whether it may go on at once.
    pub(crate) fn recall(&mut self, bytes: usize, now: Now) -> (u64, bool) {
        let Some(archive) = self.archive.as_mut().filter(|_| bytes > 0) else { return (0, false) };
        let pipeline = &self.pipeline;
        let space = Space {
            bytes,
            crowded: pipeline.waiting_bytes() >= self.memory_bound / 4,
            waits: &|header| pipeline.waits(header, now),
            now_ms: now.mono_ms,
        };
        let recalled = archive.recall(&space, &mut self.store);
        let lost = archive.take_lost();
        for (index, &(id, header)) in recalled.records.iter().enumerate() {
            self.enter(id, header, now);
            if index + 1 == recalled.late {
                self.pipeline.make_due(now);
            }
        }
        self.pipeline.count_dropped(lost, DropReason::Store);
        (lost, recalled.more)
    }

    /// How many bytes may be read back; 0: memory has no room. Records that only wait for the time of their ids take up a half of it at most,
    /// so that there is room again when the others are gone.
    pub(crate) fn room(&self) -> usize {
        if self.archive.is_none() {
            return 0;
        }
        let bound = self.memory_bound;
        let (pending, waiting) = (self.pipeline.counts().pending_bytes as usize, self.pipeline.waiting_bytes());
        if pending >= bound / 2 && pending - waiting >= bound / 4 {
            return 0;
        }
        bound.saturating_sub(pending).min(bound / 2)
    }

    /// When it is time to look for what was deferred, if there is room for it; [`u64::MAX`]: not before something happens.
    pub(crate) fn sweep_at(&self) -> u64 {
        self.archive.as_ref().filter(|_| self.room() > 0).map_or(u64::MAX, Archive::sweep_at)
    }

    /// Leaves to the disk alone what takes up too much of memory only to wait.
    fn shed(&mut self, now: Now) {
        let Some(archive) = &mut self.archive else { return };
        if self.pipeline.waiting_bytes() <= self.memory_bound / 2 {
            return;
        }
        let shed = self.pipeline.shed(self.memory_bound / 8 * 3);
        for (id, header) in &shed {
            archive.defer(*id, header, self.pipeline.waits(header, now));
        }
        self.store.settle(&shed.iter().map(|(id, _)| *id).collect::<Vec<_>>());
    }

    /// Gives up the oldest events that are not under way, until they free that many bytes. Of those that were deferred, all before the others
    /// that are newer than the first of them. Answers how many bytes they did.
    pub(crate) fn evict(&mut self, bytes: u64, now: Now) -> u64 {
        let first_deferred = self.archive.as_ref().map_or(RecordId::MAX, Archive::first_deferred);
        let mut freed = self.pipeline.evict(bytes, first_deferred, now);
        if let Some(archive) = &mut self.archive
            && freed < bytes
        {
            let (evicted, more) = archive.evict(bytes - freed, &mut self.store);
            self.pipeline.drop_on_disk(evicted, DropReason::Evicted);
            freed += more;
            if freed < bytes {
                freed += self.pipeline.evict(bytes - freed, RecordId::MAX, now);
            }
        }
        freed
    }

    /// Forgets events: what waits in memory and on the disk, and what of it is still in files though its outcome is known. Counts them in
    /// `purged`.
    ///
    /// # Errors
    /// When a file could not be overwritten; the rest is done.
    pub(crate) fn purge(&mut self, whose: Whose<'_>, purged: &mut Purged, now: Now) -> Result<()> {
        let (store, archive) = (&mut self.store, &self.archive);
        let mut is_meant = |id| find(store, archive, id).is_some_and(|event| whose.is(event));
        let (given_up, under_way) = self.pipeline.purge(&mut is_meant, now);
        let mut on_disk = Vec::new();
        let mut result = Ok(());
        if let Some(archive) = &mut self.archive {
            let may_be = whose.may_be();
            let is_meant = |header: &Header, event: &[u8]| may_be(header) && whose.is(event);
            result = archive.forget(&is_meant, &mut self.store, &mut on_disk);
        }
        purged.events += (given_up + on_disk.len()) as u64;
        purged.under_way += under_way as u64;
        self.pipeline.drop_on_disk(on_disk, DropReason::Purged);
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

    /// Parts of the folder that processes have left since it was opened, and how many segments they hold.
    pub(crate) fn find_left(&mut self) -> (Vec<Left>, u32) {
        self.archive.as_mut().map(Archive::find_left).unwrap_or_default()
    }

    /// Takes over what they left, behind what the journal has written and before what it writes next, for which it has made way. No record
    /// that was taken over has a higher number than the answer.
    pub(crate) fn adopt(&mut self, left: Vec<Left>) -> RecordId {
        let Some(archive) = &mut self.archive else { return 0 };
        archive.adopt_left(left);
        archive.last_id()
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
        if let Some((ids, stays)) = self.settled.take() {
            self.forget(&ids, stays);
        }
        loop {
            let Some(action) = self.pipeline.next(now) else {
                self.shed(now);
                return None;
            };
            match action {
                Action::Load { batch, ids, bytes } => {
                    let mut body = Vec::with_capacity(bytes);
                    self.envelope.open(&mut body);
                    if self.load(&ids, &mut body) {
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
                        let secs = u32::try_from(now.unix_ms / 1000).unwrap_or(u32::MAX);
                        self.tell(&outgoing.ids, |archive, records| archive.attempted(records, secs));
                        return Some(Effect::Send(outgoing));
                    }
                }
                Action::Settle { ids, outcome } => {
                    self.settled = Some((ids.clone(), outcome == Outcome::Kept));
                    return Some(Effect::Settled { ids, outcome });
                }
                Action::NotAttempted { ids } => self.tell(&ids, Archive::not_attempted),
                Action::Paused { reason } => return Some(Effect::Paused { reason }),
            }
        }
    }

    /// The text of a record that is in memory.
    pub(crate) fn text(&mut self, id: RecordId) -> Option<&[u8]> {
        find(&mut self.store, &self.archive, id)
    }

    /// `stays`: the disk keeps them for the next client.
    fn forget(&mut self, ids: &[RecordId], stays: bool) {
        if !stays {
            self.tell(ids, Archive::settle);
        }
        self.store.settle(ids);
    }

    /// Appends the records to a body, with commas between them; answers whether all were there.
    fn load(&mut self, ids: &[RecordId], body: &mut Vec<u8>) -> bool {
        for (index, &id) in ids.iter().enumerate() {
            if index > 0 {
                body.push(b',');
            }
            let Some(record) = find(&mut self.store, &self.archive, id) else { return false };
            body.extend_from_slice(record);
        }
        true
    }

    /// Has the archive note what became of records, which it hears with their sizes.
    fn tell(&mut self, ids: &[RecordId], note: impl FnOnce(&mut Archive, &[(RecordId, u32)])) {
        if self.archive.is_none() {
            return;
        }
        let size = |&id: &RecordId| find(&mut self.store, &self.archive, id).map(|record| (id, record.len() as u32));
        let sized: Vec<_> = ids.iter().filter_map(size).collect();
        if let Some(archive) = &mut self.archive {
            note(archive, &sized);
        }
    }

    /// How many bytes of records, headers and lanes are in memory.
    #[cfg(test)]
    pub(crate) fn in_memory(&self) -> (usize, usize, usize) {
        let late = self.archive.as_ref().map_or(0, Archive::late_bytes);
        let (headers, lanes) = self.pipeline.held();
        (self.store.live_bytes() + late, headers, lanes)
    }

    /// The records that are not settled, as the text of one JSON array: UTF-8, as its records are.
    pub(crate) fn pending_json(&self) -> Vec<u8> {
        let mut text = vec![b'['];
        self.store.load_all(&mut text);
        text.push(b']');
        text
    }
}

/// The JSON of a record in memory. What the disk store read out of its order is there.
fn find<'a>(store: &'a mut MemoryStore, archive: &'a Option<Archive>, id: RecordId) -> Option<&'a [u8]> {
    store.get(id).or_else(|| archive.as_ref()?.late(id))
}
