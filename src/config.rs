//! What a [`crate::Client`] is told once: where to send, how much to hold, how often to flush.

use std::{fmt, sync::Arc, time::Duration};

use crate::{
    Error, ProjectKey, Region, Result, limits,
    pipeline::{Backoff, Bounds, PipelineConfig, ProxyReply, millis},
    platform::{self, TransportOptions},
    plugin::{Notice, NoticeHook, Plugin, Progress, ProgressHook},
    store::DiskOptions,
};

/// Which ingestion endpoint takes the events.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum IngestionApi {
    /// `POST /2/httpapi`: 1 MB a request, 30 events a second for each user and device, data seen within seconds. The default.
    #[default]
    HttpV2,
    /// `POST /batch`: 20 MB a request, 1000 events a second for each user and device, data seen later. For backfills.
    Batch,
}

impl IngestionApi {
    pub(crate) const fn path(self) -> &'static str {
        match self {
            Self::HttpV2 => "/2/httpapi",
            Self::Batch => "/batch",
        }
    }

    pub(crate) const fn bytes(self) -> usize {
        match self {
            Self::HttpV2 => limits::HTTP_V2_BYTES,
            Self::Batch => limits::BATCH_BYTES,
        }
    }
}

/// What happens to a further event when the queue is at [`Config::queue_bytes`].
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum WhenFull {
    /// `track` refuses it with [`crate::ErrorKind::Full`], and gives it back. The default.
    #[default]
    Refuse,
    /// The oldest events make room, an eighth of the queue at a time, counted as [`crate::DropReason::Evicted`]; no dead letter is kept of
    /// them. What is under way stays; where that alone fills the queue, `track` refuses.
    DropOldest,
}

/// What happens to an event that holds a string of more than 1024 characters (UTF-16 code units), which Amplitude shortens.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum LongStrings {
    /// It is sent as it is, counted, and warned of once. The default.
    #[default]
    Pass,
    /// `track` refuses it.
    Refuse,
}

impl LongStrings {
    pub(crate) fn check(self, long_strings: u32) -> Result<()> {
        if long_strings > 0 && self == Self::Refuse {
            return Err(Error::invalid(&[
                "event: holds a string of more than 1024 characters (UTF-16 code units), which Amplitude would shorten",
            ]));
        }
        Ok(())
    }
}

/// The configuration of a [`crate::Client`]. Plain data: nothing is opened or sent before the client is made and used.
///
/// ```
/// use std::time::Duration;
/// use amplitude_sdk::{Config, ProjectKey, Region};
///
/// let key = ProjectKey::new("00000000000000000000000000000000")?;
/// let config = Config::new(key).region(Region::Eu).flush_interval(Duration::from_secs(5));
/// # Ok::<(), amplitude_sdk::Error>(())
/// ```
#[derive(Clone)]
pub struct Config {
    pub(crate) key: ProjectKey,
    pub(crate) region: Region,
    pub(crate) api: IngestionApi,
    pub(crate) server_url: Option<String>,
    pub(crate) min_id_length: Option<usize>,
    pub(crate) long_strings: LongStrings,
    pub(crate) plugins: Vec<Arc<dyn Plugin>>,
    pub(crate) notice_hook: Option<Arc<dyn NoticeHook>>,
    pub(crate) progress_hook: Option<Arc<dyn ProgressHook>>,
    pub(crate) transport: TransportOptions,
    pub(crate) flush_interval: Duration,
    pub(crate) flush_events: usize,
    pub(crate) batch_events: usize,
    batch_bytes: Option<usize>,
    pub(crate) queue_bytes: Option<usize>,
    pub(crate) when_full: WhenFull,
    max_in_flight: usize,
    pub(crate) disk: Option<DiskOptions>,
    max_age: Option<Duration>,
    proxy_reply: Option<ProxyReply>,
    dead_letter_bytes: Option<usize>,
}

impl Config {
    /// The defaults for one project: US region, HTTP V2, a flush every second or at 200 events, a queue of 64 MB.
    #[must_use]
    pub fn new(key: ProjectKey) -> Self {
        Self {
            key,
            region: Region::default(),
            api: IngestionApi::default(),
            server_url: None,
            min_id_length: None,
            long_strings: LongStrings::default(),
            plugins: Vec::new(),
            notice_hook: None,
            progress_hook: None,
            transport: TransportOptions::default(),
            flush_interval: Duration::from_secs(1),
            flush_events: 200,
            batch_events: limits::BATCH_EVENTS,
            batch_bytes: None,
            queue_bytes: None,
            when_full: WhenFull::default(),
            disk: None,
            max_age: None,
            proxy_reply: None,
            dead_letter_bytes: None,
            max_in_flight: 2,
        }
    }

