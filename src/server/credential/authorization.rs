//! What a request carries for a credential, and what is asked of a credential before each request.

use reqwest::{RequestBuilder, header::AUTHORIZATION};
use url::Url;

use super::CredentialKind;
#[cfg(feature = "oauth")]
use crate::server::AccessToken;
use crate::{
    platform::http::sensitive,
    server::{Expose as _, Fingerprint, Scope, SecretText, api::Api, observer::Observers},
};

/// A request that is about to be made.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    pub(in crate::server) api: Api,
    #[cfg_attr(not(feature = "oauth"), expect(dead_code, reason = "tokens alone are bound to hosts"))]
    pub(in crate::server) url: &'a Url,
    pub(in crate::server) observers: &'a Observers,
}

/// What one attempt of a request carries. `Debug` shows no secret.
#[derive(Debug)]
pub struct Authorization {
    pub(in crate::server) kind: CredentialKind,
    pub(in crate::server) id: SecretId,
    /// What the credential has for this call, where it is not the API that names it.
    pub(in crate::server) scope: Option<Scope>,
    carried: Carried,
}

/// Which secret an attempt had, without it.
#[derive(Clone, Copy, Debug)]
pub struct SecretId {
    pub(in crate::server) fingerprint: Fingerprint,
    /// Of the secret at its source, or of the token at its provider.
    pub(super) version: u64,
}

#[derive(Debug)]
enum Carried {
    /// The request's body names the key, or there is nothing to carry.
    Nothing,
    Basic(String, SecretText),
    ApiKey(SecretText),
    #[cfg(feature = "oauth")]
    Bearer(AccessToken),
    /// A bearer whose text has a word before it.
    Prefixed(&'static str, SecretText),
    /// The caller puts it into the body.
    Body(SecretText),
}

impl Authorization {
    pub(in crate::server) fn nothing(kind: CredentialKind, public: &str) -> Self {
        Self { kind, id: SecretId::of(public, 0), scope: None, carried: Carried::Nothing }
    }

    /// `Api-Key` with a key that is public.
    pub(super) fn public_api_key(kind: CredentialKind, key: SecretText) -> Self {
        Self { kind, id: SecretId::of(key.expose(), 0), scope: None, carried: Carried::ApiKey(key) }
    }

    pub(super) fn basic(kind: CredentialKind, user: &str, held: Held) -> Self {
        Self::of(kind, held, |secret| Carried::Basic(user.to_owned(), secret))
    }

    pub(super) fn api_key(kind: CredentialKind, held: Held) -> Self {
        Self::of(kind, held, Carried::ApiKey)
    }

    pub(super) fn bearer(kind: CredentialKind, prefix: &'static str, held: Held) -> Self {
        Self::of(kind, held, |secret| Carried::Prefixed(prefix, secret))
    }

    pub(super) fn body(kind: CredentialKind, held: Held) -> Self {
        Self::of(kind, held, Carried::Body)
    }

    #[cfg(feature = "oauth")]
    pub(super) fn token(kind: CredentialKind, scope: Option<Scope>, token: AccessToken, generation: u64) -> Self {
        Self { kind, id: SecretId::of(token.expose(), generation), scope, carried: Carried::Bearer(token) }
    }

    fn of(kind: CredentialKind, held: Held, carry: impl FnOnce(SecretText) -> Carried) -> Self {
        let Held { secret, id } = held;
        Self { kind, id, scope: None, carried: carry(secret) }
    }

    /// Adds it to a request's headers, marked so that no log of the HTTP stack shows it.
    pub(in crate::server) fn apply(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.carried {
            Carried::Nothing | Carried::Body(_) => request,
            Carried::Basic(user, secret) => request.basic_auth(user, Some(secret.expose())),
            #[cfg(feature = "oauth")]
            Carried::Bearer(token) => request.header(AUTHORIZATION, sensitive("Bearer ", token.expose())),
            Carried::ApiKey(secret) => request.header(AUTHORIZATION, sensitive("Api-Key ", secret.expose())),
            Carried::Prefixed(prefix, secret) => request.header(AUTHORIZATION, sensitive(prefix, secret.expose())),
        }
    }

    /// The secret for the request's body, where it goes there.
    pub(in crate::server) fn in_body(&self) -> Option<&SecretText> {
        match &self.carried {
            Carried::Body(secret) => Some(secret),
            _ => None,
        }
    }
}

/// A secret as a source gave it.
#[derive(Debug)]
pub(in crate::server) struct Held {
    pub(in crate::server) secret: SecretText,
    pub(in crate::server) id: SecretId,
}

impl Held {
    pub(super) fn new(secret: SecretText, version: u64) -> Self {
        Self { id: SecretId::of(secret.expose(), version), secret }
    }
}

impl SecretId {
    fn of(text: &str, version: u64) -> Self {
        Self { fingerprint: Fingerprint::of(text), version }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held() -> Held {
        Held::new(SecretText::new("sentinel").unwrap(), 0)
    }

    #[test]
    fn t_b8_every_header_with_a_secret_is_marked_and_no_url_holds_one() {
        let kind = CredentialKind::ManagementKey;
        #[cfg_attr(not(feature = "oauth"), expect(unused_mut, reason = "OAuth adds one"))]
        let mut all = vec![
            (Authorization::basic(kind, "key", held()), "Basic a2V5OnNlbnRpbmVs"),
            (Authorization::api_key(kind, held()), "Api-Key sentinel"),
            (Authorization::bearer(kind, "Bearer PAT=", held()), "Bearer PAT=sentinel"),
        ];
        #[cfg(feature = "oauth")]
        {
            let token = AccessToken::new("sentinel").unwrap();
            all.push((Authorization::token(kind, None, token, 0), "Bearer sentinel"));
        }
        for (authorization, text) in all {
            assert!(!format!("{authorization:?}").contains("sentinel"), "{authorization:?}");
            let client = reqwest::Client::builder().tls_backend_preconfigured(no_tls()).build().unwrap();
            let request = authorization.apply(client.get("https://example.com/path")).build().unwrap();
            let header = &request.headers()[AUTHORIZATION];
            assert!(header.is_sensitive() && header.to_str().unwrap() == text, "{text}");
            assert_eq!((request.url().as_str(), request.headers().len()), ("https://example.com/path", 1));
        }
    }

    /// Nothing is sent.
    fn no_tls() -> rustls::ClientConfig {
        rustls::ClientConfig::builder_with_provider(std::sync::Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth()
    }
}
