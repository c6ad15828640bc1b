//! A secret in a file.

use std::{fmt, path::PathBuf, sync::Mutex, time::Duration};

use super::{BoxFuture, SecretSource, VersionedSecret};
use crate::{
    Error, Result,
    promise::lock,
    server::{SecretText, clock::Clock, env::read_file},
};

/// How long a file's text is good before the file is looked at again.
const EVERY: Duration = Duration::from_secs(10);

/// A secret in a file, as Docker and Kubernetes mount it. The file is read anew at most every 10 seconds, and at once when the server refuses
/// what it held; so it may be replaced, and so may a link that leads to it, while programs run.
///
/// The file's last line break is not part of the secret. When the file cannot be read for a while after it was read once, what it held serves
/// on, and the log says so. The secret that it held before stays as the way back for as long as the server does not know the new one.
///
/// ```
/// use amplitude_sdk::server::{FileSecret, ProfileKey};
///
/// let key = ProfileKey::from_source(FileSecret::new("/run/secrets/amplitude_secret_key"));
/// # let _ = key;
/// ```
pub struct FileSecret {
    path: PathBuf,
    name: String,
    state: Mutex<State>,
    clock: Clock,
}

#[derive(Default)]
struct State {
    known: Option<VersionedSecret>,
    /// When the file was read last; `None`: it is to be read at once.
    read: Option<Duration>,
    has_warned: bool,
}

impl FileSecret {
    /// The file at that path. It is read when the secret is first needed.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        let name = path.to_string_lossy().into_owned();
        Self { path, name, state: Mutex::default(), clock: Clock::default() }
    }

    /// Under the name of the variable that gave the path.
    pub(in crate::server) fn named(self, name: String) -> Self {
        Self { name, ..self }
    }

    fn secret(&self) -> Result<VersionedSecret> {
        let now = self.clock.now();
        let mut state = lock(&self.state);
        if let (Some(known), Some(read)) = (&state.known, state.read)
            && now.saturating_sub(read) < EVERY
        {
            return Ok(known.clone());
        }
        match (self.read(&mut state), &state.known) {
            (Ok(secret), known) => {
                let next = VersionedSecret::after(known.as_ref(), secret);
                state.read = Some(now);
                Ok(state.known.insert(next).clone())
            }
            (Err(error), Some(known)) => {
                tracing::warn!(target: "amplitude_sdk::auth", "{error}; what it held before is used on");
                let known = known.clone();
                state.read = Some(now);
                Ok(known)
            }
            (Err(error), None) => Err(error),
        }
    }

    fn read(&self, state: &mut State) -> Result<SecretText> {
        if !state.has_warned && crate::platform::is_open_to_others(&self.path) {
            // No error: a mount of Kubernetes is so by default.
            tracing::warn!(target: "amplitude_sdk::auth", "{}: other users of this machine can read the file", self.name);
            state.has_warned = true;
        }
        let text = read_file(&self.name, &self.path)?;
        SecretText::new(text.as_str()).map_err(|error| Error::at(&self.name, &error.to_string()))
    }
}

impl SecretSource for FileSecret {
    fn current(&self) -> BoxFuture<'_, Result<VersionedSecret>> {
        Box::pin(async { self.secret() })
    }

    fn invalidate(&self, version: u64) {
        let mut state = lock(&self.state);
        if state.known.as_ref().is_some_and(|known| known.version == version) {
            state.read = None;
        }
    }

    fn name(&self) -> &str {
        &self.name
    }

    /// There is something under the path; if that cannot be read, it is an error and not another source's turn.
    fn is_configured(&self) -> bool {
        !matches!(self.path.try_exists(), Ok(false))
    }
}

/// Without what it held.
impl fmt::Debug for FileSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FileSecret").field(&self.name).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        sync::{
            Arc,
            atomic::{AtomicU64, Ordering},
        },
    };

    use super::*;
    use crate::server::Expose as _;

    fn file(text: &str) -> (tempfile::TempDir, FileSecret, Arc<AtomicU64>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        fs::write(&path, text).unwrap();
        let seconds = Arc::new(AtomicU64::new(0));
        let clock = Arc::clone(&seconds);
        let clock = Clock::of(move || Duration::from_secs(clock.load(Ordering::Relaxed)));
        (folder, FileSecret { clock, ..FileSecret::new(path) }, seconds)
    }

    fn texts(read: &VersionedSecret) -> (&str, Option<&str>, u64) {
        (read.secret.expose(), read.previous.as_ref().map(|it| it.expose()), read.version)
    }

    #[test]
    fn a_change_is_seen_after_ten_seconds_or_when_the_secret_was_refused() {
        let (folder, source, seconds) = file("first\n");
        let path = folder.path().join("secret");
        assert_eq!(texts(&source.secret().unwrap()), ("first", None, 0));
        fs::write(&path, "second").unwrap();
        seconds.store(9, Ordering::Relaxed);
        assert_eq!(texts(&source.secret().unwrap()), ("first", None, 0));
        seconds.store(10, Ordering::Relaxed);
        assert_eq!(texts(&source.secret().unwrap()), ("second", Some("first"), 1));
        fs::write(&path, "third\r\n").unwrap();
        // Of a version that is past already.
        source.invalidate(0);
        assert_eq!(texts(&source.secret().unwrap()), ("second", Some("first"), 1));
        source.invalidate(1);
        assert_eq!(texts(&source.secret().unwrap()), ("third", Some("second"), 2));
        // Written anew with what it held is no change.
        fs::write(&path, "third").unwrap();
        source.invalidate(2);
        assert_eq!(texts(&source.secret().unwrap()), ("third", Some("second"), 2));
    }

    #[test]
    fn what_cannot_be_read_is_an_error_at_first_and_the_known_one_later() {
        let (folder, source, seconds) = file("");
        let path = folder.path().join("secret");
        assert!(source.is_configured());
        assert!(source.secret().unwrap_err().to_string().ends_with("is empty"));
        fs::write(&path, "now\nthere\n").unwrap();
        let error = source.secret().unwrap_err();
        assert!(error.to_string().contains("a control character") && !error.to_string().contains("there"), "{error}");
        fs::write(&path, "there").unwrap();
        assert_eq!(texts(&source.secret().unwrap()), ("there", None, 0));
        fs::remove_file(&path).unwrap();
        seconds.store(100, Ordering::Relaxed);
        assert_eq!(texts(&source.secret().unwrap()), ("there", None, 0));
        assert!(!source.is_configured());
        fs::write(&path, "back").unwrap();
        source.invalidate(0);
        assert_eq!(texts(&source.secret().unwrap()), ("back", Some("there"), 1));
    }
}
