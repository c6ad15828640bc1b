//! A secret that may change while a client uses it: read anew when the server refuses it, with the one before it as a way back.

use std::{
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use super::{Authorization, SecretId, Target, authorization::Held};
use crate::{
    Error, Result,
    promise::lock,
    server::{AuthEvent, Expose, Fingerprint, SecretSource, SecretText, VersionedSecret, clock::Clock, observer::Observers},
};

/// How long the secret before is used first, once the server did not know the new one yet.
const WAY_BACK: Duration = Duration::from_secs(60);
/// The one that was used, the one that was read anew, and the one before it.
const ATTEMPTS: usize = 3;

/// A secret of one kind, given once or read from a source. Clones share what they know of it.
#[derive(Clone)]
pub(in crate::server) struct Rotating(Arc<Inner>);

struct Inner {
    origin: Origin,
    /// Whether a text can be a secret of that kind.
    check: fn(&str) -> Result<()>,
    state: Mutex<State>,
    clock: Clock,
}

enum Origin {
    Given(SecretText),
    Source(Arc<dyn SecretSource>),
}

#[derive(Default)]
struct State {
    /// The newest one so far. Its source may number the same one anew.
    newest: Option<Fingerprint>,
    /// The one that the server did not know, and when that was.
    inactive: Option<(Fingerprint, Duration)>,
}

impl Rotating {
    /// A secret that was checked and never changes.
    pub(in crate::server) fn given(secret: &impl Expose) -> Self {
        Self::new(Origin::Given(SecretText::of(secret)), |_| Ok(()))
    }

    /// What a source gives is checked whenever it is read.
    pub(in crate::server) fn from_source(source: Arc<dyn SecretSource>, check: fn(&str) -> Result<()>) -> Self {
        Self::new(Origin::Source(source), check)
    }

    fn new(origin: Origin, check: fn(&str) -> Result<()>) -> Self {
        Self(Arc::new(Inner { origin, check, state: Mutex::default(), clock: Clock::default() }))
    }

    /// The secret for the next attempt, after those that the server refused; `None`: there is no other one.
    pub(in crate::server) async fn next(&self, observers: &Observers, refused: &[SecretId]) -> Result<Option<Held>> {
        if refused.len() >= ATTEMPTS {
            return Ok(None);
        }
        // Once is enough: what is read then is as new as it gets.
        let rejected = if let [first] = refused { Some(first.version) } else { None };
        let read = self.read(rejected).await?;
        Ok(self.choose(read, observers, refused))
    }

    /// The secret as it is now; `rejected` is the version of one that the server refused.
    pub(in crate::server) async fn read(&self, rejected: Option<u64>) -> Result<VersionedSecret> {
        let source = match &self.0.origin {
            Origin::Given(secret) => return Ok(VersionedSecret::new(secret.clone(), 0)),
            Origin::Source(source) => source,
        };
        if let Some(version) = rejected {
            source.invalidate(version);
        }
        let mut read = source.current().await?;
        if let Err(error) = (self.0.check)(read.secret.expose()) {
            // Whoever mends it at its source need not wait.
            source.invalidate(read.version);
            return Err(Error::at(source.name(), &error.to_string()));
        }
        // What could not be used before is no way back.
        read.previous = read.previous.filter(|previous| (self.0.check)(previous.expose()).is_ok());
        Ok(read)
    }

    fn choose(&self, read: VersionedSecret, observers: &Observers, refused: &[SecretId]) -> Option<Held> {
        let VersionedSecret { secret, previous, version } = read;
        let (current, previous) = (Held::new(secret, version), previous.map(|secret| Held::new(secret, version)));
        let newest = current.id.fingerprint;
        let now = self.0.clock.now();
        let mut state = lock(&self.0.state);
        let is_reloaded = state.newest.replace(newest).is_some_and(|known| known != newest);
        let is_inactive = state.inactive.is_some_and(|(known, since)| known == newest && now.saturating_sub(since) < WAY_BACK);
        let order = if is_inactive { [previous, Some(current)] } else { [Some(current), previous] };
        let is_new = |held: &Held| refused.iter().all(|it| it.fingerprint != held.id.fingerprint);
        let chosen = order.into_iter().flatten().find(is_new);
        let is_newest = chosen.as_ref().map(|held| held.id.fingerprint == newest);
        let falls_back = !is_inactive && is_newest == Some(false);
        if falls_back {
            state.inactive = Some((newest, now));
        } else if is_newest != Some(false) {
            // The one before goes no more, or went neither: it is the new one's turn from now on.
            state.inactive = None;
        }
        drop(state);
        if is_reloaded {
            observers.tell(&AuthEvent::SecretReloaded { source: self.name(), fingerprint: newest });
        }
        if falls_back {
            observers.tell(&AuthEvent::SecretNotYetActive { fingerprint: newest });
        }
        chosen
    }

    fn name(&self) -> &str {
        match &self.0.origin {
            Origin::Given(_) => "the application",
            Origin::Source(source) => source.name(),
        }
    }

    /// The secret for the next attempt, made into what a request carries.
    pub(in crate::server) async fn authorize(
        &self,
        target: Target<'_>,
        refused: &[SecretId],
        carry: impl FnOnce(Held) -> Authorization,
    ) -> Result<Option<Authorization>> {
        Ok(self.next(target.observers, refused).await?.map(carry))
    }
}

impl fmt::Debug for Rotating {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.origin {
            Origin::Given(_) => f.write_str("redacted"),
            Origin::Source(source) => write!(f, "redacted, from {}", source.name()),
        }
    }
}
