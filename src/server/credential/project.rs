//! The keys of a project.

use std::{future::ready, sync::Arc};

use super::{
    Authorization, BodySecret, CanExport, CanIngest, CanVerify, Credential, CredentialKind, Probe, Sealed, SecretId, Target,
    rotating::Rotating,
};
use crate::{
    ProjectKey, Result,
    server::{
        BoxFuture, SecretKey, SecretSource,
        api::Api,
        env::{Environment, from_environment},
        export::is_no_data,
    },
};

/// A project's API key together with its secret key: Basic authentication of the project's APIs.
///
/// ```
/// use amplitude_sdk::{ProjectKey, server::{ProjectPair, SecretKey}};
///
/// let pair = ProjectPair::new(
///     ProjectKey::new("demo0000000000000000000000000key")?,
///     SecretKey::new("fake0000000000000000000000000key")?,
/// );
/// assert!(!format!("{pair:?}").contains("fake"));
/// # Ok::<(), amplitude_sdk::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ProjectPair {
    key: ProjectKey,
    secret: Rotating,
}

impl ProjectPair {
    /// Both keys of one project.
    #[must_use]
    pub fn new(key: ProjectKey, secret: SecretKey) -> Self {
        Self { key, secret: Rotating::given(&secret) }
    }

    /// The same with a secret key that a source gives, which may give another one later: nothing restarts for a rotation.
    ///
    /// ```no_run
    /// use amplitude_sdk::{ProjectKey, server::{Client, FileSecret, ProjectPair}};
    ///
    /// let secret = FileSecret::new("/run/secrets/amplitude_secret_key");
    /// let client = Client::new(ProjectPair::with_source(ProjectKey::new("YOUR_API_KEY")?, secret))?;
    /// # Ok::<(), amplitude_sdk::Error>(())
    /// ```
    #[must_use]
    pub fn with_source(key: ProjectKey, secret: impl SecretSource) -> Self {
        Self { key, secret: Rotating::from_source(Arc::new(secret), SecretKey::check) }
    }

    pub(in crate::server) fn read(environment: Environment<'_>) -> Result<Self> {
        let key = environment.project_key()?;
        Ok(Self { key, secret: environment.secret("AMPLITUDE_SECRET_KEY", SecretKey::check)? })
    }

    /// The API key, which is no secret.
    #[must_use]
    pub fn key(&self) -> &ProjectKey {
        &self.key
    }

    #[cfg(test)]
    pub(in crate::server) fn secret(&self) -> &Rotating {
        &self.secret
    }
}

from_environment!(ProjectPair, "AMPLITUDE_API_KEY", "AMPLITUDE_SECRET_KEY");

impl Sealed for ProjectPair {
    fn authorization<'a>(&'a self, target: Target<'a>, refused: &'a [SecretId]) -> BoxFuture<'a, Result<Option<Authorization>>> {
        match target.api {
            // Ingestion reads the key from the body alone, and fails of no secret that cannot be read.
            Api::Ingestion => self.key.authorization(target, refused),
            _ => {
                let carry = |held| Authorization::basic(CredentialKind::ProjectPair, self.key.as_str(), held);
                Box::pin(self.secret.authorize(target, refused, carry))
            }
        }
    }

    fn probes(&self) -> Result<Vec<Probe>> {
        // An hour before there was anything to export: the answer to good keys is that there is nothing.
        let probe = Probe::new(Api::Analytics, "/api/2/export", &[("start", "20000101T00"), ("end", "20000101T00")]);
        Ok(vec![Probe { is_also_good: is_no_data, ..probe }])
    }
}

impl Credential for ProjectPair {}
impl CanExport for ProjectPair {}
impl CanVerify for ProjectPair {}
impl CanIngest for ProjectPair {
    fn project_key(&self) -> Result<&ProjectKey> {
        Ok(&self.key)
    }

    fn body_secret(&self) -> Option<BodySecret> {
        Some(BodySecret(self.secret.clone()))
    }
}

impl Sealed for ProjectKey {
    fn authorization<'a>(&'a self, _: Target<'a>, refused: &'a [SecretId]) -> BoxFuture<'a, Result<Option<Authorization>>> {
        // What never changes is good for one attempt.
        let authorization = refused.is_empty().then(|| Authorization::nothing(CredentialKind::ProjectKey, self.as_str()));
        Box::pin(ready(Ok(authorization)))
    }

    fn probes(&self) -> Result<Vec<Probe>> {
        Ok(Vec::new())
    }
}

impl Credential for ProjectKey {}
impl CanIngest for ProjectKey {
    fn project_key(&self) -> Result<&ProjectKey> {
        Ok(self)
    }
}

/// A project's secret key alone, which the User Profile API takes (`Api-Key`).
///
/// ```
/// use amplitude_sdk::server::{ProfileKey, SecretKey};
///
/// let key = ProfileKey::new(SecretKey::new("fake0000000000000000000000000key")?);
/// assert!(!format!("{key:?}").contains("fake"));
/// # Ok::<(), amplitude_sdk::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ProfileKey(Rotating);

impl ProfileKey {
    /// The project's secret key.
    #[must_use]
    pub fn new(secret: SecretKey) -> Self {
        Self(Rotating::given(&secret))
    }

    /// The secret key that a source gives, which may give another one later.
    #[must_use]
    pub fn from_source(secret: impl SecretSource) -> Self {
        Self(Rotating::from_source(Arc::new(secret), SecretKey::check))
    }

    pub(in crate::server) fn read(environment: Environment<'_>) -> Result<Self> {
        environment.secret("AMPLITUDE_SECRET_KEY", SecretKey::check).map(Self)
    }
}

from_environment!(ProfileKey, "AMPLITUDE_SECRET_KEY");

impl Sealed for ProfileKey {
    fn authorization<'a>(&'a self, target: Target<'a>, refused: &'a [SecretId]) -> BoxFuture<'a, Result<Option<Authorization>>> {
        Box::pin(self.0.authorize(target, refused, |held| Authorization::api_key(CredentialKind::ProfileKey, held)))
    }

    fn probes(&self) -> Result<Vec<Probe>> {
        // Nobody has this id; that nobody has is said in the server's own words, with a status that is not documented.
        let probe = Probe::new(Api::Profile, "/v1/userprofile", &[("user_id", "amplitude-sdk-verifies-a-key")]);
        let is_also_good = |status, text: &str| (200..500).contains(&status) && text.contains("not seen before");
        Ok(vec![Probe { is_also_good, ..probe }])
    }
}

impl Credential for ProfileKey {}
impl CanVerify for ProfileKey {}
