//! Delegated access from one end to the other, against the emulator: an application registers itself, a user consents to less than it asks
//! for, it reads the user's events without a key of the project, is refused what was not granted, gets newer tokens, and gives them back.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use amplitude_sdk::{
    Error, ErrorKind, Event, ProjectKey,
    emulator::{DEMO_KEY, Emulator},
    server::{
        AuthEvent, Client, Export, ExportRange, IngestOptions, OAuth, Options, ProjectBearer, Scope, ScopeSet,
        oauth::{
            AuthError, AuthorizationServer, ClientRegistration, MemoryTokenStore, OAuthApp, OAuthOptions, Reauth, RedirectUri,
            RefreshingToken, Revocation, StoreKey, TokenStore as _,
        },
        scope,
    },
};
use serde_json::{Value, json};
use url::Url;

use crate::listener::say;

const REDIRECT: &str = "https://app.example.com/callback";

fn reads() -> Scope {
    Scope::new("events:read").unwrap()
}

fn manages() -> Scope {
    Scope::new("cohorts:manage").unwrap()
}

/// Requests beside the library's own: of the user's browser, and of whoever looks.
struct Browser(SocketAddr);

impl Browser {
    fn of(emulator: &Emulator) -> Self {
        let url = Url::parse(&emulator.url()).unwrap();
        Self(url.socket_addrs(|| None).unwrap()[0])
    }

    fn ask(&self, request: &str, head: &str, body: &str) -> String {
        let length = body.len();
        say(self.0, &format!("{request} HTTP/1.0\r\nhost: {}\r\ncontent-length: {length}\r\n{head}\r\n{body}", self.0))
    }

    /// Shows the consent page, where the user leaves some of the scopes; what the browser comes back with.
    fn consent(&self, url: &str, scopes: &ScopeSet) -> String {
        let url = Url::parse(url).unwrap();
        let page = self.ask(&format!("GET {}?{}", url.path(), url.query().unwrap()), "", "");
        assert!(page.starts_with("HTTP/1.0 200"), "{page}");
        let state = self.ask("GET /_emulator/oauth", "", "");
        let state: Value = serde_json::from_str(state.split_once("\r\n\r\n").unwrap().1).unwrap();
        let scopes: Vec<_> = scopes.iter().map(Scope::as_str).collect();
        let approval = json!({"request": state["requests"][0]["request"], "scopes": scopes}).to_string();
        let answer = self.ask("POST /_emulator/oauth/approve", "content-type: application/json\r\n", &approval);
        let location = answer.lines().find_map(|line| line.strip_prefix("location: ")).unwrap_or_else(|| panic!("{answer}"));
        location.to_owned()
    }
}

/// An application whose events are told in words.
struct Application {
    app: OAuthApp,
    redirect: RedirectUri,
    told: Arc<Mutex<Vec<String>>>,
    store: MemoryTokenStore,
}

impl Application {
    /// It knows the server's address and nothing else: it discovers the rest and registers itself.
    async fn register(emulator: &Emulator) -> Self {
        let told = Arc::default();
        let options = OAuthOptions::new().observer(tell(&told));
        let server = AuthorizationServer::discover(&emulator.url(), &options).await.unwrap();
        let redirect = RedirectUri::https(REDIRECT).unwrap();
        let registration = ClientRegistration::new("Reports").redirect(&redirect).secret_post();
        let client = registration.register(&server, &options).await.unwrap().client().unwrap();
        let app = OAuthApp::builder(server, client).options(options).build().unwrap();
        Self { app, redirect, told, store: MemoryTokenStore::new() }
    }

    async fn sign_in(&self, browser: &Browser, asked: &ScopeSet, granted: &ScopeSet) -> RefreshingToken {
        let (url, pending) = self.app.authorize(&self.redirect, asked.clone()).unwrap();
        let code = pending.verify(&browser.consent(&url, granted)).unwrap();
        let tokens = pending.exchange(code).await.unwrap();
        assert_eq!((tokens.requested(), tokens.granted()), (asked, granted));
        RefreshingToken::start(&self.app, tokens, self.store.clone()).await.unwrap()
    }

