//! A local Amplitude, for demos and for tests that need neither an account nor a network: HTTP V2, Batch, Identify, Group Identify, Export,
//! Cohorts and OAuth 2.0, as strict as the documentation, with faults on demand. It listens on loopback alone.
//!
//! Its Rust API may change in any release. The same emulator is the program `amplitude-emulator`.
//!
//! Amplitude's surfaces have hosts of their own; here they share one origin, and the EU region's are below `/eu`:
//!
//! | Amplitude's host | Here |
//! | --- | --- |
//! | `api2.amplitude.com`, `api.eu.` | `POST /2/httpapi`, `/batch`, `/identify`, `/groupidentify` |
//! | `amplitude.com`, `analytics.eu.` | `GET /api/2/export`, `GET /api/3/cohorts`, `POST /api/3/cohorts/upload`, `/api/3/cohorts/membership`: Basic, or a bearer token with the scope for events or for cohorts |
//! | `mcp.amplitude.com`, `mcp.eu.` | `/.well-known/oauth-protected-resource`, `/.well-known/oauth-authorization-server`, `/register`, `/authorize`, `/token`, `/revoke`; at `/mcp` its check of tokens, without tools |
//! | `developer-api.amplitude.com`, `developer-api.eu.` | `/v1/auth/device-authorization`, `/v1/auth/token`, `GET /v1/context`; at `/activate` the page where a user enters a device's code |
//!
//! The issuer, and the protected resource, is the origin: `http://127.0.0.1:PORT`, of the EU region `http://127.0.0.1:PORT/eu`, whose
//! documents are also at `/.well-known/oauth-authorization-server/eu` and `/.well-known/oauth-protected-resource/eu`.
//!
//! Of OAuth these are the emulator's own, because Amplitude publishes none or another thing: all lifetimes, the scopes `events:read` for
//! Export and `cohorts:manage` for cohorts (a token opens the project that the user chose), service accounts at `/token` (Amplitude's metadata
//! does not list their grant either), and as options the management of registrations (RFC 7592) and revocation by public clients. Refresh
//! tokens rotate; one that comes twice ends all that came of its consent. Tokens are random and kept as digests, in memory alone. There
//! are no id tokens.
//!
//! Beside Amplitude's paths it answers at:
//!
//! | Path | What |
//! | --- | --- |
//! | `GET /` | the live view |
//! | `GET /_emulator/state` | counts of requests and of events accepted, rejected and duplicated: of all, and of each project |
//! | `GET /_emulator/events?after=0&project=KEY` | accepted events, 500 at a time |
//! | `GET /_emulator/requests?after=0` | the last 1000 requests: path, status, number of events, bytes, error |
//! | `GET /_emulator/people?project=KEY` | users, devices and groups with their properties |
//! | `POST /_emulator/faults` | `{"kind": "status", "status": 503, "count": 2, "api": "ingestion"}`: what the next requests meet |
//! | `POST /_emulator/silence` | `{"device_id": "..."}`: refuses all events of a device |
//! | `POST /_emulator/clock` | `{"advance_ms": 30000}`: moves the clock forward |
//! | `GET /_emulator/oauth` | clients, requests and devices that wait, grants with their live tokens by fingerprint, counts |
//! | `POST /_emulator/oauth/approve` | `{"request": "...", "scopes": ["mcp:read"], "project": KEY}`, or `user_code` in place of `request`: answers for the user. All scopes and the first project where none is named, denied with an empty list; an application's request is answered with the redirect back to it |
//! | `POST /_emulator/oauth/consent` | `{"mode": "grant", "scopes": ["mcp:read"]}`: answers for the user from now on; `ask`, `grant` or `deny` |
//! | `POST /_emulator/oauth/revoke` | `{"grant": 0}`: the user takes access back |
//! | `POST /_emulator/oauth/secret` | `{"client_id": "...", "secrets": ["new", "old"]}`: rotates a client's secret |
//! | `GET /_emulator/credential` | which of the known credentials the request carries in `Authorization`, by kind and fingerprint |
//! | `POST /_emulator/credential` | `{"state": "revoked"}`: what becomes of the credential that the request carries: `good`, `expired` or `revoked` |
//! | `POST /_emulator/reset` | forgets events, people, requests, faults, consents and tokens, and which credentials have ended; projects, clients, silenced devices and the clock stay |
//!
//! Kinds of faults: `status` and `accept_then_status` with `status`, `delay` with `ms`, `hang_up`, `html`, `accept_then_hang_up`; for
//! the API `ingestion`, `identify`, `export`, `cohorts`, `token`, `device`, `revoke` or `context`.
//!
//! Secret keys alone, keys of organizations, of SCIM and of Experiment are known at `/_emulator/credential`; the APIs that they open are not here, so that
//! `verify` of a client with such a key finds nothing under its address (404).
//!
//! Scripts of any origin may call the APIs of events, as at Amplitude. OAuth, the pages and what is below `/_emulator` are for their own
//! origin alone, and pages and controls for the names `127.0.0.1`, `localhost` and `[::1]`.
//!
//! Events and identifies change what is known of users and groups; operations are applied in the order `$clearAll`, `$unset`, `$set`,
//! `$setOnce`, `$add`, `$append`, `$prepend`, `$preInsert`, `$postInsert`, `$remove`. Identifies are in no export, and where they come by
//! the Identify APIs they are no events at all.
//!
//! Where the documentation is silent, it is strict: what is only likely to be refused is refused. It says more than Amplitude may: which keys and personal access tokens
//! are of another region, why a token is refused.
//!
//! ```
//! use amplitude_sdk::{Client, Config, Event, ProjectKey, emulator::{DEMO_KEY, Emulator}};
//! use std::time::Duration;
//!
//! let emulator = Emulator::builder().start()?;
//! let client = Client::new(Config::new(ProjectKey::new(DEMO_KEY)?).server_url(emulator.ingestion_url()))?;
//! client.track(Event::builder("Product Purchased").user_id("user123").build()?)?;
//! client.flush_blocking(Duration::from_secs(10));
//! assert_eq!(emulator.events(DEMO_KEY).len(), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod answer;
mod body;
mod check;
mod cohorts;
mod connection;
mod credentials;
mod export;
mod faults;
mod guard;
mod identify;
mod ingest;
mod oauth;
mod people;
mod project;
mod properties;
mod routes;
mod sealed;
mod state;
mod throttle;
mod time;
mod watch;

