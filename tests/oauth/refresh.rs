//! Tokens that are kept fresh: against the real server, also by several processes, and against one that fails in every way.

use std::{
    sync::{Arc, Condvar, Mutex},
    time::{Duration, Instant, SystemTime},
};

use amplitude_sdk::server::{
    AuthEvent, ScopeSet,
    oauth::{
        AuthError, ClientAuth, ClientCredentials, MemoryTokenStore, OAuthApp, OAuthClient, OAuthOptions, Reauth, RefreshingToken,
        Revocation, StoreKey, StoredTokens, TokenChain, TokenProvider, TokenStore,
    },
    scope,
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    flow::{app_of, consent, public, read_and_stay, real_app, secret, stub_app, stub_tokens},
    server::Server,
    shown::Shown as _,
    stores::block_on,
    stub::{Reply, Stub, token},
};

fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

fn stub_key(stub: &Stub) -> StoreKey {
    StoreKey::new(stub.url(""), "stub-client")
}

/// A store that holds a token of a stub's with so many seconds of its 100 left.
async fn store_with(stub: &Stub, left: i64) -> MemoryTokenStore {
    let (key, store) = (stub_key(stub), MemoryTokenStore::new());
    let obtained_at = now().checked_add_signed(left - 100).unwrap();
    let json = json!({
        "version": 1, "generation": 1, "issuer": key.issuer, "client_id": key.client_id, "resource": null,
        "profile": "default", "access_token": "access-0", "refresh_token": "refresh-0", "granted": "mcp:read offline_access",
        "requested": "mcp:read offline_access", "obtained_at": obtained_at, "expires_at": obtained_at + 100,
    });
    store.save(&key, &StoredTokens::from_json(json.to_string()).unwrap(), None).await.unwrap();
    store
}

/// What a store holds of a stub's tokens.
async fn stored(store: &MemoryTokenStore, stub: &Stub) -> Option<Value> {
    let stored = store.load(&stub_key(stub)).await.unwrap();
    stored.map(|stored| serde_json::from_str(stored.as_json()).unwrap())
}

#[tokio::test]
async fn t_r1_256_tasks_on_an_expired_token_cause_one_refresh() {
    let Some(server) = Server::shared() else { return };
    let (app, client) = real_app(server, json!({"access_token_seconds": 5})).await;
    let first = consent(server, &app, read_and_stay(), "none").await.unwrap();
    let expires_at = first.expires_at().unwrap();
    let tokens = RefreshingToken::start(&app, first, MemoryTokenStore::new()).await.unwrap();
    let old = tokens.token(None).await.unwrap().generation;
    // Until it has.
    tokio::time::sleep(expires_at.duration_since(SystemTime::now()).unwrap_or_default()).await;
    let tasks: Vec<_> = (0..256)
        .map(|_| {
            let tokens = tokens.clone();
            tokio::spawn(async move { tokens.token(None).await.unwrap().generation })
        })
        .collect();
    let mut got = Vec::new();
    for task in tasks {
        got.push(task.await.unwrap());
    }
    assert_eq!(got, vec![old + 1; 256]);
    let counts = server.counts(&client.id).await;
    assert_eq!(counts.get("grant.success:refresh_token"), Some(&1), "{counts:?}");
    assert!(!counts.keys().any(|name| name.starts_with("grant.revoked") || name.starts_with("grant.error")), "{counts:?}");
}

