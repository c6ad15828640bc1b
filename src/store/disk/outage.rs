//! A run of failures, kept beside the records: a process that starts while the server is down waits as long as its predecessor would have.
//!
//! One file `outage` for all processes of a folder, with two numbers: failures in a row, and until when nothing is sent, in milliseconds
//! since 1970. It is there only while there is an outage, and replaced as a whole.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use super::folder::{self, failed};
use crate::{Result, pipeline::Outage};

fn path(root: &Path) -> PathBuf {
    root.join("outage")
}

/// What an earlier process noted. What cannot be read costs one request that may fail.
pub(super) fn read(root: &Path) -> Outage {
    let text = fs::read_to_string(path(root)).unwrap_or_default();
    let mut numbers = text.split_whitespace().map(str::parse::<u64>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(failures)), Some(Ok(until_ms))) => Outage { failures: u32::try_from(failures).unwrap_or(u32::MAX), until_ms },
        _ => Outage::default(),
    }
}

/// Notes it for the next process. `slot`: the folder that this process alone writes to.
pub(super) fn write(root: &Path, slot: &Path, outage: Outage) -> Result<()> {
    let path = path(root);
    let unwritten = |error| failed("cannot be written; the next process does not know of the outage", &path, Some(error));
    if outage.failures == 0 {
        return match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(unwritten(error)),
            _ => Ok(()),
        };
    }
    let new = slot.join("outage.new");
    let replace = || {
        let mut file = folder::private(OpenOptions::new().write(true).create(true).truncate(true)).open(&new)?;
        writeln!(file, "{} {}", outage.failures, outage.until_ms)?;
        fs::rename(&new, &path)
    };
    replace().map_err(unwritten)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_read_as_it_was_noted_until_it_is_over() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        assert_eq!(read(root), Outage::default());
        let outage = Outage { failures: 7, until_ms: 1_760_000_000_123 };
        write(root, root, outage).unwrap();
        assert_eq!(read(root), outage);
        write(root, root, Outage::default()).unwrap();
        write(root, root, Outage::default()).unwrap();
        assert_eq!(fs::read_dir(root).unwrap().count(), 0);
        for broken in ["", "7", "x 1", "7 y", "-1 5", "\u{0}"] {
            fs::write(path(root), broken).unwrap();
            assert_eq!(read(root), Outage::default(), "{broken:?}");
        }
    }
}
