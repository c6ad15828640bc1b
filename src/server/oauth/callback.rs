//! What comes to a redirect URI, read and compared with what was asked for.

use subtle::ConstantTimeEq as _;

use secrecy::{ExposeSecret as _, SecretString};

use super::{AuthError, CallbackFault, Stage, refusal::Refusal};
use crate::server::ScopeSet;

/// More than any server sends.
const MAX_BYTES: usize = 16 << 10;

/// What the answer must match.
pub(super) struct Expected<'a> {
    pub(super) state: &'a str,
    pub(super) issuer: &'a str,
    /// The server says that it tells its issuer (RFC 9207).
    pub(super) sends_issuer: bool,
    pub(super) scopes: &'a ScopeSet,
}

#[derive(Default)]
struct Parameters {
    code: Option<SecretString>,
    state: Option<SecretString>,
    issuer: Option<String>,
    error: Option<String>,
    description: Option<String>,
}

/// The code of a callback, which is given as a URL, as its path and query, or as its query alone.
pub(super) fn read(callback: &str, expected: &Expected<'_>) -> Result<SecretString, AuthError> {
    let Parameters { code, state, issuer, error, description } = parse(callback).map_err(AuthError::CallbackRejected)?;
    // Who speaks comes before what is said, of errors too.
    let issuer_fits = match &issuer {
        Some(issuer) => issuer == expected.issuer,
        None => !expected.sends_issuer,
    };
    if !issuer_fits {
        return Err(AuthError::CallbackRejected(CallbackFault::Issuer));
    }
    let state = state.ok_or(AuthError::CallbackRejected(CallbackFault::Missing("state")))?;
    if !bool::from(state.expose_secret().as_bytes().ct_eq(expected.state.as_bytes())) {
        return Err(AuthError::CallbackRejected(CallbackFault::State));
    }
    if let Some(error) = error {
        let refusal = Refusal::new(&error, &description.unwrap_or_default());
        return Err(refusal.error(Stage::Authorization, None).asking(expected.scopes));
    }
    code.ok_or(AuthError::CallbackRejected(CallbackFault::Missing("code")))
}

