//! [`ClientCredentials`]: tokens of a service account (RFC 6749 §4.4).

use super::{
    AuthError, AuthorizationServer, ClientAuth, OAuthApp, OAuthClient, OAuthOptions, OAuthSecret, StoreKey, TokenAnswer,
    TokenEndpoint, TokenSet, app::at_least_one, wire::Grant,
};
use crate::{
    Error, Region,
    server::{BoxFuture, ScopeSet, clock::unix_seconds},
};

/// A client that acts for itself: no user consents, and there is no refresh token; when the token expires, another one is asked for.
///
/// ```no_run
/// use amplitude_sdk::{
///     Region,
///     server::{ClientSecret, oauth::{AuthError, ClientCredentials, OAuthOptions}, scope},
/// };
///
/// # async fn run(secret: ClientSecret) -> Result<(), AuthError> {
/// let account = ClientCredentials::mcp(Region::Us, "my-service", secret, [scope::MCP_READ], OAuthOptions::new())?;
/// let tokens = account.token().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct ClientCredentials {
    app: OAuthApp,
    scopes: ScopeSet,
}

impl ClientCredentials {
    /// A client as a service account that asks for these scopes. There is no default for them.
    ///
    /// # Errors
    /// [`AuthError::Invalid`] for a client without a secret, and for no scopes.
    pub fn new(app: OAuthApp, scopes: impl Into<ScopeSet>) -> Result<Self, AuthError> {
        if app.client().is_public() {
            return Err(AuthError::Invalid(Error::at(
                "client",
                "has no secret, with which it would prove to be the service account",
            )));
        }
        Ok(Self { app, scopes: at_least_one(scopes.into())? })
    }

    /// A service account of Amplitude's MCP server, as an organization's administrator makes it in the settings.
    ///
    /// # Errors
    /// As [`ClientCredentials::new`], and for options that are wrong.
    pub fn mcp(
        region: Region,
        client_id: impl Into<String>,
        secret: impl Into<OAuthSecret>,
        scopes: impl Into<ScopeSet>,
        options: OAuthOptions,
    ) -> Result<Self, AuthError> {
        let client = OAuthClient::new(client_id, ClientAuth::SecretPost(secret.into()))?;
        Self::new(OAuthApp::builder(AuthorizationServer::mcp(region), client).options(options).build()?, scopes)
    }

    /// Asks for a token, once.
    ///
    /// # Errors
    /// [`AuthError::ClientRejected`] for a wrong id or secret, [`AuthError::ScopeRefused`], [`AuthError::Transient`], [`AuthError::Tls`],
    /// [`AuthError::Protocol`].
    pub async fn token(&self) -> Result<TokenSet, AuthError> {
        let asked_at = unix_seconds();
        let answer = self.ask().await?;
        Ok(self.app.issued("client_credentials", answer, self.scopes.clone(), asked_at))
    }

    pub(super) fn app(&self) -> &OAuthApp {
        &self.app
    }

    async fn ask(&self) -> Result<TokenAnswer, AuthError> {
        let answer = self.app.token(Grant::ClientCredentials { scopes: &self.scopes }, &self.scopes).await?;
        // RFC 6749 §4.4.3 wants none, and none is needed.
        Ok(TokenAnswer { refresh: None, ..answer })
    }
}

impl TokenEndpoint for ClientCredentials {
    /// A token has the scopes that were asked for, and is none for another account object that asks for others.
    fn store_key(&self) -> StoreKey {
        let mut key = self.app.store_key();
        key.profile = [&key.profile, " ", &self.scopes.to_string()].concat();
        key
    }

    fn hosts(&self) -> &[String] {
        self.app.hosts()
    }

    fn needs_refresh_token(&self) -> bool {
        false
    }

    fn requested(&self) -> ScopeSet {
        self.scopes.clone()
    }

    fn renew<'a>(&'a self, _: Option<&'a TokenSet>) -> BoxFuture<'a, Result<TokenAnswer, AuthError>> {
        Box::pin(self.ask())
    }

    fn revoke<'a>(&'a self, tokens: &'a TokenSet) -> BoxFuture<'a, Result<(), AuthError>> {
        Box::pin(self.app.ask_revocation(tokens))
    }
}
