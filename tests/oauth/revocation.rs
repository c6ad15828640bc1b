//! The end of tokens.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use amplitude_sdk::server::{
    AuthEvent,
    oauth::{AuthError, AuthorizationServer, ClientAuth, OAuthApp, OAuthClient, Reauth, Stage},
};
use serde_json::{Value, json};

use crate::{
    flow::{consent, public, read_and_stay, real_app, secret, stub_app, stub_tokens},
    server::Server,
    shown::Shown as _,
    stub::{Reply, Stub, token},
};

#[tokio::test]
async fn t_b7_a_real_server_forgets_both_tokens() {
    let Some(server) = Server::shared() else { return };
    let (app, _) = real_app(server, json!({})).await;
    let tokens = consent(server, &app, read_and_stay(), "none").await.unwrap();
    assert!(app.introspect(&tokens).await.unwrap().is_active());
    app.revoke(&tokens).await.unwrap();
    assert!(!app.introspect(&tokens).await.unwrap().is_active());
    let error = app.refresh(&tokens, None).await.shown().unwrap_err();
    assert!(matches!(error, AuthError::ReauthRequired(Reauth::GrantRefused)), "{error:?}");
    // Of tokens that it does not know it says the same.
    app.revoke(&tokens).await.unwrap();
}

/// Issues tokens, and answers a revocation so.
fn revoking(status: u16, body: Value) -> Stub {
    Stub::start(move |seen, _| match seen.path.as_str() {
        "/token" => Reply::json(200, &token()),
        _ => Reply::json(status, &body).header("retry-after", "30"),
    })
}

#[tokio::test]
async fn t_b7_the_refresh_token_goes_first() {
    let stub = revoking(200, json!({}));
    let app = stub_app(&stub);
    app.revoke(&stub_tokens(&app).await.unwrap()).await.unwrap();
    let seen = stub.seen_at("/revoke");
    let sent: Vec<_> = seen.iter().map(|seen| (seen.field("token").unwrap(), seen.field("token_type_hint").unwrap())).collect();
    let pair = |token: &str, hint: &str| (token.to_owned(), hint.to_owned());
    assert_eq!(sent, [pair("refresh-1", "refresh_token"), pair("access-1", "access_token")]);
    // No body is no fault.
    let stub = Stub::start(|seen, _| match seen.path.as_str() {
        "/token" => Reply::json(200, &token()),
        _ => Reply::new(200, "text/plain", ""),
    });
    let app = stub_app(&stub);
    app.revoke(&stub_tokens(&app).await.unwrap()).await.unwrap();
}

#[tokio::test]
async fn t_b7_what_fails_for_now_is_still_valid() {
    let stub = revoking(503, json!({}));
    let app = stub_app(&stub);
    let error = app.revoke(&stub_tokens(&app).await.unwrap()).await.shown().unwrap_err();
    let after = Some(Duration::from_secs(30));
    assert!(
        matches!(&error, AuthError::Transient { stage: Stage::Revocation, retry_after, .. } if *retry_after == after),
        "{error:?}"
    );
    assert_eq!(stub.seen_at("/revoke").len(), 1);
}

#[tokio::test]
async fn t_b7_what_a_server_cannot_revoke_is_typed_and_told() {
    let stub = revoking(401, json!({"error": "invalid_client"}));
    let events = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&events);
    let options = stub.options().observer(move |event: &AuthEvent<'_>| {
        if let AuthEvent::Revoked { by_server, .. } = event {
            told.lock().unwrap().push(*by_server);
        }
    });
    // As at Amplitude's MCP server: a client without a secret may not be able to.
    let app = OAuthApp::builder(stub.server(), public("id")).options(options.clone()).build().unwrap();
    let tokens = stub_tokens(&app).await.unwrap();
    let error = app.revoke(&tokens).await.shown().unwrap_err();
    assert!(matches!(&error, AuthError::Unsupported { feature } if feature.contains("without a secret")), "{error:?}");
    // One with a secret was refused.
    let client = OAuthClient::new("id", ClientAuth::SecretPost(secret("s").into())).unwrap();
    let confidential = OAuthApp::builder(stub.server(), client).options(options.clone()).build().unwrap();
    assert!(matches!(confidential.revoke(&tokens).await, Err(AuthError::ClientRejected { .. })));
    // Or there is no such endpoint.
    let none = AuthorizationServer::custom(stub.url("")).token_endpoint(stub.url("/token")).build().unwrap();
    let app = OAuthApp::builder(none, public("id")).options(options).build().unwrap();
    for error in [app.revoke(&tokens).await.shown().unwrap_err(), app.introspect(&tokens).await.shown().unwrap_err()] {
        assert!(matches!(&error, AuthError::Unsupported { .. }), "{error:?}");
    }
    assert_eq!(*events.lock().unwrap(), [false, false, false]);
}

