//! Who may read a file, on Unix.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

/// Whether every user of the machine may read it. Where that cannot be known, reading it will tell what is wrong.
pub(crate) fn is_open_to_others(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|file| file.permissions().mode() & 0o004 != 0)
}
