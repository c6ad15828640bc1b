//! Tokens: what is asked for, what is granted, how they are renewed.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use amplitude_sdk::server::{
    AuthEvent, ScopeSet,
    oauth::{AuthError, AuthorizationServer, ClientAuth, ClientCredentials, OAuthApp, OAuthClient, Reauth, Stage, TokenSet},
    scope,
};
use serde_json::{Value, json};

use crate::{
    flow::{app_of, consent, public, read_and_stay, real_app, secret, stub_app, stub_tokens},
    server::Server,
    shown::Shown as _,
    stub::{Reply, Stub, token},
};

async fn answered(body: Value) -> Result<TokenSet, AuthError> {
    let stub = Stub::start(move |_, _| Reply::json(200, &body));
    stub_tokens(&stub_app(&stub)).await
}

fn with(change: impl FnOnce(&mut Value)) -> Value {
    let mut body = token();
    change(&mut body);
    body
}

#[tokio::test]
async fn t_b3_a_client_proves_itself_in_one_way() {
    const ODD: &str = "a:b%c+d e\u{e9}&f=g";
    let stub = Stub::start(|_, _| Reply::json(200, &token()));
    let app = |auth| {
        let client = OAuthClient::new("id:1", auth).unwrap();
        OAuthApp::builder(stub.server(), client).options(stub.options()).build().unwrap()
    };
    for app in [
        app(ClientAuth::Public),
        app(ClientAuth::SecretPost(secret(ODD).into())),
        app(ClientAuth::SecretBasic(secret(ODD).into())),
    ] {
        let tokens = stub_tokens(&app).await.unwrap();
        app.refresh(&tokens, None).await.unwrap();
        app.introspect(&tokens).await.shown().unwrap_err();
        app.revoke(&tokens).await.unwrap();
    }
    let seen = stub.seen();
    // Code, refresh, introspection, and the revocation of two tokens.
    let (public, rest) = seen.split_at(5);
    let (post, basic) = rest.split_at(5);
    assert_eq!(basic.len(), 5);
    let id = Some("id:1".to_owned());
    for seen in public {
        assert_eq!((seen.field("client_id"), seen.field("client_secret")), (id.clone(), None));
        assert!(!seen.headers.contains_key("authorization"));
    }
    for seen in post {
        assert_eq!((seen.field("client_id"), seen.field("client_secret")), (id.clone(), Some(ODD.to_owned())));
        assert!(!seen.headers.contains_key("authorization"));
    }
    for seen in basic {
        assert_eq!((seen.field("client_id"), seen.field("client_secret")), (None, None));
        // printf '%s' 'id%3A1:a%3Ab%25c%2Bd+e%C3%A9%26f%3Dg' | base64
        assert_eq!(seen.headers["authorization"], "Basic aWQlM0ExOmElM0FiJTI1YyUyQmQrZSVDMyVBOSUyNmYlM0Rn");
    }
    assert!(seen.iter().all(|seen| seen.headers["accept"] == "application/json" && seen.method == "POST"));
}

#[tokio::test]
async fn t_b3_a_real_server_understands_odd_secrets() {
    let Some(server) = Server::shared() else { return };
    for (method, auth) in
        [("client_secret_post", ClientAuth::SecretPost as fn(_) -> _), ("client_secret_basic", ClientAuth::SecretBasic)]
    {
        let registered = server.register(json!({"token_endpoint_auth_method": method})).await;
        for odd in ["a:b%c+d", "with space ~", "&client_id=x#", "%41%zz\"\\"] {
            server.change_secret(&registered.id, odd).await;
            let app = app_of(server, OAuthClient::new(&registered.id, auth(secret(odd).into())).unwrap()).await;
            let tokens = consent(server, &app, read_and_stay(), "none").await;
            let tokens = tokens.unwrap_or_else(|error| panic!("{method} {odd}: {error:?}"));
            assert!(app.introspect(&tokens).await.unwrap().is_active(), "{method} {odd}");
        }
        let wrong = OAuthClient::new(&registered.id, auth(secret("wrong").into())).unwrap();
        let error = consent(server, &app_of(server, wrong).await, read_and_stay(), "none").await.unwrap_err();
        assert!(matches!(&error, AuthError::ClientRejected { code } if code == "invalid_client"), "{error:?}");
    }
}

