//! The protocol's requests, made by `oauth2`. It reads no answer: the errors with which it would refuse one hold the answer, tokens and all.

use std::{borrow::Cow, error::Error as StdError, fmt};

use oauth2::{
    AsyncHttpClient, AuthType, AuthUrl, AuthorizationCode, ClientId, CsrfToken, HttpRequest, HttpResponse, PkceCodeChallenge,
    PkceCodeVerifier, RedirectUrl, RefreshToken, RequestTokenError, Scope, TokenUrl, basic::BasicClient,
};
use reqwest::{
    Request,
    header::{AUTHORIZATION, HeaderMap, HeaderValue},
};
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use super::{
    AuthError, Stage,
    client::Proof,
    http::{Answer, OAuthHttp},
};
use crate::{
    Error,
    platform::http::sensitive,
    server::{self, BoxFuture, Expose as _, ScopeSet},
};

/// What belongs to one request for a user's consent.
pub(super) struct Authorization {
    pub(super) url: Url,
    pub(super) state: SecretString,
    pub(super) verifier: SecretString,
}

/// The address to send the user's browser to, with a new state and a new verifier (PKCE, S256), 32 random bytes each.
pub(super) fn authorization(
    endpoint: &Url,
    client_id: &str,
    redirect: &str,
    scopes: &ScopeSet,
    extra: &[(String, String)],
) -> Result<Authorization, AuthError> {
    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let client = BasicClient::new(ClientId::new(client_id.to_owned())).set_auth_uri(AuthUrl::from_url(endpoint.clone()));
    let mut request = client
        .authorize_url(|| CsrfToken::new_random_len(32))
        .set_pkce_challenge(challenge)
        .set_redirect_uri(Cow::Owned(redirect_url(redirect)?))
        .add_scopes(names(scopes));
    for (name, value) in extra {
        request = request.add_extra_param(name.as_str(), value.as_str());
    }
    let (url, state) = request.url();
    Ok(Authorization { url, state: state.into_secret().into(), verifier: verifier.into_secret().into() })
}

/// What a client asks an endpoint.
pub(crate) enum Asked<'a> {
    /// For a token, of a resource where one is named.
    Token(Grant<'a>, Option<&'a str>),
    /// What an endpoint is asked that `oauth2` does not know, or knows over https alone, where a test's or an emulator's is not.
    Form(Stage, &'a [(&'a str, &'a str)]),
}

/// Asks as a client, once. Whatever is answered is the answer.
pub(super) async fn ask(http: &OAuthHttp, endpoint: &Url, proof: Proof<'_>, asked: &Asked<'_>) -> Result<Answer, AuthError> {
    match asked {
        Asked::Token(grant, resource) => token(http, endpoint, proof, grant, *resource).await,
        Asked::Form(stage, pairs) => form(http, *stage, endpoint, proof, pairs).await,
    }
}

/// What a token is asked for.
pub(crate) enum Grant<'a> {
    Code { code: &'a SecretString, verifier: &'a SecretString, redirect: &'a str },
    Refresh { token: &'a server::RefreshToken, scopes: Option<&'a ScopeSet> },
    ClientCredentials { scopes: &'a ScopeSet },
}

impl Grant<'_> {
    fn stage(&self) -> Stage {
        match self {
            Self::Refresh { .. } => Stage::Refresh,
            Self::Code { .. } | Self::ClientCredentials { .. } => Stage::Token,
        }
    }
}

async fn token(
    http: &OAuthHttp,
    endpoint: &Url,
    proof: Proof<'_>,
    grant: &Grant<'_>,
    resource: Option<&str>,
) -> Result<Answer, AuthError> {
    let stage = grant.stage();
    let Some(id) = proof.client_id else {
        return anonymous(http, endpoint, grant).await;
    };
    let mut client = BasicClient::new(ClientId::new(id.to_owned())).set_token_uri(TokenUrl::from_url(endpoint.clone()));
    if let Some(secret) = proof.secret {
        client = client.set_client_secret(oauth2::ClientSecret::new(secret.expose().to_owned()));
    }
    client = client.set_auth_type(if proof.in_header { AuthType::BasicAuth } else { AuthType::RequestBody });
    let sender = Sender { http, stage };
    let sent = match grant {
        Grant::Code { code, verifier, redirect } => {
            let mut request = client
                .exchange_code(AuthorizationCode::new(code.expose_secret().to_owned()))
                .set_pkce_verifier(PkceCodeVerifier::new(verifier.expose_secret().to_owned()))
                .set_redirect_uri(Cow::Owned(redirect_url(redirect)?));
            if let Some(resource) = resource {
                request = request.add_extra_param("resource", resource);
            }
            request.request_async(&sender).await.err()
        }
        Grant::Refresh { token, scopes } => {
            let token = RefreshToken::new(token.expose().to_owned());
            let mut request = client.exchange_refresh_token(&token);
            if let Some(scopes) = scopes {
                request = request.add_scopes(names(scopes));
            }
            if let Some(resource) = resource {
                request = request.add_extra_param("resource", resource);
            }
            request.request_async(&sender).await.err()
        }
        Grant::ClientCredentials { scopes } => {
            let mut request = client.exchange_client_credentials().add_scopes(names(scopes));
            if let Some(resource) = resource {
                request = request.add_extra_param("resource", resource);
            }
            request.request_async(&sender).await.err()
        }
    };
    match sent {
        Some(RequestTokenError::Request(Sent(answer))) => answer,
        // Nothing else comes: the client's answers are all of that kind.
        _ => Err(cannot_be_made()),
    }
}