#[tokio::test]
async fn t_b5_the_refresh_token_rotates_and_its_second_use_is_the_end() {
    let Some(server) = Server::shared() else { return };
    let (app, client) = real_app(server, json!({})).await;
    let first = consent(server, &app, read_and_stay(), "none").await.unwrap();
    let tokens = RefreshingToken::start(&app, first.clone(), MemoryTokenStore::new()).await.shown().unwrap();
    let mut lease = tokens.token(None).await.unwrap();
    for _ in 0..3 {
        lease = tokens.token(Some(lease.generation)).await.unwrap();
    }
    let counts = server.counts(&client.id).await;
    assert_eq!(counts.get("grant.success:refresh_token"), Some(&3), "{counts:?}");
    // Somebody has the first one, and uses it.
    let error = app.refresh(&first, None).await.shown().unwrap_err();
    assert!(matches!(error, AuthError::ReauthRequired(Reauth::GrantRefused)), "{error:?}");
    let error = tokens.token(Some(lease.generation)).await.shown().unwrap_err();
    assert!(matches!(error, AuthError::ReauthRequired(Reauth::GrantRefused)), "{error:?}");
}

#[tokio::test]
async fn t_b9_a_token_that_the_server_ended_is_replaced_by_one_that_works() {
    let Some(server) = Server::shared() else { return };
    let (app, client) = real_app(server, json!({})).await;
    let first = consent(server, &app, read_and_stay(), "none").await.unwrap();
    assert!(app.introspect(&first).await.unwrap().is_active());
    let store = MemoryTokenStore::new();
    let tokens = RefreshingToken::start(&app, first, store.clone()).await.unwrap();
    let lease = tokens.token(None).await.unwrap();
    let of_tasks: Vec<_> = (0..20)
        .map(|_| {
            let (tokens, rejected) = (tokens.clone(), lease.generation);
            tokio::spawn(async move { tokens.token(Some(rejected)).await.unwrap().generation })
        })
        .collect();
    for task in of_tasks {
        assert_eq!(task.await.unwrap(), lease.generation + 1);
    }
    let counts = server.counts(&client.id).await;
    assert_eq!(counts.get("grant.success:refresh_token"), Some(&1), "{counts:?}");
    // What is stored is what the server takes.
    let key = StoreKey::new(server.issuer.as_str(), client.id.as_str());
    let stored: Value = serde_json::from_str(store.load(&key).await.unwrap().unwrap().as_json()).unwrap();
    assert!(is_active(server, &client.id, stored["access_token"].as_str().unwrap()).await);
}

async fn is_active(server: &Server, client_id: &str, token: &str) -> bool {
    let form = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("token", token)
        .append_pair("client_id", client_id)
        .finish();
    let request = server.request(Method::POST, &format!("{}/token/introspection", server.issuer));
    let request = request.header("content-type", "application/x-www-form-urlencoded").body(form);
    let answer: Value = serde_json::from_str(&request.send().await.unwrap().text().await.unwrap()).unwrap();
    answer["active"].as_bool().unwrap()
}

#[tokio::test]
async fn t_b7_what_is_revoked_is_dead_at_the_server_and_gone_here() {
    let Some(server) = Server::shared() else { return };
    let (app, _) = real_app(server, json!({})).await;
    let first = consent(server, &app, read_and_stay(), "none").await.unwrap();
    let tokens = RefreshingToken::start(&app, first.clone(), MemoryTokenStore::new()).await.unwrap();
    assert_eq!(tokens.revoke().await.unwrap(), Revocation::ByServer);
    assert!(!app.introspect(&first).await.unwrap().is_active());
    assert!(matches!(app.refresh(&first, None).await, Err(AuthError::ReauthRequired(Reauth::GrantRefused))));
    assert!(matches!(tokens.token(None).await, Err(AuthError::ReauthRequired(Reauth::NoToken))));
}

