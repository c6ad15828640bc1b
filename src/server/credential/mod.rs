//! Credentials, and what each may do: a call that a credential cannot make does not compile.

mod any;
mod authorization;
mod both;
mod error;
mod experiment;
mod key;
mod kind;
#[cfg(feature = "oauth")]
mod oauth;
mod org;
mod project;
mod refused;
mod rotating;
mod token;

use reqwest::Method;

#[cfg(feature = "oauth")]
pub use self::oauth::{OAuth, ProjectBearer, StaticToken};
pub use self::{
    any::{AnyClient, AnyCredential},
    both::Both,
    error::{CredentialError, Refusal},
    experiment::{DeploymentKey, ManagementKey, ServerDeploymentKey},
    kind::CredentialKind,
    org::{OrgKey, OrgPair, ScimKey},
    project::{ProfileKey, ProjectPair},
    token::PersonalAccessToken,
};
pub(super) use self::{
    authorization::{Authorization, SecretId, Target},
    refused::{Refused, is_known},
    rotating::Rotating,
};
use super::api::Api;
use crate::{ProjectKey, Result, server::BoxFuture};

/// What authorises a [`super::Client`]. Implemented by this crate alone.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no credential",
    note = "make the client from a `ProjectKey` or a `server::ProjectPair`; for User Profiles, a secret key alone becomes a `server::ProfileKey`"
)]
pub trait Credential: Sealed + Clone + Send + Sync + 'static {}

/// Keeps [`Credential`] and the capabilities to this crate.
pub trait Sealed: Send + Sync {
    /// What a request carries. `refused` are those that the server refused for this request: `None` when there is no other one to try.
    #[doc(hidden)]
    fn authorization<'a>(&'a self, target: Target<'a>, refused: &'a [SecretId]) -> BoxFuture<'a, Result<Option<Authorization>>>;

    /// Requests that change nothing and tell whether the credential is good.
    #[doc(hidden)]
    fn probes(&self) -> Result<Vec<Probe>>;
}

/// A request that changes nothing.
#[derive(Clone, Copy, Debug)]
pub struct Probe {
    pub(super) api: Api,
    pub(super) path: &'static str,
    pub(super) query: &'static [(&'static str, &'static str)],
    /// Whether a status and a text beside success are what the server says once it has taken the credential.
    pub(super) is_also_good: fn(u16, &str) -> bool,
}

impl Probe {
    pub(super) const METHOD: Method = Method::GET;

    const fn new(api: Api, path: &'static str, query: &'static [(&'static str, &'static str)]) -> Self {
        Self { api, path, query, is_also_good: |_, _| false }
    }
}

/// Credentials that may read a project's events with [`super::Client::export`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot export events",
    note = "the Export API takes a project's API key and secret key: make the client from a `server::ProjectPair`; for delegated access, from a `server::ProjectBearer`"
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
    fn project_key(&self) -> Result<&ProjectKey>;

    /// The secret that one request may carry, where the credential has one.
    #[doc(hidden)]
    fn body_secret(&self) -> Option<BodySecret> {
        None
    }
}

/// Credentials that open the Developer API, e.g. for [`super::Client::context`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot call the Developer API",
    note = "the Developer API takes a user's token: make the client from a `server::OAuth` or a `server::PersonalAccessToken`, or add one with `Client::with_bearer`"
)]
pub trait CanBearer: Credential {}

/// Credentials that a server can be asked about with [`super::Client::verify`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be verified",
    note = "a project's API key alone opens ingestion only, where the first event tells whether it is good"
)]
pub trait CanVerify: Credential {}

/// A project's secret key on its way into one request's body.
#[derive(Clone, Debug)]
pub struct BodySecret(Rotating);

impl Sealed for BodySecret {
    fn authorization<'a>(&'a self, target: Target<'a>, refused: &'a [SecretId]) -> BoxFuture<'a, Result<Option<Authorization>>> {
        Box::pin(self.0.authorize(target, refused, |held| Authorization::body(CredentialKind::ProjectPair, held)))
    }

    fn probes(&self) -> Result<Vec<Probe>> {
        Ok(Vec::new())
    }
}
