//! [`FileTokenStore`]: tokens in files of this user's alone.
//!
//! ```text
//! FOLDER/                mode 0700
//!   0f3a..c2.json        mode 0600, named by the key's hash: what is stored, always whole
//!   0f3a..c2.new         what is being stored; becomes the one above by renaming
//!   0f3a..c2.lock        who holds the lock on it may store; never deleted, because a lock on a deleted file is on nothing
//! ```

use std::{
    env,
    fs::{self, DirBuilder, File, Metadata, OpenOptions, TryLockError},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use zeroize::Zeroizing;

use super::{
    super::{AuthError, StoreFault, StoreGuard, StoreKey, StoredTokens, TokenStore},
    stored::{self, corrupt},
};
use crate::{
    Error,
    error::Source,
    platform,
    server::{BoxFuture, runtime::Runtime},
    store::access,
};

/// Three tokens of the largest size, encrypted, fit in a tenth of it.
const MAX_BYTES: u64 = 1 << 20;
/// Longer than who holds the lock takes: a request's time limit, and a write.
const LOCK_WAIT: Duration = Duration::from_secs(30);
/// The system tells nobody when a file's lock is given up.
const LOCK_POLL: Duration = Duration::from_millis(20);

/// Keeps tokens in a folder of this user's alone, so that they survive the process and several processes share them.
///
/// A file is replaced as a whole and has reached the disk before the new token is used. A file, or the folder, that others can read or write,
/// that belongs to another user, or that is a link is refused ([`StoreFault::Unsafe`]), and one that cannot be read is never overwritten
/// ([`StoreFault::Corrupt`]): have [`TokenStore::delete`] forget it. On Windows the folder's permissions are those of the user's profile; they
/// are not checked. The tokens stand there in clear; [`EncryptedTokenStore`](super::EncryptedTokenStore) encrypts them.
///
/// ```no_run
/// use amplitude_sdk::server::oauth::FileTokenStore;
///
/// let store = FileTokenStore::user_default()?;
/// // Or in a folder that the program chooses; it is made when it is first written to.
/// let store = FileTokenStore::new("/var/lib/reports/tokens");
/// # Ok::<(), amplitude_sdk::server::oauth::AuthError>(())
/// ```
#[derive(Clone, Debug)]
pub struct FileTokenStore {
    folder: Arc<Path>,
    lock_wait: Duration,
}

impl FileTokenStore {
    /// A store in that folder.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into().into(), lock_wait: LOCK_WAIT }
    }

    /// A store in the folder `amplitude-sdk/tokens` where this user's programs keep what is theirs: below `XDG_STATE_HOME` or
    /// `HOME/.local/state`, on Windows below `LOCALAPPDATA` or `APPDATA`.
    ///
    /// # Errors
    /// [`AuthError::Invalid`] when none of these variables holds an absolute path.
    pub fn user_default() -> Result<Self, AuthError> {
        let folder = access::state_folder(&|name| env::var_os(name)).ok_or_else(|| {
            AuthError::Invalid(Error::invalid(&[
                "token store: the environment names no folder for this user; set HOME (on Windows LOCALAPPDATA), or choose a folder",
            ]))
        })?;
        Ok(Self::new(folder.join("amplitude-sdk").join("tokens")))
    }

    /// Does what blocks on a thread for that. A caller that has given it up, because the disk hangs, may have gone on: no step that
    /// others see is taken then.
    async fn blocking<T: Send + 'static>(
        &self,
        key: &StoreKey,
        work: impl FnOnce(&Place) -> Result<T, AuthError> + Send + 'static,
    ) -> Result<T, AuthError> {
        let awaited = Arc::new(());
        let place = Place { awaited: Some(Arc::downgrade(&awaited)), ..Place::of(&self.folder, key) };
        runtime()?.blocking(move || work(&place)).await
    }

    /// Waits for the lock on a file of the folder.
    pub(super) async fn lock_file(&self, path: PathBuf) -> Result<StoreGuard, AuthError> {
        let runtime = runtime()?;
        let (folder, until) = (Arc::clone(&self.folder), Instant::now() + self.lock_wait);
        let mut lock = runtime.blocking(move || Lock::open(&folder, &path)).await?;
        loop {
            let (tried, result) = runtime
                .blocking(move || {
                    let result = lock.try_lock();
                    (lock, result)
                })
                .await;
            if result? {
                return Ok(StoreGuard::new(tried));
            }
            if Instant::now() >= until {
                return Err(AuthError::Store(StoreFault::Locked, None));
            }
            lock = tried;
            runtime.run(async { tokio::time::sleep(LOCK_POLL).await }).await;
        }
    }

    #[cfg(feature = "keyring")]
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }
}

