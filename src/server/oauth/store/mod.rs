//! Where tokens are kept. A [`super::TokenStore`] sees them as text, [`StoredTokens`]; what makes that text and reads it is in one place, so that
//! stores can be wrapped and written by others.

#[cfg(test)]
mod crash;
mod encrypted;
mod file;
#[cfg(feature = "keyring")]
mod keyring;
mod memory;
mod stored;

pub use self::{encrypted::EncryptedTokenStore, file::FileTokenStore, memory::MemoryTokenStore, stored::StoredTokens};
