//! The keys of Amplitude Experiment.

use std::fmt;

use super::{Authorization, CanVerify, Credential, CredentialKind, Probe, Sealed, SecretId, Target, key::keys};
use crate::{
    Result,
    server::{
        BoxFuture, SecretText,
        api::Api,
        env::{Environment, from_environment},
        secret::{check, check_swapped},
    },
};

/// Reads the flags of the deployment.
const FLAGS: Probe = Probe::new(Api::Evaluation, "/v1/flags", &[]);

keys! {
    /// A server-side deployment key of Amplitude Experiment (`server-...`): it reads what flags and experiments are, for evaluation on a server.
    ///
    /// ```
    /// use amplitude_sdk::server::ServerDeploymentKey;
    ///
    /// let key = ServerDeploymentKey::new("server-fake0000000000000000000key")?;
    /// assert!(!format!("{key:?}").contains("fake"));
    /// // The client's key is not it.
    /// assert!(ServerDeploymentKey::new("client-demo0000000000000000000key").is_err());
    /// # Ok::<(), amplitude_sdk::Error>(())
    /// ```
    ServerDeploymentKey {
        what: "server deployment key",
        variable: "AMPLITUDE_DEPLOYMENT_KEY",
        begins: Some("server-"),
        carry: |held| Authorization::api_key(CredentialKind::ServerDeploymentKey, held),
        probe: FLAGS,
    }

    /// A management key of Amplitude Experiment: it changes flags and experiments of the projects that it was made for.
    ///
    /// ```
    /// use amplitude_sdk::server::ManagementKey;
    ///
    /// let key = ManagementKey::new("fake0000000000000000000000000key")?;
    /// assert!(!format!("{key:?}").contains("fake"));
    /// # Ok::<(), amplitude_sdk::Error>(())
    /// ```
    ManagementKey {
        what: "management key",
        variable: "AMPLITUDE_MANAGEMENT_KEY",
        begins: None,
        carry: |held| Authorization::bearer(CredentialKind::ManagementKey, "Bearer ", held),
        probe: Probe::new(Api::Experiment, "/api/1/flags", &[("limit", "1")]),
    }
}

/// A client-side deployment key of Amplitude Experiment (`client-...`), which is public: it evaluates flags for one user at a time.
///
/// ```
/// use amplitude_sdk::server::DeploymentKey;
///
/// let key = DeploymentKey::new("client-demo0000000000000000000key")?;
/// assert_eq!(format!("{key:?}"), "DeploymentKey(client-demo00…)");
/// assert!(DeploymentKey::new("server-fake0000000000000000000key").is_err());
/// # Ok::<(), amplitude_sdk::Error>(())
/// ```
#[derive(Clone)]
pub struct DeploymentKey(String);

impl DeploymentKey {
    /// One to 128 visible ASCII characters.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Invalid`] that says what is wrong, without the key: it could be a secret one by mistake.
    pub fn new(key: impl Into<String>) -> Result<Self> {
        let key = key.into();
        check("client deployment key", &key, 128)?;
        check_swapped("client deployment key", &key, Some("client-"))?;
        Ok(Self(key))
    }

    /// The key's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(in crate::server) fn read(environment: Environment<'_>) -> Result<Self> {
        environment.required("AMPLITUDE_DEPLOYMENT_KEY", |text| Self::new(text))
    }
}

from_environment!(DeploymentKey, "AMPLITUDE_DEPLOYMENT_KEY");

/// Its first characters, enough to tell two apart.
impl fmt::Debug for DeploymentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeploymentKey({}…)", &self.0[..self.0.len().min(13)])
    }
}

impl Sealed for DeploymentKey {
    fn authorization<'a>(&'a self, _: Target<'a>, refused: &'a [SecretId]) -> BoxFuture<'a, Result<Option<Authorization>>> {
        Box::pin(async move {
            // Checked already, and no secret: the type is what carries a key.
            let key = SecretText::new(self.0.as_str())?;
            Ok(refused.is_empty().then(|| Authorization::public_api_key(CredentialKind::DeploymentKey, key)))
        })
    }

    fn probes(&self) -> Result<Vec<Probe>> {
        Ok(vec![FLAGS])
    }
}

impl Credential for DeploymentKey {}
impl CanVerify for DeploymentKey {}
