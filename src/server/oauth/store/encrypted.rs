//! [`EncryptedTokenStore`]: tokens that only who has a key can read, in any store.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

use super::{
    super::{AuthError, EncryptionKey, StoreGuard, StoreKey, StoredTokens, TokenStore},
    stored::{binding, corrupt},
};
use crate::server::BoxFuture;

/// Encrypts what a store keeps, with ChaCha20-Poly1305, a random nonce for each write, and bound to the [`StoreKey`] and the number of the
/// write, so that no store can pass one's tokens off as another's.
///
/// It protects where the key is kept apart from the tokens (a secret manager, a mounted file, the system's keyring); a key that lies beside the
/// file adds nothing. What was stored without it, or with another key, is [`super::super::StoreFault::Corrupt`].
///
/// ```no_run
/// use amplitude_sdk::server::oauth::{EncryptedTokenStore, EncryptionKey, FileTokenStore};
///
/// let key = EncryptionKey::parse(&std::fs::read_to_string("/run/secrets/token-key").unwrap())?;
/// let store = EncryptedTokenStore::new(FileTokenStore::user_default()?, key);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct EncryptedTokenStore<S> {
    store: S,
    key: EncryptionKey,
    older: Vec<EncryptionKey>,
}

impl<S> EncryptedTokenStore<S> {
    /// Encrypts with that key what goes into the store.
    #[must_use]
    pub fn new(store: S, key: EncryptionKey) -> Self {
        Self { store, key, older: Vec::new() }
    }

    /// Also opens what an earlier key has encrypted; the next write takes the new one. That is how a key is rotated.
    #[must_use]
    pub fn also_opens(mut self, older: EncryptionKey) -> Self {
        self.older.push(older);
        self
    }

    fn open(&self, key: &StoreKey, stored: &StoredTokens) -> Result<StoredTokens, AuthError> {
        stored.check_key(key)?;
        let sealed = Zeroizing::new(STANDARD.decode(&*stored.sealed_part()?).map_err(|_| corrupt("it is not base64"))?);
        let binding = binding(key, stored.generation());
        let mut keys = std::iter::once(&self.key).chain(&self.older);
        let text = keys.find_map(|with| with.open(&sealed, &binding));
        let opened = StoredTokens::from_json(text.ok_or_else(|| corrupt("it was encrypted with another key, or changed"))?)?;
        opened.check_key(key)?;
        Ok(opened)
    }
}

impl<S: TokenStore> TokenStore for EncryptedTokenStore<S> {
    fn load<'a>(&'a self, key: &'a StoreKey) -> BoxFuture<'a, Result<Option<StoredTokens>, AuthError>> {
        Box::pin(async {
            let stored = self.store.load(key).await?;
            stored.map(|stored| self.open(key, &stored)).transpose()
        })
    }

    fn save<'a>(
        &'a self,
        key: &'a StoreKey,
        tokens: &'a StoredTokens,
        expected: Option<u64>,
    ) -> BoxFuture<'a, Result<(), AuthError>> {
        Box::pin(async move {
            let generation = tokens.generation();
            let sealed = self.key.seal(tokens.as_json(), &binding(key, generation));
            let sealed = StoredTokens::sealed(key, generation, &STANDARD.encode(&sealed));
            self.store.save(key, &sealed, expected).await
        })
    }

    fn delete<'a>(&'a self, key: &'a StoreKey) -> BoxFuture<'a, Result<(), AuthError>> {
        self.store.delete(key)
    }

    fn lock<'a>(&'a self, key: &'a StoreKey) -> BoxFuture<'a, Result<StoreGuard, AuthError>> {
        self.store.lock(key)
    }
}
