//! `Client::ingest`: one request with events, at once, for callers who keep their own queue.

use std::time::SystemTime;

use crate::{
    Error, ErrorKind, Event, IngestionApi, Rejection, Result,
    context::{Envelope, InsertIds},
    event::Stamp,
    json, limits,
    pipeline::{
        Reply,
        verdict::{Verdict, judge},
    },
    platform::{self, http},
    server::{
        CanIngest, Client,
        client::{send, transport_error},
    },
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

    /// The least characters of a user or device id. Default: Amplitude's 5.
    pub fn min_id_length(mut self, characters: usize) -> Self {
        self.min_id_length = Some(characters);
        self
    }

    /// Puts the credential's secret key into this one request's body, as field `secret`. Off by default: HTTP V2 does not need it and no
    /// Amplitude page asks for it; it is for gateways of your own that do. It is never stored.
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
    Delivered,
    /// Amplitude took none of them, because of these: their indexes and what is wrong. The others can be sent again without them.
    Rejected(Vec<(usize, Rejection)>),
}

impl<C: CanIngest> Client<C> {
    /// Sends events in one request and waits for the answer: no queue, no retry, no batching. Use [`crate::Client`] for those.
    ///
    /// Events without a time or an insert id are given one in place, so that the same events can be sent again after an error without being
    /// counted twice.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for an event without a usable id, for `with_secret` on a credential without a secret, and for a 400 that names
    /// no event; [`ErrorKind::TooLarge`] for more than 2000 events or more bytes than the endpoint takes;
    /// [`ErrorKind::Unauthorized`], [`ErrorKind::Throttled`], [`ErrorKind::Status`], [`ErrorKind::Protocol`], [`ErrorKind::Transport`]
    /// and [`ErrorKind::Timeout`] by what the server answers.
    pub async fn ingest(&self, events: &mut [Event], options: IngestOptions) -> Result<Ingested> {
        let body = self.body(events, options)?;
        let request = self.ingestion(options.api.path())?.header("content-type", "application/json").body(body);
        tracing::debug!(target: "amplitude_sdk", events = events.len(), "ingesting");
        let response = send(request).await?;
        let reply = Reply {
            status: response.status().as_u16(),
            retry_after: http::retry_after(response.headers(), SystemTime::now()),
            body: http::read_capped(response, 8 << 20).await.map_err(transport_error)?,
        };
        read(&reply, events.len())
    }

    fn body(&self, events: &mut [Event], options: IngestOptions) -> Result<Vec<u8>> {
        if events.is_empty() {
            return Err(Error::invalid(&["events: there are none"]));
        }
        if events.len() > limits::BATCH_EVENTS {
            return Err(Error::new(ErrorKind::TooLarge, "events: are more than the 2000 that one request may hold"));
        }
        let now = platform::now();
        let mut insert_ids = InsertIds::new();
        let envelope = Envelope::new(self.credential.project_key(), options.min_id_length);
        let mut body = Vec::new();
        envelope.open(&mut body);
        for (index, event) in events.iter_mut().enumerate() {
            event
                .check_ids(options.min_id_length.unwrap_or(limits::MIN_ID_CHARS))
                .map_err(|error| Error::invalid(&["events[", &json::decimal(index as u64), "]: ", &error.to_string()]))?;
            if index > 0 {
                body.push(b',');
            }
            event.supply("time", json::decimal(now.unix_ms).as_bytes(), 0);
            event.supply("insert_id", ["\"", insert_ids.next(), "\""].concat().as_bytes(), 0);
            event.seal(&Stamp { time_ms: 0, insert_id: "", library: platform::LIBRARY }, &mut body);
        }
        envelope.close(&mut body, now.unix_ms);
        if options.with_secret {
            let secret = self.credential.project_secret().ok_or_else(|| {
                Error::invalid(&["with_secret: the credential is an API key alone; make the client from a `server::ProjectPair`"])
            })?;
            body.pop();
            body.extend_from_slice(b",\"secret\":");
            json::push_string(&mut body, secret.expose());
            body.push(b'}');
        }
        if body.len() > options.api.bytes() {
            let (bytes, limit) = (json::decimal(body.len() as u64), json::decimal(options.api.bytes() as u64));
            let message =
                ["events: the request's ", &bytes, " bytes are more than the ", &limit, " that the endpoint takes"].concat();
            return Err(Error::new(ErrorKind::TooLarge, message));
        }
        Ok(body)
    }
}

fn read(reply: &Reply, count: usize) -> Result<Ingested> {
    let failed = |kind, message| Err(Error::new(kind, message).with_status(reply.status).with_retry_after(reply.retry_after));
    match judge(reply, count) {
        Verdict::Delivered { .. } => Ok(Ingested::Delivered),
        Verdict::Rejected(mut list) => {
            list.sort_by_key(|(index, _)| *index);
            list.dedup_by_key(|(index, _)| *index);
            Ok(Ingested::Rejected(list))
        }
        Verdict::Throttled(_) => {
            failed(ErrorKind::Throttled, "the server asks to slow down for some users or devices (wait 30 seconds)")
        }
        Verdict::TooLarge => failed(ErrorKind::TooLarge, "the request is too large for the server (413)"),
        Verdict::Unexplained => failed(ErrorKind::Invalid, "the server refuses the events and does not say which"),
        Verdict::Retry { .. } if reply.status == 429 => failed(ErrorKind::Throttled, "the server asks to slow down (429)"),
        Verdict::Retry { .. } => failed(ErrorKind::Status, "the server answered with an error status"),
        Verdict::Fault { reason, .. } => match reply.status {
            400 | 401 | 403 => failed(ErrorKind::Unauthorized, reason),
            404 => failed(ErrorKind::NotFound, reason),
            _ => failed(ErrorKind::Protocol, reason),
        },
    }
}
