//! Tokens of OAuth 2.0: for the APIs that take them, and, by a type of its own, for a project's APIs.

use std::{fmt, sync::Arc};

use super::{
    Authorization, CanBearer, CanExport, CanVerify, Credential, CredentialKind, Probe, Sealed, SecretId, Target,
    rotating::Rotating, token::CONTEXT,
};
use crate::{
    Region, Result,
    platform::http,
    server::{
        AccessToken, AuthEvent, BoxFuture, Expose as _, Scope, ScopeSet, SecretSource,
        env::{Environment, from_environment},
        oauth::{AuthError, Lease, TokenProvider, bearer_hosts, host_name},
    },
};

/// Access tokens of a user or of a service account, as a [`TokenProvider`] gives them: it opens the Developer API.
///
/// A token goes only to the hosts that its provider has it for, over https (or http on loopback), and to no redirect. One that the server
/// refuses is replaced once, where the provider has another one. From the environment it is a [`StaticToken`].
///
/// ```
/// use amplitude_sdk::{Region, server::{AccessToken, Client, OAuth, StaticToken}};
///
/// let token = StaticToken::new(AccessToken::new("fake-access-token")?, Region::Us);
/// let client = Client::new(OAuth::new(token))?;
/// assert!(!format!("{client:?}").contains("fake"));
/// # Ok::<(), amplitude_sdk::Error>(())
/// ```
#[derive(Clone)]
pub struct OAuth(Arc<dyn TokenProvider>);

impl OAuth {
    /// Tokens of a provider, or of one in an `Arc` that others use, too.
    #[must_use]
    pub fn new(provider: impl TokenProvider) -> Self {
        Self(Arc::new(provider))
    }

    /// The scopes that were granted, as far as it is known.
    #[must_use]
    pub fn granted(&self) -> ScopeSet {
        self.0.granted()
    }

    pub(in crate::server) fn read(environment: Environment<'_>) -> Result<Self> {
        StaticToken::read(environment).map(Self::new)
    }

    /// A token, or another one than that which the server refused; `None`: there is no other.
    async fn lease(&self, target: Target<'_>, refused: &[SecretId]) -> Result<Option<Lease>> {
        http::check_url("url", target.url)?;
        let host = target.url.host_str().unwrap_or_default();
        if !self.0.is_for(host) {
            return Err(AuthError::ForeignHost { host: host.to_owned() }.into());
        }
        let rejected = match refused {
            [] => None,
            [refused] => Some(refused.version),
            _ => return Ok(None),
        };
        let lease = self.0.token(rejected).await?;
        // The same one may have another number.
        let is_refused = |it: &SecretId| it.version == lease.generation || it.fingerprint == lease.token.fingerprint();
        Ok((!refused.iter().any(is_refused)).then_some(lease))
    }
}

from_environment!(OAuth, "AMPLITUDE_ACCESS_TOKEN");

impl fmt::Debug for OAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OAuth").field("granted", &self.granted()).finish()
    }
}

impl Sealed for OAuth {
    fn authorization<'a>(&'a self, target: Target<'a>, refused: &'a [SecretId]) -> BoxFuture<'a, Result<Option<Authorization>>> {
        Box::pin(async move {
            let lease = self.lease(target, refused).await?;
            Ok(lease.map(|lease| Authorization::token(CredentialKind::OAuth, None, lease.token, lease.generation)))
        })
    }

    fn probes(&self) -> Result<Vec<Probe>> {
        Ok(vec![CONTEXT])
    }
}

impl Credential for OAuth {}
impl CanBearer for OAuth {}
impl CanVerify for OAuth {}

/// Delegated access to a project's own APIs: an OAuth token where otherwise a [`super::ProjectPair`] goes.
///
/// Amplitude's public documentation shows bearer tokens only on the Developer API and MCP, and names no scope that reads events. So this is
/// for those to whom Amplitude has granted more: the scope is the one that your application registered, it is checked against what was
/// granted before anything is sent ([`AuthError::InsufficientScope`]), and a server that takes no bearer there is told apart from others
/// ([`super::CredentialError::BearerUndocumented`]). The provider must have its tokens for the host of the API, e.g. `amplitude.com`.
///
/// ```
/// use amplitude_sdk::{Region, server::{AccessToken, Client, OAuth, ProjectBearer, Scope, StaticToken}};
///
/// let read_events = Scope::new("your-scope-that-reads-events")?;
/// let token = StaticToken::new(AccessToken::new("fake-access-token")?, Region::Us)
///     .granting([read_events.clone()])
///     .host("amplitude.com")?;
/// let client = Client::new(ProjectBearer::new(OAuth::new(token), read_events))?;
/// # let _ = client;
/// # Ok::<(), amplitude_sdk::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ProjectBearer {
    oauth: OAuth,
    read_events: Scope,
}

