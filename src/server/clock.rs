//! Time: that of a clock that only goes forward, or a test's own, and that of the calendar.

use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

/// The system's monotonic clock unless another one is given. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Clock(Option<Arc<dyn Fn() -> Duration + Send + Sync>>);

impl Clock {
    /// The time since some moment that stays the same.
    pub(crate) fn of(now: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(now)))
    }

    pub(crate) fn now(&self) -> Duration {
        static START: OnceLock<Instant> = OnceLock::new();
        match &self.0 {
            Some(now) => now(),
            None => START.get_or_init(Instant::now).elapsed(),
        }
    }
}

/// The calendar's time in seconds since 1970, for what other processes are to understand. It may jump.
#[cfg(feature = "oauth")]
pub(crate) fn unix_seconds() -> u64 {
    crate::platform::unix_ms() / 1000
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}
