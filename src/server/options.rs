//! [`Options`]: how a client reaches Amplitude, and who hears of what happens to its credential.

use std::{fmt, sync::Arc, time::Duration};

use super::{AuthObserver, UsageMonitor, env::Environment, observer::Observers};
use crate::{Region, Result, platform::http::HttpOptions};

/// How a [`super::Client`] reaches Amplitude, and who hears of what happens to its credential.
#[derive(Clone)]
#[must_use]
pub struct Options {
    pub(super) region: Region,
    pub(super) base_url: Option<String>,
    pub(super) http: HttpOptions,
    pub(super) read_timeout: Duration,
    pub(super) observers: Observers,
    pub(super) usage: Option<UsageMonitor>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            region: Region::default(),
            base_url: None,
            http: HttpOptions::default(),
            // Amplitude gathers an export before its first byte, and answers 504 by itself when that takes too long.
            read_timeout: Duration::from_secs(300),
            observers: Observers::default(),
            usage: None,
        }
    }
}

/// Without URLs, which may hold a password.
impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").field("region", &self.region).field("http", &self.http).finish_non_exhaustive()
    }
}

impl Options {
    /// The US region, the environment's proxy, the system's certificate authorities, TLS 1.3.
    pub fn new() -> Self {
        Self::default()
    }

    /// As [`Options::new`], in the region that `AMPLITUDE_REGION` names (`us`, the default, or `eu`), or at the address that
    /// `AMPLITUDE_BASE_URL` gives, as [`Options::base_url`] takes it.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Invalid`] that names the variable that cannot be read.
    pub fn from_env() -> Result<Self> {
        Self::read(Environment::of_process())
    }

    pub(super) fn read(environment: Environment<'_>) -> Result<Self> {
        Ok(Self {
            region: environment.region()?.unwrap_or_default(),
            base_url: environment.text("AMPLITUDE_BASE_URL")?.map(|url| url.to_string()),
            ..Self::default()
        })
    }

    /// The region that the project was made in. Default: [`Region::Us`].
    pub fn region(mut self, region: Region) -> Self {
        self.region = region;
        self
    }

    /// What stands before the paths of all APIs in place of the region's hosts: an own proxy or an emulator, e.g.
    /// `https://proxy.example.com`, without `/2/httpapi`. https, or http on loopback.
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.base_url = Some(url.into());
        self
    }

    /// The time to make a connection, TLS included. Default: 10 seconds.
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.http.connect_timeout = limit;
        self
    }

    /// The time from a request's start to the end of its answer. Default: 30 seconds. Exports, which take as long as their size needs, go
    /// by [`Options::read_timeout`].
    pub fn request_timeout(mut self, limit: Duration) -> Self {
        self.http.request_timeout = Some(limit);
        self
    }

    /// The longest silence of the server before and within an export. Default: 300 seconds, because Amplitude gathers the events of a large
    /// range before it sends the first.
    pub fn read_timeout(mut self, limit: Duration) -> Self {
        self.read_timeout = limit;
        self
    }

    /// A proxy's URL, in place of the one that `HTTPS_PROXY` names. Plain http on loopback never goes through a proxy.
    pub fn proxy(mut self, url: impl Into<String>) -> Self {
        self.http.proxy = Some(url.into());
        self
    }

    /// Trusts further certificate authorities beside the system's: PEM text with one or more certificates.
    pub fn add_root_certificate(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.http.roots.push(pem.into());
        self
    }

    /// Tells of what happens to the client's credential: refusals, reloaded secrets, tokens used. May be called several times; each observer
    /// hears of everything, and `tracing` always does.
    ///
    /// ```
    /// use amplitude_sdk::server::{AuthEvent, Options};
    ///
    /// let options = Options::new().observer(|event: &AuthEvent<'_>| {
    ///     if let AuthEvent::CredentialRefused { fingerprint } = event {
    ///         eprintln!("the credential {fingerprint} was refused");
    ///     }
    /// });
    /// # let _ = options;
    /// ```
    pub fn observer(mut self, observer: impl AuthObserver) -> Self {
        self.observers.add(Arc::new(observer));
        self
    }

    /// Counts the client's requests by credential, and tells the observers when they are unusually many.
    pub fn usage(mut self, monitor: UsageMonitor) -> Self {
        self.usage = Some(monitor);
        self
    }

    /// Lowers the floor from TLS 1.3 to TLS 1.2, for a proxy of your own that knows no better. Amplitude's endpoints speak 1.3.
    pub fn allow_tls_1_2(mut self) -> Self {
        self.http.tls12 = true;
        self
    }
}
