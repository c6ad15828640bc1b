//! The search for a newer token.

use std::{sync::Arc, time::Duration};

use super::{
    super::{AuthError, Reauth, StoreFault, TokenAnswer, TokenSet},
    Engine, broke_off,
    contained::caught,
    current::{Current, is_same},
    failure,
    hold::Hold,
    state::{Outcome, State},
};
use crate::{
    error::with_reasons,
    promise::{Promise, lock},
    server::AuthEvent,
};

/// Sees to it that those who wait hear of the end of a search, even if it panics.
struct Landing {
    engine: Arc<Engine>,
    flight: Option<Promise<Outcome>>,
}

impl Landing {
    fn land(&mut self, found: Result<Arc<Current>, AuthError>) {
        let Some(flight) = self.flight.take() else { return };
        let outcome = found.map_err(Arc::new);
        self.engine.landed(&outcome);
        flight.set(outcome);
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        self.land(Err(broke_off()));
    }
}

impl Engine {
    /// Starts a search; there is none under way.
    pub(super) fn search(self: &Arc<Self>, state: &mut State) -> Promise<Outcome> {
        let flight = Promise::new();
        state.flight = Some(flight.clone());
        let mut landing = Landing { engine: Arc::clone(self), flight: Some(flight.clone()) };
        self.world.spawn(Box::pin(async move {
            let found = landing.engine.find_newer().await;
            landing.land(found);
        }));
        flight
    }

    fn landed(&self, outcome: &Outcome) {
        let mut state = lock(&self.state);
        state.flight = None;
        let Err(error) = outcome else { return };
        let now = self.world.now();
        let attempts = state.fail(error, now, |bound| self.world.random(bound));
        let deferred = state.usable(None, now).is_some();
        drop(state);
        let (issuer, reason) = (&*self.key.issuer, &*with_reasons(&**error));
        match &**error {
            // That was told when it was found.
            AuthError::ReauthRequired(Reauth::GrantRefused | Reauth::NoToken) => {}
            _ if deferred => self.tell(&AuthEvent::RefreshDeferred { issuer, reason, attempts }),
            _ => self.tell(&AuthEvent::RefreshFailed { issuer, reason, attempts }),
        }
    }

    async fn find_newer(self: &Arc<Self>) -> Result<Arc<Current>, AuthError> {
        let mut work = self.work.lock().await;
        let mut hold = self.hold(&mut work).await?;
        let found = self.find_newer_holding(&mut hold).await;
        self.let_go(&mut work, hold);
        found
    }

    async fn find_newer_holding(&self, hold: &mut Hold) -> Result<Arc<Current>, AuthError> {
        let seen = lock(&self.state).current.clone();
        let Some(tokens) = &hold.tokens else {
            let needs_one = self.endpoint.needs_refresh_token();
            return if needs_one { Err(self.end(Reauth::NoToken)) } else { self.request(hold).await };
        };
        // Another process was faster.
        if !seen.is_some_and(|seen| is_same(&seen.tokens, tokens))
            && let Some(current) = self.adopt(tokens, self.world.now())
        {
            return Ok(current);
        }
        if !self.renewable(tokens) {
            return Err(AuthError::ReauthRequired(Reauth::NoRefreshToken));
        }
        match self.request(hold).await {
            Err(AuthError::ReauthRequired(Reauth::GrantRefused)) if self.endpoint.needs_refresh_token() => {
                self.refused(hold).await
            }
            found => found,
        }
    }

