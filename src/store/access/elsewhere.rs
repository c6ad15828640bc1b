//! Who may read the store's files, where there are no modes: as the folder above says.

#[cfg(feature = "oauth")]
use std::{ffi::OsString, fs::Metadata, path::PathBuf};
use std::{
    fs::{DirBuilder, File, OpenOptions},
    io,
    path::Path,
};

#[cfg(feature = "disk")]
use super::Refused;

pub(crate) fn private_folder(builder: &mut DirBuilder) -> &mut DirBuilder {
    builder
}

pub(crate) fn private_file(options: &mut OpenOptions) -> &mut OpenOptions {
    options
}

/// Folders cannot be opened as files there.
pub(crate) fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(feature = "disk")]
pub(super) fn check_private(_: &Path, _: &File) -> Result<(), Refused> {
    Ok(())
}

#[cfg(feature = "oauth")]
pub(crate) fn not_private(_: &Metadata, _: &Metadata) -> Option<&'static str> {
    None
}

#[cfg(feature = "oauth")]
pub(crate) fn is_same_file(_: &Metadata, _: &Metadata) -> bool {
    true
}

/// Where programs keep what is theirs on this machine, in the user's own part of it.
#[cfg(feature = "oauth")]
pub(crate) fn state_folder(variable: &dyn Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let folder = ["LOCALAPPDATA", "APPDATA"].iter().filter_map(|name| variable(name).map(PathBuf::from));
    folder.into_iter().find(|path| path.is_absolute())
}
