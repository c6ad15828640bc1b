//! `Client::ingest`: one request with events, at once, for callers who keep their own queue.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use reqwest::{Method, RequestBuilder};
use zeroize::Zeroizing;

use crate::{
    Error, ErrorKind, Event, IngestionApi, Rejection, Result,
    context::{Envelope, InsertIds},
    event::{IdHashes, Stamp},
    json, limits,
    pipeline::{
        Reply,
        verdict::{self, Named, Verdict, Wait, judge},
    },
    platform::{self, http},
    server::{
        CanIngest, Client, Credential, Expose as _,
        api::Api,
        call::{Answer, Call},
        client::Pace,
        credential::Authorization,
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
    /// [`ErrorKind::Unauthorized`], [`ErrorKind::NotFound`], [`ErrorKind::Throttled`], [`ErrorKind::Status`] and [`ErrorKind::Protocol`] by
    /// what the server answers; [`ErrorKind::Transport`] and [`ErrorKind::Timeout`] where it does not.
    pub async fn ingest(&self, events: &mut [Event], options: IngestOptions) -> Result<Ingested>
    where
        C: CanIngest,
    {
        let (body, ids) = self.body(events, options)?;
        tracing::debug!(target: "amplitude_sdk", events = events.len(), "ingesting");
        let answer = self.post(body, options).await?;
        let response = &answer.response;
        let (status, retry_after) = (response.status().as_u16(), http::retry_after(response.headers(), SystemTime::now()));
        let body = self.core.read(answer, http::MAX_REPLY_BYTES).await?;
        tracing::debug!(target: "amplitude_sdk", status, "answered");
        read(&Reply { status, retry_after, body }, &ids)
    }

    async fn post(&self, body: Vec<u8>, options: IngestOptions) -> Result<Answer>
    where
        C: CanIngest,
    {
        let call = Call { api: Api::Ingestion, method: Method::POST, path: options.api.path(), pace: Pace::Quick, scope: None };
        let json = |request: RequestBuilder| request.header("content-type", "application/json");
        if !options.with_secret {
            let body = Bytes::from(body);
            return self.call(call, |request| json(request).body(body.clone())).await;
        }
        let secret = self.credential.body_secret().ok_or_else(|| {
            Error::invalid(&["with_secret: the credential is an API key alone; make the client from a `server::ProjectPair`"])
        })?;
        let with_secret = |request, authorization: &Authorization| json(request).body(sign(&body, authorization));
        self.core.call(&secret, call, with_secret).await
    }

    /// The request's body, and the ids of its events.
    fn body(&self, events: &mut [Event], options: IngestOptions) -> Result<(Vec<u8>, Vec<IdHashes>)>
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
        let envelope = Envelope::new(self.credential.project_key()?, options.min_id_length);
        let (mut body, mut record) = (Vec::new(), String::new());
        envelope.open(&mut body);
        for (index, event) in events.iter_mut().enumerate() {
            let hashes = event
                .check_ids(options.min_id_length.unwrap_or(limits::MIN_ID_CHARS))
                .map_err(|error| Error::invalid(&["events[", &json::decimal(index as u64), "]: ", &error.to_string()]))?;
            if index > 0 {
                body.push(b',');
            }
            event.supply("time", &json::decimal(now.unix_ms), 0);
            event.supply("insert_id", &["\"", insert_ids.next(), "\""].concat(), 0);
            event.seal(&Stamp { time_ms: 0, insert_id: "", library: platform::LIBRARY }, &mut record);
            body.extend_from_slice(record.as_bytes());
            record.clear();
            ids.push(hashes);
        }
        envelope.close(&mut body, now.unix_ms);
        let room = if options.with_secret { MAX_SECRET_BYTES } else { 0 };
        if body.len() + room > options.api.bytes() {
            let (bytes, limit) = (json::decimal(body.len() as u64), json::decimal(options.api.bytes() as u64));
            let message =
                ["events: the request's ", &bytes, " bytes are more than the ", &limit, " that the endpoint takes"].concat();
            return Err(Error::new(ErrorKind::TooLarge, message));
        }
        Ok((body, ids))
    }
}

/// What a secret adds to a body at most: each of its 1024 characters may need an escape.
const MAX_SECRET_BYTES: usize = ",\"secret\":\"\"".len() + 2 * 1024;

/// The body with the secret in it, as its last field.
fn sign(body: &[u8], authorization: &Authorization) -> Vec<u8> {
    let Some(secret) = authorization.in_body() else { return body.to_vec() };
    let mut text = Zeroizing::new(String::with_capacity(2 * secret.expose().len() + 2));
    json::push_string(&mut text, secret.expose());
    let open = &body[..body.len() - "}".len()];
    [open, b",\"secret\":", text.as_bytes(), b"}"].concat()
}

