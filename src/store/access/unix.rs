//! Who may read the store's files, on Unix: their user alone.

#[cfg(feature = "oauth")]
use std::{ffi::OsString, path::PathBuf};
use std::{
    fs::{DirBuilder, File, Metadata, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::Path,
};

#[cfg(feature = "disk")]
use super::Refused;

pub(crate) fn private_folder(builder: &mut DirBuilder) -> &mut DirBuilder {
    builder.mode(0o700)
}

pub(crate) fn private_file(options: &mut OpenOptions) -> &mut OpenOptions {
    options.mode(0o600)
}

/// Brings the names of new files in a folder to the disk itself.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Who else may write to a folder could put in what this process sends, or take away what it has promised to send. `own`: a file that this
/// process has made.
#[cfg(feature = "disk")]
pub(super) fn check_private(path: &Path, own: &File) -> Result<(), Refused> {
    use std::{
        fs::{self, Permissions},
        os::unix::fs::PermissionsExt as _,
    };

    let unreadable = |error| ("cannot be read", Some(error));
    let found = fs::metadata(path).map_err(unreadable)?;
    if own.metadata().map_err(unreadable)?.uid() != found.uid() {
        return Err(("belongs to another user", None));
    }
    if is_open(&found) {
        fs::set_permissions(path, Permissions::from_mode(0o700))
            .map_err(|error| ("cannot be closed to other users", Some(error)))?;
    }
    Ok(())
}

/// Why others could read or change a file, if they can. `own`: of one that this process has made.
#[cfg(feature = "oauth")]
pub(crate) fn not_private(found: &Metadata, own: &Metadata) -> Option<&'static str> {
    if found.uid() != own.uid() {
        Some("belongs to another user")
    } else if is_open(found) {
        Some("is open to other users")
    } else {
        None
    }
}

#[cfg(feature = "oauth")]
pub(crate) fn is_same_file(one: &Metadata, other: &Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

/// Where programs keep what is theirs on this machine, as the XDG Base Directory Specification has it.
#[cfg(feature = "oauth")]
pub(crate) fn state_folder(variable: &dyn Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let absolute = |name| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")))
}

fn is_open(found: &Metadata) -> bool {
    found.mode() & 0o077 != 0
}
