//! What an application that uses OAuth is told by its environment, and what follows from it: its client, server, and redirect URI.

use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use url::Host;

use super::{
    AuthError, AuthorizationServer, ClientAuth, ClientCredentials, Loopback, LoopbackHost, OAuthApp, OAuthClient, OAuthOptions,
    OAuthSecret, RedirectUri, endpoint,
};
use crate::{
    Error, Region, Result,
    server::{
        ClientSecret, ScopeSet, SecretSource,
        env::{Environment, from_environment, missing},
    },
};

/// An OAuth application as its environment describes it.
///
/// | Variable | Meaning |
/// | --- | --- |
/// | `AMPLITUDE_OAUTH_CLIENT_ID` | the client's id; it must be there |
/// | `AMPLITUDE_OAUTH_CLIENT_SECRET` | its secret; none for a public client |
/// | `AMPLITUDE_OAUTH_REDIRECT_URI` | where users come back to |
/// | `AMPLITUDE_OAUTH_SCOPES` | the scopes to ask for, with spaces between them; none is not "all" |
/// | `AMPLITUDE_OAUTH_ISSUER` | the authorization server, in place of Amplitude's MCP server |
/// | `AMPLITUDE_REGION` | `us`, the default, or `eu`: whose MCP server that is |
/// | `AMPLITUDE_BASE_URL` | where [`crate::server::Options::from_env`] has calls go; tokens may be sent to that host, too |
///
/// ```
/// use amplitude_sdk::server::oauth::{AuthError, OAuthOptions, OAuthSettings};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let settings = OAuthSettings::from_lookup(|name| match name {
///     "AMPLITUDE_OAUTH_CLIENT_ID" => Some("my-application".to_owned()),
///     "AMPLITUDE_OAUTH_REDIRECT_URI" => Some("https://app.example.com/callback".to_owned()),
///     "AMPLITUDE_OAUTH_SCOPES" => Some("mcp:read offline_access".to_owned()),
///     _ => None,
/// })?;
/// let app = settings.app(&OAuthOptions::new()).await?;
/// assert_eq!(app.server().issuer(), "https://mcp.amplitude.com");
/// let (url, pending) = app.authorize(&settings.redirect()?, settings.scopes)?;
/// assert!(url.starts_with("https://mcp.amplitude.com/authorize?"));
/// # let _ = pending;
/// # Ok::<(), AuthError>(())
/// # })?;
/// # Ok::<(), AuthError>(())
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct OAuthSettings {
    /// The client's id.
    pub client_id: String,
    /// Gives its secret, and a newer one once its file has changed; `None` for a public client.
    pub client_secret: Option<Arc<dyn SecretSource>>,
    /// Where users come back to.
    pub redirect_uri: Option<String>,
    /// The scopes to ask for.
    pub scopes: ScopeSet,
    /// The authorization server, in place of Amplitude's MCP server.
    pub issuer: Option<String>,
    /// The region of that MCP server.
    pub region: Region,
    /// A host that tokens may be sent to beside the server's own: that of an own proxy, or of an emulator.
    pub token_host: Option<String>,
}

impl OAuthSettings {
    fn read(environment: Environment<'_>) -> Result<Self, AuthError> {
        Self::read_all(environment).map_err(AuthError::Invalid)
    }

    fn read_all(environment: Environment<'_>) -> Result<Self> {
        let text = |name| Ok::<_, Error>(environment.text(name)?.map(|text| text.to_string()));
        Ok(Self {
            client_id: environment.required("AMPLITUDE_OAUTH_CLIENT_ID", |id| Ok(id.to_owned()))?,
            client_secret: environment.source("AMPLITUDE_OAUTH_CLIENT_SECRET", ClientSecret::check)?,
            redirect_uri: text("AMPLITUDE_OAUTH_REDIRECT_URI")?,
            scopes: environment.scopes()?,
            issuer: text("AMPLITUDE_OAUTH_ISSUER")?,
            region: environment.region()?.unwrap_or_default(),
            token_host: environment.base_host()?,
        })
    }

    /// The client. Its secret is asked for before each request, so that it may be rotated.
    ///
    /// # Errors
    /// As [`OAuthClient::new`].
    pub fn client(&self) -> Result<OAuthClient, AuthError> {
        let auth = match &self.client_secret {
            Some(source) => ClientAuth::SecretPost(OAuthSecret::from_source(Arc::clone(source))),
            None => ClientAuth::Public,
        };
        OAuthClient::new(&self.client_id, auth)
    }

