//! Connections: no redirects, TLS, time.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use amplitude_sdk::server::oauth::{AuthError, AuthorizationServer, ClientRegistration, OAuthApp, OAuthOptions, Stage};
use rustls::version::TLS12;
use serde_json::json;

use crate::{
    authority::{Authority, Identity},
    flow::{public, stub_app, stub_tokens},
    shown::Shown as _,
    stub::{Reply, Stub, token},
};

#[tokio::test]
async fn t_b1_nothing_follows_a_redirect() {
    for status in [301, 302, 303, 307, 308] {
        let target = Stub::start(|_, _| Reply::json(200, &token()));
        let (to, leads) = (target.url("/elsewhere"), Arc::new(Mutex::new(false)));
        let led = Arc::clone(&leads);
        let stub = Stub::start(move |_, _| match *led.lock().unwrap() {
            true => Reply::json(status, &token()).header("location", to.clone()),
            false => Reply::json(200, &token()),
        });
        let app = stub_app(&stub);
        let tokens = stub_tokens(&app).await.unwrap();
        *leads.lock().unwrap() = true;
        let registration = ClientRegistration::new("a client");
        let errors = [
            stub_tokens(&app).await.unwrap_err(),
            app.refresh(&tokens, None).await.shown().unwrap_err(),
            app.revoke(&tokens).await.shown().unwrap_err(),
            app.introspect(&tokens).await.shown().unwrap_err(),
            registration.register(&stub.server(), &stub.options()).await.shown().unwrap_err(),
            AuthorizationServer::discover(&stub.url(""), &stub.options()).await.shown().unwrap_err(),
        ];
        let stages: Vec<_> = errors
            .iter()
            .map(|error| match error {
                AuthError::Protocol { stage, status: seen, problem, .. }
                    if *seen == status && problem.contains("not followed") =>
                {
                    *stage
                }
                other => panic!("{status}: {other:?}"),
            })
            .collect();
        let all = [Stage::Token, Stage::Refresh, Stage::Revocation, Stage::Introspection, Stage::Registration, Stage::Discovery];
        assert_eq!(stages, all);
        // Each asked once, and nobody went on to where it led.
        assert_eq!((stub.seen().len(), target.seen().len()), (all.len() + 1, 0));
    }
}

async fn ask(stub: &Stub, options: OAuthOptions) -> Result<(), AuthError> {
    let app = OAuthApp::builder(stub.server(), public("id")).options(options).build()?;
    stub_tokens(&app).await.map(drop)
}

#[tokio::test]
async fn t_b2_a_server_is_asked_when_its_certificate_is_right() {
    let authority = Authority::new();
    let answer = |_: &crate::stub::Seen, _: &str| Reply::json(200, &token());
    let right = Stub::start_as(&authority, Identity::default(), answer);
    ask(&right, right.options()).await.unwrap();
    let expired = Stub::start_as(&authority, Identity { has_expired: true, ..Identity::default() }, answer);
    let of_another = Stub::start_as(&authority, Identity { names: &["mcp.amplitude.com"], ..Identity::default() }, answer);
    let old = Stub::start_as(&authority, Identity { versions: &[&TLS12], ..Identity::default() }, answer);
    let other_authority = OAuthOptions::new().add_root_certificate(Authority::new().pem);
    for (stub, options, reason) in [
        (&right, other_authority, "UnknownIssuer"),
        (&expired, expired.options(), "Expired"),
        (&of_another, of_another.options(), "NotValidForName"),
        (&old, old.options(), "ProtocolVersion"),
        (&expired, expired.options().allow_tls_1_2(), "Expired"),
    ] {
        let before = stub.seen().len();
        let error = ask(stub, options).await.unwrap_err();
        assert!(matches!(&error, AuthError::Tls { stage: Stage::Token, .. }), "{reason}: {error:?}");
        assert!(format!("{error:?}").contains(reason), "{reason} is not in {error:?}");
        assert!(error.to_string().contains("allow_tls_1_2") && !error.is_retryable());
        assert_eq!(stub.seen().len(), before, "a request went to a server that is not trusted");
    }
    ask(&old, old.options().allow_tls_1_2()).await.unwrap();
}

#[tokio::test]
async fn t_b2_nothing_goes_over_plain_http_but_to_loopback() {
    for (url, works) in
        [("http://mcp.amplitude.com/token", false), ("http://10.0.0.1/token", false), ("https://a.example/token", true)]
    {
        let built = AuthorizationServer::custom("https://a.example").token_endpoint(url).build();
        assert_eq!(built.is_ok(), works, "{url}: {built:?}");
    }
    let emulator = AuthorizationServer::custom("http://127.0.0.1:8787").token_endpoint("http://127.0.0.1:8787/token").build();
    assert!(emulator.is_ok());
}

#[tokio::test]
async fn what_does_not_answer_in_time_is_given_up() {
    let (ends, waits) = std::sync::mpsc::channel::<()>();
    let waits = Mutex::new(waits);
    let stub = Stub::start(move |_, _| {
        // Until the test ends.
        let _ = waits.lock().unwrap().recv();
        Reply::json(200, &token())
    });
    let start = Instant::now();
    let error = ask(&stub, stub.options().request_timeout(Duration::from_millis(300))).await.unwrap_err();
    assert!(matches!(&error, AuthError::Transient { stage: Stage::Token, source: Some(_), .. }), "{error:?}");
    assert!(error.is_retryable() && start.elapsed() < Duration::from_secs(8), "the limit is ten seconds where none is said");
    drop(ends);
}

#[tokio::test]
async fn what_fails_for_now_says_when_to_come_back() {
    for (status, body) in [
        (429, json!({})),
        (500, json!({"error": "server_error"})),
        (503, json!({})),
        (400, json!({"error": "temporarily_unavailable"})),
    ] {
        let stub = Stub::start(move |_, _| Reply::json(status, &body).header("retry-after", "12"));
        let error = ask(&stub, stub.options()).await.unwrap_err();
        let after = Some(Duration::from_secs(12));
        assert!(matches!(&error, AuthError::Transient { retry_after, .. } if *retry_after == after), "{status}: {error:?}");
        assert_eq!(amplitude_sdk::Error::from(error).retry_after(), after);
    }
}
