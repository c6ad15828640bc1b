//! Where the application keeps a person's tokens, and what of them may be shown.

use std::sync::{Arc, Mutex};

use amplitude_sdk::server::{
    AccessToken, BoxFuture, Fingerprint,
    oauth::{AuthError, MemoryTokenStore, StoreGuard, StoreKey, StoredTokens, TokenStore},
};
use serde::{Deserialize, de::IgnoredAny};

use super::session::lock;

/// Keeps tokens for as long as this program runs, and notes what may be shown of those that are stored now. Clones share both.
#[derive(Clone, Default)]
pub(super) struct Store {
    tokens: MemoryTokenStore,
    shown: Arc<Mutex<Option<Shown>>>,
}

/// What may be shown of tokens. Times are Unix times in seconds.
#[derive(Clone)]
pub(super) struct Shown {
    /// One more with each refresh; the first is 1.
    pub(super) generation: u64,
    pub(super) obtained_at: u64,
    pub(super) expires_at: Option<u64>,
    /// Of the access token, as the library's events name it.
    pub(super) fingerprint: Fingerprint,
    pub(super) is_refreshable: bool,
}

#[derive(Deserialize)]
struct Stored {
    generation: u64,
    obtained_at: u64,
    expires_at: Option<u64>,
    access_token: String,
    refresh_token: Option<IgnoredAny>,
}

impl Store {
    /// What is stored now, if anything is.
    pub(super) fn shown(&self) -> Option<Shown> {
        lock(&self.shown).clone()
    }
}

impl Shown {
    fn of(tokens: &StoredTokens) -> Option<Self> {
        let stored: Stored = serde_json::from_str(tokens.as_json()).ok()?;
        Some(Self {
            generation: stored.generation,
            obtained_at: stored.obtained_at,
            expires_at: stored.expires_at,
            fingerprint: AccessToken::new(stored.access_token).ok()?.fingerprint(),
            is_refreshable: stored.refresh_token.is_some(),
        })
    }
}

impl TokenStore for Store {
    fn load<'a>(&'a self, key: &'a StoreKey) -> BoxFuture<'a, Result<Option<StoredTokens>, AuthError>> {
        self.tokens.load(key)
    }

    fn save<'a>(
        &'a self,
        key: &'a StoreKey,
        tokens: &'a StoredTokens,
        expected: Option<u64>,
    ) -> BoxFuture<'a, Result<(), AuthError>> {
        Box::pin(async move {
            self.tokens.save(key, tokens, expected).await?;
            *lock(&self.shown) = Shown::of(tokens);
            Ok(())
        })
    }

    fn delete<'a>(&'a self, key: &'a StoreKey) -> BoxFuture<'a, Result<(), AuthError>> {
        Box::pin(async move {
            self.tokens.delete(key).await?;
            *lock(&self.shown) = None;
            Ok(())
        })
    }

    fn lock<'a>(&'a self, key: &'a StoreKey) -> BoxFuture<'a, Result<StoreGuard, AuthError>> {
        self.tokens.lock(key)
    }
}
