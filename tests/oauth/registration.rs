//! The registration of clients by programs.

use std::time::{Duration, SystemTime};

use amplitude_sdk::server::oauth::{
    AuthError, AuthorizationServer, ClientRegistration, EncryptionKey, OAuthApp, RedirectUri, RegisteredClient, Stage,
};
use serde_json::{Value, json};

use crate::{
    flow::{app_of, consent, read_and_stay, redirect},
    server::{REDIRECT, Server},
    shown::Shown as _,
    stub::{Reply, Seen, Stub},
};

fn wanted() -> ClientRegistration {
    ClientRegistration::new("a test's client").redirect(&redirect())
}

#[tokio::test]
async fn t_c3_a_real_server_registers_reads_changes_and_deletes() {
    let Some(server) = Server::shared() else { return };
    let known = AuthorizationServer::discover(&server.issuer, &server.options()).await.unwrap();
    let mut registered = wanted().secret_post().register(&known, &server.options()).await.shown().unwrap();
    assert_eq!(registered.secret_expires_at(), None);
    let app = app_of(server, registered.client().unwrap()).await;
    let tokens = consent(server, &app, read_and_stay(), "none").await.unwrap();
    assert!(app.introspect(&tokens).await.unwrap().is_active());
    registered.read().await.unwrap();

    // Another redirect URI. The server gives another registration token, and the old one is none any more.
    let key = EncryptionKey::from_bytes(&[3; 32]);
    let before = registered.seal(&key);
    let elsewhere = RedirectUri::https("https://app.example/elsewhere").unwrap();
    registered.update(&wanted().secret_post().redirect(&elsewhere)).await.unwrap();
    let mut old = RegisteredClient::open(&known, &before, &key, &server.options()).unwrap();
    assert_eq!(old.id(), registered.id());
    assert!(old.read().await.is_err());
    let (url, _) = app.authorize(&elsewhere, read_and_stay()).unwrap();
    assert!(server.browse(&url).await.unwrap().starts_with(elsewhere.as_str()));

    // Stored and read again, it is the same client.
    let stored = registered.seal(&key);
    let mut again = RegisteredClient::open(&known, &stored, &key, &server.options()).unwrap();
    again.read().await.unwrap();
    let app = app_of(server, again.client().unwrap()).await;
    consent(server, &app, read_and_stay(), "none").await.unwrap();
    again.delete().await.unwrap();
    let (url, _) = app.authorize(&redirect(), read_and_stay()).unwrap();
    assert!(server.browse(&url).await.is_err());
    let (error, _) = registered.delete().await.unwrap_err();
    assert!(matches!(error, AuthError::Denied { .. } | AuthError::ClientRejected { .. }), "{error:?}");
}

#[tokio::test]
async fn t_c3_a_tool_on_the_users_machine_is_registered_as_one() {
    let Some(server) = Server::shared() else { return };
    let known = AuthorizationServer::discover(&server.issuer, &server.options()).await.unwrap();
    let loopback = RedirectUri::loopback("http://127.0.0.1/callback").unwrap();
    let registered = ClientRegistration::new("a tool").redirect(&loopback).register(&known, &server.options()).await.unwrap();
    let app = app_of(server, registered.client().unwrap()).await;
    // RFC 8252 §7.3: on any port.
    let bound = RedirectUri::loopback("http://127.0.0.1:49152/callback").unwrap();
    let (url, pending) = app.authorize(&bound, read_and_stay()).unwrap();
    let callback = server.browse(&url).await.unwrap();
    assert!(callback.starts_with(bound.as_str()), "{callback}");
    let code = pending.verify(&callback).unwrap();
    let tokens = pending.exchange(code).await.unwrap();
    assert!(tokens.is_refreshable());
}

fn registered(origin: &str) -> Value {
    json!({
        "client_id": "the-id",
        "redirect_uris": [REDIRECT],
        "token_endpoint_auth_method": "none",
        "registration_client_uri": format!("{origin}/register/the-id"),
        "registration_access_token": "registration-1",
    })
}

async fn register(
    registration: ClientRegistration,
    status: u16,
    change: impl Fn(&mut Value, &str) + Send + Sync + 'static,
) -> (Stub, Result<RegisteredClient, AuthError>) {
    let stub = Stub::start(move |_, origin| {
        let mut body = registered(origin);
        change(&mut body, origin);
        Reply::json(status, &body)
    });
    let answer = registration.register(&stub.server(), &stub.options()).await.shown();
    (stub, answer)
}

fn sent(stub: &Stub) -> Value {
    serde_json::from_str(&stub.seen()[0].body).unwrap()
}

