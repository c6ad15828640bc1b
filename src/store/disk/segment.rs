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
    journal::{START_BYTES, VERSION, record_id, version},
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
    pub(super) closed: bool,
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
            closed: false,
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
            closed: true,
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
        // Opened again when it is read: there may be many of them.
        segment.file = None;
        Ok(Some(segment))
    }

    /// Counts the records of a segment that was not closed. What is settled is taken from the notes: its bytes may be damaged, which must not
    /// make those that are not settled look like fewer.
    fn count(&mut self) -> io::Result<u32> {
        let (mut offset, mut records, mut buffer) = (START_BYTES, self.notes.settled_records, Vec::new());
        while offset < self.end {
            self.read_chunk(&mut offset, usize::MAX, &mut buffer, |_, _, _| records += 1)?;
        }
        Ok(records)
    }

    /// Hands over the whole, unsettled records of a chunk, up to that many bytes of JSON, and moves on. Answers how many bytes are no record.
    pub(super) fn read_chunk(
        &mut self,
        offset: &mut u32,
        most: usize,
        buffer: &mut Vec<u8>,
        mut take: impl FnMut(RecordId, &Frame<'_>, u32),
    ) -> io::Result<Option<u64>> {
        let file = match &self.file {
            Some(file) => file,
            None => self.file.insert(File::open(events_path(&self.slot.path, self.name))?),
        };
        let left = (self.end - *offset) as usize;
        buffer.resize(CHUNK.min(left), 0);
        read_at(file, u64::from(*offset), buffer)?;
        let (mut at, mut taken, mut broken) = (0, 0, 0);
        while at < buffer.len() && taken < most {
            let place = *offset + at as u32;
            if let Some(end) = self.notes.settled.end_of(place) {
                at = (end - *offset) as usize;
                continue;
            }
            match frame::read(&buffer[at..]) {
                Ok(frame) => {
                    at += frame.bytes();
                    taken += frame.record.len();
                    self.seen += 1;
                    take(record_id(self.number, place), &frame, self.notes.first_attempt(place));
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
                    broken += step as u64;
                }
            }
        }
        *offset = offset.saturating_add(at as u32).min(self.end);
        Ok((broken > 0).then_some(broken))
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
