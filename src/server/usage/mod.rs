//! How much each credential is used, and whether that is unusual: a key that somebody else has found shows by its use.

mod count;
mod report;
mod scopes;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use self::count::History;
pub use self::{
    report::{CredentialUsage, UsageReport},
    scopes::{ScopeMonitor, ScopeReport},
};
use super::{AuthEvent, CredentialKind, Fingerprint, clock::Clock, credential::Authorization, observer::Observers};
use crate::promise::lock;

/// Counts requests, refusals, throttles and bytes of each credential by intervals, and tells the observers of the client
/// ([`AuthEvent::UsageUnusual`]) when an interval holds far more than those before it.
///
/// What is usual is an average of the intervals so far in which the later ones weigh more. It is compared once there are three of them. Clones
/// count together, so that one monitor may serve several clients. It sees what this process does; of what others do with a stolen key,
/// Amplitude's own pages tell.
///
/// ```
/// use amplitude_sdk::{ProjectKey, server::{Client, Options, UsageMonitor}};
/// use std::time::Duration;
///
/// let monitor = UsageMonitor::new().interval(Duration::from_secs(60)).factor(5.0);
/// let client = Client::with_options(ProjectKey::new("demo0000000000000000000000000key")?, Options::new().usage(monitor.clone()))?;
/// println!("{}", monitor.report());
/// # let _ = client;
/// # Ok::<(), amplitude_sdk::Error>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct UsageMonitor {
    rules: Rules,
    clock: Clock,
    seen: Arc<Mutex<HashMap<Fingerprint, Seen>>>,
}

/// When usage is unusual.
#[derive(Clone, Copy, Debug)]
struct Rules {
    interval: Duration,
    factor: f64,
    least: u64,
    least_bytes: u64,
}

struct Seen {
    kind: CredentialKind,
    history: History,
}

/// A credential more, and the one that was used longest ago is forgotten.
const MAX_CREDENTIALS: usize = 256;

impl Default for UsageMonitor {
    fn default() -> Self {
        let rules = Rules { interval: Duration::from_secs(300), factor: 4.0, least: 20, least_bytes: 10 << 20 };
        Self { rules, clock: Clock::default(), seen: Arc::default() }
    }
}

impl UsageMonitor {
    /// Intervals of five minutes; unusual is more than four times the average and more than 20 requests, refusals or throttles, or 10 MiB.
    pub fn new() -> Self {
        Self::default()
    }

    /// The length of an interval, at least a second. Default: five minutes.
    pub fn interval(mut self, length: Duration) -> Self {
        self.rules.interval = length.max(Duration::from_secs(1));
        self
    }

    /// How many times the average is unusual, at least 1. Default: 4.
    pub fn factor(mut self, times: f64) -> Self {
        self.rules.factor = if times >= 1.0 { times } else { 1.0 };
        self
    }

    /// How many requests, refusals or throttles an interval may hold in any case. Default: 20.
    pub fn at_least(mut self, count: u64) -> Self {
        self.rules.least = count;
        self
    }

    /// How many bytes an interval may hold in any case. Default: 10 MiB.
    pub fn at_least_bytes(mut self, bytes: u64) -> Self {
        self.rules.least_bytes = bytes;
        self
    }

    /// A clock in place of the system's: the time since some moment that stays the same.
    pub fn clock(mut self, now: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        self.clock = Clock::of(now);
        self
    }

    /// What was counted so far, the most used credential first.
    #[must_use]
    pub fn report(&self) -> UsageReport {
        let interval = self.interval_now();
        let mut credentials: Vec<_> = lock(&self.seen)
            .iter_mut()
            .map(|(fingerprint, seen)| {
                seen.history.advance(interval);
                CredentialUsage::new(seen.kind, *fingerprint, &seen.history)
            })
            .collect();
        credentials.sort_by_key(|usage| (std::cmp::Reverse(usage.total.requests), usage.fingerprint));
        UsageReport { interval: self.rules.interval, credentials }
    }

    fn interval_now(&self) -> u64 {
        let elapsed = self.clock.now().as_nanos() / self.rules.interval.as_nanos();
        u64::try_from(elapsed).unwrap_or(u64::MAX)
    }

    fn count(&self, kind: CredentialKind, fingerprint: Fingerprint, observers: &Observers, add: impl FnOnce(&mut Usage)) {
        let interval = self.interval_now();
        let unusual = {
            let mut seen = lock(&self.seen);
            if seen.len() >= MAX_CREDENTIALS && !seen.contains_key(&fingerprint) {
                let oldest = seen.iter().min_by_key(|(_, seen)| seen.history.interval()).map(|(fingerprint, _)| *fingerprint);
                oldest.and_then(|oldest| seen.remove(&oldest));
            }
            let seen = seen.entry(fingerprint).or_insert_with(|| Seen { kind, history: History::new(interval) });
            seen.history.advance(interval);
            seen.history.add(add);
            seen.history.unusual(&self.rules)
        };
        for (what, seen, usual) in unusual {
            observers.tell(&AuthEvent::UsageUnusual { fingerprint, what, seen, usual });
        }
    }
}

impl fmt::Debug for UsageMonitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UsageMonitor").field("rules", &self.rules).finish_non_exhaustive()
    }
}

/// What a credential was used for.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Usage {
    /// Requests made with it.
    pub requests: u64,
    /// Requests that the server refused (401, 403).
    pub refusals: u64,
    /// Requests that the server throttled (429).
    pub throttles: u64,
    /// Bytes of the requests' bodies.
    pub bytes_sent: u64,
    /// Bytes of the answers' bodies, as far as they were read.
    pub bytes_received: u64,
}

/// Counts one request of one credential, where somebody wants to know.
#[derive(Clone, Debug)]
pub(super) struct Meter(Option<Counted>);

#[derive(Clone, Debug)]
struct Counted {
    monitor: UsageMonitor,
    observers: Observers,
    kind: CredentialKind,
    fingerprint: Fingerprint,
}

impl Meter {
    pub(super) fn new(monitor: Option<&UsageMonitor>, observers: &Observers, authorization: &Authorization) -> Self {
        Self(monitor.map(|monitor| Counted {
            monitor: monitor.clone(),
            observers: observers.clone(),
            kind: authorization.kind,
            fingerprint: authorization.id.fingerprint,
        }))
    }

    pub(super) fn sent(&self, bytes: usize) {
        self.count(|usage| {
            usage.requests += 1;
            usage.bytes_sent += bytes as u64;
        });
    }

    pub(super) fn answered(&self, status: u16) {
        match status {
            401 | 403 => self.count(|usage| usage.refusals += 1),
            429 => self.count(|usage| usage.throttles += 1),
            _ => {}
        }
    }

    pub(super) fn received(&self, bytes: usize) {
        self.count(|usage| usage.bytes_received += bytes as u64);
    }

    fn count(&self, add: impl FnOnce(&mut Usage)) {
        if let Some(Counted { monitor, observers, kind, fingerprint }) = &self.0 {
            monitor.count(*kind, *fingerprint, observers, add);
        }
    }
}
