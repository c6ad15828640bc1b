//! Signing in by device code, with servers that say what no real one does.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use amplitude_sdk::{
    Region,
    server::{
        AuthEvent, ScopeSet,
        oauth::{AuthError, AuthorizationServer, DeviceLogin, EncryptionKey, OAuthApp, OAuthClient, OAuthOptions, Stage},
        scope,
    },
};
use serde_json::{Value, json};

use crate::{
    shown::Shown as _,
    stub::{Reply, Stub},
};

pub(crate) const DEVICE: &str = "/v1/auth/device-authorization";
pub(crate) const TOKEN: &str = "/v1/auth/token";

/// A client without an id, at a server that is like the Developer API.
pub(crate) fn app(stub: &Stub, options: OAuthOptions) -> OAuthApp {
    let server = AuthorizationServer::custom(stub.url(""))
        .device_authorization_endpoint(stub.url(DEVICE))
        .token_endpoint(stub.url(TOKEN))
        .build()
        .unwrap();
    OAuthApp::builder(server, OAuthClient::anonymous()).options(options).build().unwrap()
}

fn started(changes: &Value) -> Value {
    let mut body = json!({
        "device_code": "sentinel-device-code",
        "user_code": "WDJB-MJHT",
        "verification_uri": "https://example.com/device",
        "expires_in": 600,
        "interval": 1,
    });
    for (name, value) in changes.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

fn refused(code: &str) -> Reply {
    Reply::json(400, &json!({"error": code}))
}

fn pending() -> Reply {
    refused("authorization_pending")
}

fn tokens() -> Reply {
    let body = json!({"access_token": "sentinel-access", "token_type": "bearer", "expires_in": 3600, "scope": "mcp:read"});
    Reply::json(200, &body)
}

/// `answer` is given the number of requests for a token that came before.
fn stub(changes: Value, answer: impl Fn(usize) -> Reply + Send + Sync + 'static) -> Stub {
    let asked = AtomicUsize::new(0);
    Stub::start(move |seen, _| match seen.path == DEVICE {
        true => Reply::json(200, &started(&changes)),
        false => answer(asked.fetch_add(1, Ordering::SeqCst)),
    })
}

async fn begin(stub: &Stub) -> DeviceLogin {
    app(stub, stub.options()).device_login([scope::MCP_READ]).await.unwrap()
}

/// Seconds from the first request to each for a token; times are never short, and long where the machine is busy.
fn asked_after(stub: &Stub) -> Vec<u64> {
    let begin = stub.seen_at(DEVICE)[0].at;
    stub.seen_at(TOKEN).iter().map(|seen| (seen.at - begin + Duration::from_millis(50)).as_secs()).collect()
}

/// Each time is at least the expected one.
fn assert_not_before(asked: &[u64], expected: &[u64]) {
    assert_eq!(asked.len(), expected.len(), "{asked:?}");
    assert!(asked.iter().zip(expected).all(|(asked, expected)| asked >= expected), "{asked:?}, not {expected:?}");
}

#[tokio::test]
async fn t_c1_slow_down_lasts_through_another_process() {
    let stub = stub(json!({}), |before| match before {
        0 => pending(),
        1 => refused("slow_down"),
        2 => pending(),
        _ => tokens(),
    });
    let app = app(&stub, stub.options());
    let mut login = app.device_login([scope::MCP_READ]).await.unwrap();
    // The third request is six seconds after the second, so that its answer has long been read.
    wait_for(&mut login, &stub, 2, Duration::from_secs(3)).await;
    assert_eq!(login.interval(), Duration::from_secs(6));

    let key = EncryptionKey::from_bytes(&[7; 32]);
    let sealed = login.seal(&key);
    let shown = (login.user_code().to_owned(), login.verification_uri().to_owned());
    drop(login);
    let mut login = DeviceLogin::open(&app, &sealed, &key).unwrap();
    assert_eq!((login.user_code().to_owned(), login.verification_uri().to_owned()), shown);
    assert_eq!(login.interval(), Duration::from_secs(6));
    assert!(login.expires_in() <= Duration::from_secs(600) && login.expires_in() > Duration::from_secs(500));
    let granted = login.wait().await.unwrap();
    assert_eq!(granted.granted().to_string(), "mcp:read");

    // The process that goes on waits a whole interval first.
    assert_not_before(&asked_after(&stub), &[1, 2, 11, 17]);
    let asked = stub.seen_at(TOKEN);
    assert!(asked.iter().all(|seen| seen.body == asked[0].body), "the code and the verifier stay the same");

    // What was sealed opens with the same key for the same client alone, and only as it is.
    assert!(!sealed.contains("sentinel"));
    assert!(DeviceLogin::open(&app, &sealed, &EncryptionKey::from_bytes(&[8; 32])).is_err());
    let other_user = OAuthApp::builder(app.server().clone(), app.client().clone()).profile("other").build().unwrap();
    assert!(DeviceLogin::open(&other_user, &sealed, &key).is_err());
    let elsewhere = OAuthApp::builder(AuthorizationServer::developer_api(Region::Us), OAuthClient::anonymous()).build().unwrap();
    assert!(DeviceLogin::open(&elsewhere, &sealed, &key).is_err());
    for bad in ["", "x", &sealed[1..], &sealed[..sealed.len() - 2], &sealed.to_ascii_lowercase()] {
        let error = DeviceLogin::open(&app, bad, &key).shown().unwrap_err();
        assert!(matches!(error, AuthError::Invalid(_)), "{error:?}");
    }
}

#[tokio::test]
async fn t_c1_failures_are_asked_again_at_growing_distances() {
    let stub = stub(json!({}), |before| match before {
        0 => Reply::hang_up(),
        1 => refused("temporarily_unavailable"),
        2 => Reply::new(429, "application/problem+json", "{}").header("retry-after", "2"),
        3 => Reply::new(503, "text/html", "<html>").header("retry-after", "1"),
        _ => tokens(),
    });
    begin(&stub).await.wait().await.shown().unwrap();
    // A second after the start; two and four after failures; as long as the server asks.
    assert_not_before(&asked_after(&stub), &[1, 3, 7, 9, 10]);
}

#[tokio::test]
async fn t_c1_it_ends_with_the_code_after_a_last_request() {
    let run = async |interval: u64, expires_in: u64, most: usize, answer: fn() -> Reply| {
        let stub = stub(json!({"interval": interval, "expires_in": expires_in}), move |_| answer());
        let error = begin(&stub).await.wait().await.shown().unwrap_err();
        let (asked, took) = (asked_after(&stub), stub.seen_at(DEVICE)[0].at.elapsed());
        // The code's time begins before the server hears of it, and a busy machine leaves room for fewer.
        assert!(!asked.is_empty() && asked.len() <= most && asked.last().unwrap() + 1 >= expires_in, "{asked:?}");
        assert!(took < Duration::from_secs(expires_in + 6), "{took:?}");
        error
    };
    let unavailable = || Reply::json(503, &json!({}));
    let (waited, last, at_once, unreachable) =
        tokio::join!(run(1, 3, 3, pending), run(60, 2, 1, pending), run(5, 0, 1, pending), run(1, 2, 2, unavailable));
    assert!(matches!(last, AuthError::Expired { .. }), "{last:?}");
    assert!(matches!(waited, AuthError::Expired { stage: Stage::DeviceAuthorization }), "{waited:?}");
    assert!(matches!(at_once, AuthError::Expired { .. }), "{at_once:?}");
    // It is not known that the user did not answer.
    assert!(matches!(unreachable, AuthError::Transient { stage: Stage::Token, .. }), "{unreachable:?}");
}

#[tokio::test]
async fn t_c1_who_stops_waiting_stops_asking_and_can_go_on() {
    let stub = stub(json!({"interval": 3}), |before| if before == 0 { pending() } else { tokens() });
    let mut login = begin(&stub).await;
    wait_for(&mut login, &stub, 1, Duration::from_secs(1)).await;
    // Longer than an interval: what does not happen takes its time.
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(stub.seen_at(TOKEN).len(), 1);
    login.wait().await.unwrap();
    assert_eq!(stub.seen_at(TOKEN).len(), 2);
}

/// Waits until the server was asked so often, and a while longer, so that its answer was read; then stops waiting.
async fn wait_for(login: &mut DeviceLogin, stub: &Stub, requests: usize, longer: Duration) {
    let asked = async {
        while stub.seen_at(TOKEN).len() < requests {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        tokio::time::sleep(longer).await;
    };
    tokio::select! {
        outcome = login.wait() => panic!("it waits: {outcome:?}"),
        () = asked => {}
        () = tokio::time::sleep(Duration::from_secs(60)) => panic!("nothing is asked"),
    }
}

#[tokio::test]
async fn t_c1_refusals_end_it_each_with_its_error() {
    let end = async |say: fn() -> Reply| {
        let stub = stub(json!({}), move |_| say());
        let error = begin(&stub).await.wait().await.shown().unwrap_err();
        assert_eq!(stub.seen_at(TOKEN).len(), 1);
        for shown in [error.to_string(), format!("{error:?}")] {
            assert!(!shown.contains("sentinel") && !shown.contains('\u{1b}'), "{shown}");
        }
        error
    };
    let expired = || refused("expired_token");
    let denied = || Reply::json(400, &json!({"error": "access_denied", "error_description": "no\u{1b}[2J"}));
    let client = || Reply::json(401, &json!({"error": "invalid_client"}));
    let scope = || refused("invalid_scope");
    let html = || Reply::new(200, "text/html", "<p>sentinel");
    let moved = || Reply::new(302, "text/html", "").header("location", "/elsewhere");
    let other = || Reply::json(200, &json!({"access_token": "sentinel", "token_type": "mac"}));
    let (expired, denied, client, scope, html, moved, other) =
        tokio::join!(end(expired), end(denied), end(client), end(scope), end(html), end(moved), end(other));
    assert!(matches!(expired, AuthError::Expired { .. }), "{expired:?}");
    assert!(matches!(&denied, AuthError::Denied { code, .. } if code == "access_denied"), "{denied:?}");
    assert!(matches!(client, AuthError::ClientRejected { .. }), "{client:?}");
    assert!(matches!(&scope, AuthError::ScopeRefused { asked } if asked.to_string() == "mcp:read"), "{scope:?}");
    for protocol in [html, moved, other] {
        assert!(matches!(protocol, AuthError::Protocol { stage: Stage::Token, .. }), "{protocol:?}");
    }
}

#[tokio::test]
async fn t_c1_what_the_user_is_shown_is_checked() {
    let start = async |changes: Value| {
        let stub = stub(changes, |_| pending());
        app(&stub, stub.options()).device_login([scope::MCP_READ]).await.shown()
    };
    for (changes, what) in [
        (json!({"verification_uri": "http://example.com/device"}), "verification_uri: must be https"),
        (json!({"verification_uri": "javascript:alert(1)"}), "verification_uri"),
        (json!({"verification_uri": "https://user:sentinel@example.com/"}), "verification_uri"),
        (json!({"verification_uri": "sentinel"}), "verification_uri"),
        (
            json!({"verification_uri_complete": "http://example.com/?user_code=sentinel"}),
            "verification_uri_complete: must be https",
        ),
        (json!({"user_code": "A\u{1b}[2J"}), "holds a user code that cannot be shown"),
        (json!({"user_code": "A\u{202e}B"}), "holds a user code that cannot be shown"),
        (json!({"user_code": " "}), "holds a user code that cannot be shown"),
        (json!({"user_code": "A".repeat(65)}), "holds a user code that cannot be shown"),
        (json!({"device_code": "sentinel\n"}), "holds a device code that cannot travel in a request"),
        (json!({"device_code": ""}), "holds a device code that cannot travel in a request"),
        (json!({"device_code": null}), "is not the JSON that the standard says"),
        (json!({"expires_in": null}), "does not say when its code expires"),
        (json!({"expires_in": "soon"}), "does not say when its code expires"),
        (json!({"interval": "often"}), "holds an interval that is no number"),
    ] {
        let error = start(changes.clone()).await.unwrap_err();
        assert!(error.to_string().contains(what), "{changes}: {error}");
        assert!(!format!("{error:?} {error}").contains("sentinel"), "{error:?}");
    }
    for (changes, interval, expires_in) in [
        (json!({"interval": null}), 5, 600),
        (json!({"interval": 0, "expires_in": "900"}), 1, 900),
        (json!({"interval": -5, "expires_in": 1e300}), 1, 100 * 365 * 86400),
        (json!({"interval": 1e300}), 100 * 365 * 86400, 600),
    ] {
        let login = start(changes.clone()).await.unwrap();
        assert_eq!(login.interval(), Duration::from_secs(interval), "{changes}");
        let left = login.expires_in();
        assert!(left <= Duration::from_secs(expires_in) && left > Duration::from_secs(expires_in - 60), "{changes}: {left:?}");
        assert!(login.expires_at() > std::time::SystemTime::now());
    }
    let local = start(json!({"verification_uri": "http://127.0.0.1:8787/device", "user_code": "\u{fc}ber 1"})).await.unwrap();
    assert_eq!((local.verification_uri(), local.user_code()), ("http://127.0.0.1:8787/device", "\u{fc}ber 1"));
    assert_eq!(local.verification_uri_complete(), None);
    // An address is shown as it is understood, so that a name in another script is seen to be one.
    let foreign = start(json!({"verification_uri": "https://\u{430}mplitude.com/\u{1b}[2J"})).await.unwrap();
    assert_eq!(foreign.verification_uri(), "https://xn--mplitude-06g.com/%1B[2J");
}

#[tokio::test]
async fn t_c1_nothing_is_shown_that_is_secret_and_what_is_granted_is_told() {
    let stub = stub(json!({}), |_| tokens());
    let (told, hears) = std::sync::mpsc::channel();
    let told = Arc::new(Mutex::new(told));
    let observer = move |event: &AuthEvent<'_>| told.lock().unwrap().send(format!("{event:?}")).unwrap();
    let asked: ScopeSet = [scope::MCP_READ, scope::MCP_WRITE].into();
    let mut login = app(&stub, stub.options().observer(observer)).device_login(asked.clone()).await.unwrap();
    let tokens = login.wait().await.unwrap();
    assert_eq!((tokens.requested(), tokens.granted().to_string()), (&asked, "mcp:read".to_owned()));
    let event = hears.recv().unwrap();
    assert!(event.contains("TokenIssued") && event.contains("device_code"), "{event}");
    let verifier = stub.seen_at(TOKEN)[0].field("code_verifier").unwrap();
    for shown in [event, format!("{login:?}"), format!("{tokens:?}")] {
        assert!(!shown.contains("sentinel") && !shown.contains(verifier.as_str()) && !shown.contains("WDJB"), "{shown}");
    }
}

#[tokio::test]
async fn t_c1_what_cannot_begin_is_told_before_anything_is_sent() {
    let stub = stub(json!({}), |_| pending());
    let begins = Instant::now();
    let none = app(&stub, stub.options()).device_login(ScopeSet::new()).await.shown().unwrap_err();
    assert!(matches!(none, AuthError::Invalid(_)), "{none:?}");
    let mcp = OAuthApp::builder(AuthorizationServer::mcp(Region::Us), OAuthClient::anonymous()).build().unwrap();
    let unsupported = mcp.device_login([scope::MCP_READ]).await.shown().unwrap_err();
    assert!(matches!(unsupported, AuthError::Unsupported { feature: "device_authorization_endpoint" }), "{unsupported:?}");
    assert!(stub.seen_at(DEVICE).is_empty() && begins.elapsed() < Duration::from_secs(10));
}

/// So that a program may wait on another thread.
#[test]
fn its_futures_can_be_sent_between_threads() {
    fn send<T: Send>(value: T) -> T {
        value
    }
    let stub = stub(json!({}), |_| pending());
    let app = app(&stub, stub.options());
    drop(send(app.device_login([scope::MCP_READ])));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    // No runtime of the caller's is needed, either.
    let mut login = runtime.block_on(app.device_login([scope::MCP_READ])).unwrap();
    drop(send(login.wait()));
    drop(send(app.login(&Default::default(), [scope::MCP_READ], |_| ())));
    fn shared<T: Send + Sync>() {}
    shared::<DeviceLogin>();
}
