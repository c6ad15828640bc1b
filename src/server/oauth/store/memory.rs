//! [`MemoryTokenStore`]: tokens that end with the process.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex},
};

use super::super::{AuthError, StoreFault, StoreGuard, StoreKey, StoredTokens, TokenStore};
use crate::{promise::lock, server::BoxFuture};

/// Keeps tokens in memory: nothing touches a disk, and who starts the program again consents again. Clones share what they hold.
///
/// ```
/// use amplitude_sdk::server::oauth::MemoryTokenStore;
///
/// let store = MemoryTokenStore::new();
/// ```
#[derive(Clone, Default)]
pub struct MemoryTokenStore(Arc<Mutex<HashMap<StoreKey, Slot>>>);

#[derive(Default)]
struct Slot {
    tokens: Option<StoredTokens>,
    lock: Arc<tokio::sync::Mutex<()>>,
}

impl MemoryTokenStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn with<T>(&self, key: &StoreKey, act: impl FnOnce(&mut Slot) -> T) -> T {
        act(lock(&self.0).entry(key.clone()).or_default())
    }
}

impl TokenStore for MemoryTokenStore {
    fn load<'a>(&'a self, key: &'a StoreKey) -> BoxFuture<'a, Result<Option<StoredTokens>, AuthError>> {
        Box::pin(async { Ok(self.with(key, |slot| slot.tokens.clone())) })
    }

    fn save<'a>(
        &'a self,
        key: &'a StoreKey,
        tokens: &'a StoredTokens,
        expected: Option<u64>,
    ) -> BoxFuture<'a, Result<(), AuthError>> {
        Box::pin(async move {
            self.with(key, |slot| {
                if slot.tokens.as_ref().map(StoredTokens::generation) != expected {
                    return Err(AuthError::Store(StoreFault::Conflict, None));
                }
                slot.tokens = Some(tokens.clone());
                Ok(())
            })
        })
    }

    fn delete<'a>(&'a self, key: &'a StoreKey) -> BoxFuture<'a, Result<(), AuthError>> {
        Box::pin(async {
            self.with(key, |slot| slot.tokens = None);
            Ok(())
        })
    }

    fn lock<'a>(&'a self, key: &'a StoreKey) -> BoxFuture<'a, Result<StoreGuard, AuthError>> {
        Box::pin(async {
            let mutex = self.with(key, |slot| Arc::clone(&slot.lock));
            Ok(StoreGuard::new(mutex.lock_owned().await))
        })
    }
}

impl fmt::Debug for MemoryTokenStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryTokenStore").finish_non_exhaustive()
    }
}
