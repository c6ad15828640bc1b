//! A web application whose users sign in with Amplitude, and for whom it then makes a call.
//!
//! ```sh
//! # In one terminal:
//! cargo run --all-features --bin amplitude-emulator -- --client web-app:fake-client-secret:us:http://127.0.0.1/callback
//!
//! # In another one:
//! export AMPLITUDE_OAUTH_ISSUER=http://127.0.0.1:8787 AMPLITUDE_BASE_URL=http://127.0.0.1:8787
//! export AMPLITUDE_OAUTH_CLIENT_ID=web-app AMPLITUDE_OAUTH_CLIENT_SECRET=fake-client-secret
//! export AMPLITUDE_OAUTH_SCOPES='mcp:read offline_access'
//! cargo run --all-features --example web_app
//! ```
//!
//! Of the emulator it uses nothing; the feature brings axum. In production it stands behind a proxy that speaks TLS: `LISTEN` is where it listens
//! (default: `127.0.0.1:8789`), and `AMPLITUDE_OAUTH_REDIRECT_URI` the https address of its `/callback`, as the client was registered. At Amplitude
//! leave `AMPLITUDE_OAUTH_ISSUER` and `AMPLITUDE_BASE_URL` out, or name the server whose tokens open the Developer API:
//! `AMPLITUDE_OAUTH_ISSUER=https://auth.amplitude.com`.

use std::{
    collections::HashMap,
    env,
    error::Error,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use amplitude_sdk::server::{
    Client, OAuth, Options, ScopeSet,
    oauth::{
        AuthError, EncryptionKey, MemoryTokenStore, OAuthApp, OAuthOptions, OAuthSettings, Pending, RedirectUri, RefreshingToken,
        TokenSet,
    },
};
use axum::{
    Router,
    extract::{RawQuery, State},
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header},
    middleware::map_response,
    response::{AppendHeaders, Html, IntoResponse, Response},
    routing::{get, post},
};
use tokio::{net::TcpListener, sync::Mutex};

type Failure = Box<dyn Error + Send + Sync>;

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("web_app: {}", with_causes(&*error));
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Failure> {
    let listen = env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:8789".to_owned());
    let listener = TcpListener::bind(&listen).await.map_err(|error| format!("LISTEN {listen}: {error}"))?;
    let address = listener.local_addr()?;
    let mut settings = OAuthSettings::from_env()?;
    // Tried out on this machine, users come back to where it listens.
    settings.redirect_uri.get_or_insert_with(|| format!("http://{address}/callback"));
    let web = Arc::new(WebApp::new(&settings).await?);
    println!("listening on http://{address}");
    Ok(axum::serve(listener, router(web)).await?)
}

/// How long a session lasts.
const SESSION: Duration = Duration::from_secs(8 * 3600);
/// How long a sign-in may take, as `Pending` has it.
const SIGN_IN: Duration = Duration::from_secs(600);

struct WebApp {
    app: OAuthApp,
    /// Nobody's: it has no tokens. Those of users are made of it and share its connections.
    client: Client<OAuth>,
    redirect: RedirectUri,
    scopes: ScopeSet,
    /// This application's own origin, as browsers name it.
    origin: String,
    /// Encrypts sign-ins that wait in the browser. Several processes need the same one: see `EncryptionKey::parse`.
    key: EncryptionKey,
    /// By the random name that the session's browser has. They end with the process, and so do their tokens; to keep these, give each user's
    /// `RefreshingToken` an `EncryptedTokenStore` that lasts.
    sessions: Mutex<HashMap<String, Session>>,
}

/// What a user's browser never sees.
#[derive(Clone)]
struct Session {
    tokens: RefreshingToken,
    client: Client<OAuth>,
    until: Instant,
}

impl WebApp {
    async fn new(settings: &OAuthSettings) -> Result<Self, Failure> {
        let redirect = settings.redirect()?;
        let url: Uri = redirect.as_str().parse()?;
        let (Some(scheme), Some(authority)) = (url.scheme_str(), url.authority()) else { return Err("no redirect URI".into()) };
        let key = EncryptionKey::from_bytes(&random()?);
        let app = settings.app(&OAuthOptions::new()).await?;
        let (scopes, origin) = (settings.scopes.clone(), format!("{scheme}://{authority}"));
        // Says now, and not to the first user, that there are no scopes, or no consent to be had at this server.
        app.authorize(&redirect, scopes.clone())?;
        let nobody = RefreshingToken::resume(&app, MemoryTokenStore::new()).await?;
        let client = Client::with_options(OAuth::new(nobody), Options::from_env()?)?;
        Ok(Self { app, client, redirect, scopes, origin, key, sessions: Mutex::default() })
    }