impl ProjectBearer {
    /// `read_events`: the scope that lets your application export events.
    #[must_use]
    pub fn new(oauth: OAuth, read_events: Scope) -> Self {
        Self { oauth, read_events }
    }
}

impl Sealed for ProjectBearer {
    fn authorization<'a>(&'a self, target: Target<'a>, refused: &'a [SecretId]) -> BoxFuture<'a, Result<Option<Authorization>>> {
        Box::pin(async move {
            // The token first: before there is one, nobody knows what was granted.
            let lease = self.oauth.lease(target, refused).await?;
            if !self.oauth.granted().contains(&self.read_events) {
                let needed = ScopeSet::from([self.read_events.clone()]);
                target.observers.tell(&AuthEvent::InsufficientScope { needed: &needed });
                return Err(AuthError::InsufficientScope { needed }.into());
            }
            let scope = Some(self.read_events.clone());
            Ok(lease.map(|lease| Authorization::token(CredentialKind::ProjectBearer, scope, lease.token, lease.generation)))
        })
    }

    fn probes(&self) -> Result<Vec<Probe>> {
        Ok(Vec::new())
    }
}

impl Credential for ProjectBearer {}
impl CanExport for ProjectBearer {}

/// An access token that somebody else got, e.g. for a job of a build server. It is not refreshed: when it has expired, its source must give
/// another one.
///
/// From the environment it is for the Developer API and MCP of `AMPLITUDE_REGION` (default: `us`) and for the host of `AMPLITUDE_BASE_URL`, where
/// that is set; what it was granted, `AMPLITUDE_OAUTH_SCOPES` tells (default: nothing is known).
#[derive(Clone, Debug)]
pub struct StaticToken {
    token: Rotating,
    hosts: Vec<String>,
    granted: ScopeSet,
}

impl StaticToken {
    /// A token for the Developer API and MCP of a region.
    #[must_use]
    pub fn new(token: AccessToken, region: Region) -> Self {
        Self::of(Rotating::given(&token), region)
    }

    /// The token that a source gives, which may give another one later.
    #[must_use]
    pub fn from_source(source: impl SecretSource, region: Region) -> Self {
        Self::of(Rotating::from_source(Arc::new(source), AccessToken::check), region)
    }

    fn of(token: Rotating, region: Region) -> Self {
        Self { token, hosts: bearer_hosts(region), granted: ScopeSet::new() }
    }

    /// One more host that it may be sent to, without a port, e.g. that of an own proxy.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Invalid`] for what is no host's name, e.g. with a scheme or a port.
    pub fn host(mut self, host: &str) -> Result<Self> {
        self.hosts.push(host_name(host)?);
        Ok(self)
    }

    /// The scopes that it was granted: nobody else knows them.
    #[must_use]
    pub fn granting(mut self, scopes: impl Into<ScopeSet>) -> Self {
        self.granted = scopes.into();
        self
    }

    pub(in crate::server) fn read(environment: Environment<'_>) -> Result<Self> {
        let token = environment.secret("AMPLITUDE_ACCESS_TOKEN", AccessToken::check)?;
        let mut read = Self::of(token, environment.region()?.unwrap_or_default());
        read.hosts.extend(environment.base_host()?);
        read.granted = environment.scopes()?;
        Ok(read)
    }
}

from_environment!(StaticToken, "AMPLITUDE_ACCESS_TOKEN");

impl TokenProvider for StaticToken {
    fn token(&self, rejected: Option<u64>) -> BoxFuture<'_, Result<Lease, AuthError>> {
        Box::pin(async move {
            let read = self.token.read(rejected).await.map_err(AuthError::Secret)?;
            let token = AccessToken::new(read.secret.expose()).map_err(AuthError::Invalid)?;
            Ok(Lease::new(token, read.version))
        })
    }

    fn granted(&self) -> ScopeSet {
        self.granted.clone()
    }

    fn is_for(&self, host: &str) -> bool {
        self.hosts.iter().any(|known| known == host)
    }
}