impl TokenStore for FileTokenStore {
    fn load<'a>(&'a self, key: &'a StoreKey) -> BoxFuture<'a, Result<Option<StoredTokens>, AuthError>> {
        Box::pin(async {
            let stored = self.blocking(key, Place::read).await?;
            stored.as_ref().map_or(Ok(()), |stored| stored.check_key(key))?;
            Ok(stored)
        })
    }

    fn save<'a>(
        &'a self,
        key: &'a StoreKey,
        tokens: &'a StoredTokens,
        expected: Option<u64>,
    ) -> BoxFuture<'a, Result<(), AuthError>> {
        let (key, tokens) = (key.clone(), tokens.clone());
        Box::pin(async move {
            self.blocking(&key.clone(), move |place| {
                tokens.check_key(&key)?;
                let found = place.read()?;
                found.as_ref().map_or(Ok(()), |found| found.check_key(&key))?;
                if found.map(|found| found.generation()) != expected {
                    return Err(AuthError::Store(StoreFault::Conflict, None));
                }
                place.write(tokens.as_json())?.publish()
            })
            .await
        })
    }

    fn delete<'a>(&'a self, key: &'a StoreKey) -> BoxFuture<'a, Result<(), AuthError>> {
        Box::pin(self.blocking(key, Place::remove))
    }

    fn lock<'a>(&'a self, key: &'a StoreKey) -> BoxFuture<'a, Result<StoreGuard, AuthError>> {
        Box::pin(self.lock_file(Place::of(&self.folder, key).lock))
    }
}

/// Where the tokens of one key are.
pub(super) struct Place {
    folder: Arc<Path>,
    pub(super) stored: PathBuf,
    pub(super) new: PathBuf,
    lock: PathBuf,
    /// Lives as long as somebody waits for what is done here; `None`: it is done in any case.
    awaited: Option<Weak<()>>,
}

/// What is on the disk and not yet what is stored.
pub(super) struct Draft<'a>(&'a Place);

impl Place {
    pub(super) fn of(folder: &Arc<Path>, key: &StoreKey) -> Self {
        let digest = ring::digest::digest(&ring::digest::SHA256, &stored::binding(key, 0));
        let name: String = digest.as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        let path = |ending| folder.join(format!("{name}.{ending}"));
        Self { folder: Arc::clone(folder), stored: path("json"), new: path("new"), lock: path("lock"), awaited: None }
    }

    fn check_awaited(&self) -> Result<(), AuthError> {
        let is_given_up = self.awaited.as_ref().is_some_and(|awaited| awaited.strong_count() == 0);
        if is_given_up { Err(AuthError::Store(StoreFault::Io, Some(Source::from("it was given up")))) } else { Ok(()) }
    }

