//! One server, one store, and processes, each step of which a test takes.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use super::{
    super::{
        super::{AuthError, Lease, StoreKey, TokenEndpoint, TokenProvider, TokenSet, TokenStore},
        RefreshingToken, Revocation,
    },
    executor::{Executor, Process},
    server::{Endpoint, Fate, Server},
    store::Store,
};
use crate::{
    promise::lock,
    server::{AuthEvent, Expose, observer::Observers},
};

pub(super) const HOUR: Duration = Duration::from_secs(3600);

/// One server, one store, and as many processes as a test starts.
pub(super) struct Rig {
    pub(super) executor: Executor,
    pub(super) server: Arc<Mutex<Server>>,
    pub(super) store: Store,
    processes: AtomicU64,
    pub(super) told: Arc<Mutex<Vec<String>>>,
}

/// A process and its tokens.
pub(super) struct User {
    pub(super) process: Process,
    pub(super) tokens: RefreshingToken,
    pub(super) executor: Executor,
}

impl Rig {
    pub(super) fn new(lifetime: Option<Duration>) -> Self {
        let executor = Executor::new(7);
        let server = Server::new(lifetime);
        let store = Store::new(&executor, &server);
        Self { executor, server, store, processes: AtomicU64::new(0), told: Arc::default() }
    }

    /// A process that starts with a user's consent.
    pub(super) fn login(&self) -> User {
        let tokens = lock(&self.server).consent(self.executor.now());
        self.start(Some(tokens), Arc::default()).unwrap()
    }

    /// One that goes on with what is stored.
    pub(super) fn resume(&self) -> User {
        self.start(None, Arc::default()).unwrap()
    }

    pub(super) fn start(&self, first: Option<TokenSet>, clock_error: Arc<AtomicI64>) -> Result<User, AuthError> {
        let number = self.processes.fetch_add(1, Ordering::Relaxed) + 1;
        let (server, executor) = (Arc::clone(&self.server), self.executor.clone());
        let hosts = vec!["mcp.example.com".to_owned()];
        let endpoint = Endpoint { server, executor, process: number, hosts, chance: None };
        self.start_with(number, Arc::new(endpoint), first, clock_error)
    }

    pub(super) fn start_with(
        &self,
        number: u64,
        endpoint: Arc<dyn TokenEndpoint>,
        first: Option<TokenSet>,
        clock_error: Arc<AtomicI64>,
    ) -> Result<User, AuthError> {
        let executor = self.executor.clone();
        let process = Process { executor: executor.clone(), number, clock_error };
        let told = Arc::clone(&self.told);
        let observer = move |event: &AuthEvent<'_>| lock(&told).push(format!("{event:?}"));
        let (world, store) = (Arc::new(process.clone()), Arc::new(self.store.clone()));
        let started = executor.block_on(number, async move {
            RefreshingToken::start_in(world, endpoint, store, first, Observers::new(Arc::new(observer))).await
        });
        Ok(User { process, tokens: started?, executor })
    }

    pub(super) fn next(&self, fate: Fate) {
        lock(&self.server).fates.push_back(fate);
    }

    pub(super) fn requests(&self) -> usize {
        lock(&self.server).requests.len()
    }

    pub(super) fn stored(&self) -> Option<TokenSet> {
        let (memory, key) = (self.store.memory.clone(), StoreKey::new("https://as.example.com", "demo"));
        let stored = self.executor.block_on(0, async move { (memory.load(&key).await.unwrap(), key) });
        stored.0.map(|tokens| tokens.read(&stored.1).unwrap())
    }

    /// How often something was told.
    pub(super) fn told(&self, what: &str) -> usize {
        lock(&self.told).iter().filter(|told| told.contains(what)).count()
    }

    pub(super) fn wait(&self, time: Duration) {
        self.executor.run_for(time);
    }

    pub(super) fn check(&self) {
        let server = lock(&self.server);
        assert!(server.violations.is_empty(), "{:?}", server.violations);
    }
}

impl User {
    pub(super) fn token(&self, rejected: Option<u64>) -> Result<Lease, AuthError> {
        let tokens = self.tokens.clone();
        self.executor.block_on(self.process.number, async move { tokens.token(rejected).await })
    }

    pub(super) fn text(&self) -> String {
        self.token(None).unwrap().token.expose().to_owned()
    }

    pub(super) fn revoke(&self) -> Result<Revocation, AuthError> {
        let tokens = self.tokens.clone();
        self.executor.block_on(self.process.number, async move { tokens.revoke().await })
    }

    pub(super) fn settle(&self) -> Result<(), AuthError> {
        let tokens = self.tokens.clone();
        self.executor.block_on(self.process.number, async move { tokens.settle().await })
    }
}
