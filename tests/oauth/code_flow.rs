//! A user's consent: PKCE, state, issuer, redirect URI, denial.

use amplitude_sdk::server::{
    ScopeSet,
    oauth::{AuthError, AuthorizationServer, CallbackFault, Discovery, EncryptionKey, OAuthApp, Pending},
    scope,
};
use reqwest::StatusCode;
use serde_json::json;

use crate::{
    flow::{app_of, consent, parameter, public, read_and_stay, real_app, redirect, stub_app, stub_tokens},
    server::{REDIRECT, Server},
    shown::Shown as _,
    stub::{Reply, Stub, token},
};

fn rejected(error: &AuthError) -> CallbackFault {
    match error {
        AuthError::CallbackRejected(fault) => *fault,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn t_a1_pkce_is_s256_on_every_flow() {
    let Some(server) = Server::shared() else { return };
    let (app, _) = real_app(server, json!({})).await;
    let (url, pending) = app.authorize(&redirect(), read_and_stay()).unwrap();
    assert_eq!(parameter(&url, "code_challenge_method").as_deref(), Some("S256"));
    let challenge = parameter(&url, "code_challenge").unwrap();
    assert_eq!(challenge.len(), 43);
    let code = pending.verify(&server.browse(&url).await.unwrap()).unwrap();
    pending.exchange(code).await.unwrap();

    // The server means it: without a challenge, with `plain`, and for another verifier there is nothing.
    let (url, pending) = app.authorize(&redirect(), read_and_stay()).unwrap();
    let challenge = parameter(&url, "code_challenge").unwrap();
    for changed in [
        url.replace(&format!("&code_challenge={challenge}&code_challenge_method=S256"), ""),
        url.replace("code_challenge_method=S256", "code_challenge_method=plain"),
    ] {
        assert_ne!(changed, url);
        let callback = server.browse(&changed).await.unwrap();
        assert!(matches!(pending.verify(&callback), Err(AuthError::Denied { code, .. }) if code == "invalid_request"));
    }
    let callback = server.browse(&url.replace(&challenge, &"a".repeat(43))).await.unwrap();
    let code = pending.verify(&callback).unwrap();
    let error = pending.exchange(code).await.shown().unwrap_err();
    assert!(matches!(&error, AuthError::Denied { code, .. } if code == "invalid_grant"), "{error:?}");
}

#[tokio::test]
async fn t_a1_a_server_that_lists_no_s256_is_not_asked() {
    for (methods, works) in [(json!(["plain"]), false), (json!([]), false), (json!(["plain", "S256"]), true), (json!(null), true)]
    {
        let stub = Stub::start(move |_, origin| {
            Reply::json(
                200,
                &json!({
                    "issuer": origin,
                    "authorization_endpoint": format!("{origin}/authorize"),
                    "token_endpoint": format!("{origin}/token"),
                    "code_challenge_methods_supported": methods,
                }),
            )
        });
        let server = AuthorizationServer::discover(&stub.url(""), &stub.options()).await.unwrap();
        let app = OAuthApp::builder(server, public("id")).build().unwrap();
        let begun = app.authorize(&redirect(), read_and_stay());
        assert_eq!(!matches!(begun, Err(AuthError::Unsupported { .. })), works, "{begun:?}");
    }
}

#[tokio::test]
async fn t_a2_a_good_callback_is_good_once() {
    let Some(server) = Server::shared() else { return };
    let (app, client) = real_app(server, json!({})).await;
    let key = EncryptionKey::from_bytes(&[1; 32]);
    let (url, pending) = app.authorize(&redirect(), read_and_stay()).unwrap();
    // A web application that gives it to the browser has it come back once more.
    let sealed = pending.seal(&key);
    let callback = server.browse(&url).await.unwrap();
    let code = pending.verify(&callback).unwrap();
    pending.exchange(code).await.unwrap();
    let again = Pending::open(&app, &sealed, &key).unwrap();
    let code = again.verify(&callback).unwrap();
    let error = again.exchange(code).await.shown().unwrap_err();
    assert!(matches!(&error, AuthError::Denied { code, .. } if code == "invalid_grant"), "{error:?}");
    // And another request takes it at no time.
    let (_, other) = app.authorize(&redirect(), read_and_stay()).unwrap();
    assert_eq!(rejected(&other.verify(&callback).shown().unwrap_err()), CallbackFault::State);
    assert_eq!(server.counts(&client.id).await["grant.success:authorization_code"], 1);
}

#[tokio::test]
async fn t_a3_an_issuer_that_is_advertised_must_come_and_fit() {
    let Some(server) = Server::shared() else { return };
    let (app, _) = real_app(server, json!({})).await;
    for hint in ["none", "deny"] {
        let (url, pending) = app.authorize(&redirect(), read_and_stay()).unwrap();
        let callback = server.browse(&format!("{url}&login_hint={hint}")).await.unwrap();
        let issuer = parameter(&callback, "iss").unwrap();
        assert_eq!(issuer, server.issuer);
        let without: Vec<_> = callback.split('&').filter(|pair| !pair.starts_with("iss=")).collect();
        assert_eq!(without.len(), callback.split('&').count() - 1);
        assert_eq!(rejected(&pending.verify(&without.join("&")).shown().unwrap_err()), CallbackFault::Issuer);
        let encoded: String = url::form_urlencoded::byte_serialize(issuer.as_bytes()).collect();
        for wrong in ["https%3A%2F%2Felsewhere.example".to_owned(), format!("{encoded}%2F")] {
            let changed = [&without.join("&"), "&iss=", &wrong].concat();
            assert_eq!(rejected(&pending.verify(&changed).shown().unwrap_err()), CallbackFault::Issuer, "{wrong}");
        }
        assert_eq!(pending.verify(&callback).is_ok(), hint == "none");
    }
}

#[tokio::test]
async fn t_a4_an_answer_of_another_server_is_not_taken() {
    let (Some(one), Some(two)) = (Server::shared(), Server::start()) else { return };
    let (app_one, client_one) = real_app(one, json!({})).await;
    // The server that Amplitude's is like does not say who it is; state alone keeps them apart then.
    let registered_two = two.register(json!({})).await;
    let known_two = AuthorizationServer::discover(&two.issuer, &two.options()).await.unwrap().edit();
    let app_two = OAuthApp::builder(known_two.sends_issuer(false).build().unwrap(), public(&registered_two.id));
    let app_two = app_two.options(two.options()).build().unwrap();

    let (_, pending_one) = app_one.authorize(&redirect(), read_and_stay()).unwrap();
    let (url_two, pending_two) = app_two.authorize(&redirect(), [scope::MCP_READ]).unwrap();
    let callback_two = two.browse(&url_two).await.unwrap();
    assert_eq!(rejected(&pending_one.verify(&callback_two).shown().unwrap_err()), CallbackFault::Issuer);
    let silent: Vec<_> = callback_two.split('&').filter(|pair| !pair.starts_with("iss=")).collect();
    let (url_one, _) = app_one.authorize(&redirect(), read_and_stay()).unwrap();
    let callback_one = one.browse(&url_one).await.unwrap();
    assert_eq!(rejected(&pending_two.verify(&callback_one).shown().unwrap_err()), CallbackFault::Issuer);
    let silent_one: Vec<_> = callback_one.split('&').filter(|pair| !pair.starts_with("iss=")).collect();
    assert_eq!(rejected(&pending_two.verify(&silent_one.join("&")).shown().unwrap_err()), CallbackFault::State);
    // Nothing was asked for a token.
    for (server, id) in [(one, &client_one.id), (&two, &registered_two.id)] {
        let counts = server.counts(id).await;
        assert!(
            counts.contains_key("authorization.success") && !counts.keys().any(|key| key.starts_with("grant.")),
            "{counts:?}"
        );
    }
    // The right one goes on.
    let code = pending_two.verify(&silent.join("&")).unwrap();
    pending_two.exchange(code).await.unwrap();
}

#[tokio::test]
async fn t_a5_a_forged_callback_ends_no_sign_in() {
    let Some(server) = Server::shared() else { return };
    let (app, _) = real_app(server, json!({})).await;
    let (url, pending) = app.authorize(&redirect(), read_and_stay()).unwrap();
    for forged in ["", "?code=x", "?code=x&state=y", "?error=access_denied&state=y", "?error=access_denied"] {
        let _ = rejected(&pending.verify(&[REDIRECT, forged].concat()).shown().unwrap_err());
    }
    let code = pending.verify(&server.browse(&url).await.unwrap()).unwrap();
    let tokens = pending.exchange(code).await.unwrap();
    assert!(app.introspect(&tokens).await.unwrap().is_active());
}

#[tokio::test]
async fn t_a6_the_redirect_uri_is_the_registered_one_on_both_legs() {
    let Some(server) = Server::shared() else { return };
    let (app, _) = real_app(server, json!({})).await;
    let unregistered = amplitude_sdk::server::oauth::RedirectUri::https("https://app.example/callback/").unwrap();
    let (url, _) = app.authorize(&unregistered, read_and_stay()).unwrap();
    let (status, _) = server.browse(&url).await.unwrap_err();
    assert_eq!(status, StatusCode::BAD_REQUEST);

    let stub = Stub::start(|_, _| Reply::json(200, &token()));
    let app = stub_app(&stub);
    let odd = amplitude_sdk::server::oauth::RedirectUri::https("https://APP.example:443/callback?a=%7e").unwrap();
    let (url, pending) = app.authorize(&odd, read_and_stay()).unwrap();
    assert_eq!(parameter(&url, "redirect_uri").as_deref(), Some(odd.as_str()));
    let code = pending.verify(&format!("code=c&state={}", parameter(&url, "state").unwrap())).unwrap();
    pending.exchange(code).await.unwrap();
    assert_eq!(stub.seen()[0].field("redirect_uri").as_deref(), Some(odd.as_str()));
}

#[tokio::test]
async fn t_a8_a_denial_is_typed() {
    let Some(server) = Server::shared() else { return };
    let (app, _) = real_app(server, json!({})).await;
    let error = consent(server, &app, read_and_stay(), "deny").await.unwrap_err();
    assert!(
        matches!(&error, AuthError::Denied { code, description: Some(text) } if code == "access_denied" && text == "the user said no"),
        "{error:?}"
    );
    // A scope that the client may not have.
    let registered = server.register(json!({"scope": "openid mcp:read"})).await;
    let app = app_of(server, public(&registered.id)).await;
    let asked = ScopeSet::from([scope::MCP_WRITE]);
    let error = consent(server, &app, asked.clone(), "none").await.unwrap_err();
    assert!(matches!(&error, AuthError::ScopeRefused { asked: named } if *named == asked), "{error:?}");
}

#[tokio::test]
async fn t_c4_the_resource_is_the_same_on_authorize_token_and_refresh() {
    let stub = Stub::start(|_, _| Reply::json(200, &token()));
    const RESOURCE: &str = "https://resource.example/mcp";
    let app = OAuthApp::builder(stub.server(), public("id")).resource(RESOURCE).options(stub.options()).build().unwrap();
    let (url, _) = app.authorize(&redirect(), read_and_stay()).unwrap();
    assert_eq!(parameter(&url, "resource").as_deref(), Some(RESOURCE));
    let tokens = stub_tokens(&app).await.unwrap();
    app.refresh(&tokens, None).await.unwrap();
    let seen = stub.seen_at("/token");
    assert_eq!(seen.len(), 2);
    assert!(seen.iter().all(|seen| seen.field("resource").as_deref() == Some(RESOURCE)), "{seen:?}");
    // And none where none was asked for.
    let tokens = stub_tokens(&stub_app(&stub)).await.unwrap();
    stub_app(&stub).refresh(&tokens, None).await.unwrap();
    assert!(stub.seen_at("/token")[2..].iter().all(|seen| seen.field("resource").is_none()));

    let Some(server) = Server::shared() else { return };
    let registered = server.register(json!({})).await;
    let known = AuthorizationServer::discover(&server.issuer, &server.options()).await.unwrap();
    let app = OAuthApp::builder(known, public(&registered.id)).resource(RESOURCE).authorization_parameter("prompt", "consent");
    let app = app.options(server.options()).build().unwrap();
    let tokens = consent(server, &app, read_and_stay(), "none").await.unwrap();
    let tokens = app.refresh(&tokens, None).await.unwrap();
    assert!(app.introspect(&tokens).await.unwrap().is_active());
    assert!(tokens.granted().contains(&scope::MCP_READ));
}

#[tokio::test]
async fn t_d1_a_server_that_requires_pushed_requests_is_told_apart() {
    let stub = Stub::start(|_, origin| {
        Reply::json(
            200,
            &json!({
                "issuer": origin,
                "authorization_endpoint": format!("{origin}/authorize"),
                "token_endpoint": format!("{origin}/token"),
                "require_pushed_authorization_requests": true,
            }),
        )
    });
    let discovery = Discovery::new(&stub.options()).unwrap();
    let app = OAuthApp::builder(discovery.server(&stub.url("")).await.unwrap(), public("id")).build().unwrap();
    let error = app.authorize(&redirect(), read_and_stay()).shown().unwrap_err();
    assert!(matches!(&error, AuthError::Unsupported { feature } if feature.contains("pushed")), "{error}");

    let Some(server) = Server::of_pushed_requests() else { return };
    let (app, client) = real_app(&server, json!({})).await;
    let error = app.authorize(&redirect(), read_and_stay()).shown().unwrap_err();
    assert!(matches!(&error, AuthError::Unsupported { feature } if feature.contains("pushed")), "{error}");
    // Who does not know of it is refused by the server, after the user was sent there.
    let unaware = AuthorizationServer::custom(&server.issuer)
        .authorization_endpoint(format!("{}/auth", server.issuer))
        .token_endpoint(format!("{}/token", server.issuer));
    let app = OAuthApp::builder(unaware.build().unwrap(), public(&client.id)).options(server.options()).build().unwrap();
    let (url, pending) = app.authorize(&redirect(), read_and_stay()).unwrap();
    let error = pending.verify(&server.browse(&url).await.unwrap()).shown().unwrap_err();
    assert!(matches!(&error, AuthError::Denied { code, .. } if code == "invalid_request"), "{error:?}");
}
