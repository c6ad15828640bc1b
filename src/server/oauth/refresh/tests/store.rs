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
    /// So often in a hundred times it does what it was asked later, and never answers.
    pub(super) stalls: Arc<AtomicU64>,
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
            stalls: Arc::default(),
        }
    }

    async fn work(&self, up_to_ms: u64) {
        self.executor.pause(up_to_ms).await;
        if take_one(&self.hangs) {
            std::future::pending::<()>().await;
        }
    }

    /// Whether it is now that it does this later and never answers.
    fn stalls(&self, later: impl FnOnce(Self) -> BoxFuture<'static, ()>) -> bool {
        let stalls = self.executor.random().percent(self.stalls.load(Ordering::Relaxed));
        if stalls {
            let (executor, later) = (self.executor.clone(), later(self.clone()));
            // Of no process, so that it happens even after a crash.
            self.executor.spawn(0, async move {
                executor.pause(60_000).await;
                later.await;
            });
        }
        stalls
    }

    async fn put(&self, key: &StoreKey, tokens: &StoredTokens, expected: Option<u64>) -> Result<(), AuthError> {
        self.memory.save(key, tokens, expected).await?;
        if let Some(refresh) = tokens.read(key)?.refresh {
            lock(&self.server).stored(refresh.expose());
        }
        Ok(())
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
            if self.stalls(|_| Box::pin(async {})) {
                std::future::pending::<()>().await;
            }
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
            let (late_key, late) = (key.clone(), tokens.clone());
            if self.stalls(|store| {
                Box::pin(async move {
                    // Where another one was stored meanwhile, it is refused.
                    let _ = store.put(&late_key, &late, expected).await;
                })
            }) {
                std::future::pending::<()>().await;
            }
            self.put(key, tokens, expected).await?;
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
