//! What a monitor has counted, as values and as text.

use std::{fmt, time::Duration};

use super::{Usage, count::History};
use crate::server::{CredentialKind, Fingerprint};

/// What a [`super::UsageMonitor`] counted. Its text is a table with a line for each credential, none of which tells a secret.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct UsageReport {
    /// The length of an interval.
    pub interval: Duration,
    /// The credentials, the most used first.
    pub credentials: Vec<CredentialUsage>,
}

/// What one credential was used for.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CredentialUsage {
    /// Its kind.
    pub kind: CredentialKind,
    /// Names it without telling it.
    pub fingerprint: Fingerprint,
    /// Since it was first used.
    pub total: Usage,
    /// In the interval that is not over yet.
    pub current: Usage,
    /// How many requests an interval usually has; `None` before three are over.
    pub usual_requests: Option<u64>,
}

impl CredentialUsage {
    pub(super) fn new(kind: CredentialKind, fingerprint: Fingerprint, history: &History) -> Self {
        Self {
            kind,
            fingerprint,
            total: history.total,
            current: history.current,
            usual_requests: history.is_warm().then(|| history.usual_requests()),
        }
    }
}

impl fmt::Display for UsageReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "usage of credentials, by intervals of {} s", self.interval.as_secs())?;
        for usage in &self.credentials {
            write!(f, "\n{usage}")?;
        }
        Ok(())
    }
}

impl fmt::Display for CredentialUsage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Usage { requests, refusals, throttles, bytes_sent, bytes_received } = self.total;
        write!(
            f,
            "{} {}: {requests} requests ({refusals} refused, {throttles} throttled), {bytes_sent} bytes sent, {bytes_received} \
             received; {} in this interval",
            self.kind, self.fingerprint, self.current.requests
        )?;
        match self.usual_requests {
            Some(usual) => write!(f, ", {usual} in a usual one"),
            None => f.write_str(", too few intervals yet to say what is usual"),
        }
    }
}
