//! [`RefreshingToken`]: an access token that is renewed before it expires, once, whoever asks for it, in this process or in another.
//!
//! ```text
//! token ─step─┬─ serve ............................ lives longer than its leeway; near its end a search starts meanwhile
//!             └─ await ─ search (one at a time, a task of its own):
//!                          lock the store, read it
//!                          another process was faster: publish what it has stored
//!                          request ─┬─ granted: store, then publish
//!                                   ├─ invalid_grant: end, unless another one is stored by now
//!                                   └─ anything else: later; the old one serves while it lives
//! ```
//!
//! Invariants: no refresh token is sent twice by processes that share the store's lock, unless the answer was lost; a newer token is stored
//! before it is used, and where it cannot be, the lock is kept until it is, so that nobody sends the spent one.

mod contained;
mod current;
mod ends;
mod failure;
mod hold;
mod search;
mod state;
#[cfg(test)]
mod tests;
mod world;

use std::{
    fmt,
    sync::{Arc, Mutex},
    time::SystemTime,
};

use self::{
    contained::Contained,
    hold::Work,
    state::{State, Step},
    world::{Native, World},
};
use super::{
    AuthError, ClientCredentials, Lease, OAuthApp, StoreFault, StoreKey, TokenEndpoint, TokenProvider, TokenSet, TokenStore,
};
use crate::{
    error::Source,
    promise::lock,
    server::{AuthEvent, BoxFuture, ScopeSet, observer::Observers},
};

/// Access tokens of one user or account, always fresh. Cheap to clone; clones share everything.
///
/// A token is renewed when somebody asks for one and a quarter of its life, or five minutes, is left; who asks then still gets the old one at
/// once. In its last fifth, or minute, callers wait for the newer one. However many ask, and in however many processes that share a store,
/// there is one request; it goes on when those who asked have left. A failure is not the end: the old token serves while it lives, attempts
/// follow at growing distances of one second to a minute, and only the server's word that the grant is over ends it.
///
/// A program that ends while a newer token is on its way may lose it: have it wait for [`RefreshingToken::settle`] first.
///
/// ```no_run
/// use amplitude_sdk::server::oauth::{AuthError, FileTokenStore, OAuthApp, RefreshingToken, TokenProvider as _, TokenSet};
///
/// # async fn run(app: OAuthApp, tokens: TokenSet) -> Result<(), AuthError> {
/// // After the user's consent:
/// let tokens = RefreshingToken::start(&app, tokens, FileTokenStore::user_default()?).await?;
/// // In later runs:
/// let tokens = RefreshingToken::resume(&app, FileTokenStore::user_default()?).await?;
/// let lease = tokens.token(None).await?;
/// // When it is no longer wanted:
/// tokens.revoke().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct RefreshingToken(Arc<Engine>);

/// How the server took it that tokens were given up. On this side they are gone in either case.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Revocation {
    /// The server has revoked them.
    ByServer,
    /// The server cannot revoke tokens of this client: they end when they expire, or when the user withdraws consent.
    LocalOnly,
}

struct Engine {
    endpoint: Arc<dyn TokenEndpoint>,
    store: Arc<dyn TokenStore>,
    key: StoreKey,
    observers: Observers,
    world: Arc<dyn World>,
    state: Mutex<State>,
    /// What is done with the store's lock held is done by one at a time.
    work: tokio::sync::Mutex<Work>,
}

impl RefreshingToken {
    /// Starts with the tokens of a user's consent, which are in the store before this answers, in place of what was stored.
    ///
    /// # Errors
    /// [`AuthError::Store`]: the store holds what cannot be read, or cannot store; then nothing is kept.
    pub async fn start(app: &OAuthApp, tokens: TokenSet, store: impl TokenStore) -> Result<Self, AuthError> {
        Self::start_with(Arc::new(app.clone()), Arc::new(store), Some(tokens), app.http().observers().clone()).await
    }

    /// Goes on with what the store holds from an earlier run or another process. Where there is nothing, [`TokenProvider::token`] answers
    /// [`Reauth::NoToken`](super::Reauth::NoToken) until another process has stored something.
    ///
    /// # Errors
    /// [`AuthError::Store`]: the store cannot be read.
    pub async fn resume(app: &OAuthApp, store: impl TokenStore) -> Result<Self, AuthError> {
        Self::start_with(Arc::new(app.clone()), Arc::new(store), None, app.http().observers().clone()).await
    }

    /// Tokens of a service account, which are asked for when they are first needed. A store that is shared has several processes use one token.
    ///
    /// # Errors
    /// [`AuthError::Store`]: the store cannot be read.
    pub async fn service_account(account: &ClientCredentials, store: impl TokenStore) -> Result<Self, AuthError> {
        let observers = account.app().http().observers().clone();
        Self::start_with(Arc::new(account.clone()), Arc::new(store), None, observers).await
    }

    pub(crate) async fn start_with(
        endpoint: Arc<dyn TokenEndpoint>,
        store: Arc<dyn TokenStore>,
        first: Option<TokenSet>,
        observers: Observers,
    ) -> Result<Self, AuthError> {
        let world = Native::new().map_err(AuthError::System)?;
        Self::start_in(Arc::new(world), endpoint, store, first, observers).await
    }

