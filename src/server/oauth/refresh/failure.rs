//! What a failed refresh means: how long to wait, whether the server may have acted on it, and the error for each of those who waited.

use std::{error::Error as StdError, fmt, sync::Arc, time::Duration};

use super::super::AuthError;
use crate::{Error, error::Source};

pub(super) const MIN_GAP: Duration = Duration::from_secs(1);
const MAX_GAP: Duration = Duration::from_secs(60);
/// A server that asks for more is asked again then.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// How long to wait after that many failures in a row (1 or more): anything between a second and twice as much as after the one before, up to a
/// minute, or what the server asked for.
pub(super) fn delay(error: &AuthError, attempts: u32, random: impl FnOnce(u64) -> u64) -> Duration {
    match error {
        AuthError::Transient { retry_after: Some(asked), .. } => (*asked).clamp(MIN_GAP, MAX_RETRY_AFTER),
        // No request was made: the store is looked at again.
        AuthError::ReauthRequired(_) => MIN_GAP,
        _ => {
            let most = MIN_GAP.saturating_mul(1 << attempts.min(6)).min(MAX_GAP);
            let spread = (most - MIN_GAP).as_millis() as u64;
            MIN_GAP + Duration::from_millis(random(spread + 1))
        }
    }
}

/// Whether the server may have answered with a newer token that did not arrive: then the refresh token may be spent.
pub(super) fn may_have_been_granted(error: &AuthError) -> bool {
    match error {
        // An answer with another status is a refusal.
        AuthError::Protocol { status, .. } => (200..300).contains(status),
        AuthError::Transient { source: Some(source), .. } | AuthError::Tls { source, .. } => {
            !source.downcast_ref::<reqwest::Error>().is_some_and(reqwest::Error::is_connect)
        }
        _ => false,
    }
}

/// The same error for one of several who waited for it. `wait`: so long nothing new is tried.
pub(super) fn share(error: &Arc<AuthError>, wait: Option<Duration>) -> AuthError {
    let source = || error.source().map(|_| Box::new(Shared(Arc::clone(error))) as Source);
    let in_words = |of: &Error| {
        let error = Error::new(of.kind(), of.with_reasons());
        error.with_retryable(of.is_retryable()).with_retry_after(of.retry_after())
    };
    match &**error {
        AuthError::ReauthRequired(reason) => AuthError::ReauthRequired(*reason),
        AuthError::ClientRejected { code } => AuthError::ClientRejected { code: code.clone() },
        AuthError::Denied { code, description } => AuthError::Denied { code: code.clone(), description: description.clone() },
        AuthError::ScopeRefused { asked } => AuthError::ScopeRefused { asked: asked.clone() },
        AuthError::InsufficientScope { needed } => AuthError::InsufficientScope { needed: needed.clone() },
        AuthError::ForeignHost { host } => AuthError::ForeignHost { host: host.clone() },
        AuthError::CallbackRejected(fault) => AuthError::CallbackRejected(*fault),
        &AuthError::Protocol { stage, status, bytes, problem } => AuthError::Protocol { stage, status, bytes, problem },
        AuthError::Transient { stage, retry_after, .. } => {
            AuthError::Transient { stage: *stage, retry_after: wait.or(*retry_after), source: source() }
        }
        AuthError::Tls { stage, .. } => AuthError::Tls { stage: *stage, source: Box::new(Shared(Arc::clone(error))) },
        AuthError::Insecure { what } => AuthError::Insecure { what },
        &AuthError::Expired { stage } => AuthError::Expired { stage },
        AuthError::System(of) => AuthError::System(in_words(of)),
        AuthError::Store(fault, _) => AuthError::Store(*fault, source()),
        AuthError::Secret(of) => AuthError::Secret(in_words(of)),
        AuthError::Unsupported { feature } => AuthError::Unsupported { feature },
        AuthError::Invalid(of) => AuthError::Invalid(in_words(of)),
    }
}

/// What lies below an error that several have; it speaks as that does.
struct Shared(Arc<AuthError>);

impl Shared {
    fn below(&self) -> &(dyn StdError + 'static) {
        self.0.source().unwrap_or(&*self.0)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.below(), f)
    }
}

impl fmt::Display for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.below(), f)
    }
}

impl StdError for Shared {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.below().source()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ErrorKind,
        error::with_reasons,
        server::{
            ScopeSet,
            oauth::{CallbackFault, Reauth, Stage, StoreFault},
        },
    };

    fn every() -> Vec<AuthError> {
        let below = || Source::from(std::io::Error::other("below"));
        // Its kind alone says another thing of another try.
        let of = |kind, retryable| {
            let error = Error::new(kind, "of").with_retryable(retryable).with_retry_after(Some(Duration::from_secs(7)));
            error.with_source(below())
        };
        let (stage, code) = (Stage::Refresh, || "a_code".to_owned());
        vec![
            AuthError::ReauthRequired(Reauth::GrantRefused),
            AuthError::ClientRejected { code: code() },
            AuthError::Denied { code: code(), description: Some("said".to_owned()) },
            AuthError::ScopeRefused { asked: ScopeSet::new() },
            AuthError::InsufficientScope { needed: ScopeSet::new() },
            AuthError::ForeignHost { host: "a.example".to_owned() },
            AuthError::CallbackRejected(CallbackFault::Missing("code")),
            AuthError::Protocol { stage, status: 200, bytes: 1, problem: "is no JSON" },
            AuthError::Transient { stage, retry_after: Some(Duration::from_secs(7)), source: Some(below()) },
            AuthError::Tls { stage, source: below() },
            AuthError::Insecure { what: "issuer" },
            AuthError::Expired { stage },
            AuthError::Store(StoreFault::Locked, Some(below())),
            AuthError::Store(StoreFault::Io, None),
            AuthError::Secret(of(ErrorKind::Transport, false)),
            AuthError::Secret(of(ErrorKind::Store, true)),
            AuthError::System(of(ErrorKind::Store, true)),
            AuthError::Unsupported { feature: "it" },
            AuthError::Invalid(of(ErrorKind::Invalid, false)),
        ]
    }

    #[test]
    fn an_error_is_the_same_for_all_who_waited_and_in_every_call() {
        for error in every() {
            let (kind, retryable, text) = (error.kind(), error.is_retryable(), with_reasons(&error));
            for part in ["below", "of: below"] {
                assert!(text.matches(part).count() <= 1, "{text}");
            }
            let shared = share(&Arc::new(error), None);
            assert_eq!((shared.kind(), shared.is_retryable(), with_reasons(&shared)), (kind, retryable, text.clone()));
            let retry_after = match &shared {
                AuthError::Transient { retry_after, .. } => *retry_after,
                AuthError::Secret(of) | AuthError::System(of) | AuthError::Invalid(of) => of.retry_after(),
                _ => None,
            };
            let made = Error::from(shared);
            assert_eq!((made.kind(), made.is_retryable(), made.with_reasons()), (kind, retryable, text));
            assert_eq!((made.retry_after(), made.auth_error().is_some()), (retry_after, true));
        }
    }
}
