//! Where a project's data lives, and the host of each API there.

use crate::{Error, Result};

/// The data centre of a project. Chosen when the Amplitude organization was made; keys of one do not work in the other.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Region {
    /// United States, the default.
    #[default]
    Us,
    /// European Union.
    Eu,
}

impl Region {
    /// Reads `us` or `eu`, in any case.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Invalid`] for any other text.
    pub fn parse(name: &str) -> Result<Self> {
        if name.eq_ignore_ascii_case("us") {
            Ok(Self::Us)
        } else if name.eq_ignore_ascii_case("eu") {
            Ok(Self::Eu)
        } else {
            Err(Error::invalid(&["region: expected `us` or `eu`"]))
        }
    }

    /// The ingestion host (HTTP V2, Batch, Identify, Group Identify). There is no `api2.eu.`.
    #[must_use]
    pub const fn ingestion_url(self) -> &'static str {
        match self {
            Self::Us => "https://api2.amplitude.com",
            Self::Eu => "https://api.eu.amplitude.com",
        }
    }

    /// The host of Export, Dashboard, Cohorts, Taxonomy and Privacy.
    #[must_use]
    pub const fn analytics_url(self) -> &'static str {
        match self {
            Self::Us => "https://amplitude.com",
            Self::Eu => "https://analytics.eu.amplitude.com",
        }
    }
}