    /// Begins a session under a new name, whatever the browser has sent, so that a user signs in to no session that
    /// somebody else knows.
    async fn begin(&self, tokens: TokenSet) -> Result<String, Failure> {
        let tokens = RefreshingToken::start(&self.app, tokens, MemoryTokenStore::new()).await?;
        let client = self.client.with_credential(OAuth::new(tokens.clone()));
        let name: String = random()?.iter().map(|byte| format!("{byte:02x}")).collect();
        let now = Instant::now();
        let mut sessions = self.sessions.lock().await;
        sessions.retain(|_, session| session.until > now);
        sessions.insert(name.clone(), Session { tokens, client, until: now + SESSION });
        Ok(name)
    }

    async fn session(&self, headers: &HeaderMap) -> Option<Session> {
        let name = self.cookie(headers, "session")?;
        self.sessions.lock().await.get(name).filter(|session| session.until > Instant::now()).cloned()
    }

    /// Ends a browser's session, and has Amplitude revoke its tokens.
    async fn end(&self, headers: &HeaderMap) {
        let Some(name) = self.cookie(headers, "session") else { return };
        let Some(session) = self.sessions.lock().await.remove(name) else { return };
        if let Err(error) = session.tokens.revoke().await {
            // They are forgotten here, and end at Amplitude when they expire.
            log("a token was not revoked", &error);
        }
    }

    fn is_secure(&self) -> bool {
        self.origin.starts_with("https:")
    }

    /// `__Host-` has browsers take a cookie from this very host alone, over TLS: another host of the domain cannot plant one.
    fn cookie_name(&self, name: &str) -> String {
        if self.is_secure() { format!("__Host-{name}") } else { name.to_owned() }
    }

    /// A cookie that no script sees, and that other sites' forms do not bring along; it comes back with the redirect of a sign-in.
    fn set_cookie(&self, name: &str, value: &str, lifetime: Duration) -> (header::HeaderName, String) {
        let (name, seconds) = (self.cookie_name(name), lifetime.as_secs());
        let secure = if self.is_secure() { "; Secure" } else { "" };
        (header::SET_COOKIE, format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}"))
    }

    fn drop_cookie(&self, name: &str) -> (header::HeaderName, String) {
        self.set_cookie(name, "", Duration::ZERO)
    }

    fn cookie<'a>(&self, headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
        let name = self.cookie_name(name);
        let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
        let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
        pairs.find(|(known, _)| *known == name).map(|(_, value)| value)
    }
}

fn router(web: Arc<WebApp>) -> Router {
    Router::new()
        .route("/", get(home))
        .route("/sign-in", get(sign_in))
        .route("/callback", get(callback))
        .route("/sign-out", post(sign_out))
        .layer(map_response(harden))
        .with_state(web)
}

/// Shows who the user is and what this application may do, as Amplitude tells it.
async fn home(State(web): State<Arc<WebApp>>, headers: HeaderMap) -> Response {
    const SIGN_IN: &str = "<p><a href=\"/sign-in\">Sign in with Amplitude</a>";
    let Some(session) = web.session(&headers).await else { return page(StatusCode::OK, SIGN_IN) };
    match session.client.context().await {
        Ok(context) => {
            let (user, scopes) = (context.login_id.unwrap_or_default(), context.scopes.to_string());
            let organization = context.org_name.unwrap_or_default();
            let text = format!(
                "<p>You are <b>{}</b> of {}. This application may: <code>{}</code>\
                 <form method=\"post\" action=\"/sign-out\"><button>Sign out</button></form>",
                escaped(&user),
                escaped(&organization),
                escaped(&scopes),
            );
            page(StatusCode::OK, &text)
        }
        Err(error) => {
            log("the call for a user failed", &error);
            match error.auth_error() {
                // The user has taken the access away, or it was for a time.
                Some(AuthError::ReauthRequired(_)) => {
                    web.end(&headers).await;
                    let cookie = AppendHeaders([web.drop_cookie("session")]);
                    (cookie, page(StatusCode::OK, &format!("<p>The access is over.{SIGN_IN}"))).into_response()
                }
                _ => page(StatusCode::BAD_GATEWAY, "<p>Amplitude does not say who you are. Try again later."),
            }
        }
    }
}

