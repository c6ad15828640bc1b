//! Secrets as the emulator keeps them: by their digest, so that nothing here can tell one, and a comparison's time tells nothing of it.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::digest;

use crate::platform;

/// The SHA-256 digest of a secret.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub(super) struct Sealed([u8; 32]);

impl Sealed {
    pub(super) fn of(secret: &str) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest::digest(&digest::SHA256, secret.as_bytes()).as_ref());
        Self(bytes)
    }

    /// As a PKCE challenge of method S256 is written.
    pub(super) fn base64url(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }
}

/// Eight hex digits, the same that the client's observers name a credential by.
impl fmt::Display for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[..4].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A new secret of 256 random bits; the prefix tells a reader what it is.
pub(super) fn mint(prefix: &str) -> String {
    let mut bytes = [0; 32];
    platform::fill_random(&mut bytes);
    format!("{prefix}{}", URL_SAFE_NO_PAD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::Fingerprint;

    #[test]
    fn digests_are_those_of_rfc_7636_and_of_the_observers() {
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        assert_eq!(Sealed::of(verifier).base64url(), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
        assert_eq!(Sealed::of(verifier).to_string(), Fingerprint::of(verifier).to_string());
    }

    #[test]
    fn no_two_secrets_are_the_same() {
        let secrets: std::collections::HashSet<_> = (0..1000).map(|_| mint("at_")).collect();
        assert_eq!(secrets.len(), 1000);
        assert!(secrets.iter().all(|secret| secret.len() == 46));
    }
}
