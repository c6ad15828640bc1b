//! The end of tokens (RFC 7009).

use super::{AuthError, OAuthApp, Stage, TokenSet};
use crate::server::{AuthEvent, Expose as _};

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
}
