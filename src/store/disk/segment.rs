//! A segment as the driver sees it: a file of records and the notes beside it, read in chunks, deleted when all of it is settled.

use std::{
    fs::{self, File},
    io, mem,
    path::PathBuf,
    sync::Arc,
};

use super::{
    folder::{Slot, events_path, failed, notes_path},
    frame::{self, Frame, NoFrame},
    journal::{START_BYTES, VERSION, offset_of, record_id, segment_of, version},
    notes::{Notes, Told},
};
use crate::{
    Error, Result,
    pipeline::{RecordId, planted},
};

/// How much is read at once.
const CHUNK: usize = 256 << 10;

pub(super) struct Segment {
    pub(super) number: u32,
    slot: Arc<Slot>,
    /// In its file's name.
    name: u32,
    pub(super) notes: Notes,
    file: Option<File>,
    pub(super) end: u32,
    /// All that it holds, settled ones too.
    pub(super) records: u32,
    /// Those of them that an earlier process settled, that were read back, or that never left memory.
    pub(super) seen: u32,
    /// Bytes of settled records that the cursor has not come to.
    pub(super) settled_ahead: u32,
    pub(super) closed: bool,
    /// Left for the next process.
    unreadable: bool,
}

/// What was read of a chunk.
pub(super) struct Chunk {
    /// How many bytes are no record.
    pub(super) broken: u64,
    /// The taker wanted no more.
    pub(super) stopped: bool,
}

impl Segment {
    /// One that this process writes.
    pub(super) fn written(number: u32, slot: &Arc<Slot>) -> Self {
        Self {
            number,
            slot: Arc::clone(slot),
            name: number,
            notes: Notes::new(notes_path(&slot.path, number)),
            file: None,
            end: START_BYTES,
            records: 0,
            seen: 0,
            settled_ahead: 0,
            closed: false,
            unreadable: false,
        }
    }

    /// One that an earlier process wrote; `None` where all of it is settled.
    pub(super) fn open(number: u32, slot: &Arc<Slot>, name: u32, binding: u64) -> Result<Option<Self>> {
        let path = events_path(&slot.path, name);
        let unreadable = |error| failed("cannot be read", &path, Some(error));
        let file = File::open(&path).map_err(unreadable)?;
        let length = file.metadata().map_err(unreadable)?.len();
        let mut start = vec![0; (START_BYTES as usize).min(usize::try_from(length).unwrap_or(usize::MAX))];
        read_at(&file, 0, &mut start).map_err(unreadable)?;
        match version(&start) {
            Some(VERSION) if start[8..] == binding.to_le_bytes() => {}
            Some(VERSION) => return Err(failed("is of another project or address; it is left alone", &path, None)),
            Some(newer) => {
                return Err(failed(
                    &format!("is of version {newer}, which this one does not know; it is left alone"),
                    &path,
                    None,
                ));
            }
            // A process was killed between making the file and writing its start.
            None if length < u64::from(START_BYTES) => {
                fs::remove_file(&path).map_err(|error| failed("cannot be deleted", &path, Some(error)))?;
                return Ok(None);
            }
            None => return Err(failed("is no segment; it is left alone", &path, None)),
        }
        let length = length - if planted("the last bytes of a segment are not read") { 1 } else { 0 };
        let end = u32::try_from(length).map_err(|_| failed("is too long for a segment; it is left alone", &path, None))?;
        let notes = Notes::read(notes_path(&slot.path, name)).map_err(unreadable)?;
        let records = notes.closed;
        let mut segment = Self {
            number,
            slot: Arc::clone(slot),
            name,
            notes,
            file: Some(file),
            end,
            records: records.unwrap_or_default(),
            seen: 0,
            settled_ahead: 0,
            closed: true,
            unreadable: false,
        };
        if records.is_none() {
            segment.records = segment.count().map_err(unreadable)?;
            segment.notes.tell(START_BYTES..end, segment.records, Told::Closed);
        }
        if segment.notes.settled_records >= segment.records {
            segment.delete()?;
            return Ok(None);
        }
        segment.seen = segment.notes.settled_records;
        segment.settled_ahead = segment.notes.settled.places();
        // Opened again when it is read: there may be many of them.
        segment.file = None;
        Ok(Some(segment))
    }

    /// Counts the records of a segment that was not closed. What is settled is taken from the notes: its bytes may be damaged, which must not
    /// make those that are not settled look like fewer.
    fn count(&mut self) -> io::Result<u32> {
        let (mut offset, mut records, mut buffer) = (START_BYTES, self.notes.settled_records, Vec::new());
        while offset < self.end {
            self.read_chunk(&mut offset, self.end, &mut buffer, |_, _, _| {
                records += 1;
                true
            })?;
        }
        Ok(records)
    }