use std::{
    fmt, io,
    net::{self, Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
    time::Duration,
};

use tokio::{net::TcpListener, sync::oneshot};

pub use self::{
    credentials::{Credential, CredentialKind, CredentialState},
    faults::{Api, Fault},
    oauth::{Consent, OAuthClient, OAuthCounts, OAuthOptions, ServiceAccount},
    project::Counts,
    throttle::Throttle,
};
use self::{sealed::Sealed, state::State};
use crate::{Region, limits, promise::lock};

/// The API key of the default project. Obviously fake, and no secret.
pub const DEMO_KEY: &str = "demo0000000000000000000000000key";
/// The secret key of the default project. Obviously fake.
pub const DEMO_SECRET: &str = "fake0000000000000000000000000key";

/// A project that the emulator knows.
#[derive(Clone, Eq, PartialEq)]
#[non_exhaustive]
pub struct Project {
    /// The API key.
    pub key: String,
    /// The secret key.
    pub secret: String,
    /// The region, outside of which the key is unknown.
    pub region: Region,
}

impl Project {
    /// A project of that region.
    pub fn new(key: impl Into<String>, secret: impl Into<String>, region: Region) -> Self {
        Self { key: key.into(), secret: secret.into(), region }
    }
}

/// Without the secret key.
impl fmt::Debug for Project {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Project").field("key", &self.key).field("region", &self.region).finish_non_exhaustive()
    }
}

impl Default for Project {
    fn default() -> Self {
        Self::new(DEMO_KEY, DEMO_SECRET, Region::Us)
    }
}

/// What an emulator is like before it starts.
#[derive(Clone, Debug)]
#[must_use]
pub struct Builder {
    port: u16,
    projects: Vec<Project>,
    credentials: Vec<Credential>,
    oauth: OAuthOptions,
    throttle: Throttle,
    silenced_devices: Vec<String>,
    export_delay: Duration,
    export_limit_bytes: u64,
    data_dir: Option<PathBuf>,
}

impl Builder {
    /// The port. Default: 0, which takes a free one.
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Adds a project. Default: one, with [`DEMO_KEY`] and [`DEMO_SECRET`] in the US region.
    pub fn project(mut self, project: Project) -> Self {
        self.projects.push(project);
        self
    }

    /// Adds a credential that is no project's. May be repeated. Default: none.
    pub fn credential(mut self, credential: Credential) -> Self {
        self.credentials.push(credential);
        self
    }

    /// How the authorization server behaves. Default: [`OAuthOptions::new`].
    pub fn oauth(mut self, options: OAuthOptions) -> Self {
        self.oauth = options;
        self
    }

    /// Whether ids are throttled. Default: [`Throttle::Off`].
    pub fn throttle(mut self, throttle: Throttle) -> Self {
        self.throttle = throttle;
        self
    }