    fn client(&self, emulator: &Emulator, tokens: &RefreshingToken, scope: Scope) -> Client<ProjectBearer> {
        let options = Options::new().base_url(emulator.url()).observer(tell(&self.told));
        Client::with_options(ProjectBearer::new(OAuth::new(tokens.clone()), scope), options).unwrap()
    }

    /// The header for a call that this crate does not make.
    async fn header(&self) -> String {
        let key = StoreKey::new(self.app.server().issuer(), self.app.client().id().unwrap());
        let stored = self.store.load(&key).await.unwrap().expect("stored tokens");
        let stored: Value = serde_json::from_str(stored.as_json()).unwrap();
        format!("authorization: Bearer {}\r\n", stored["access_token"].as_str().unwrap())
    }

    fn told(&self) -> Vec<String> {
        std::mem::take(&mut self.told.lock().unwrap())
    }
}

fn tell(told: &Arc<Mutex<Vec<String>>>) -> impl Fn(&AuthEvent<'_>) + Send + Sync + 'static {
    let told = Arc::clone(told);
    move |event: &AuthEvent<'_>| {
        let words = match event {
            AuthEvent::TokenIssued { requested, granted, .. } => format!("issued {granted} of {requested}"),
            AuthEvent::BearerUsed { scope, .. } => format!("used for {}", scope.map_or("nothing known", Scope::as_str)),
            AuthEvent::InsufficientScope { needed } => format!("not granted: {needed}"),
            AuthEvent::TokenRefreshed { rotated: true, adopted: false, granted, .. } => format!("refreshed {granted}"),
            AuthEvent::Revoked { by_server: true, .. } => "revoked".to_owned(),
            other => other.name().to_owned(),
        };
        told.lock().unwrap().push(words);
    }
}

async fn export(client: &Client<ProjectBearer>) -> Result<Vec<String>, Error> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    // Also where the emulator's clock has been moved forward.
    let range = ExportRange::from_unix_seconds(now - 3600, now + 3 * 3600)?;
    let Export::Events(mut events) = client.export(range).await? else { return Ok(Vec::new()) };
    let mut kinds = Vec::new();
    while let Some(event) = events.next().await {
        kinds.push(event?.event_type().to_owned());
    }
    Ok(kinds)
}

fn auth_error(error: &Error) -> &AuthError {
    error.auth_error().unwrap_or_else(|| panic!("{error:?}"))
}

async fn buy(emulator: &Emulator) {
    let shop = Client::with_options(ProjectKey::new(DEMO_KEY).unwrap(), Options::new().base_url(emulator.url())).unwrap();
    let event = Event::builder("Product Purchased").user_id("user123").build().unwrap();
    shop.ingest(&mut [event], IngestOptions::new()).await.unwrap();
}

