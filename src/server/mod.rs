//! What only servers do: calls that need a secret. Not compiled for any wasm target, whatever the features.
//!
//! [`Client`] holds one credential and offers the calls that it may make; a call that the credential cannot make does not compile.
//! Secrets are redacted in `Debug`, overwritten in memory when dropped, and sent over TLS 1.3, or 1.2 where
//! [`Options::allow_tls_1_2`] was called; without TLS they go to loopback addresses alone.

mod api;
mod call;
mod challenge;
mod client;
mod clock;
mod context;
mod credential;
mod env;
mod error;
mod export;
mod ingest;
#[cfg(feature = "metrics")]
mod metrics;
#[cfg(feature = "oauth")]
pub mod oauth;
mod observer;
mod options;
mod runtime;
pub mod scope;
mod secret;
mod source;
mod usage;
mod verify;

#[cfg(feature = "oauth")]
pub use self::credential::{OAuth, ProjectBearer, StaticToken};
pub use self::{
    client::Client,
    context::TokenContext,
    credential::{
        AnyClient, AnyCredential, Both, CanBearer, CanExport, CanIngest, CanVerify, Credential, CredentialError, CredentialKind,
        DeploymentKey, ManagementKey, OrgKey, OrgPair, PersonalAccessToken, ProfileKey, ProjectPair, Refusal, ScimKey,
        ServerDeploymentKey,
    },
    export::{Export, ExportRange, ExportedEvent, ExportedEvents},
    ingest::{EventVerdict, IngestOptions, Ingested},
    observer::{AuthEvent, AuthObserver, Fingerprint, UnusualUsage},
    options::Options,
    scope::{Scope, ScopeSet},
    secret::{AccessToken, ClientSecret, IdToken, OrgSecretKey, RefreshToken, RegistrationToken, SecretKey, SecretText},
    source::{BoxFuture, EnvSecret, FileSecret, SecretChain, SecretFn, SecretSource, VersionedSecret},
    usage::{CredentialUsage, ScopeMonitor, ScopeReport, Usage, UsageMonitor, UsageReport},
};

/// A client that sends events.
pub type IngestClient = Client<crate::ProjectKey>;
/// A client of all that a project's two keys open.
pub type ProjectClient = Client<ProjectPair>;
/// A client of user profiles.
pub type ProfileClient = Client<ProfileKey>;
/// A client of an organization.
pub type OrgClient = Client<OrgPair>;
/// A client of an organization's users and groups.
pub type ScimClient = Client<ScimKey>;
/// A client of flags and experiments.
pub type ExperimentClient = Client<ManagementKey>;
/// A client of the Developer API.
#[cfg(feature = "oauth")]
pub type DeveloperClient = Client<OAuth>;

pub(crate) use env::Environment;
pub(crate) use secret::Expose;
