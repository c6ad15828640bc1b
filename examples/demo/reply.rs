//! What is answered where something does not work: JSON with a sentence that the page can show.

use std::error::Error as StdError;

use amplitude_sdk::{Error, ErrorKind};
use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::json;

pub(crate) fn refusal(status: StatusCode, kind: &str, message: &str) -> Response {
    (status, Json(json!({"error": {"kind": kind, "message": message}}))).into_response()
}

/// What a call of Amplitude's came to; `unauthorized` is the status where the credential did not do.
pub(crate) fn failed(error: &Error, unauthorized: StatusCode) -> Response {
    let status = match error.kind() {
        ErrorKind::Invalid => StatusCode::BAD_REQUEST,
        ErrorKind::Unauthorized => unauthorized,
        ErrorKind::Timeout => StatusCode::GATEWAY_TIMEOUT,
        _ => StatusCode::BAD_GATEWAY,
    };
    refusal(status, error.kind().as_str(), &with_causes(error))
}

/// An error with what is behind it.
pub(crate) fn with_causes(error: &dyn StdError) -> String {
    let all = std::iter::successors(Some(error), |&error| error.source());
    all.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
