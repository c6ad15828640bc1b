//! [`OAuthOptions`]: how authorization servers are reached.

use std::{fmt, sync::Arc, time::Duration};

use crate::{
    platform::http::HttpOptions,
    server::{AuthObserver, observer::Observers},
};

/// How authorization servers are reached, and who hears of what happens to credentials.
///
/// ```
/// use amplitude_sdk::server::{AuthEvent, oauth::OAuthOptions};
///
/// let options = OAuthOptions::new().observer(|event: &AuthEvent<'_>| eprintln!("{event:?}"));
/// ```
#[derive(Clone)]
#[must_use]
pub struct OAuthOptions {
    pub(super) http: HttpOptions,
    pub(super) observers: Observers,
}

impl Default for OAuthOptions {
    fn default() -> Self {
        let http = HttpOptions {
            connect_timeout: Duration::from_secs(5),
            request_timeout: Some(Duration::from_secs(10)),
            ..HttpOptions::default()
        };
        Self { http, observers: Observers::default() }
    }
}

impl fmt::Debug for OAuthOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OAuthOptions").field("http", &self.http).field("observers", &self.observers).finish()
    }
}

impl OAuthOptions {
    /// The environment's proxy, the system's certificate authorities, TLS 1.3, ten seconds a request, no observer.
    pub fn new() -> Self {
        Self::default()
    }

    /// The time from a request's start to the end of its answer, of which at most five seconds to make the connection. Default: 10 seconds.
    pub fn request_timeout(mut self, limit: Duration) -> Self {
        self.http.request_timeout = Some(limit);
        self.http.connect_timeout = self.http.connect_timeout.min(limit);
        self
    }

    /// A proxy's URL, in place of the one that `HTTPS_PROXY` names. What is sent stays encrypted up to the server.
    pub fn proxy(mut self, url: impl Into<String>) -> Self {
        self.http.proxy = Some(url.into());
        self
    }

    /// Trusts further certificate authorities beside the system's: PEM text with one or more certificates.
    pub fn add_root_certificate(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.http.roots.push(pem.into());
        self
    }

    /// Lowers the floor from TLS 1.3 to TLS 1.2.
    pub fn allow_tls_1_2(mut self) -> Self {
        self.http.tls12 = true;
        self
    }

    /// Tells of what happens to credentials: tokens issued, refreshed and revoked, secrets reloaded. May be called several times; each observer
    /// hears of everything, and `tracing` always does. Default: nobody else.
    pub fn observer(mut self, observer: impl AuthObserver) -> Self {
        self.observers.add(Arc::new(observer));
        self
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::server::AuthEvent;

    #[test]
    fn each_of_several_observers_hears_of_everything() {
        let heard = Arc::new(AtomicU32::new(0));
        let observer = |digit| {
            let heard = Arc::clone(&heard);
            move |_: &AuthEvent<'_>| _ = heard.fetch_add(digit, Ordering::Relaxed)
        };
        let options = OAuthOptions::new().observer(observer(1)).observer(observer(10));
        options.observers.tell(&AuthEvent::Revoked { issuer: "https://a.example", by_server: true });
        assert_eq!(heard.load(Ordering::Relaxed), 11);
    }
}
