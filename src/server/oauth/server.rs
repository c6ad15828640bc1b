//! [`AuthorizationServer`]: the addresses of a server and what it can do, from a preset, from its metadata, or from the caller.

use std::sync::Arc;

use url::Url;

use super::{
    AuthError, OAuthOptions,
    discovery::Discovery,
    endpoint::{self, Rules},
};
use crate::{
    Region,
    server::{Environment, ScopeSet},
};

/// An authorization server: where it is asked for what, and which hosts its tokens are for. Cheap to clone.
///
/// ```
/// use amplitude_sdk::{Region, server::oauth::AuthorizationServer};
///
/// assert_eq!(AuthorizationServer::mcp(Region::Eu).issuer(), "https://mcp.eu.amplitude.com");
/// ```
#[derive(Clone, Debug)]
pub struct AuthorizationServer(pub(super) Arc<Known>);

/// What is known of a server. What is `None` it does not have, or does not say.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    pub(super) issuer: String,
    pub(super) authorization: Option<Url>,
    pub(super) token: Option<Url>,
    pub(super) device: Option<Url>,
    pub(super) registration: Option<Url>,
    pub(super) revocation: Option<Url>,
    pub(super) introspection: Option<Url>,
    /// The Developer API's `GET /v1/context`, which tells a token's own scopes.
    pub(super) context: Option<Url>,
    /// The hosts that its tokens may be sent to.
    pub(super) hosts: Vec<String>,
    /// What tokens are asked for (RFC 8707) where the caller says nothing else.
    pub(super) resource: Option<String>,
    pub(super) scopes: Option<ScopeSet>,
    pub(super) pkce_methods: Option<Vec<String>>,
    pub(super) token_auth_methods: Option<Vec<String>>,
    pub(super) revocation_auth_methods: Option<Vec<String>>,
    pub(super) introspection_auth_methods: Option<Vec<String>>,
    /// It says that its callbacks tell who it is (RFC 9207).
    pub(super) sends_issuer: bool,
    pub(super) requires_pushed_requests: bool,
}

impl AuthorizationServer {
    /// The server of Amplitude's MCP endpoint, `https://mcp.amplitude.com` or `https://mcp.eu.amplitude.com`. Its tokens are for that host alone.
    #[must_use]
    pub fn mcp(region: Region) -> Self {
        let (issuer, host) = match region {
            Region::Us => ("https://mcp.amplitude.com", "mcp.amplitude.com"),
            Region::Eu => ("https://mcp.eu.amplitude.com", "mcp.eu.amplitude.com"),
        };
        Self::preset(Known {
            authorization: known(issuer, "/authorize"),
            token: known(issuer, "/token"),
            registration: known(issuer, "/register"),
            revocation: known(issuer, "/revoke"),
            hosts: vec![host.to_owned()],
            resource: Some(issuer.to_owned()),
            pkce_methods: Some(vec!["S256".to_owned()]),
            issuer: issuer.to_owned(),
            ..Known::default()
        })
    }

    /// Amplitude's sign-in server, `https://auth.amplitude.com` or `https://auth.eu.amplitude.com`, an Ory Hydra. Experimental: Amplitude's own
    /// tools use it, but its documentation for others was withdrawn. Its tokens were seen to open the Developer API and the MCP endpoint.
    #[must_use]
    pub fn hydra(region: Region) -> Self {
        let issuer = match region {
            Region::Us => "https://auth.amplitude.com",
            Region::Eu => "https://auth.eu.amplitude.com",
        };
        Self::preset(Known {
            authorization: known(issuer, "/oauth2/auth"),
            token: known(issuer, "/oauth2/token"),
            registration: known(issuer, "/oauth2/register"),
            hosts: bearer_hosts(region),
            issuer: issuer.to_owned(),
            ..Known::default()
        })
    }

