//! `judge`: what a reply says about each event of a request. Pure; one arm for each row of the reply table.
//!
//! Source of the table: "HTTP V2 API" and "Batch Event Upload API", amplitude.com/docs, read 2026-03-13. Status and body must agree; a body
//! that is not Amplitude's proves neither delivery nor a fault of an event, so that a portal or proxy costs time and never data.

use std::time::Duration;

use super::{lanes::id_hash, outcome::Rejection, planted, reply::Body};

/// An answer that came back whole.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) body: Vec<u8>,
}

/// Why no answer came.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Failure {
    /// No connection: the server has not seen the request.
    Connect,
    /// No answer in time: the server may have taken the events.
    Timeout,
    /// The connection broke: the server may have taken the events.
    Interrupted,
}

/// What a reply means for the events of a request.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Verdict {
    /// Amplitude has all of them; `short` says that it counted fewer.
    Delivered { short: bool },
    /// Events at these indexes are refused; the others go again at once.
    Rejected(Vec<(usize, Rejection)>),
    /// Ids that wait, by their hashes, and indexes of events that wait; the others go again at once.
    Throttled(Throttled),
    /// The request is too large: halve it.
    TooLarge,
    /// Refused without saying which: halve it to find the guilty one.
    Unexplained,
    /// All go again after a back-off, at least as long as the server asks.
    Retry { at_least: Option<Duration> },
    /// As `Retry`, because of the configuration or something between: the owner should hear of it.
    Fault { at_least: Option<Duration>, reason: &'static str },
}

/// The ids and events that a 429, or a 400 for silenced devices, asks to wait.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Throttled {
    pub(crate) users: Vec<(u64, Wait)>,
    pub(crate) devices: Vec<(u64, Wait)>,
    pub(crate) events: Vec<usize>,
    pub(crate) rejected: Vec<(usize, Rejection)>,
    pub(crate) at_least: Option<Duration>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Wait {
    Throttle,
    DailyQuota,
}

const NOT_AMPLITUDE: &str = "an answer with status 2xx is not Amplitude's; is there a proxy or a login page in between?";
const INVALID_KEY: &str = "the server does not know the API key; is it mistyped, or of the other region?";
const MISSING_FIELD: &str = "the server misses a field of the request itself, such as the API key";
const REFUSED: &str = "the server or something in between refuses access (401 or 403)";
const WRONG_ADDRESS: &str = "the server has nothing at this address; is the server URL right?";

/// Judges a reply to a request of `count` events.
pub(crate) fn judge(reply: &Reply, count: usize) -> Verdict {
    let at_least = reply.retry_after;
    let body = Body::read(&reply.body).filter(|body| body.code == Some(i64::from(reply.status)));
    match (reply.status, body) {
        (200..=299, Some(body)) if body.events_ingested.is_some() || body.server_upload_time.is_some() => {
            let ingested = body.events_ingested.unwrap_or(i64::MAX);
            Verdict::Delivered { short: usize::try_from(ingested).is_ok_and(|ingested| ingested < count) }
        }
        (200..=299, _) if planted("a portal's page delivers") => Verdict::Delivered { short: false },
        (200..=299, _) => Verdict::Fault { at_least, reason: NOT_AMPLITUDE },
        (400, Some(body)) => judge_400(&body, count, at_least),
        (413, _) => Verdict::TooLarge,
        (429, Some(body)) => judge_429(&body, count, at_least),
        (408 | 429 | 500..=599, _) => Verdict::Retry { at_least },
        (401 | 403, _) => Verdict::Fault { at_least, reason: REFUSED },
        _ => Verdict::Fault { at_least, reason: WRONG_ADDRESS },
    }
}

fn judge_400(body: &Body, count: usize, at_least: Option<Duration>) -> Verdict {
    // The message goes on with the key itself, which must not spread.
    if body.error.starts_with("Invalid API key") {
        return Verdict::Fault { at_least, reason: INVALID_KEY };
    }
    if body.missing_field.is_some() {
        return Verdict::Fault { at_least, reason: MISSING_FIELD };
    }
    let mut rejected = Vec::new();
    let mut reject = |fields: &[(String, Vec<i64>)], reason: fn(String) -> Rejection| {
        for (field, indexes) in fields {
            rejected.extend(valid(indexes, count).map(|index| (index, reason(field.clone()))));
        }
    };
    reject(&body.invalid_fields, Rejection::InvalidField);
    reject(&body.missing_fields, Rejection::MissingField);
    reject(&body.id_lengths, Rejection::IdLength);
    rejected.extend(valid(&body.silenced_events, count).map(|index| (index, Rejection::Silenced)));

    let mut throttled = waits(body, count, at_least);
    if !throttled.is_empty() {
        throttled.rejected = rejected;
        return Verdict::Throttled(throttled);
    }
    if rejected.is_empty() { Verdict::Unexplained } else { Verdict::Rejected(rejected) }
}

fn judge_429(body: &Body, count: usize, at_least: Option<Duration>) -> Verdict {
    let throttled = waits(body, count, at_least);
    if throttled.is_empty() { Verdict::Retry { at_least } } else { Verdict::Throttled(throttled) }
}

fn waits(body: &Body, count: usize, at_least: Option<Duration>) -> Throttled {
    let ids = |throttled: &[String], quota: &[String]| {
        let wait = |names: &[String], wait| names.iter().map(|name| (id_hash(name), wait)).collect::<Vec<_>>();
        [wait(throttled, Wait::Throttle), wait(quota, Wait::DailyQuota)].concat()
    };
    Throttled {
        users: ids(&body.throttled_users, &body.quota_users),
        devices: ids(&body.throttled_devices, &body.quota_devices),
        events: valid(&body.throttled_events, count).collect(),
        rejected: Vec::new(),
        at_least,
    }
}

impl Throttled {
    fn is_empty(&self) -> bool {
        self.users.is_empty() && self.devices.is_empty() && self.events.is_empty()
    }
}

/// The indexes that point at an event of the request: a wrong one must not hit a neighbour.
fn valid(indexes: &[i64], count: usize) -> impl Iterator<Item = usize> {
    indexes.iter().filter_map(move |&index| usize::try_from(index).ok().filter(|index| *index < count))
}