    /// The region that the project was made in. Default: [`Region::Us`].
    #[must_use]
    pub fn region(mut self, region: Region) -> Self {
        self.region = region;
        self
    }

    /// The endpoint, which decides the size of a request and the rates. Default: [`IngestionApi::HttpV2`].
    #[must_use]
    pub fn api(mut self, api: IngestionApi) -> Self {
        self.api = api;
        self
    }

    /// The full ingestion URL of an own proxy or of an emulator, query included, in place of the region's. https, or http on loopback; in a
    /// browser also an address relative to the page.
    #[must_use]
    pub fn server_url(mut self, url: impl Into<String>) -> Self {
        self.server_url = Some(url.into());
        self
    }

    /// What the proxy at [`Config::server_url`] answers when it has the events, where that is not Amplitude's own answer. Default: only
    /// Amplitude's answer counts, so that no login page and no other proxy's page makes events count as delivered. Without a
    /// [`Config::server_url`] it is refused by [`crate::Client::new`].
    #[must_use]
    pub fn proxy_reply(mut self, reply: ProxyReply) -> Self {
        self.proxy_reply = Some(reply);
        self
    }

    /// How long an event waits for others before it is sent. Default: one second.
    #[must_use]
    pub fn flush_interval(mut self, interval: Duration) -> Self {
        self.flush_interval = interval;
        self
    }

    /// How many waiting events are sent without waiting longer: 1 to [`Config::batch_events`], to which other numbers are brought. Half of
    /// [`Config::batch_bytes`] has the same effect. Default: 200.
    #[must_use]
    pub fn flush_at(mut self, events: usize) -> Self {
        self.flush_events = events;
        self
    }

    /// The most events of one request, 1 to 2000. Default: 2000.
    #[must_use]
    pub fn batch_events(mut self, events: usize) -> Self {
        self.batch_events = events;
        self
    }

    /// The most bytes of one request's body before compression, at least 1000. Default and upper bound: what the endpoint documents (1 MB
    /// on HTTP V2, 20 MB on Batch).
    #[must_use]
    pub fn batch_bytes(mut self, bytes: usize) -> Self {
        self.batch_bytes = Some(bytes);
        self
    }

    /// The bytes of events, as JSON, that may be pending; [`Config::when_full`] says what happens at this bound. Default: 64 MB in memory, 1 GB
    /// on the disk.
    #[must_use]
    pub fn queue_bytes(mut self, bytes: usize) -> Self {
        self.queue_bytes = Some(bytes);
        self
    }

    /// What happens to a further event when the queue is full. Default: [`WhenFull::Refuse`].
    #[must_use]
    pub fn when_full(mut self, policy: WhenFull) -> Self {
        self.when_full = policy;
        self
    }

