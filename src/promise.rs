//! A value that arrives later, for any executor: what receipts and flushes hand out. Both targets.

use std::{
    future::Future,
    mem,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

/// Locks, taking the state of a thread that panicked as it is: every critical section of this crate leaves it whole.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Both ends of the value. Clones share it; it is set once, later sets are ignored.
pub(crate) struct Promise<T>(Arc<Mutex<State<T>>>);

struct State<T> {
    value: Option<T>,
    wakers: Vec<Waker>,
}

impl<T: Clone> Promise<T> {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(State { value: None, wakers: Vec::new() })))
    }

    pub(crate) fn set(&self, value: T) {
        let wakers = {
            let mut state = lock(&self.0);
            if state.value.is_some() {
                return;
            }
            state.value = Some(value);
            mem::take(&mut state.wakers)
        };
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl<T> Clone for Promise<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: Clone> Future for Promise<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let mut state = lock(&self.0);
        if let Some(value) = &state.value {
            return Poll::Ready(value.clone());
        }
        if !state.wakers.iter().any(|waker| waker.will_wake(cx.waker())) {
            state.wakers.push(cx.waker().clone());
        }
        Poll::Pending
    }
}

/// A wake-up for one sleeper; a wake-up that comes first is kept.
#[derive(Default)]
pub(crate) struct Signal(Mutex<SignalState>);

#[derive(Default)]
struct SignalState {
    set: bool,
    sleeper: Option<Waker>,
}

impl Signal {
    pub(crate) fn notify(&self) {
        let sleeper = {
            let mut state = lock(&self.0);
            state.set = true;
            state.sleeper.take()
        };
        if let Some(sleeper) = sleeper {
            sleeper.wake();
        }
    }

    /// Ready once notified, and then not again before the next notification.
    pub(crate) fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = lock(&self.0);
        if mem::take(&mut state.set) {
            return Poll::Ready(());
        }
        state.sleeper = Some(cx.waker().clone());
        Poll::Pending
    }
}
