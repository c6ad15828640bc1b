//! The line between the page and Amplitude: carries the page's events, or is cut.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use futures_core::Stream;
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use serde::{Deserialize, Serialize};

use crate::{
    Failure,
    reply::{refusal, with_causes},
};

struct Carrier {
    amplitude: String,
    client: reqwest::Client,
    is_up: AtomicBool,
}

pub(crate) fn router(amplitude: &str) -> Result<Router, Failure> {
    // The emulator is on this machine, so that there is nobody to verify.
    let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .no_proxy()
        .timeout(Duration::from_secs(10))
        .redirect(reqwest::redirect::Policy::none())
        .build()?;
    let carrier = Carrier { amplitude: amplitude.to_owned(), client, is_up: AtomicBool::new(true) };
    Ok(Router::new()
        .route("/collect", post(carry))
        .route("/api/line", get(line).put(set_line))
        .layer(DefaultBodyLimit::max(2_000_000))
        .with_state(Arc::new(carrier)))
}

/// Whether the line between the page and Amplitude is up.
#[derive(Deserialize, Serialize)]
struct Line {
    up: bool,
}

async fn line(State(carrier): State<Arc<Carrier>>) -> Json<Line> {
    Json(Line { up: carrier.is_up.load(Ordering::SeqCst) })
}

async fn set_line(State(carrier): State<Arc<Carrier>>, Json(line): Json<Line>) -> Json<Line> {
    carrier.is_up.store(line.up, Ordering::SeqCst);
    Json(line)
}

/// Passes a request of the page on to HTTP V2 as it is, and the answer back; hangs up while the line is down.
async fn carry(State(carrier): State<Arc<Carrier>>, headers: HeaderMap, body: Bytes) -> Response {
    if !carrier.is_up.load(Ordering::SeqCst) {
        return Response::new(Body::from_stream(HangUp));
    }
    let mut request = carrier.client.post(format!("{}/2/httpapi", carrier.amplitude)).body(body);
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
