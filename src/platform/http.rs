//! HTTP as this crate does it, on one page: TLS, proxies, time limits, which addresses may be asked, how much is read.

use std::{
    error::Error as StdError,
    fmt, io,
    net::{Ipv4Addr, Ipv6Addr},
    sync::Arc,
    time::{Duration, SystemTime},
};

use reqwest::{
    Proxy, Response,
    header::{HeaderMap, HeaderValue},
    redirect,
};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject},
    version::{TLS12, TLS13},
};
use rustls_platform_verifier::Verifier;
use url::{Host, Url};
use zeroize::Zeroizing;

use crate::{Error, ErrorKind, Result};

/// How connections are made.
#[derive(Clone)]
pub(crate) struct HttpOptions {
    pub(crate) connect_timeout: Duration,
    /// From a request's start to the end of its answer; `None` for answers that are streamed, which have a limit between two reads.
    pub(crate) request_timeout: Option<Duration>,
    /// The longest silence within an answer.
    pub(crate) read_timeout: Option<Duration>,
    /// A proxy's URL in place of the environment's `HTTPS_PROXY`.
    pub(crate) proxy: Option<String>,
    /// Certificate authorities beside the system's, each PEM text with one or more certificates.
    pub(crate) roots: Vec<Vec<u8>>,
    pub(crate) tls12: bool,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            request_timeout: Some(Duration::from_secs(30)),
            read_timeout: None,
            proxy: None,
            roots: Vec::new(),
            tls12: false,
        }
    }
}

/// Without the proxy's URL, which may hold a password.
impl fmt::Debug for HttpOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpOptions")
            .field("connect_timeout", &self.connect_timeout)
            .field("request_timeout", &self.request_timeout)
            .field("read_timeout", &self.read_timeout)
            .field("proxy", &self.proxy.is_some())
            .field("roots", &self.roots.len())
            .field("tls12", &self.tls12)
            .finish()
    }
}

impl HttpOptions {
    /// Checks what can be wrong before a connection is made.
    pub(crate) fn check(&self) -> Result<()> {
        self.certificates()?;
        self.proxy().map(drop)
    }

    /// A client for that address.
    pub(crate) fn client(&self, url: &Url) -> Result<reqwest::Client> {
        check_url("url", url)?;
        let mut builder = reqwest::Client::builder()
            .user_agent(super::LIBRARY)
            .tls_backend_preconfigured(self.tls(url)?)
            .connect_timeout(self.connect_timeout)
            // An answer that leads elsewhere is an answer, and is judged as one: credentials and events go to the address that was given.
            .redirect(redirect::Policy::none());
        if let Some(limit) = self.request_timeout {
            builder = builder.timeout(limit);
        }
        if let Some(limit) = self.read_timeout {
            builder = builder.read_timeout(limit);
        }
        match self.proxy()? {
            // Without TLS a proxy would read the keys, and it could not reach this machine's loopback anyway.
            _ if url.scheme() == "http" => builder = builder.no_proxy(),
            Some(proxy) => builder = builder.proxy(proxy),
            None => {}
        }
        builder.build().map_err(|error| invalid("the HTTP client cannot be made").with_source(error.without_url()))
    }

    fn tls(&self, url: &Url) -> Result<ClientConfig> {
        let provider = Arc::new(ring::default_provider());
        let versions: &[_] = if self.tls12 { &[&TLS13, &TLS12] } else { &[&TLS13] };
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(versions)
            .map_err(|error| invalid("TLS: the protocol versions are not available").with_source(error))?;
        if url.scheme() == "http" {
            // Loopback: nothing is verified, so a machine without certificates will do.
            return Ok(builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth());
        }
        let verifier = Verifier::new_with_extra_roots(self.certificates()?, provider).map_err(|error| {
            invalid("TLS: no certificate authorities; install the system's (often a package `ca-certificates`) or add one")
                .with_source(error)
        })?;
        Ok(builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth())
    }

    fn certificates(&self) -> Result<Vec<CertificateDer<'static>>> {
        let mut certificates = Vec::new();
        for pem in &self.roots {
            let before = certificates.len();
            for certificate in CertificateDer::pem_slice_iter(pem) {
                let certificate = certificate.map_err(|error| invalid("root certificate: is not PEM").with_source(error))?;
                let anchor = RootCertStore::empty().add(certificate.clone());
                anchor.map_err(|error| invalid("root certificate: what the PEM text holds is none").with_source(error))?;
                certificates.push(certificate);
            }
            if certificates.len() == before {
                return Err(invalid("root certificate: the PEM text holds no certificate"));
            }
        }
        Ok(certificates)
    }

    fn proxy(&self) -> Result<Option<Proxy>> {
        // A proxy's URL may hold a password, so that errors do not repeat it.
        self.proxy.as_deref().map(Proxy::all).transpose().map_err(|_| invalid("proxy: is not a URL"))
    }
}

fn invalid(message: &'static str) -> Error {
    Error::new(ErrorKind::Invalid, message)
}

