//! Secrets that change while the process runs.

use std::sync::{Arc, Mutex};

use amplitude_sdk::{
    Result,
    server::{
        AuthEvent, BoxFuture, SecretSource, SecretText, VersionedSecret,
        oauth::{AuthError, AuthorizationServer, ClientAuth, ClientCredentials, OAuthApp, OAuthClient, OAuthSecret},
        scope,
    },
};
use serde_json::json;

use crate::{
    server::Server,
    shown::Shown as _,
    stub::{Reply, Stub, token},
};

/// A source that remembers, as one of files does, until it is told to look again.
#[derive(Clone, Default)]
struct Source(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// What is there to be seen: the secret, and the one before it.
    stored: (String, Option<String>),
    read: Option<(String, Option<String>)>,
    version: u64,
    invalidated: Vec<u64>,
}

impl Source {
    fn of(secret: &str) -> Self {
        let source = Self::default();
        source.store(secret, None);
        source
    }

    fn store(&self, secret: &str, previous: Option<&str>) {
        self.0.lock().unwrap().stored = (secret.to_owned(), previous.map(str::to_owned));
    }
}

impl SecretSource for Source {
    fn current(&self) -> BoxFuture<'_, Result<VersionedSecret>> {
        Box::pin(async {
            let mut state = self.0.lock().unwrap();
            if state.read.is_none() {
                state.read = Some(state.stored.clone());
                state.version += 1;
            }
            let (secret, previous) = state.read.clone().unwrap();
            let mut versioned = VersionedSecret::new(SecretText::new(secret)?, state.version);
            versioned.previous = previous.map(SecretText::new).transpose()?;
            Ok(versioned)
        })
    }

    fn invalidate(&self, version: u64) {
        let mut state = self.0.lock().unwrap();
        state.invalidated.push(version);
        state.read = None;
    }

    fn name(&self) -> &str {
        "the-source-of-this-test"
    }
}

/// The names of what happened, and where a new secret comes from.
type Events = Arc<Mutex<Vec<String>>>;

async fn account(server: &Server, source: &Source) -> (ClientCredentials, String, Events) {
    let registered = server
        .register(json!({
            "grant_types": ["client_credentials"],
            "redirect_uris": [],
            "response_types": [],
            "token_endpoint_auth_method": "client_secret_post",
        }))
        .await;
    server.change_secret(&registered.id, "secret-1").await;
    let events = Events::default();
    let told = Arc::clone(&events);
    let options = server.options().observer(move |event: &AuthEvent<'_>| {
        let name = format!("{event:?}").split(' ').next().unwrap().to_owned();
        told.lock().unwrap().push(match event {
            AuthEvent::SecretReloaded { source, .. } => format!("{name} {source}"),
            _ => name,
        });
    });
    let auth = ClientAuth::SecretPost(OAuthSecret::from_source(source.clone()));
    let client = OAuthClient::new(&registered.id, auth).unwrap();
    let known = AuthorizationServer::discover(&server.issuer, &server.options()).await.unwrap();
    let app = OAuthApp::builder(known, client).options(options).build().unwrap();
    (ClientCredentials::new(app, [scope::MCP_READ]).unwrap(), registered.id, events)
}

fn take(events: &Events) -> Vec<String> {
    std::mem::take(&mut *events.lock().unwrap())
}

#[tokio::test]
async fn t_r10_a_secret_that_was_rotated_is_read_anew() {
    let Some(server) = Server::shared() else { return };
    let source = Source::of("secret-1");
    let (account, id, events) = account(server, &source).await;
    account.token().await.unwrap();
    assert_eq!(take(&events), ["TokenIssued"]);
    // The process has the old one in its memory when the server takes only the new one.
    source.store("secret-2", None);
    server.change_secret(&id, "secret-2").await;
    account.token().await.unwrap();
    assert_eq!(take(&events), ["CredentialRefused", "SecretReloaded the-source-of-this-test", "TokenIssued"]);
    assert_eq!(source.0.lock().unwrap().invalidated, [1]);
    account.token().await.unwrap();
    assert_eq!(take(&events), ["TokenIssued"]);
    let counts = server.counts(&id).await;
    assert_eq!((counts["grant.success:client_credentials"], counts["grant.error:client_credentials"]), (3, 1));
}

#[tokio::test]
async fn t_r10_the_secret_before_serves_until_the_server_knows_the_new_one() {
    let Some(server) = Server::shared() else { return };
    let source = Source::of("secret-1");
    source.store("secret-2", Some("secret-1"));
    let (account, id, events) = account(server, &source).await;
    account.token().await.unwrap();
    assert_eq!(take(&events), ["CredentialRefused", "SecretNotYetActive", "TokenIssued"]);
    // It goes first, until the server knows the new one alone.
    server.change_secret(&id, "secret-2").await;
    account.token().await.unwrap();
    assert_eq!(take(&events), ["CredentialRefused", "TokenIssued"]);
    account.token().await.unwrap();
    assert_eq!(take(&events), ["TokenIssued"]);
}

#[tokio::test]
async fn t_r10_each_secret_that_is_wrong_is_tried_once() {
    let Some(server) = Server::shared() else { return };
    let source = Source::of("wrong");
    let (account, id, events) = account(server, &source).await;
    let error = account.token().await.shown().unwrap_err();
    assert!(matches!(&error, AuthError::ClientRejected { code } if code == "invalid_client"), "{error:?}");
    assert_eq!(take(&events), ["CredentialRefused"]);
    source.store("wrong-as-well", None);
    account.token().await.shown().unwrap_err();
    assert_eq!(take(&events), ["CredentialRefused", "SecretReloaded the-source-of-this-test", "CredentialRefused"]);
    // What it knew, what it reads, and what was before that.
    source.store("wrong-too", Some("wrong-before"));
    account.token().await.shown().unwrap_err();
    assert_eq!(server.counts(&id).await["grant.error:client_credentials"], 6);
}

#[tokio::test]
async fn a_source_that_fails_is_not_a_server_that_refuses() {
    let stub = Stub::start(|_, _| Reply::json(200, &token()));
    let source = Source::of("");
    let client = OAuthClient::new("id", ClientAuth::SecretBasic(OAuthSecret::from_source(source))).unwrap();
    let app = OAuthApp::builder(stub.server(), client).options(stub.options()).build().unwrap();
    let error = ClientCredentials::new(app, [scope::MCP_READ]).unwrap().token().await.shown().unwrap_err();
    assert!(matches!(error, AuthError::Secret(_)), "{error:?}");
    assert!(stub.seen().is_empty());
}

#[tokio::test]
async fn a_client_that_is_known_and_not_allowed_is_no_matter_of_its_secret() {
    let refusal = |status: u16, code: &str| Reply::json(status, &json!({"error": code}));
    for (status, code, tried) in [(400, "unauthorized_client", 1), (401, "unauthorized_client", 2), (400, "invalid_client", 2)] {
        let stub = Stub::start(move |_, _| refusal(status, code));
        let source = Source::of("");
        source.store("secret-2", Some("secret-1"));
        let client = OAuthClient::new("id", ClientAuth::SecretPost(OAuthSecret::from_source(source))).unwrap();
        let app = OAuthApp::builder(stub.server(), client).options(stub.options()).build().unwrap();
        let error = ClientCredentials::new(app, [scope::MCP_READ]).unwrap().token().await.shown().unwrap_err();
        assert!(matches!(&error, AuthError::ClientRejected { code: said } if said == code), "{error:?}");
        assert_eq!(stub.seen().len(), tried, "{status} {code}");
    }
}