    fn read(&self) -> Result<Option<StoredTokens>, AuthError> {
        let Some(linked) = look_at(&self.stored)? else { return Ok(None) };
        let own = check_folder(&self.folder)?;
        // Before it is opened, because to open a pipe waits for who writes to it.
        if !linked.is_file() {
            return Err(unsafe_fault("is a link or no file", &self.stored));
        }
        let file = File::open(&self.stored).map_err(io_fault("cannot be opened", &self.stored))?;
        let found = file.metadata().map_err(io_fault("cannot be read", &self.stored))?;
        if !found.is_file() || !access::is_same_file(&linked, &found) {
            return Err(unsafe_fault("is a link or no file", &self.stored));
        }
        if let Some(problem) = access::not_private(&found, &own) {
            return Err(unsafe_fault(problem, &self.stored));
        }
        // With room from the start, so that growing leaves no copies behind.
        let mut text = Zeroizing::new(String::with_capacity(found.len().min(MAX_BYTES) as usize + 1));
        match file.take(MAX_BYTES).read_to_string(&mut text) {
            Ok(_) if found.len() < MAX_BYTES => StoredTokens::from_json(std::mem::take(&mut *text)).map(Some),
            Ok(_) => Err(corrupt("it is too large")),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(corrupt("it is not UTF-8")),
            Err(error) => Err(io_fault("cannot be read", &self.stored)(error)),
        }
    }

    /// Brings the text to the disk, beside what is stored.
    pub(super) fn write(&self, text: &str) -> Result<Draft<'_>, AuthError> {
        let failed = io_fault("cannot be written", &self.new);
        make_folder(&self.folder)?;
        // Of a process that ended in the middle.
        remove(&self.new)?;
        self.check_awaited()?;
        let mut file = access::private_file(OpenOptions::new().write(true).create_new(true)).open(&self.new).map_err(&failed)?;
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(&failed)?;
        Ok(Draft(self))
    }

    fn remove(&self) -> Result<(), AuthError> {
        if look_at(&self.folder)?.is_none() {
            return Ok(());
        }
        remove(&self.new)?;
        self.check_awaited()?;
        remove(&self.stored)?;
        access::sync_folder(&self.folder).map_err(io_fault("cannot be written", &self.folder))
    }
}

impl Draft<'_> {
    pub(super) fn publish(self) -> Result<(), AuthError> {
        let Self(place) = self;
        place.check_awaited()?;
        fs::rename(&place.new, &place.stored).map_err(io_fault("cannot be replaced", &place.stored))?;
        access::sync_folder(&place.folder).map_err(io_fault("cannot be written", &place.folder))
    }
}

/// A file to lock. The lock ends with the process, too.
struct Lock {
    file: File,
    process: u32,
    held: bool,
}

impl Lock {
    fn open(folder: &Path, path: &Path) -> Result<Self, AuthError> {
        make_folder(folder)?;
        if look_at(path)?.is_some_and(|found| !found.is_file()) {
            return Err(unsafe_fault("is a link or no file", path));
        }
        let file = access::private_file(OpenOptions::new().write(true).create(true).truncate(false))
            .open(path)
            .map_err(io_fault("cannot be opened", path))?;
        Ok(Self { file, process: platform::process_id(), held: false })
    }

    fn try_lock(&mut self) -> Result<bool, AuthError> {
        match self.file.try_lock() {
            Ok(()) => self.held = true,
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(AuthError::Store(StoreFault::Io, Some(error.into()))),
        }
        Ok(self.held)
    }
}

/// A child that is being spawned has the file, too, until it runs its program: closing alone would leave it locked for so long. What a
/// process was forked from keeps its lock.
impl Drop for Lock {
    fn drop(&mut self) {
        if self.held && self.process == platform::process_id() {
            // The file is closed in any case.
            let _ = self.file.unlock();
        }
    }
}

/// Makes the folder, and those above it, for this user alone; one that is there is checked.
fn make_folder(folder: &Path) -> Result<(), AuthError> {
    access::private_folder(DirBuilder::new().recursive(true)).create(folder).map_err(io_fault("cannot be made", folder))?;
    check_folder(folder).map(drop)
}

