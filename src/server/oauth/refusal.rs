//! What a server says of its refusal, made safe to show, and which error that is.

use std::time::Duration;

use serde::Deserialize;

use super::{AuthError, Reauth, Stage, sent::SentSecrets};
use crate::server::ScopeSet;

/// An error as RFC 6749 §5.2 has it.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Refusal {
    /// Empty where the server gave none that can be shown.
    pub(crate) code: String,
    /// Its description, and the hint that Ory's servers put beside it.
    pub(crate) description: Option<String>,
}

/// Only text counts: what has another type says nothing.
#[derive(Deserialize)]
struct Raw {
    error: String,
    error_description: Option<serde_json::Value>,
    error_hint: Option<serde_json::Value>,
}

impl Refusal {
    /// `sent`: what it may not repeat.
    pub(super) fn parse(json: &str, sent: &SentSecrets) -> Option<Self> {
        let raw: Raw = serde_json::from_str(json).ok()?;
        let parts = [&raw.error_description, &raw.error_hint];
        let parts = parts.iter().filter_map(|part| part.as_ref()?.as_str()).filter(|part| !part.is_empty() && !sent.are_in(part));
        let code = if sent.are_in(&raw.error) { "" } else { &raw.error };
        Some(Self::new(code, parts.collect::<Vec<_>>().join(" ").as_str()))
    }

    /// The error that it is: the one place where codes get their meaning.
    pub(super) fn error(self, stage: Stage, retry_after: Option<Duration>) -> AuthError {
        let Self { code, description } = self;
        match (code.as_str(), stage) {
            ("invalid_grant", Stage::Refresh) => AuthError::ReauthRequired(Reauth::GrantRefused),
            ("invalid_client" | "unauthorized_client", _) => AuthError::ClientRejected { code },
            ("server_error" | "temporarily_unavailable" | "slow_down", _) => {
                AuthError::Transient { stage, retry_after, source: None }
            }
            // Who asked for them adds them.
            ("invalid_scope", _) => AuthError::ScopeRefused { asked: ScopeSet::new() },
            ("unsupported_grant_type", _) => AuthError::Unsupported { feature: "this grant, by the server" },
            ("unsupported_token_type", _) => AuthError::Unsupported { feature: "the revocation of such a token, by the server" },
            _ => AuthError::Denied { code, description },
        }
    }

    /// From texts that nobody has checked.
    pub(super) fn new(code: &str, description: &str) -> Self {
        let description = printable(description, 500);
        Self { code: printable(code, 64), description: Some(description).filter(|text| !text.is_empty()) }
    }
}

impl AuthError {
    /// With the scopes that were asked for, where these were refused.
    pub(crate) fn asking(self, scopes: &ScopeSet) -> Self {
        match self {
            Self::ScopeRefused { .. } => Self::ScopeRefused { asked: scopes.clone() },
            other => other,
        }
    }
}

/// Without characters that steer a terminal or hide text, and no longer than that many.
pub(super) fn printable(text: &str, max: usize) -> String {
    text.chars().filter(|&char| !char.is_control() && !is_format(char)).take(max).collect()
}

/// Unicode's categories Cf, Zl and Zp.
fn is_format(char: char) -> bool {
    matches!(char,
        '\u{ad}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{890}'..='\u{891}' | '\u{8e2}' | '\u{180e}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
        | '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{1343f}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0001}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t_r13_what_a_server_says_cannot_steer_a_terminal() {
        let json = r#"{"error":"access\u001b[2J_denied","error_description":"no\u001b]0;x\u0007\u202e\u2028\u200b\ufeff","error_hint":"ask\nagain"}"#;
        let refusal = Refusal::parse(json, &SentSecrets::default()).unwrap();
        assert_eq!(refusal.code, "access[2J_denied");
        assert_eq!(refusal.description.unwrap(), "no]0;x askagain");
    }

    #[test]
    fn t_r13_it_is_capped_by_characters_and_not_by_bytes() {
        let json = serde_json::json!({"error": "e".repeat(1000), "error_description": "\u{fc}".repeat(1000)}).to_string();
        let refusal = Refusal::parse(&json, &SentSecrets::default()).unwrap();
        assert_eq!((refusal.code.len(), refusal.description.unwrap().chars().count()), (64, 500));
    }

    #[test]
    fn what_is_no_text_says_nothing() {
        let parse = |json| Refusal::parse(json, &SentSecrets::default());
        assert_eq!(parse(r#"{"error":"x","error_description":7,"error_hint":null}"#), Some(Refusal::new("x", "")));
        for none in ["{}", "[]", "null", "", "<html>", r#"{"error":{"code":"x"}}"#] {
            assert_eq!(parse(none), None, "{none}");
        }
    }
}
