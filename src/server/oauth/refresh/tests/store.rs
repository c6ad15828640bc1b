//! A store that takes its time and fails, shared by the processes of a simulation.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering},
};

use super::{
    super::super::{AuthError, MemoryTokenStore, StoreFault, StoreGuard, StoreKey, StoredTokens, TokenStore},
    executor::Executor,
    server::Server,
};
use crate::{
    promise::lock,
    server::{BoxFuture, Expose},
};

#[derive(Clone)]
pub(super) struct Store {
    pub(super) memory: MemoryTokenStore,
    pub(super) executor: Executor,
    pub(super) server: Arc<Mutex<Server>>,
    /// So often in a hundred times something fails.
    pub(super) faults: Arc<AtomicU64>,
    /// So many times it panics where it is to store.
    pub(super) panics: Arc<AtomicU64>,
    /// So many times it does not answer.
    pub(super) hangs: Arc<AtomicU64>,
}

impl Store {
    pub(super) fn new(executor: &Executor, server: &Arc<Mutex<Server>>) -> Self {
        let (executor, server) = (executor.clone(), Arc::clone(server));
        Self {
            memory: MemoryTokenStore::new(),
            executor,
            server,
            faults: Arc::default(),
            panics: Arc::default(),
            hangs: Arc::default(),
        }
    }

    async fn work(&self, up_to_ms: u64) {
        self.executor.pause(up_to_ms).await;
        if take_one(&self.hangs) {
            std::future::pending::<()>().await;
        }
    }

    fn fault(&self) -> Result<(), AuthError> {
        let fails = self.executor.random().percent(self.faults.load(Ordering::Relaxed));
        if fails { Err(AuthError::Store(StoreFault::Io, Some("a planted fault".into()))) } else { Ok(()) }
    }
}

fn take_one(count: &AtomicU64) -> bool {
    count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
}

impl TokenStore for Store {
    fn load<'a>(&'a self, key: &'a StoreKey) -> BoxFuture<'a, Result<Option<StoredTokens>, AuthError>> {
        Box::pin(async {
            self.work(20).await;
            self.fault()?;
            self.memory.load(key).await
        })
    }

    fn save<'a>(
        &'a self,
        key: &'a StoreKey,
        tokens: &'a StoredTokens,
        expected: Option<u64>,
    ) -> BoxFuture<'a, Result<(), AuthError>> {
        Box::pin(async move {
            self.work(50).await;
            assert!(!take_one(&self.panics), "a planted panic");
            self.fault()?;
            self.memory.save(key, tokens, expected).await?;
            if let Some(refresh) = tokens.read(key)?.refresh {
                lock(&self.server).stored(refresh.expose());
            }
            self.executor.pause(50).await;
            // It is stored, and the disk says that it failed.
            self.fault()
        })
    }

    fn delete<'a>(&'a self, key: &'a StoreKey) -> BoxFuture<'a, Result<(), AuthError>> {
        Box::pin(async {
            self.work(20).await;
            self.fault()?;
            self.memory.delete(key).await
        })
    }

    fn lock<'a>(&'a self, key: &'a StoreKey) -> BoxFuture<'a, Result<StoreGuard, AuthError>> {
        Box::pin(async {
            self.executor.pause(5).await;
            self.memory.lock(key).await
        })
    }
}
