//! Several places where a secret may be.

use std::{fmt, sync::OnceLock};

use super::{BoxFuture, SecretSource, VersionedSecret};
use crate::{Error, Result};

/// The first source of several that is [configured](SecretSource::is_configured). It is settled when the secret is first needed and stays so:
/// an error of that source is an error, and never the next one's turn.
///
/// ```
/// use amplitude_sdk::server::{EnvSecret, FileSecret, SecretChain};
///
/// let secret = SecretChain::new(EnvSecret::new("MY_AMPLITUDE_SECRET")).or(FileSecret::new("/run/secrets/amplitude_secret_key"));
/// # let _ = secret;
/// ```
pub struct SecretChain {
    sources: Vec<Box<dyn SecretSource>>,
    settled: OnceLock<usize>,
}

impl SecretChain {
    /// The source that is asked first.
    #[must_use]
    pub fn new(first: impl SecretSource) -> Self {
        Self { sources: vec![Box::new(first)], settled: OnceLock::new() }
    }

    /// One more, for when none before it is configured.
    #[must_use]
    pub fn or(mut self, next: impl SecretSource) -> Self {
        self.sources.push(Box::new(next));
        self
    }

    fn settled(&self) -> Option<&dyn SecretSource> {
        self.settled.get().map(|index| &*self.sources[*index])
    }

    fn settle(&self) -> Result<&dyn SecretSource> {
        if let Some(source) = self.settled() {
            return Ok(source);
        }
        let first = self.sources.iter().position(|source| source.is_configured());
        let first = first.ok_or_else(|| {
            let names: Vec<_> = self.sources.iter().map(|source| source.name()).collect();
            Error::at("secret", &["none of its sources is configured: ", &names.join(", ")].concat())
        })?;
        Ok(&*self.sources[*self.settled.get_or_init(|| first)])
    }
}

impl SecretSource for SecretChain {
    fn current(&self) -> BoxFuture<'_, Result<VersionedSecret>> {
        Box::pin(async { self.settle()?.current().await })
    }

    fn invalidate(&self, version: u64) {
        if let Some(source) = self.settled() {
            source.invalidate(version);
        }
    }

    fn name(&self) -> &str {
        self.settled().map_or("a chain of sources", SecretSource::name)
    }

    fn is_configured(&self) -> bool {
        self.sources.iter().any(|source| source.is_configured())
    }
}

/// The names of the sources.
impl fmt::Debug for SecretChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.sources.iter().map(|source| source.name())).finish()
    }
}
