//! How long to wait after failures in a row. Pure: the jitter's source is seeded by the driver.

use std::time::Duration;

/// Exponential back-off with full jitter over its upper half: the n-th wait is between half of `first * 2^(n-1)`, capped, and
/// all of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff {
    pub(crate) first: Duration,
    pub(crate) cap: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { first: Duration::from_millis(250), cap: Duration::from_secs(60) }
    }
}

impl Backoff {
    /// The wait after that many failures in a row (1 or more), at least what the server asked for.
    pub(super) fn delay_ms(&self, failures: u32, at_least: Option<Duration>, jitter: &mut Jitter) -> u64 {
        let (first, cap) = (millis(self.first), millis(self.cap));
        let ceiling = first.saturating_mul(1 << failures.saturating_sub(1).min(30)).min(cap);
        let half = ceiling / 2;
        let wait = half + jitter.below(ceiling - half + 1);
        at_least.map_or(wait, |least| wait.max(millis(least)))
    }
}

/// Whole milliseconds, without the 128 bits of `as_millis`.
pub(crate) fn millis(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(1000).saturating_add(u64::from(duration.subsec_millis()))
}

/// SplitMix64: spreads clients' retries, nothing secret.
#[derive(Clone, Debug)]
pub(super) struct Jitter(pub(super) u64);

impl Jitter {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound.max(1)
    }
}
