//! [`Client`]: one credential, one region, one path that every call takes.

use std::{fmt, sync::Arc, time::SystemTime};

use reqwest::Response;
use url::Url;

use crate::{
    Error, ErrorKind, Region, Result,
    platform::http::{self, HttpOptions},
    server::{
        AnyClient, AnyCredential, Both, CanBearer, Credential, Options, UsageMonitor, api::Api, observer::Observers,
        runtime::Runtime,
    },
};

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
    pub(super) core: Arc<Core>,
}

/// What clones and clients with another credential share.
pub(super) struct Core {
    pub(super) runtime: Runtime,
    region: Region,
    /// In place of the region's hosts.
    base: Option<Url>,
    /// Answers at once; a limit for the whole of it.
    quick: reqwest::Client,
    /// Answers as long as they are; a limit for the silence within.
    patient: reqwest::Client,
    pub(super) observers: Observers,
    pub(super) usage: Option<UsageMonitor>,
}

/// How long an answer may take.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Pace {
    Quick,
    /// An archive of gigabytes takes its time; what must not happen is that nothing comes.
    Patient,
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
        let Options { region, base_url, http, read_timeout, observers, usage } = options;
        let base = base_url.map(|url| http::parse_url("base url", &url)).transpose()?;
        if base.as_ref().is_some_and(is_one_api) {
            return Err(Error::invalid(&["base url: is the address of one API; give it without `/2/httpapi` or `/batch`"]));
        }
        // The hosts of a region are all reached in the same way.
        let like = base.clone().map_or_else(|| http::parse_url("base url", region.analytics_url()), Ok)?;
        let quick = http.client(&like)?;
        let patient = HttpOptions { read_timeout: Some(read_timeout), request_timeout: None, ..http }.client(&like)?;
        let core = Core { runtime: Runtime::shared()?, region, base, quick, patient, observers, usage };
        Ok(Self { credential, core: Arc::new(core) })
    }

    /// A client with another credential that shares this one's connections, region, observers and usage monitor: for a program that acts for
    /// many users or projects.
    ///
    /// ```
    /// use amplitude_sdk::{ProjectKey, server::{Client, PersonalAccessToken}};
    ///
    /// let client = Client::new(ProjectKey::new("demo0000000000000000000000000key")?)?;
    /// let of_a_user = client.with_credential(PersonalAccessToken::new("amp_fake00000000000000000000token")?);
    /// # let _ = of_a_user;
    /// # Ok::<(), amplitude_sdk::Error>(())
    /// ```
    #[must_use]
    pub fn with_credential<D: Credential>(&self, credential: D) -> Client<D> {
        Client { credential, core: Arc::clone(&self.core) }
    }

    /// The same client with a user's token beside its credential, for the Developer API.
    ///
    /// ```
    /// use amplitude_sdk::{ProjectKey, server::{Client, PersonalAccessToken}};
    ///
    /// let client = Client::new(ProjectKey::new("demo0000000000000000000000000key")?)?;
    /// let client = client.with_bearer(PersonalAccessToken::new("amp_fake00000000000000000000token")?);
    /// # let _ = client;
    /// # Ok::<(), amplitude_sdk::Error>(())
    /// ```
    #[must_use]
    pub fn with_bearer<T: CanBearer>(self, bearer: T) -> Client<Both<C, T>> {
        Client { credential: Both(self.credential, bearer), core: self.core }
    }

    /// The same client with a credential whose kind is known at run time only.
    #[must_use]
    pub fn into_any(self) -> AnyClient
    where
        C: Into<AnyCredential>,
    {
        Client { credential: self.credential.into(), core: self.core }
    }
}

impl Core {
    pub(super) fn http(&self, pace: Pace) -> &reqwest::Client {
        match pace {
            Pace::Quick => &self.quick,
            Pace::Patient => &self.patient,
        }
    }

    pub(super) fn url(&self, api: Api, path: &str) -> Result<Url> {
        let mut url = match &self.base {
            Some(base) => base.clone(),
            None => http::parse_url("region", api.url(self.region)?)?,
        };
        // An own endpoint may have a path of its own, with or without a slash at its end.
        let path = [url.path().trim_end_matches('/'), path].concat();
        url.set_path(&path);
        Ok(url)
    }
}

fn is_one_api(url: &Url) -> bool {
    ["/2/httpapi", "/batch"].iter().any(|path| url.path().trim_end_matches('/').ends_with(path))
}

impl<C: fmt::Debug> fmt::Debug for Client<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Client");
        shown.field("credential", &self.credential).field("region", &self.core.region);
        shown.field("host", &self.core.base.as_ref().and_then(Url::host_str)).finish()
    }
}

/// What went wrong before an answer was there, without the URL, whose query is nobody's business.
pub(super) fn transport_error(error: reqwest::Error) -> Error {
    if let Some(problem) = tls_problem(&error) {
        // One side must change before it works.
        return Error::new(ErrorKind::Transport, problem).with_retryable(false).with_source(error.without_url());
    }
    let (kind, message) = if error.is_timeout() {
        (ErrorKind::Timeout, "the server did not answer in time")
    } else if http::tls_error(&error).is_some() {
        (ErrorKind::Transport, "there is no TLS connection with the server")
    } else if error.is_connect() {
        (ErrorKind::Transport, "the server cannot be reached")
    } else {
        (ErrorKind::Transport, "the connection broke")
    };
    Error::new(kind, message).with_source(error.without_url())
}

/// What keeps two sides from a TLS connection, and what to do about it.
fn tls_problem(error: &reqwest::Error) -> Option<&'static str> {
    use rustls::{AlertDescription, CertificateError};
    Some(match http::tls_error(error)? {
        rustls::Error::AlertReceived(AlertDescription::ProtocolVersion) | rustls::Error::PeerIncompatible(_) => {
            "the server does not speak TLS 1.3; `Options::allow_tls_1_2` lowers the floor"
        }
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            "the server's certificate is of an authority that is not trusted; `Options::add_root_certificate` adds one"
        }
        rustls::Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            "the server's certificate has expired, or the clock of this machine is wrong"
        }
        rustls::Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => "the server's certificate is for another host",
        _ => return None,
    })
}

/// The error of a status that is no success, where an API has no better word for it.
pub(super) fn status_error(response: &Response) -> Error {
    let status = response.status().as_u16();
    let (kind, message) = match status {
        300..=399 => (ErrorKind::Protocol, "the server leads to another address, which is not followed; is the URL right?"),
        400 => (ErrorKind::Invalid, "the server refuses the request as invalid (400)"),
        404 => (ErrorKind::NotFound, "the server has nothing under this address (404)"),
        413 => (ErrorKind::TooLarge, "the request is too large for the server (413)"),
        429 => (ErrorKind::Throttled, "the server asks to slow down (429)"),
        _ => (ErrorKind::Status, "the server answered with an error status"),
    };
    Error::new(kind, message).with_status(status).with_retry_after(http::retry_after(response.headers(), SystemTime::now()))
}
