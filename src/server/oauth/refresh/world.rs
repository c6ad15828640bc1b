//! What the engine has of the world: clocks, sleep, tasks, chance. A simulation has its own.

use std::time::Duration;

use crate::{
    Result, platform,
    server::{BoxFuture, clock::Clock, runtime::Runtime},
};

pub(super) trait World: Send + Sync + 'static {
    /// Since some moment; never goes back.
    fn now(&self) -> Duration;

    /// Since 1970, by the wall clock. It may jump.
    fn wall(&self) -> Duration;

    fn sleep(&self, time: Duration) -> BoxFuture<'static, ()>;

    /// Has a task run to its end, whoever waits for it.
    fn spawn(&self, task: BoxFuture<'static, ()>);

    /// Less than `bound`, which is not 0.
    fn random(&self, bound: u64) -> u64;
}

/// The crate's own runtime.
pub(super) struct Native(Runtime);

impl Native {
    pub(super) fn new() -> Result<Self> {
        Runtime::shared().map(Self)
    }
}

impl World for Native {
    fn now(&self) -> Duration {
        Clock::default().now()
    }

    fn wall(&self) -> Duration {
        Duration::from_millis(platform::unix_ms())
    }

    fn sleep(&self, time: Duration) -> BoxFuture<'static, ()> {
        let runtime = self.0.clone();
        Box::pin(async move { runtime.run(async { tokio::time::sleep(time).await }).await })
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.0.spawn(task);
    }

    fn random(&self, bound: u64) -> u64 {
        let mut bytes = [0; 8];
        platform::fill_random(&mut bytes);
        u64::from_le_bytes(bytes) % bound
    }
}
