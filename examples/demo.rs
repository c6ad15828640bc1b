//! The demo's small server: serves the page and the npm package, carries the page's events to Amplitude or drops the line, and alone
//! holds the secret key, with which it exports the events again.
//!
//! `make demo` starts it beside the emulator. By hand: `demo [--port PORT] [--amplitude URL] [--root DIR]`, with `AMPLITUDE_API_KEY` and
//! `AMPLITUDE_SECRET_KEY` in the environment. It listens on loopback alone.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    env,
    error::Error as StdError,
    fs, io,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    pin::Pin,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use amplitude_sdk::{
    Error, ErrorKind,
    server::{Client, Export, ExportRange, ExportedEvent, Options, ProjectPair},
};
use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{DefaultBodyLimit, Query, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use futures_core::Stream;
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::net::TcpListener;

type Failure = Box<dyn StdError + Send + Sync>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo: {}", with_causes(&*error));
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Failure> {
    let (mut port, mut amplitude) = (8788, "http://127.0.0.1:8787".to_owned());
    let mut root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let mut arguments = env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{name}: has no value"))?;
        match name.as_str() {
            "--port" => port = value.parse().map_err(|_| format!("--port {value}: must be a number from 0 to 65535"))?,
            "--amplitude" => amplitude = value,
            "--root" => root = value.into(),
            _ => return Err(format!("{name}: is no option; there are --port, --amplitude and --root").into()),
        }
    }
    let demo = Arc::new(Demo::new(&root, amplitude)?);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(|error| format!("port {port}: {error}"))?;
    println!("listening on http://{}", listener.local_addr()?);
    Ok(axum::serve(listener, router(demo)).await?)
}

struct Demo {
    /// Every file that is served, by its path in URLs. No path on disk is ever made from a request.
    files: BTreeMap<String, PathBuf>,
    client: Client<ProjectPair>,
    project_key: String,
    amplitude: String,
    /// Carries the page's events.
    carrier: reqwest::Client,
    line_is_up: AtomicBool,
}

impl Demo {
    fn new(root: &Path, amplitude: String) -> Result<Self, Failure> {
        let mut files = BTreeMap::new();
        find_files(&root.join("www"), "/", &mut files)?;
        find_files(&root.join("pkg"), "/pkg/", &mut files).map_err(|error| format!("{error}; `make npm` makes the package"))?;
        let page = files.get("/index.html").cloned().ok_or("www: has no index.html")?;
        files.insert("/".to_owned(), page);

        let pair = ProjectPair::from_env()?;
        let project_key = pair.key().as_str().to_owned();
        let amplitude = amplitude.trim_end_matches('/').to_owned();
        let client = Client::with_options(pair, Options::new().base_url(&amplitude).request_timeout(Duration::from_secs(10)))?;
        // The emulator is on this machine, so that there is nobody to verify.
        let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth();
        let carrier = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .no_proxy()
            .timeout(Duration::from_secs(10))
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Self { files, client, project_key, amplitude, carrier, line_is_up: AtomicBool::new(true) })
    }
}

fn find_files(dir: &Path, prefix: &str, files: &mut BTreeMap<String, PathBuf>) -> io::Result<()> {
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", dir.display()));
    for entry in fs::read_dir(dir).map_err(named)? {
        let entry = entry?;
        // What has another name than UTF-8, or leads elsewhere, is not served.
        let Some(name) = entry.file_name().to_str().map(|name| format!("{prefix}{name}")) else { continue };
        let kind = entry.file_type()?;
        if kind.is_dir() {
            find_files(&entry.path(), &format!("{name}/"), files)?;
        } else if kind.is_file() {
            files.insert(name, entry.path());
        }
    }
    Ok(())
}

fn router(demo: Arc<Demo>) -> Router {
    Router::new()
        .route("/collect", post(carry))
        .route("/api/config", get(config))
        .route("/api/line", get(line).put(set_line))
        .route("/api/export", get(export))
        .fallback(file)
        .layer(DefaultBodyLimit::max(2_000_000))
        .layer(middleware::from_fn(guard))
        .with_state(demo)
}

/// The page may load from here alone, and run nothing but its own files and their wasm.
const POLICY: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Refuses other names for this machine, with which a foreign page could read what is exported, and sets the headers of every answer.
async fn guard(request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, port)| if port.ends_with(']') { host } else { name });
    let mut response = if ["localhost", "127.0.0.1", "[::1]"].contains(&name) {
        next.run(request).await
    } else {
        (StatusCode::MISDIRECTED_REQUEST, "this server answers to localhost alone\n").into_response()
    };
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-cache"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

async fn file(State(demo): State<Arc<Demo>>, uri: Uri) -> Response {
    let Some(path) = demo.files.get(uri.path()) else {
        return (StatusCode::NOT_FOUND, "there is no such file\n").into_response();
    };
    match fs::read(path) {
        Ok(content) => ([(header::CONTENT_TYPE, content_type(path))], content).into_response(),
        Err(error) => {
            eprintln!("demo: {}: {error}", path.display());
            (StatusCode::INTERNAL_SERVER_ERROR, "the file cannot be read\n").into_response()
        }
    }
}

