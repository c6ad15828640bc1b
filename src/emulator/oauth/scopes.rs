//! Scopes: sets of them, and what each means on the consent page.

use std::{collections::BTreeSet, fmt};

use serde::Serialize;

use super::options::OAuthOptions;

/// Scopes of RFC 6749, section 3.3, each once and in order.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub(in crate::emulator) struct Scopes(BTreeSet<String>);

/// Asks for a refresh token.
pub(super) const OFFLINE_ACCESS: &str = "offline_access";
pub(super) const OPENID: &str = "openid";

impl Scopes {
    /// Names with spaces between them; `None` where one has characters that scopes may not have.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let names: BTreeSet<_> = text.split(' ').filter(|name| !name.is_empty()).map(str::to_owned).collect();
        names.iter().all(|name| is_scope(name)).then_some(Self(names))
    }

    /// What a personal access token may do that only reads.
    pub(in crate::emulator) fn developer_reads() -> Self {
        DEVELOPER.iter().map(|(name, _)| *name).filter(|name| name.ends_with(":read") && !name.starts_with("mcp:")).collect()
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains(name)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn is_within(&self, wider: &Self) -> bool {
        self.0.is_subset(&wider.0)
    }

    /// Those that are in both.
    pub(super) fn and(&self, other: &Self) -> Self {
        Self(self.0.intersection(&other.0).cloned().collect())
    }
}

impl<'a> FromIterator<&'a str> for Scopes {
    fn from_iter<I: IntoIterator<Item = &'a str>>(names: I) -> Self {
        Self(names.into_iter().map(str::to_owned).collect())
    }
}

/// Names with spaces between them.
impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, name) in self.0.iter().enumerate() {
            write!(f, "{}{name}", if index > 0 { " " } else { "" })?;
        }
        Ok(())
    }
}

pub(super) fn is_scope(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| matches!(byte, b'!' | b'#'..=b'[' | b']'..=b'~'))
}

/// Where a scope can be asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Surface {
    /// `/authorize`.
    Mcp,
    /// `/v1/auth/device-authorization`.
    Developer,
}

/// What Amplitude's MCP surface lists.
const MCP: [(&str, &str); 3] = [
    ("mcp:read", "Read charts, dashboards, cohorts and experiments"),
    ("mcp:write", "Create and change charts, dashboards, cohorts and experiments"),
    (OFFLINE_ACCESS, "Keep this access while you are away, until you revoke it"),
];

/// What Amplitude's Developer API lists.
const DEVELOPER: [(&str, &str); 12] = [
    (OPENID, "Know who you are"),
    (OFFLINE_ACCESS, MCP[2].1),
    ("projects:read", "See the projects of your organization"),
    ("taxonomy:read", "See which events and properties are planned"),
    ("taxonomy:write", "Change which events and properties are planned"),
    ("analytics:read", "Read charts and what they show"),
    ("flags:read", "See feature flags"),
    ("flags:write", "Create, change and archive feature flags"),
    ("destinations:read", "See where data is sent"),
    ("destinations:write", "Change where data is sent"),
    (MCP[0].0, MCP[0].1),
    (MCP[1].0, MCP[1].1),
];

/// The scopes that can be asked for.
#[derive(Debug)]
pub(super) struct Catalogue {
    /// Reads a project's events. The emulator's own.
    pub(super) events: String,
    /// Manages a project's cohorts. The emulator's own.
    pub(super) cohorts: String,
    more: Vec<(String, String)>,
}

impl Catalogue {
    pub(super) fn new(options: &OAuthOptions) -> Self {
        Self { events: options.event_scope.clone(), cohorts: options.cohort_scope.clone(), more: options.scopes.clone() }
    }

    /// Names with what they mean.
    pub(super) fn of(&self, surface: Surface) -> impl Iterator<Item = (&str, &str)> {
        let documented = match surface {
            Surface::Mcp => &MCP[..],
            Surface::Developer => &DEVELOPER[..],
        };
        let own = [
            (self.events.as_str(), "Read and export the events of one project"),
            (self.cohorts.as_str(), "Create and change the cohorts of one project"),
        ];
        // One that is documented for another surface has its place on this one once.
        let is_new = |name: &str| documented.iter().all(|(known, _)| *known != name);
        let more =
            self.more.iter().map(|(name, meaning)| (name.as_str(), meaning.as_str())).filter(move |(name, _)| is_new(name));
        documented.iter().copied().chain(own).chain(more)
    }

    pub(super) fn all(&self, surface: Surface) -> Scopes {
        self.of(surface).map(|(name, _)| name).collect()
    }

    /// Whether these are about one project, which whoever consents chooses.
    pub(super) fn need_a_project(&self, scopes: &Scopes) -> bool {
        scopes.has(&self.events) || scopes.has(&self.cohorts)
    }
}