/// Answers with what a file of this process's user looks like.
fn check_folder(folder: &Path) -> Result<Metadata, AuthError> {
    let found = look_at(folder)?.ok_or_else(|| io_fault("is gone", folder)(io::ErrorKind::NotFound.into()))?;
    if !found.is_dir() {
        return Err(unsafe_fault("is a link or no folder", folder));
    }
    // A name that nobody can put a link under before.
    let mut random = [0; 8];
    platform::fill_random(&mut random);
    let probe = folder.join(format!(".probe-{:016x}", u64::from_le_bytes(random)));
    let unwritable = io_fault("cannot be written to", folder);
    let file = access::private_file(OpenOptions::new().write(true).create_new(true)).open(&probe).map_err(&unwritable)?;
    let own = file.metadata();
    fs::remove_file(&probe).map_err(&unwritable)?;
    let own = own.map_err(&unwritable)?;
    access::not_private(&found, &own).map_or(Ok(own), |problem| Err(unsafe_fault(problem, folder)))
}

/// What is there, without following a link.
fn look_at(path: &Path) -> Result<Option<Metadata>, AuthError> {
    match fs::symlink_metadata(path) {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io_fault("cannot be read", path)(error)),
    }
}

fn remove(path: &Path) -> Result<(), AuthError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_fault("cannot be deleted", path)(error)),
        _ => Ok(()),
    }
}

fn runtime() -> Result<Runtime, AuthError> {
    Runtime::shared().map_err(|error| AuthError::Store(StoreFault::Io, Some(error.into())))
}

fn io_fault(what: &'static str, path: &Path) -> impl Fn(io::Error) -> AuthError + use<> {
    let path = path.display().to_string();
    move |error| {
        let source = io::Error::new(error.kind(), format!("{path} {what}: {error}"));
        AuthError::Store(StoreFault::Io, Some(source.into()))
    }
}

fn unsafe_fault(what: &'static str, path: &Path) -> AuthError {
    AuthError::Store(StoreFault::Unsafe, Some(Source::from(format!("{} {what}", path.display()))))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Work = fn(&Place, &dyn Fn()) -> Result<(), AuthError>;

    fn key() -> StoreKey {
        StoreKey::new("https://as.example.com", "demo")
    }

    fn tokens(generation: u64) -> StoredTokens {
        StoredTokens::sealed(&key(), generation, "fake")
    }

    /// Has something hang on a slow disk until it was given up; answers how it ended.
    async fn late(store: &FileTokenStore, work: Work) -> Result<(), AuthError> {
        let (begun, has_begun) = std::sync::mpsc::channel();
        let (go_on, may_go_on) = std::sync::mpsc::channel::<()>();
        let (end, ended) = std::sync::mpsc::channel();
        let key = key();
        let hanging = store.blocking(&key, move |place| {
            let hang = || {
                begun.send(()).unwrap();
                may_go_on.recv().unwrap();
            };
            end.send(work(place, &hang)).unwrap();
            Ok(())
        });
        assert!(tokio::time::timeout(Duration::ZERO, hanging).await.is_err());
        has_begun.recv().unwrap();
        go_on.send(()).unwrap();
        ended.recv().unwrap()
    }

    #[tokio::test]
    async fn what_was_given_up_is_not_done_later() {
        let folder = tempfile::tempdir().unwrap();
        let store = FileTokenStore::new(folder.path().join("tokens"));
        store.save(&key(), &tokens(1), None).await.unwrap();
        let steps: [Work; 3] = [
            |place, hang| {
                hang();
                place.write(tokens(2).as_json()).map(drop)
            },
            |place, hang| {
                let draft = place.write(tokens(2).as_json())?;
                hang();
                draft.publish()
            },
            |place, hang| {
                hang();
                place.remove()
            },
        ];
        for step in steps {
            assert!(late(&store, step).await.is_err());
            assert_eq!(store.load(&key()).await.unwrap().unwrap().generation(), 1);
        }
    }
}
