//! Stores: they own a record's bytes from `track` until its outcome is known. After `context`, beside `pipeline`.

mod memory;

pub(crate) use memory::MemoryStore;
