//! Tokens, and the seams between those who get them, keep them and use them.

use std::{
    any::Any,
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use serde_json::{Map, Value};

use super::{AuthError, StoredTokens, TokenAnswer};
use crate::server::{AccessToken, BoxFuture, IdToken, RefreshToken, ScopeSet};

/// Which tokens: those of one client at one server, for one resource and one profile (a user, an account, "default").
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub struct StoreKey {
    /// The authorization server, so that no token of one region is taken for the other's.
    pub issuer: String,
    /// The client's id; empty where the server has none.
    pub client_id: String,
    /// What the tokens are for (RFC 8707), where that was asked for.
    pub resource: Option<String>,
    /// Whose tokens, where one program holds several.
    pub profile: String,
}

impl StoreKey {
    /// The tokens of a client at a server, for no particular resource, and the profile `default`.
    #[must_use]
    pub fn new(issuer: impl Into<String>, client_id: impl Into<String>) -> Self {
        Self { issuer: issuer.into(), client_id: client_id.into(), resource: None, profile: "default".to_owned() }
    }
}

/// What a server granted, and when.
///
/// `Debug` shows no token.
#[derive(Clone, Debug)]
pub struct TokenSet {
    pub(crate) access: AccessToken,
    pub(crate) refresh: Option<RefreshToken>,
    pub(crate) id_token: Option<IdToken>,
    pub(crate) requested: ScopeSet,
    pub(crate) granted: ScopeSet,
    /// Unix time in seconds, by the wall clock, for other processes.
    pub(crate) obtained_at: u64,
    pub(crate) expires_at: Option<u64>,
    /// One more with each write to the store; 0 before the first.
    pub(crate) generation: u64,
    /// What a newer version of this crate has stored beside; it is kept.
    pub(crate) unknown: Map<String, Value>,
}

impl TokenSet {
    /// The scopes that were asked for.
    #[must_use]
    pub fn requested(&self) -> &ScopeSet {
        &self.requested
    }

    /// The scopes that were granted.
    #[must_use]
    pub fn granted(&self) -> &ScopeSet {
        &self.granted
    }

    /// When the access token expires, as the server said; `None`: it did not.
    #[must_use]
    pub fn expires_at(&self) -> Option<SystemTime> {
        Some(SystemTime::UNIX_EPOCH + Duration::from_secs(self.expires_at?))
    }

    /// Whether there is a refresh token.
    #[must_use]
    pub fn is_refreshable(&self) -> bool {
        self.refresh.is_some()
    }
}

/// Keeps tokens from one run of a program to the next, and holds the lock that keeps two processes from using one refresh token twice.
///
/// [`MemoryTokenStore`](super::MemoryTokenStore) and [`FileTokenStore`](super::FileTokenStore) are such stores, and
/// [`EncryptedTokenStore`](super::EncryptedTokenStore) encrypts for any. For an own one, e.g. a table of a database:
///
/// - A row is found by all four parts of the [`StoreKey`]; it holds the text [`StoredTokens::as_json`] and the number
///   [`StoredTokens::generation`].
/// - `save` is atomic and durable: when it has answered `Ok`, a crash does not take the new tokens away, and at no time is there a part of them.
/// - `lock` is exclusive over all processes that share the store, and ends when its holder does.
/// - What has not answered after 20 seconds is an error: its future is dropped, and others go on. Nothing of it may be done after that, e.g. by
///   a thread that it started.
pub trait TokenStore: Send + Sync + 'static {
    /// What is stored, if anything is.
    fn load<'a>(&'a self, key: &'a StoreKey) -> BoxFuture<'a, Result<Option<StoredTokens>, AuthError>>;

    /// Replaces what is stored, as a whole and for good when this answers `Ok`. `expected` is the generation that the caller has seen (`None`:
    /// there was none); where another one is stored, this is [`super::StoreFault::Conflict`]. Called with the lock held.
    fn save<'a>(
        &'a self,
        key: &'a StoreKey,
        tokens: &'a StoredTokens,
        expected: Option<u64>,
    ) -> BoxFuture<'a, Result<(), AuthError>>;

    /// Forgets what is stored, whatever it is; nothing stored is no error. Called with the lock held.
    fn delete<'a>(&'a self, key: &'a StoreKey) -> BoxFuture<'a, Result<(), AuthError>>;

    /// Waits until nobody else holds the lock, in this process or another. Held around a refresh.
    fn lock<'a>(&'a self, key: &'a StoreKey) -> BoxFuture<'a, Result<StoreGuard, AuthError>>;
}