    /// Hands over the whole, unsettled records of a chunk before `end`, while `take` wants more, and moves on.
    pub(super) fn read_chunk(
        &mut self,
        offset: &mut u32,
        end: u32,
        buffer: &mut Vec<u8>,
        mut take: impl FnMut(RecordId, &Frame<'_>, u32) -> bool,
    ) -> io::Result<Chunk> {
        let file = match &self.file {
            Some(file) => file,
            None => self.file.insert(File::open(events_path(&self.slot.path, self.name))?),
        };
        let left = end.saturating_sub(*offset) as usize;
        buffer.resize(CHUNK.min(left), 0);
        read_at(file, u64::from(*offset), buffer)?;
        let mut at = 0;
        let mut chunk = Chunk { broken: 0, stopped: false };
        while at < buffer.len() {
            let place = *offset + at as u32;
            if let Some(end) = self.notes.settled.end_of(place) {
                at = (end - *offset) as usize;
                continue;
            }
            match frame::read(&buffer[at..]) {
                Ok(frame) => {
                    if !take(record_id(self.number, place), &frame, self.notes.first_attempt(place)) {
                        chunk.stopped = true;
                        break;
                    }
                    at += frame.bytes();
                }
                // It goes on behind this chunk.
                Err(NoFrame::Needs(bytes)) if bytes <= left - at => {
                    if at > 0 {
                        break;
                    }
                    buffer.resize(bytes, 0);
                    read_at(file, u64::from(*offset), buffer)?;
                }
                Err(_) => {
                    let step = frame::resync(&buffer[at..]);
                    at += step;
                    chunk.broken += step as u64;
                }
            }
        }
        *offset = offset.saturating_add(at as u32).min(end);
        Ok(chunk)
    }

    /// It cannot be read: it stays for the next process, and must not keep those behind it from going. Answers what its owner must hear.
    pub(super) fn give_up(&mut self, error: io::Error) -> Error {
        self.unreadable = true;
        self.seen = self.records;
        self.failed("cannot be read and is left for later", Some(error))
    }

    /// All of it was read. Answers how many of the records that were counted once are not there any more.
    pub(super) fn read_through(&mut self) -> u32 {
        self.file = None;
        let lost = self.records.saturating_sub(self.seen);
        self.records -= lost;
        lost
    }

    pub(super) fn close(&mut self) {
        if !mem::replace(&mut self.closed, true) {
            self.notes.tell(START_BYTES..self.end, self.records, Told::Closed);
        }
    }

    pub(super) fn is_done(&self) -> bool {
        let missing = u32::from(planted("a segment goes before its last record is settled"));
        self.closed && self.notes.settled_records + missing >= self.records
    }

    /// First the records, because notes alone tell nothing.
    pub(super) fn delete(&self) -> Result<()> {
        for path in [&events_path(&self.slot.path, self.name), self.notes.path()] {
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(failed("cannot be deleted", path, Some(error)));
                }
                _ => {}
            }
        }
        Ok(())
    }

    pub(super) fn path(&self) -> PathBuf {
        events_path(&self.slot.path, self.name)
    }

    pub(super) fn failed(&self, what: &str, error: Option<io::Error>) -> Error {
        failed(what, &events_path(&self.slot.path, self.name), error)
    }
}

/// Fills the buffer from a place in a file.
fn read_at(file: &File, at: u64, buffer: &mut [u8]) -> io::Result<()> {
    use std::io::{Read as _, Seek as _};

    let mut file = file;
    file.seek(io::SeekFrom::Start(at))?;
    file.read_exact(buffer)
}

/// What a step of a [`walk`] came to.
pub(super) enum Walked {
    End,
    /// So many bytes of a file.
    On(u32),
    /// A file that cannot be read, which it leaves out; what its owner must hear, once.
    Unreadable(Option<Error>),
}

/// Hands over the unsettled records of a chunk that stand from a place on and before `until`, while `take` wants more, and moves on.
pub(super) fn walk(
    segments: &mut [Segment],
    at: &mut RecordId,
    until: RecordId,
    buffer: &mut Vec<u8>,
    take: impl FnMut(RecordId, &Frame<'_>, u32) -> bool,
) -> Walked {
    loop {
        let found = segments.partition_point(|segment| segment.number < segment_of(*at));
        let segment = segments.get_mut(found).filter(|segment| *at < until && record_id(segment.number, START_BYTES) < until);
        let Some(segment) = segment else { return Walked::End };
        let start = if segment.number == segment_of(*at) { offset_of(*at) } else { 0 };
        let mut offset = start.max(START_BYTES);
        let is_last = segment.number == segment_of(until);
        let end = if is_last { segment.end.min(offset_of(until)) } else { segment.end };
        if offset < end && !segment.unreadable {
            let before = offset;
            return match segment.read_chunk(&mut offset, end, buffer, take) {
                Ok(_) => {
                    *at = record_id(segment.number, offset);
                    Walked::On(offset - before)
                }
                Err(error) => Walked::Unreadable(Some(segment.give_up(error))),
            };
        }
        if !is_last {
            segment.file = None;
        }
        *at = record_id(segment.number + 1, START_BYTES);
        if segment.unreadable {
            return Walked::Unreadable(None);
        }
    }
}