#[tokio::test]
async fn t_b4_a_narrower_grant_is_seen() {
    let Some(server) = Server::shared() else { return };
    let registered = server.register(json!({})).await;
    let events = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&events);
    let options = server.options().observer(move |event: &AuthEvent<'_>| told.lock().unwrap().push(format!("{event:?}")));
    let known = AuthorizationServer::discover(&server.issuer, &server.options()).await.unwrap();
    let app = OAuthApp::builder(known, public(&registered.id)).authorization_parameter("prompt", "consent");
    let app = app.options(options).build().unwrap();
    let asked = ScopeSet::from([scope::MCP_READ, scope::MCP_WRITE, scope::OFFLINE_ACCESS]);
    let tokens = consent(server, &app, asked.clone(), "narrow").await.unwrap();
    assert_eq!(tokens.requested(), &asked);
    assert_eq!(tokens.granted(), &read_and_stay());
    assert_eq!(app.introspect(&tokens).await.unwrap().scopes(), Some(&read_and_stay()));
    let events = events.lock().unwrap();
    assert_eq!(events.len(), 1, "{events:?}");
    assert!(
        events[0].starts_with("TokenIssued") && events[0].contains(r#"granted: {"mcp:read", "offline_access"}"#),
        "{events:?}"
    );
}

#[tokio::test]
async fn t_b4_scopes_are_as_granted_or_else_as_asked_for() {
    let asked = read_and_stay();
    for (scope, granted) in [
        (json!(null), "mcp:read offline_access"),
        (json!("mcp:read"), "mcp:read"),
        (json!("mcp:write  admin mcp:read"), "admin mcp:read mcp:write"),
        (json!(""), ""),
    ] {
        let tokens = answered(with(|body| body["scope"] = scope.clone())).await.unwrap();
        assert_eq!(tokens.granted().to_string(), granted, "{scope}");
        assert_eq!(tokens.requested(), &asked);
    }
}

#[tokio::test]
async fn t_b4_what_cannot_be_used_is_no_token() {
    for kind in ["Bearer", "bearer", "BEARER"] {
        answered(with(|body| body["token_type"] = kind.into())).await.unwrap();
    }
    for body in [
        with(|body| body["token_type"] = "DPoP".into()),
        with(|body| body["token_type"] = "mac".into()),
        with(|body| body["token_type"] = "".into()),
        with(|body| drop(body.as_object_mut().unwrap().remove("token_type"))),
        with(|body| drop(body.as_object_mut().unwrap().remove("access_token"))),
        with(|body| body["access_token"] = "".into()),
        with(|body| body["access_token"] = "sentinel\r\nX: y".into()),
        with(|body| body["access_token"] = "sentinel \u{e9}".into()),
        with(|body| body["access_token"] = 7.into()),
        with(|body| body["refresh_token"] = "sentinel\n".into()),
        with(|body| body["scope"] = "a\"b".into()),
        with(|body| body["scope"] = json!(["sentinel"])),
        json!(["sentinel"]),
        json!("sentinel"),
    ] {
        let error = answered(body.clone()).await.unwrap_err();
        assert!(matches!(error, AuthError::Protocol { stage: Stage::Token, status: 200, bytes: 1.., .. }), "{body}: {error:?}");
        assert!(!format!("{error:?} {error}").contains("sentinel"), "{error:?}");
    }
}

#[tokio::test]
async fn t_b4_every_lifetime_means_something() {
    for (lifetime, seconds) in [
        (json!(3600), Some(3600)),
        (json!("3600"), Some(3600)),
        (json!(0), Some(0)),
        (json!(-1), Some(0)),
        (json!(null), None),
        (json!("soon"), None),
        (json!(u64::MAX), Some(100 * 365 * 86400)),
    ] {
        let before = SystemTime::now() - Duration::from_secs(1);
        let tokens = answered(with(|body| body["expires_in"] = lifetime.clone())).await.unwrap();
        let expected = seconds.map(Duration::from_secs);
        let left = tokens.expires_at().map(|at| at.duration_since(before).unwrap());
        match (left, expected) {
            (Some(left), Some(expected)) => assert!(left.abs_diff(expected) < Duration::from_secs(20), "{lifetime}: {left:?}"),
            (left, expected) => assert_eq!(left, expected, "{lifetime}"),
        }
    }
}

#[tokio::test]
async fn t_b5_a_refresh_token_that_was_used_ends_them_all() {
    let Some(server) = Server::shared() else { return };
    let (app, client) = real_app(server, json!({})).await;
    let first = consent(server, &app, read_and_stay(), "none").await.unwrap();
    let second = app.refresh(&first, None).await.unwrap();
    let third = app.refresh(&second, None).await.unwrap();
    assert!(app.introspect(&third).await.unwrap().is_active());
    assert_eq!(third.granted(), &read_and_stay());
    // Somebody who has an old one tries it.
    for tokens in [&first, &third] {
        let error = app.refresh(tokens, None).await.shown().unwrap_err();
        assert!(matches!(error, AuthError::ReauthRequired(Reauth::GrantRefused)), "{error:?}");
    }
    assert!(!app.introspect(&third).await.unwrap().is_active());
    assert_eq!(server.counts(&client.id).await["grant.success:refresh_token"], 2);
}

#[tokio::test]
async fn t_b5_without_a_new_refresh_token_the_old_one_stays() {
    let stub = Stub::start(|seen, _| {
        let mut body = token();
        if seen.field("grant_type").as_deref() == Some("refresh_token") {
            body.as_object_mut().unwrap().remove("refresh_token");
        }
        Reply::json(200, &body)
    });
    let app = stub_app(&stub);
    let mut tokens = stub_tokens(&app).await.unwrap();
    for _ in 0..2 {
        tokens = app.refresh(&tokens, None).await.unwrap();
    }
    let sent: Vec<_> = stub.seen().iter().skip(1).map(|seen| seen.field("refresh_token").unwrap()).collect();
    assert_eq!(sent, ["refresh-1", "refresh-1"]);
    // Without any, the server is not asked.
    let tokens = answered(with(|body| body["refresh_token"] = "".into())).await.unwrap();
    assert!(!tokens.is_refreshable());
    let error = app.refresh(&tokens, None).await.shown().unwrap_err();
    assert!(matches!(error, AuthError::ReauthRequired(Reauth::NoRefreshToken)));
    assert_eq!(stub.seen().len(), 3);
}

#[tokio::test]
async fn t_b6_a_refresh_may_ask_for_less_and_not_for_more() {
    let Some(server) = Server::shared() else { return };
    let (app, client) = real_app(server, json!({})).await;
    let asked = ScopeSet::from([scope::MCP_READ, scope::MCP_WRITE, scope::OFFLINE_ACCESS]);
    let tokens = consent(server, &app, asked, "none").await.unwrap();
    let tokens = app.refresh(&tokens, Some(&read_and_stay())).await.unwrap();
    assert_eq!(tokens.granted(), &read_and_stay());
    assert_eq!(app.introspect(&tokens).await.unwrap().scopes().unwrap(), &read_and_stay());
    for wider in [ScopeSet::from([scope::MCP_WRITE]), ScopeSet::new()] {
        let error = app.refresh(&tokens, Some(&wider)).await.shown().unwrap_err();
        assert!(matches!(&error, AuthError::ScopeRefused { asked } if *asked == wider), "{error:?}");
    }
    assert_eq!(server.counts(&client.id).await["grant.success:refresh_token"], 1);
    assert!(!server.counts(&client.id).await.contains_key("grant.error:refresh_token"));
}

#[tokio::test]
async fn t_c2_a_service_account_gets_tokens_and_no_refresh_token() {
    let Some(server) = Server::shared() else { return };
    let registered = server
        .register(json!({
            "grant_types": ["client_credentials"],
            "redirect_uris": [],
            "response_types": [],
            "token_endpoint_auth_method": "client_secret_post",
        }))
        .await;
    let auth = ClientAuth::SecretPost(secret(registered.secret.as_deref().unwrap()).into());
    let app = app_of(server, OAuthClient::new(&registered.id, auth).unwrap()).await;
    let account = ClientCredentials::new(app.clone(), [scope::MCP_READ]).unwrap();
    let (one, two) = (account.token().await.unwrap(), account.token().await.unwrap());
    for tokens in [&one, &two] {
        assert!(!tokens.is_refreshable() && tokens.expires_at().is_some());
        assert_eq!(tokens.granted().to_string(), "mcp:read");
        assert!(app.introspect(tokens).await.unwrap().is_active());
    }
    assert_eq!(server.counts(&registered.id).await["grant.success:client_credentials"], 2);
    assert!(ClientCredentials::new(app, ScopeSet::new()).is_err());

    // One that somebody sends nevertheless is not kept; and without a secret nobody is a service account.
    let stub = Stub::start(|_, _| Reply::json(200, &token()));
    let client = OAuthClient::new("id", ClientAuth::SecretBasic(secret("s").into())).unwrap();
    let app = OAuthApp::builder(stub.server(), client).options(stub.options()).build().unwrap();
    let tokens = ClientCredentials::new(app, [scope::MCP_READ]).unwrap().token().await.unwrap();
    assert!(!tokens.is_refreshable());
    assert_eq!(stub.seen()[0].field("scope").as_deref(), Some("mcp:read"));
    assert!(matches!(ClientCredentials::new(stub_app(&stub), [scope::MCP_READ]), Err(AuthError::Invalid(_))));
}

#[tokio::test]
async fn t_r13_what_a_server_says_of_its_refusal_is_safe_to_show() {
    let stub = Stub::start(|_, _| {
        let body = json!({"error": "invalid_target", "error_description": "no\u{1b}[31m \u{202e}way", "error_hint": "try\nless"});
        Reply::json(400, &body)
    });
    let error = stub_tokens(&stub_app(&stub)).await.unwrap_err();
    assert_eq!(error.to_string(), "access was denied (invalid_target): no[31m way tryless");
}
