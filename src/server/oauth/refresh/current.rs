//! A published token, and how long it serves.

use std::time::Duration;

use super::super::{Lease, TokenSet};
use crate::server::Expose;

/// The last part of a token's life, in which a caller waits for a newer one: this, or a fifth of its life.
const LEEWAY: Duration = Duration::from_secs(60);
/// The part in which a newer one is got while callers are served: this, or a quarter of its life.
const AHEAD: Duration = Duration::from_secs(300);

pub(super) struct Current {
    pub(super) tokens: TokenSet,
    /// Counts what this process has published.
    pub(super) serial: u64,
    /// By the clock that never goes back; `None`: until a server refuses it.
    expires: Option<Duration>,
    leeway: Duration,
    ahead: Duration,
}

impl Current {
    /// What was granted to a request that began then.
    pub(super) fn granted(tokens: TokenSet, renewable: bool, began: Duration, lifetime: Option<Duration>) -> Self {
        Self::new(tokens, renewable, lifetime, lifetime.map(|lifetime| began.saturating_add(lifetime)))
    }

    /// What is found in the store at `now`. A wall clock that was set back since makes nothing live longer than it was to.
    pub(super) fn found(tokens: TokenSet, renewable: bool, now: Duration, wall: Duration) -> Self {
        let lifetime = tokens.expires_at.map(|at| Duration::from_secs(at.saturating_sub(tokens.obtained_at)));
        let left = tokens.expires_at.map(|at| Duration::from_secs(at).saturating_sub(wall));
        let expires = lifetime.zip(left).map(|(lifetime, left)| now.saturating_add(left.min(lifetime)));
        Self::new(tokens, renewable, lifetime, expires)
    }

    /// One that cannot be renewed is used to its end.
    fn new(tokens: TokenSet, renewable: bool, lifetime: Option<Duration>, expires: Option<Duration>) -> Self {
        let lifetime = lifetime.filter(|_| renewable).unwrap_or_default();
        let (leeway, ahead) = (LEEWAY.min(lifetime / 5), AHEAD.min(lifetime / 4));
        Self { tokens, serial: 0, expires, leeway, ahead }
    }

    pub(super) fn lives(&self, now: Duration) -> bool {
        self.has_more_than(Duration::ZERO, now)
    }

    /// Lives long enough for a request.
    pub(super) fn serves(&self, now: Duration) -> bool {
        self.has_more_than(self.leeway, now)
    }

    /// A newer one is to be got while this one serves.
    pub(super) fn is_due(&self, now: Duration) -> bool {
        !self.has_more_than(self.ahead, now)
    }

    fn has_more_than(&self, time: Duration, now: Duration) -> bool {
        self.expires.is_none_or(|expires| expires.saturating_sub(now) > time)
    }

    pub(super) fn lease(&self) -> Lease {
        Lease::new(self.tokens.access.clone(), self.serial)
    }
}

/// Whether both come from one write.
pub(super) fn is_same(one: &TokenSet, other: &TokenSet) -> bool {
    one.generation == other.generation && one.access.expose() == other.access.expose()
}
