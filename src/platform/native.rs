//! The native side: a thread with a small tokio runtime, reqwest, the system's clocks and entropy.

use std::{
    future::Future,
    io::Write as _,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use flate2::{Compression, write::GzEncoder};
use url::Url;

use super::http::{self, HttpOptions};
use crate::{
    Client, Config, Error, ErrorKind, Notice, Report, Result,
    pipeline::{Failure, Now, Reply, millis},
    server::Environment,
};

/// The `library` field of every event.
pub(crate) const LIBRARY: &str = concat!("amplitude-sdk-rust/", env!("CARGO_PKG_VERSION"));

/// Whether errors say what keeps a text from being JSON.
pub(crate) const EXPLAINS_JSON: bool = true;

/// `Send + Sync`, which callbacks and plugins need on this target.
pub trait Shared: Send + Sync {}

impl<T: Send + Sync + ?Sized> Shared for T {}

pub(crate) fn now() -> Now {
    static START: OnceLock<Instant> = OnceLock::new();
    let mono = START.get_or_init(Instant::now).elapsed();
    Now { mono_ms: millis(mono), unix_ms: unix_ms() }
}

/// The wall clock, in milliseconds since 1970.
pub(crate) fn unix_ms() -> u64 {
    // A clock before 1970 is wrong; zero keeps the event and is corrected by the server from `client_upload_time`.
    millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// The number of this process, by which a forked one is told from its parent.
pub(crate) fn process_id() -> u32 {
    std::process::id()
}

/// # Panics
/// When the system has no entropy, because then no id would be unique.
pub(crate) fn fill_random(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("the operating system provides entropy");
}

/// The value of a JSON number.
pub(crate) fn parse_number(text: &str) -> f64 {
    text.parse().unwrap_or(f64::NAN)
}

/// Appends the shortest text that reads as the number again.
pub(crate) fn push_number(out: &mut String, value: f64) {
    out.push_str(zmij::Buffer::new().format_finite(value));
}

pub(crate) async fn sleep(duration: Duration) {
    tokio::time::sleep(duration).await;
}

/// Runs a future on the driver's runtime; called from tasks of that runtime alone.
pub(crate) fn spawn(future: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(future);
}

/// What a plugin says of its failure may name a person, so that it is for those who ask for more than warnings.
pub(crate) fn log(notice: &Notice) {
    match notice {
        Notice::PluginFailed { plugin, reason } => {
            tracing::warn!(target: "amplitude_sdk", "plugin {plugin} failed and was skipped");
            tracing::debug!(target: "amplitude_sdk", "plugin {plugin} failed: {reason}");
        }
        _ => tracing::warn!(target: "amplitude_sdk", "{notice}"),
    }
}

/// Runs a caller's code so that its panic stays its own.
pub(crate) fn catch_panic<T>(call: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(call)).ok()
}

pub(crate) fn check_url(url: &str) -> Result<()> {
    http::parse_url("server url", url).map(drop)
}

/// The thread that delivers, with a runtime of its own, so that delivery neither needs nor outlives the caller's.
pub(crate) struct Driver;

impl Driver {
    pub(crate) fn start(run: impl Future<Output = ()> + Send + 'static) -> Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Error::new(ErrorKind::Store, "the delivery thread cannot start").with_source(error))?;
        thread::Builder::new()
            .name("amplitude-sdk".to_owned())
            .spawn(move || runtime.block_on(run))
            .map_err(|error| Error::new(ErrorKind::Store, "the delivery thread cannot start").with_source(error))?;
        Ok(())
    }
}

/// How requests are made: compression, time limits, proxy, certificates. Set through [`Config`]'s methods.
#[derive(Clone)]
pub(crate) struct TransportOptions {
    http: HttpOptions,
    gzip: Option<Gzip>,
}

#[derive(Clone, Copy)]
struct Gzip {
    level: u32,
    threshold: usize,
}

impl Default for TransportOptions {
    fn default() -> Self {
        Self { http: HttpOptions::default(), gzip: Some(Gzip { level: 1, threshold: 2048 }) }
    }
}

impl TransportOptions {
    pub(crate) fn check(&self) -> Result<()> {
        if self.gzip.is_some_and(|gzip| gzip.level > 9) {
            return Err(Error::invalid(&["gzip: the level must be 0 to 9"]));
        }
        self.http.check()
    }
}

/// What only the native build has.
impl Config {
    /// Reads `AMPLITUDE_API_KEY`, `AMPLITUDE_REGION` (`us`, the default, or `eu`) and `AMPLITUDE_SERVER_URL` (the full ingestion URL of a proxy
    /// or an emulator; none by default), or for each the file that its `_FILE` twin names, e.g. `AMPLITUDE_API_KEY_FILE`.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] that names the variable that is missing or cannot be read.
    pub fn from_env() -> Result<Self> {
        Self::read(Environment::of_process())
    }

    pub(crate) fn read(environment: Environment<'_>) -> Result<Self> {
        let mut config = Self::new(environment.project_key()?);
        if let Some(region) = environment.region()? {
            config = config.region(region);
        }
        if let Some(url) = environment.text("AMPLITUDE_SERVER_URL")? {
            config = config.server_url(url.as_str());
        }
        Ok(config)
    }

    /// Compresses bodies of at least `threshold` bytes with gzip at `level` (0 to 9). Default: level 1 from 2048 bytes on.
    #[must_use]
    pub fn gzip(mut self, level: u32, threshold: usize) -> Self {
        self.transport.gzip = Some(Gzip { level, threshold });
        self
    }

    /// Sends bodies as they are.
    #[must_use]
    pub fn no_gzip(mut self) -> Self {
        self.transport.gzip = None;
        self
    }

    /// A proxy's URL, in place of the one that `HTTPS_PROXY` names. Plain http on loopback never goes through a proxy.
    #[must_use]
    pub fn proxy(mut self, url: impl Into<String>) -> Self {
        self.transport.http.proxy = Some(url.into());
        self
    }

    /// Trusts further certificate authorities beside the system's: PEM text with one or more certificates.
    #[must_use]
    pub fn add_root_certificate(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.transport.http.roots.push(pem.into());
        self
    }

    /// Lowers the floor from TLS 1.3 to TLS 1.2, for a proxy of your own that knows no better. Amplitude's endpoints speak 1.3.
    #[must_use]
    pub fn allow_tls_1_2(mut self) -> Self {
        self.transport.http.tls12 = true;
        self
    }

    /// The time to make a connection, TLS included. Default: 10 seconds.
    #[must_use]
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.transport.http.connect_timeout = limit;
        self
    }

    /// The time from a request's start to the end of its answer. Default: 30 seconds.
    #[must_use]
    pub fn request_timeout(mut self, limit: Duration) -> Self {
        self.transport.http.request_timeout = Some(limit);
        self
    }
}