    /// The Developer API, `https://developer-api.amplitude.com` or `https://developer-api.eu.amplitude.com`: a sign-in by device code, for a client
    /// without an id ([`super::OAuthClient::anonymous`]). Early access.
    #[must_use]
    pub fn developer_api(region: Region) -> Self {
        let (issuer, host) = match region {
            Region::Us => ("https://developer-api.amplitude.com", "developer-api.amplitude.com"),
            Region::Eu => ("https://developer-api.eu.amplitude.com", "developer-api.eu.amplitude.com"),
        };
        Self::preset(Known {
            device: known(issuer, "/v1/auth/device-authorization"),
            token: known(issuer, "/v1/auth/token"),
            context: known(issuer, "/v1/context"),
            hosts: vec![host.to_owned()],
            issuer: issuer.to_owned(),
            ..Known::default()
        })
    }

    /// The Developer API in the region that `AMPLITUDE_REGION` names, or below the address that `AMPLITUDE_BASE_URL` gives, e.g. an emulator's.
    ///
    /// # Errors
    /// [`AuthError::Insecure`] and [`AuthError::Invalid`], which name what is wrong.
    pub fn developer_api_from_env() -> Result<Self, AuthError> {
        Self::read_developer_api(Environment::of_process())
    }

    fn read_developer_api(environment: Environment<'_>) -> Result<Self, AuthError> {
        let region = environment.region().map_err(AuthError::Invalid)?.unwrap_or_default();
        let Some(base) = environment.text("AMPLITUDE_BASE_URL").map_err(AuthError::Invalid)? else {
            return Ok(Self::developer_api(region));
        };
        let base = base.trim_end_matches('/');
        let at = |path| [base, path].concat();
        Self::custom(base)
            .device_authorization_endpoint(at("/v1/auth/device-authorization"))
            .token_endpoint(at("/v1/auth/token"))
            .context_endpoint(at("/v1/context"))
            .build()
    }

    /// A server that is described by hand; [`AuthorizationServer::edit`] changes one that is known.
    ///
    /// ```
    /// use amplitude_sdk::server::oauth::AuthorizationServer;
    ///
    /// let server = AuthorizationServer::custom("https://login.example.com")
    ///     .authorization_endpoint("https://login.example.com/authorize")
    ///     .token_endpoint("https://login.example.com/token")
    ///     .host("api.example.com")
    ///     .build()?;
    /// # Ok::<(), amplitude_sdk::server::oauth::AuthError>(())
    /// ```
    pub fn custom(issuer: impl Into<String>) -> AuthorizationServerBuilder {
        AuthorizationServerBuilder { known: Known { issuer: issuer.into(), ..Known::default() }, endpoints: Vec::new() }
    }

    /// This server with changes.
    ///
    /// ```
    /// use amplitude_sdk::{Region, server::oauth::AuthorizationServer};
    ///
    /// let server = AuthorizationServer::hydra(Region::Us)
    ///     .edit()
    ///     .revocation_endpoint("https://auth.amplitude.com/oauth2/revoke")
    ///     .build()?;
    /// # Ok::<(), amplitude_sdk::server::oauth::AuthError>(())
    /// ```
    pub fn edit(&self) -> AuthorizationServerBuilder {
        AuthorizationServerBuilder { known: Known::clone(&self.0), endpoints: Vec::new() }
    }

    /// Asks a server for its metadata. [`Discovery`] does the same and remembers the answer.
    ///
    /// # Errors
    /// As [`Discovery::server`].
    pub async fn discover(issuer: &str, options: &OAuthOptions) -> Result<Self, AuthError> {
        Discovery::new(options)?.server(issuer).await
    }

