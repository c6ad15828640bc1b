//! What the authorization server is like before it starts.

use std::time::Duration;

use super::scopes::Scopes;
use crate::{Region, emulator::sealed::Sealed};

/// Who answers when an application asks for access.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Consent {
    /// A person on the consent page, or a test at `/_emulator/oauth/approve`.
    #[default]
    Ask,
    /// All that is asked for is granted at once.
    Grant,
    /// Of what is asked for, these scopes are granted at once; where none of them is, nothing.
    GrantOnly(Vec<String>),
    /// Nothing is granted.
    Deny,
}

/// An application that was registered by hand: with a client secret it is confidential, without one public.
///
/// Of the secret only a digest is kept.
#[derive(Clone, Debug)]
#[must_use]
pub struct OAuthClient {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) secret: Option<Sealed>,
    pub(super) region: Region,
    pub(super) redirect_uris: Vec<String>,
}

impl OAuthClient {
    /// A public one of the US region, with no redirect URI yet.
    pub fn new(id: impl Into<String>) -> Self {
        let id = id.into();
        Self { name: id.clone(), id, secret: None, region: Region::Us, redirect_uris: Vec::new() }
    }

    /// What the consent page calls it. Default: its id.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// The secret that makes it confidential.
    pub fn secret(mut self, secret: &str) -> Self {
        self.secret = Some(Sealed::of(secret));
        self
    }

    /// The region that knows it. Default: [`Region::Us`].
    pub fn region(mut self, region: Region) -> Self {
        self.region = region;
        self
    }

    /// Adds a redirect URI: https, or http on loopback. May be repeated.
    pub fn redirect_uri(mut self, uri: impl Into<String>) -> Self {
        self.redirect_uris.push(uri.into());
        self
    }
}

/// A service account: its client id and secret are exchanged for short-lived tokens (client credentials).
///
/// Of the secret only a digest is kept.
#[derive(Clone, Debug)]
#[must_use]
pub struct ServiceAccount {
    pub(super) id: String,
    pub(super) secret: Sealed,
    pub(super) region: Region,
    pub(super) scopes: Vec<String>,
    pub(super) project: Option<String>,
}

impl ServiceAccount {
    /// One of that region with the scope `mcp:read`.
    pub fn new(id: impl Into<String>, secret: &str, region: Region) -> Self {
        Self { id: id.into(), secret: Sealed::of(secret), region, scopes: vec!["mcp:read".to_owned()], project: None }
    }

    /// The scopes that it may have, in place of `mcp:read`.
    pub fn scopes<S: Into<String>>(mut self, scopes: impl IntoIterator<Item = S>) -> Self {
        self.scopes = scopes.into_iter().map(Into::into).collect();
        self
    }

    /// The API key of the project that it may read. Default: the region's first.
    pub fn project(mut self, key: impl Into<String>) -> Self {
        self.project = Some(key.into());
        self
    }
}

/// How the authorization server behaves. What it registers and issues is kept in memory alone.
///
/// ```
/// use amplitude_sdk::emulator::{Consent, Emulator, OAuthClient, OAuthOptions};
/// use std::time::Duration;
///
/// let app = OAuthClient::new("demo-app").name("Demo").redirect_uri("http://127.0.0.1/callback");
/// let options = OAuthOptions::new().client(app).consent(Consent::Grant).access_lifetime(Duration::from_secs(60));
/// let emulator = Emulator::builder().oauth(options).start()?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct OAuthOptions {
    pub(super) consent: Consent,
    pub(super) login_id: String,
    pub(super) access_lifetime: Duration,
    pub(super) refresh_lifetime: Duration,
    pub(super) code_lifetime: Duration,
    pub(super) device_lifetime: Duration,
    pub(super) device_interval: Duration,
    pub(super) registration_management: bool,
    pub(super) public_revocation: bool,
    pub(super) event_scope: String,
    pub(super) cohort_scope: String,
    pub(super) scopes: Vec<(String, String)>,
    pub(super) clients: Vec<OAuthClient>,
    pub(super) service_accounts: Vec<ServiceAccount>,
}

impl Default for OAuthOptions {
    fn default() -> Self {
        Self {
            consent: Consent::Ask,
            login_id: "ada@example.com".to_owned(),
            access_lifetime: Duration::from_secs(3600),
            refresh_lifetime: Duration::from_secs(30 * 86_400),
            code_lifetime: Duration::from_secs(60),
            device_lifetime: Duration::from_secs(600),
            device_interval: Duration::from_secs(5),
            registration_management: false,
            public_revocation: false,
            event_scope: "events:read".to_owned(),
            cohort_scope: "cohorts:manage".to_owned(),
            scopes: Vec::new(),
            clients: Vec::new(),
            service_accounts: Vec::new(),
        }
    }
}

