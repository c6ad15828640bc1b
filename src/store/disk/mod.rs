//! The disk store: events survive the process from the moment `track` returns. Native, feature `disk`.
//!
//! An append-only journal and, beside each of its segments, notes on what became of the records. What is being delivered also stands in
//! memory, within a fixed bound; what is beyond it stands in files alone and is read back in its order, later where its ids wait. `track`
//! touches the [`Journal`], the driver the [`Archive`]; they share files and no lock.
//!
//! Each process has a part of the folder to itself. Beside these parts stand the dead letters and, while there is one, a note of an outage, for all
//! processes.

mod archive;
mod attempts;
mod deferred;
mod folder;
mod frame;
mod journal;
mod letters;
mod notes;
mod outage;
mod purge;
mod ranges;
mod recall;
mod segment;

use std::{fs::File, path::PathBuf, sync::Arc, time::Duration};

use self::folder::Slot;
pub(crate) use self::{
    archive::{Archive, Backlog},
    folder::Left,
    journal::{Journal, Place, Written},
    letters::LetterFile,
};
use super::access;
use crate::{
    Config, Error, Result,
    pipeline::{fnv1a, millis},
};

/// Where and how events are kept on the disk; see [`Config::disk`].
#[derive(Clone, Debug)]
pub struct DiskOptions {
    dir: PathBuf,
    sync: DiskSync,
    memory_bytes: usize,
}

/// When what was written is brought from the system's memory to the disk itself.
///
/// An event that `track` took survives the end of the process in either case, also by `kill -9`. This is about the machine losing its power.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum DiskSync {
    /// When the system sees fit, usually within half a minute. The default. A receipt's `stored` resolves when the event survives the
    /// process.
    #[default]
    Os,
    /// At the latest that long after an event was tracked. A receipt's `stored` resolves when the event is on the disk.
    Every(Duration),
}

impl DiskOptions {
    /// Keeps events in that folder, which is made where it is not there, for this user alone. Processes may share it: each writes to a
    /// part of its own, and delivers what processes have left that are gone.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), sync: DiskSync::default(), memory_bytes: 16 << 20 }
    }

    /// When events are brought to the disk itself. Default: [`DiskSync::Os`].
    #[must_use]
    pub fn sync(mut self, sync: DiskSync) -> Self {
        self.sync = sync;
        self
    }

    /// The bytes of events, as JSON, that are held in memory too; what is beyond is read back when it is its turn. Events that only wait for their
    /// user or device, which is throttled or over its daily quota, take up half of it at most. At least 1 MB. Default: 16 MiB.
    #[must_use]
    pub fn memory_bytes(mut self, bytes: usize) -> Self {
        self.memory_bytes = bytes;
        self
    }

    /// How much is held in memory.
    pub(crate) fn memory_bound(&self) -> usize {
        self.memory_bytes
    }

    /// How long what was written may wait to be brought to the disk; `None`: for as long as the system likes.
    pub(crate) fn sync_ms(&self) -> Option<u64> {
        match self.sync {
            DiskSync::Os => None,
            DiskSync::Every(interval) => Some(millis(interval)),
        }
    }

    pub(crate) fn check(&self) -> Result<()> {
        if self.memory_bytes < 1_000_000 {
            return Err(Error::invalid(&["memory_bytes: must be at least 1 MB"]));
        }
        if self.sync == DiskSync::Every(Duration::ZERO) {
            return Err(Error::invalid(&["sync: the interval must not be zero"]));
        }
        Ok(())
    }
}

/// A file to bring to the disk, and the folder that it is in.
#[derive(Clone)]
pub(crate) struct SyncFile {
    file: Arc<File>,
    slot: Arc<Slot>,
}

impl SyncFile {
    fn sync(&self) -> Result<()> {
        let synced = self.file.sync_data().and_then(|()| access::sync_folder(&self.slot.path));
        synced.map_err(|error| folder::failed("cannot be brought to the disk itself", &self.slot.path, Some(error)))
    }
}

/// Adds the files that were written to those that are to be brought to the disk, each once.
pub(crate) fn add_unsynced(files: &mut Vec<SyncFile>, written: &[Written]) {
    for file in written.iter().map(Written::sync_file) {
        if !files.iter().any(|known| Arc::ptr_eq(&known.file, &file.file)) {
            files.push(file);
        }
    }
}

/// Brings files to the disk itself.
///
/// # Errors
/// [`crate::ErrorKind::Store`] that names the folder and what the system said.
pub(crate) fn sync(files: &[SyncFile]) -> Result<()> {
    files.iter().try_for_each(SyncFile::sync)
}

/// What only native builds with a disk store have.
impl Config {
    /// Keeps events on the disk until their outcome is known, so that they survive the process. [`Config::queue_bytes`] then bounds what is
    /// kept there: 1 GB by default. Default: in memory alone.
    #[must_use]
    pub fn disk(mut self, options: DiskOptions) -> Self {
        self.disk = Some(options);
        self
    }
}

/// Opens the store of a configuration: the end that `track` writes to and the end that the driver reads.
///
/// # Errors
/// [`crate::ErrorKind::Store`] that names the path and what the system said.
pub(crate) fn open_disk(config: &Config) -> Result<Option<(Journal, Archive)>> {
    let Some(options) = &config.disk else { return Ok(None) };
    let (own, left) = Slot::claim(&root(config, options))?;
    open_slots(own, left, binding(config), options.memory_bytes).map(Some)
}

/// Where the dead letters of a configuration are, in a folder that is open.
pub(crate) fn letter_file(config: &Config) -> Option<LetterFile> {
    let options = config.disk.as_ref()?;
    Some(LetterFile::new(&root(config, options), config.dead_letter_bound()))
}

fn root(config: &Config, options: &DiskOptions) -> PathBuf {
    options.dir.join(format!("{:016x}", binding(config)))
}

fn open_slots(own: Slot, left: Vec<Slot>, binding: u64, memory_bytes: usize) -> Result<(Journal, Archive)> {
    let newest = folder::segments(&own.path)?.last().copied().unwrap_or_default();
    let mut archive = Archive::open(own, left, binding, memory_bytes);
    // Above all that is there, also above what is left alone.
    archive.reserve(newest);
    Ok((Journal::new(archive.own(), binding, archive.next_number()), archive))
}

/// For which project and address the records are: those of another must not be sent there.
fn binding(config: &Config) -> u64 {
    fnv1a([config.key.as_str(), "\n", &config.url()].concat().as_bytes())
}

#[cfg(test)]
mod tests;
