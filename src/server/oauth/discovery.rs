//! [`Discovery`]: what servers (RFC 8414, OpenID Connect Discovery) and resources (RFC 9728) say of themselves.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use url::Url;

use super::{
    AuthError, AuthorizationServer, OAuthOptions, Stage,
    endpoint::{self, Rules},
    http::{Answer, OAuthHttp},
    metadata::{ResourceDocument, ServerDocument},
};
use crate::{
    Error,
    promise::lock,
    server::{ScopeSet, challenge::Challenge},
};

/// The longest that an answer is believed.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// More servers than this nobody talks to; the oldest is forgotten.
const MAX_SERVERS: usize = 64;

/// Asks servers and resources what they say of themselves, and remembers what servers say. Cheap to clone; clones share their memory.
///
/// ```no_run
/// use amplitude_sdk::server::oauth::{Discovery, OAuthOptions};
///
/// # async fn run() -> Result<(), amplitude_sdk::server::oauth::AuthError> {
/// let discovery = Discovery::new(&OAuthOptions::new())?;
/// let resource = discovery.resource("https://mcp.amplitude.com/mcp").await?;
/// let server = discovery.server(resource.authorization_server()).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Discovery {
    http: OAuthHttp,
    max_age: Duration,
    known: Arc<Mutex<HashMap<String, (Instant, AuthorizationServer)>>>,
}

/// What a resource says of itself.
#[derive(Clone, Debug)]
pub struct ProtectedResource {
    resource: String,
    authorization_server: String,
    scopes: Option<ScopeSet>,
}

impl ProtectedResource {
    /// Its name, for [`super::OAuthAppBuilder::resource`].
    #[must_use]
    pub fn resource(&self) -> &str {
        &self.resource
    }

    /// The issuer of its tokens: the first one that it names, for [`Discovery::server`].
    #[must_use]
    pub fn authorization_server(&self) -> &str {
        &self.authorization_server
    }

    /// The scopes that it lists, if it lists any.
    #[must_use]
    pub fn scopes(&self) -> Option<&ScopeSet> {
        self.scopes.as_ref()
    }
}

impl Discovery {
    /// Remembers nothing yet, and believes a server's answer for a day.
    ///
    /// # Errors
    /// [`AuthError::Invalid`] that names the option that is wrong; [`AuthError::System`] when the system gives no thread.
    pub fn new(options: &OAuthOptions) -> Result<Self, AuthError> {
        Ok(Self { http: OAuthHttp::new(options)?, max_age: DAY, known: Arc::default() })
    }

    /// How long a server's answer is believed. Default, and the longest: a day.
    #[must_use]
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = age.min(DAY);
        self
    }

    /// What a server says of itself, or said within the last day. `issuer` is compared with what it calls itself, byte for byte: a slash at the end
    /// matters. Its endpoints must be https, and at no private address where the issuer is at none; its tokens are for the issuer's host,
    /// unless [`AuthorizationServer::edit`] adds others.
    ///
    /// # Errors
    /// [`AuthError::Insecure`] and [`AuthError::Invalid`] for a wrong issuer or endpoint, [`AuthError::Protocol`] for an answer that is none or
    /// of another issuer, [`AuthError::Transient`] and [`AuthError::Tls`].
    pub async fn server(&self, issuer: &str) -> Result<AuthorizationServer, AuthError> {
        if let Some((asked, server)) = lock(&self.known).get(issuer)
            && asked.elapsed() < self.max_age
        {
            return Ok(server.clone());
        }
        let url = endpoint::issuer(issuer)?;
        let asked = Instant::now();
        let answer = self.first(&server_locations(&url)).await?;
        let document: ServerDocument = answer.json()?;
        if document.issuer != issuer {
            return Err(answer.protocol("names another issuer"));
        }
        let server = document.server(&url)?;
        let mut known = lock(&self.known);
        if known.len() >= MAX_SERVERS && !known.contains_key(issuer) {
            let oldest = known.iter().min_by_key(|(_, (asked, _))| *asked).map(|(issuer, _)| issuer.clone());
            oldest.and_then(|oldest| known.remove(&oldest));
        }
        known.insert(issuer.to_owned(), (asked, server.clone()));
        Ok(server)
    }

    /// What a resource says of itself, e.g. `https://mcp.amplitude.com/mcp`. What it calls itself must be of the same origin and begin the
    /// path: Amplitude's calls itself by its origin alone. The server that it names is at no private address where the resource is at none.
    ///
    /// # Errors
    /// As [`Discovery::server`].
    pub async fn resource(&self, url: &str) -> Result<ProtectedResource, AuthError> {
        let url = endpoint::https_or_loopback("resource", url)?;
        let mut locations = vec![well_known(&url, "oauth-protected-resource", url.path())];
        locations.push(well_known(&url, "oauth-protected-resource", ""));
        locations.dedup();
        read_resource(&url, &self.first(&locations).await?)
    }

    /// The same, from the `WWW-Authenticate` header with which the resource refused a request (401). The address in it must be of the same
    /// origin.
    ///
    /// # Errors
    /// As [`Discovery::resource`]; [`AuthError::Invalid`] for a header without such an address, or with one of another origin.
    pub async fn resource_of_challenge(&self, url: &str, www_authenticate: &str) -> Result<ProtectedResource, AuthError> {
        let url = endpoint::https_or_loopback("resource", url)?;
        let challenge = Challenge::bearer(www_authenticate);
        let location = challenge.as_ref().and_then(|challenge| challenge.parameter("resource_metadata"));
        let invalid = |problem| AuthError::Invalid(Error::at("resource_metadata", problem));
        let location = location.ok_or_else(|| invalid("is not in the challenge"))?;
        let location = endpoint::https_or_loopback("resource_metadata", location)?;
        if location.origin() != url.origin() {
            return Err(invalid("is of another origin than the resource"));
        }
        read_resource(&url, &self.http.get(Stage::Discovery, &location).await?)
    }

    /// The first location where there is something. One that answers that there is nothing leads to the next; no other failure does.
    async fn first(&self, locations: &[Url]) -> Result<Answer, AuthError> {
        let mut answer = self.http.get(Stage::Discovery, &locations[0]).await?;
        for location in &locations[1..] {
            if !matches!(answer.status(), 400..=407 | 410) {
                break;
            }
            answer = self.http.get(Stage::Discovery, location).await?;
        }
        Ok(answer)
    }
}

