//! Secret types: redacted, zeroised, never compared, printed or serialised.

use std::fmt;

use secrecy::{ExposeSecret as _, SecretString};

use crate::{Error, Result};

/// Makes a secret's type: its text is overwritten when it is dropped, `Debug` shows a placeholder, and nothing else reads it but
/// `expose`, which the call path alone uses.
macro_rules! secrets {
    ($($(#[$doc:meta])* $name:ident, $what:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone)]
        pub struct $name(SecretString);

        impl $name {
            /// Checks that the secret can travel in a request: one to 1024 visible ASCII characters.
            ///
            /// # Errors
            /// [`crate::ErrorKind::Invalid`] that says what is wrong, without the secret.
            pub fn new(secret: impl Into<String>) -> Result<Self> {
                // From here on the text is overwritten when it is dropped, a refused one too.
                let secret = SecretString::from(secret.into());
                check($what, secret.expose_secret())?;
                Ok(Self(secret))
            }

            /// The secret's text, for the request that needs it.
            pub(crate) fn expose(&self) -> &str {
                self.0.expose_secret()
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(redacted)"))
            }
        }
    )*};
}

secrets! {
    /// A project's secret key, as "Settings → Projects → your project" shows it beside the API key. It reads and deletes what the project
    /// holds: keep it on servers, out of repositories and out of pages.
    ///
    /// ```
    /// use amplitude_sdk::server::SecretKey;
    ///
    /// let secret = SecretKey::new("fake0000000000000000000000000key")?;
    /// assert_eq!(format!("{secret:?}"), "SecretKey(redacted)");
    /// # Ok::<(), amplitude_sdk::Error>(())
    /// ```
    SecretKey, "secret key";
}

fn check(what: &str, secret: &str) -> Result<()> {
    if secret.is_empty() {
        return Err(Error::invalid(&[what, ": is empty"]));
    }
    if secret.len() > 1024 {
        return Err(Error::invalid(&[what, ": is longer than 1024 characters"]));
    }
    if !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Error::invalid(&[what, ": holds white space, a control character or a non-ASCII one"]));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_one_to_1024_visible_ascii_characters() {
        for good in ["x", "fake0000000000000000000000000key", "a:b\"c\\d", &"s".repeat(1024)] {
            assert_eq!(SecretKey::new(good).unwrap().expose(), good);
        }
        let (long, huge) = ("sentinel".repeat(129), "sentinel".repeat(1 << 20));
        for (bad, said) in [
            ("", "is empty"),
            (&*long, "is longer than 1024 characters"),
            (&*huge, "is longer than 1024 characters"),
            ("sentinel ", "holds white space"),
            (" sentinel", "holds white space"),
            ("sentinel\n", "holds white space"),
            ("sentinel\0", "a control character"),
            ("sent\u{ed}nel", "a non-ASCII one"),
        ] {
            let error = SecretKey::new(bad).unwrap_err();
            assert!(error.to_string().starts_with("secret key: ") && error.to_string().contains(said), "{error}");
            assert!(!format!("{error:?}").contains("sent"), "{error:?}");
        }
    }
}