fn names(scopes: &ScopeSet) -> impl Iterator<Item = Scope> {
    scopes.iter().map(|scope| Scope::new(scope.to_string()))
}

/// A refresh for a client without an id.
async fn anonymous(http: &OAuthHttp, endpoint: &Url, grant: &Grant<'_>) -> Result<Answer, AuthError> {
    let Grant::Refresh { token, .. } = grant else {
        return Err(AuthError::Unsupported { feature: "this grant without a client id" });
    };
    let form = [("grant_type", "refresh_token"), ("refresh_token", token.expose())];
    http.post_form(Stage::Refresh, endpoint, HeaderMap::new(), &form).await
}

async fn form(
    http: &OAuthHttp,
    stage: Stage,
    endpoint: &Url,
    proof: Proof<'_>,
    form: &[(&str, &str)],
) -> Result<Answer, AuthError> {
    let mut headers = HeaderMap::new();
    let mut form = form.to_vec();
    match (proof.client_id, proof.secret) {
        (Some(id), Some(secret)) if proof.in_header => {
            headers.insert(AUTHORIZATION, basic(id, secret));
        }
        (id, secret) => {
            form.extend(id.map(|id| ("client_id", id)));
            form.extend(secret.map(|secret| ("client_secret", secret.expose())));
        }
    }
    http.post_form(stage, endpoint, headers, &form).await
}

/// RFC 6749 §2.3.1: both are form-encoded before they are joined.
fn basic(id: &str, secret: &server::SecretText) -> HeaderValue {
    use base64::prelude::{BASE64_STANDARD, Engine as _};
    let encode = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let pair = BASE64_STANDARD.encode([&encode(id), ":", &encode(secret.expose())].concat());
    sensitive("Basic ", &pair)
}

/// What `oauth2` sends its requests by.
struct Sender<'a> {
    http: &'a OAuthHttp,
    stage: Stage,
}

impl Sender<'_> {
    async fn send(&self, mut request: HttpRequest) -> Result<Answer, AuthError> {
        if let Some(value) = request.headers_mut().get_mut(AUTHORIZATION) {
            value.set_sensitive(true);
        }
        let request = Request::try_from(request).map_err(|_| cannot_be_made())?;
        self.http.send(self.stage, request).await
    }
}

impl<'c> AsyncHttpClient<'c> for Sender<'_> {
    type Error = Sent;
    type Future = BoxFuture<'c, Result<HttpResponse, Sent>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(async { Err(Sent(self.send(request).await)) })
    }
}

fn cannot_be_made() -> AuthError {
    AuthError::Invalid(Error::invalid(&["token request: cannot be made"]))
}

fn redirect_url(url: &str) -> Result<RedirectUrl, AuthError> {
    RedirectUrl::new(url.to_owned()).map_err(|_| AuthError::Invalid(Error::at("redirect URI", "is not a URL")))
}

/// What came back, or why nothing did, in the place of an error of `oauth2`'s client.
struct Sent(Result<Answer, AuthError>);

impl fmt::Debug for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sent")
    }
}

impl fmt::Display for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sent")
    }
}

impl StdError for Sent {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t_a1_the_verifier_is_43_unreserved_characters_and_new_each_time() {
        let scopes = ScopeSet::new();
        let endpoint = Url::parse("https://a.example/authorize?tenant=1").unwrap();
        let make = || authorization(&endpoint, "id", "https://b.example/cb", &scopes, &[]).unwrap();
        let (one, two) = (make(), make());
        for made in [&one, &two] {
            let verifier = made.verifier.expose_secret();
            assert!(verifier.len() == 43 && verifier.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
            assert!(made.state.expose_secret().len() == 43);
            let pairs: Vec<_> = made.url.query_pairs().into_owned().collect();
            let value = |name: &str| {
                let found: Vec<_> = pairs.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str()).collect();
                assert_eq!(found.len(), 1, "{name}");
                found[0]
            };
            let digest = ring::digest::digest(&ring::digest::SHA256, verifier.as_bytes());
            use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
            assert_eq!(value("code_challenge"), BASE64_URL_SAFE_NO_PAD.encode(digest));
            assert_eq!((value("code_challenge_method"), value("response_type"), value("tenant")), ("S256", "code", "1"));
            assert!(!made.url.as_str().contains(verifier));
        }
        assert_ne!(one.state.expose_secret(), two.state.expose_secret());
        assert_ne!(one.verifier.expose_secret(), two.verifier.expose_secret());
    }

    #[test]
    fn t_b3_id_and_secret_are_form_encoded_before_they_are_joined() {
        let secret = server::SecretText::new("a:b%c+d e\u{e9}").unwrap();
        let value = basic("id:1 x", &secret);
        use base64::prelude::{BASE64_STANDARD, Engine as _};
        let pair = BASE64_STANDARD.decode(value.to_str().unwrap().strip_prefix("Basic ").unwrap()).unwrap();
        assert_eq!(String::from_utf8(pair).unwrap(), "id%3A1+x:a%3Ab%25c%2Bd+e%C3%A9");
        assert!(value.is_sensitive() && format!("{value:?}") == "Sensitive");
    }
}
