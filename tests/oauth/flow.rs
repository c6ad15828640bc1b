//! The way of a user's consent, for the tests that need tokens.

use amplitude_sdk::server::{
    ClientSecret, ScopeSet,
    oauth::{AuthError, AuthorizationServer, ClientAuth, OAuthApp, OAuthClient, RedirectUri, TokenSet},
    scope,
};
use serde_json::Value;

use crate::{
    server::{REDIRECT, Registered, Server},
    shown::Shown as _,
    stub::Stub,
};

pub(crate) fn redirect() -> RedirectUri {
    RedirectUri::https(REDIRECT).unwrap()
}

pub(crate) fn read_and_stay() -> ScopeSet {
    ScopeSet::from([scope::MCP_READ, scope::OFFLINE_ACCESS])
}

pub(crate) fn public(id: &str) -> OAuthClient {
    OAuthClient::new(id, ClientAuth::Public).unwrap()
}

pub(crate) fn secret(text: &str) -> ClientSecret {
    ClientSecret::new(text).unwrap()
}

/// A client of a stub without a secret.
pub(crate) fn stub_app(stub: &Stub) -> OAuthApp {
    OAuthApp::builder(stub.server(), public("stub-client")).options(stub.options()).build().unwrap()
}

/// Tokens that a stub issues, whose `/token` must answer a code with some.
pub(crate) async fn stub_tokens(app: &OAuthApp) -> Result<TokenSet, AuthError> {
    let (url, pending) = app.authorize(&redirect(), read_and_stay()).unwrap();
    let state = parameter(&url, "state").unwrap();
    let code = pending.verify(&format!("{REDIRECT}?code=the-code&state={state}")).shown()?;
    pending.exchange(code).await.shown()
}

pub(crate) fn parameter(url: &str, name: &str) -> Option<String> {
    let url = url::Url::parse(url).unwrap();
    let values: Vec<_> = url.query_pairs().filter(|(known, _)| known == name).map(|(_, value)| value.into_owned()).collect();
    assert!(values.len() < 2, "{name} is there {} times", values.len());
    values.into_iter().next()
}

/// A client of the real server without a secret.
pub(crate) async fn real_app(server: &Server, metadata: Value) -> (OAuthApp, Registered) {
    let registered = server.register(metadata).await;
    (app_of(server, public(&registered.id)).await, registered)
}

/// OpenID Connect gives refresh tokens to those alone who ask the user for consent.
pub(crate) async fn app_of(server: &Server, client: OAuthClient) -> OAuthApp {
    let known = AuthorizationServer::discover(&server.issuer, &server.options()).await.unwrap();
    let app = OAuthApp::builder(known, client).authorization_parameter("prompt", "consent").options(server.options());
    app.build().unwrap()
}

/// The user consents as the hint says; `none` to all.
pub(crate) async fn consent(server: &Server, app: &OAuthApp, scopes: ScopeSet, hint: &str) -> Result<TokenSet, AuthError> {
    let (url, pending) = app.authorize(&redirect(), scopes)?;
    let callback = server.browse(&format!("{url}&login_hint={hint}")).await.unwrap();
    let code = pending.verify(&callback).shown()?;
    pending.exchange(code).await.shown()
}
