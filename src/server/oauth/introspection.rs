//! What a server says of a token (RFC 7662, and the Developer API's own way).

use std::time::{Duration, SystemTime};

use reqwest::Method;
use serde::Deserialize;

use super::{AuthError, OAuthApp, Stage, TokenSet};
use crate::server::{
    Expose as _, Scope, ScopeSet,
    context::{self, Principal},
};

impl OAuthApp {
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
                _ => context::principal(answer.json()?)
                    .map(Introspection::of_principal)
                    .map_err(|problem| answer.protocol(problem)),
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

impl Introspection {
    fn of_standard(Standard { active, scope, exp }: Standard) -> Self {
        Self {
            is_active: active,
            scopes: scope.map(|names| known_scopes(names.split(' '))),
            expires_at: exp.and_then(|at| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(at as u64))),
            ..Self::default()
        }
    }

    fn of_principal(principal: Principal) -> Self {
        Self {
            is_active: true,
            scopes: Some(known_scopes(principal.scopes.iter().map(String::as_str))),
            expires_at: None,
            auth_type: Some(principal.auth_type),
            organization: principal.org_name.or(principal.org_id),
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
        // In the envelope of the Developer API's answers, and without it.
        for context in [context.clone(), json!({"data": context})] {
            let context = Introspection::of_principal(context::principal(context).unwrap());
            assert!(context.is_active());
            assert_eq!((context.auth_type(), context.organization()), (Some("oauth"), Some("7")));
            assert_eq!(context.scopes().unwrap().to_string(), "a b");
        }
    }
}
