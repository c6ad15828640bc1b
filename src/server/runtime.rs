//! The runtime that a server client's requests run on: the crate's own, so that any executor may poll them, and none has to live on.

use std::{
    future::{Future, pending, poll_fn},
    pin::pin,
    sync::Mutex,
    thread,
};

use tokio::runtime::{Builder, Handle};

use crate::{Error, ErrorKind, Result, promise::lock};

/// One for the whole process, started with the first client. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Runtime(Handle);

impl Runtime {
    /// # Errors
    /// [`ErrorKind::Store`] when the system gives no thread or no event queue.
    pub(crate) fn shared() -> Result<Self> {
        static STARTED: Mutex<Option<Runtime>> = Mutex::new(None);
        let mut started = lock(&STARTED);
        if let Some(runtime) = &*started {
            return Ok(runtime.clone());
        }
        let failed = |error| Error::new(ErrorKind::Store, "the thread for requests cannot start").with_source(error);
        let runtime = Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let handle = runtime.handle().clone();
        thread::Builder::new()
            .name("amplitude-sdk-server".to_owned())
            .spawn(move || runtime.block_on(pending::<()>()))
            .map_err(failed)?;
        Ok(started.insert(Self(handle)).clone())
    }

    /// Polls with this runtime's sockets and timers.
    pub(crate) fn poll<T>(&self, poll: impl FnOnce() -> T) -> T {
        let _entered = self.0.enter();
        poll()
    }

    /// A future that is polled so.
    pub(crate) async fn run<F: Future>(&self, future: F) -> F::Output {
        let mut future = pin!(future);
        poll_fn(|cx| self.poll(|| future.as_mut().poll(cx))).await
    }

    /// Has it run to its end, whoever waits for it.
    #[cfg(feature = "oauth")]
    pub(crate) fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        self.0.spawn(future);
    }

    /// Does what blocks on a thread for that. It is done to its end, whoever waits for it.
    #[cfg(feature = "oauth")]
    pub(crate) async fn blocking<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        match self.0.spawn_blocking(work).await {
            Ok(done) => done,
            // Never cancelled: the runtime lives as long as the process.
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}
