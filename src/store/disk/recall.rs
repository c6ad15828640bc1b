//! Reading records back into memory: those that were deferred when it is time for them, then those from the cursor on.

use std::mem;

use super::{
    archive::Archive,
    journal::{START_BYTES, offset_of, record_id, segment_of},
};
use crate::{
    Error,
    pipeline::{Header, RecordId, planted},
    store::{MemoryStore, Recalled, Space},
};

/// How much of the files is read before others have their turn.
const READ_MOST: usize = 4 << 20;

/// What is being read back.
pub(super) struct Reading<'a> {
    pub(super) space: &'a Space<'a>,
    pub(super) store: &'a mut MemoryStore,
    pub(super) buffer: Vec<u8>,
    /// How much of the files may still be read before others have their turn.
    file_bytes_left: usize,
    /// Of the JSON of the records.
    pub(super) bytes: usize,
    pub(super) records: Vec<(RecordId, Header)>,
    pub(super) problems: Vec<Error>,
}

impl Reading<'_> {
    pub(super) fn goes_on(&self, most: usize) -> bool {
        self.bytes < most && self.file_bytes_left > 0
    }

    pub(super) fn advance(&mut self, in_file: u32, bytes: usize) {
        self.file_bytes_left = self.file_bytes_left.saturating_sub(in_file as usize);
        self.bytes += bytes;
    }
}

impl Archive {
    /// Reads records back until they have as many bytes of JSON as there is space for, or there are no more: first those that were deferred, if
    /// it is time to look for them, then those from the cursor on, in their order. What would fill memory only to wait there is deferred.
    pub(crate) fn recall(&mut self, space: &Space<'_>, store: &mut MemoryStore) -> Recalled {
        let buffer = mem::take(&mut self.buffer);
        let mut reading =
            Reading { space, store, buffer, file_bytes_left: READ_MOST, bytes: 0, records: Vec::new(), problems: Vec::new() };
        // Half of the space is for those that had their turn already.
        let most = if self.ahead().records > 0 { space.bytes / 2 } else { space.bytes };
        self.lost += self.deferred.sweep(&mut self.segments, self.cursor, most, &mut reading);
        let late = reading.records.len();
        self.read_on(&mut reading);
        self.buffer = reading.buffer;
        self.problems.append(&mut reading.problems);
        Recalled { records: reading.records, late, more: reading.file_bytes_left < READ_MOST }
    }

    fn read_on(&mut self, reading: &mut Reading<'_>) {
        let most = reading.space.bytes;
        while reading.goes_on(most) {
            let Some(at) = self.position(segment_of(self.cursor)) else {
                // Its segment is settled and gone.
                match self.segments.iter().find(|segment| record_id(segment.number, START_BYTES) >= self.cursor) {
                    Some(next) => self.cursor = record_id(next.number, START_BYTES),
                    None => break,
                }
                continue;
            };
            let is_last = at + 1 == self.segments.len();
            let segment = &mut self.segments[at];
            let (mut offset, end) = (offset_of(self.cursor).max(START_BYTES), segment.end);
            if offset >= end {
                if segment.closed {
                    let (number, lost) = (segment.number, segment.read_through());
                    if lost > 0 {
                        self.lost += u64::from(lost);
                        self.touch(number);
                    }
                    if !is_last {
                        self.cursor = record_id(self.segments[at + 1].number, START_BYTES);
                        continue;
                    }
                }
                break;
            }
            let before = offset;
            let (deferred, space, store, records) =
                (&mut self.deferred, reading.space, &mut *reading.store, &mut reading.records);
            let (mut bytes, mut seen, mut in_frames) = (0, 0, 0);
            let read = segment.read_chunk(&mut offset, end, &mut reading.buffer, |id, frame, first_attempt| {
                let header = Header { first_attempt, ..frame.header };
                let waits = (space.waits)(&header);
                if deferred.concerns(header.lane()) || (space.crowded && waits > 0) {
                    deferred.defer(id, &header, waits);
                } else if reading.bytes + bytes < most && store.append(id, frame.record) {
                    bytes += frame.record.len();
                    records.push((id, header));
                } else {
                    return false;
                }
                seen += 1;
                in_frames += frame.bytes() as u32;
                true
            });
            segment.seen += seen;
            let stopped = match read {
                Ok(chunk) => {
                    if chunk.broken > 0 {
                        reading.problems.push(segment.failed(&format!("has {} bytes that are no record", chunk.broken), None));
                    }
                    reading.advance(offset - before, bytes);
                    let passed = (offset - before).saturating_sub(in_frames).saturating_sub(chunk.broken as u32);
                    segment.settled_ahead = segment.settled_ahead.saturating_sub(passed);
                    chunk.stopped
                }
                Err(error) => {
                    reading.problems.push(segment.give_up(error));
                    offset = end;
                    false
                }
            };
            if !planted("what is read back comes twice") {
                self.cursor = record_id(segment.number, offset);
            }
            if stopped {
                break;
            }
        }
    }

    /// Whether a record must be deferred because one of its lane is.
    pub(crate) fn must_defer(&self, lane: u64) -> bool {
        self.deferred.concerns(lane)
    }

    /// Takes a record back that stands before the cursor, or that the cursor [skips](Self::skip_to), as one that is in files alone. It need not
    /// be looked for before that time.
    pub(crate) fn defer(&mut self, id: RecordId, header: &Header, until_ms: u64) {
        self.deferred.defer(id, header, until_ms);
    }

    /// When it is time to look for what was deferred; [`u64::MAX`]: there is nothing.
    pub(crate) fn sweep_at(&self) -> u64 {
        self.deferred.next_ms()
    }

    /// The JSON of a record that was deferred once and is in memory again.
    pub(crate) fn late(&self, id: RecordId) -> Option<&[u8]> {
        self.deferred.taken(id)
    }

    #[cfg(test)]
    pub(crate) fn late_bytes(&self) -> usize {
        self.deferred.taken_bytes()
    }
}
