//! [`RedirectUri`]: where the user's browser comes back to.

use super::{AuthError, endpoint};
use crate::Error;

/// Where the user's browser comes back to, as it was registered with the server, character for character.
///
/// ```
/// use amplitude_sdk::server::oauth::RedirectUri;
///
/// let web_app = RedirectUri::https("https://app.example.com/callback")?;
/// let tool = RedirectUri::loopback("http://127.0.0.1:13222/callback")?;
/// assert!(RedirectUri::https("http://app.example.com/callback").is_err());
/// # Ok::<(), amplitude_sdk::server::oauth::AuthError>(())
/// ```
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct RedirectUri(String);

impl RedirectUri {
    /// A web application's.
    ///
    /// # Errors
    /// [`AuthError::Insecure`] for http, [`AuthError::Invalid`] for what is no URL, or one with a fragment or a password.
    pub fn https(url: impl Into<String>) -> Result<Self, AuthError> {
        Self::of(url.into(), "https")
    }

    /// That of a program on the user's machine, which listens there (RFC 8252 §7.3): http on a loopback address, with its port.
    ///
    /// # Errors
    /// [`AuthError::Insecure`] for an address that is not loopback, [`AuthError::Invalid`] as [`RedirectUri::https`].
    pub fn loopback(url: impl Into<String>) -> Result<Self, AuthError> {
        Self::of(url.into(), "http")
    }

    fn of(text: String, scheme: &str) -> Result<Self, AuthError> {
        const WHAT: &str = "redirect URI";
        let url = endpoint::verbatim(WHAT, &text)?;
        match url.scheme() {
            of if of != scheme && scheme == "https" => Err(AuthError::Insecure { what: WHAT }),
            of if of != scheme => Err(AuthError::Invalid(Error::at(WHAT, "is not http on a loopback address"))),
            _ if url.fragment().is_some() => Err(AuthError::Invalid(Error::at(WHAT, "must have no fragment"))),
            _ => Ok(Self(text)),
        }
    }

    /// As it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_uri_is_kept_as_it_was_given() {
        for url in ["https://app.example.com", "https://APP.example.com:443/cb?x=%7e"] {
            assert_eq!(RedirectUri::https(url).unwrap().as_str(), url);
            assert!(RedirectUri::loopback(url).is_err());
        }
        for url in ["http://127.0.0.1:1/callback", "http://localhost:13222/callback", "http://[::1]:1/"] {
            assert_eq!(RedirectUri::loopback(url).unwrap().as_str(), url);
            assert!(matches!(RedirectUri::https(url), Err(AuthError::Insecure { .. })), "{url}");
        }
        assert!(matches!(RedirectUri::loopback("http://10.0.0.1/"), Err(AuthError::Insecure { .. })));
        for bad in
            ["", "/callback", "https://a.example/#x", "https://u:p@a.example/", "myapp://callback", "https://a.example/cb\n"]
        {
            assert!(RedirectUri::https(bad).is_err() && RedirectUri::loopback(bad).is_err(), "{bad}");
        }
    }
}