/// What only the native build has.
impl Client {
    /// [`Client::flush`] for callers without a runtime: blocks the thread until the report is there. Not for hooks
    /// ([`Config::on_notice`], [`Config::on_progress`]): the driver calls them and would wait for itself.
    pub fn flush_blocking(&self, deadline: Duration) -> Report {
        block_on(self.flush(deadline))
    }

    /// [`Client::shutdown`] for callers without a runtime: blocks the thread until the report is there. Not for hooks
    /// ([`Config::on_notice`], [`Config::on_progress`]): the driver calls them and would wait for itself.
    pub fn shutdown_blocking(&self, deadline: Duration) -> Report {
        block_on(self.shutdown(deadline))
    }
}

/// Waits on this thread. The driver answers from its own, so that this deadlocks in no runtime; only a hook, which the driver itself calls,
/// must not wait for it.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park(),
        }
    }
}

/// The ingestion endpoint, reached through reqwest.
pub(crate) struct Transport {
    client: reqwest::Client,
    url: Url,
    gzip: Option<Gzip>,
}

impl Transport {
    pub(crate) fn new(config: &Config) -> Result<Self> {
        let url = http::parse_url("server url", &config.url())?;
        Ok(Self { client: config.transport.http.client(&url)?, url, gzip: config.transport.gzip })
    }

    pub(crate) async fn send(&self, body: Vec<u8>) -> Result<Reply, Failure> {
        let mut post = self.client.post(self.url.clone()).header("content-type", "application/json");
        let bytes = body.len();
        post = match self.gzip {
            Some(gzip) if bytes >= gzip.threshold => post.header("content-encoding", "gzip").body(compress(&body, gzip.level)),
            _ => post.body(body),
        };
        tracing::debug!(target: "amplitude_sdk", bytes, "sending");
        let response = post.send().await.map_err(failure)?;
        let status = response.status().as_u16();
        let retry_after = http::retry_after(response.headers(), SystemTime::now());
        let body = http::read_capped(response, http::MAX_REPLY_BYTES).await.map_err(failure)?;
        tracing::debug!(target: "amplitude_sdk", status, "answered");
        Ok(Reply { status, retry_after, body })
    }
}

fn failure(error: reqwest::Error) -> Failure {
    // An own proxy's address may hold what is not for logs.
    let error = error.without_url();
    tracing::debug!(target: "amplitude_sdk", error = &error as &dyn std::error::Error, "no answer");
    if error.is_connect() {
        Failure::Connect
    } else if error.is_timeout() {
        Failure::Timeout
    } else {
        Failure::Interrupted
    }
}

fn compress(body: &[u8], level: u32) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::new(level));
    encoder.write_all(body).and_then(|()| encoder.finish()).expect("writing to memory cannot fail")
}
