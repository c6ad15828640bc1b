//! Callers' code within the engine: a panic of a store, or of a source of secrets, is a failure like any other. One that unwound through the
//! engine would take the lock along, and a newer token that is not stored yet.

use std::{future::poll_fn, task::Poll};

use super::{
    super::{AuthError, StoreGuard, StoreKey, StoredTokens, TokenStore},
    broke_off,
};
use crate::{platform, server::BoxFuture};

pub(super) async fn caught<'a, T>(start: impl FnOnce() -> BoxFuture<'a, Result<T, AuthError>>) -> Result<T, AuthError> {
    let mut future = platform::catch_panic(start).ok_or_else(broke_off)?;
    poll_fn(|cx| {
        let polled = platform::catch_panic(|| future.as_mut().poll(cx));
        polled.unwrap_or_else(|| Poll::Ready(Err(broke_off())))
    })
    .await
}

/// A store whose panics are errors.
pub(super) struct Caught<S>(pub(super) S);

impl<S: TokenStore> TokenStore for Caught<S> {
    fn load<'a>(&'a self, key: &'a StoreKey) -> BoxFuture<'a, Result<Option<StoredTokens>, AuthError>> {
        Box::pin(caught(|| self.0.load(key)))
    }

    fn save<'a>(
        &'a self,
        key: &'a StoreKey,
        tokens: &'a StoredTokens,
        expected: Option<u64>,
    ) -> BoxFuture<'a, Result<(), AuthError>> {
        Box::pin(caught(move || self.0.save(key, tokens, expected)))
    }

    fn delete<'a>(&'a self, key: &'a StoreKey) -> BoxFuture<'a, Result<(), AuthError>> {
        Box::pin(caught(|| self.0.delete(key)))
    }

    fn lock<'a>(&'a self, key: &'a StoreKey) -> BoxFuture<'a, Result<StoreGuard, AuthError>> {
        Box::pin(caught(|| self.0.lock(key)))
    }
}
