//! The driver's end: knows what stands in the segments, notes what became of records, gives settled segments back. `recall` reads records back
//! for it, `purge` overwrites them.

use std::{mem, path::PathBuf, sync::Arc};

use super::{
    deferred::Deferred,
    folder::{self, Left, Slot, failed},
    frame,
    journal::{Place, START_BYTES, Written, offset_of, record_id, segment_of},
    notes::{Notes, Told},
    outage,
    segment::Segment,
};
use crate::{
    Error,
    pipeline::{Outage, RecordId, planted},
};

/// What stands in files alone.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Backlog {
    pub(crate) records: u64,
    /// Of JSON.
    pub(crate) bytes: u64,
}

impl Backlog {
    pub(super) fn add(&mut self, bytes: u32) {
        self.records += 1;
        self.bytes += u64::from(bytes);
    }

    pub(super) fn remove(&mut self, bytes: u32) {
        self.records = self.records.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(u64::from(bytes));
    }
}

pub(crate) struct Archive {
    own: Arc<Slot>,
    binding: u64,
    /// By number.
    pub(super) segments: Vec<Segment>,
    /// Numbers of those whose notes are to be written, or that may be done.
    touched: Vec<u32>,
    /// The highest number that a segment has had; a segment that is gone does not give its number back.
    newest: u32,
    /// Where the next record stands that is not in memory.
    pub(super) cursor: RecordId,
    pub(super) deferred: Deferred,
    pub(super) buffer: Vec<u8>,
    /// What the owner must hear: each says what cannot be read or written.
    pub(super) problems: Vec<Error>,
    /// Folders with segments that cannot be taken over.
    left_alone: Vec<(PathBuf, Vec<u32>)>,
    /// Records that a broken file has lost.
    pub(super) lost: u64,
}

impl Archive {
    /// Finds what earlier processes left.
    pub(super) fn open(own: Slot, left: Vec<Slot>, binding: u64, memory_bytes: usize) -> Self {
        let own = Arc::new(own);
        let mut archive = Self {
            own: Arc::clone(&own),
            binding,
            segments: Vec::new(),
            touched: Vec::new(),
            newest: 0,
            cursor: 0,
            deferred: Deferred::new(memory_bytes),
            buffer: Vec::new(),
            problems: Vec::new(),
            left_alone: Vec::new(),
            lost: 0,
        };
        for slot in [own].into_iter().chain(left.into_iter().map(Arc::new)) {
            if planted("the journal of the last process is forgotten") {
                break;
            }
            match folder::segments(&slot.path) {
                Ok(names) => archive.adopt(&slot, &names),
                Err(error) => archive.problems.push(error),
            }
        }
        archive.cursor = archive.segments.first().map_or(0, |first| record_id(first.number, START_BYTES));
        archive
    }

    /// Parts of the folder that processes have left since, and how many segments they hold.
    pub(crate) fn find_left(&mut self) -> (Vec<Left>, u32) {
        let left = self.own.left_beside(&self.left_alone);
        let segments: usize = left.iter().map(|left| left.names.len()).sum();
        (left, u32::try_from(segments).unwrap_or(u32::MAX))
    }

    /// Takes over what they left, under the numbers behind those that are known.
    pub(crate) fn adopt_left(&mut self, left: Vec<Left>) {
        for Left { slot, names } in left {
            self.adopt(&Arc::new(slot), &names);
        }
    }

    /// What cannot be taken over stays where it is, is told once, and does not keep the rest from going.
    fn adopt(&mut self, slot: &Arc<Slot>, names: &[u32]) {
        if let Err(error) = folder::remove_orphans(&slot.path) {
            self.problems.push(error);
        }
        let mut left_alone = Vec::new();
        for &name in names {
            let number = self.next_number();
            match Segment::open(number, slot, name, self.binding) {
                Ok(Some(mut segment)) => {
                    if let Err(error) = segment.notes.write() {
                        self.problems.push(failed("cannot be written", segment.notes.path(), Some(error)));
                        self.touched.push(number);
                    }
                    self.newest = number;
                    self.segments.push(segment);
                }
                Ok(None) => {}
                Err(error) => {
                    self.problems.push(error);
                    left_alone.push(name);
                }
            }
        }
        if !left_alone.is_empty() {
            self.left_alone.retain(|(path, _)| *path != slot.path);
            self.left_alone.push((slot.path.clone(), left_alone));
        }
    }

    /// Numbers up to that one are taken.
    pub(super) fn reserve(&mut self, number: u32) {
        self.newest = self.newest.max(number);
    }

    pub(super) fn own(&self) -> Arc<Slot> {
        Arc::clone(&self.own)
    }

    pub(super) fn next_number(&self) -> u32 {
        self.newest.saturating_add(1)
    }

    /// Hears how far the journal has written.
    pub(crate) fn learn(&mut self, changes: &[Written]) {
        for change in changes {
            if self.newest < change.number {
                self.newest = change.number;
                self.segments.push(Segment::written(change.number, &self.own));
            }
            if let Some(segment) = self.segment(change.number) {
                segment.end = change.end;
                segment.records = change.records;
                if change.closed {
                    segment.close();
                    self.touch(change.number);
                }
            }
        }
        if self.cursor == 0 {
            self.cursor = self.segments.first().map_or(0, |first| record_id(first.number, START_BYTES));
        }
    }

