//! `Client::context`: who a token of the Developer API acts for, and what it may do.
//!
//! Source: "Developer API", amplitude.com/docs, and its published description, read 2026-03-13.

use reqwest::Method;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::{
    CanBearer, Client, Credential, Scope, ScopeSet,
    api::Api,
    call::Call,
    client::{Pace, status_error},
    scope,
};
use crate::{Error, ErrorKind, Result};

/// Where the Developer API answers whom a token acts for.
pub(super) const PATH: &str = "/v1/context";

/// What is longer is not Amplitude's answer.
const MAX_ANSWER_BYTES: usize = 256 << 10;

/// Who a token acts for.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct TokenContext {
    /// The user, or the service account.
    pub login_id: Option<String>,
    /// The organization's id.
    pub org_id: Option<String>,
    /// The organization's name.
    pub org_name: Option<String>,
    /// How the server recognised the token: `oauth`, `pat`, `service_account`, `api_key`, or what comes later.
    pub auth_type: String,
    /// What it may do.
    pub scopes: ScopeSet,
}

/// What the answer says, before its scopes are read.
#[derive(Deserialize)]
pub(super) struct Principal {
    #[serde(default, deserialize_with = "text")]
    pub(super) login_id: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub(super) org_id: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub(super) org_name: Option<String>,
    pub(super) auth_type: String,
    #[serde(default)]
    pub(super) scopes: Vec<String>,
}

impl<C: Credential> Client<C> {
    /// Asks the Developer API who the client's token acts for, and with which scopes.
    ///
    /// ```no_run
    /// use amplitude_sdk::server::{Client, PersonalAccessToken, scope};
    ///
    /// # async fn run() -> amplitude_sdk::Result<()> {
    /// let client = Client::new(PersonalAccessToken::from_env()?)?;
    /// let context = client.context().await?;
    /// assert!(context.scopes.contains(&scope::PROJECTS_READ));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Unauthorized`] for a token that the server refuses, that has too few scopes, or that is not for this host;
    /// [`ErrorKind::Throttled`], [`ErrorKind::Status`], [`ErrorKind::Protocol`], [`ErrorKind::Transport`] and [`ErrorKind::Timeout`] by what
    /// happens on the way.
    pub async fn context(&self) -> Result<TokenContext>
    where
        C: CanBearer,
    {
        let call =
            Call { api: Api::Developer, method: Method::GET, path: PATH, pace: Pace::Quick, scope: Some(&scope::PROJECTS_READ) };
        let answer = self.call(call, |request| request).await?;
        if answer.response.status().as_u16() != 200 {
            return Err(status_error(&answer.response));
        }
        read(&self.core.read(answer, MAX_ANSWER_BYTES).await?)
    }
}

fn read(body: &str) -> Result<TokenContext> {
    let broken = |problem| Error::new(ErrorKind::Protocol, ["context: the answer ", problem].concat());
    let answer = serde_json::from_str(body).map_err(|_| broken("is not JSON"))?;
    let Principal { login_id, org_id, org_name, auth_type, scopes } = principal(answer).map_err(broken)?;
    let scopes: Result<ScopeSet> = scopes.into_iter().map(Scope::new).collect();
    Ok(TokenContext { login_id, org_id, org_name, auth_type, scopes: scopes.map_err(|_| broken("holds text that is no scope"))? })
}

/// Reads an answer; the error says what is wrong with it.
pub(super) fn principal(mut answer: Value) -> Result<Principal, &'static str> {
    // The published description shows it both with and without the envelope of the other answers.
    let mut inner = answer.get_mut("data").map(Value::take).unwrap_or(answer);
    let principal = inner.get_mut("principal").map(Value::take).ok_or("names no principal")?;
    serde_json::from_value(principal).map_err(|_| "has a principal of another shape")
}

/// Ids are numbers or texts.
fn text<'de, D: Deserializer<'de>>(value: D) -> Result<Option<String>, D::Error> {
    Ok(match Value::deserialize(value)? {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_may_be_numbers_and_the_envelope_may_be_missing() {
        let principal =
            r#"{"principal":{"login_id":"a@example.com","org_id":7,"org_name":null,"auth_type":"pat","scopes":["a:b"]}}"#;
        for body in [principal.to_owned(), format!(r#"{{"data":{principal}}}"#)] {
            let context = read(&body).unwrap();
            assert_eq!((context.login_id.as_deref(), context.org_id.as_deref()), (Some("a@example.com"), Some("7")));
            assert_eq!((context.org_name, context.scopes.to_string()), (None, "a:b".to_owned()));
        }
        for bad in ["", "[]", "{}", r#"{"principal":1}"#, r#"{"principal":{"auth_type":"x","scopes":["a b"]}}"#] {
            assert_eq!(read(bad).unwrap_err().kind(), ErrorKind::Protocol, "{bad}");
        }
    }
}
