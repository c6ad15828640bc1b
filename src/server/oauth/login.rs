//! A sign-in of a program on the user's machine, from the address to the tokens.

use super::{AuthError, Loopback, OAuthApp, RedirectUri, TokenSet};
use crate::server::ScopeSet;

impl OAuthApp {
    /// Signs a user in who sits at this machine: listens on loopback, gives `show` the address to open, waits for the answer, and exchanges it.
    /// Dropped, it stops listening.
    ///
    /// ```no_run
    /// use amplitude_sdk::{Region, server::{oauth::{AuthError, AuthorizationServer, ClientAuth, Loopback, OAuthApp, OAuthClient}, scope}};
    ///
    /// # async fn run() -> Result<(), AuthError> {
    /// let client = OAuthClient::new("my-tool", ClientAuth::Public)?;
    /// let app = OAuthApp::builder(AuthorizationServer::mcp(Region::Us), client).build()?;
    /// let tokens = app
    ///     .login(&Loopback::new(), [scope::MCP_READ, scope::OFFLINE_ACCESS], |url| eprintln!("Sign in at {url}"))
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Loopback::listen`], [`OAuthApp::authorize`], [`LoopbackListener::wait`](super::LoopbackListener::wait),
    /// [`Pending::verify`](super::Pending::verify) and [`Pending::exchange`](super::Pending::exchange).
    pub async fn login(
        &self,
        loopback: &Loopback,
        scopes: impl Into<ScopeSet>,
        show: impl FnOnce(&str),
    ) -> Result<TokenSet, AuthError> {
        let listener = loopback.listen()?;
        let (url, pending) = self.authorize(&RedirectUri::loopback(listener.redirect_uri())?, scopes)?;
        show(&url);
        let code = listener.wait(|callback| pending.verify(callback)).await?;
        pending.exchange(code).await
    }
}