    /// Where users come back to: https, or http on loopback, e.g. for a web application that is tried out on its developer's machine.
    ///
    /// # Errors
    /// [`AuthError::Invalid`] where it is not set, and as [`RedirectUri::https`].
    pub fn redirect(&self) -> Result<RedirectUri, AuthError> {
        let uri = self.redirect_uri.as_deref().ok_or_else(|| AuthError::Invalid(missing("AMPLITUDE_OAUTH_REDIRECT_URI")))?;
        if uri.starts_with("http:") { RedirectUri::loopback(uri) } else { RedirectUri::https(uri) }
    }

    /// Where a program on the user's machine listens for the answer to a sign-in, for [`OAuthApp::login`]: the host, port and path of the redirect
    /// URI. A port that is not there, or no redirect URI at all, is a port of the system's choice.
    ///
    /// # Errors
    /// [`AuthError::Invalid`] for a redirect URI that is not http on `127.0.0.1`, `[::1]` or `localhost`, or has a query.
    pub fn loopback(&self) -> Result<Loopback, AuthError> {
        let Some(uri) = &self.redirect_uri else { return Ok(Loopback::new()) };
        let invalid = |problem| AuthError::Invalid(Error::at("redirect URI", problem));
        RedirectUri::loopback(uri)?;
        let url = endpoint::https_or_loopback("redirect URI", uri)?;
        let host = match url.host() {
            Some(Host::Ipv4(Ipv4Addr::LOCALHOST)) => LoopbackHost::Ipv4,
            Some(Host::Ipv6(Ipv6Addr::LOCALHOST)) => LoopbackHost::Ipv6,
            Some(Host::Domain("localhost")) => LoopbackHost::Localhost,
            _ => return Err(invalid("a program listens at 127.0.0.1, [::1] or localhost alone")),
        };
        if url.query().is_some() {
            return Err(invalid("that of a program which listens has no query"));
        }
        let loopback = Loopback::new().host(host).path(url.path());
        Ok(match url.port() {
            Some(port) => loopback.ports([port]),
            None => loopback,
        })
    }

    /// The authorization server: what the issuer says of itself, or Amplitude's MCP server of the region. One that this crate knows
    /// ([`AuthorizationServer::mcp`], [`AuthorizationServer::hydra`]) is not asked.
    ///
    /// # Errors
    /// As [`AuthorizationServer::discover`].
    pub async fn server(&self, options: &OAuthOptions) -> Result<AuthorizationServer, AuthError> {
        let server = match &self.issuer {
            None => AuthorizationServer::mcp(self.region),
            Some(issuer) => match preset(issuer) {
                Some(server) => server,
                None => AuthorizationServer::discover(issuer, options).await?,
            },
        };
        match &self.token_host {
            Some(host) if !server.hosts().contains(host) => server.edit().host(host).build(),
            _ => Ok(server),
        }
    }

    /// The client at its server. Where more is to be said of it, e.g. whose tokens it holds, there is [`OAuthApp::builder`], with
    /// [`OAuthSettings::server`] and [`OAuthSettings::client`].
    ///
    /// # Errors
    /// As [`OAuthSettings::server`] and [`OAuthSettings::client`].
    pub async fn app(&self, options: &OAuthOptions) -> Result<OAuthApp, AuthError> {
        OAuthApp::builder(self.server(options).await?, self.client()?).options(options.clone()).build()
    }

    /// The client as a service account, which acts for itself.
    ///
    /// # Errors
    /// [`AuthError::Invalid`] where it has no secret or no scopes, and as [`OAuthSettings::app`].
    pub async fn service_account(&self, options: &OAuthOptions) -> Result<ClientCredentials, AuthError> {
        let required = [
            ("AMPLITUDE_OAUTH_CLIENT_SECRET", self.client_secret.is_some()),
            ("AMPLITUDE_OAUTH_SCOPES", !self.scopes.is_empty()),
        ];
        for (name, is_there) in required {
            if !is_there {
                return Err(AuthError::Invalid(missing(name)));
            }
        }
        ClientCredentials::new(self.app(options).await?, self.scopes.clone())
    }
}

from_environment!(
    OAuthSettings,
    AuthError: "[`AuthError::Invalid`]",
    "AMPLITUDE_OAUTH_CLIENT_ID",
    "AMPLITUDE_OAUTH_CLIENT_SECRET",
    "AMPLITUDE_OAUTH_REDIRECT_URI",
    "AMPLITUDE_OAUTH_SCOPES",
    "AMPLITUDE_OAUTH_ISSUER"
);

impl OAuthApp {
    /// The application that the environment describes, as [`OAuthSettings`] lists it.
    ///
    /// ```no_run
    /// use amplitude_sdk::server::oauth::{AuthError, OAuthApp};
    ///
    /// # async fn run() -> Result<(), AuthError> {
    /// let app = OAuthApp::from_env().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`OAuthSettings::from_env`] and [`OAuthSettings::app`].
    pub async fn from_env() -> Result<Self, AuthError> {
        OAuthSettings::from_env()?.app(&OAuthOptions::new()).await
    }
}

