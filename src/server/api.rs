//! Which hosts serve what. Source: the pages of Amplitude's APIs, amplitude.com/docs, read 2026-03-13.

use crate::{Error, Region, Result};

/// A group of calls that share hosts and kinds of credentials.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Api {
    /// HTTP V2 and Batch. They read the key from the body.
    Ingestion,
    /// What a project's two keys open: Export, Dashboard, Cohorts.
    Analytics,
    /// What a user's token opens.
    Developer,
    /// Profiles of a project's users.
    Profile,
    /// Users and groups of an organization (SCIM).
    Scim,
    /// Roles of an organization's users.
    UserManagement,
    /// Experiment: variants of users.
    Evaluation,
    /// Experiment: its flags and experiments.
    Experiment,
}

impl Api {
    /// # Errors
    /// [`crate::ErrorKind::Invalid`] where a region does not have it.
    pub(super) fn url(self, region: Region) -> Result<&'static str> {
        Ok(match (self, region) {
            (Self::Ingestion, _) => region.ingestion_url(),
            (Self::Analytics, _) => region.analytics_url(),
            (Self::Developer, Region::Us) => "https://developer-api.amplitude.com",
            (Self::Developer, Region::Eu) => "https://developer-api.eu.amplitude.com",
            (Self::Profile, Region::Us) => "https://profile-api.amplitude.com",
            (Self::Profile, Region::Eu) => return Err(Error::invalid(&["region: the User Profile API is in the US only"])),
            (Self::Scim | Self::UserManagement, Region::Us) => "https://core.amplitude.com",
            (Self::Scim | Self::UserManagement, Region::Eu) => "https://core.eu.amplitude.com",
            (Self::Evaluation, Region::Us) => "https://api.lab.amplitude.com",
            (Self::Evaluation, Region::Eu) => "https://api.lab.eu.amplitude.com",
            (Self::Experiment, Region::Us) => "https://experiment.amplitude.com",
            (Self::Experiment, Region::Eu) => "https://experiment.eu.amplitude.com",
        })
    }

    /// As a sentence about a wrong credential calls it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ingestion => "ingest events",
            Self::Analytics => "export events",
            Self::Developer => "call the Developer API",
            Self::Profile => "read user profiles",
            Self::Scim => "manage users by SCIM",
            Self::UserManagement => "manage an organization's users",
            Self::Evaluation => "evaluate flags",
            Self::Experiment => "manage experiments",
        }
    }

    /// The credential for it, as the same sentence goes on.
    pub(super) fn needs(self) -> &'static str {
        match self {
            Self::Ingestion => "a `ProjectKey` or a `ProjectPair`",
            Self::Analytics => "a `ProjectPair` (or, by delegation, a `ProjectBearer`)",
            Self::Developer => "an `OAuth` or a `PersonalAccessToken`",
            Self::Profile => "a `ProfileKey`",
            Self::Scim => "a `ScimKey`",
            Self::UserManagement => "an `OrgPair`",
            Self::Evaluation => "a `DeploymentKey` or a `ServerDeploymentKey`",
            Self::Experiment => "a `ManagementKey`",
        }
    }
}
