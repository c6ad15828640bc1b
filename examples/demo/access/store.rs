//! Where the application keeps a person's tokens, and what of them may be shown.

use std::{
    borrow::Cow,
    sync::{Arc, Mutex},
};

use amplitude_sdk::server::{
    BoxFuture,
    oauth::{AuthError, MemoryTokenStore, StoreGuard, StoreKey, StoredTokens, TokenStore},
};
use ring::digest::{SHA256, digest};
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
    pub(super) fingerprint: String,
    pub(super) is_refreshable: bool,
}

#[derive(Deserialize)]
struct Stored<'a> {
    generation: u64,
    obtained_at: u64,
    expires_at: Option<u64>,
    /// Hashed where it stands, not copied.
    #[serde(borrow)]
    access_token: Cow<'a, str>,
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
        let stored: Stored<'_> = serde_json::from_str(tokens.as_json()).ok()?;
        let hash = digest(&SHA256, stored.access_token.as_bytes());
        Some(Self {
            generation: stored.generation,
            obtained_at: stored.obtained_at,
            expires_at: stored.expires_at,
            fingerprint: hash.as_ref()[..4].iter().map(|byte| format!("{byte:02x}")).collect(),
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