    /// Refuses all events of a device, as Amplitude does with one that floods a project. May be repeated.
    pub fn silence_device(mut self, id: impl Into<String>) -> Self {
        self.silenced_devices.push(id.into());
        self
    }

    /// How long after its upload an event can be exported; Amplitude takes about two hours. Default: at once.
    pub fn export_delay(mut self, delay: Duration) -> Self {
        self.export_delay = delay;
        self
    }

    /// The largest export before 400 is the answer. Default: Amplitude's 4 GB.
    pub fn export_limit_bytes(mut self, bytes: u64) -> Self {
        self.export_limit_bytes = bytes;
        self
    }

    /// Keeps accepted events in this folder, and reads those that are there. Default: memory.
    pub fn data_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.data_dir = Some(path.into());
        self
    }

    /// Starts it on a thread of its own.
    ///
    /// # Errors
    /// When the port is taken, the folder cannot be used, two projects have the same key, or the OAuth options cannot be.
    pub fn start(mut self) -> io::Result<Emulator> {
        if self.projects.is_empty() {
            self.projects.push(Project::default());
        }
        let port = self.port;
        let listener = net::TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let state = Arc::new(Mutex::new(State::new(self, address)?));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let router = routes::router(Arc::clone(&state));
        let thread = thread::Builder::new().name("amplitude-emulator".to_owned()).spawn(move || {
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener)?;
                tokio::select! {
                    result = connection::serve(listener, router) => result,
                    _ = stopped => Ok(()),
                }
            })
        })?;
        Ok(Emulator { state, address, stop: Some(stop), thread: Some(thread) })
    }
}

/// A running emulator; it ends when this is dropped.
#[derive(Debug)]
pub struct Emulator {
    state: Arc<Mutex<State>>,
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Emulator {
    /// One default project, no throttle, a free port.
    pub fn builder() -> Builder {
        Builder {
            port: 0,
            projects: Vec::new(),
            credentials: Vec::new(),
            oauth: OAuthOptions::new(),
            throttle: Throttle::Off,
            silenced_devices: Vec::new(),
            export_delay: Duration::ZERO,
            export_limit_bytes: limits::EXPORT_BYTES,
            data_dir: None,
        }
    }

    /// Where it listens: the base URL of the US region. The EU region is under `/eu`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The full URL of HTTP V2 in the US region.
    #[must_use]
    pub fn ingestion_url(&self) -> String {
        format!("http://{}/2/httpapi", self.address)
    }

    /// The accepted events of a project as JSON texts, in the order of their arrival.
    #[must_use]
    pub fn events(&self, key: &str) -> Vec<String> {
        lock(&self.state)
            .project(key)
            .map_or(Vec::new(), |project| project.events_after(0).iter().map(|stored| stored.event.to_string()).collect())
    }

    /// What a project has seen so far; zeros for one that is not known.
    #[must_use]
    pub fn counts(&self, key: &str) -> Counts {
        lock(&self.state).project(key).map_or(Counts::default(), |project| project.counts)
    }

    /// What the authorization server has done so far.
    #[must_use]
    pub fn oauth_counts(&self) -> OAuthCounts {
        lock(&self.state).oauth.counts
    }

    /// Answers the next `times` requests to HTTP V2 or Batch with a fault. Faults queue up.
    pub fn fault(&self, fault: Fault, times: u32) {
        self.fault_on(Api::Ingestion, fault, times);
    }

    /// Answers the next `times` requests to an API with a fault.
    pub fn fault_on(&self, api: Api, fault: Fault, times: u32) {
        lock(&self.state).faults.add(api, fault, times);
    }

    /// What becomes of a secret: a project's secret key, or that of a [`Credential`]. Unlike a mistyped one it is refused with the reason. Answers
    /// whether there is such a secret.
    #[must_use]
    pub fn set_credential_state(&self, secret: &str, now: CredentialState) -> bool {
        let (mut state, secret) = (lock(&self.state), Sealed::of(secret));
        let is_known = state.has_any(&secret);
        if is_known {
            state.set_credential_state(secret, now);
        }
        is_known
    }

    /// Moves the emulator's clock forward: its throttles, its memory of insert ids and its export delay follow it.
    pub fn advance(&self, time: Duration) {
        lock(&self.state).advance(time);
    }

    /// Waits until it ends, which it does only when its listener fails.
    ///
    /// # Errors
    /// Why the listener failed.
    pub fn wait(mut self) -> io::Result<()> {
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(result)) => result,
            Some(Err(_)) => Err(io::Error::other("the emulator's thread panicked")),
            None => Ok(()),
        }
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // Its result says no more than that it ended.
            let _ = thread.join();
        }
    }
}
