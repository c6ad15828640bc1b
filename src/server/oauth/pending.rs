//! [`Pending`]: a request for a user's consent that waits for its answer.

use std::{borrow::Cow, fmt};

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;

use super::{
    AuthError, CallbackFault, EncryptionKey, OAuthApp, TokenSet,
    callback::{self, Expected},
    wire::Grant,
};
use crate::server::{ScopeSet, clock::unix_seconds};

/// How long a user may take, in seconds.
const LIFETIME: u64 = 10 * 60;

/// How errors call a sealed one.
const WHAT: &str = "sealed authorization";

/// What it is bound to beside its application.
const SEALED: &str = "amplitude-sdk pending authorization 1";

/// A request for a user's consent that waits for its answer, for ten minutes.
///
/// Nothing that comes to the redirect URI can end it but the right answer: [`Pending::verify`] may be called with each. A code is exchanged once,
/// because that takes the `Pending`. A web application keeps it in its session, or gives it to the browser [sealed](Pending::seal).
///
/// `Debug` shows neither state nor verifier.
pub struct Pending {
    pub(super) app: OAuthApp,
    pub(super) state: SecretString,
    pub(super) verifier: SecretString,
    pub(super) redirect: String,
    pub(super) requested: ScopeSet,
    pub(super) started_at: u64,
}

/// A code that came with the right answer, for the [`Pending`] that verified it. Nobody else makes one.
pub struct VerifiedCode {
    code: SecretString,
    /// Names the request that verified it.
    state: SecretString,
}

impl Pending {
    /// Compares what came to the redirect URI with what was asked for: state (RFC 6749 §10.12) in constant time, issuer (RFC 9207) byte for byte.
    /// `callback` is its URL, its path and query, or its query.
    ///
    /// # Errors
    /// [`AuthError::CallbackRejected`] for what is not the answer to this request, after which it goes on waiting, but for
    /// [`CallbackFault::Expired`]; [`AuthError::Denied`], [`AuthError::ScopeRefused`], [`AuthError::ClientRejected`] and
    /// [`AuthError::Transient`] for the server's no.
    pub fn verify(&self, callback: &str) -> Result<VerifiedCode, AuthError> {
        // By the wall clock, which may also have been set back.
        if unix_seconds().abs_diff(self.started_at) > LIFETIME {
            return Err(AuthError::CallbackRejected(CallbackFault::Expired));
        }
        let server = self.app.server();
        let expected = Expected {
            state: self.state.expose_secret(),
            issuer: server.issuer(),
            sends_issuer: server.0.sends_issuer,
            scopes: &self.requested,
        };
        Ok(VerifiedCode { code: callback::read(callback, &expected)?, state: self.state.clone() })
    }

    /// Exchanges the code for tokens, at the server that was asked for consent.
    ///
    /// What was granted may differ from what was asked for: see [`TokenSet::granted`], and [`crate::server::AuthEvent::TokenIssued`].
    ///
    /// # Errors
    /// [`AuthError::Denied`] with `invalid_grant` for a code that was used or has expired, [`AuthError::CallbackRejected`] for another
    /// request's, and as [`OAuthApp::refresh`].
    pub async fn exchange(self, code: VerifiedCode) -> Result<TokenSet, AuthError> {
        if !bool::from(code.state.expose_secret().as_bytes().ct_eq(self.state.expose_secret().as_bytes())) {
            return Err(AuthError::CallbackRejected(CallbackFault::State));
        }
        let Self { app, verifier, redirect, requested, .. } = self;
        let asked_at = unix_seconds();
        let grant = Grant::Code { code: &code.code, verifier: &verifier, redirect: &redirect };
        let answer = app.token(grant, &requested).await?;
        Ok(app.issued("authorization_code", answer, requested, asked_at))
    }

    /// Encrypts it into text for a cookie or a session (base64url). Have the browser send the cookie to the redirect URI alone, over https, to no
    /// script (`Secure; HttpOnly; SameSite=Lax`), and delete it with the answer.
    #[must_use]
    pub fn seal(&self, key: &EncryptionKey) -> String {
        let kept = Kept {
            state: self.state.expose_secret().into(),
            verifier: self.verifier.expose_secret().into(),
            redirect: self.redirect.as_str().into(),
            requested: self.requested.to_string().into(),
            started_at: self.started_at,
        };
        key.seal_json(&kept, &self.app.binding(SEALED))
    }

    /// The reverse of [`Pending::seal`], for the same application.
    ///
    /// # Errors
    /// [`AuthError::Invalid`] for what was sealed with another key, was changed, or is another application's, server's or
    /// [profile](super::OAuthAppBuilder::profile)'s.
    pub fn open(app: &OAuthApp, sealed: &str, key: &EncryptionKey) -> Result<Self, AuthError> {
        let kept: Kept<'_> = key.open_json(WHAT, sealed, &app.binding(SEALED))?;
        Ok(Self {
            app: app.clone(),
            state: SecretString::from(kept.state.into_owned()),
            verifier: SecretString::from(kept.verifier.into_owned()),
            redirect: kept.redirect.into_owned(),
            requested: kept.requested.parse().map_err(AuthError::Invalid)?,
            started_at: kept.started_at,
        })
    }
}

