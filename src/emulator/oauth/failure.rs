//! Refusals in the form of RFC 6749, section 5.2.

use std::borrow::Cow;

use axum::http::header;
use serde_json::json;

use crate::emulator::answer::{Answer, Body};

/// An error code, and words for whoever reads the log: never anything of the request's secrets.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) status: u16,
    pub(super) error: &'static str,
    pub(super) description: Cow<'static, str>,
}

impl Failure {
    pub(super) fn new(error: &'static str, description: impl Into<Cow<'static, str>>) -> Self {
        Self { status: 400, error, description: description.into() }
    }

    pub(super) fn request(description: impl Into<Cow<'static, str>>) -> Self {
        Self::new("invalid_request", description)
    }

    pub(super) fn grant(description: &'static str) -> Self {
        Self::new("invalid_grant", description)
    }

    pub(super) fn scope(description: impl Into<Cow<'static, str>>) -> Self {
        Self::new("invalid_scope", description)
    }

    pub(super) fn client(description: &'static str) -> Self {
        Self { status: 401, ..Self::new("invalid_client", description) }
    }
}

impl From<Failure> for Answer {
    fn from(failure: Failure) -> Self {
        let is_unauthorized = failure.status == 401;
        let body = json!({"error": failure.error, "error_description": failure.description});
        let answer = Self::new(failure.status, Body::Json(body)).unstored();
        // RFC 6749 wants a challenge where `Authorization` was tried; RFC 9110 wants one with every 401.
        if is_unauthorized { answer.with(header::WWW_AUTHENTICATE, r#"Basic realm="OAuth""#) } else { answer }
    }
}
