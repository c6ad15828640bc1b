//! A secret in the environment.

use std::{fmt, sync::OnceLock};

use super::{BoxFuture, FileSecret, SecretSource, VersionedSecret};
use crate::{
    Result,
    server::{SecretText, env::Environment},
};

/// The secret of an environment variable, or of the file that the same name with `_FILE` behind it gives.
///
/// A process's environment does not change, so that a variable is read once; the file is read anew as [`FileSecret`] does it.
///
/// ```
/// use amplitude_sdk::server::{EnvSecret, FileSecret, ProfileKey, SecretChain};
///
/// let key = ProfileKey::from_source(
///     SecretChain::new(EnvSecret::new("MY_AMPLITUDE_SECRET")).or(FileSecret::new("/run/secrets/amplitude_secret_key")),
/// );
/// # let _ = key;
/// ```
pub struct EnvSecret {
    name: String,
    read: OnceLock<Read>,
}

enum Read {
    Text(SecretText),
    File(FileSecret),
}

impl EnvSecret {
    /// The variable of that name. It is read when the secret is first needed.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), read: OnceLock::new() }
    }

    /// A variable that is there, in an environment that may be another one than the process's.
    pub(in crate::server) fn found(name: &str, environment: Environment<'_>) -> Result<Self> {
        let found = Self::new(name);
        found.read(environment)?;
        Ok(found)
    }

    fn read(&self, environment: Environment<'_>) -> Result<&Read> {
        if let Some(read) = self.read.get() {
            return Ok(read);
        }
        let text = environment.required(&self.name, |text| SecretText::new(text))?;
        let read = match environment.file(&self.name) {
            Some(path) => Read::File(FileSecret::new(path).named([&self.name, "_FILE"].concat())),
            None => Read::Text(text),
        };
        Ok(self.read.get_or_init(|| read))
    }
}

impl SecretSource for EnvSecret {
    fn current(&self) -> BoxFuture<'_, Result<VersionedSecret>> {
        Box::pin(async {
            match self.read(Environment::of_process())? {
                Read::Text(text) => Ok(VersionedSecret::new(text.clone(), 0)),
                Read::File(file) => file.current().await,
            }
        })
    }

    fn invalidate(&self, version: u64) {
        if let Some(Read::File(file)) = self.read.get() {
            file.invalidate(version);
        }
    }

    fn name(&self) -> &str {
        match self.read.get() {
            Some(Read::File(file)) => file.name(),
            _ => &self.name,
        }
    }

    fn is_configured(&self) -> bool {
        Environment::of_process().has(&self.name)
    }
}

/// Without the value.
impl fmt::Debug for EnvSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EnvSecret").field(&self.name).finish()
    }
}
