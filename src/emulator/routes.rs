//! Paths and HTTP: regions, gzip, CORS, faults. What a body means is judged elsewhere.

use std::{
    collections::HashMap,
    io::Read as _,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Extension, Json, Router,
    body::Bytes,
    extract::{ConnectInfo, DefaultBodyLimit, FromRequest as _, Multipart, Query, Request, State as Shared},
    http::{HeaderMap, Method, StatusCode, header},
    middleware::{self, Next},
    response::{Html, IntoResponse, Response},
    routing::{any, get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    connection::Cut,
    export, identify,
    ingest::{Endpoint, ingest, too_large},
    state::{Fault, State},
};
use crate::{Region, limits, promise::lock};

type Emulated = Shared<Arc<Mutex<State>>>;

pub(super) fn router(state: Arc<Mutex<State>>) -> Router {
    let api = Router::new()
        .route("/2/httpapi", post(http_v2))
        .route("/batch", post(batch))
        .route("/identify", any(identify_user))
        .route("/groupidentify", any(identify_group))
        .route("/api/2/export", get(export_events));
    Router::new()
        .merge(api.clone())
        .nest("/eu", api.layer(Extension(BelowEu)))
        .route("/", get(|| async { Html(include_str!("view.html")) }))
        .route("/_emulator/state", get(show_state))
        .route("/_emulator/events", get(show_events))
        .route("/_emulator/faults", post(add_fault))
        .route("/_emulator/reset", post(reset))
        .fallback(|| async { (StatusCode::NOT_FOUND, Json(json!({"code": 404, "error": "Invalid request path"}))) })
        .method_not_allowed_fallback(|| async { (StatusCode::METHOD_NOT_ALLOWED, "method not allowed") })
        .layer(middleware::from_fn(cross_origin))
        .layer(DefaultBodyLimit::max(2 * limits::BATCH_BYTES))
        .with_state(state)
}

/// Browsers on any origin may send events and read the answer.
async fn cross_origin(request: Request, next: Next) -> Response {
    let preflight = request.method() == Method::OPTIONS;
    let mut response = if preflight { StatusCode::NO_CONTENT.into_response() } else { next.run(request).await };
    let headers = response.headers_mut();
    for (name, value) in [
        ("access-control-allow-origin", "*"),
        ("access-control-allow-methods", "GET, POST, OPTIONS"),
        ("access-control-allow-headers", "content-type, content-encoding"),
        ("access-control-expose-headers", "retry-after"),
        ("access-control-max-age", "600"),
    ] {
        headers.insert(name, header::HeaderValue::from_static(value));
    }
    response
}

/// Marks the requests below `/eu`.
#[derive(Clone)]
struct BelowEu;

/// The `/eu` prefix, or the host that a proxy in between passed on.
fn region(request: &Request) -> Region {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let eu = host.starts_with("api.eu.") || host.starts_with("analytics.eu.") || request.extensions().get::<BelowEu>().is_some();
    if eu { Region::Eu } else { Region::Us }
}

async fn http_v2(state: Emulated, cut: ConnectInfo<Cut>, request: Request) -> Response {
    take_events(state, cut, request, Endpoint::HttpV2).await
}

async fn batch(state: Emulated, cut: ConnectInfo<Cut>, request: Request) -> Response {
    take_events(state, cut, request, Endpoint::Batch).await
}

async fn take_events(
    Shared(state): Emulated,
    ConnectInfo(cut): ConnectInfo<Cut>,
    request: Request,
    endpoint: Endpoint,
) -> Response {
    let region = region(&request);
    let encoding = request.headers().get(header::CONTENT_ENCODING).cloned();
    let fault = lock(&state).next_fault();
    let body = Bytes::from_request(request, &()).await;
    let judge = || match body.map(|body| decoded(encoding.as_ref(), body, endpoint.max_bytes())) {
        Ok(Ok(body)) => ingest(&mut lock(&state), endpoint, region, &body),
        Ok(Err(answer)) => answer,
        Err(_) => too_large(),
    };
    let (status, answer) = match fault {
        None => judge(),
        Some(Fault::Delay(time)) => {
            tokio::time::sleep(time).await;
            judge()
        }
        Some(Fault::Status(status)) => return status_only(status),
        Some(Fault::Html) => return Html("<!doctype html><title>Welcome</title><h1>Log in to the network</h1>").into_response(),
        Some(Fault::HangUp) => {
            cut.now();
            return StatusCode::OK.into_response();
        }
        Some(Fault::AcceptThenHangUp) => {
            judge();
            cut.now();
            return StatusCode::OK.into_response();
        }
        Some(Fault::AcceptThenStatus(status)) => {
            judge();
            return status_only(status);
        }
    };
    (StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), Json(answer)).into_response()
}

fn status_only(status: u16) -> Response {
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR).into_response()
}

/// A body without its compression, read no further than its limit needs.
fn decoded(encoding: Option<&header::HeaderValue>, body: Bytes, max: usize) -> Result<Vec<u8>, (u16, Value)> {
    match encoding.map(header::HeaderValue::as_bytes) {
        None | Some(b"identity") => Ok(body.into()),
        Some(b"gzip") => {
            let mut plain = Vec::new();
            flate2::read::MultiGzDecoder::new(&*body)
                .take(max as u64 + 1)
                .read_to_end(&mut plain)
                .map_err(|_| (400, json!({"code": 400, "error": "Invalid JSON request body"})))?;
            Ok(plain)
        }
        Some(_) => Err((400, json!({"code": 400, "error": "Invalid JSON request body"}))),
    }
}