    /// How long an event may wait for its delivery before it is given up as [`crate::DropReason::Expired`], by whichever clock went further.
    /// One that was sent and may have arrived does not expire: it ends as [`crate::Outcome::Unknown`] once it cannot be sent again safely.
    /// Default: for ever; only [`Config::queue_bytes`] bounds what is kept.
    #[must_use]
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(age);
        self
    }

    /// How many bytes of events that were refused or given up are kept for [`crate::Client::dead_letters`]; beyond it the oldest go. 0: none.
    /// Default: 16 MB on the disk, 1 MB in memory.
    #[must_use]
    pub fn dead_letter_bytes(mut self, bytes: usize) -> Self {
        self.dead_letter_bytes = Some(bytes);
        self
    }

    /// Requests under way at once, which never share a device: at least 1. Default: 2.
    #[must_use]
    pub fn max_in_flight(mut self, requests: usize) -> Self {
        self.max_in_flight = requests;
        self
    }

    /// The least characters of a user or device id, 1 to 1024, in `track` and, as `options.min_id_length`, at Amplitude. Default:
    /// Amplitude's 5.
    #[must_use]
    pub fn min_id_length(mut self, characters: usize) -> Self {
        self.min_id_length = Some(characters);
        self
    }

    /// What happens to an event with a string that Amplitude would shorten. Default: [`LongStrings::Pass`].
    #[must_use]
    pub fn long_strings(mut self, policy: LongStrings) -> Self {
        self.long_strings = policy;
        self
    }

    /// Adds a plugin, which sees each event before it is sealed, after the plugins added before it.
    #[must_use]
    pub fn plugin(mut self, plugin: impl Plugin + 'static) -> Self {
        self.plugins.push(Arc::new(plugin));
        self
    }

    /// Hears what the client reports beside outcomes: a plugin that failed, an invalid key, a string that Amplitude will shorten. It runs
    /// where that is found, in `track` or on the delivery thread; on native its panic is caught. Default: warnings of `tracing`, in a browser
    /// of the console.
    #[must_use]
    pub fn on_notice(mut self, hook: impl Fn(&Notice) + platform::Shared + 'static) -> Self {
        self.notice_hook = Some(Arc::new(hook));
        self
    }

    /// Follows events on their way, e.g. to show it. The hook runs on the delivery thread, for whole requests at a time, and delivery waits
    /// for it; on native its panic is caught. Default: none.
    #[must_use]
    pub fn on_progress(mut self, hook: impl Fn(&Progress<'_>) + platform::Shared + 'static) -> Self {
        self.progress_hook = Some(Arc::new(hook));
        self
    }

    /// Checks what the setters took as it came.
    pub(crate) fn check(&self) -> Result<()> {
        let bound = self.api.bytes();
        if !(1..=limits::BATCH_EVENTS).contains(&self.batch_events) {
            return Err(Error::invalid(&["batch_events: must be 1 to 2000"]));
        }
        if self.batch_bytes.is_some_and(|bytes| bytes > bound || bytes < 1000) {
            return Err(Error::invalid(&["batch_bytes: must be 1000 to the endpoint's limit (1 MB on HTTP V2, 20 MB on Batch)"]));
        }
        if self.max_in_flight == 0 {
            return Err(Error::invalid(&["max_in_flight: must be at least 1"]));
        }
        if self.queue_bytes == Some(0) {
            return Err(Error::invalid(&["queue_bytes: must be at least 1"]));
        }
        if self.min_id_length.is_some_and(|length| !(1..=limits::ID_CHARS).contains(&length)) {
            return Err(Error::invalid(&["min_id_length: must be 1 to 1024"]));
        }
        if let Some(reply) = &self.proxy_reply {
            if self.server_url.is_none() {
                return Err(Error::invalid(&["proxy_reply: needs the server_url of the proxy"]));
            }
            reply.check()?;
        }
        if let Some(disk) = &self.disk {
            disk.check()?;
        }
        self.transport.check()?;
        platform::check_url(&self.url())
    }

    /// The URL that events are posted to.
    pub(crate) fn url(&self) -> String {
        match &self.server_url {
            Some(url) => url.clone(),
            None => [self.region.ingestion_url(), self.api.path()].concat(),
        }
    }

    /// The scheme and host of that, without a path or a query, which may hold what is not for logs; nothing of an address without a host.
    pub(crate) fn origin(&self) -> String {
        let url = self.url();
        let host = url.find("://").map(|scheme| scheme + 3);
        let end = host.and_then(|from| url[from..].find(['/', '?', '#']).map(|at| from + at)).unwrap_or(url.len());
        host.map_or_else(String::new, |_| url[..end].to_owned())
    }

    fn queue_bound(&self) -> usize {
        let default = if self.disk.is_some() { 1_000_000_000 } else { 64_000_000 };
        self.queue_bytes.unwrap_or(default)
    }

    pub(crate) fn dead_letter_bound(&self) -> usize {
        let default = if self.disk.is_some() { 16_000_000 } else { 1_000_000 };
        self.dead_letter_bytes.unwrap_or(default)
    }

    pub(crate) fn min_id_chars(&self) -> usize {
        self.min_id_length.unwrap_or(limits::MIN_ID_CHARS)
    }

    pub(crate) fn pipeline(&self, envelope_bytes: usize, notes_attempts: bool) -> PipelineConfig {
        let batch_bytes = self.batch_bytes.unwrap_or(self.api.bytes());
        PipelineConfig {
            batch_events: self.batch_events,
            bounds: Bounds { batch: batch_bytes, envelope: envelope_bytes, queue: self.queue_bound() },
            flush_interval_ms: millis(self.flush_interval),
            flush_events: self.flush_events.clamp(1, self.batch_events),
            flush_bytes: batch_bytes / 2,
            max_in_flight: self.max_in_flight,
            max_age_secs: self.max_age.map_or(u32::MAX, |age| u32::try_from(age.as_secs()).unwrap_or(u32::MAX)),
            notes_attempts,
            backoff: Backoff::default(),
            proxy_reply: self.proxy_reply.clone(),
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("key", &self.key)
            .field("region", &self.region)
            .field("api", &self.api)
            .field("plugins", &self.plugins.len())
            .finish_non_exhaustive()
    }
}