/// What is kept, as JSON before it is encrypted.
#[derive(Deserialize, Serialize)]
struct Kept<'a> {
    state: Cow<'a, str>,
    verifier: Cow<'a, str>,
    redirect: Cow<'a, str>,
    requested: Cow<'a, str>,
    started_at: u64,
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending")
            .field("app", &self.app)
            .field("redirect", &self.redirect)
            .field("requested", &self.requested)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for VerifiedCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VerifiedCode(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::super::{AuthorizationServer, ClientAuth, OAuthClient, RedirectUri};
    use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};

    use super::*;
    use crate::{Region, server::scope};

    fn app(region: Region, client: &str) -> OAuthApp {
        let client = OAuthClient::new(client, ClientAuth::Public).unwrap();
        OAuthApp::builder(AuthorizationServer::mcp(region), client).build().unwrap()
    }

    fn begin(app: &OAuthApp) -> Pending {
        app.authorize(&RedirectUri::https("https://b.example/cb").unwrap(), [scope::MCP_READ]).unwrap().1
    }

    fn callback(pending: &Pending) -> String {
        format!("code=c&state={}", pending.state.expose_secret())
    }

    #[test]
    fn t_a2_a_code_of_another_request_is_not_exchanged() {
        let app = app(Region::Us, "id");
        let (one, two) = (begin(&app), begin(&app));
        assert!(matches!(one.verify(&callback(&two)), Err(AuthError::CallbackRejected(CallbackFault::State))));
        let code = two.verify(&callback(&two)).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let error = runtime.block_on(one.exchange(code)).unwrap_err();
        assert!(matches!(error, AuthError::CallbackRejected(CallbackFault::State)));
    }

    #[test]
    fn it_waits_ten_minutes_by_a_clock_that_may_step() {
        let mut pending = begin(&app(Region::Us, "id"));
        let now = unix_seconds();
        for (started_at, expired) in
            [(now - LIFETIME + 5, false), (now - LIFETIME - 5, true), (now + 5, false), (now + LIFETIME + 60, true), (0, true)]
        {
            pending.started_at = started_at;
            let verified = pending.verify(&callback(&pending));
            assert_eq!(matches!(verified, Err(AuthError::CallbackRejected(CallbackFault::Expired))), expired, "{started_at}");
        }
    }

    #[test]
    fn sealed_it_comes_back_to_its_application_alone() {
        let key = EncryptionKey::from_bytes(&[7; 32]);
        let of = app(Region::Us, "id");
        let pending = begin(&of);
        let sealed = pending.seal(&key);
        assert_ne!(sealed, pending.seal(&key), "each has a nonce of its own");
        assert!(!sealed.contains(pending.state.expose_secret()));
        let opened = Pending::open(&of, &sealed, &key).unwrap();
        opened.verify(&callback(&pending)).unwrap();
        assert_eq!(opened.verifier.expose_secret(), pending.verifier.expose_secret());
        assert_eq!(
            (opened.redirect, opened.requested, opened.started_at),
            (pending.redirect, pending.requested, pending.started_at)
        );

        assert!(Pending::open(&of, &sealed, &EncryptionKey::from_bytes(&[8; 32])).is_err());
        assert!(Pending::open(&app(Region::Eu, "id"), &sealed, &key).is_err());
        assert!(Pending::open(&app(Region::Us, "other"), &sealed, &key).is_err());
        // Of one user, brought along by another one.
        let client = OAuthClient::new("id", ClientAuth::Public).unwrap();
        let other_user = OAuthApp::builder(AuthorizationServer::mcp(Region::Us), client).profile("other").build().unwrap();
        assert!(Pending::open(&other_user, &sealed, &key).is_err());
        for bad in ["", "x", "\u{e9}", &sealed[1..], &sealed[..sealed.len() - 1]] {
            assert!(Pending::open(&of, bad, &key).is_err(), "{bad}");
        }
        let mut bytes = BASE64_URL_SAFE_NO_PAD.decode(&sealed).unwrap();
        for at in 0..bytes.len() {
            bytes[at] ^= 1;
            assert!(Pending::open(&of, &BASE64_URL_SAFE_NO_PAD.encode(&bytes), &key).is_err(), "{at}");
            bytes[at] ^= 1;
        }
    }

    #[test]
    fn debug_shows_neither_state_nor_verifier_nor_code() {
        let pending = begin(&app(Region::Us, "id"));
        let code = pending.verify(&callback(&pending)).unwrap();
        let shown = format!("{pending:?} {code:?}");
        for secret in [pending.state.expose_secret(), pending.verifier.expose_secret()] {
            assert!(!shown.contains(secret), "{shown}");
        }
        assert!(shown.contains("https://b.example/cb") && shown.contains("VerifiedCode(redacted)"));
    }
}
