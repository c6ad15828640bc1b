//! How it begins and ends: the first token, revocation, and what is done before a program ends.

use std::sync::Arc;

use super::{
    super::{AuthError, Reauth, Revocation, StoreFault, TokenSet},
    Engine,
    contained::caught,
    current::{Current, is_same},
    hold::Work,
};
use crate::{promise::lock, server::AuthEvent};

impl Engine {
    pub(super) async fn begin(&self, first: Option<TokenSet>) -> Result<(), AuthError> {
        let tokens = match first {
            Some(mut tokens) => {
                let mut hold = self.hold(&mut Work::default()).await?;
                tokens.generation = hold.stored.unwrap_or(0) + 1;
                hold.tokens = Some(tokens.clone());
                self.save(&mut hold).await?;
                if !hold.tokens.is_some_and(|stored| is_same(&stored, &tokens)) {
                    return Err(AuthError::Store(StoreFault::Conflict, None));
                }
                tokens
            }
            // Files are whole at any time: no lock to read one.
            None => match self.store.load(&self.key).await? {
                Some(stored) => stored.read(&self.key)?,
                None => return Ok(()),
            },
        };
        let renewable = self.renewable(&tokens);
        lock(&self.state).publish(Current::found(tokens, renewable, self.world.now(), self.world.wall()));
        Ok(())
    }

    pub(super) async fn revoke(self: &Arc<Self>) -> Result<Revocation, AuthError> {
        let mut work = self.work.lock().await;
        let hold = self.hold(&mut work).await?;
        let answer = match &hold.tokens {
            Some(tokens) => caught(|| self.endpoint.revoke(tokens)).await,
            // Another process has given them up.
            None => Err(AuthError::Unsupported { feature: "there is nothing to revoke" }),
        };
        let how = match answer {
            Ok(()) => Revocation::ByServer,
            Err(AuthError::Unsupported { .. }) => Revocation::LocalOnly,
            Err(error) => {
                self.let_go(&mut work, hold);
                return Err(error);
            }
        };
        self.give_up(how).await?;
        drop(hold);
        Ok(how)
    }

    pub(super) async fn forget(&self) -> Result<(), AuthError> {
        let mut work = self.work.lock().await;
        let hold = self.hold_unread(&mut work).await?;
        self.give_up(Revocation::LocalOnly).await?;
        drop(hold);
        Ok(())
    }

    async fn give_up(&self, how: Revocation) -> Result<(), AuthError> {
        lock(&self.state).end(Reauth::NoToken);
        self.tell(&AuthEvent::Revoked { issuer: &self.key.issuer, by_server: how == Revocation::ByServer });
        self.store.delete(&self.key).await
    }

    pub(super) async fn settle(self: &Arc<Self>) -> Result<(), AuthError> {
        let mut work = self.work.lock().await;
        self.store_again(&mut work).await
    }
}
