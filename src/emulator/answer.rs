//! What a request is answered with: made where it is judged, written where its path is known.

use std::borrow::Cow;

use axum::{
    Json,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Response},
};
use serde_json::{Value, json};

/// An answer, and what the live view tells of it.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Body,
    /// How many events the request had, as far as that could be read.
    pub(super) events: Option<usize>,
    headers: Vec<(HeaderName, String)>,
}

#[derive(Debug)]
pub(super) enum Body {
    Empty,
    Json(Value),
    Text(String),
    Html(Cow<'static, str>),
    Archive(Vec<u8>),
}

impl Answer {
    pub(super) fn new(status: u16, body: Body) -> Self {
        Self { status, body, events: None, headers: Vec::new() }
    }

    /// A body that names its status itself.
    pub(super) fn coded(body: Value) -> Self {
        let status = body["code"].as_u64().and_then(|code| u16::try_from(code).ok()).unwrap_or(500);
        Self::new(status, Body::Json(body))
    }

    pub(super) fn text(status: u16, text: impl Into<String>) -> Self {
        Self::new(status, Body::Text(text.into()))
    }

    /// 400 with one of the documented messages, and after it what is wrong where that is not all.
    pub(super) fn refusal(error: &str) -> Self {
        Self::coded(json!({"code": 400, "error": error}))
    }

    pub(super) fn too_large() -> Self {
        Self::coded(json!({"code": 413, "error": "Payload too large"}))
    }

    pub(super) fn of(mut self, events: usize) -> Self {
        self.events = Some(events);
        self
    }

    /// With a header, in place of one that its body brings.
    pub(super) fn with(mut self, name: HeaderName, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    /// Nobody on the way may keep it.
    pub(super) fn unstored(self) -> Self {
        self.with(header::CACHE_CONTROL, "no-store").with(header::PRAGMA, "no-cache")
    }

    /// What was wrong, for the live view.
    pub(super) fn error(&self) -> Option<String> {
        match &self.body {
            Body::Json(body) => {
                let error = &body["error"];
                error.as_str().or_else(|| error["message"].as_str()).map(str::to_owned)
            }
            Body::Text(text) if self.status >= 400 => Some(text.clone()),
            _ => None,
        }
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        // An informational status would be no answer.
        let status = StatusCode::from_u16(self.status).ok().filter(|status| !status.is_informational());
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = match self.body {
            Body::Empty => status.into_response(),
            Body::Json(body) => (status, Json(body)).into_response(),
            Body::Text(text) => (status, text).into_response(),
            Body::Html(page) => (status, Html(page)).into_response(),
            Body::Archive(bytes) => (status, [(header::CONTENT_TYPE, "application/zip")], bytes).into_response(),
        };
        for (name, value) in self.headers {
            let Ok(value) = HeaderValue::try_from(value) else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() };
            response.headers_mut().insert(name, value);
        }
        response
    }
}
