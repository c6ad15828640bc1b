//! The end of tokens (RFC 7009), and what a server says of one (RFC 7662, and the Developer API's own way).

use std::time::{Duration, SystemTime};

use reqwest::Method;
use serde::Deserialize;
use serde_json::Value;

use super::{AuthError, OAuthApp, Stage, TokenSet};
use crate::server::{AuthEvent, Expose as _, Scope, ScopeSet};

impl OAuthApp {
    /// Has the server forget tokens (RFC 7009): the refresh token, with which a good server ends the access token too, and then the access token
    /// itself. Forget them on this side also when this fails.
    ///
    /// # Errors
    /// [`AuthError::Unsupported`] where the server revokes nothing, or nothing of a client without a secret; [`AuthError::Transient`] when the
    /// tokens are still valid and this is to be repeated; as [`OAuthApp::refresh`].
    pub async fn revoke(&self, tokens: &TokenSet) -> Result<(), AuthError> {
        let done = self.ask_revocation(tokens).await;
        self.http().observers().tell(&AuthEvent::Revoked { issuer: self.server().issuer(), by_server: done.is_ok() });
        done
    }

    pub(super) async fn ask_revocation(&self, tokens: &TokenSet) -> Result<(), AuthError> {
        if let Some(token) = &tokens.refresh {
            self.revoke_one(token.expose(), "refresh_token").await?;
        }
        match self.revoke_one(tokens.access.expose(), "access_token").await {
            // It ends with the refresh token, or at its time.
            Err(AuthError::Unsupported { .. }) if tokens.refresh.is_some() => Ok(()),
            done => done,
        }
    }

    async fn revoke_one(&self, token: &str, hint: &str) -> Result<(), AuthError> {
        let known = &*self.server().0;
        let endpoint = self.server().need(&known.revocation, "revocation_endpoint")?;
        let form = [("token", token), ("token_type_hint", hint)];
        let answer = self.form(Stage::Revocation, endpoint, known.revocation_auth_methods.as_deref(), &form).await?;
        if answer.rejects_client() && self.client().is_public() {
            return Err(AuthError::Unsupported { feature: "revocation for a client without a secret, by the server" });
        }
        answer.success()
    }

    /// Asks the server what an access token is: at its introspection endpoint, or, at the Developer API, with the token itself.
    ///
    /// # Errors
    /// [`AuthError::Unsupported`] where the server has neither, and as [`OAuthApp::refresh`].
    pub async fn introspect(&self, tokens: &TokenSet) -> Result<Introspection, AuthError> {
        let known = &*self.server().0;
        let token = tokens.access.expose();
        if let Some(url) = &known.context {
            let answer = self.http().bearer(Stage::Introspection, Method::GET, url, Some(token), None).await?;
            return match answer.status() {
                401 => Ok(Introspection::default()),
                _ => Ok(Introspection::of_context(answer.json()?)),
            };
        }
        let endpoint = self.server().need(&known.introspection, "introspection_endpoint")?;
        let form = [("token", token), ("token_type_hint", "access_token")];
        let answer = self.form(Stage::Introspection, endpoint, known.introspection_auth_methods.as_deref(), &form).await?;
        Ok(Introspection::of_standard(answer.json()?))
    }
}

/// What a server says of an access token.
#[derive(Clone, Debug, Default)]
pub struct Introspection {
    is_active: bool,
    scopes: Option<ScopeSet>,
    expires_at: Option<SystemTime>,
    auth_type: Option<String>,
    organization: Option<String>,
}

#[derive(Deserialize)]
struct Standard {
    active: bool,
    scope: Option<String>,
    /// RFC 7519 §2 allows fractions of seconds.
    exp: Option<f64>,
}

#[derive(Deserialize)]
struct Context {
    principal: Principal,
}

#[derive(Deserialize)]
struct Principal {
    auth_type: Option<String>,
    org_name: Option<String>,
    org_id: Option<Value>,
    #[serde(default)]
    scopes: Vec<String>,
}

impl Introspection {
    fn of_standard(Standard { active, scope, exp }: Standard) -> Self {
        Self {
            is_active: active,
            scopes: scope.map(|names| known_scopes(names.split(' '))),
            expires_at: exp.and_then(|at| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(at as u64))),
            ..Self::default()
        }
    }

    fn of_context(Context { principal }: Context) -> Self {
        let id = principal.org_id.map(|id| id.as_str().map_or_else(|| id.to_string(), str::to_owned));
        Self {
            is_active: true,
            scopes: Some(known_scopes(principal.scopes.iter().map(String::as_str))),
            expires_at: None,
            auth_type: principal.auth_type,
            organization: principal.org_name.or(id),
        }
    }

    /// Whether it gives access now.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.is_active
    }

    /// Its scopes, where the server tells.
    #[must_use]
    pub fn scopes(&self) -> Option<&ScopeSet> {
        self.scopes.as_ref()
    }

    /// When it expires, where the server tells.
    #[must_use]
    pub fn expires_at(&self) -> Option<SystemTime> {
        self.expires_at
    }

    /// What kind of credential it is, as the Developer API names it: `oauth`, `pat`, `service_account`, `api_key`.
    #[must_use]
    pub fn auth_type(&self) -> Option<&str> {
        self.auth_type.as_deref()
    }

    /// The name of its organization, or its number, as the Developer API tells.
    #[must_use]
    pub fn organization(&self) -> Option<&str> {
        self.organization.as_deref()
    }
}

fn known_scopes<'a>(names: impl Iterator<Item = &'a str>) -> ScopeSet {
    names.filter_map(|name| Scope::new(name).ok()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn both_ways_to_ask_tell_the_same() {
        let standard = json!({"active": true, "scope": "b a", "exp": 5.9, "client_id": "x"});
        let standard = Introspection::of_standard(serde_json::from_value(standard).unwrap());
        assert_eq!(standard.scopes().unwrap().to_string(), "a b");
        assert_eq!(standard.expires_at(), Some(SystemTime::UNIX_EPOCH + Duration::from_secs(5)));
        let inactive = Introspection::of_standard(serde_json::from_value(json!({"active": false})).unwrap());
        assert!(standard.is_active() && !inactive.is_active() && inactive.scopes().is_none());

        let context =
            json!({"principal": {"login_id": "a@b.example", "org_id": 7, "auth_type": "oauth", "scopes": ["b", "a", "n o"]}});
        let context = Introspection::of_context(serde_json::from_value(context).unwrap());
        assert!(context.is_active());
        assert_eq!((context.auth_type(), context.organization()), (Some("oauth"), Some("7")));
        assert_eq!(context.scopes().unwrap().to_string(), "a b");
    }
}