fn parse(callback: &str) -> Result<Parameters, CallbackFault> {
    if callback.len() > MAX_BYTES || callback.contains('\0') {
        return Err(CallbackFault::Malformed);
    }
    let before_fragment = callback.split('#').next().unwrap_or_default();
    let query = before_fragment.split_once('?').map_or(before_fragment, |(_, query)| query);
    let mut read = Parameters::default();
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        // RFC 6749 §3.1: what is empty is not there.
        if value.is_empty() {
            continue;
        }
        let value = value.into_owned();
        let is_again = match &*name {
            "code" => read.code.replace(value.into()).is_some().then_some("code"),
            "state" => read.state.replace(value.into()).is_some().then_some("state"),
            "iss" => read.issuer.replace(value).is_some().then_some("iss"),
            "error" => read.error.replace(value).is_some().then_some("error"),
            "error_description" => read.description.replace(value).is_some().then_some("error_description"),
            // Of flows that were not asked for.
            "access_token" | "id_token" | "token" => return Err(CallbackFault::Malformed),
            _ => None,
        };
        if let Some(name) = is_again {
            return Err(CallbackFault::Duplicate(name));
        }
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ISSUER: &str = "https://a.example";

    fn check(callback: &str, sends_issuer: bool) -> Result<String, AuthError> {
        let scopes = ScopeSet::new();
        let expected = Expected { state: "the-state", issuer: ISSUER, sends_issuer, scopes: &scopes };
        read(callback, &expected).map(|code| code.expose_secret().to_owned())
    }

    fn fault(callback: &str, sends_issuer: bool) -> CallbackFault {
        match check(callback, sends_issuer) {
            Err(AuthError::CallbackRejected(fault)) => fault,
            other => panic!("{callback}: {other:?}"),
        }
    }

    #[test]
    fn t_a2_the_state_is_that_of_the_request_and_there_once() {
        for good in
            ["https://b.example/cb?code=c&state=the-state", "/cb?state=the-state&code=c&x=y#z", "code=c&state=the%2Dstate"]
        {
            assert_eq!(check(good, false).unwrap(), "c", "{good}");
        }
        assert_eq!(fault("code=c", false), CallbackFault::Missing("state"));
        assert_eq!(fault("code=c&state=", false), CallbackFault::Missing("state"));
        for wrong in ["code=c&state=other", "code=c&state=the-stat", "code=c&state=the-statee", "code=c&state=THE-STATE"] {
            assert_eq!(fault(wrong, false), CallbackFault::State, "{wrong}");
        }
        for twice in ["code=c&state=the-state&state=the-state", "code=c&state=other&state=the-state"] {
            assert_eq!(fault(twice, false), CallbackFault::Duplicate("state"), "{twice}");
        }
        assert_eq!(fault("code=c&code=d&state=the-state", false), CallbackFault::Duplicate("code"));
        assert_eq!(fault("state=the-state", false), CallbackFault::Missing("code"));
        assert_eq!(fault("state=the-state&code=", false), CallbackFault::Missing("code"));
        for bad in ["code=c&state=the-state&id_token=x", "code=c&access_token=x&state=the-state", &"x".repeat(MAX_BYTES + 1)] {
            assert_eq!(fault(bad, false), CallbackFault::Malformed);
        }
        // What stands behind `#` has not come from the server.
        assert_eq!(fault("https://b.example/cb#code=c&state=the-state", false), CallbackFault::Missing("state"));
    }

    #[test]
    fn t_a3_the_issuer_is_compared_byte_for_byte() {
        let good = "code=c&state=the-state&iss=https%3A%2F%2Fa.example";
        for advertised in [false, true] {
            assert_eq!(check(good, advertised).unwrap(), "c");
            for wrong in
                ["https://a.example/", "https://A.example", "https://a.example:443", "http://a.example", "https://b.example"]
            {
                let callback = format!("code=c&state=the-state&iss={wrong}");
                assert_eq!(fault(&callback, advertised), CallbackFault::Issuer, "{wrong}");
                // An error that somebody else reports ends nothing.
                let callback = format!("error=access_denied&state=the-state&iss={wrong}");
                assert_eq!(fault(&callback, advertised), CallbackFault::Issuer, "{wrong}");
            }
            assert_eq!(fault(&format!("{good}&iss=https://a.example"), advertised), CallbackFault::Duplicate("iss"));
        }
        assert_eq!(check("code=c&state=the-state", false).unwrap(), "c");
        assert_eq!(fault("code=c&state=the-state", true), CallbackFault::Issuer);
        assert_eq!(fault("error=access_denied&state=the-state", true), CallbackFault::Issuer);
    }

    #[test]
    fn t_a8_a_denial_is_typed_and_its_text_safe() {
        let denial = check("error=access_denied&error_description=no%1B%5B2J&state=the-state", false).unwrap_err();
        assert!(
            matches!(&denial, AuthError::Denied { code, description: Some(text) } if code == "access_denied" && text == "no[2J")
        );
        assert!(matches!(check("error=login_required&state=the-state", false), Err(AuthError::Denied { .. })));
        assert!(matches!(check("error=invalid_scope&state=the-state", false), Err(AuthError::ScopeRefused { .. })));
        assert!(matches!(check("error=unauthorized_client&state=the-state", false), Err(AuthError::ClientRejected { .. })));
        for later in ["server_error", "temporarily_unavailable"] {
            let error = check(&format!("error={later}&state=the-state"), false).unwrap_err();
            assert!(error.is_retryable(), "{error}");
        }
        // Of whom it is not known to be, it says nothing.
        assert_eq!(fault("error=access_denied", false), CallbackFault::Missing("state"));
        assert_eq!(fault("error=access_denied&state=x", false), CallbackFault::State);
    }
}