#[tokio::test]
async fn t_b7_an_access_token_that_is_not_revoked_alone_ends_with_its_refresh_token() {
    let stub = Stub::start(|seen, _| match (seen.path.as_str(), seen.field("token_type_hint").as_deref()) {
        ("/token", _) => Reply::json(200, &token()),
        (_, Some("access_token")) => Reply::json(400, &json!({"error": "unsupported_token_type"})),
        _ => Reply::json(200, &json!({})),
    });
    let app = stub_app(&stub);
    app.revoke(&stub_tokens(&app).await.unwrap()).await.unwrap();
    assert_eq!(stub.seen_at("/revoke").len(), 2);
}

#[tokio::test]
async fn t_b7_a_secret_goes_where_the_endpoint_takes_it() {
    let stub = Stub::start(|seen, origin| match seen.path.as_str() {
        "/token" => Reply::json(200, &token()),
        "/revoke" => Reply::json(200, &json!({})),
        _ => Reply::json(
            200,
            &json!({
                "issuer": origin,
                "authorization_endpoint": format!("{origin}/authorize"),
                "token_endpoint": format!("{origin}/token"),
                "revocation_endpoint": format!("{origin}/revoke"),
                "revocation_endpoint_auth_methods_supported": ["client_secret_basic"],
            }),
        ),
    });
    let server = AuthorizationServer::discover(&stub.url(""), &stub.options()).await.unwrap();
    let client = OAuthClient::new("id", ClientAuth::SecretPost(secret("s").into())).unwrap();
    let app = OAuthApp::builder(server, client).options(stub.options()).build().unwrap();
    app.revoke(&stub_tokens(&app).await.unwrap()).await.unwrap();
    assert_eq!(stub.seen_at("/token")[0].field("client_secret").as_deref(), Some("s"));
    for seen in stub.seen_at("/revoke") {
        assert_eq!((seen.field("client_secret"), seen.headers["authorization"].as_str()), (None, "Basic aWQ6cw=="));
    }
}

#[tokio::test]
async fn a_token_of_the_developer_api_explains_itself() {
    let stub = Stub::start(|seen, _| match seen.path.as_str() {
        "/token" => Reply::json(200, &token()),
        _ if seen.headers.get("authorization").is_none_or(|header| header != "Bearer access-1") => Reply::json(401, &json!({})),
        _ => {
            let principal = json!({"org_name": "Acme", "auth_type": "oauth", "scopes": ["taxonomy:read"]});
            Reply::json(200, &json!({"data": {"object": "context", "principal": principal}}))
        }
    });
    let server = stub.server().edit().context_endpoint(stub.url("/v1/context")).build().unwrap();
    let app = OAuthApp::builder(server, public("id")).options(stub.options()).build().unwrap();
    let mut tokens = stub_tokens(&app).await.unwrap();
    let told = app.introspect(&tokens).await.unwrap();
    assert_eq!((told.is_active(), told.auth_type(), told.organization()), (true, Some("oauth"), Some("Acme")));
    assert_eq!(told.scopes().unwrap().to_string(), "taxonomy:read");
    assert_eq!((stub.seen()[1].method.as_str(), stub.seen()[1].body.as_str()), ("GET", ""));
    // Another stub's token is none here.
    let other = Stub::start(|_, _| Reply::json(200, &json!({"access_token": "access-2", "token_type": "Bearer"})));
    tokens = stub_tokens(&stub_app(&other)).await.unwrap();
    assert!(!app.introspect(&tokens).await.unwrap().is_active());
}

/// A client without an id, as the Developer API wants it.
#[tokio::test]
async fn a_client_without_an_id_refreshes_without_one() {
    let stub = Stub::start(|_, _| Reply::json(200, &token()));
    let tokens = stub_tokens(&stub_app(&stub)).await.unwrap();
    let app = OAuthApp::builder(stub.server(), OAuthClient::anonymous()).options(stub.options()).build().unwrap();
    app.refresh(&tokens, None).await.unwrap();
    assert_eq!(stub.seen()[1].body, "grant_type=refresh_token&refresh_token=refresh-1");
    let begun = app.authorize(&crate::flow::redirect(), read_and_stay());
    assert!(matches!(begun, Err(AuthError::Unsupported { .. })));
}
