//! [`TokenAnswer`]: what a token endpoint answers (RFC 6749 §5.1), whatever it was asked with, and the tokens that it makes.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::{AuthError, TokenSet, http::Answer};
use crate::server::{AccessToken, IdToken, RefreshToken, ScopeSet};

/// No token lives longer than this; it keeps sums of times within their types.
const LONGEST: u64 = 100 * 365 * 24 * 60 * 60;

/// What a token endpoint answered.
#[derive(Debug)]
pub(crate) struct TokenAnswer {
    pub(crate) access: AccessToken,
    /// `None` in answer to a refresh: the old one stays.
    pub(crate) refresh: Option<RefreshToken>,
    pub(crate) id_token: Option<IdToken>,
    /// `None`: as asked for, or in answer to a refresh, as before.
    pub(crate) granted: Option<ScopeSet>,
    pub(crate) lifetime: Option<Duration>,
}

#[derive(Deserialize)]
struct Raw {
    access_token: String,
    token_type: String,
    expires_in: Option<Value>,
    refresh_token: Option<String>,
    id_token: Option<String>,
    scope: Option<String>,
}

impl TokenAnswer {
    /// # Errors
    /// As [`Answer::json`], and [`AuthError::Protocol`] for tokens that cannot be used.
    pub(crate) fn read(answer: &Answer) -> Result<Self, AuthError> {
        let Raw { access_token, token_type, expires_in, refresh_token, id_token, scope } = answer.json()?;
        // First, so that what is refused below is overwritten, too.
        let access = AccessToken::new(access_token);
        let filled = |text: &String| !text.is_empty();
        let refresh = refresh_token.filter(filled).map(RefreshToken::new).transpose();
        let id_token = id_token.filter(filled).map(IdToken::new).transpose();
        if !token_type.eq_ignore_ascii_case("bearer") {
            return Err(answer.protocol("holds a token that is not a bearer token"));
        }
        let unusable = |_| answer.protocol("holds a token that cannot travel in a request");
        Ok(Self {
            access: access.map_err(unusable)?,
            refresh: refresh.map_err(unusable)?,
            id_token: id_token.map_err(unusable)?,
            granted: scope
                .map(|scope| scope.parse::<ScopeSet>().map_err(|_| answer.protocol("holds a scope that is none")))
                .transpose()?,
            lifetime: expires_in.as_ref().and_then(lifetime),
        })
    }

    /// The tokens of a first answer. `asked_at` is the Unix time from before the request, so that no lifetime is counted too long.
    pub(crate) fn first(self, requested: ScopeSet, asked_at: u64) -> TokenSet {
        TokenSet {
            access: self.access,
            refresh: self.refresh,
            id_token: self.id_token,
            granted: self.granted.unwrap_or_else(|| requested.clone()),
            requested,
            obtained_at: asked_at,
            expires_at: self.lifetime.map(|lifetime| asked_at.saturating_add(lifetime.as_secs())),
            generation: 0,
            unknown: serde_json::Map::new(),
        }
    }

    /// The tokens of an answer to a refresh: what it leaves out stays as it was. `asked_at` as above.
    pub(crate) fn next(self, before: &TokenSet, asked_at: u64) -> TokenSet {
        let next = self.first(before.granted.clone(), asked_at);
        TokenSet {
            refresh: next.refresh.or_else(|| before.refresh.clone()),
            id_token: next.id_token.or_else(|| before.id_token.clone()),
            requested: before.requested.clone(),
            generation: before.generation,
            unknown: before.unknown.clone(),
            ..next
        }
    }
}

/// Seconds as a number, or as the text of one, as some servers have it. Less than none is none; what is no number says nothing.
pub(super) fn lifetime(value: &Value) -> Option<Duration> {
    let seconds = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse::<f64>().ok().filter(|seconds| seconds.is_finite())?,
        _ => return None,
    };
    // `as` keeps within the type's bounds.
    Some(Duration::from_secs((seconds as u64).min(LONGEST)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::server::clock::unix_seconds;

    #[test]
    fn t_b4_a_lifetime_is_seconds_and_nothing_that_overflows() {
        for (value, expected) in [
            (json!(3600), Some(3600)),
            (json!(0), Some(0)),
            (json!(-5), Some(0)),
            (json!(1.9), Some(1)),
            (json!("3600"), Some(3600)),
            (json!(u64::MAX), Some(LONGEST)),
            (json!(1e300), Some(LONGEST)),
            (json!("1e999"), None),
            (json!("NaN"), None),
            (json!("soon"), None),
            (json!(null), None),
            (json!({}), None),
            (json!(true), None),
        ] {
            assert_eq!(lifetime(&value), expected.map(Duration::from_secs), "{value}");
        }
        // What is kept can be shown.
        let answer = TokenAnswer {
            access: AccessToken::new("t").unwrap(),
            refresh: None,
            id_token: None,
            granted: None,
            lifetime: lifetime(&json!(u64::MAX)),
        };
        assert!(answer.first(ScopeSet::new(), unix_seconds()).expires_at().is_some());
    }
}
