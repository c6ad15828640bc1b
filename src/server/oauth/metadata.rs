//! The documents that servers (RFC 8414 §2) and resources (RFC 9728 §2) publish: what of them is of use here.

use std::sync::Arc;

use serde::{Deserialize, Deserializer};
use url::Url;

use super::{AuthError, AuthorizationServer, endpoint::Rules, server::Known};
use crate::server::{Scope, ScopeSet};

#[derive(Deserialize)]
pub(super) struct ServerDocument {
    pub(super) issuer: String,
    authorization_endpoint: Option<String>,
    token_endpoint: Option<String>,
    device_authorization_endpoint: Option<String>,
    registration_endpoint: Option<String>,
    revocation_endpoint: Option<String>,
    introspection_endpoint: Option<String>,
    #[serde(default, deserialize_with = "scopes")]
    scopes_supported: Option<ScopeSet>,
    code_challenge_methods_supported: Option<Vec<String>>,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    revocation_endpoint_auth_methods_supported: Option<Vec<String>>,
    introspection_endpoint_auth_methods_supported: Option<Vec<String>>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
    #[serde(default)]
    require_pushed_authorization_requests: bool,
}

impl ServerDocument {
    /// Checks the endpoints; the issuer was compared with `url` before.
    pub(super) fn server(self, url: &Url) -> Result<AuthorizationServer, AuthError> {
        let rules = Rules::of(url);
        let mut known = Known {
            issuer: self.issuer,
            hosts: url.host_str().map(str::to_owned).into_iter().collect(),
            scopes: self.scopes_supported,
            pkce_methods: self.code_challenge_methods_supported,
            token_auth_methods: self.token_endpoint_auth_methods_supported,
            revocation_auth_methods: self.revocation_endpoint_auth_methods_supported,
            introspection_auth_methods: self.introspection_endpoint_auth_methods_supported,
            sends_issuer: self.authorization_response_iss_parameter_supported,
            requires_pushed_requests: self.require_pushed_authorization_requests,
            ..Known::default()
        };
        for (name, url) in [
            ("authorization_endpoint", self.authorization_endpoint),
            ("token_endpoint", self.token_endpoint),
            ("device_authorization_endpoint", self.device_authorization_endpoint),
            ("registration_endpoint", self.registration_endpoint),
            ("revocation_endpoint", self.revocation_endpoint),
            ("introspection_endpoint", self.introspection_endpoint),
        ] {
            let Some(url) = url else { continue };
            known.endpoint(name).expect("each has its field").replace(rules.endpoint(name, &url)?);
        }
        Ok(AuthorizationServer(Arc::new(known)))
    }
}

#[derive(Deserialize)]
pub(super) struct ResourceDocument {
    pub(super) resource: String,
    #[serde(default)]
    pub(super) authorization_servers: Vec<String>,
    #[serde(default, deserialize_with = "scopes")]
    pub(super) scopes_supported: Option<ScopeSet>,
}

/// What is no scope in a list cannot be asked for, and so is not of use.
fn scopes<'de, D: Deserializer<'de>>(list: D) -> Result<Option<ScopeSet>, D::Error> {
    let names = Option::<Vec<String>>::deserialize(list)?;
    Ok(names.map(|names| names.into_iter().filter_map(|name| Scope::new(name).ok()).collect()))
}
