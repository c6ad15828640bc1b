//! What servers answer to a device: the start of a sign-in, and whether its user has answered.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::poll::Said;
use crate::server::{
    SecretText,
    oauth::{Answer, AuthError, Stage, TokenAnswer, endpoint::https_or_loopback, refusal::printable, token_answer::lifetime},
};

/// Where the server says nothing (RFC 8628 §3.2).
const DEFAULT_INTERVAL: Duration = Duration::from_secs(5);
/// More characters than anybody types.
const MAX_USER_CODE: usize = 64;

#[derive(Deserialize)]
struct Raw {
    device_code: String,
    user_code: String,
    verification_uri: String,
    verification_uri_complete: Option<String>,
    expires_in: Value,
    interval: Option<Value>,
}

/// A sign-in that the server has begun.
pub(super) struct Started {
    pub(super) device_code: SecretText,
    pub(super) shown: Shown,
    pub(super) lifetime: Duration,
    pub(super) interval: Duration,
}

/// What the user is shown.
#[derive(Clone, Eq, PartialEq)]
pub(super) struct Shown {
    pub(super) user_code: String,
    pub(super) verification_uri: Url,
    pub(super) verification_uri_complete: Option<Url>,
}

impl Shown {
    /// `None` for a code that cannot be shown as it is.
    ///
    /// # Errors
    /// [`AuthError::Insecure`] and [`AuthError::Invalid`], which name the address.
    pub(super) fn new(user_code: String, uri: &str, complete: Option<&str>) -> Result<Option<Self>, AuthError> {
        let verification_uri = https_or_loopback("verification_uri", uri)?;
        let verification_uri_complete =
            complete.map(|complete| https_or_loopback("verification_uri_complete", complete)).transpose()?;
        let can_be_shown = !user_code.trim().is_empty() && printable(&user_code, MAX_USER_CODE) == user_code;
        Ok(can_be_shown.then_some(Self { user_code, verification_uri, verification_uri_complete }))
    }
}

pub(super) fn started(answer: &Answer) -> Result<Started, AuthError> {
    let Raw { device_code, user_code, verification_uri, verification_uri_complete, expires_in, interval } = answer.json()?;
    let device_code = SecretText::new(device_code);
    let shown = Shown::new(user_code, &verification_uri, verification_uri_complete.as_deref())?;
    let interval = match interval {
        None => DEFAULT_INTERVAL,
        Some(interval) => lifetime(&interval).ok_or_else(|| answer.protocol("holds an interval that is no number"))?,
    };
    Ok(Started {
        device_code: device_code.map_err(|_| answer.protocol("holds a device code that cannot travel in a request"))?,
        shown: shown.ok_or_else(|| answer.protocol("holds a user code that cannot be shown"))?,
        lifetime: lifetime(&expires_in).ok_or_else(|| answer.protocol("does not say when its code expires"))?,
        interval,
    })
}

/// Whether the user has answered.
pub(super) enum Verdict {
    Tokens(Box<TokenAnswer>),
    Waits(Said, Option<Duration>),
}

pub(super) fn verdict(answer: &Answer) -> Result<Verdict, AuthError> {
    if answer.is_success() {
        return Ok(Verdict::Tokens(Box::new(TokenAnswer::read(answer)?)));
    }
    match answer.refusal().as_ref().map(|refusal| refusal.code.as_str()) {
        Some("authorization_pending") => Ok(Verdict::Waits(Said::Pending, answer.retry_after())),
        Some("slow_down") => Ok(Verdict::Waits(Said::SlowDown, answer.retry_after())),
        Some("expired_token") => Err(AuthError::Expired { stage: Stage::DeviceAuthorization }),
        _ => Err(answer.error()),
    }
}
