//! What a page adds to its events: who and where it is. Browser only; the npm classes use it.

mod identity;
mod storage;

pub(crate) use identity::Identity;
pub(crate) use storage::Storage;