impl ClientCredentials {
    /// The service account that the environment describes, as [`OAuthSettings`] lists it.
    ///
    /// ```no_run
    /// use amplitude_sdk::server::oauth::{AuthError, ClientCredentials, MemoryTokenStore, RefreshingToken};
    ///
    /// # async fn run() -> Result<(), AuthError> {
    /// let account = ClientCredentials::from_env().await?;
    /// let tokens = RefreshingToken::service_account(&account, MemoryTokenStore::new()).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`OAuthSettings::from_env`] and [`OAuthSettings::service_account`].
    pub async fn from_env() -> Result<Self, AuthError> {
        OAuthSettings::from_env()?.service_account(&OAuthOptions::new()).await
    }
}

/// The server of that name, where its addresses are known.
fn preset(issuer: &str) -> Option<AuthorizationServer> {
    let presets = [AuthorizationServer::mcp, AuthorizationServer::hydra];
    let servers = presets.into_iter().flat_map(|preset| [preset(Region::Us), preset(Region::Eu)]);
    servers.into_iter().find(|server| server.issuer() == issuer)
}

/// Without the secret.
impl fmt::Debug for OAuthSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OAuthSettings")
            .field("client_id", &self.client_id)
            .field("client_secret", &self.client_secret.as_ref().map(|secret| secret.name()))
            .field("redirect_uri", &self.redirect_uri)
            .field("scopes", &self.scopes)
            .field("issuer", &self.issuer)
            .field("region", &self.region)
            .field("token_host", &self.token_host)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<OAuthSettings, AuthError> {
        OAuthSettings::from_lookup(|name| variables.iter().find(|(known, _)| *known == name).map(|(_, text)| (*text).to_owned()))
    }

    #[test]
    fn all_is_read_and_the_secret_is_not_shown() {
        let settings = read(&[
            ("AMPLITUDE_OAUTH_CLIENT_ID", "id"),
            ("AMPLITUDE_OAUTH_CLIENT_SECRET", "sentinel"),
            ("AMPLITUDE_OAUTH_REDIRECT_URI", "https://app.example.com/callback"),
            ("AMPLITUDE_OAUTH_SCOPES", "mcp:read  offline_access"),
            ("AMPLITUDE_OAUTH_ISSUER", "https://auth.example.com"),
        ])
        .unwrap();
        assert_eq!(settings.scopes.to_string(), "mcp:read offline_access");
        assert_eq!(settings.issuer.as_deref(), Some("https://auth.example.com"));
        assert_eq!(settings.redirect_uri.as_deref(), Some("https://app.example.com/callback"));
        let shown = format!("{settings:?} {settings:#?}");
        assert!(shown.contains("AMPLITUDE_OAUTH_CLIENT_SECRET") && !shown.contains("sentinel"), "{shown}");
    }

    fn with(variables: &[(&str, &str)]) -> OAuthSettings {
        read(&[&[("AMPLITUDE_OAUTH_CLIENT_ID", "id")], variables].concat()).unwrap()
    }

    /// For what waits for nothing.
    fn now<T>(future: impl Future<Output = T>) -> T {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match std::pin::pin!(future).poll(&mut context) {
            std::task::Poll::Ready(value) => value,
            std::task::Poll::Pending => panic!("it waits"),
        }
    }

    #[test]
    fn the_server_is_amplitudes_of_the_region_or_the_one_that_is_named() {
        let server = |variables: &[(&str, &str)]| now(with(variables).server(&OAuthOptions::new())).unwrap();
        assert_eq!(server(&[]).issuer(), "https://mcp.amplitude.com");
        let eu = server(&[("AMPLITUDE_REGION", "eu")]);
        assert_eq!((eu.issuer(), eu.hosts()), ("https://mcp.eu.amplitude.com", &["mcp.eu.amplitude.com".to_owned()][..]));
        // One that is known by its name, whose tokens open more than its own host.
        let known = server(&[("AMPLITUDE_OAUTH_ISSUER", "https://auth.eu.amplitude.com")]);
        assert_eq!(known.hosts(), AuthorizationServer::hydra(Region::Eu).hosts());
        // Nothing but the host that the environment has calls go to is added.
        let proxy = server(&[("AMPLITUDE_BASE_URL", "https://Proxy.example:8443/amplitude")]);
        assert_eq!(proxy.hosts(), ["mcp.amplitude.com", "proxy.example"]);
        let same = server(&[("AMPLITUDE_BASE_URL", "https://mcp.amplitude.com")]);
        assert_eq!(same.hosts(), ["mcp.amplitude.com"]);
    }

    #[test]
    fn client_and_application_follow_from_it() {
        let public = with(&[]).client().unwrap();
        assert!(public.is_public() && public.id() == Some("id"));
        let settings = with(&[("AMPLITUDE_OAUTH_CLIENT_SECRET", "sentinel"), ("AMPLITUDE_OAUTH_SCOPES", "mcp:read")]);
        assert!(!settings.client().unwrap().is_public());
        let app = now(settings.app(&OAuthOptions::new())).unwrap();
        assert_eq!((app.client().id(), app.resource()), (Some("id"), Some("https://mcp.amplitude.com")));
        now(settings.service_account(&OAuthOptions::new())).unwrap();
        for (variables, said) in [
            (&[("AMPLITUDE_OAUTH_SCOPES", "mcp:read")], "AMPLITUDE_OAUTH_CLIENT_SECRET: is not set"),
            (&[("AMPLITUDE_OAUTH_CLIENT_SECRET", "a")], "AMPLITUDE_OAUTH_SCOPES: is not set"),
        ] {
            let error = now(with(variables).service_account(&OAuthOptions::new())).expect_err(said);
            assert!(error.to_string().starts_with(said), "{error}");
        }
    }

    #[test]
    fn users_come_back_to_https_or_to_this_machine() {
        let set = |uri: &str| with(&[("AMPLITUDE_OAUTH_REDIRECT_URI", uri)]);
        for good in ["https://app.example.com/callback", "http://127.0.0.1:8789/callback"] {
            assert_eq!(set(good).redirect().unwrap().as_str(), good);
        }
        assert!(matches!(set("http://app.example.com/callback").redirect(), Err(AuthError::Insecure { .. })));
        let error = with(&[]).redirect().unwrap_err();
        assert!(error.to_string().starts_with("AMPLITUDE_OAUTH_REDIRECT_URI: is not set"), "{error}");
    }

    #[test]
    fn a_program_listens_where_its_users_come_back_to() {
        let address = |uri: &str| {
            let variables = [("AMPLITUDE_OAUTH_REDIRECT_URI", uri)];
            let settings = with(if uri.is_empty() { &[] } else { &variables });
            let listener = settings.loopback().unwrap().listen().unwrap();
            (listener.redirect_uri().to_owned(), listener.addresses().unwrap()[0])
        };
        for (uri, begin, end) in [
            ("", "http://127.0.0.1:", "/callback"),
            ("http://127.0.0.1/signed-in", "http://127.0.0.1:", "/signed-in"),
            ("http://localhost/callback", "http://localhost:", "/callback"),
        ] {
            let (redirect, bound) = address(uri);
            assert_eq!(redirect, format!("{begin}{}{end}", bound.port()), "{uri}");
            assert!(bound.ip().is_loopback());
        }
        // The port that is named, which is taken here.
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let error =
            with(&[("AMPLITUDE_OAUTH_REDIRECT_URI", &format!("http://localhost:{port}/callback"))]).loopback().unwrap().listen();
        assert!(error.unwrap_err().to_string().contains(&port.to_string()));
        for bad in ["https://app.example.com/callback", "http://127.0.0.2/callback", "http://127.0.0.1/callback?a=b", "callback"]
        {
            let error = with(&[("AMPLITUDE_OAUTH_REDIRECT_URI", bad)]).loopback().expect_err(bad);
            assert!(error.to_string().starts_with("redirect URI: "), "{error}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (variables, said) in [
            (&[][..], "AMPLITUDE_OAUTH_CLIENT_ID: is not set"),
            (
                &[("AMPLITUDE_OAUTH_CLIENT_ID", "id"), ("AMPLITUDE_OAUTH_SCOPES", "a \u{e9}")],
                "AMPLITUDE_OAUTH_SCOPES: scope: holds",
            ),
            (
                &[("AMPLITUDE_OAUTH_CLIENT_ID", "id"), ("AMPLITUDE_BASE_URL", "http://a.example")],
                "AMPLITUDE_BASE_URL: must be https",
            ),
            (&[("AMPLITUDE_OAUTH_CLIENT_ID", "id"), ("AMPLITUDE_REGION", "mars")], "AMPLITUDE_REGION: "),
            (
                &[("AMPLITUDE_OAUTH_CLIENT_ID", "id"), ("AMPLITUDE_OAUTH_CLIENT_SECRET", "a\nb")],
                "AMPLITUDE_OAUTH_CLIENT_SECRET: client secret: holds",
            ),
            (
                &[
                    ("AMPLITUDE_OAUTH_CLIENT_ID", "id"),
                    ("AMPLITUDE_OAUTH_CLIENT_SECRET", "a"),
                    ("AMPLITUDE_OAUTH_CLIENT_SECRET_FILE", "b"),
                ],
                "AMPLITUDE_OAUTH_CLIENT_SECRET: is set, and so is",
            ),
        ] {
            let error = read(variables).expect_err(said);
            assert!(error.to_string().starts_with(said), "{error}");
        }
    }
}
