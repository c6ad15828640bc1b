//! Amplitude's paths and HTTP: regions, content types, CORS, faults. What a body means is judged elsewhere.

use std::sync::{Arc, Mutex};

use axum::{
    Extension, Json, Router,
    extract::{ConnectInfo, Request, State as Shared},
    handler::Handler as _,
    http::{Extensions, HeaderMap, Method, StatusCode, header, request::Parts},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::Deserialize;

use super::{
    answer::{Answer, Body},
    body,
    cohorts::{CohortCall, cohorts},
    connection::Cut,
    credentials::{self, CredentialState, Presented},
    export::export,
    faults::{Api, Fault},
    guard::own_pages_alone,
    identify::{Subject, identify},
    ingest::{Endpoint, ingest},
    oauth,
    state::{Answered, State},
    watch,
};
use crate::{Region, promise::lock};

pub(super) type Emulated = Shared<Arc<Mutex<State>>>;

pub(super) fn router(state: Arc<Mutex<State>>) -> Router {
    let identified = |subject| get(take_identification).post(take_identification).layer(Extension(subject));
    let api = Router::new()
        .route("/2/httpapi", post(take_events).layer(Extension(Endpoint::HttpV2)))
        .route("/batch", post(take_events).layer(Extension(Endpoint::Batch)))
        .route("/identify", identified(Subject::User))
        .route("/groupidentify", identified(Subject::Group))
        .route("/api/2/export", get(export_events))
        .method_not_allowed_fallback(not_allowed)
        .layer(middleware::from_fn(cross_origin));
    let of_region = api
        .merge(oauth::router())
        .merge(
            Router::new()
                .route("/api/3/cohorts", get(serve_cohorts).layer(Extension(CohortCall::List)))
                .route("/api/3/cohorts/upload", post(serve_cohorts).layer(Extension(CohortCall::Upload)))
                .route("/api/3/cohorts/membership", post(serve_cohorts).layer(Extension(CohortCall::Membership)))
                .method_not_allowed_fallback(not_allowed),
        )
        .merge(
            Router::new()
                .route("/_emulator/credential", get(show_credential).post(set_credential))
                .method_not_allowed_fallback(not_allowed)
                .layer(middleware::from_fn(own_pages_alone)),
        );
    Router::new()
        .merge(of_region.clone())
        .nest("/eu", of_region.layer(Extension(BelowEu)))
        .merge(oauth::once())
        .merge(watch::router())
        .method_not_allowed_fallback(not_allowed)
        .fallback(no_such_path.layer(middleware::from_fn(cross_origin)))
        .with_state(state)
}

async fn not_allowed() -> Answer {
    Answer::text(405, "method not allowed")
}

/// Browsers on any origin may send events and read the answer. What people decide, tokens and controls are not open to them.
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

fn is_below_eu(extensions: &Extensions) -> bool {
    extensions.get::<BelowEu>().is_some()
}

/// The `/eu` prefix, or the host that a proxy in between passed on, tells the region.
fn region_of(headers: &HeaderMap, extensions: &Extensions) -> Region {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let is_eu = is_below_eu(extensions) || host.starts_with("api.eu.") || host.starts_with("analytics.eu.");
    if is_eu { Region::Eu } else { Region::Us }
}

/// Where a request came in, and what is told of it afterwards.
pub(super) struct Call {
    /// None for what has no faults.
    api: Option<Api>,
    pub(super) region: Region,
    path: String,
    pub(super) bytes: usize,
}

impl Call {
    pub(super) fn of(api: Option<Api>, request: &Request) -> Self {
        // Below `/eu` a request's URI has lost that prefix.
        let prefix = if is_below_eu(request.extensions()) { "/eu" } else { "" };
        let path = format!("{prefix}{}", request.uri().path());
        Self { api, region: region_of(request.headers(), request.extensions()), path, bytes: 0 }
    }

    /// Judges, unless a fault is to come first, and remembers what was answered.
    pub(super) async fn answer(self, state: &Mutex<State>, cut: &Cut, judge: impl FnOnce(&mut State) -> Answer) -> Response {
        let fault = self.api.and_then(|api| lock(state).faults.next(api));
        if let Some(Fault::Delay(time)) = fault {
            tokio::time::sleep(time).await;
        }
        let mut state = lock(state);
        let only = |status| Answer::new(status, Body::Empty);
        let answer = match fault {
            None | Some(Fault::Delay(_)) => Some(judge(&mut state)),
            Some(Fault::Status(status)) => Some(only(status)),
            Some(Fault::Html) => Some(Answer::new(200, Body::Html(PORTAL.into()))),
            Some(Fault::HangUp) => None,
            Some(Fault::AcceptThenHangUp) => {
                judge(&mut state);
                None
            }
            Some(Fault::AcceptThenStatus(status)) => {
                let mut answer = only(status);
                answer.events = judge(&mut state).events;
                Some(answer)
            }
        };
        state.remember(Answered {
            path: self.path,
            status: answer.as_ref().map(|answer| answer.status),
            fault: fault.is_some(),
            events: answer.as_ref().and_then(|answer| answer.events),
            bytes: self.bytes,
            error: answer.as_ref().and_then(Answer::error),
        });
        answer.map_or_else(
            || {
                cut.now();
                StatusCode::OK.into_response()
            },
            IntoResponse::into_response,
        )
    }
}

const PORTAL: &str = "<!doctype html><title>Welcome</title><h1>Log in to the network</h1>";

async fn take_events(
    Shared(state): Emulated,
    ConnectInfo(cut): ConnectInfo<Cut>,
    Extension(endpoint): Extension<Endpoint>,
    request: Request,
) -> Response {
    let mut call = Call::of(Some(Api::Ingestion), &request);
    let (parts, body) = request.into_parts();
    let max = endpoint.max_bytes();
    let body = body::read(body, max).await.and_then(|body| {
        call.bytes = body.len();
        match body::media_type(&parts.headers).as_str() {
            _ if body.is_empty() => Ok(body),
            "application/json" => body::plain(&parts.headers, body, max),
            _ => Err(Answer::refusal("Invalid JSON request body: the Content-Type must be application/json")),
        }
    });
    let region = call.region;
    call.answer(&state, &cut, |state| body.map_or_else(|answer| answer, |body| ingest(state, endpoint, region, &body))).await
}

async fn take_identification(
    Shared(state): Emulated,
    ConnectInfo(cut): ConnectInfo<Cut>,
    Extension(subject): Extension<Subject>,
    request: Request,
) -> Response {
    let mut call = Call::of(Some(Api::Identify), &request);
    let (parts, body) = request.into_parts();
    let mut form = body::urlencoded(parts.uri.query().unwrap_or_default().as_bytes()).map_err(|text| Answer::text(400, text));
    if parts.method == Method::POST {
        let posted = match body::read(body, subject.max_bytes()).await {
            Ok(body) => {
                call.bytes = body.len();
                // All may stand in the query instead.
                if body.is_empty() {
                    Ok(body::Form::new())
                } else {
                    body::form(parts, body).await.map_err(|text| Answer::text(400, text))
                }
            }
            Err(answer) => Err(answer),
        };
        form = form.and_then(|mut form| {
            form.extend(posted?);
            Ok(form)
        });
    }
    let region = call.region;
    call.answer(&state, &cut, |state| form.map_or_else(|answer| answer, |form| identify(state, region, subject, &form))).await
}

async fn export_events(Shared(state): Emulated, ConnectInfo(cut): ConnectInfo<Cut>, request: Request) -> Response {
    let call = Call::of(Some(Api::Export), &request);
    let presented = Presented::of(request.headers());
    let query = body::urlencoded(request.uri().query().unwrap_or_default().as_bytes());
    let region = call.region;
    call.answer(&state, &cut, |state| {
        query.map_or_else(|text| Answer::text(400, text), |query| export(state, region, &presented, &query))
    })
    .await
}

async fn serve_cohorts(
    Shared(state): Emulated,
    ConnectInfo(cut): ConnectInfo<Cut>,
    Extension(asked): Extension<CohortCall>,
    request: Request,
) -> Response {
    let mut call = Call::of(Some(Api::Cohorts), &request);
    let presented = Presented::of(request.headers());
    let body = body::read(request.into_body(), Endpoint::Batch.max_bytes()).await;
    call.bytes = body.as_ref().map_or(0, Vec::len);
    let region = call.region;
    call.answer(&state, &cut, |state| body.map_or_else(|answer| answer, |body| cohorts(state, region, asked, &presented, &body)))
        .await
}

async fn show_credential(Shared(state): Emulated, request: Request) -> Answer {
    let region = region_of(request.headers(), request.extensions());
    match credentials::describe(&lock(&state), region, &Presented::of(request.headers())) {
        Ok(told) => Answer::new(200, Body::Json(told)),
        Err(text) => Answer::text(401, text),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewState {
    state: CredentialState,
}

async fn set_credential(Shared(state): Emulated, parts: Parts, Json(new): Json<NewState>) -> Answer {
    let presented = Presented::of(&parts.headers);
    let region = region_of(&parts.headers, &parts.extensions);
    credentials::set_state(&mut lock(&state), region, &presented, new.state)
}

/// The upload host answers 400 to what is posted to a wrong path; nothing is known of other methods.
async fn no_such_path(Shared(state): Emulated, ConnectInfo(cut): ConnectInfo<Cut>, request: Request) -> Response {
    if request.method() != Method::POST {
        return Answer::text(404, "not found").into_response();
    }
    let mut call = Call::of(None, &request);
    let answer = match body::read(request.into_body(), Endpoint::Batch.max_bytes()).await {
        Ok(body) => {
            call.bytes = body.len();
            Answer::refusal("Invalid request path")
        }
        Err(answer) => answer,
    };
    call.answer(&state, &cut, |_| answer).await
}