fn content_type(path: &Path) -> &'static str {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("json") => "application/json",
        Some("svg") => "image/svg+xml",
        Some("wasm") => "application/wasm",
        _ => "text/plain; charset=utf-8",
    }
}

/// What the page must know. The project's API key is public; the secret key stays here.
async fn config(State(demo): State<Arc<Demo>>) -> Json<Value> {
    Json(json!({"projectKey": demo.project_key, "amplitude": demo.amplitude}))
}

/// Whether the line between the page and Amplitude is up.
#[derive(Deserialize, Serialize)]
struct Line {
    up: bool,
}

async fn line(State(demo): State<Arc<Demo>>) -> Json<Line> {
    Json(Line { up: demo.line_is_up.load(Ordering::SeqCst) })
}

async fn set_line(State(demo): State<Arc<Demo>>, Json(line): Json<Line>) -> Json<Line> {
    demo.line_is_up.store(line.up, Ordering::SeqCst);
    Json(line)
}

/// Passes a request of the page on to HTTP V2 as it is, and the answer back; hangs up while the line is down.
async fn carry(State(demo): State<Arc<Demo>>, headers: HeaderMap, body: Bytes) -> Response {
    if !demo.line_is_up.load(Ordering::SeqCst) {
        return Response::new(Body::from_stream(HangUp));
    }
    let mut request = demo.carrier.post(format!("{}/2/httpapi", demo.amplitude)).body(body);
    for name in [header::CONTENT_TYPE, header::CONTENT_ENCODING] {
        if let Some(value) = headers.get(&name) {
            request = request.header(name, value);
        }
    }
    match answer(request).await {
        Ok(response) => response,
        Err(error) => refusal(StatusCode::BAD_GATEWAY, "transport", &with_causes(&error.without_url())),
    }
}

async fn answer(request: reqwest::RequestBuilder) -> reqwest::Result<Response> {
    let answer = request.send().await?;
    let status = answer.status();
    let headers: HeaderMap = [header::CONTENT_TYPE, header::RETRY_AFTER]
        .into_iter()
        .filter_map(|name| Some((name.clone(), answer.headers().get(&name)?.clone())))
        .collect();
    Ok((status, headers, answer.bytes().await?).into_response())
}

/// A body that fails before its first byte: the server gives the connection up without an answer, as a line does that is cut.
struct HangUp;

impl Stream for HangUp {
    type Item = io::Result<Bytes>;

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(Some(Err(io::ErrorKind::ConnectionAborted.into())))
    }
}

/// Of a large export the newest events are shown.
const SHOWN_EVENTS: usize = 500;
const SHOWN_ERRORS: usize = 20;

/// What the Export API returns for `start` to `end` (`20260101T05`), or for the last 24 hours.
async fn export(State(demo): State<Arc<Demo>>, Query(query): Query<HashMap<String, String>>) -> Response {
    match try_export(&demo, &query).await {
        Ok(answer) => Json(answer).into_response(),
        Err(error) => {
            let status = match error.kind() {
                ErrorKind::Invalid => StatusCode::BAD_REQUEST,
                ErrorKind::Timeout => StatusCode::GATEWAY_TIMEOUT,
                _ => StatusCode::BAD_GATEWAY,
            };
            refusal(status, error.kind().as_str(), &with_causes(&error))
        }
    }
}

async fn try_export(demo: &Demo, query: &HashMap<String, String>) -> Result<Value, Error> {
    let range = match (query.get("start"), query.get("end")) {
        (None, None) => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
            ExportRange::from_unix_seconds(now.saturating_sub(23 * 3600), now)?
        }
        (start, end) => ExportRange::parse(start.map_or("", String::as_str), end.map_or("", String::as_str))?,
    };
    let Export::Events(mut events) = demo.client.export(range).await? else {
        return Ok(json!({"outcome": "no_data", "total": 0, "events": [], "unreadable": []}));
    };
    let (mut total, mut newest, mut unreadable) = (0_u64, VecDeque::new(), Vec::new());
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => {
                total += 1;
                newest.push_front(row(&event));
                newest.truncate(SHOWN_EVENTS);
            }
            // A line or a file of the archive; what can be read is shown all the same.
            Err(error) if error.kind() == ErrorKind::Protocol => {
                unreadable.push(error.to_string());
                unreadable.truncate(SHOWN_ERRORS);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(json!({"outcome": "events", "total": total, "events": newest, "unreadable": unreadable}))
}

fn row(event: &ExportedEvent) -> Value {
    // The line was read as JSON once already; its properties are shown as they came.
    let line: Value = serde_json::from_str(event.json()).unwrap_or_default();
    json!({
        "event_type": event.event_type(), "user_id": event.user_id(), "device_id": event.device_id(), "session_id": event.session_id(),
        "insert_id": event.insert_id(), "event_time": event.event_time(), "server_upload_time": event.server_upload_time(),
        "event_properties": line["event_properties"],
    })
}

fn refusal(status: StatusCode, kind: &str, message: &str) -> Response {
    (status, Json(json!({"error": {"kind": kind, "message": message}}))).into_response()
}

fn with_causes(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}