#[tokio::test]
async fn an_application_reads_what_a_user_granted_until_it_is_taken_back() {
    let emulator = Emulator::builder().start().unwrap();
    let browser = Browser::of(&emulator);
    buy(&emulator).await;
    let application = Application::register(&emulator).await;
    let asked = ScopeSet::from([reads(), manages(), scope::OFFLINE_ACCESS]);
    let granted = ScopeSet::from([reads(), scope::OFFLINE_ACCESS]);
    let tokens = application.sign_in(&browser, &asked, &granted).await;
    assert_eq!(application.told(), [format!("issued {granted} of {asked}")]);

    // What was granted.
    let reports = application.client(&emulator, &tokens, reads());
    assert_eq!(export(&reports).await.unwrap(), ["Product Purchased"]);
    assert_eq!(application.told(), ["used for events:read"]);

    // What was not: this side knows and sends nothing, and the server refuses it, too.
    let cohorts = application.client(&emulator, &tokens, manages());
    let error = export(&cohorts).await.unwrap_err();
    let AuthError::InsufficientScope { needed } = auth_error(&error) else { panic!("{error:?}") };
    assert_eq!((needed, error.status()), (&ScopeSet::from([manages()]), None));
    assert_eq!(application.told(), ["not granted: cohorts:manage"]);
    let refused = browser.ask("GET /api/3/cohorts", &application.header().await, "");
    assert!(refused.starts_with("HTTP/1.0 403") && refused.contains("insufficient_scope"), "{refused}");

    // An hour later the token has expired, which the server says first, because its clock alone was moved.
    let before = application.header().await;
    emulator.advance(Duration::from_secs(3600));
    assert_eq!(export(&reports).await.unwrap(), ["Product Purchased"]);
    let refreshed = format!("refreshed {granted}");
    assert_eq!(application.told(), ["used for events:read", "credential_refused", &refreshed, "used for events:read"]);
    assert_ne!(application.header().await, before);
    let counts = emulator.oauth_counts();
    assert_eq!((counts.registered, counts.consented, counts.refreshed, counts.reused), (1, 1, 1, 0));

    // Given back: dead at the server and gone here.
    let last = application.header().await;
    assert!(matches!(tokens.revoke().await.unwrap(), Revocation::ByServer));
    assert_eq!(application.told(), ["revoked"]);
    let refused = browser.ask("GET /api/2/export?start=20260101T00&end=20260101T01", &last, "");
    assert!(refused.starts_with("HTTP/1.0 401") && refused.contains("revoked"), "{refused}");
    let error = export(&reports).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthorized);
    assert!(matches!(auth_error(&error), AuthError::ReauthRequired(_)), "{error:?}");
}

#[tokio::test]
async fn an_application_manages_cohorts_where_that_alone_was_granted() {
    let emulator = Emulator::builder().start().unwrap();
    let browser = Browser::of(&emulator);
    let application = Application::register(&emulator).await;
    let granted = ScopeSet::from([manages()]);
    let tokens = application.sign_in(&browser, &ScopeSet::from([reads(), manages()]), &granted).await;
    let header = application.header().await;
    let upload = json!({
        "name": "Buyers", "app_id": 100_001, "id_type": "BY_USER_ID", "ids": [], "owner": "ada@example.com", "published": true,
    });
    let made = browser.ask("POST /api/3/cohorts/upload", &header, &upload.to_string());
    assert!(made.starts_with("HTTP/1.0 200"), "{made}");
    assert!(browser.ask("GET /api/3/cohorts", &header, "").contains("Buyers"));

    // Who takes the wrong scope for the one that reads is told by the server.
    let mistaken = application.client(&emulator, &tokens, manages());
    let error = export(&mistaken).await.unwrap_err();
    let AuthError::InsufficientScope { needed } = auth_error(&error) else { panic!("{error:?}") };
    assert_eq!((needed, error.status()), (&ScopeSet::from([reads()]), Some(403)));
    // Without `offline_access` there is no newer token: the user must come again.
    emulator.advance(Duration::from_secs(3600));
    let error = export(&mistaken).await.unwrap_err();
    assert!(matches!(auth_error(&error), AuthError::ReauthRequired(Reauth::NoRefreshToken)), "{error:?}");
}

#[tokio::test]
async fn a_user_who_takes_access_back_ends_it_at_the_next_call() {
    let emulator = Emulator::builder().start().unwrap();
    let browser = Browser::of(&emulator);
    buy(&emulator).await;
    let application = Application::register(&emulator).await;
    let granted = ScopeSet::from([reads(), scope::OFFLINE_ACCESS]);
    let tokens = application.sign_in(&browser, &granted, &granted).await;
    let reports = application.client(&emulator, &tokens, reads());
    assert_eq!(export(&reports).await.unwrap().len(), 1);
    application.told();
    let answer = browser.ask("POST /_emulator/oauth/revoke", "content-type: application/json\r\n", r#"{"grant":0}"#);
    assert!(answer.starts_with("HTTP/1.0 2"), "{answer}");
    let error = export(&reports).await.unwrap_err();
    assert!(matches!(auth_error(&error), AuthError::ReauthRequired(Reauth::GrantRefused)), "{error:?}");
    assert_eq!(application.told(), ["used for events:read", "credential_refused", "reauth_required"]);
}
