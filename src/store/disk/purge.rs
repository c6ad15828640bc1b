//! Forgetting: records are overwritten where they stand, also those that are settled and whose segment is not gone yet.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Seek as _, Write as _},
    mem,
};

use super::{
    archive::Archive,
    folder::failed,
    frame,
    journal::{START_BYTES, record_id, segment_of},
    notes::Told,
    segment::{Segment, Walked, walk},
};
use crate::{
    Result,
    pipeline::{Header, RecordId, planted},
    store::MemoryStore,
};

/// What is to be forgotten; see [`Archive::forget`].
struct Forget<'a> {
    is_meant: &'a dyn Fn(&Header, &[u8]) -> bool,
    /// Whether a record is in memory, too.
    is_held: &'a mut dyn FnMut(RecordId) -> bool,
}

impl Archive {
    /// Overwrites the records that `is_meant` names, in all segments, and notes them as settled: also those that are under way, which no later
    /// process is to send again. Adds the numbers of those that nobody had in memory to `found`.
    ///
    /// # Errors
    /// The first of what could not be done; the rest is done.
    pub(crate) fn forget(
        &mut self,
        is_meant: &dyn Fn(&Header, &[u8]) -> bool,
        store: &mut MemoryStore,
        found: &mut Vec<RecordId>,
    ) -> Result<()> {
        let deferred = &self.deferred;
        let mut is_held = |id| store.get(id).is_some() || deferred.taken(id).is_some();
        let mut forget = Forget { is_meant, is_held: &mut is_held };
        let mut on_disk_alone = Vec::new();
        let mut result = Ok(());
        for segment in &mut self.segments {
            let forgotten = segment.forget(&mut forget, &mut on_disk_alone);
            result = result.and(forgotten);
        }
        for (id, bytes) in on_disk_alone {
            found.push(id);
            if id < self.cursor {
                self.deferred.remove(id, bytes);
            } else if let Some(segment) = self.segment(segment_of(id)) {
                segment.seen += 1;
                segment.settled_ahead += frame::HEAD as u32 + bytes;
            }
        }
        self.segments.retain(|segment| !segment.is_done() || segment.delete().is_err());
        result
    }

    /// No deferred record has a lower number.
    pub(crate) fn first_deferred(&self) -> RecordId {
        self.deferred.first()
    }

    /// Settles the oldest deferred records, until they free that many bytes of JSON. Answers their numbers, and how many bytes they did.
    pub(crate) fn evict(&mut self, bytes: u64, store: &mut MemoryStore) -> (Vec<RecordId>, u64) {
        let (mut at, mut freed, mut evicted) = (self.deferred.first(), 0, Vec::new());
        let mut buffer = mem::take(&mut self.buffer);
        while freed < bytes {
            let deferred = &self.deferred;
            let walked = walk(&mut self.segments, &mut at, self.cursor, &mut buffer, |id, frame, _| {
                if freed < bytes && store.get(id).is_none() && deferred.taken(id).is_none() {
                    freed += frame.record.len() as u64;
                    evicted.push((id, frame.record.len() as u32));
                }
                freed < bytes
            });
            match walked {
                Walked::End => break,
                Walked::On(_) => {}
                Walked::Unreadable(problem) => self.problems.extend(problem),
            }
        }
        self.buffer = buffer;
        evicted.iter().for_each(|&(id, bytes)| self.deferred.remove(id, bytes));
        self.settle(&evicted);
        (evicted.into_iter().map(|(id, _)| id).collect(), freed)
    }
}

impl Segment {
    fn forget(&mut self, forget: &mut Forget<'_>, on_disk_alone: &mut Vec<(RecordId, u32)>) -> Result<()> {
        let path = self.path();
        let unread = |error| failed("cannot be read", &path, Some(error));
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) => return Err(unread(error)),
        };
        let end = bytes.len().min(self.end as usize);
        let (mut at, mut erased) = (START_BYTES as usize, Vec::new());
        while at < end {
            let Ok(frame) = frame::read(&bytes[at..end]) else {
                at += frame::resync(&bytes[at..end]);
                continue;
            };
            // A segment is far below 4 GiB.
            let place = at as u32;
            at += frame.bytes();
            if !(forget.is_meant)(&frame.header, frame.record) {
                continue;
            }
            let id = record_id(self.number, place);
            if self.notes.settled.end_of(place).is_none() {
                if !(forget.is_held)(id) {
                    on_disk_alone.push((id, frame.record.len() as u32));
                }
                if !planted("a purge is not noted") {
                    self.notes.tell(place..at as u32, 1, Told::Settled);
                }
            }
            erased.push((place, frame.record.len() as u32));
        }
        // First the notes: what they call settled is not looked at again.
        self.notes.write().map_err(|error| failed("cannot be written", self.notes.path(), Some(error)))?;
        self.erase(&erased)
    }

    /// Overwrites records, told by their places and the bytes of their JSON, all but the mark and the length.
    fn erase(&self, records: &[(u32, u32)]) -> Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        let path = self.path();
        let erase = || {
            let mut file = OpenOptions::new().write(true).open(&path)?;
            for &(place, bytes) in records {
                let too_many = if planted("a purge overwrites the neighbour") { 8 } else { 0 };
                zero(&mut file, u64::from(place) + 8, frame::HEAD - 8 + bytes as usize + too_many)?;
            }
            file.sync_data()
        };
        erase().map_err(|error| failed("cannot be overwritten", &path, Some(error)))
    }
}

fn zero(file: &mut File, from: u64, mut bytes: usize) -> io::Result<()> {
    const ZEROS: [u8; 4096] = [0; 4096];
    file.seek(io::SeekFrom::Start(from))?;
    while bytes > 0 {
        let some = bytes.min(ZEROS.len());
        file.write_all(&ZEROS[..some])?;
        bytes -= some;
    }
    Ok(())
}
