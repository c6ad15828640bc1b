//! The application as the authorization server knows it: found by discovery, registered by itself.

use amplitude_sdk::server::{
    ScopeSet,
    oauth::{
        AuthError, AuthorizationServer, ClientRegistration, Discovery, OAuthApp, OAuthOptions, RedirectUri, RegisteredClient,
    },
};
use tokio::sync::Mutex;

use super::{NAME, offers, timeline::Listener};

/// Where users come back to.
pub(super) const CALLBACK: &str = "/access/callback";

pub(super) struct Application {
    /// The API that it wants to call, which says whom to ask for tokens.
    resource: String,
    /// By each of the names that this server has.
    by_address: RedirectUri,
    by_name: RedirectUri,
    registered: Mutex<Option<RegisteredClient>>,
}

impl Application {
    pub(super) fn new(resource: &str, port: u16) -> Result<Self, AuthError> {
        let at = |host| RedirectUri::loopback(format!("http://{host}:{port}{CALLBACK}"));
        Ok(Self {
            resource: resource.to_owned(),
            by_address: at("127.0.0.1")?,
            by_name: at("localhost")?,
            registered: Mutex::default(),
        })
    }

    /// Where a user comes back to who came by that name: there his cookies are.
    pub(super) fn redirect(&self, host: &str) -> &RedirectUri {
        if host.starts_with("localhost") { &self.by_name } else { &self.by_address }
    }

    /// The application at the server that the resource names; `listener` hears what becomes of its tokens.
    pub(super) async fn connect(&self, listener: Listener) -> Result<OAuthApp, AuthError> {
        let options = OAuthOptions::new();
        let discovery = Discovery::new(&options)?;
        let resource = discovery.resource(&self.resource).await?;
        let server = discovery.server(resource.authorization_server()).await?;
        let mut registered = self.registered.lock().await;
        // A server that was started anew has forgotten its clients, and one that cannot be asked may have.
        let is_known = match &mut *registered {
            Some(client) => client.read().await.is_ok(),
            None => false,
        };
        if !is_known {
            *registered = None;
        }
        let client = match &mut *registered {
            Some(client) => client,
            none => none.insert(self.register(&server, &options).await?),
        };
        OAuthApp::builder(server, client.client()?).resource(resource.resource()).options(options.observer(listener)).build()
    }

    /// With a secret of its own, which a server can keep: not the project's.
    async fn register(&self, server: &AuthorizationServer, options: &OAuthOptions) -> Result<RegisteredClient, AuthError> {
        let scopes: ScopeSet = offers().into_iter().map(|(scope, _)| scope).collect();
        let registration = ClientRegistration::new(NAME).redirect(&self.by_address).redirect(&self.by_name);
        registration.secret_post().scopes(scopes).register(server, options).await
    }
}
