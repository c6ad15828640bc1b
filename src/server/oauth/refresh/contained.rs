//! Callers' code within the engine: a panic of a store, or of a source of secrets, is a failure like any other, and so is a store that does not
//! answer. A panic that unwound through the engine would take the lock along, and a newer token that is not stored yet; a store that hangs
//! would hold up all who wait for its end.

use std::{
    future::{Future, poll_fn},
    sync::Arc,
    task::Poll,
    time::Duration,
};

use super::{
    super::{AuthError, StoreFault, StoreGuard, StoreKey, StoredTokens, TokenStore},
    broke_off,
    world::World,
};
use crate::{error::Source, platform, server::BoxFuture};

/// Longer than a database takes that is there at all.
const STORE_WAIT: Duration = Duration::from_secs(20);

pub(super) async fn caught<'a, T>(start: impl FnOnce() -> BoxFuture<'a, Result<T, AuthError>>) -> Result<T, AuthError> {
    let mut future = platform::catch_panic(start).ok_or_else(broke_off)?;
    poll_fn(|cx| {
        let polled = platform::catch_panic(|| future.as_mut().poll(cx));
        polled.unwrap_or_else(|| Poll::Ready(Err(broke_off())))
    })
    .await
}

/// A store whose panics, and whose silence, are errors.
pub(super) struct Contained {
    pub(super) store: Arc<dyn TokenStore>,
    pub(super) world: Arc<dyn World>,
}

impl Contained {
    /// What is given up may have been done nevertheless, or be done later, as with a database whose answer is lost.
    async fn in_time<T>(&self, answer: impl Future<Output = Result<T, AuthError>>) -> Result<T, AuthError> {
        tokio::select! {
            biased;
            answer = answer => answer,
            () = self.world.sleep(STORE_WAIT) => {
                let silence = format!("it did not answer within {} seconds", STORE_WAIT.as_secs());
                Err(AuthError::Store(StoreFault::Io, Some(Source::from(silence))))
            }
        }
    }
}

impl TokenStore for Contained {
    fn load<'a>(&'a self, key: &'a StoreKey) -> BoxFuture<'a, Result<Option<StoredTokens>, AuthError>> {
        Box::pin(self.in_time(caught(|| self.store.load(key))))
    }

    fn save<'a>(
        &'a self,
        key: &'a StoreKey,
        tokens: &'a StoredTokens,
        expected: Option<u64>,
    ) -> BoxFuture<'a, Result<(), AuthError>> {
        Box::pin(self.in_time(caught(move || self.store.save(key, tokens, expected))))
    }

    fn delete<'a>(&'a self, key: &'a StoreKey) -> BoxFuture<'a, Result<(), AuthError>> {
        Box::pin(self.in_time(caught(|| self.store.delete(key))))
    }

    /// Who has the lock may have it for as long as a refresh takes; how long is waited for it, its caller says.
    fn lock<'a>(&'a self, key: &'a StoreKey) -> BoxFuture<'a, Result<StoreGuard, AuthError>> {
        Box::pin(caught(|| self.store.lock(key)))
    }
}