fn read(reply: &Reply, events: &[IdHashes]) -> Result<Ingested> {
    let failed = |kind, message| Err(Error::new(kind, message).with_status(reply.status).with_retry_after(reply.retry_after));
    match judge(reply, events.len()) {
        Verdict::Delivered { short, .. } => Ok(Ingested::Delivered { short }),
        Verdict::Named(named) => {
            let verdicts = verdicts(named, events);
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
        Verdict::Fault { reason, .. } => failed(kind_of_fault(reply.status, reason), reason),
    }
}

fn kind_of_fault(status: u16, reason: &str) -> ErrorKind {
    match (status, reason) {
        (200..=399, _) => ErrorKind::Protocol,
        (401 | 403, _) | (_, verdict::INVALID_KEY | verdict::MISSING_FIELD) => ErrorKind::Unauthorized,
        (_, verdict::WRONG_ADDRESS) => ErrorKind::NotFound,
        (400, _) => ErrorKind::Invalid,
        _ => ErrorKind::Status,
    }
}

fn verdicts(refusal: Named, events: &[IdHashes]) -> Vec<EventVerdict> {
    let Named { ids: waiting, events: throttled, silenced, rejected, at_least, window: _ } = refusal;
    let least = at_least.unwrap_or_default();
    let wait = |wait: Wait| Duration::from_secs(wait.secs()).max(least);
    let longest_of = |ids: &IdHashes| {
        let own = waiting.iter().filter(|(id, _)| [ids.user, ids.device].contains(&Some(*id)));
        own.map(|it| wait(it.1)).max()
    };
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ids(count: usize) -> Vec<IdHashes> {
        (0..count as u64).map(|number| IdHashes { user: (number % 3 != 0).then_some(number), device: Some(number % 2) }).collect()
    }

    /// JSON as a reply may have it, with right and wrong types, indexes and names.
    fn field() -> impl Strategy<Value = String> {
        let name = prop::sample::select(vec![
            "code",
            "error",
            "missing_field",
            "events_ingested",
            "server_upload_time",
            "events_with_invalid_fields",
            "events_with_missing_fields",
            "events_with_invalid_id_lengths",
            "silenced_events",
            "silenced_devices",
            "throttled_events",
            "throttled_users",
            "throttled_devices",
            "exceeded_daily_quota_users",
            "exceeded_daily_quota_devices",
            "eps_threshold",
            "other",
        ]);
        let indexes = prop::collection::vec(-2i64..12, 0..6).prop_map(|list| format!("{list:?}"));
        let value = prop_oneof![
            4 => indexes.clone(),
            4 => indexes.prop_map(|list| format!(r#"{{"time":{list}}}"#)),
            2 => any::<i64>().prop_map(|number| number.to_string()),
            2 => "[a-z]{0,5}".prop_map(|text| format!("{text:?}")),
            1 => Just("null".to_owned()),
            1 => Just("1e999".to_owned()),
            1 => Just("[".repeat(5000)),
            1 => "\\PC{0,20}",
        ];
        (name, value).prop_map(|(name, value)| format!("{name:?}:{value}"))
    }

    proptest! {
        #[test]
        fn any_reply_is_an_error_or_a_verdict_on_each_event(
            status in prop::sample::select(vec![200u16, 202, 204, 301, 400, 401, 403, 404, 408, 413, 418, 429, 500, 503, 504, 599]),
            fields in prop::collection::vec(field(), 0..6),
            has_code in any::<bool>(),
            cut in any::<prop::sample::Index>(),
            is_cut in prop::bool::weighted(0.2),
            noise in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..2),
            seconds in prop::option::of(any::<u64>()),
            count in 1usize..9,
        ) {
            let code = if has_code { format!("\"code\":{status}") } else { "\"x\":1".to_owned() };
            let mut body = format!("{{{}}}", [vec![code], fields].concat().join(",")).into_bytes();
            for (index, byte) in noise {
                let at = index.index(body.len());
                body[at] = byte;
            }
            if is_cut {
                body.truncate(cut.index(body.len()));
            }
            let body = String::from_utf8_lossy(&body).into_owned();
            let reply = Reply { status, retry_after: seconds.map(Duration::from_secs), body };
            match read(&reply, &ids(count)) {
                Ok(Ingested::Delivered { .. }) => prop_assert!((200..300).contains(&status) && has_code),
                Ok(Ingested::Refused(verdicts)) => {
                    prop_assert!(matches!(status, 400 | 429) && has_code);
                    prop_assert_eq!(verdicts.len(), count);
                    prop_assert!(verdicts.iter().any(|verdict| *verdict != EventVerdict::SendAgain));
                }
                Err(error) => prop_assert_eq!(error.status(), Some(status)),
            }
        }

        #[test]
        fn any_bytes_deliver_nothing(
            status in 100u16..600,
            body in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            let body = String::from_utf8_lossy(&body).into_owned();
            let result = read(&Reply { status, retry_after: None, body }, &ids(2));
            prop_assert!(result.is_err());
        }
    }
}