impl<S: TokenStore + ?Sized> TokenStore for Arc<S> {
    fn load<'a>(&'a self, key: &'a StoreKey) -> BoxFuture<'a, Result<Option<StoredTokens>, AuthError>> {
        (**self).load(key)
    }

    fn save<'a>(
        &'a self,
        key: &'a StoreKey,
        tokens: &'a StoredTokens,
        expected: Option<u64>,
    ) -> BoxFuture<'a, Result<(), AuthError>> {
        (**self).save(key, tokens, expected)
    }

    fn delete<'a>(&'a self, key: &'a StoreKey) -> BoxFuture<'a, Result<(), AuthError>> {
        (**self).delete(key)
    }

    fn lock<'a>(&'a self, key: &'a StoreKey) -> BoxFuture<'a, Result<StoreGuard, AuthError>> {
        (**self).lock(key)
    }
}

/// Holds a store's lock until it is dropped.
pub struct StoreGuard(#[expect(dead_code, reason = "held to be dropped")] Box<dyn Any + Send>);

impl StoreGuard {
    /// What gives up the lock when it is dropped.
    #[must_use]
    pub fn new(guard: impl Any + Send) -> Self {
        Self(Box::new(guard))
    }
}

impl fmt::Debug for StoreGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoreGuard")
    }
}

/// Gives access tokens that are valid now.
pub trait TokenProvider: Send + Sync + 'static {
    /// A token. `rejected` is the generation of one that a server refused: it is given again only where there is no other one and none can be
    /// had, e.g. of a token that is just there.
    fn token(&self, rejected: Option<u64>) -> BoxFuture<'_, Result<Lease, AuthError>>;

    /// The scopes that were granted, as far as it is known.
    fn granted(&self) -> ScopeSet;

    /// Whether a token may be sent to that host: each is bound to the hosts of its resource.
    fn is_for(&self, host: &str) -> bool;
}

/// A provider that several credentials use.
impl<P: TokenProvider + ?Sized> TokenProvider for Arc<P> {
    fn token(&self, rejected: Option<u64>) -> BoxFuture<'_, Result<Lease, AuthError>> {
        (**self).token(rejected)
    }

    fn granted(&self) -> ScopeSet {
        (**self).granted()
    }

    fn is_for(&self, host: &str) -> bool {
        (**self).is_for(host)
    }
}

/// An access token to use now.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Lease {
    /// The token.
    pub token: AccessToken,
    /// Differs between two tokens of one provider.
    pub generation: u64,
}

impl Lease {
    /// A token and the number that names it.
    #[must_use]
    pub fn new(token: AccessToken, generation: u64) -> Self {
        Self { token, generation }
    }
}

/// How a newer token is got, and given up: the refresh of a user's, or a new one for a service account.
pub(crate) trait TokenEndpoint: Send + Sync + 'static {
    fn store_key(&self) -> StoreKey;

    /// The hosts that its tokens may be sent to.
    fn hosts(&self) -> &[String];

    /// Whether `renew` needs a refresh token.
    fn needs_refresh_token(&self) -> bool;

    /// The scopes that it asks for, where it asks anew.
    fn requested(&self) -> ScopeSet {
        ScopeSet::new()
    }

    /// Asks for a newer token. One request, or a second one after a secret was reloaded; no other retries.
    fn renew<'a>(&'a self, current: Option<&'a TokenSet>) -> BoxFuture<'a, Result<TokenAnswer, AuthError>>;

    /// Has the server forget the tokens.
    fn revoke<'a>(&'a self, tokens: &'a TokenSet) -> BoxFuture<'a, Result<(), AuthError>>;
}
