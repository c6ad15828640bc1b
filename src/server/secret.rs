//! Secret types: redacted, zeroised, never compared, printed or serialised.

use std::fmt;

use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use crate::{Error, Result, server::Fingerprint};

/// Reads a secret's text, for the request that needs it or the file that keeps it.
pub(crate) trait Expose {
    fn expose(&self) -> &str;
}

/// Makes a secret's type: its text is overwritten when it is dropped, `Debug` shows a placeholder, and nothing else reads it but
/// [`Expose`], which this crate alone can name. `$check` is what its text must be.
macro_rules! secrets {
    ($($(#[$doc:meta])* $name:ident, $what:literal, $max:literal $characters:literal, $check:ident $(, $never:ident)?;)*) => {$(
        $(#[$doc])*
        #[derive(Clone)]
        pub struct $name(SecretString);

        impl $name {
            #[doc = concat!("Checks that the secret can travel in a request: one to ", $max, " ", $characters, ".")]
            ///
            /// # Errors
            /// [`crate::ErrorKind::Invalid`] that says what is wrong, without the secret.
            pub fn new(secret: impl Into<String>) -> Result<Self> {
                // From here on the text is overwritten when it is dropped, a refused one too. A copy, because what was given may have room
                // to spare, and to cut that off moves the text and leaves the old one behind.
                let given = Zeroizing::new(secret.into());
                let secret = SecretString::from(given.as_str());
                Self::check(secret.expose_secret())?;
                Ok(Self(secret))
            }

            /// What [`Self::new`] checks, of a text that stays where it is.
            pub(crate) fn check(secret: &str) -> Result<()> {
                $check($what, secret, $max)?;
                $($never($what, secret, None)?;)?
                Ok(())
            }

            /// Names it without telling it: what events and reports have in its place.
            #[must_use]
            pub fn fingerprint(&self) -> Fingerprint {
                Fingerprint::of(self.expose())
            }
        }

        impl Expose for $name {
            fn expose(&self) -> &str {
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
    /// assert_eq!(secret.fingerprint().to_string().len(), 8);
    /// # Ok::<(), amplitude_sdk::Error>(())
    /// ```
    SecretKey, "secret key", 1024 "visible ASCII characters", check, check_swapped;

    /// The secret key that belongs to an organization's API key; Amplitude's support issues both.
    OrgSecretKey, "organization secret key", 1024 "visible ASCII characters", check, check_swapped;

    /// The secret of an OAuth client or of a service account. It is form-encoded before it is sent (RFC 6749 §2.3.1), so that it may hold spaces
    /// and non-ASCII characters.
    ClientSecret, "client secret", 1024 "characters, none of which is a control character", check_text;

    /// An OAuth access token, which lives for a short time.
    AccessToken, "access token", 16384 "visible ASCII characters", check;

    /// An OAuth refresh token: who has it can make access tokens until it is revoked.
    RefreshToken, "refresh token", 16384 "visible ASCII characters", check;

    /// An OpenID Connect token that came beside the others. This crate never reads it: it is no proof of who somebody is.
    IdToken, "id token", 16384 "visible ASCII characters", check;

    /// What allows an OAuth client to be changed or deleted that was registered by a program (RFC 7592).
    RegistrationToken, "registration token", 16384 "visible ASCII characters", check;

    /// The text of a secret whose kind its user knows: what a [`super::SecretSource`] gives. It may also hold spaces and non-ASCII characters;
    /// whether they are allowed, its kind says.
    SecretText, "secret", 16384 "characters, none of which is a control character", check_text;
}

impl SecretText {
    /// A secret of which no more is to be known than its text.
    pub(crate) fn of(secret: &impl Expose) -> Self {
        Self(SecretString::from(secret.expose()))
    }
}

/// How the keys begin that tell by their first letters what they are, and what they are.
const KNOWN: [(&str, &str); 3] = [
    ("client-", "a client deployment key (`DeploymentKey`)"),
    ("server-", "a server deployment key (`ServerDeploymentKey`)"),
    ("amp_", "a personal access token (`PersonalAccessToken`)"),
];

/// Refuses a key that tells by its first letters that it is another one; `own` are the letters that this kind begins with, if any.
pub(crate) fn check_swapped(what: &str, key: &str, own: Option<&str>) -> Result<()> {
    if key.starts_with("PAT=") {
        return Err(Error::invalid(&[
            what,
            ": begins with `PAT=`, which stands before a token in a request and is no part of it",
        ]));
    }
    for (letters, kind) in KNOWN {
        if own != Some(letters) && key.starts_with(letters) {
            return Err(Error::invalid(&[
                what,
                ": begins with `",
                letters,
                "`, so that it is ",
                kind,
                "; were two keys swapped?",
            ]));
        }
    }
    Ok(())
}

/// Visible ASCII characters.
pub(crate) fn check(what: &str, secret: &str, max: usize) -> Result<()> {
    check_length(what, secret, max)?;
    if !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Error::invalid(&[what, ": holds white space, a control character or a non-ASCII one"]));
    }
    // As they stand in a shell's or an .env file's text.
    if secret.len() > 1 && ['"', '\''].iter().any(|quote| secret.starts_with(*quote) && secret.ends_with(*quote)) {
        return Err(Error::invalid(&[what, ": has quotes around it, which are no part of it"]));
    }
    Ok(())
}

/// Any characters but control characters.
fn check_text(what: &str, secret: &str, max: usize) -> Result<()> {
    check_length(what, secret, max)?;
    if secret.chars().any(char::is_control) {
        return Err(Error::invalid(&[what, ": holds a control character, e.g. a line break"]));
    }
    Ok(())
}

fn check_length(what: &str, secret: &str, max: usize) -> Result<()> {
    if secret.is_empty() {
        return Err(Error::invalid(&[what, ": is empty"]));
    }
    if secret.len() > max {
        return Err(Error::invalid(&[what, ": is longer than ", &max.to_string(), " characters"]));
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
            ("\"sentinel\"", "has quotes around it"),
            ("'sentinel'", "has quotes around it"),
        ] {
            let error = SecretKey::new(bad).unwrap_err();
            assert!(error.to_string().starts_with("secret key: ") && error.to_string().contains(said), "{error}");
            assert!(!format!("{error:?}").contains("sent"), "{error:?}");
        }
    }

    #[test]
    fn a_clients_secret_may_hold_more_than_a_key_but_no_control_characters() {
        for good in ["a b", "s\u{e9}cret", "\"quoted\"", &"s".repeat(1024)] {
            assert_eq!(ClientSecret::new(good).unwrap().expose(), good);
        }
        for (bad, said) in [("", "is empty"), ("sentinel\n", "a control character"), (&*"s".repeat(1025), "is longer than 1024")]
        {
            let error = ClientSecret::new(bad).unwrap_err();
            assert!(error.to_string().starts_with("client secret: ") && error.to_string().contains(said), "{error}");
        }
    }
}