/// Reads an own endpoint; `option` is how its owner calls it.
pub(crate) fn parse_url(option: &str, url: &str) -> Result<Url> {
    let url = Url::parse(url).map_err(|error| {
        Error::at(option, "is not a URL; it starts with https://, or with http:// on a loopback address").with_source(error)
    })?;
    check_url(option, &url)?;
    Ok(url)
}

/// Whether keys and events may go there: https, or http to this machine itself.
pub(crate) fn check_url(option: &str, url: &Url) -> Result<()> {
    match (url.scheme(), url.host()) {
        ("https", Some(_)) => {}
        ("http", Some(host)) if is_loopback(&host) => {}
        _ => return Err(Error::at(option, "must be https, or http on a loopback address")),
    }
    if url.username().is_empty() && url.password().is_none() {
        Ok(())
    } else {
        Err(Error::at(option, "must not hold a user name or password"))
    }
}

fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => name.eq_ignore_ascii_case("localhost"),
        Host::Ipv4(address) => Ipv4Addr::is_loopback(address),
        Host::Ipv6(address) => Ipv6Addr::is_loopback(address),
    }
}

/// The value of a header that holds a secret, marked so that no log of the HTTP stack shows it.
pub(crate) fn sensitive(scheme: &str, text: &str) -> HeaderValue {
    let line = Zeroizing::new([scheme, text].concat());
    let mut value = HeaderValue::from_str(&line).expect("secrets are visible ASCII by their types");
    value.set_sensitive(true);
    value
}

/// What went wrong with TLS, where that is why a request failed.
pub(crate) fn tls_error(error: &reqwest::Error) -> Option<&rustls::Error> {
    let mut next = error.source();
    while let Some(error) = next {
        if let Some(tls) = error.downcast_ref() {
            return Some(tls);
        }
        next = match error.downcast_ref::<io::Error>() {
            // Its `source` is only what is behind the error that it holds.
            Some(error) => error.get_ref().map(|inner| inner as &dyn StdError),
            None => error.source(),
        };
    }
    None
}

/// `Retry-After`, as seconds or as a date.
pub(crate) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(reqwest::header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    // A date that has passed asks for no wait.
    Some(httpdate::parse_http_date(text).ok()?.duration_since(now).unwrap_or_default())
}

/// A reply to events lists at most 2000 ids; what is longer is not Amplitude's.
pub(crate) const MAX_REPLY_BYTES: usize = 8 << 20;

/// Reads an answer's text, and no more of it than `max` bytes; what is no UTF-8 in it is replaced.
pub(crate) async fn read_capped(mut response: Response, max: usize) -> Result<String, reqwest::Error> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        let room = max - body.len();
        body.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
        if body.len() == max {
            break;
        }
    }
    Ok(String::from_utf8(body).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_and_loopback_are_asked() {
        for good in [
            "https://api2.amplitude.com/2/httpapi",
            "http://localhost:8787/",
            "http://127.1.2.3/x",
            "http://[::1]:9/",
            "HTTPS://a.b/",
        ] {
            assert!(parse_url("server url", good).is_ok(), "{good}");
        }
        for bad in [
            "http://api2.amplitude.com/",
            "http://localhost.example.com/",
            "http://127.0.0.1.example.com/",
            "http://10.0.0.1/",
            "ftp://localhost/",
            "file:///etc/passwd",
            "data:text/plain,x",
            "https://user:password@api2.amplitude.com/",
            "https://user@api2.amplitude.com/",
            "api2.amplitude.com",
            "",
        ] {
            let error = parse_url("base url", bad).expect_err(bad);
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert!(error.to_string().starts_with("base url: "), "{error}");
            assert!(!error.to_string().contains("password@"), "{error}");
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_445_412_470);
        let read = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("retry-after", value.parse().unwrap());
            retry_after(&headers, now)
        };
        assert_eq!(read("7"), Some(Duration::from_secs(7)));
        assert_eq!(read("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::from_secs(10)));
        assert_eq!(read("Wed, 21 Oct 1998 07:28:00 GMT"), Some(Duration::ZERO));
        assert_eq!(read("soon"), None);
        assert_eq!(read("-1"), None);
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }

    #[test]
    fn bad_options_are_named_before_a_connection_is_made() {
        let garbage = b"-----BEGIN CERTIFICATE-----\naHVudGVyMg==\n-----END CERTIFICATE-----\n";
        for (pem, said) in [
            (&b"not a certificate"[..], "root certificate: the PEM text holds no certificate"),
            (b"", "root certificate: the PEM text holds no certificate"),
            (b"-----BEGIN CERTIFICATE-----\n\xff\n-----END CERTIFICATE-----\n", "root certificate: is not PEM"),
            (garbage, "root certificate: what the PEM text holds is none"),
        ] {
            let options = HttpOptions { roots: vec![pem.to_vec()], ..HttpOptions::default() };
            assert_eq!(options.check().unwrap_err().to_string(), said);
        }
        let options = HttpOptions { proxy: Some("http://user:hunter2@".to_owned()), ..HttpOptions::default() };
        let error = options.check().unwrap_err();
        assert!(error.to_string().contains("proxy"));
        assert!(!format!("{error:?}").contains("hunter2"));
    }
}
