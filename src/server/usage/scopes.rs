//! Which scopes are used, so that an application can ask for fewer.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex},
};

use crate::{
    promise::lock,
    server::{AuthEvent, AuthObserver, Scope, ScopeSet, scope},
};

/// An observer that notes which scopes were asked for, granted and used. Give it to whatever gets the tokens and, as
/// [`super::super::Options::observer`], to the clients that use them, and look at its report after a while: what nobody uses need not be asked
/// for. Clones note together.
///
/// ```
/// use amplitude_sdk::server::{Options, ScopeMonitor, scope};
///
/// // What tokens from elsewhere have, nobody else can tell it.
/// let scopes = ScopeMonitor::new().asking([scope::PROJECTS_READ, scope::TAXONOMY_WRITE]);
/// let options = Options::new().observer(scopes.clone());
/// // After a while:
/// assert_eq!(scopes.report().unused.to_string(), "projects:read taxonomy:write");
/// # let _ = options;
/// ```
#[derive(Clone, Default)]
#[must_use]
pub struct ScopeMonitor(Arc<Mutex<Noted>>);

#[derive(Default)]
struct Noted {
    requested: ScopeSet,
    granted: ScopeSet,
    used: BTreeMap<Scope, u64>,
    unknown: u64,
}

/// What a [`ScopeMonitor`] has noted. Its text is a line for each part.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct ScopeReport {
    /// What was asked for.
    pub requested: ScopeSet,
    /// What was granted.
    pub granted: ScopeSet,
    /// What calls needed, and how many.
    pub used: BTreeMap<Scope, u64>,
    /// How many calls were made of which nobody knows what they need: a scope that seems unused may be theirs.
    pub unknown: u64,
    /// What was asked for or granted, and never needed. Refreshes need `offline_access`, `offline` and `openid`.
    pub unused: ScopeSet,
}

impl ScopeMonitor {
    /// Nothing noted yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Scopes that were asked for where this does not listen.
    pub fn asking(self, scopes: impl Into<ScopeSet>) -> Self {
        add(&mut lock(&self.0).requested, &scopes.into());
        self
    }

    /// What was noted so far.
    #[must_use]
    pub fn report(&self) -> ScopeReport {
        let noted = lock(&self.0);
        let mut known = noted.requested.clone();
        add(&mut known, &noted.granted);
        let used = noted.used.keys().cloned().collect();
        ScopeReport {
            requested: noted.requested.clone(),
            granted: noted.granted.clone(),
            used: noted.used.clone(),
            unknown: noted.unknown,
            unused: known.without(&used),
        }
    }
}

fn add(set: &mut ScopeSet, more: &ScopeSet) {
    for scope in more.iter() {
        set.insert(scope.clone());
    }
}

impl AuthObserver for ScopeMonitor {
    fn observe(&self, event: &AuthEvent<'_>) {
        let mut noted = lock(&self.0);
        match event {
            AuthEvent::TokenIssued { requested, granted, .. } => {
                add(&mut noted.requested, requested);
                add(&mut noted.granted, granted);
            }
            AuthEvent::TokenRefreshed { granted, .. } => {
                add(&mut noted.granted, granted);
                for scope in [scope::OFFLINE_ACCESS, scope::OFFLINE, scope::OPENID] {
                    if granted.contains(&scope) || noted.requested.contains(&scope) {
                        *noted.used.entry(scope).or_default() += 1;
                    }
                }
            }
            AuthEvent::BearerUsed { scope: Some(scope), .. } => *noted.used.entry((*scope).clone()).or_default() += 1,
            AuthEvent::BearerUsed { scope: None, .. } => noted.unknown += 1,
            _ => {}
        }
    }
}

impl fmt::Debug for ScopeMonitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ScopeMonitor").field(&self.report()).finish()
    }
}

impl fmt::Display for ScopeReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "asked for: {}\ngranted: {}\nused:", self.requested, self.granted)?;
        for (scope, times) in &self.used {
            write!(f, " {scope} ({times} times)")?;
        }
        write!(f, "\nnever used: {}", self.unused)?;
        if self.unknown > 0 {
            write!(f, "\n{} calls do not say what they need", self.unknown)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_asked_for_and_never_needed_is_reported() {
        let scopes = ScopeMonitor::new();
        let requested = ScopeSet::from([scope::MCP_READ, scope::MCP_WRITE, scope::OFFLINE_ACCESS]);
        let granted = ScopeSet::from([scope::MCP_READ, scope::OFFLINE_ACCESS, scope::FLAGS_READ]);
        scopes.observe(&AuthEvent::TokenIssued {
            issuer: "issuer",
            grant: "authorization_code",
            requested: &requested,
            granted: &granted,
            lifetime: None,
        });
        scopes.observe(&AuthEvent::BearerUsed { host: "host", scope: Some(&scope::MCP_READ) });
        scopes.observe(&AuthEvent::BearerUsed { host: "host", scope: None });
        assert_eq!(scopes.report().unused.to_string(), "flags:read mcp:write offline_access");
        scopes.observe(&AuthEvent::TokenRefreshed {
            issuer: "issuer",
            granted: &granted,
            rotated: true,
            adopted: false,
            took: Duration::ZERO,
        });
        let report = scopes.report();
        assert_eq!(report.unused.to_string(), "flags:read mcp:write");
        let text = report.to_string();
        for line in [
            "asked for: mcp:read mcp:write offline_access",
            "used: mcp:read (1 times)",
            "never used: flags:read mcp:write",
            "1 calls do",
        ] {
            assert!(text.contains(line), "{text}");
        }
    }
}
