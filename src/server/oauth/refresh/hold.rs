//! What is done with the store's lock held: reading, and storing until it is stored.

use std::{sync::Arc, time::Duration};

use super::{
    super::{AuthError, StoreFault, StoreGuard, StoredTokens, TokenSet},
    Engine, current, failure,
};
use crate::{
    error::with_reasons,
    server::{AuthEvent, Expose, Fingerprint},
};

/// Longer than a refresh and a write take, where the store answers.
const LOCK_WAIT: Duration = Duration::from_secs(35);

/// What this process does alone, one thing at a time.
#[derive(Default)]
pub(super) struct Work {
    /// Held on to while what is published could not be stored.
    hold: Option<Hold>,
    /// Somebody tries again from time to time.
    retried: bool,
}

/// The store's lock, and what is true while it is held.
pub(super) struct Hold {
    #[expect(dead_code, reason = "held to be dropped")]
    guard: StoreGuard,
    /// The generation that the store has.
    pub(super) stored: Option<u64>,
    /// The newest tokens.
    pub(super) tokens: Option<TokenSet>,
    /// They are not in the store yet, as far as it is known.
    pub(super) unsaved: bool,
    /// What this process has tried to store since the store last said that it has: it may have, and have failed afterwards.
    tried: Vec<Fingerprint>,
}

impl Engine {
    /// The lock, and what is in the store; or what was not let go.
    pub(super) async fn hold(&self, work: &mut Work) -> Result<Hold, AuthError> {
        let mut hold = match work.hold.take() {
            Some(hold) => return Ok(hold),
            None => self.hold_unread(work).await?,
        };
        self.look(&mut hold).await?;
        Ok(hold)
    }

    /// The lock, whatever is in the store.
    pub(super) async fn hold_unread(&self, work: &mut Work) -> Result<Hold, AuthError> {
        if let Some(hold) = work.hold.take() {
            return Ok(hold);
        }
        let guard = tokio::select! {
            biased;
            guard = self.store.lock(&self.key) => guard?,
            () = self.world.sleep(LOCK_WAIT) => return Err(AuthError::Store(StoreFault::Locked, None)),
        };
        Ok(Hold { guard, stored: None, tokens: None, unsaved: false, tried: Vec::new() })
    }

    pub(super) async fn look(&self, hold: &mut Hold) -> Result<(), AuthError> {
        let stored = self.store.load(&self.key).await?;
        let tokens = stored.as_ref().map(|stored| stored.read(&self.key)).transpose()?;
        (hold.stored, hold.tokens) = (stored.as_ref().map(StoredTokens::generation), tokens);
        Ok(())
    }

    /// Stores the newest tokens. Where somebody else has stored in spite of the lock, theirs are the newest from then on, because all others
    /// have them. An error was told, and what could not be stored is still `unsaved`.
    pub(super) async fn save(&self, hold: &mut Hold) -> Result<(), AuthError> {
        let saved = match self.try_save(hold).await {
            Err(AuthError::Store(StoreFault::Conflict, _)) => self.settle_conflict(hold).await,
            saved => saved,
        };
        hold.unsaved = saved.is_err();
        if saved.is_ok() {
            hold.tried.clear();
        }
        saved.inspect_err(|error| {
            self.tell(&AuthEvent::PersistFailed { issuer: &self.key.issuer, reason: &with_reasons(error) });
        })
    }

    async fn try_save(&self, hold: &mut Hold) -> Result<(), AuthError> {
        let Some(tokens) = &hold.tokens else { return Ok(()) };
        let print = Fingerprint::of(tokens.access.expose());
        if hold.tried.last() != Some(&print) {
            hold.tried.push(print);
        }
        self.store.save(&self.key, &StoredTokens::write(&self.key, tokens), hold.stored).await?;
        hold.stored = Some(tokens.generation);
        Ok(())
    }

    async fn settle_conflict(&self, hold: &mut Hold) -> Result<(), AuthError> {
        let ours = hold.tokens.take();
        let looked = self.look(hold).await;
        let found = hold.tokens.as_ref().map(|tokens| Fingerprint::of(tokens.access.expose()));
        match looked {
            // An earlier attempt that was said to have failed; the newest tokens come after it.
            Ok(()) if found.is_some_and(|found| hold.tried.contains(&found)) => {
                hold.tokens = ours;
                self.try_save(hold).await
            }
            Ok(()) => Ok(()),
            Err(error) => {
                hold.tokens = ours;
                Err(error)
            }
        }
    }

    /// Lets the lock go, unless the newest tokens could not be stored: others would use the spent ones.
    pub(super) fn let_go(self: &Arc<Self>, work: &mut Work, hold: Hold) {
        if !hold.unsaved {
            return;
        }
        work.hold = Some(hold);
        if !work.retried {
            work.retried = true;
            let engine = Arc::clone(self);
            self.world.spawn(Box::pin(async move { engine.keep_storing().await }));
        }
    }

    async fn keep_storing(self: &Arc<Self>) {
        let mut attempts = 0;
        loop {
            attempts += 1;
            let error = AuthError::Store(StoreFault::Io, None);
            self.world.sleep(failure::delay(&error, attempts, |bound| self.world.random(bound))).await;
            let mut work = self.work.lock().await;
            // Told where it fails.
            let _ = self.store_again(&mut work).await;
            if work.hold.is_none() {
                work.retried = false;
                return;
            }
        }
    }

    /// Stores what could not be stored, if anything.
    pub(super) async fn store_again(self: &Arc<Self>, work: &mut Work) -> Result<(), AuthError> {
        let Some(mut hold) = work.hold.take() else { return Ok(()) };
        let ours = hold.tokens.clone();
        let saved = self.save(&mut hold).await;
        if let Some(theirs) = hold.tokens.as_ref().filter(|theirs| !ours.is_some_and(|ours| current::is_same(&ours, theirs))) {
            self.adopt(theirs, self.world.now());
        }
        self.let_go(work, hold);
        saved
    }
}
