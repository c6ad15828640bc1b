//! OAuth scopes: open, because Amplitude publishes no list of them, and checked, because they travel in requests. The constants are those that
//! Amplitude has shown in public.

use std::{collections::BTreeSet, fmt, str::FromStr};

use crate::{Error, Result};

/// The name of a permission, e.g. `mcp:read`. What it permits is the server's to say.
///
/// There is no scope for "all", on purpose: ask for those that your calls need. Those that Amplitude has shown in public are constants of
/// [this module](self); no public one reads events or manages cohorts, so names for these are yours to give, as your application registered them.
///
/// ```
/// use amplitude_sdk::server::{Scope, scope};
///
/// assert_eq!(Scope::new("mcp:read")?, scope::MCP_READ);
/// assert!(Scope::new("two scopes").is_err());
/// # Ok::<(), amplitude_sdk::Error>(())
/// ```
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Scope(std::borrow::Cow<'static, str>);

impl Scope {
    /// Checks the characters as RFC 6749 §3.3 has them: visible ASCII but for `"` and `\`; at most 256.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Invalid`] that says what is wrong.
    pub fn new(name: impl Into<String>) -> Result<Self> {
        let name = name.into();
        if name.is_empty() || name.len() > 256 {
            return Err(Error::invalid(&["scope: has 1 to 256 characters"]));
        }
        if !name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\') {
            return Err(Error::invalid(&["scope: holds white space, a quote, a backslash or a non-ASCII character"]));
        }
        Ok(Self(name.into()))
    }

    const fn known(name: &'static str) -> Self {
        Self(std::borrow::Cow::Borrowed(name))
    }

    /// The scope's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// MCP: reads.
pub const MCP_READ: Scope = Scope::known("mcp:read");
/// MCP: changes.
pub const MCP_WRITE: Scope = Scope::known("mcp:write");
/// MCP and Developer API: a refresh token, so that access outlives the first access token. The Developer API wants [`OPENID`] beside it.
pub const OFFLINE_ACCESS: Scope = Scope::known("offline_access");
/// `auth.amplitude.com`: the same under Hydra's older name.
pub const OFFLINE: Scope = Scope::known("offline");
/// An id token.
pub const OPENID: Scope = Scope::known("openid");
/// Developer API: projects.
pub const PROJECTS_READ: Scope = Scope::known("projects:read");
/// Developer API: the taxonomy.
pub const TAXONOMY_READ: Scope = Scope::known("taxonomy:read");
/// Developer API: changes of the taxonomy.
pub const TAXONOMY_WRITE: Scope = Scope::known("taxonomy:write");
/// Developer API: charts and dashboards.
pub const ANALYTICS_READ: Scope = Scope::known("analytics:read");
/// Developer API: feature flags.
pub const FLAGS_READ: Scope = Scope::known("flags:read");
/// Developer API: changes of feature flags.
pub const FLAGS_WRITE: Scope = Scope::known("flags:write");
/// Developer API: destinations.
pub const DESTINATIONS_READ: Scope = Scope::known("destinations:read");
/// Developer API: changes of destinations.
pub const DESTINATIONS_WRITE: Scope = Scope::known("destinations:write");

/// Scopes in alphabetical order, each once.
///
/// ```
/// use amplitude_sdk::server::{ScopeSet, scope};
///
/// let asked = ScopeSet::from_iter([scope::MCP_READ, scope::OFFLINE_ACCESS]);
/// let granted: ScopeSet = "mcp:read".parse()?;
/// assert_eq!(asked.without(&granted).to_string(), "offline_access");
/// # Ok::<(), amplitude_sdk::Error>(())
/// ```
#[derive(Clone, Default, Eq, Hash, PartialEq)]
pub struct ScopeSet(BTreeSet<Scope>);

impl ScopeSet {
    /// No scope.
    #[must_use]
    pub const fn new() -> Self {
        Self(BTreeSet::new())
    }

    /// Whether a scope is among them.
    #[must_use]
    pub fn contains(&self, scope: &Scope) -> bool {
        self.0.contains(scope)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Those that are not in `others`.
    #[must_use]
    pub fn without(&self, others: &Self) -> Self {
        Self(self.0.difference(&others.0).cloned().collect())
    }

    /// Adds one; answers whether it is new.
    pub fn insert(&mut self, scope: Scope) -> bool {
        self.0.insert(scope)
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Scope> {
        self.0.iter()
    }
}

impl FromIterator<Scope> for ScopeSet {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().collect())
    }
}

impl<const N: usize> From<[Scope; N]> for ScopeSet {
    fn from(scopes: [Scope; N]) -> Self {
        scopes.into_iter().collect()
    }
}

/// Scopes with spaces between them, as a token's answer has them.
impl FromStr for ScopeSet {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        text.split(' ').filter(|name| !name.is_empty()).map(Scope::new).collect()
    }
}

impl fmt::Display for ScopeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, scope) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            f.write_str(scope.as_str())?;
        }
        Ok(())
    }
}

impl fmt::Debug for ScopeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(&self.0).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_what_rfc_6749_allows() {
        for good in ["openid", "mcp:read", "https://example.com/scope", "a!#[]~"] {
            assert_eq!(Scope::new(good).unwrap().as_str(), good);
        }
        for bad in ["", "two scopes", "a\"b", "a\\b", "line\n", "\u{e9}", &"s".repeat(257)] {
            assert!(Scope::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_set_is_ordered_and_has_each_once() {
        let set: ScopeSet = "write  read write ".parse().unwrap();
        assert_eq!((set.to_string().as_str(), set.len()), ("read write", 2));
        assert!("read \u{e9}".parse::<ScopeSet>().is_err());
    }
}
