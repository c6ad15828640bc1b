//! `Client::ingest`: one request with events, at once, for callers who keep their own queue.

use std::time::{Duration, SystemTime};

use zeroize::Zeroizing;

use crate::{
    Error, ErrorKind, Event, IngestionApi, Rejection, Result,
    context::{Envelope, InsertIds},
    event::Stamp,
    json, limits,
    pipeline::{
        Reply,
        verdict::{CHANGED, INVALID_KEY, MISSING_FIELD, Throttled, Verdict, WRONG_ADDRESS, Wait, judge},
    },
    platform::{self, http},
    server::{CanIngest, Client, Credential, client::transport_error},
};

/// How [`Client::ingest`] sends.
#[derive(Clone, Copy, Debug, Default)]
#[must_use]
pub struct IngestOptions {
    api: IngestionApi,
    min_id_length: Option<usize>,
    with_secret: bool,
}

impl IngestOptions {
    /// HTTP V2, Amplitude's least length of ids, no secret.
    pub fn new() -> Self {
        Self::default()
    }

    /// The endpoint, which decides how large the request may be. Default: [`IngestionApi::HttpV2`].
    pub fn api(mut self, api: IngestionApi) -> Self {
        self.api = api;
        self
    }

    /// The least characters of a user or device id, 1 to 1024. Default: Amplitude's 5.
    pub fn min_id_length(mut self, characters: usize) -> Self {
        self.min_id_length = Some(characters);
        self
    }

    /// Puts the credential's secret key into this one request's body, as field `secret`. Off by default: HTTP V2 and Batch do not need it and
    /// no page of their documentation asks for it; it is for gateways of your own that do. It is neither stored nor logged.
    pub fn with_secret(mut self) -> Self {
        self.with_secret = true;
        self
    }
}

/// What became of the events of one request.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Ingested {
    /// Amplitude has all of them.
    Delivered {
        /// It says that it counted fewer than the request held.
        short: bool,
    },
    /// Amplitude took none of them, because of some: a verdict on each, in the order of the events.
    Refused(Vec<EventVerdict>),
}

/// What a refused request means for one of its events.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum EventVerdict {
    /// Nothing is wrong with it: it can be sent again at once, without the others.
    SendAgain,
    /// Its user or device sends too much: it can be sent again after this time.
    Wait(Duration),
    /// It will never be taken as it is.
    Rejected(Rejection),
}

impl<C: Credential> Client<C> {
    /// Sends events in one request and waits for the answer: no queue, no retry, no batching. Use [`crate::Client`] for those.
    ///
    /// Events without a time or an insert id are given one in place, so that the same events can be sent again after an error without being
    /// counted twice.
    ///
    /// ```no_run
    /// use amplitude_sdk::{Event, ProjectKey, server::{Client, EventVerdict, IngestOptions, Ingested}};
    ///
    /// # async fn run() -> amplitude_sdk::Result<()> {
    /// let client = Client::new(ProjectKey::new("YOUR_API_KEY")?)?;
    /// let mut events = [Event::builder("Product Purchased").user_id("user123").property("price", 29.99).build()?];
    /// if let Ingested::Refused(verdicts) = client.ingest(&mut events, IngestOptions::new()).await? {
    ///     for (event, verdict) in events.iter().zip(verdicts) {
    ///         if let EventVerdict::Rejected(why) = verdict {
    ///             eprintln!("{}: {why:?}", event.event_type());
    ///         }
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for no events, an event without a usable id, `with_secret` on a credential without a secret, and a 400 that
    /// names no event; [`ErrorKind::TooLarge`] for more than 2000 events or more bytes than the endpoint takes;
    /// [`ErrorKind::Unauthorized`], [`ErrorKind::Throttled`], [`ErrorKind::Status`], [`ErrorKind::Protocol`], [`ErrorKind::Transport`]
    /// and [`ErrorKind::Timeout`] by what the server answers.
    pub async fn ingest(&self, events: &mut [Event], options: IngestOptions) -> Result<Ingested>
    where
        C: CanIngest,
    {
        let (body, ids) = self.body(events, options)?;
        let request = self.ingestion(options.api.path())?.header("content-type", "application/json").body(body);
        tracing::debug!(target: "amplitude_sdk", events = events.len(), "ingesting");
        let response = self.send(request).await?;
        let (status, retry_after) = (response.status().as_u16(), http::retry_after(response.headers(), SystemTime::now()));
        let body = self.runtime.run(http::read_capped(response, http::MAX_REPLY_BYTES)).await.map_err(transport_error)?;
        tracing::debug!(target: "amplitude_sdk", status, "answered");
        read(&Reply { status, retry_after, body }, &ids)
    }