async fn identify_user(state: Emulated, request: Request) -> Response {
    take_identification(state, request, "$identify").await
}

async fn identify_group(state: Emulated, request: Request) -> Response {
    take_identification(state, request, "$groupidentify").await
}

async fn take_identification(Shared(state): Emulated, request: Request, event_type: &str) -> Response {
    let region = region(&request);
    let mut form = Query::<HashMap<String, String>>::try_from_uri(request.uri()).map(|query| query.0).unwrap_or_default();
    if request.method() == Method::POST {
        form.extend(read_form(request).await);
    }
    let (status, text) = identify::identify(&mut lock(&state), region, event_type, &form);
    (StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), text).into_response()
}

/// The fields of a form of either kind; none of a body that is no form, which is then refused for what it lacks.
async fn read_form(request: Request) -> HashMap<String, String> {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let mut fields = HashMap::new();
    if kind.starts_with("multipart/form-data") {
        if let Ok(mut form) = Multipart::from_request(request, &()).await {
            while let Ok(Some(field)) = form.next_field().await {
                let name = field.name().unwrap_or_default().to_owned();
                if let Ok(text) = field.text().await {
                    fields.insert(name, text);
                }
            }
        }
    } else if let Ok(axum::Form(form)) = axum::Form::<HashMap<String, String>>::from_request(request, &()).await {
        fields = form;
    }
    fields
}

async fn export_events(Shared(state): Emulated, Query(query): Query<HashMap<String, String>>, request: Request) -> Response {
    let region = region(&request);
    let credentials = basic(request.headers());
    let credentials = credentials.as_ref().and_then(|plain| plain.split_once(':'));
    match export::export(&mut lock(&state), region, credentials, &query) {
        Ok(archive) => ([(header::CONTENT_TYPE, "application/zip")], archive).into_response(),
        Err((status, text)) => (StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), text).into_response(),
    }
}

/// `key:secret` of Basic authentication.
fn basic(headers: &HeaderMap) -> Option<String> {
    use base64::Engine as _;
    let text = headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Basic ")?;
    String::from_utf8(base64::engine::general_purpose::STANDARD.decode(text).ok()?).ok()
}

async fn show_state(Shared(state): Emulated) -> Json<Value> {
    let state = lock(&state);
    let counts = |counts: super::Counts| {
        json!({
            "requests": counts.requests, "accepted": counts.accepted, "rejected": counts.rejected, "duplicates": counts.duplicates,
        })
    };
    let mut total = super::Counts::default();
    let mut projects = serde_json::Map::new();
    for project in state.projects() {
        total.requests += project.counts.requests;
        total.accepted += project.counts.accepted;
        total.rejected += project.counts.rejected;
        total.duplicates += project.counts.duplicates;
        projects.insert(project.project.key.clone(), counts(project.counts));
    }
    let mut answer = counts(total);
    answer["projects"] = Value::Object(projects);
    Json(answer)
}

#[derive(Deserialize)]
struct EventsQuery {
    project: Option<String>,
    #[serde(default)]
    after: u64,
}

/// At most so many events in one answer; the view asks again.
const EVENTS_AT_ONCE: usize = 500;

async fn show_events(Shared(state): Emulated, Query(query): Query<EventsQuery>) -> Json<Value> {
    let state = lock(&state);
    let mut events: Vec<_> = state
        .projects()
        .iter()
        .filter(|it| query.project.as_ref().is_none_or(|key| it.project.key == *key))
        .flat_map(|it| it.events().filter(|stored| stored.number > query.after).map(|stored| (it.project.key.as_str(), stored)))
        .collect();
    events.sort_by_key(|(_, stored)| stored.number);
    events.truncate(EVENTS_AT_ONCE);
    Json(Value::Array(
        events
            .into_iter()
            .map(|(project, stored)| {
                json!({"number": stored.number, "project": project, "received_ms": stored.received_ms, "event": stored.event})
            })
            .collect(),
    ))
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
enum FaultRequest {
    Status { status: u16, count: Option<u32> },
    Delay { ms: u64, count: Option<u32> },
    HangUp { count: Option<u32> },
    Html { count: Option<u32> },
    AcceptThenHangUp { count: Option<u32> },
    AcceptThenStatus { status: u16, count: Option<u32> },
}

async fn add_fault(Shared(state): Emulated, body: Bytes) -> Response {
    let request = match serde_json::from_slice(&body) {
        Ok(request) => request,
        Err(error) => return (StatusCode::BAD_REQUEST, format!("fault: {error}")).into_response(),
    };
    let (fault, count) = match request {
        FaultRequest::Status { status, count } => (Fault::Status(status), count),
        FaultRequest::Delay { ms, count } => (Fault::Delay(Duration::from_millis(ms)), count),
        FaultRequest::HangUp { count } => (Fault::HangUp, count),
        FaultRequest::Html { count } => (Fault::Html, count),
        FaultRequest::AcceptThenHangUp { count } => (Fault::AcceptThenHangUp, count),
        FaultRequest::AcceptThenStatus { status, count } => (Fault::AcceptThenStatus(status), count),
    };
    if let Fault::Status(status) | Fault::AcceptThenStatus(status) = fault
        && !(200..=599).contains(&status)
    {
        return (StatusCode::BAD_REQUEST, "fault: the status must be 200 to 599").into_response();
    }
    lock(&state).add_fault(fault, count.unwrap_or(1));
    StatusCode::NO_CONTENT.into_response()
}

async fn reset(Shared(state): Emulated) -> Response {
    match lock(&state).reset() {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
