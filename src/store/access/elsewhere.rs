//! Who may read the store's files, where there are no modes: as the folder above says.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    io,
    path::Path,
};

use super::Refused;

pub(super) fn private_folder(builder: &mut DirBuilder) -> &mut DirBuilder {
    builder
}

pub(super) fn private_file(options: &mut OpenOptions) -> &mut OpenOptions {
    options
}

/// Folders cannot be opened as files there.
pub(super) fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

pub(super) fn check_private(_: &Path, _: &File) -> Result<(), Refused> {
    Ok(())
}