#[tokio::test]
async fn t_c2_a_service_account_has_a_token_when_it_is_asked() {
    let Some(server) = Server::shared() else { return };
    let client = json!({
        "grant_types": ["client_credentials"], "redirect_uris": [], "response_types": [],
        "token_endpoint_auth_method": "client_secret_post",
    });
    let client = server.register(client).await;
    let auth = ClientAuth::SecretPost(secret(client.secret.as_deref().unwrap()).into());
    let app = app_of(server, OAuthClient::new(client.id.as_str(), auth).unwrap()).await;
    let account = ClientCredentials::new(app.clone(), [scope::MCP_READ]).unwrap();
    let store = MemoryTokenStore::new();
    let tokens = RefreshingToken::service_account(&account, store.clone()).await.shown().unwrap();
    let lease = tokens.token(None).await.unwrap();
    // Another one over the same store uses the same token.
    let other = RefreshingToken::service_account(&account, store.clone()).await.unwrap();
    other.token(None).await.unwrap();
    let counts = server.counts(&client.id).await;
    assert_eq!(counts.get("grant.success:client_credentials"), Some(&1), "{counts:?}");
    tokens.token(Some(lease.generation)).await.unwrap();
    // One that asks for other scopes does not.
    let wider = ClientCredentials::new(app, [scope::MCP_READ, scope::MCP_WRITE]).unwrap();
    RefreshingToken::service_account(&wider, store).await.unwrap().token(None).await.unwrap();
    let counts = server.counts(&client.id).await;
    assert_eq!(counts.get("grant.success:client_credentials"), Some(&3), "{counts:?}");
}

#[tokio::test]
async fn t_r2_a_refresh_goes_on_when_its_caller_leaves() {
    let gate = Arc::new((Mutex::new(false), Condvar::new()));
    let held = Arc::clone(&gate);
    let stub = Stub::start(move |_, _| {
        let (open, opened) = &*held;
        drop(opened.wait_while(open.lock().unwrap(), |open| !*open).unwrap());
        Reply::json(200, &token())
    });
    let store = store_with(&stub, -1).await;
    let tokens = RefreshingToken::resume(&stub_app(&stub), store.clone()).await.unwrap();
    let caller = tokio::spawn({
        let tokens = tokens.clone();
        async move { tokens.token(None).await }
    });
    until(|| stub.seen().len() == 1).await;
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());
    *gate.0.lock().unwrap() = true;
    gate.1.notify_all();
    tokens.settle().await.unwrap();
    assert_eq!(stored(&store, &stub).await.unwrap()["access_token"], "access-1");
    tokens.token(None).await.unwrap();
    assert_eq!(stub.seen().len(), 1);
}