#[tokio::test]
async fn t_c3_200_and_201_are_both_right() {
    for status in [200, 201] {
        let (stub, answer) = register(wanted(), status, |_, _| {}).await;
        let client = answer.unwrap();
        assert_eq!((client.id(), client.secret_expires_at()), ("the-id", None));
        let sent = sent(&stub);
        assert_eq!((&sent["token_endpoint_auth_method"], &sent["application_type"]), (&json!("none"), &json!("web")));
        assert_eq!(sent["grant_types"], json!(["authorization_code", "refresh_token"]));
        assert!(!stub.seen()[0].headers.contains_key("authorization"));
    }
    let (stub, answer) = register(wanted().client_credentials().secret_basic().scopes(read_and_stay()), 201, |body, _| {
        body["token_endpoint_auth_method"] = "client_secret_basic".into();
        body["client_secret"] = "sentinel".into();
        body["client_secret_expires_at"] = 4_000_000_000_u64.into();
    })
    .await;
    let client = answer.unwrap();
    assert_eq!(client.secret_expires_at(), Some(SystemTime::UNIX_EPOCH + Duration::from_secs(4_000_000_000)));
    let shown = format!("{client:?} {:?} {:?}", client.client(), client.registration_token());
    assert!(!shown.contains("sentinel") && !shown.contains("registration-1"), "{shown}");
    let sent = sent(&stub);
    assert_eq!((&sent["grant_types"], &sent["scope"]), (&json!(["client_credentials"]), &json!("mcp:read offline_access")));
}

#[tokio::test]
async fn t_c3_what_is_not_what_was_asked_for_is_refused() {
    for change in [
        (|body, _| body["redirect_uris"] = json!(["https://elsewhere.example/callback"])) as fn(&mut Value, &str),
        |body, _| body["redirect_uris"] = json!([REDIRECT, "https://elsewhere.example/callback"]),
        |body, _| body["redirect_uris"] = json!([]),
        |body, _| body["client_id"] = "".into(),
        |body, _| body["token_endpoint_auth_method"] = "private_key_jwt".into(),
        // A secret is said to be, and is not.
        |body, _| body["token_endpoint_auth_method"] = "client_secret_post".into(),
        // The registration token would go elsewhere.
        |body, _| body["registration_client_uri"] = "https://elsewhere.example/register/the-id".into(),
        |body, origin| body["registration_client_uri"] = format!("{origin}/").replace("https", "http").into(),
    ] {
        let (stub, answer) = register(wanted(), 201, change).await;
        let error = answer.unwrap_err();
        assert!(matches!(error, AuthError::Protocol { stage: Stage::Registration, status: 201, .. }), "{error:?}");
        assert_eq!(stub.seen().len(), 1);
    }
    let (_, answer) = register(wanted(), 400, |body, _| *body = json!({"error": "invalid_redirect_uri"})).await;
    assert!(matches!(answer, Err(AuthError::Denied { code, .. }) if code == "invalid_redirect_uri"));
    let none = AuthorizationServer::custom("https://a.example").build().unwrap();
    assert!(matches!(wanted().register(&none, &Default::default()).await, Err(AuthError::Unsupported { .. })));
}

#[tokio::test]
async fn t_c3_a_registration_without_answer_is_not_repeated() {
    let stub = Stub::start(|_, _| Reply::hang_up());
    let error = wanted().register(&stub.server(), &stub.options()).await.shown().unwrap_err();
    assert!(matches!(error, AuthError::Transient { .. }), "{error:?}");
    assert_eq!(stub.seen().len(), 1);
}

#[tokio::test]
async fn t_c3_each_change_may_bring_another_registration_token() {
    let answer = |seen: &Seen, origin: &str| {
        let mut body = registered(origin);
        if seen.method == "PUT" {
            body["registration_access_token"] = "registration-2".into();
            body.as_object_mut().unwrap().remove("registration_client_uri");
        }
        Reply::json(if seen.method == "DELETE" { 204 } else { 200 }, &body)
    };
    let stub = Stub::start(answer);
    let mut client = wanted().register(&stub.server(), &stub.options()).await.unwrap();
    client.update(&wanted()).await.unwrap();
    client.read().await.unwrap();
    client.delete().await.unwrap();
    let seen = stub.seen();
    let managed: Vec<_> = seen[1..].iter().map(|seen| (seen.method.as_str(), seen.headers["authorization"].as_str())).collect();
    // The answer to GET has the first one again.
    assert_eq!(
        managed,
        [("PUT", "Bearer registration-1"), ("GET", "Bearer registration-2"), ("DELETE", "Bearer registration-1")]
    );
    assert!(seen[1..].iter().all(|seen| seen.path == "/register/the-id"));
    let update: Value = serde_json::from_str(&seen[1].body).unwrap();
    assert_eq!(update["client_id"], "the-id");
    assert!(update.get("registration_access_token").is_none());
}

#[tokio::test]
async fn a_registered_client_comes_back_to_its_server_alone() {
    let (stub, answer) = register(wanted(), 201, |_, _| {}).await;
    let key = EncryptionKey::from_bytes(&[3; 32]);
    let sealed = answer.unwrap().seal(&key);
    let open = |server: &AuthorizationServer, sealed: &str, key: &EncryptionKey| {
        RegisteredClient::open(server, sealed, key, &stub.options()).map(|client| client.id().to_owned())
    };
    assert_eq!(open(&stub.server(), &sealed, &key).unwrap(), "the-id");
    let other = stub.server().edit().registration_endpoint(stub.url("/other")).build().unwrap();
    assert!(open(&other, &sealed, &key).is_err());
    assert!(open(&stub.server(), &sealed, &EncryptionKey::from_bytes(&[4; 32])).is_err());
    assert!(open(&stub.server(), &sealed[1..], &key).is_err());
    let app = OAuthApp::builder(stub.server(), amplitude_sdk::server::oauth::OAuthClient::anonymous());
    assert!(app.build().is_ok());
}
