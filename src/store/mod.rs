//! Stores: they own a record's bytes from `track` until its outcome is known. After `context`, beside `pipeline`.

#[cfg(all(not(any(target_family = "wasm", unix)), any(feature = "disk", feature = "oauth")))]
#[path = "access/elsewhere.rs"]
pub(crate) mod access;
#[cfg(all(not(target_family = "wasm"), unix, any(feature = "disk", feature = "oauth")))]
#[path = "access/unix.rs"]
pub(crate) mod access;
#[cfg(all(not(target_family = "wasm"), feature = "disk"))]
mod disk;
#[cfg(not(all(not(target_family = "wasm"), feature = "disk")))]
#[path = "no_disk.rs"]
mod disk;
mod memory;

#[cfg(not(all(not(target_family = "wasm"), feature = "disk")))]
pub(crate) use disk::DiskOptions;
pub(crate) use disk::{
    Archive, Backlog, Journal, Left, LetterFile, Place, SyncFile, Written, add_unsynced, letter_file, open_disk, sync,
};
#[cfg(all(not(target_family = "wasm"), feature = "disk"))]
pub use disk::{DiskOptions, DiskSync};
pub(crate) use memory::MemoryStore;

use crate::pipeline::{Header, RecordId};

/// Why a folder cannot be used, and what the system said.
#[cfg(all(not(target_family = "wasm"), feature = "disk"))]
type Refused = (&'static str, Option<std::io::Error>);

/// The space in memory for what is read back from the disk.
#[cfg_attr(not(all(not(target_family = "wasm"), feature = "disk")), expect(dead_code, reason = "nothing is"))]
pub(crate) struct Space<'a> {
    /// Of JSON.
    pub(crate) bytes: usize,
    /// So much in memory waits for the time of its ids that what would only wait there, too, stays outside.
    pub(crate) crowded: bool,
    /// Until when a record would; 0: not at all.
    pub(crate) waits: &'a dyn Fn(&Header) -> u64,
    pub(crate) now_ms: u64,
}

/// What was read back.
#[derive(Default)]
pub(crate) struct Recalled {
    pub(crate) records: Vec<(RecordId, Header)>,
    /// So many of them, the first ones, come out of their order.
    pub(crate) late: usize,
    /// Something was read: there may be more.
    pub(crate) more: bool,
}