impl OAuthOptions {
    /// As Amplitude's public surfaces are described, with lifetimes of our own, because Amplitude publishes none.
    pub fn new() -> Self {
        Self::default()
    }

    /// Who answers when an application asks. Default: [`Consent::Ask`].
    pub fn consent(mut self, consent: Consent) -> Self {
        self.consent = consent;
        self
    }

    /// Who is signed in to the pages of the emulator. Default: `ada@example.com`.
    pub fn login_id(mut self, login_id: impl Into<String>) -> Self {
        self.login_id = login_id.into();
        self
    }

    /// How long an access token is good for. Default: an hour.
    pub fn access_lifetime(mut self, time: Duration) -> Self {
        self.access_lifetime = time;
        self
    }

    /// How long a refresh token is good for, from its own issue. Default: 30 days.
    pub fn refresh_lifetime(mut self, time: Duration) -> Self {
        self.refresh_lifetime = time;
        self
    }

    /// How long an authorization code is good for. Default: a minute.
    pub fn code_lifetime(mut self, time: Duration) -> Self {
        self.code_lifetime = time;
        self
    }

    /// How long a user has to enter a device's code. Default: ten minutes.
    pub fn device_lifetime(mut self, time: Duration) -> Self {
        self.device_lifetime = time;
        self
    }

    /// How long a device waits between two questions, in whole seconds. Default: Amplitude's 5.
    pub fn device_interval(mut self, time: Duration) -> Self {
        self.device_interval = time;
        self
    }

    /// Whether registered clients can be read, changed and deleted (RFC 7592). Default: no, as on Amplitude's MCP surface; the form is that
    /// of a draft that Amplitude withdrew.
    pub fn registration_management(mut self, on: bool) -> Self {
        self.registration_management = on;
        self
    }

    /// Whether clients without a secret can revoke. Default: no, because Amplitude's metadata lists `client_secret_post` alone.
    pub fn public_revocation(mut self, on: bool) -> Self {
        self.public_revocation = on;
        self
    }

    /// The scope that permits Export. Default: `events:read`. Amplitude has no public name for it: this one is the emulator's own.
    pub fn event_scope(mut self, name: impl Into<String>) -> Self {
        self.event_scope = name.into();
        self
    }

    /// The scope that permits to manage cohorts. Default: `cohorts:manage`, the emulator's own as well.
    pub fn cohort_scope(mut self, name: impl Into<String>) -> Self {
        self.cohort_scope = name.into();
        self
    }

    /// Adds a scope that can be asked for, with what the consent page says of it. May be repeated.
    pub fn scope(mut self, name: impl Into<String>, meaning: impl Into<String>) -> Self {
        self.scopes.push((name.into(), meaning.into()));
        self
    }

    /// Adds an application. May be repeated.
    pub fn client(mut self, client: OAuthClient) -> Self {
        self.clients.push(client);
        self
    }

    /// Adds a service account. May be repeated.
    pub fn service_account(mut self, account: ServiceAccount) -> Self {
        self.service_accounts.push(account);
        self
    }

    /// Why these options are none.
    pub(super) fn flaw(&self) -> Option<String> {
        use super::{redirect, scopes::is_scope};
        let named = self.scopes.iter().map(|(name, _)| name).chain(self.service_accounts.iter().flat_map(|it| &it.scopes));
        let mut scopes = [&self.event_scope, &self.cohort_scope].into_iter().chain(named);
        if let Some(bad) = scopes.find(|name| !is_scope(name)) {
            return Some(format!("scope {bad:?}: is none"));
        }
        let mut redirects = self.clients.iter().flat_map(|it| &it.redirect_uris);
        if let Some(bad) = redirects.find(|uri| redirect::flaw(uri).is_some()) {
            return Some(format!("redirect URI {bad:?}: must be https, or http on loopback, without a fragment"));
        }
        let mut seen = std::collections::BTreeSet::from([super::device::CLIENT]);
        let mut ids = self.clients.iter().map(|it| it.id.as_str()).chain(self.service_accounts.iter().map(|it| it.id.as_str()));
        ids.find(|id| id.is_empty() || !seen.insert(id)).map(|id| format!("client id {id:?}: is empty, taken or there twice"))
    }

    pub(super) fn granted(&self, asked: &Scopes) -> Option<Scopes> {
        match &self.consent {
            Consent::Ask => None,
            Consent::Grant => Some(asked.clone()),
            Consent::GrantOnly(names) => Some(asked.and(&names.iter().map(String::as_str).collect())),
            Consent::Deny => Some(Scopes::default()),
        }
    }
}
