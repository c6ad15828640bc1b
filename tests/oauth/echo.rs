//! A server that repeats in each refusal what it was sent. Such are met, and what they say is shown: in errors, in events, in logs.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex},
};

use amplitude_sdk::server::{
    AuthEvent,
    oauth::{
        AuthError, ClientAuth, ClientCredentials, ClientRegistration, MemoryTokenStore, OAuthApp, OAuthClient, RefreshingToken,
        TokenProvider as _,
    },
    scope,
};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::{Value, json};

use crate::{
    device_answers::DEVICE,
    flow::{redirect, secret, stub_tokens},
    outcome::all_of,
    server::REDIRECT,
    shown::Shown as _,
    stub::{Reply, Seen, Stub},
    trace::sentinels::Search,
};

const STATUSES: [u16; 5] = [400, 401, 429, 302, 200];

fn granted() -> Value {
    json!({
        "access_token": "sentinel-access", "token_type": "Bearer", "expires_in": 0, "refresh_token": "sentinel-refresh",
        "client_id": "the-id", "client_secret": "sentinel-of+a client", "redirect_uris": [REDIRECT],
        "token_endpoint_auth_method": "client_secret_post", "registration_access_token": "sentinel-registration",
        "device_code": "sentinel-device", "user_code": "WDJB-MJHT", "verification_uri": "https://a.example/", "interval": 0,
    })
}

/// What a client proves itself by, as it is sent and as it was meant.
fn proofs(seen: &Seen) -> Vec<String> {
    let Some((_, sent)) = seen.headers.get("authorization").and_then(|header| header.split_once(' ')) else { return Vec::new() };
    let mut proofs = vec![sent.to_owned()];
    if let Some(pair) = BASE64_STANDARD.decode(sent).ok().and_then(|pair| String::from_utf8(pair).ok()) {
        let (_, escaped) = pair.split_once(':').unwrap();
        let meant = url::form_urlencoded::parse(format!("x={escaped}").as_bytes()).next().unwrap().1.into_owned();
        proofs.extend([escaped.to_owned(), meant]);
    }
    proofs
}

fn fields(seen: &Seen) -> Vec<(String, String)> {
    url::form_urlencoded::parse(seen.body.as_bytes()).into_owned().collect()
}

fn repeat(seen: &Seen, status: u16, first: usize) -> Reply {
    let mut words = proofs(seen);
    words.extend(fields(seen).into_iter().map(|(_, value)| value));
    words.sort_by_key(String::len);
    let all = format!("wrong: {}, in {}", words.join(", "), seen.body);
    let count = words.len().max(1);
    words.rotate_left(first % count);
    let body = json!({"error": words.first(), "error_description": all, "error_hint": words.last(), "access_token": [&all]});
    let reply = Reply::json(status, &body).header("location", format!("https://a.example/?{}", seen.body));
    reply.header("www-authenticate", format!("Bearer error=\"invalid_token\", error_description=\"{}\"", all.replace('"', "'")))
}

/// Everything that an application asks of a server, so often that each word of it was repeated with each status.
async fn ask_all(app: &OAuthApp, stub: &Stub, is_grant: &dyn Fn(bool)) -> Vec<AuthError> {
    is_grant(true);
    let tokens = stub_tokens(app).await.unwrap();
    let wanted = ClientRegistration::new("a client").redirect(&redirect()).secret_post();
    let mut registered = wanted.register(&stub.server(), &stub.options()).await.shown().unwrap();
    let mut device = app.device_login([scope::MCP_READ]).await.shown().unwrap();
    let refreshing = RefreshingToken::start(app, tokens.clone(), MemoryTokenStore::new()).await.shown().unwrap();
    let account = ClientCredentials::new(app.clone(), [scope::MCP_READ]);
    is_grant(false);
    let mut errors = Vec::new();
    for _ in 0..STATUSES.len() * 4 {
        errors.extend(stub_tokens(app).await.err());
        errors.extend(app.refresh(&tokens, None).await.shown().err());
        errors.extend(app.revoke(&tokens).await.shown().err());
        errors.extend(app.introspect(&tokens).await.shown().err());
        errors.extend(wanted.register(&stub.server(), &stub.options()).await.shown().err());
        errors.extend(registered.update(&wanted).await.shown().err());
        errors.extend(registered.read().await.shown().err());
        errors.extend(app.device_login([scope::MCP_READ]).await.shown().err());
        if let Ok(account) = &account {
            errors.extend(account.token().await.shown().err());
        }
    }
    errors.extend(device.wait().await.shown().err());
    errors.extend(refreshing.token(None).await.map(drop).shown().err());
    errors
}

#[tokio::test]
async fn t_r3_what_a_server_repeats_of_a_request_is_not_shown() {
    let auths = [
        ClientAuth::Public,
        ClientAuth::SecretPost(secret("sentinel-of+a client").into()),
        ClientAuth::SecretBasic(secret("sentinel-of+a client").into()),
    ];
    for auth in auths {
        let (asked, grants) = (Mutex::new(HashMap::<_, usize>::new()), Arc::new(Mutex::new(true)));
        let is_granted = Arc::clone(&grants);
        let stub = Stub::start(move |seen, origin| {
            if *is_granted.lock().unwrap() {
                let mut body = granted();
                body["registration_client_uri"] = format!("{origin}/register/the-id").into();
                body["expires_in"] = json!(if seen.path == DEVICE { 600 } else { 0 });
                return Reply::json(200, &body);
            }
            let mut asked = asked.lock().unwrap();
            let number =
                asked.entry([&seen.method, &seen.path, seen.field("grant_type").as_deref().unwrap_or("")].concat()).or_default();
            *number += 1;
            repeat(seen, STATUSES[*number % STATUSES.len()], *number / STATUSES.len())
        });
        let told = Arc::new(Mutex::new(String::new()));
        let hears = Arc::clone(&told);
        let options = stub.options().observer(move |event: &AuthEvent<'_>| hears.lock().unwrap().push_str(&format!("{event:?}")));
        let server = stub.server().edit().device_authorization_endpoint(stub.url(DEVICE)).build().unwrap();
        let app = OAuthApp::builder(server, OAuthClient::new("the-id", auth).unwrap()).options(options).build().unwrap();
        let errors = ask_all(&app, &stub, &|is_grant| *grants.lock().unwrap() = is_grant).await;

        let harmless =
            ["client_id", "code_challenge", "code_challenge_method", "grant_type", "redirect_uri", "scope", "token_type_hint"];
        let of_forms = |seen: &Seen| {
            let fields =
                fields(seen).into_iter().filter(|(name, _)| !harmless.contains(&name.as_str()) && !name.starts_with('{'));
            fields.map(|(_, value)| value).collect::<Vec<_>>()
        };
        let secrets: BTreeSet<_> = stub.seen().iter().flat_map(|seen| [of_forms(seen), proofs(seen)].concat()).collect();
        assert!(secrets.iter().any(|secret| secret == "sentinel-refresh") && secrets.len() > 20, "{secrets:?}");
        let search = Search::new(secrets.iter().map(|secret| ("secret", secret.as_bytes())));
        let shown: String = errors.into_iter().map(|error| all_of(&Err::<(), _>(error))).collect();
        for kind in ["Denied {", "Protocol {", "Transient {"] {
            assert!(shown.contains(kind), "no {kind} was shown: {shown}");
        }
        assert_eq!(search.found_in(shown.as_bytes()), Vec::<String>::new());
        let told = told.lock().unwrap();
        assert!(told.contains("RefreshFailed"), "{told}");
        assert_eq!(search.found_in(told.as_bytes()), Vec::<String>::new());
    }
}
