//! What happens to a visitor's tokens, in words: what the library's observer tells, and what the application does.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use amplitude_sdk::server::{AuthEvent, AuthObserver, ScopeMonitor, ScopeSet};
use serde::Serialize;

use super::session::lock;

/// Older ones are forgotten.
const MAX_ENTRIES: usize = 60;

/// Clones share their entries.
#[derive(Clone, Default)]
pub(super) struct Timeline(Arc<Mutex<VecDeque<Entry>>>);

#[derive(Clone, Serialize)]
pub(super) struct Entry {
    /// Unix time in milliseconds.
    at: u64,
    /// The event's name; empty for what the application does.
    event: &'static str,
    tone: &'static str,
    text: String,
}

impl Timeline {
    /// The newest first.
    pub(super) fn entries(&self) -> Vec<Entry> {
        lock(&self.0).iter().cloned().collect()
    }

    /// Something that the application did.
    pub(super) fn note(&self, tone: &'static str, text: impl Into<String>) {
        self.add("", tone, text.into());
    }

    fn add(&self, event: &'static str, tone: &'static str, text: String) {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let at = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        let mut entries = lock(&self.0);
        entries.push_front(Entry { at, event, tone, text });
        entries.truncate(MAX_ENTRIES);
    }
}

/// Hears of one request for consent and of what comes of it. Clones hear together.
#[derive(Clone, Default)]
pub(super) struct Listener {
    timeline: Timeline,
    /// Which scopes are used.
    pub(super) usage: ScopeMonitor,
}

impl Listener {
    pub(super) fn new(timeline: &Timeline) -> Self {
        Self { timeline: timeline.clone(), usage: ScopeMonitor::new() }
    }
}

impl AuthObserver for Listener {
    fn observe(&self, event: &AuthEvent<'_>) {
        self.usage.observe(event);
        let (tone, text) = words(event);
        self.timeline.add(event.name(), tone, text);
    }
}

fn words(event: &AuthEvent<'_>) -> (&'static str, String) {
    match event {
        AuthEvent::TokenIssued { requested, granted, lifetime, .. } => {
            let lifetime = lifetime.map_or(String::new(), |time| format!(", good for {}", seconds(time)));
            let text = format!("A first token was issued for {}{lifetime}.{}", list(granted), difference(requested, granted));
            ("good", text)
        }
        AuthEvent::TokenRefreshed { rotated, adopted: false, took, .. } => {
            let rotated = if *rotated { " The refresh token was replaced, too, and the old one is spent." } else { "" };
            ("good", format!("A newer token took the old one’s place, in {} ms.{rotated}", took.as_millis()))
        }
        AuthEvent::TokenRefreshed { adopted: true, .. } => {
            ("good", "Another process had a newer token, which is used.".to_owned())
        }
        AuthEvent::RefreshDeferred { reason, .. } => {
            ("busy", format!("No newer token for now, so that the old one serves: {reason}."))
        }
        AuthEvent::RefreshFailed { reason, .. } => ("bad", format!("No newer token, and none is left that serves: {reason}.")),
        AuthEvent::ReauthRequired { reason, .. } => ("bad", format!("Consent is needed anew: {reason}.")),
        AuthEvent::PersistFailed { reason, .. } => ("bad", format!("A new token could not be stored: {reason}.")),
        AuthEvent::InsufficientScope { needed } if needed.is_empty() => ("bad", "A call needs more than was granted.".to_owned()),
        AuthEvent::InsufficientScope { needed } => ("bad", format!("A call needs what was not granted: {}.", list(needed))),
        AuthEvent::CredentialRefused { fingerprint } => ("busy", format!("The server does not take token {fingerprint}.")),
        AuthEvent::Revoked { by_server: true, .. } => {
            ("good", "The server revoked the tokens; they were forgotten here, too.".to_owned())
        }
        AuthEvent::Revoked { by_server: false, .. } => {
            ("busy", "The tokens were forgotten here; the server did not revoke them.".to_owned())
        }
        AuthEvent::BearerUsed { host, scope: Some(scope) } => ("note", format!("The bearer went to {host}, for {scope}.")),
        AuthEvent::BearerUsed { host, scope: None } => ("note", format!("The bearer went to {host}.")),
        // What a later version tells of.
        other => ("note", other.name().replace('_', " ")),
    }
}

/// What was granted beside or short of what was asked for.
fn difference(requested: &ScopeSet, granted: &ScopeSet) -> String {
    let (missing, more) = (requested.without(granted), granted.without(requested));
    let mut text = String::new();
    if !missing.is_empty() {
        text.push_str(&format!(" That is less than was asked for: without {}.", list(&missing)));
    }
    if !more.is_empty() {
        text.push_str(&format!(" That is more than was asked for: with {}.", list(&more)));
    }
    text
}

/// `a, b and c`.
pub(super) fn list(scopes: &ScopeSet) -> String {
    let names: Vec<_> = scopes.iter().map(|scope| scope.as_str()).collect();
    match names.as_slice() {
        [] => "nothing".to_owned(),
        [one] => (*one).to_owned(),
        [some @ .., last] => format!("{} and {last}", some.join(", ")),
    }
}

fn seconds(time: Duration) -> String {
    match time.as_secs() {
        1 => "one second".to_owned(),
        seconds => format!("{seconds} seconds"),
    }
}