    /// Its name: what its tokens are kept under, and what callbacks are compared with, byte for byte.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.0.issuer
    }

    /// The hosts that its tokens may be sent to.
    #[must_use]
    pub fn hosts(&self) -> &[String] {
        &self.0.hosts
    }

    /// The scopes that its metadata lists, if it lists any. There may be others.
    #[must_use]
    pub fn scopes(&self) -> Option<&ScopeSet> {
        self.0.scopes.as_ref()
    }

    fn preset(known: Known) -> Self {
        Self(Arc::new(known))
    }

    /// An endpoint that a call needs.
    pub(super) fn need<'a>(&'a self, url: &'a Option<Url>, name: &'static str) -> Result<&'a Url, AuthError> {
        url.as_ref().ok_or(AuthError::Unsupported { feature: name })
    }

    pub(crate) fn token_endpoint(&self) -> Result<&Url, AuthError> {
        self.need(&self.0.token, "token_endpoint")
    }

    pub(crate) fn device_endpoint(&self) -> Result<&Url, AuthError> {
        self.need(&self.0.device, "device_authorization_endpoint")
    }
}

/// The hosts of a region that take tokens of users: the Developer API and MCP.
pub(crate) fn bearer_hosts(region: Region) -> Vec<String> {
    let hosts = match region {
        Region::Us => ["developer-api.amplitude.com", "mcp.amplitude.com"],
        Region::Eu => ["developer-api.eu.amplitude.com", "mcp.eu.amplitude.com"],
    };
    hosts.map(str::to_owned).to_vec()
}

fn known(issuer: &str, path: &str) -> Option<Url> {
    Some(Url::parse(&[issuer, path].concat()).expect("the presets are URLs"))
}