/// Waits for what is to come.
async fn until(is_so: impl Fn() -> bool) {
    let patience = Instant::now() + Duration::from_secs(30);
    while !is_so() {
        assert!(Instant::now() < patience, "it does not come");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn t_r7_tokens_of_a_second_cause_no_storm() {
    let stub = Stub::start(|_, _| {
        let mut token = token();
        token["expires_in"] = json!(1);
        Reply::json(200, &token)
    });
    let tokens = RefreshingToken::resume(&stub_app(&stub), store_with(&stub, -1).await).await.unwrap();
    let (start, mut served) = (Instant::now(), 0);
    while start.elapsed() < Duration::from_secs(10) {
        tokens.token(None).await.unwrap();
        served += 1;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let requests = stub.seen().len();
    assert!((3..=11).contains(&requests) && served > requests, "{requests} requests, {served} served");
}

/// An application that hears what is told of it, and whose patience is short.
fn told_app(stub: &Stub) -> (OAuthApp, Arc<Mutex<Vec<String>>>) {
    let told = Arc::new(Mutex::new(Vec::new()));
    let hears = Arc::clone(&told);
    let options: OAuthOptions = stub.options().request_timeout(Duration::from_millis(400));
    let options = options.observer(move |event: &AuthEvent<'_>| hears.lock().unwrap().push(format!("{event:?}")));
    let app = OAuthApp::builder(stub.server(), public("stub-client")).options(options).build().unwrap();
    (app, told)
}

/// What a failure is called, how a server fails so, and whether an error tells of it.
type Failure = (&'static str, Box<dyn Fn() -> Reply + Send + Sync>, fn(&AuthError) -> bool);

#[tokio::test]
async fn t_r8_no_failure_but_invalid_grant_takes_the_session_away() {
    let refusal = |status, code: &str| Reply::json(status, &json!({"error": code, "error_hint": "again"}));
    let failures: [Failure; 8] = [
        ("500", Box::new(|| Reply::new(500, "text/html", "<html>")), |error| matches!(error, AuthError::Transient { .. })),
        ("503", Box::new(move || refusal(503, "temporarily_unavailable")), |error| matches!(error, AuthError::Transient { .. })),
        (
            "429",
            Box::new(|| Reply::json(429, &json!({})).header("retry-after", "1")),
            |error| matches!(error, AuthError::Transient { retry_after: Some(wait), .. } if wait.as_secs() == 1),
        ),
        (
            "silence",
            Box::new(|| {
                std::thread::sleep(Duration::from_secs(2));
                Reply::hang_up()
            }),
            |error| matches!(error, AuthError::Transient { .. }),
        ),
        ("hang up", Box::new(Reply::hang_up), |error| matches!(error, AuthError::Transient { .. })),
        ("invalid_request", Box::new(move || refusal(400, "invalid_request")), |error| matches!(error, AuthError::Denied { .. })),
        ("invalid_client", Box::new(move || refusal(401, "invalid_client")), |error| {
            matches!(error, AuthError::ClientRejected { .. })
        }),
        ("garbage", Box::new(|| Reply::json(200, &json!({"access": 1}))), |error| matches!(error, AuthError::Protocol { .. })),
    ];
    for (name, fail, is_expected) in failures {
        let fails = Arc::new(Mutex::new(true));
        let failing = Arc::clone(&fails);
        let stub = Stub::start(move |_, _| if *failing.lock().unwrap() { fail() } else { Reply::json(200, &token()) });

        // While the old one lives, it serves.
        let (app, told) = told_app(&stub);
        let store = store_with(&stub, 15).await;
        let tokens = RefreshingToken::resume(&app, store.clone()).await.unwrap();
        let generation = tokens.token(None).await.unwrap_or_else(|error| panic!("{name}: {error:?}")).generation;
        assert_eq!((generation, stub.seen().len()), (1, 1), "{name}");
        assert_eq!(told.lock().unwrap().iter().filter(|told| told.contains("RefreshDeferred")).count(), 1, "{name}: {told:?}");

        // When it does not, the error says what is wrong, and everything is still there.
        let (app, told) = told_app(&stub);
        let store = store_with(&stub, -1).await;
        let tokens = RefreshingToken::resume(&app, store.clone()).await.unwrap();
        let error = tokens.token(None).await.shown().unwrap_err();
        assert!(is_expected(&error), "{name}: {error:?}");
        assert!(told.lock().unwrap().iter().any(|told| told.contains("RefreshFailed")), "{name}: {told:?}");
        assert!(!told.lock().unwrap().iter().any(|told| told.contains("ReauthRequired")), "{name}: {told:?}");
        assert_eq!(stored(&store, &stub).await.unwrap()["refresh_token"], "refresh-0", "{name}");
        *fails.lock().unwrap() = false;
        let patience = Instant::now() + Duration::from_secs(30);
        while let Err(error) = tokens.token(None).await {
            assert!(Instant::now() < patience, "{name}: {error:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert_eq!(stored(&store, &stub).await.unwrap()["access_token"], "access-1", "{name}");
    }
}

#[tokio::test]
async fn t_r8_invalid_grant_is_the_end_until_somebody_consents() {
    let stub = Stub::start(|seen, _| match seen.field("grant_type").as_deref() {
        Some("refresh_token") => Reply::json(400, &json!({"error": "invalid_grant"})),
        _ => Reply::json(200, &token()),
    });
    let (app, told) = told_app(&stub);
    let store = store_with(&stub, 15).await;
    let tokens = RefreshingToken::resume(&app, store.clone()).await.unwrap();
    for _ in 0..3 {
        let error = tokens.token(None).await.shown().unwrap_err();
        assert!(matches!(error, AuthError::ReauthRequired(Reauth::GrantRefused)), "{error:?}");
    }
    assert_eq!((stored(&store, &stub).await, stub.seen().len()), (None, 1));
    assert_eq!(told.lock().unwrap().iter().filter(|told| told.contains("ReauthRequired")).count(), 1, "{told:?}");
    let first = stub_tokens(&app).await.unwrap();
    RefreshingToken::start(&app, first, store).await.unwrap();
    let patience = Instant::now() + Duration::from_secs(30);
    while let Err(error) = tokens.token(None).await {
        assert!(Instant::now() < patience, "{error:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn t_r9_a_lost_answer_is_asked_for_again_when_nothing_else_is_left() {
    let stub = Stub::start({
        let spent = Mutex::new(false);
        // It has rotated, and hangs up; the second time it takes that for theft.
        move |_, _| match std::mem::replace(&mut *spent.lock().unwrap(), true) {
            false => Reply::hang_up(),
            true => Reply::json(400, &json!({"error": "invalid_grant"})),
        }
    });
    // In the last fifth of its life, where callers wait for a newer one; it has eight seconds or, by the second that has begun, seven.
    let store = store_with(&stub, 8).await;
    let tokens = RefreshingToken::resume(&stub_app(&stub), store.clone()).await.unwrap();
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(2500) {
        assert_eq!(tokens.token(None).await.unwrap().generation, 1);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(stub.seen().len(), 1);
    let patience = Instant::now() + Duration::from_secs(30);
    let error = loop {
        match tokens.token(None).await {
            Err(error @ AuthError::ReauthRequired(_)) => break error,
            _ => assert!(Instant::now() < patience, "it does not end"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert!(matches!(error, AuthError::ReauthRequired(Reauth::GrantRefused)), "{error:?}");
    let seen = stub.seen();
    assert_eq!((seen.len(), stored(&store, &stub).await), (2, None));
    assert!(seen.iter().all(|seen| seen.field("refresh_token").as_deref() == Some("refresh-0")));
}

#[tokio::test]
async fn a_chain_takes_the_first_that_has_tokens() {
    let stub = Stub::start(|_, _| Reply::new(500, "text/html", ""));
    let app = stub_app(&stub);
    let empty = RefreshingToken::resume(&app, MemoryTokenStore::new()).await.unwrap();
    let broken = RefreshingToken::resume(&app, store_with(&stub, -1).await).await.unwrap();
    let good = RefreshingToken::resume(&app, store_with(&stub, 90).await).await.unwrap();
    let of = |tokens: &RefreshingToken| Arc::new(tokens.clone()) as Arc<dyn TokenProvider>;
    let chain = TokenChain::choose([of(&empty), of(&good), of(&broken)]).await.unwrap();
    assert_eq!((chain.index(), chain.token(None).await.unwrap().generation), (1, 1));
    assert_eq!(chain.granted(), ScopeSet::from([scope::MCP_READ, scope::OFFLINE_ACCESS]));
    // An error of one that has tokens is no reason to act as another.
    let chain = TokenChain::choose([of(&empty), of(&broken), of(&good)]).await.unwrap();
    assert_eq!(chain.index(), 1);
    assert!(matches!(chain.token(None).await, Err(AuthError::Transient { .. })));
    let error = TokenChain::choose([of(&empty)]).await.shown().unwrap_err();
    assert!(matches!(error, AuthError::ReauthRequired(Reauth::NoToken)));
}

/// As users have it who bring no runtime of tokio's.
#[test]
fn tokens_are_kept_fresh_on_any_executor() {
    let stub = Stub::start(|_, _| Reply::json(200, &token()));
    let app = stub_app(&stub);
    block_on(async move {
        let tokens = RefreshingToken::resume(&app, store_with(&stub, -1).await).await.unwrap();
        assert_eq!(tokens.token(None).await.unwrap().generation, 2);
        assert_eq!(stub.seen().len(), 1);
        tokens.settle().await.unwrap();
        assert_eq!(tokens.revoke().await.unwrap(), Revocation::ByServer);
    });
}
