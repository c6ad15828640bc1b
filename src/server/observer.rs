//! What happens to credentials, told to whoever wants to know. No event holds a secret, nor has a field that could.

use std::{fmt, sync::Arc, time::Duration};

use super::{Scope, ScopeSet};
use crate::platform;

/// Something that happened to a credential.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum AuthEvent<'a> {
    /// A server issued a first token.
    TokenIssued {
        /// Who issued it.
        issuer: &'a str,
        /// How it was come by, e.g. `authorization_code`.
        grant: &'static str,
        /// The scopes that were asked for.
        requested: &'a ScopeSet,
        /// The scopes that were granted; they may be fewer, or more.
        granted: &'a ScopeSet,
        /// How long it lives, where the server says so.
        lifetime: Option<Duration>,
    },
    /// A token was replaced by a newer one.
    TokenRefreshed {
        /// Who issued it.
        issuer: &'a str,
        /// The scopes of the new one.
        granted: &'a ScopeSet,
        /// The refresh token was replaced, too.
        rotated: bool,
        /// Another process had refreshed it, so that no request was made.
        adopted: bool,
        /// How long it took.
        took: Duration,
    },
    /// A refresh failed for now; the token that is there still serves.
    RefreshDeferred {
        /// Who was asked.
        issuer: &'a str,
        /// What went wrong, in words.
        reason: &'a str,
        /// How many attempts have failed in a row.
        attempts: u32,
    },
    /// A refresh failed, and no token is left that serves.
    RefreshFailed {
        /// Who was asked.
        issuer: &'a str,
        /// What went wrong, in words.
        reason: &'a str,
        /// How many attempts have failed in a row.
        attempts: u32,
    },
    /// The user must consent anew.
    ReauthRequired {
        /// Who is to be asked.
        issuer: &'a str,
        /// Why, in words.
        reason: &'a str,
    },
    /// A new token could not be stored. This process goes on with it; another one would not find it.
    PersistFailed {
        /// Who issued it.
        issuer: &'a str,
        /// Why, in words.
        reason: &'a str,
    },
    /// A call needs scopes that were not granted.
    InsufficientScope {
        /// Those that are missing, where they are known.
        needed: &'a ScopeSet,
    },
    /// A secret changed at its source and is used from now on.
    SecretReloaded {
        /// Where it comes from, e.g. `AMPLITUDE_SECRET_KEY_FILE`.
        source: &'a str,
        /// Names the new one without telling it.
        fingerprint: Fingerprint,
    },
    /// The server did not know the new secret yet, so that the one before it was used.
    SecretNotYetActive {
        /// Names the new one without telling it.
        fingerprint: Fingerprint,
    },
    /// The server refused a credential (401, or a 403 that is about the credential itself).
    CredentialRefused {
        /// Names it without telling it.
        fingerprint: Fingerprint,
    },
    /// A token was given up on this side; `by_server` says whether the server revoked it, too.
    Revoked {
        /// Who issued it.
        issuer: &'a str,
        /// Whether the server confirmed it.
        by_server: bool,
    },
    /// A bearer token went out with a request.
    BearerUsed {
        /// The host that it went to.
        host: &'a str,
        /// The scope that the call needs, where it is known.
        scope: Option<&'a Scope>,
    },
    /// A credential is used in a way that it was not used before.
    UsageUnusual {
        /// Names it without telling it.
        fingerprint: Fingerprint,
        /// What is unusual.
        what: UnusualUsage,
        /// How many there were in the interval that was looked at.
        seen: u64,
        /// How many there are usually.
        usual: u64,
    },
}

impl AuthEvent<'_> {
    /// The event's name, e.g. `token_refreshed`: the label of the counters that feature `metrics` keeps.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::TokenIssued { .. } => "token_issued",
            Self::TokenRefreshed { .. } => "token_refreshed",
            Self::RefreshDeferred { .. } => "refresh_deferred",
            Self::RefreshFailed { .. } => "refresh_failed",
            Self::ReauthRequired { .. } => "reauth_required",
            Self::PersistFailed { .. } => "persist_failed",
            Self::InsufficientScope { .. } => "insufficient_scope",
            Self::SecretReloaded { .. } => "secret_reloaded",
            Self::SecretNotYetActive { .. } => "secret_not_yet_active",
            Self::CredentialRefused { .. } => "credential_refused",
            Self::Revoked { .. } => "revoked",
            Self::BearerUsed { .. } => "bearer_used",
            Self::UsageUnusual { .. } => "usage_unusual",
        }
    }
}

