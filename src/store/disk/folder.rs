//! The folders and files of the store: who may read them, and which process owns which.
//!
//! ```text
//! DIR/                          the caller's; shared by processes
//!   KEY_AND_ADDRESS/            16 hexadecimal digits: records for one project and address
//!     0/ 1/ 2/ ...              one for each process at a time, told by the lock on its file `lock`
//!       00000001.events         a segment: records, appended
//!       00000001.notes          what became of them
//! ```

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
};

use super::super::access;
pub(super) use super::super::access::private_file as private;
use crate::{Error, ErrorKind, Result, platform};

/// More processes than that do not share a folder.
const MOST_SLOTS: u32 = 1024;

/// The folder that this process alone writes to, for as long as the lock is held. Folders stay when they are empty: who deletes a locked file
/// leaves others with a lock on nothing.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(super) path: PathBuf,
    lock: File,
    process: u32,
}

/// A child that is being spawned has the file, too, until it runs its program: closing alone would leave it locked for so long. What a
/// process was forked from keeps its lock.
impl Drop for Slot {
    fn drop(&mut self) {
        if self.process == std::process::id() {
            // The file is closed in any case.
            let _ = self.lock.unlock();
        }
    }
}

/// A folder that another process has left, and the segments in it.
pub(crate) struct Left {
    pub(super) slot: Slot,
    pub(super) names: Vec<u32>,
}

impl Slot {
    /// Takes the first free folder, and the other free ones in which records are left.
    pub(super) fn claim(root: &Path) -> Result<(Self, Vec<Self>)> {
        make_private(root)?;
        let mut own = None;
        let mut left = Vec::new();
        for number in 0..MOST_SLOTS {
            let path = root.join(number.to_string());
            if !path.is_dir() {
                if own.is_some() {
                    break;
                }
                make_private(&path)?;
            }
            if own.is_none() {
                own = Self::lock(path)?;
            } else if let Ok(Some(slot)) = Self::lock(path)
                // What cannot be looked at is left for another time.
                && segments(&slot.path).is_ok_and(|segments| !segments.is_empty())
            {
                left.push(slot);
            }
        }
        own.map(|own| (own, left)).ok_or_else(|| failed("is shared by more than 1024 processes", root, None))
    }

    /// The free folders beside this one in which segments are left, others than the known ones. What cannot be looked at is left for another
    /// time.
    pub(super) fn left_beside(&self, known: &[(PathBuf, Vec<u32>)]) -> Vec<Left> {
        let Some(root) = self.path.parent() else { return Vec::new() };
        let mut left = Vec::new();
        for number in 0..MOST_SLOTS {
            let path = root.join(number.to_string());
            if !path.is_dir() {
                break;
            }
            if path == self.path {
                continue;
            }
            let Ok(names) = segments(&path) else { continue };
            let is_known = known.iter().any(|(known, left)| *known == path && *left == names);
            // One that this process holds cannot be locked again.
            if !names.is_empty() && !is_known {
                // Looked for anew: its process may have written until it let go of the folder.
                let slot = Self::lock(path).ok().flatten();
                left.extend(slot.and_then(|slot| Some(Left { names: segments(&slot.path).ok()?, slot })));
            }
        }
        left
    }

    /// `None` when another process has it.
    fn lock(path: PathBuf) -> Result<Option<Self>> {
        let name = path.join("lock");
        let file = private(OpenOptions::new().write(true).create(true).truncate(false))
            .open(&name)
            .map_err(|error| failed("cannot be opened", &name, Some(error)))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { path, lock: file, process: std::process::id() })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(failed("cannot be locked", &name, Some(error))),
        }
    }
}

/// The numbers of the segments in a folder, in rising order.
pub(super) fn segments(path: &Path) -> Result<Vec<u32>> {
    numbers(path, ".events")
}

/// Deletes notes whose segment is gone: a process ended between deleting the one and the other.
pub(super) fn remove_orphans(path: &Path) -> Result<()> {
    let segments = segments(path)?;
    for number in numbers(path, ".notes")?.into_iter().filter(|number| segments.binary_search(number).is_err()) {
        let notes = notes_path(path, number);
        match fs::remove_file(&notes) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed("cannot be deleted", &notes, Some(error)));
            }
            _ => {}
        }
    }
    Ok(())
}

fn numbers(path: &Path, ending: &str) -> Result<Vec<u32>> {
    let read = |error| failed("cannot be read", path, Some(error));
    let mut numbers = Vec::new();
    for entry in fs::read_dir(path).map_err(read)? {
        let name = entry.map_err(read)?.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(ending));
        numbers.extend(number.and_then(|number| number.parse::<u32>().ok()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

pub(super) fn events_path(slot: &Path, number: u32) -> PathBuf {
    slot.join(format!("{number:08}.events"))
}

pub(super) fn notes_path(slot: &Path, number: u32) -> PathBuf {
    slot.join(format!("{number:08}.notes"))
}

/// Makes a folder that this user alone may enter, and checks one that is there.
fn make_private(path: &Path) -> Result<()> {
    let mut builder = DirBuilder::new();
    access::private_folder(builder.recursive(true)).create(path).map_err(|error| failed("cannot be made", path, Some(error)))?;
    if fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink()) {
        return Err(failed("is a link, which another user may have put there", path, None));
    }
    // A name that nobody can put a link under before.
    let mut random = [0; 8];
    platform::fill_random(&mut random);
    let probe = path.join(format!(".probe-{:016x}", u64::from_le_bytes(random)));
    let unwritable = |error| failed("cannot be written to", path, Some(error));
    let file = private(OpenOptions::new().write(true).create_new(true)).open(&probe).map_err(unwritable)?;
    fs::remove_file(&probe).map_err(unwritable)?;
    access::check_private(path, &file).map_err(|(what, error)| failed(what, path, error))
}

/// An error of the store that names the path.
pub(super) fn failed(what: &str, path: &Path, source: Option<io::Error>) -> Error {
    let error = Error::new(ErrorKind::Store, format!("disk store: {} {what}", path.display()));
    match source {
        Some(source) => error.with_source(source),
        None => error,
    }
}
