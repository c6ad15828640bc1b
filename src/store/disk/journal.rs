//! The writing end: `track` appends a record with one `write`, so that it survives the process from then on.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write as _},
    path::PathBuf,
    sync::Arc,
};

use super::{
    SyncFile,
    folder::{self, Slot, events_path, failed},
    frame,
};
use crate::{
    Result,
    pipeline::{Header, RecordId, planted},
};

/// A segment is closed when it has grown to that, so that settled records give their space back.
const SEGMENT_BYTES: u32 = 8 << 20;

/// What a segment starts with: a mark, the version of the format, and for which project and address its records are.
pub(super) const START_BYTES: u32 = 16;
pub(super) const VERSION: u8 = 1;
const START_MARK: &[u8; 7] = b"AMPLSEG";

pub(super) fn start(binding: u64) -> [u8; START_BYTES as usize] {
    let mut start = [0; START_BYTES as usize];
    start[..7].copy_from_slice(START_MARK);
    start[7] = VERSION;
    start[8..].copy_from_slice(&binding.to_le_bytes());
    start
}

/// The version that a segment's start tells; `None` where it is no segment's.
pub(super) fn version(start: &[u8]) -> Option<u8> {
    (start.len() == START_BYTES as usize && start.starts_with(START_MARK)).then(|| start[7])
}

pub(crate) struct Journal {
    slot: Arc<Slot>,
    binding: u64,
    /// The number of the next segment, in its file's name and in the ids of its records.
    next: u32,
    open: Option<Open>,
    /// Segments that were opened and closed since the driver looked last.
    changes: Vec<Written>,
    frame: Vec<u8>,
}

struct Open {
    path: PathBuf,
    written: Written,
}

/// A place between two records.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// What the next record would have for its number.
    pub(super) next: RecordId,
    /// How many records of its segment stand before it.
    pub(super) records: u32,
}

impl Written {
    /// The file to bring to the disk.
    pub(crate) fn sync_file(&self) -> SyncFile {
        SyncFile { file: Arc::clone(&self.file), slot: Arc::clone(&self.slot) }
    }
}

/// How far a segment is written.
#[derive(Clone, Debug)]
pub(crate) struct Written {
    file: Arc<File>,
    slot: Arc<Slot>,
    pub(super) number: u32,
    pub(super) end: u32,
    pub(super) records: u32,
    pub(super) closed: bool,
}

impl Journal {
    pub(super) fn new(slot: Arc<Slot>, binding: u64, next: u32) -> Self {
        Self { slot, binding, next, open: None, changes: Vec::new(), frame: Vec::new() }
    }

    /// Appends a record. On an error nothing of it is there.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Store`] with what the system said, e.g. that the disk is full.
    pub(crate) fn append(&mut self, header: &Header, record: &[u8]) -> Result<RecordId> {
        frame::write(&mut self.frame, header, record);
        // The largest record is 20 MB.
        let bytes = self.frame.len() as u32;
        if self.open.as_ref().is_some_and(|open| open.written.end > START_BYTES && open.written.end + bytes > SEGMENT_BYTES) {
            self.close();
        }
        let open = match &mut self.open {
            Some(open) => open,
            none => none.insert(Open::new(&self.slot, self.next, self.binding)?),
        };
        let record_is_written = !(planted("an append is answered and not written") && open.written.records % 7 == 6);
        let frame = if record_is_written { &self.frame[..] } else { &[] };
        match write_whole(&open.written.file, frame) {
            Ok(()) => {
                let at = open.written.end;
                open.written.end += bytes;
                open.written.records += 1;
                Ok(record_id(open.written.number, at))
            }
            Err(error) => {
                let path = open.path.clone();
                // What was written of it is taken back; where that fails, readers pass over it. The disk may be full: its space comes back when
                // this segment is settled, and for that it must have ended. One without a record is for the next try: each would open a
                // further file.
                let taken_back = open.written.file.set_len(u64::from(open.written.end));
                if open.written.records > 0 || taken_back.is_err() {
                    self.close();
                }
                Err(failed("cannot be written", &path, Some(error)))
            }
        }
    }

    /// How far the segments are written that were changed since the last call, the open one last.
    pub(crate) fn take_changes(&mut self) -> Vec<Written> {
        let mut changes = std::mem::take(&mut self.changes);
        changes.extend(self.open.as_ref().map(|open| open.written.clone()));
        changes
    }

    /// The place behind the last record.
    pub(crate) fn end(&self) -> Option<Place> {
        let place = |written: &Written| Place { next: record_id(written.number, written.end), records: written.records };
        self.open.as_ref().map(|open| place(&open.written))
    }

    /// What comes from now on goes into a new segment, and leaves the numbers of so many free before it.
    pub(crate) fn make_way(&mut self, segments: u32) {
        self.close();
        self.next = self.next.saturating_add(segments);
    }

    /// Nothing more goes into the open segment.
    pub(crate) fn close(&mut self) {
        if let Some(open) = self.open.take() {
            self.next = open.written.number + 1;
            self.changes.push(Written { closed: true, ..open.written });
        }
    }
}

impl Open {
    fn new(slot: &Arc<Slot>, number: u32, binding: u64) -> Result<Self> {
        let path = events_path(&slot.path, number);
        let open = || {
            let file = folder::private(OpenOptions::new().append(true).create_new(true)).open(&path)?;
            write_whole(&file, &start(binding)).inspect_err(|_| drop(std::fs::remove_file(&path)))?;
            Ok(file)
        };
        let file = open().map_err(|error| failed("cannot be written", &path, Some(error)))?;
        let written =
            Written { file: Arc::new(file), slot: Arc::clone(slot), number, end: START_BYTES, records: 0, closed: false };
        Ok(Self { written, path })
    }
}

/// All or an error: a write that comes short is tried once more, which tells why.
fn write_whole(mut file: &File, bytes: &[u8]) -> io::Result<()> {
    file.write_all(bytes)
}

/// Records are numbered by where they stand: numbers rise, and settling needs no table.
pub(super) fn record_id(segment: u32, at: u32) -> RecordId {
    u64::from(segment) << 32 | u64::from(at)
}

pub(super) fn segment_of(id: RecordId) -> u32 {
    (id >> 32) as u32
}

pub(super) fn offset_of(id: RecordId) -> u32 {
    id as u32
}