/// What of a credential's usage is out of the ordinary.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum UnusualUsage {
    /// Requests.
    Requests,
    /// Requests that the server refused (401, 403).
    Refusals,
    /// Requests that the server throttled (429).
    Throttles,
    /// Bytes sent and received.
    Bytes,
}

/// Hears of [`AuthEvent`]s. Called on the thread where it happens: be quick, and do not call the client back.
pub trait AuthObserver: Send + Sync + 'static {
    /// Something happened.
    fn observe(&self, event: &AuthEvent<'_>);
}

impl<F: Fn(&AuthEvent<'_>) + Send + Sync + 'static> AuthObserver for F {
    fn observe(&self, event: &AuthEvent<'_>) {
        self(event);
    }
}

/// Names a secret by the first eight hexadecimal digits of its SHA-256, so that logs and reports can tell two apart. Who can guess a secret
/// can check the guess by it: of one that is short, or that somebody thought up, it says too much.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Fingerprint(u32);

impl Fingerprint {
    /// Of a secret, or of what identifies a credential.
    pub(crate) fn of(text: &str) -> Self {
        let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
        let bytes = digest.as_ref();
        Self(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Those who hear of what happens: `tracing`, and observers of the caller's.
#[derive(Clone, Default)]
pub(crate) struct Observers(Vec<Arc<dyn AuthObserver>>);

impl Observers {
    #[cfg(test)]
    pub(crate) fn new(observer: Arc<dyn AuthObserver>) -> Self {
        Self(vec![observer])
    }

    pub(crate) fn add(&mut self, observer: Arc<dyn AuthObserver>) {
        self.0.push(observer);
    }

    pub(crate) fn tell(&self, event: &AuthEvent<'_>) {
        // Callers' code, subscribers and recorders too: a panic of theirs must not end a refresh.
        let _ = platform::catch_panic(|| log(event));
        #[cfg(feature = "metrics")]
        let _ = platform::catch_panic(|| super::metrics::count(event));
        for observer in &self.0 {
            let _ = platform::catch_panic(|| observer.observe(event));
        }
    }
}

impl fmt::Debug for Observers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Observers").field(&self.0.len()).finish()
    }
}

fn log(event: &AuthEvent<'_>) {
    match event {
        AuthEvent::TokenIssued { .. }
        | AuthEvent::TokenRefreshed { .. }
        | AuthEvent::SecretReloaded { .. }
        | AuthEvent::Revoked { .. } => tracing::info!(target: "amplitude_sdk::auth", ?event),
        AuthEvent::BearerUsed { .. } => tracing::trace!(target: "amplitude_sdk::auth", ?event),
        _ => tracing::warn!(target: "amplitude_sdk::auth", ?event),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tracing::{Event, Metadata, Subscriber, span};

    use super::*;

    /// As one is that writes to an output which was closed.
    struct Broken;

    impl Subscriber for Broken {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }
        fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
            span::Id::from_u64(1)
        }
        fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
        fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
        fn event(&self, _: &Event<'_>) {
            panic!("a planted panic");
        }
        fn enter(&self, _: &span::Id) {}
        fn exit(&self, _: &span::Id) {}
    }

    #[test]
    fn who_hears_of_an_event_and_panics_keeps_it_from_nobody() {
        let heard = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&heard);
        let mut observers = Observers::new(Arc::new(|_: &AuthEvent<'_>| panic!("a planted panic")));
        observers.add(Arc::new(move |_: &AuthEvent<'_>| _ = count.fetch_add(1, Ordering::Relaxed)));
        let event = AuthEvent::Revoked { issuer: "https://as.example.com", by_server: true };
        tracing::subscriber::with_default(Broken, || observers.tell(&event));
        assert_eq!(heard.load(Ordering::Relaxed), 1);
    }
}
