//! The kinds of credentials, and where in Amplitude each is found.

use std::fmt;

/// The kind of a credential.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum CredentialKind {
    /// A project's API key alone.
    ProjectKey,
    /// A project's API key with its secret key.
    ProjectPair,
    /// A project's secret key alone.
    ProfileKey,
    /// An organization's API key with its secret key.
    OrgPair,
    /// An organization's SCIM key.
    ScimKey,
    /// A client-side deployment key.
    DeploymentKey,
    /// A server-side deployment key.
    ServerDeploymentKey,
    /// A management key of Experiment.
    ManagementKey,
    /// A personal access token.
    PersonalAccessToken,
    /// A token of OAuth 2.0.
    OAuth,
    /// A token of OAuth 2.0 on a project's own APIs.
    ProjectBearer,
}

impl CredentialKind {
    /// A token of a user, which has scopes.
    pub(crate) const fn is_bearer(self) -> bool {
        matches!(self, Self::PersonalAccessToken | Self::OAuth | Self::ProjectBearer)
    }

    /// Where it is shown or made.
    pub(crate) const fn place(self) -> &'static str {
        match self {
            Self::ProjectKey | Self::ProjectPair | Self::ProfileKey => "Settings → Projects → your project → General",
            Self::OrgPair => "Amplitude's support, which issues both keys",
            Self::ScimKey => "the organization's settings, where a new one is made",
            Self::DeploymentKey | Self::ServerDeploymentKey => "Experiment → Deployments",
            Self::ManagementKey => "Experiment → Management API",
            Self::PersonalAccessToken => "the settings of the user who made it",
            Self::OAuth | Self::ProjectBearer => "a new login of the user, or of the service account",
        }
    }
}

impl fmt::Display for CredentialKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ProjectKey => "the project's API key",
            Self::ProjectPair => "the project's pair of keys",
            Self::ProfileKey => "the project's secret key",
            Self::OrgPair => "the organization's pair of keys",
            Self::ScimKey => "the SCIM key",
            Self::DeploymentKey => "the client deployment key",
            Self::ServerDeploymentKey => "the server deployment key",
            Self::ManagementKey => "the management key",
            Self::PersonalAccessToken => "the personal access token",
            Self::OAuth => "the OAuth access token",
            Self::ProjectBearer => "the OAuth access token on a project's API",
        })
    }
}