/// Describes an [`AuthorizationServer`]. Endpoints are https, or http on loopback where the issuer is so; one that is not named does not exist.
#[derive(Clone, Debug)]
#[must_use]
pub struct AuthorizationServerBuilder {
    known: Known,
    endpoints: Vec<(&'static str, String)>,
}

macro_rules! endpoints {
    ($($(#[$doc:meta])* $method:ident => $field:ident;)*) => {
        impl AuthorizationServerBuilder {
            $(
                $(#[$doc])*
                pub fn $method(mut self, url: impl Into<String>) -> Self {
                    self.endpoints.push((stringify!($method), url.into()));
                    self
                }
            )*
        }

        impl Known {
            /// The field of an endpoint, by its name in the metadata.
            pub(super) fn endpoint(&mut self, name: &str) -> Option<&mut Option<Url>> {
                match name {
                    $(stringify!($method) => Some(&mut self.$field),)*
                    _ => None,
                }
            }
        }
    };
}

endpoints! {
    /// Where the user consents.
    authorization_endpoint => authorization;
    /// Where tokens are had.
    token_endpoint => token;
    /// Where a sign-in by device code begins (RFC 8628).
    device_authorization_endpoint => device;
    /// Where clients are registered (RFC 7591).
    registration_endpoint => registration;
    /// Where tokens are revoked (RFC 7009).
    revocation_endpoint => revocation;
    /// Where a token is explained (RFC 7662).
    introspection_endpoint => introspection;
    /// Where a token explains itself, as the Developer API's `GET /v1/context` does.
    context_endpoint => context;
}

impl AuthorizationServerBuilder {
    /// A host that its tokens may be sent to; they go nowhere else. Default, where none is named: the issuer's.
    pub fn host(mut self, host: impl Into<String>) -> Self {
        self.known.hosts.push(host.into());
        self
    }

    /// What its tokens are asked for (RFC 8707), where a client does not say it.
    pub fn resource(mut self, resource: impl Into<String>) -> Self {
        self.known.resource = Some(resource.into());
        self
    }

    /// Its callbacks tell who it is (RFC 9207): one that does not is refused.
    pub fn sends_issuer(mut self, does: bool) -> Self {
        self.known.sends_issuer = does;
        self
    }

    /// Checks what was described.
    ///
    /// # Errors
    /// [`AuthError::Insecure`] and [`AuthError::Invalid`], which name the address that is wrong.
    pub fn build(self) -> Result<AuthorizationServer, AuthError> {
        let Self { mut known, endpoints } = self;
        let issuer = endpoint::issuer(&known.issuer)?;
        let rules = Rules::of(&issuer);
        if known.hosts.is_empty() {
            known.hosts.extend(issuer.host_str().map(str::to_owned));
        }
        for (name, url) in endpoints {
            let url = rules.endpoint(name, &url)?;
            known.endpoint(name).expect("a method sets it").replace(url);
        }
        if let Some(resource) = &known.resource {
            endpoint::verbatim("resource", resource)?;
        }
        for host in &mut known.hosts {
            *host = endpoint::host_name(host).map_err(AuthError::Invalid)?;
        }
        Ok(AuthorizationServer(Arc::new(known)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t_r12_a_region_fixes_issuer_endpoints_and_hosts_together() {
        for preset in [AuthorizationServer::mcp, AuthorizationServer::hydra, AuthorizationServer::developer_api] {
            let (us, eu) = (preset(Region::Us), preset(Region::Eu));
            assert_ne!(us.issuer(), eu.issuer());
            assert!(us.hosts().iter().all(|host| !host.contains(".eu.")), "{us:?}");
            assert!(eu.hosts().iter().all(|host| host.contains(".eu.")), "{eu:?}");
            let urls = |server: &AuthorizationServer| {
                let Known { authorization, token, device, registration, revocation, context, .. } = Known::clone(&server.0);
                [authorization, token, device, registration, revocation, context].into_iter().flatten().collect::<Vec<_>>()
            };
            assert!(urls(&eu).iter().all(|url| url.host_str().unwrap().contains(".eu.")), "{eu:?}");
            assert_eq!(urls(&us).len(), urls(&eu).len());
        }
    }

    #[test]
    fn the_developer_api_of_an_environment_is_that_of_its_region_or_below_its_address() {
        let read = |variables: &'static [(&str, &str)]| {
            let lookup = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, text)| (*text).into());
            AuthorizationServer::read_developer_api(Environment::of(&lookup))
        };
        assert_eq!(read(&[]).unwrap().issuer(), "https://developer-api.amplitude.com");
        let eu = read(&[("AMPLITUDE_REGION", "eu")]).unwrap();
        assert_eq!(eu.hosts(), ["developer-api.eu.amplitude.com"]);
        for base in ["http://127.0.0.1:8787/eu", "http://127.0.0.1:8787/eu/"] {
            let lookup = |name: &str| (name == "AMPLITUDE_BASE_URL").then(|| base.into());
            let emulator = AuthorizationServer::read_developer_api(Environment::of(&lookup)).unwrap();
            assert_eq!((emulator.issuer(), emulator.hosts()), ("http://127.0.0.1:8787/eu", &["127.0.0.1".to_owned()][..]));
            assert_eq!(emulator.token_endpoint().unwrap().as_str(), "http://127.0.0.1:8787/eu/v1/auth/token");
            assert!(emulator.device_endpoint().is_ok() && emulator.0.context.is_some());
        }
        assert!(matches!(read(&[("AMPLITUDE_BASE_URL", "http://a.example")]), Err(AuthError::Insecure { .. })));
        assert!(read(&[("AMPLITUDE_REGION", "mars")]).unwrap_err().to_string().starts_with("AMPLITUDE_REGION: "));
    }

    #[test]
    fn what_is_wrong_with_a_description_is_named() {
        let insecure = AuthorizationServer::custom("https://a.example").token_endpoint("http://a.example/token").build();
        assert!(matches!(insecure, Err(AuthError::Insecure { what: "token_endpoint" })));
        let insecure = AuthorizationServer::custom("http://a.example").build();
        assert!(matches!(insecure, Err(AuthError::Insecure { what: "issuer" })));
        for host in ["https://a.example", "a.example:443", "a.example/x", ""] {
            let error = AuthorizationServer::custom("https://a.example").host(host).build().unwrap_err();
            assert!(error.to_string().starts_with("host: "), "{host}: {error}");
        }
        let server = AuthorizationServer::custom("https://a.example").host("API.Example").build().unwrap();
        assert_eq!(server.hosts(), ["api.example"]);
        assert!(matches!(server.token_endpoint(), Err(AuthError::Unsupported { feature: "token_endpoint" })));
    }
}
