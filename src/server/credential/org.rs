//! The keys of an organization.

use std::{fmt, sync::Arc};

use super::{
    Authorization, CanVerify, Credential, CredentialKind, Probe, Sealed, SecretId, Target, key::keys, rotating::Rotating,
};
use crate::{
    ProjectKey, Result,
    server::{
        BoxFuture, OrgSecretKey, SecretSource,
        api::Api,
        env::{Environment, from_environment},
    },
};

keys! {
    /// An organization's SCIM key, which manages its users and groups. It is shown once, and a new one ends it at once.
    ///
    /// ```
    /// use amplitude_sdk::server::ScimKey;
    ///
    /// let key = ScimKey::new("fake0000000000000000000000000key")?;
    /// assert!(!format!("{key:?}").contains("fake"));
    /// # Ok::<(), amplitude_sdk::Error>(())
    /// ```
    ScimKey {
        what: "SCIM key",
        variable: "AMPLITUDE_SCIM_KEY",
        begins: None,
        carry: |held| Authorization::bearer(CredentialKind::ScimKey, "Bearer ", held),
        probe: Probe::new(Api::Scim, "/scim/1/Users", &[("startIndex", "1"), ("itemsPerPage", "1")]),
    }
}

/// An organization's API key: it names the organization, and opens nothing without the secret key that belongs to it.
#[derive(Clone)]
pub struct OrgKey(String);

impl OrgKey {
    /// One to 128 visible ASCII characters without quotes, backslash or colon.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Invalid`] that says what is wrong, without the key.
    pub fn new(key: impl Into<String>) -> Result<Self> {
        let key = key.into();
        // The characters are those of the keys of projects.
        ProjectKey::new(key.as_str()).map_err(|error| crate::Error::invalid(&["organization's ", &error.to_string()]))?;
        crate::server::secret::check_swapped("organization's API key", &key, None)?;
        Ok(Self(key))
    }

    /// The key's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Its first characters, enough to tell two apart.
impl fmt::Debug for OrgKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OrgKey({}…)", &self.0[..self.0.len().min(6)])
    }
}

/// An organization's API key with its secret key: Basic authentication of what concerns all projects at once. Amplitude's support issues both.
///
/// ```
/// use amplitude_sdk::server::{OrgKey, OrgPair, OrgSecretKey};
///
/// let pair = OrgPair::new(
///     OrgKey::new("demo0000000000000000000000000key")?,
///     OrgSecretKey::new("fake0000000000000000000000000key")?,
/// );
/// assert!(!format!("{pair:?}").contains("fake"));
/// # Ok::<(), amplitude_sdk::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct OrgPair {
    key: OrgKey,
    secret: Rotating,
}

impl OrgPair {
    /// Both keys of one organization.
    #[must_use]
    pub fn new(key: OrgKey, secret: OrgSecretKey) -> Self {
        Self { key, secret: Rotating::given(&secret) }
    }

    /// The same with a secret key that a source gives, which may give another one later.
    #[must_use]
    pub fn with_source(key: OrgKey, secret: impl SecretSource) -> Self {
        Self { key, secret: Rotating::from_source(Arc::new(secret), OrgSecretKey::check) }
    }

    pub(in crate::server) fn read(environment: Environment<'_>) -> Result<Self> {
        let key = environment.required("AMPLITUDE_ORG_API_KEY", |text| OrgKey::new(text))?;
        Ok(Self { key, secret: environment.secret("AMPLITUDE_ORG_SECRET_KEY", OrgSecretKey::check)? })
    }

    /// The API key, which is no secret.
    #[must_use]
    pub fn key(&self) -> &OrgKey {
        &self.key
    }
}

from_environment!(OrgPair, "AMPLITUDE_ORG_API_KEY", "AMPLITUDE_ORG_SECRET_KEY");

impl Sealed for OrgPair {
    fn authorization<'a>(&'a self, target: Target<'a>, refused: &'a [SecretId]) -> BoxFuture<'a, Result<Option<Authorization>>> {
        let carry = |held| Authorization::basic(CredentialKind::OrgPair, self.key.as_str(), held);
        Box::pin(self.secret.authorize(target, refused, carry))
    }

    fn probes(&self) -> Result<Vec<Probe>> {
        Ok(vec![Probe::new(Api::UserManagement, "/user-management/1/roles", &[])])
    }
}

impl Credential for OrgPair {}
impl CanVerify for OrgPair {}
