//! The key of an encrypted store in the system's keyring: macOS Keychain, Windows Credential Manager, Secret Service.

use std::sync::Arc;

use zeroize::Zeroizing;

use super::{
    super::{AuthError, EncryptionKey, StoreFault},
    EncryptedTokenStore, FileTokenStore,
    stored::corrupt,
};
use crate::{error::Source, server::runtime::Runtime};

/// What the entry is called beside the name of its service.
const USER: &str = "token encryption key";

impl EncryptedTokenStore<FileTokenStore> {
    /// Encrypts with a key that the system's keyring keeps under the name `service`, e.g. that of your program. The first time, a random one is
    /// made. The tokens themselves stay in the files, because keyrings have no locks and small limits.
    ///
    /// Servers and containers have no keyring as a rule; give an [`EncryptionKey`] of your own there.
    ///
    /// # Errors
    /// [`AuthError::Store`]: there is no keyring or it is locked ([`StoreFault::Io`]), what stands in it is no key ([`StoreFault::Corrupt`]), or
    /// the folder cannot be used.
    pub async fn in_keyring(files: FileTokenStore, service: &str) -> Result<Self, AuthError> {
        let service: Arc<str> = service.into();
        Self::with_entry(files, move || keyring::Entry::new(&service, USER)).await
    }

    async fn with_entry(
        files: FileTokenStore,
        entry: impl FnOnce() -> keyring::Result<keyring::Entry> + Send + 'static,
    ) -> Result<Self, AuthError> {
        // Two processes that start together would make two keys, and one of them would be lost.
        let guard = files.lock_file(files.folder().join("keyring.lock")).await?;
        let runtime = Runtime::shared().map_err(|error| AuthError::Store(StoreFault::Io, Some(error.into())))?;
        let key = runtime.blocking(move || get_or_make(&entry().map_err(failed)?)).await?;
        drop(guard);
        Ok(Self::new(files, key))
    }
}

fn get_or_make(entry: &keyring::Entry) -> Result<EncryptionKey, AuthError> {
    match entry.get_secret().map(Zeroizing::new) {
        Ok(bytes) => {
            let bytes = bytes.as_slice().try_into().map_err(|_| corrupt("the keyring's entry is not 32 bytes"))?;
            Ok(EncryptionKey::from_bytes(bytes))
        }
        Err(keyring::Error::NoEntry) => {
            let key = EncryptionKey::random();
            entry.set_secret(key.as_bytes()).map_err(failed)?;
            Ok(key)
        }
        Err(error) => Err(failed(error)),
    }
}

/// What it says in words: its parts may hold what the keyring keeps.
fn failed(error: keyring::Error) -> AuthError {
    let text = match (&error, keyring::Entry::store_status()) {
        // Why there is none was said when it was looked for.
        (keyring::Error::NoDefaultStore, Err(cause)) => {
            format!(
                "the system's keyring cannot be used ({cause}); servers and containers have none as a rule: give an `EncryptionKey` \
                 of your own"
            )
        }
        _ => error.to_string(),
    };
    AuthError::Store(StoreFault::Io, Some(Source::from(text)))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use keyring_core::{CredentialStore, Entry, mock};

    use super::*;
    use crate::server::oauth::{StoreKey, StoredTokens, TokenStore as _};

    fn key() -> StoreKey {
        StoreKey::new("https://as.example.com", "demo")
    }

    fn tokens() -> StoredTokens {
        StoredTokens::sealed(&key(), 1, "fake")
    }

    async fn open(
        keyring: &Arc<CredentialStore>,
        files: &FileTokenStore,
    ) -> Result<EncryptedTokenStore<FileTokenStore>, AuthError> {
        let keyring = Arc::clone(keyring);
        let entry = move || Ok(keyring::Entry { inner: Entry::new_in_store(&keyring, "test", USER)? });
        EncryptedTokenStore::with_entry(files.clone(), entry).await
    }

    #[tokio::test]
    async fn the_key_is_made_once_and_found_again() {
        let keyring: Arc<CredentialStore> = mock::Store::new().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let files = FileTokenStore::new(folder.path().join("tokens"));
        let (one, other) = tokio::join!(open(&keyring, &files), open(&keyring, &files));
        one.unwrap().save(&key(), &tokens(), None).await.unwrap();
        assert_eq!(other.unwrap().load(&key()).await.unwrap().unwrap().as_json(), tokens().as_json());
        // A keyring that was emptied makes another one, which does not open what the lost one has closed.
        let emptied: Arc<CredentialStore> = mock::Store::new().unwrap();
        let error = open(&emptied, &files).await.unwrap().load(&key()).await.unwrap_err();
        assert!(matches!(error, AuthError::Store(StoreFault::Corrupt, _)), "{error:?}");
    }

    #[tokio::test]
    async fn what_is_no_key_is_not_used_and_not_shown() {
        let keyring: Arc<CredentialStore> = mock::Store::new().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let files = FileTokenStore::new(folder.path().join("tokens"));
        Entry::new_in_store(&keyring, "test", USER).unwrap().set_secret(b"sentinel").unwrap();
        let error = open(&keyring, &files).await.unwrap_err();
        assert!(matches!(error, AuthError::Store(StoreFault::Corrupt, _)), "{error:?}");
        let failing = || Err(keyring::Error::BadEncoding(b"sentinel".to_vec()));
        let error = EncryptedTokenStore::with_entry(files, failing).await.unwrap_err();
        assert!(matches!(error, AuthError::Store(StoreFault::Io, _)), "{error:?}");
        let shown = format!("{error:?} {error}");
        assert!(!shown.contains("sentinel") && !shown.contains("115, 101"), "{shown}");
    }

    /// The system's own keyring, where there is one.
    #[tokio::test]
    async fn the_systems_keyring_keeps_the_key() {
        if let Err(error) = keyring::Entry::store_status() {
            eprintln!("SKIPPED: this machine has no keyring that can be used ({error})");
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let files = FileTokenStore::new(folder.path().join("tokens"));
        let service = format!("amplitude-sdk test {}", std::process::id());
        let store = EncryptedTokenStore::in_keyring(files.clone(), &service).await.unwrap();
        store.save(&key(), &tokens(), None).await.unwrap();
        let again = EncryptedTokenStore::in_keyring(files, &service).await.unwrap();
        let found = again.load(&key()).await.unwrap().unwrap();
        keyring::Entry::new(&service, USER).unwrap().delete_credential().unwrap();
        assert_eq!(found.as_json(), tokens().as_json());
    }
}
