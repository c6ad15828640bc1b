//! Credentials, and what each may do: a call that a credential cannot make does not compile.

use reqwest::RequestBuilder;

use crate::{
    ProjectKey, Result,
    server::{env::Environment, secret::SecretKey},
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
    secret: SecretKey,
}

impl ProjectPair {
    /// Both keys of one project.
    #[must_use]
    pub fn new(key: ProjectKey, secret: SecretKey) -> Self {
        Self { key, secret }
    }

    /// Reads `AMPLITUDE_API_KEY` and `AMPLITUDE_SECRET_KEY`, or the files that `AMPLITUDE_API_KEY_FILE` and `AMPLITUDE_SECRET_KEY_FILE`
    /// name (as Docker and Kubernetes mount secrets). A file's last line break is not part of the key.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Invalid`] that names the variable that is missing, set twice or cannot be read; never its value.
    pub fn from_env() -> Result<Self> {
        Self::read(Environment::of_process())
    }

    pub(super) fn read(environment: Environment<'_>) -> Result<Self> {
        let key = environment.project_key()?;
        let secret = environment.required("AMPLITUDE_SECRET_KEY", |text| SecretKey::new(text))?;
        Ok(Self { key, secret })
    }

    /// The API key, which is no secret.
    #[must_use]
    pub fn key(&self) -> &ProjectKey {
        &self.key
    }

    #[cfg(test)]
    pub(super) fn secret(&self) -> &SecretKey {
        &self.secret
    }
}

/// What authorises a [`super::Client`]. Implemented by this crate alone.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no credential",
    note = "make the client from a `ProjectKey` or a `server::ProjectPair`"
)]
pub trait Credential: Sealed + Clone + Send + Sync + 'static {}

/// Keeps [`Credential`] and the capabilities to this crate.
pub trait Sealed {
    /// Adds the credential to a request, marked so that no log of the HTTP stack shows it.
    #[doc(hidden)]
    fn authorize(&self, request: RequestBuilder) -> RequestBuilder;
}

/// Credentials that may read a project's events with [`super::Client::export`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot export events",
    note = "the Export API takes a project's API key and secret key: make the client from a `server::ProjectPair`"
)]
pub trait CanExport: Credential {}

/// Credentials that may send events with [`super::Client::ingest`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot ingest events",
    note = "ingestion takes a project's API key: make the client from a `ProjectKey` or a `server::ProjectPair`"
)]
pub trait CanIngest: Credential {
    /// The project that the events go to.
    #[doc(hidden)]
    fn project_key(&self) -> &ProjectKey;

    /// The secret that one request may carry, where the credential has one.
    #[doc(hidden)]
    fn project_secret(&self) -> Option<&SecretKey> {
        None
    }
}

impl Sealed for ProjectPair {
    fn authorize(&self, request: RequestBuilder) -> RequestBuilder {
        request.basic_auth(self.key.as_str(), Some(self.secret.expose()))
    }
}

impl Credential for ProjectPair {}
impl CanExport for ProjectPair {}
impl CanIngest for ProjectPair {
    fn project_key(&self) -> &ProjectKey {
        &self.key
    }

    fn project_secret(&self) -> Option<&SecretKey> {
        Some(&self.secret)
    }
}

impl Sealed for ProjectKey {
    /// Ingestion reads the key from the body alone.
    fn authorize(&self, request: RequestBuilder) -> RequestBuilder {
        request
    }
}

impl Credential for ProjectKey {}
impl CanIngest for ProjectKey {
    fn project_key(&self) -> &ProjectKey {
        self
    }
}