    /// Asks the server, stores what it grants, and publishes that.
    async fn request(&self, hold: &mut Hold) -> Result<Arc<Current>, AuthError> {
        let gap = lock(&self.state).gap(self.world.now());
        if !gap.is_zero() {
            self.world.sleep(gap).await;
        }
        let (began, asked_at) = (self.world.now(), self.world.wall().as_secs());
        lock(&self.state).asked_at = Some(began);
        let answer = caught(|| self.endpoint.renew(hold.tokens.as_ref())).await.inspect_err(|error| {
            if failure::may_have_been_granted(error) {
                lock(&self.state).in_doubt = true;
            }
        })?;
        let (lifetime, rotated, is_first) = (answer.lifetime, answer.refresh.is_some(), hold.tokens.is_none());
        let tokens = self.numbered(hold, answer, asked_at);
        (hold.tokens, hold.unsaved) = (Some(tokens.clone()), true);
        // Without a store this process goes on; the failure was told, and is mended in the background.
        let _ = self.save(hold).await;
        if !hold.tokens.as_ref().is_some_and(|newest| is_same(newest, &tokens)) {
            return self.follow(hold);
        }
        let renewable = self.renewable(&tokens);
        let current = lock(&self.state).publish(Current::granted(tokens, renewable, began, lifetime));
        let TokenSet { requested, granted, .. } = &current.tokens;
        let (issuer, took) = (&*self.key.issuer, self.world.now().saturating_sub(began));
        self.tell(&if is_first {
            AuthEvent::TokenIssued { issuer, grant: "client_credentials", requested, granted, lifetime }
        } else {
            AuthEvent::TokenRefreshed { issuer, granted, rotated, adopted: false, took }
        });
        Ok(current)
    }

    /// The tokens that an answer makes, numbered for the store.
    fn numbered(&self, hold: &Hold, answer: TokenAnswer, asked_at: u64) -> TokenSet {
        let mut tokens = match &hold.tokens {
            Some(before) => answer.next(before, asked_at),
            None => answer.first(self.endpoint.requested(), asked_at),
        };
        // What could not be stored had a number, too.
        tokens.generation = tokens.generation.max(hold.stored.unwrap_or(0)) + 1;
        tokens
    }

    /// The server takes the refresh token no more: this is the end, unless somebody has stored another one without the lock.
    async fn refused(&self, hold: &mut Hold) -> Result<Arc<Current>, AuthError> {
        let sent = hold.tokens.clone();
        let was_stored = !hold.unsaved;
        hold.unsaved = false;
        self.look(hold).await?;
        let is_sent = |found: &TokenSet| sent.as_ref().is_some_and(|sent| is_same(sent, found));
        if was_stored && hold.tokens.as_ref().is_some_and(|found| !is_sent(found)) {
            return self.follow(hold);
        }
        if let Err(error) = self.store.delete(&self.key).await {
            self.tell(&AuthEvent::PersistFailed { issuer: &self.key.issuer, reason: &with_reasons(&error) });
        }
        Err(self.end(Reauth::GrantRefused))
    }

    /// Publishes what somebody else has stored, if it serves; the next search goes on from it in any case.
    fn follow(&self, hold: &Hold) -> Result<Arc<Current>, AuthError> {
        let Some(tokens) = &hold.tokens else { return Err(self.end(Reauth::NoToken)) };
        self.adopt(tokens, self.world.now()).ok_or(AuthError::Store(StoreFault::Conflict, None))
    }

    pub(super) fn adopt(&self, tokens: &TokenSet, began: Duration) -> Option<Arc<Current>> {
        let now = self.world.now();
        let found = Current::found(tokens.clone(), self.renewable(tokens), now, self.world.wall());
        if !found.serves(now) {
            return None;
        }
        let (current, is_newer) = {
            let mut state = lock(&self.state);
            let is_newer = state.current.is_some();
            (state.publish(found), is_newer)
        };
        if is_newer {
            let (issuer, granted, took) = (&*self.key.issuer, &current.tokens.granted, now.saturating_sub(began));
            self.tell(&AuthEvent::TokenRefreshed { issuer, granted, rotated: true, adopted: true, took });
        }
        Some(current)
    }

    /// Ends it, in this process. A reason that was told stays.
    fn end(&self, why: Reauth) -> AuthError {
        let (why, is_news) = {
            let mut state = lock(&self.state);
            let why = state.ended.filter(|_| state.current.is_none()).unwrap_or(why);
            (why, state.end(why))
        };
        let error = AuthError::ReauthRequired(why);
        if is_news {
            self.tell(&AuthEvent::ReauthRequired { issuer: &self.key.issuer, reason: &error.to_string() });
        }
        error
    }
}
