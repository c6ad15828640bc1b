//! What a 401 or 403 means for the credential that a request carried.

use super::{Authorization, CredentialError, CredentialKind, Refusal};
use crate::{
    Error, ErrorKind,
    server::{ScopeSet, challenge::Challenge},
};

/// A server's answer of 401 or 403.
#[derive(Debug)]
pub(in crate::server) struct Refused<'a> {
    pub(in crate::server) status: u16,
    pub(in crate::server) host: &'a str,
    /// Its `WWW-Authenticate`.
    pub(in crate::server) challenge: &'a str,
    pub(in crate::server) body: &'a str,
}

/// What it means.
#[derive(Debug)]
pub(in crate::server) struct Meaning {
    pub(in crate::server) error: Error,
    /// The credential itself is refused, so that another secret or token of its may be taken.
    pub(in crate::server) is_credential: bool,
    /// The scopes that are missing, where the server says so.
    pub(in crate::server) missing: Option<ScopeSet>,
}

impl Refused<'_> {
    pub(in crate::server) fn meaning(&self, authorization: &Authorization) -> Meaning {
        let kind = authorization.kind;
        let host = || self.host.to_owned();
        if self.status == 403 && [self.challenge, self.body].iter().any(|text| text.contains("insufficient_scope")) {
            let challenge = Challenge::bearer(self.challenge);
            let scopes = challenge.as_ref().and_then(|challenge| challenge.parameter("scope"));
            // A server that names none, or what is none, leaves it at the refusal.
            let needed: ScopeSet = scopes.and_then(|text| text.parse().ok()).unwrap_or_default();
            let error = insufficient_scope(kind, needed.clone()).with_status(self.status);
            return Meaning { error, is_credential: false, missing: Some(needed) };
        }
        // APIs that take keys may answer 403 to a wrong one (Channel Classifiers does); those that take tokens tell the two apart.
        let is_token = kind.is_bearer() || kind == CredentialKind::ManagementKey;
        let is_enrolled = !self.body.contains("org_not_enrolled");
        let is_credential = self.status == 401 || !is_token && is_enrolled;
        let error: Error = match kind {
            // A server that takes bearer tokens there says with a challenge what is wrong with this one.
            CredentialKind::ProjectBearer if !self.challenge.contains("invalid_token") => {
                CredentialError::BearerUndocumented { host: host() }.into()
            }
            CredentialKind::ProjectKey if self.status == 403 => Error::new(
                ErrorKind::Unauthorized,
                "the server or something in between, e.g. a firewall, refuses the request (403)",
            ),
            _ if !is_credential => CredentialError::Forbidden { kind, host: host() }.into(),
            _ => {
                let why = Refusal::read(&[self.challenge, "\n", self.body].concat());
                CredentialError::Refused { kind, why, host: host() }.into()
            }
        };
        Meaning { error: error.with_status(self.status), is_credential, missing: None }
    }
}

/// Whether an error says that the server knows the credential, and only does not let it do what was asked.
pub(in crate::server) fn is_known(error: &Error) -> bool {
    #[cfg(feature = "oauth")]
    if let Some(crate::server::oauth::AuthError::InsufficientScope { .. }) = error.auth_error() {
        return true;
    }
    matches!(error.credential_error(), Some(CredentialError::Forbidden { .. } | CredentialError::InsufficientScope { .. }))
}

#[cfg(feature = "oauth")]
fn insufficient_scope(kind: CredentialKind, needed: ScopeSet) -> Error {
    match kind {
        CredentialKind::OAuth | CredentialKind::ProjectBearer => {
            crate::server::oauth::AuthError::InsufficientScope { needed }.into()
        }
        _ => CredentialError::InsufficientScope { needed }.into(),
    }
}

#[cfg(not(feature = "oauth"))]
fn insufficient_scope(_: CredentialKind, needed: ScopeSet) -> Error {
    CredentialError::InsufficientScope { needed }.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_refusal_of_the_credential_itself_is_worth_another_secret() {
        for (kind, status, challenge, is_credential, said) in [
            (CredentialKind::ProjectPair, 401, "", true, "EU hosts only"),
            (CredentialKind::ProjectPair, 403, "", true, "EU hosts only"),
            (CredentialKind::ProjectKey, 403, "", true, "firewall"),
            (CredentialKind::ManagementKey, 403, "", false, "does not allow"),
            (CredentialKind::PersonalAccessToken, 401, "Bearer error_description=\"token expired\"", true, "has expired"),
            (CredentialKind::PersonalAccessToken, 403, "Bearer error=\"insufficient_scope\", scope=\"a b\"", false, "a b"),
            (CredentialKind::OAuth, 403, "", false, "does not allow"),
            (CredentialKind::OAuth, 403, "Bearer error=\"insufficient_scope\"", false, "scopes"),
            (CredentialKind::ProjectBearer, 401, "Bearer error=\"invalid_token\"", true, "a new login of the user"),
            (CredentialKind::ProjectBearer, 401, "", true, "only on the Developer API and MCP"),
            (CredentialKind::ProjectBearer, 403, "", false, "only on the Developer API and MCP"),
            (CredentialKind::ProjectBearer, 403, "Bearer error=\"insufficient_scope\", scope=\"x\"", false, "x"),
        ] {
            let refused = Refused { status, host: "h", challenge, body: "" };
            let meaning = refused.meaning(&Authorization::nothing(kind, "key"));
            assert_eq!(meaning.is_credential, is_credential, "{kind:?} {status} {challenge}");
            assert!(meaning.error.to_string().contains(said), "{kind:?}: {}", meaning.error);
            assert_eq!((meaning.error.kind(), meaning.error.status()), (ErrorKind::Unauthorized, Some(status)));
        }
    }
}
