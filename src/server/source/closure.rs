//! A secret that the application's own code gives.

use std::{fmt, sync::Mutex};

use super::{BoxFuture, SecretSource, VersionedSecret};
use crate::{Error, Result, promise::lock, server::SecretText};

/// A secret that an async closure gives, e.g. one that asks a secret manager. It is called when the secret is first needed, and again when the
/// server refused what it gave, or after [`SecretFn::refresh`], for which the application keeps it in an [`std::sync::Arc`].
///
/// ```
/// use amplitude_sdk::server::{ProfileKey, SecretFn};
///
/// let key = ProfileKey::from_source(SecretFn::new("my secret manager", || async {
///     // Ask it here.
///     Ok("fake0000000000000000000000000key".to_owned())
/// }));
/// # let _ = key;
/// ```
pub struct SecretFn {
    name: String,
    give: Box<dyn Fn() -> BoxFuture<'static, Given> + Send + Sync>,
    state: Mutex<State>,
}

type Given = Result<String, Box<dyn std::error::Error + Send + Sync>>;

#[derive(Default)]
struct State {
    known: Option<VersionedSecret>,
    is_stale: bool,
}

impl SecretFn {
    /// `name` is what events and errors call it. What the closure's error says is shown, so no secret may be in it.
    #[must_use]
    pub fn new<F, R>(name: impl Into<String>, give: F) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Given> + Send + 'static,
    {
        Self { name: name.into(), give: Box::new(move || Box::pin(give())), state: Mutex::default() }
    }

    /// Has the next request ask again, e.g. after the application heard of a rotation.
    pub fn refresh(&self) {
        lock(&self.state).is_stale = true;
    }

    fn known(&self) -> Option<VersionedSecret> {
        let state = lock(&self.state);
        state.known.clone().filter(|_| !state.is_stale)
    }

    fn learn(&self, secret: SecretText) -> VersionedSecret {
        let mut state = lock(&self.state);
        state.is_stale = false;
        let next = VersionedSecret::after(state.known.as_ref(), secret);
        state.known.insert(next).clone()
    }
}

impl SecretSource for SecretFn {
    fn current(&self) -> BoxFuture<'_, Result<VersionedSecret>> {
        Box::pin(async {
            if let Some(known) = self.known() {
                return Ok(known);
            }
            // Two that ask at the same time both ask: what they learn is the same.
            let given = (self.give)().await;
            let text = given.map_err(|error| Error::at(&self.name, "gives no secret").with_source(error))?;
            let secret = SecretText::new(text).map_err(|error| Error::at(&self.name, &error.to_string()))?;
            Ok(self.learn(secret))
        })
    }

    fn invalidate(&self, version: u64) {
        let mut state = lock(&self.state);
        if state.known.as_ref().is_some_and(|known| known.version == version) {
            state.is_stale = true;
        }
    }

    fn name(&self) -> &str {
        &self.name
    }
}

/// Without what it gave.
impl fmt::Debug for SecretFn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SecretFn").field(&self.name).finish()
    }
}