impl fmt::Debug for Discovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Discovery").field("http", &self.http).field("max_age", &self.max_age).finish_non_exhaustive()
    }
}

fn read_resource(url: &Url, answer: &Answer) -> Result<ProtectedResource, AuthError> {
    let ResourceDocument { resource, authorization_servers, scopes_supported } = answer.json()?;
    let named = Url::parse(&resource).ok().filter(|named| named.origin() == url.origin() && begins(named.path(), url.path()));
    if named.is_none() {
        return Err(answer.protocol("is of another resource"));
    }
    let authorization_server =
        authorization_servers.into_iter().next().ok_or_else(|| answer.protocol("names no authorization server"))?;
    check_issuer(url, &authorization_server)?;
    Ok(ProtectedResource { resource, authorization_server, scopes: scopes_supported })
}

/// As with an issuer's endpoints: plain http, and addresses of a private network, are for a resource that is so itself.
fn check_issuer(resource: &Url, issuer: &str) -> Result<(), AuthError> {
    Rules::of(resource).endpoint("authorization_servers", issuer)?;
    endpoint::issuer(issuer).map(drop)
}

/// Whether a path is another one's beginning, by whole segments.
fn begins(start: &str, path: &str) -> bool {
    let start = start.trim_end_matches('/');
    path.strip_prefix(start).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Where a server's metadata may be, in the order of RFC 8414 §3 and §5.
fn server_locations(issuer: &Url) -> Vec<Url> {
    let mut locations = vec![
        well_known(issuer, "oauth-authorization-server", issuer.path()),
        well_known(issuer, "openid-configuration", issuer.path()),
    ];
    // OpenID Connect Discovery §4 puts it behind the path.
    let mut behind = issuer.clone();
    behind.set_path(&[issuer.path().trim_end_matches('/'), "/.well-known/openid-configuration"].concat());
    locations.push(behind);
    locations.dedup();
    locations
}

/// The path goes behind the well-known one, without a slash at its end.
fn well_known(url: &Url, name: &str, path: &str) -> Url {
    let mut location = url.clone();
    location.set_path(&["/.well-known/", name, path.trim_end_matches('/')].concat());
    location.set_query(None);
    location.set_fragment(None);
    location
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t_a9_the_path_is_inserted() {
        let locations = |issuer: &str| -> Vec<String> {
            server_locations(&Url::parse(issuer).unwrap()).into_iter().map(String::from).collect()
        };
        let root = ["https://a.b/.well-known/oauth-authorization-server", "https://a.b/.well-known/openid-configuration"];
        assert_eq!(locations("https://a.b"), root);
        assert_eq!(locations("https://a.b/"), root);
        let path = [
            "https://a.b/.well-known/oauth-authorization-server/x/y",
            "https://a.b/.well-known/openid-configuration/x/y",
            "https://a.b/x/y/.well-known/openid-configuration",
        ];
        assert_eq!(locations("https://a.b/x/y"), path);
        assert_eq!(locations("https://a.b/x/y/"), path);
    }

    #[test]
    fn t_a9_a_public_resource_names_no_server_of_a_private_network() {
        let check = |resource: &str, issuer| check_issuer(&Url::parse(resource).unwrap(), issuer);
        for private in ["https://10.0.0.1", "https://localhost", "https://[::1]:9/x", "https://metadata.google.internal"] {
            let error = check("https://a.example/mcp", private).unwrap_err();
            assert!(error.to_string().starts_with("authorization_servers: is at a private address"), "{private}: {error}");
            check("https://192.168.0.1/mcp", private).unwrap();
        }
        check("https://a.example/mcp", "https://b.example/x").unwrap();
        assert!(check("https://a.example/mcp", "https://b.example/?x").is_err());
    }

    #[test]
    fn t_a10_a_resource_begins_the_path_by_whole_segments() {
        for (start, path) in [("/", "/mcp"), ("", "/mcp"), ("/mcp", "/mcp"), ("/mcp/", "/mcp/x"), ("/mcp", "/mcp/x")] {
            assert!(begins(start, path), "{start} {path}");
        }
        for (start, path) in [("/mcp", "/mcpx"), ("/mcp", "/"), ("/mcp/x", "/mcp")] {
            assert!(!begins(start, path), "{start} {path}");
        }
    }
}