    /// The request's body, and the ids of its events.
    fn body(&self, events: &mut [Event], options: IngestOptions) -> Result<(Vec<u8>, Vec<Ids>)>
    where
        C: CanIngest,
    {
        if events.is_empty() {
            return Err(Error::invalid(&["events: there are none"]));
        }
        if events.len() > limits::BATCH_EVENTS {
            return Err(Error::new(ErrorKind::TooLarge, "events: are more than the 2000 that one request may hold"));
        }
        if options.min_id_length.is_some_and(|length| !(1..=limits::ID_CHARS).contains(&length)) {
            return Err(Error::invalid(&["min_id_length: must be 1 to 1024"]));
        }
        let now = platform::now();
        let mut ids = Vec::with_capacity(events.len());
        let mut insert_ids = InsertIds::new();
        let envelope = Envelope::new(self.credential.project_key(), options.min_id_length);
        let (mut body, mut record) = (Vec::new(), String::new());
        envelope.open(&mut body);
        for (index, event) in events.iter_mut().enumerate() {
            event
                .check_ids(options.min_id_length.unwrap_or(limits::MIN_ID_CHARS))
                .map_err(|error| Error::invalid(&["events[", &json::decimal(index as u64), "]: ", &error.to_string()]))?;
            if index > 0 {
                body.push(b',');
            }
            event.supply("time", &json::decimal(now.unix_ms), 0);
            event.supply("insert_id", &["\"", insert_ids.next(), "\""].concat(), 0);
            let sealed = event.seal(&Stamp { time_ms: 0, insert_id: "", library: platform::LIBRARY }, &mut record);
            body.extend_from_slice(record.as_bytes());
            record.clear();
            ids.push(Ids { user: sealed.user, device: sealed.device });
        }
        envelope.close(&mut body, now.unix_ms);
        if options.with_secret {
            let secret = self.credential.project_secret().ok_or_else(|| {
                Error::invalid(&["with_secret: the credential is an API key alone; make the client from a `server::ProjectPair`"])
            })?;
            body.pop();
            body.extend_from_slice(b",\"secret\":");
            let mut text = Zeroizing::new(String::with_capacity(2 * secret.expose().len() + 2));
            json::push_string(&mut text, secret.expose());
            body.extend_from_slice(text.as_bytes());
            body.push(b'}');
        }
        if body.len() > options.api.bytes() {
            let (bytes, limit) = (json::decimal(body.len() as u64), json::decimal(options.api.bytes() as u64));
            let message =
                ["events: the request's ", &bytes, " bytes are more than the ", &limit, " that the endpoint takes"].concat();
            return Err(Error::new(ErrorKind::TooLarge, message));
        }
        Ok((body, ids))
    }
}

/// The hashes of an event's ids, by which replies are judged.
struct Ids {
    user: Option<u64>,
    device: Option<u64>,
}

fn read(reply: &Reply, events: &[Ids]) -> Result<Ingested> {
    let failed = |kind, message| Err(Error::new(kind, message).with_status(reply.status).with_retry_after(reply.retry_after));
    match judge(reply, events.len()) {
        Verdict::Delivered { short } => Ok(Ingested::Delivered { short }),
        Verdict::Rejected(rejected) => Ok(Ingested::Refused(verdicts(Throttled { rejected, ..Throttled::default() }, events))),
        Verdict::Throttled(throttled) => {
            let verdicts = verdicts(throttled, events);
            if verdicts.iter().all(|verdict| *verdict == EventVerdict::SendAgain) {
                return failed(
                    ErrorKind::Throttled,
                    "the server asks to slow down for users or devices that are not in the request",
                );
            }
            Ok(Ingested::Refused(verdicts))
        }
        Verdict::TooLarge => failed(ErrorKind::TooLarge, "the request is too large for the server (413)"),
        Verdict::Unexplained if events.len() == 1 => Ok(Ingested::Refused(vec![EventVerdict::Rejected(Rejection::Unexplained)])),
        Verdict::Unexplained => failed(ErrorKind::Invalid, "the server refuses the events and does not say which"),
        Verdict::Retry { .. } if reply.status == 429 => failed(ErrorKind::Throttled, "the server asks to slow down (429)"),
        Verdict::Retry { .. } => failed(ErrorKind::Status, "the server answered with an error status"),
        Verdict::Fault { reason, .. } => match (reply.status, reason) {
            (400, INVALID_KEY | MISSING_FIELD) | (401 | 403, _) => failed(ErrorKind::Unauthorized, reason),
            (400, WRONG_ADDRESS) | (404, _) => failed(ErrorKind::NotFound, reason),
            (400, CHANGED) => failed(ErrorKind::Invalid, reason),
            _ => failed(ErrorKind::Protocol, reason),
        },
    }
}

/// Daily quotas are counted by the hour.
const QUOTA_WAIT: Duration = Duration::from_secs(3600);

fn verdicts(refusal: Throttled, events: &[Ids]) -> Vec<EventVerdict> {
    let Throttled { users, devices, events: throttled, silenced, rejected, at_least } = refusal;
    let least = at_least.unwrap_or_default();
    let wait = |wait: Wait| match wait {
        Wait::Throttle => Duration::from_secs(limits::THROTTLE_WAIT_SECS).max(least),
        Wait::DailyQuota => QUOTA_WAIT.max(least),
    };
    let longest = |waits: &[(u64, Wait)], id: Option<u64>| waits.iter().filter(|it| Some(it.0) == id).map(|it| wait(it.1)).max();
    let longest_of = |ids: &Ids| longest(&users, ids.user).max(longest(&devices, ids.device));
    let mut verdicts: Vec<_> =
        events.iter().map(|ids| longest_of(ids).map_or(EventVerdict::SendAgain, EventVerdict::Wait)).collect();
    // `judge` gives no index that is out of bounds.
    for index in throttled {
        if verdicts[index] == EventVerdict::SendAgain {
            verdicts[index] = EventVerdict::Wait(wait(Wait::Throttle));
        }
    }
    for (ids, verdict) in events.iter().zip(&mut verdicts) {
        if ids.device.is_some_and(|device| silenced.contains(&device)) {
            *verdict = EventVerdict::Rejected(Rejection::Silenced);
        }
    }
    // The reason that was named first stays.
    for (index, reason) in rejected.into_iter().rev() {
        verdicts[index] = EventVerdict::Rejected(reason);
    }
    verdicts
}
