//! The project API key: public by nature, the only credential of the browser build.

use std::fmt;

use crate::{Error, Result};

/// A project API key, as "Settings → Projects → your project" shows it.
///
/// It names the project that events go to. It is not a secret: everybody who opens a page that tracks can read it.
/// A key cannot be told from a secret key by its looks, so take care which one you paste.
///
/// ```
/// use amplitude_sdk::ProjectKey;
///
/// let key = ProjectKey::new("00000000000000000000000000000000")?;
/// assert_eq!(format!("{key:?}"), "ProjectKey(000000…)");
/// assert!(ProjectKey::new("").is_err());
/// # Ok::<(), amplitude_sdk::Error>(())
/// ```
#[derive(Clone, Eq, Hash, PartialEq)]
pub struct ProjectKey(String);

impl ProjectKey {
    /// Checks that the key can travel in a request: one to 128 visible ASCII characters without quotes or backslash.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Invalid`] that says what is wrong, without the key.
    pub fn new(key: impl Into<String>) -> Result<Self> {
        let key = key.into();
        if key.is_empty() {
            return Err(Error::invalid(&["project key: is empty"]));
        }
        if key.len() > 128 {
            return Err(Error::invalid(&["project key: is longer than 128 characters"]));
        }
        // A colon would end the user name of Basic authentication, a quote the JSON string.
        if !key.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'\\' | b':')) {
            return Err(Error::invalid(&[
                "project key: holds a character that no key has (white space, a quote, a colon or a non-ASCII one)",
            ]));
        }
        Ok(Self(key))
    }

    /// The key's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ProjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProjectKey(")?;
        f.write_str(&self.0[..self.0.len().min(6)])?;
        f.write_str("…)")
    }
}