    /// What was tracked from the cursor to that place is in memory.
    pub(crate) fn skip_to(&mut self, place: Place) {
        let (from, to) = (segment_of(self.cursor), segment_of(place.next));
        for segment in self.segments.iter_mut().filter(|segment| (from..=to).contains(&segment.number)) {
            let here = segment.number == to && !planted("what was spilled counts as read");
            segment.seen = if here { place.records } else { segment.records };
            segment.settled_ahead = 0;
        }
        self.cursor = self.cursor.max(place.next);
        if planted("what was spilled counts as read") {
            self.cursor = self.last_id();
        }
    }

    pub(crate) fn backlog(&self) -> Backlog {
        let (ahead, deferred) = (self.ahead(), self.deferred.backlog());
        Backlog { records: ahead.records + deferred.records, bytes: ahead.bytes + deferred.bytes }
    }

    /// What stands from the cursor on.
    pub(super) fn ahead(&self) -> Backlog {
        let mut backlog = Backlog::default();
        let from = self.segments.partition_point(|segment| segment.number < segment_of(self.cursor));
        for segment in &self.segments[from..] {
            let records = segment.records.saturating_sub(segment.seen);
            let start = if segment.number == segment_of(self.cursor) { offset_of(self.cursor) } else { START_BYTES };
            let in_file = segment.end.saturating_sub(start).saturating_sub(segment.settled_ahead);
            let bytes = u64::from(in_file).saturating_sub(frame::HEAD as u64 * u64::from(records));
            backlog.records += u64::from(records);
            // Never nothing, or it would look as if all of them were in memory.
            backlog.bytes += if records > 0 { bytes.max(1) } else { 0 };
        }
        backlog
    }

    /// No record has a higher number.
    pub(crate) fn last_id(&self) -> RecordId {
        record_id(self.newest.saturating_add(1), 0)
    }

    /// Notes that these records are settled, and deletes segments that hold no others. Records come with the bytes of their JSON.
    pub(crate) fn settle(&mut self, records: &[(RecordId, u32)]) {
        self.tell(records, Told::Settled, |notes, at| notes.settled.end_of(at).is_none());
        records.iter().for_each(|(id, _)| self.deferred.settle(*id));
        for number in mem::take(&mut self.touched) {
            let Some(at) = self.position(number) else { continue };
            let segment = &self.segments[at];
            if segment.is_done() && segment.delete().is_ok() {
                self.segments.remove(at);
            } else if segment.is_done() || segment.notes.has_unwritten() {
                // Next time.
                self.touched.push(number);
            }
        }
    }

    /// Notes when the first attempt was made at those of the records that had none.
    pub(crate) fn attempted(&mut self, records: &[(RecordId, u32)], secs: u32) {
        self.tell(records, Told::Attempted(secs), |notes, at| notes.first_attempt(at) == 0);
    }

    /// Notes that the last attempt did not reach the server, for those that it was the first of.
    pub(crate) fn not_attempted(&mut self, records: &[(RecordId, u32)]) {
        self.tell(records, Told::NotAttempted, |notes, at| notes.first_attempt(at) != 0);
    }

    /// One note for records that stand one behind the other.
    fn tell(&mut self, records: &[(RecordId, u32)], told: Told, wanted: impl Fn(&Notes, u32) -> bool) {
        let mut run = Run::default();
        for &(id, bytes) in records {
            let (number, at) = (segment_of(id), offset_of(id));
            if run.number != number || run.end != at {
                self.note(mem::take(&mut run), told);
                run = Run { number, start: at, end: at, records: 0 };
            }
            let Some(segment) = self.segment(number).filter(|segment| wanted(&segment.notes, at)) else {
                self.note(mem::take(&mut run), told);
                continue;
            };
            debug_assert!(at < segment.end);
            run.end = at + frame::HEAD as u32 + bytes + u32::from(planted("a settled range covers its neighbour"));
            run.records += 1;
        }
        self.note(run, told);
        for &number in &self.touched {
            let Some(at) = self.position(number).filter(|_| !planted("notes are not written")) else { continue };
            let segment = &mut self.segments[at];
            if let Err(error) = segment.notes.write() {
                let error = failed("cannot be written; what was settled may be sent again", segment.notes.path(), Some(error));
                self.problems.push(error);
            }
        }
    }

    fn note(&mut self, run: Run, told: Told) {
        if let Some(segment) = self.segment(run.number).filter(|_| run.records > 0) {
            segment.notes.tell(run.start..run.end, run.records, told);
            self.touch(run.number);
        }
    }

    pub(super) fn touch(&mut self, number: u32) {
        if !self.touched.contains(&number) {
            self.touched.push(number);
        }
    }

    pub(super) fn segment(&mut self, number: u32) -> Option<&mut Segment> {
        let at = self.position(number)?;
        self.segments.get_mut(at)
    }

    pub(super) fn position(&self, number: u32) -> Option<usize> {
        self.segments.binary_search_by_key(&number, |segment| segment.number).ok()
    }

    /// A run of failures that an earlier process met.
    pub(crate) fn outage(&self) -> Outage {
        self.own.path.parent().map(outage::read).unwrap_or_default()
    }

    /// Notes a run of failures for the next process, or its end.
    pub(crate) fn note_outage(&mut self, outage: Outage) {
        let slot = &self.own.path;
        let noted = slot.parent().map_or(Ok(()), |root| outage::write(root, slot, outage));
        self.problems.extend(noted.err());
    }

    /// What the owner must hear.
    pub(crate) fn take_problems(&mut self) -> Vec<Error> {
        mem::take(&mut self.problems)
    }

    /// How many records broken files have lost.
    pub(crate) fn take_lost(&mut self) -> u64 {
        mem::take(&mut self.lost)
    }
}

/// Records that stand one behind the other.
#[derive(Clone, Copy, Default)]
struct Run {
    number: u32,
    start: u32,
    end: u32,
    records: u32,
}
