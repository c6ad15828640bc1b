//! What became of a segment's records, in a file beside it: appended, never rewritten, each note with its own checksum.
//!
//! A note is 20 bytes (little-endian): the range of bytes in the segment that it concerns, how many records stand there, what is told, and
//! CRC-32 of these. A note that is broken or cut off tells nothing; at worst its records are sent again, which their insert ids make harmless.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write as _},
    ops::Range,
    path::{Path, PathBuf},
};

use super::{attempts::Attempts, folder, ranges::Ranges};
use crate::pipeline::planted;

const BYTES: usize = 20;

/// What a note tells of its records.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Told {
    Settled,
    /// Of the whole segment: nothing is appended to it any more.
    Closed,
    /// An attempt certainly did not reach the server.
    NotAttempted,
    /// The first attempt that the server may have taken, in seconds since 1970.
    Attempted(u32),
}

impl Told {
    fn code(self) -> u32 {
        match self {
            Self::Settled => 0,
            Self::Closed => 1,
            Self::NotAttempted => 2,
            Self::Attempted(_) if planted("an attempt is noted as its end") => 0,
            Self::Attempted(secs) => secs.max(3),
        }
    }

    fn of(code: u32) -> Self {
        match code {
            0 => Self::Settled,
            1 => Self::Closed,
            2 => Self::NotAttempted,
            secs => Self::Attempted(secs),
        }
    }
}

/// A segment's notes, as read and as written.
#[derive(Debug)]
pub(super) struct Notes {
    path: PathBuf,
    file: Option<File>,
    /// What could not be written yet, e.g. because the disk is full.
    unwritten: Vec<u8>,
    pub(super) settled: Ranges,
    pub(super) settled_records: u32,
    /// How many records a closed segment holds.
    pub(super) closed: Option<u32>,
    /// Of what is not settled.
    attempts: Attempts,
}

impl Notes {
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            path,
            file: None,
            unwritten: Vec::new(),
            settled: Ranges::default(),
            settled_records: 0,
            closed: None,
            attempts: Attempts::default(),
        }
    }

    /// Reads what an earlier process noted.
    pub(super) fn read(path: PathBuf) -> io::Result<Self> {
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        let mut notes = Self::new(path);
        for note in bytes.as_chunks::<BYTES>().0 {
            let [start, end, records, code, sum] = words(note);
            if crc32fast::hash(&note[..16]) == sum && start <= end {
                notes.apply(start..end, records, Told::of(code));
            }
        }
        // A note that was cut off would put those behind it out of step.
        let rest = bytes.len() % BYTES;
        if rest > 0 {
            notes.unwritten.resize(BYTES - rest, 0);
        }
        Ok(notes)
    }

    /// Applies a note; [`Notes::write`] writes it.
    pub(super) fn tell(&mut self, range: Range<u32>, records: u32, told: Told) {
        let mut note = [0; BYTES];
        for (place, word) in note.as_chunks_mut::<4>().0.iter_mut().zip([range.start, range.end, records, told.code()]) {
            *place = word.to_le_bytes();
        }
        let sum = crc32fast::hash(&note[..16]);
        note[16..].copy_from_slice(&sum.to_le_bytes());
        self.unwritten.extend_from_slice(&note);
        self.apply(range, records, told);
    }

    /// Writes what was told. On an error it stands in memory and is written next time.
    pub(super) fn write(&mut self) -> io::Result<()> {
        if self.unwritten.is_empty() {
            return Ok(());
        }
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(folder::private(OpenOptions::new().append(true).create(true)).open(&self.path)?),
        };
        let written = file.write(&self.unwritten)?;
        self.unwritten.drain(..written);
        if self.unwritten.is_empty() { Ok(()) } else { Err(io::Error::from(io::ErrorKind::StorageFull)) }
    }

    pub(super) fn has_unwritten(&self) -> bool {
        !self.unwritten.is_empty()
    }

    /// When the first attempt was made at the record there; 0: it was not.
    pub(super) fn first_attempt(&self, at: u32) -> u32 {
        self.attempts.at(at)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn apply(&mut self, range: Range<u32>, records: u32, told: Told) {
        match told {
            Told::Settled => {
                self.settled.insert(range.clone());
                self.attempts.set(range, 0);
                self.settled_records = self.settled_records.saturating_add(records);
            }
            Told::Closed => self.closed = Some(records),
            Told::NotAttempted => self.attempts.set(range, 0),
            Told::Attempted(secs) => self.attempts.set(range, secs),
        }
    }
}

fn words(note: &[u8; BYTES]) -> [u32; 5] {
    let mut words = [0; 5];
    for (word, bytes) in words.iter_mut().zip(note.as_chunks::<4>().0) {
        *word = u32::from_le_bytes(*bytes);
    }
    words
}
