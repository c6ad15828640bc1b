//! [`Client`]: one credential, one region, one path that every call takes.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use reqwest::{Method, RequestBuilder, Response};
use url::Url;

use crate::{
    Error, ErrorKind, Region, Result,
    platform::http::{self, HttpOptions},
    server::{Credential, env::Environment, runtime::Runtime},
};

/// How a [`Client`] reaches Amplitude.
#[derive(Clone)]
#[must_use]
pub struct Options {
    pub(super) region: Region,
    pub(super) base_url: Option<String>,
    http: HttpOptions,
    silence: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            region: Region::default(),
            base_url: None,
            http: HttpOptions::default(),
            // Amplitude gathers an export before its first byte, and answers 504 by itself when that takes too long.
            silence: Duration::from_secs(300),
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
    /// [`ErrorKind::Invalid`] that names the variable that cannot be read.
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
        self.silence = limit;
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

    /// Lowers the floor from TLS 1.3 to TLS 1.2, for a proxy of your own that knows no better. Amplitude's endpoints speak 1.3.
    pub fn allow_tls_1_2(mut self) -> Self {
        self.http.tls12 = true;
        self
    }
}

/// Calls Amplitude's APIs with one credential of type `C`.
///
/// Cheap to clone; clones share their connections. Its futures run on any executor: their input and output is done by a thread of the crate's
/// own. A method that asks for a capability which `C` does not have is a compile error that says which credential has it.
///
/// ```no_run
/// use amplitude_sdk::{Region, server::{Client, Options, ProjectPair}};
///
/// let client = Client::with_options(ProjectPair::from_env()?, Options::new().region(Region::Eu))?;
/// // Or as AMPLITUDE_REGION says:
/// let client = Client::with_options(ProjectPair::from_env()?, Options::from_env()?)?;
/// # Ok::<(), amplitude_sdk::Error>(())
/// ```
#[derive(Clone)]
pub struct Client<C> {
    pub(super) credential: C,
    pub(super) runtime: Runtime,
    ingestion: Api,
    analytics: Api,
}

/// The hosts of a region differ by what they serve.
#[derive(Clone)]
struct Api {
    base: Url,
    client: reqwest::Client,
}

impl<C: Credential> Client<C> {
    /// A client of the US region.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when the machine has no certificate authorities, [`ErrorKind::Store`] when it gives no thread for requests.
    pub fn new(credential: C) -> Result<Self> {
        Self::with_options(credential, Options::new())
    }

    /// A client with options of its own.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] that names the option that is wrong, and as [`Client::new`].
    pub fn with_options(credential: C, options: Options) -> Result<Self> {
        let Options { region, base_url, http, silence } = options;
        let api = |region_url: &str, http: &HttpOptions| {
            let base = http::parse_url("base url", base_url.as_deref().unwrap_or(region_url))?;
            if ["/2/httpapi", "/batch"].iter().any(|path| base.path().trim_end_matches('/').ends_with(path)) {
                return Err(Error::invalid(&["base url: is the address of one API; give it without `/2/httpapi` or `/batch`"]));
            }
            Ok::<_, Error>(Api { client: http.client(&base)?, base })
        };
        let ingestion = api(region.ingestion_url(), &http)?;
        // An archive of gigabytes takes its time; what must not happen is that nothing comes.
        let streaming = HttpOptions { read_timeout: Some(silence), request_timeout: None, ..http };
        let analytics = api(region.analytics_url(), &streaming)?;
        Ok(Self { credential, runtime: Runtime::shared()?, ingestion, analytics })
    }

    /// A request to the hosts that take events; it carries no `Authorization`.
    pub(super) fn ingestion(&self, path: &str) -> Result<RequestBuilder> {
        self.ingestion.request(Method::POST, path)
    }

    /// An authorised request to the hosts that answer questions.
    pub(super) fn analytics(&self, method: Method, path: &str) -> Result<RequestBuilder> {
        Ok(self.credential.authorize(self.analytics.request(method, path)?))
    }

    /// Sends a request. Whatever status comes back is an answer, not an error.
    pub(super) async fn send(&self, request: RequestBuilder) -> Result<Response> {
        self.runtime.run(async { request.send().await.map_err(transport_error) }).await
    }
}

impl Api {
    fn request(&self, method: Method, path: &str) -> Result<RequestBuilder> {
        let mut url = self.base.clone();
        // An own endpoint may have a path of its own, with or without a slash at its end.
        let base = self.base.path().trim_end_matches('/');
        url.set_path(&[base, path].concat());
        Ok(self.client.request(method, url))
    }
}

impl<C: fmt::Debug> fmt::Debug for Client<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("credential", &self.credential).field("host", &self.analytics.base.host_str()).finish()
    }
}

/// What went wrong before an answer was there, without the URL, whose query is nobody's business.
pub(super) fn transport_error(error: reqwest::Error) -> Error {
    let (kind, message) = if error.is_timeout() {
        (ErrorKind::Timeout, "the server did not answer in time")
    } else if error.is_connect() {
        (ErrorKind::Transport, "the server cannot be reached")
    } else {
        (ErrorKind::Transport, "the connection broke")
    };
    Error::new(kind, message).with_source(error.without_url())
}

/// The error of a status that is no success, where an API has no better word for it.
pub(super) fn status_error(response: &Response) -> Error {
    let status = response.status().as_u16();
    let (kind, message) = match status {
        300..=399 => (ErrorKind::Protocol, "the server leads to another address, which is not followed; is the URL right?"),
        400 => (ErrorKind::Invalid, "the server refuses the request as invalid (400)"),
        401 | 403 => {
            (ErrorKind::Unauthorized, "the server refuses the credential; is it complete, and of this project and region?")
        }
        404 => (ErrorKind::NotFound, "the server has nothing under this address (404)"),
        413 => (ErrorKind::TooLarge, "the request is too large for the server (413)"),
        429 => (ErrorKind::Throttled, "the server asks to slow down (429)"),
        _ => (ErrorKind::Status, "the server answered with an error status"),
    };
    Error::new(kind, message).with_status(status).with_retry_after(http::retry_after(response.headers(), SystemTime::now()))
}
