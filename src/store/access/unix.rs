//! Who may read the store's files, on Unix: their user alone.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
};

use super::Refused;

pub(super) fn private_folder(builder: &mut DirBuilder) -> &mut DirBuilder {
    builder.mode(0o700)
}

pub(super) fn private_file(options: &mut OpenOptions) -> &mut OpenOptions {
    options.mode(0o600)
}

/// Brings the names of new files in a folder to the disk itself.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Who else may write to a folder could put in what this process sends, or take away what it has promised to send. `own`: a file that this
/// process has made.
pub(super) fn check_private(path: &Path, own: &File) -> Result<(), Refused> {
    let unreadable = |error| ("cannot be read", Some(error));
    let found = fs::metadata(path).map_err(unreadable)?;
    if own.metadata().map_err(unreadable)?.uid() != found.uid() {
        return Err(("belongs to another user", None));
    }
    if found.mode() & 0o077 != 0 {
        fs::set_permissions(path, Permissions::from_mode(0o700))
            .map_err(|error| ("cannot be closed to other users", Some(error)))?;
    }
    Ok(())
}
