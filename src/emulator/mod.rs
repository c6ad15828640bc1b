//! A local Amplitude, for demos and for tests that need neither an account nor a network: HTTP V2, Batch, Identify, Group Identify and
//! Export, as strict as the documentation, with faults on demand. It listens on loopback alone.
//!
//! Its Rust API may change in any release. The same emulator is the program `amplitude-emulator`.
//!
//! Beside Amplitude's paths, which the EU region has below `/eu`, it answers at:
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
//! | `POST /_emulator/reset` | forgets events, people, requests and faults; projects, silenced devices and the clock stay |
//!
//! Kinds of faults: `status` and `accept_then_status` with `status`, `delay` with `ms`, `hang_up`, `html`, `accept_then_hang_up`; for
//! the API `ingestion`, `identify` or `export`.
//!
//! Events and identifies change what is known of users and groups; operations are applied in the order `$clearAll`, `$unset`, `$set`,
//! `$setOnce`, `$add`, `$append`, `$prepend`, `$preInsert`, `$postInsert`, `$remove`. Identifies are in no export, and where they come by
//! the Identify APIs they are no events at all.
//!
//! Where the documentation is silent, it is strict: what is only likely to be refused is refused.
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
mod connection;
mod export;
mod faults;
mod identify;
mod ingest;
mod people;
mod project;
mod properties;
mod routes;
mod state;
mod throttle;
mod time;
mod watch;

use std::{
    io,
    net::{self, Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
    time::Duration,
};

use tokio::{net::TcpListener, sync::oneshot};

use self::state::State;
pub use self::{
    faults::{Api, Fault},
    project::Counts,
    throttle::Throttle,
};
use crate::{Region, limits, promise::lock};

/// The API key of the default project. Obviously fake, and no secret.
pub const DEMO_KEY: &str = "demo0000000000000000000000000key";
/// The secret key of the default project. Obviously fake.
pub const DEMO_SECRET: &str = "fake0000000000000000000000000key";

/// A project that the emulator knows.
#[derive(Clone, Debug, Eq, PartialEq)]
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
    /// When the port is taken, the folder cannot be used, or two projects have the same key.
    pub fn start(mut self) -> io::Result<Emulator> {
        if self.projects.is_empty() {
            self.projects.push(Project::default());
        }
        let port = self.port;
        let state = Arc::new(Mutex::new(State::new(self)?));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let listener = net::TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
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

    /// Answers the next `times` requests to HTTP V2 or Batch with a fault. Faults queue up.
    pub fn fault(&self, fault: Fault, times: u32) {
        self.fault_on(Api::Ingestion, fault, times);
    }

    /// Answers the next `times` requests to an API with a fault.
    pub fn fault_on(&self, api: Api, fault: Fault, times: u32) {
        lock(&self.state).faults.add(api, fault, times);
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
