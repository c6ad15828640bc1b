//! Stores: they own a record's bytes from `track` until its outcome is known. After `context`, beside `pipeline`.

#[cfg(all(not(any(target_family = "wasm", unix)), feature = "disk"))]
#[path = "access/elsewhere.rs"]
mod access;
#[cfg(all(not(target_family = "wasm"), unix, feature = "disk"))]
#[path = "access/unix.rs"]
mod access;
#[cfg(all(not(target_family = "wasm"), feature = "disk"))]
mod disk;
#[cfg(not(all(not(target_family = "wasm"), feature = "disk")))]
#[path = "no_disk.rs"]
mod disk;
mod memory;

#[cfg(not(all(not(target_family = "wasm"), feature = "disk")))]
pub(crate) use disk::DiskOptions;
pub(crate) use disk::{
    Archive, Backlog, Journal, LetterFile, Place, Slot, SyncFile, Written, add_unsynced, letter_file, open_disk, sync,
};
#[cfg(all(not(target_family = "wasm"), feature = "disk"))]
pub use disk::{DiskOptions, DiskSync};
pub(crate) use memory::MemoryStore;

/// Why a folder cannot be used, and what the system said.
#[cfg(all(not(target_family = "wasm"), feature = "disk"))]
type Refused = (&'static str, Option<std::io::Error>);
