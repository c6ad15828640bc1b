//! Where a secret comes from, asked anew whenever it may have changed, so that no process restarts for a rotation.

mod chain;
mod closure;
mod env;
mod file;

use std::{future::Future, pin::Pin, sync::Arc};

pub use self::{chain::SecretChain, closure::SecretFn, env::EnvSecret, file::FileSecret};

use crate::{
    Result,
    server::{Expose as _, SecretText},
};

/// A future in a box, for traits that are used as objects.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Gives a secret, and gives the new one once it was rotated. Asked before each request; answer from memory where that is possible.
pub trait SecretSource: Send + Sync + 'static {
    /// The secret as it is now.
    ///
    /// # Errors
    /// Why it cannot be had; what this says is shown, so no part of the secret may be in it.
    fn current(&self) -> BoxFuture<'_, Result<VersionedSecret>>;

    /// The server refused the secret of that version: the next [`SecretSource::current`] is to look again at once.
    fn invalidate(&self, version: u64);

    /// Where it reads, as events and errors tell it, e.g. `AMPLITUDE_SECRET_KEY_FILE`. Shown, so no part of the secret may be in it.
    fn name(&self) -> &str {
        "the application's own source"
    }

    /// Whether there is something to read at all; a [`super::SecretChain`] takes the first source of which this is true.
    fn is_configured(&self) -> bool {
        true
    }
}

/// A secret, the one before it, and a number that changes with it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct VersionedSecret {
    /// The secret to use.
    pub secret: SecretText,
    /// What was valid before. Tried once when the server does not know the new one yet.
    pub previous: Option<SecretText>,
    /// Differs between two secrets of the same source.
    pub version: u64,
}

impl VersionedSecret {
    /// A secret without one before it.
    #[must_use]
    pub fn new(secret: SecretText, version: u64) -> Self {
        Self { secret, previous: None, version }
    }

    /// What is known once a text was read: the same where it is the same text, or a new version with the way back to the one before.
    fn after(known: Option<&Self>, secret: SecretText) -> Self {
        match known {
            None => Self::new(secret, 0),
            Some(known) if known.secret.expose() == secret.expose() => known.clone(),
            Some(known) => Self { secret, previous: Some(known.secret.clone()), version: known.version + 1 },
        }
    }
}

/// A secret that never changes, e.g. as the last source of a [`SecretChain`].
impl SecretSource for SecretText {
    fn current(&self) -> BoxFuture<'_, Result<VersionedSecret>> {
        Box::pin(async { Ok(VersionedSecret::new(self.clone(), 0)) })
    }

    fn invalidate(&self, _: u64) {}

    fn name(&self) -> &str {
        "a given secret"
    }
}

/// A source that several credentials read.
impl<S: SecretSource + ?Sized> SecretSource for Arc<S> {
    fn current(&self) -> BoxFuture<'_, Result<VersionedSecret>> {
        (**self).current()
    }

    fn invalidate(&self, version: u64) {
        (**self).invalidate(version);
    }

    fn name(&self) -> &str {
        (**self).name()
    }

    fn is_configured(&self) -> bool {
        (**self).is_configured()
    }
}