    async fn start_in(
        world: Arc<dyn World>,
        endpoint: Arc<dyn TokenEndpoint>,
        store: Arc<dyn TokenStore>,
        first: Option<TokenSet>,
        observers: Observers,
    ) -> Result<Self, AuthError> {
        let key = endpoint.store_key();
        let store = Arc::new(Contained { store, world: Arc::clone(&world) });
        let (state, work) = (Mutex::default(), tokio::sync::Mutex::default());
        let engine = Arc::new(Engine { endpoint, store, key, observers, world, state, work });
        engine.run(move |engine| async move { engine.begin(first).await }).await?;
        Ok(Self(engine))
    }

    /// Has the server revoke the tokens, the refresh token first, and forgets them here and in the store. Other processes that share the store
    /// find them gone at their next refresh.
    ///
    /// # Errors
    /// [`AuthError::Transient`] and others of the server's: it could not revoke them now, so that they are still valid and were **kept** for
    /// another try; [`RefreshingToken::forget`] gives them up without it. [`AuthError::Store`]: as there.
    pub async fn revoke(&self) -> Result<Revocation, AuthError> {
        self.0.run(|engine| async move { engine.revoke().await }).await
    }

    /// Forgets the tokens here and in the store, without a word to the server.
    ///
    /// # Errors
    /// [`AuthError::Store`]: the store could not forget them, so that whoever asks next finds them there again: try again.
    pub async fn forget(&self) -> Result<(), AuthError> {
        self.0.run(|engine| async move { engine.forget().await }).await
    }

    /// When the access token that is held expires, as the server said; `None`: there is none, or the server did not say.
    #[must_use]
    pub fn expires_at(&self) -> Option<SystemTime> {
        lock(&self.0.state).current.as_ref()?.tokens.expires_at()
    }

    /// Waits until no refresh is under way and the newest token is stored: to be called before the program ends.
    ///
    /// # Errors
    /// [`AuthError::Store`]: it still cannot be stored.
    pub async fn settle(&self) -> Result<(), AuthError> {
        loop {
            let flight = lock(&self.0.state).flight.clone();
            let Some(flight) = flight else { break };
            // How it ended is for those who asked for a token.
            let _ = flight.await;
        }
        self.0.run(|engine| async move { engine.settle().await }).await
    }
}

impl TokenProvider for RefreshingToken {
    fn token(&self, rejected: Option<u64>) -> BoxFuture<'_, Result<Lease, AuthError>> {
        Box::pin(self.0.token(rejected))
    }

    fn granted(&self) -> ScopeSet {
        lock(&self.0.state).current.as_ref().map(|current| current.tokens.granted.clone()).unwrap_or_default()
    }

    fn is_for(&self, host: &str) -> bool {
        self.0.endpoint.hosts().iter().any(|allowed| allowed.eq_ignore_ascii_case(host))
    }
}

impl fmt::Debug for RefreshingToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Engine { key, .. } = &*self.0;
        f.debug_struct("RefreshingToken").field("issuer", &key.issuer).field("profile", &key.profile).finish_non_exhaustive()
    }
}

impl Engine {
    async fn token(self: &Arc<Self>, rejected: Option<u64>) -> Result<Lease, AuthError> {
        loop {
            let flight = {
                let mut state = lock(&self.state);
                match state.step(rejected, self.world.now()) {
                    Step::Serve { lease, renew } => {
                        if renew {
                            self.search(&mut state);
                        }
                        return Ok(lease);
                    }
                    Step::Refuse(error) => return Err(error),
                    Step::Await(flight) => flight,
                    Step::Start => self.search(&mut state),
                }
            };
            match flight.await {
                // A search that found what was rejected since is not the one to wait for.
                Ok(current) if Some(current.serial) == rejected => {}
                Ok(current) => return Ok(current.lease()),
                Err(error) => {
                    let usable = lock(&self.state).usable(rejected, self.world.now()).map(|current| current.lease());
                    return usable.ok_or_else(|| failure::share(&error, None));
                }
            }
        }
    }

    fn renewable(&self, tokens: &TokenSet) -> bool {
        tokens.refresh.is_some() || !self.endpoint.needs_refresh_token()
    }

    /// Does what must not stop in the middle when its caller leaves.
    async fn run<T: Send + 'static, F: Future<Output = Result<T, AuthError>> + Send>(
        self: &Arc<Self>,
        task: impl FnOnce(Arc<Self>) -> F + Send + 'static,
    ) -> Result<T, AuthError> {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let engine = Arc::clone(self);
        self.world.spawn(Box::pin(async move {
            // Nobody may be waiting any more.
            let _ = sender.send(task(engine).await);
        }));
        receiver.await.unwrap_or_else(|_| Err(broke_off()))
    }

    fn tell(&self, event: &AuthEvent<'_>) {
        self.observers.tell(event);
    }
}

fn broke_off() -> AuthError {
    AuthError::Store(StoreFault::Io, Some(Source::from("the task ended in the middle")))
}