/// Sends the browser to Amplitude's page of consent. What is to be compared with its answer waits in the browser, encrypted.
async fn sign_in(State(web): State<Arc<WebApp>>) -> Response {
    match web.app.authorize(&web.redirect, web.scopes.clone()) {
        Ok((url, pending)) => {
            let cookie = web.set_cookie("sign-in", &pending.seal(&web.key), SIGN_IN);
            (StatusCode::SEE_OTHER, AppendHeaders([cookie, (header::LOCATION, url)])).into_response()
        }
        Err(error) => refuse(&error),
    }
}

/// Where the browser comes back to.
async fn callback(State(web): State<Arc<WebApp>>, headers: HeaderMap, RawQuery(query): RawQuery) -> Response {
    let Some(sealed) = web.cookie(&headers, "sign-in") else {
        return page(StatusCode::BAD_REQUEST, "<p>No sign-in was begun with this browser, or it took too long.");
    };
    let answer = async {
        let pending = Pending::open(&web.app, sealed, &web.key)?;
        let code = pending.verify(&query.unwrap_or_default())?;
        pending.exchange(code).await
    };
    let tokens = match answer.await {
        Ok(tokens) => tokens,
        // Not the answer to this browser's sign-in, which waits on.
        Err(error @ AuthError::CallbackRejected(_)) => return refuse(&error),
        Err(error) => return (AppendHeaders([web.drop_cookie("sign-in")]), refuse(&error)).into_response(),
    };
    web.end(&headers).await;
    match web.begin(tokens).await {
        Ok(name) => {
            let cookies = [web.drop_cookie("sign-in"), web.set_cookie("session", &name, SESSION)];
            // Nowhere else: an address to go on to, which comes with a request, would be anybody's.
            (StatusCode::SEE_OTHER, AppendHeaders(cookies), [(header::LOCATION, "/")]).into_response()
        }
        Err(error) => {
            log("no session", &*error);
            page(StatusCode::INTERNAL_SERVER_ERROR, "<p>The sign-in failed.")
        }
    }
}

async fn sign_out(State(web): State<Arc<WebApp>>, headers: HeaderMap) -> Response {
    // `SameSite` keeps other sites' forms from this session, but not those of other hosts of the same domain.
    if headers.get(header::ORIGIN).is_none_or(|origin| origin.as_bytes() != web.origin.as_bytes()) {
        return page(StatusCode::FORBIDDEN, "<p>This request is another site's.");
    }
    web.end(&headers).await;
    (StatusCode::SEE_OTHER, AppendHeaders([web.drop_cookie("session"), (header::LOCATION, "/".to_owned())])).into_response()
}

/// The user is told what to do next, and no more; the log says what happened. No error of the SDK holds a code, token or secret.
fn refuse(error: &AuthError) -> Response {
    log("a sign-in failed", error);
    let (status, text) = match error {
        AuthError::CallbackRejected(_) | AuthError::Invalid(_) => {
            (StatusCode::BAD_REQUEST, "<p>This is not the answer to a sign-in of this browser, or it took too long.")
        }
        AuthError::Denied { .. } => (StatusCode::FORBIDDEN, "<p>Access was not granted."),
        error if error.is_retryable() => (StatusCode::SERVICE_UNAVAILABLE, "<p>Amplitude does not answer. Try again later."),
        _ => (StatusCode::BAD_GATEWAY, "<p>The sign-in failed."),
    };
    page(status, &format!("{text} <a href=\"/\">Back</a>"))
}

fn page(status: StatusCode, body: &str) -> Response {
    let html = format!("<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Example</title>{body}");
    (status, Html(html)).into_response()
}

/// A page loads nothing, stands in no frame, and is kept nowhere. Other sites learn nothing of the addresses here, where codes arrive.
async fn harden(mut response: Response) -> Response {
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"),
        (header::CACHE_CONTROL, "no-store"),
        // `no-referrer` would take the origin off the form that signs out, too.
        (header::REFERRER_POLICY, "same-origin"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

fn random() -> Result<[u8; 32], Failure> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| format!("the system gives no random bytes: {error}"))?;
    Ok(bytes)
}

fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for it in text.chars() {
        match it {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            _ => safe.push(it),
        }
    }
    safe
}

fn log(what: &str, error: &dyn Error) {
    eprintln!("web_app: {what}: {}", with_causes(error));
}

fn with_causes(error: &dyn Error) -> String {
    let all = std::iter::successors(Some(error), |&error| error.source());
    all.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
