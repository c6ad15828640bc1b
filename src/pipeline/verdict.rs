//! `judge`: what a reply says about each event of a request. Pure; one arm for each row of the reply table.
//!
//! Source of the table: "HTTP V2 API" and "Batch Event Upload API", amplitude.com/docs, read 2026-03-13. Status and body must agree; a body
//! that is not Amplitude's proves neither delivery nor a fault of an event, so that a portal or proxy costs time and never data.

use std::{mem, time::Duration};

use super::{
    lanes::id_hash,
    outcome::Rejection,
    planted,
    reply::{self, Body, Part},
};
use crate::limits;

/// An answer that came back whole.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) body: String,
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
    /// Amplitude has all of them; `short` says that it counted fewer, `server_ms` what its clock showed.
    Delivered { short: bool, server_ms: Option<i64> },
    /// Some events are refused or have to wait; the others go again at once.
    Named(Named),
    /// The request is too large: halve it.
    TooLarge,
    /// Refused without saying which: halve it to find the guilty one.
    Unexplained,
    /// All go again after a back-off, at least as long as the server asks.
    Retry { at_least: Option<Duration> },
    /// As `Retry`, because of the configuration or something between: the owner should hear of it. `halve`: one event's content may be
    /// what it stumbles over, so that the others must get their chance.
    Fault { at_least: Option<Duration>, reason: &'static str, halve: bool },
}

/// Whom a 400 or a 429 is about: ids by their hashes, events by their indexes, none of which is out of bounds.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Named {
    /// Users and devices that wait.
    pub(crate) ids: Vec<(u64, Wait)>,
    /// Events that wait.
    pub(crate) events: Vec<usize>,
    /// Devices whose events are refused, where the reply does not say which those are.
    pub(crate) silenced: Vec<u64>,
    /// Events that are refused, each once.
    pub(crate) rejected: Vec<(usize, Rejection)>,
    pub(crate) at_least: Option<Duration>,
    /// How many events of an id the server takes in a window, 1 or more.
    pub(crate) window: usize,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Wait {
    Throttle,
    DailyQuota,
}

impl Wait {
    /// How long, where the server does not ask for more: documented for throttled ids, and a second for servers that count by the second, to
    /// whom the time is not over before; quotas are counted by the hour.
    pub(crate) const fn secs(self) -> u64 {
        match self {
            Self::Throttle => limits::THROTTLE_WAIT_SECS + 1,
            Self::DailyQuota => 3600,
        }
    }
}

const NOT_AMPLITUDE: &str = "an answer with status 2xx is not Amplitude's; is there a proxy or a login page in between?";
pub(crate) const INVALID_KEY: &str = "the server does not know the API key; is it mistyped, or of the other region?";
pub(crate) const MISSING_FIELD: &str = "the server misses a field of the request itself, such as the API key";
const REFUSED: &str = "the server or something in between refuses the requests";
const CHANGED: &str = "the server cannot read the requests; does a proxy in between change them?";
pub(crate) const WRONG_ADDRESS: &str = "the server has nothing at this address; is the server URL right?";

/// Whether the server has certainly not taken the events, because it refused them or never saw them: then that attempt does not count.
pub(crate) fn is_untouched(reply: &Result<Reply, Failure>) -> bool {
    match reply {
        Ok(reply) => matches!(reply.status, 400..=499 | 503) && reply.status != 408,
        Err(failure) => *failure == Failure::Connect,
    }
}

/// Judges a reply to a request of `count` events.
pub(crate) fn judge(reply: &Reply, count: usize) -> Verdict {
    let at_least = reply.retry_after;
    let body = Body::read(&reply.body).filter(|body| body.integer(reply::CODE) == Some(i64::from(reply.status)));
    match (reply.status, body) {
        (200..=299, Some(body)) if body.has(reply::EVENTS_INGESTED) || body.has(reply::SERVER_UPLOAD_TIME) => {
            let ingested = body.integer(reply::EVENTS_INGESTED).unwrap_or(i64::MAX);
            let short = usize::try_from(ingested).is_ok_and(|ingested| ingested < count);
            Verdict::Delivered { short, server_ms: body.integer(reply::SERVER_UPLOAD_TIME) }
        }
        (200..=299, _) if planted("a portal's page delivers") => Verdict::Delivered { short: false, server_ms: None },
        (200..=299, _) => fault(at_least, NOT_AMPLITUDE, false),
        (400, Some(body)) => judge_400(&body, count, at_least),
        (413, _) => Verdict::TooLarge,
        (429, Some(body)) => judge_429(&body, count, at_least),
        (408 | 429 | 500..=599, _) => Verdict::Retry { at_least },
        (300..=399 | 404 | 405 | 410, _) => fault(at_least, WRONG_ADDRESS, false),
        (401 | 407, _) => fault(at_least, REFUSED, false),
        // A firewall's page, or Amplitude's 403 on behalf of one: it may dislike all requests or what one event holds.
        _ => fault(at_least, REFUSED, true),
    }
}

fn fault(at_least: Option<Duration>, reason: &'static str, halve: bool) -> Verdict {
    Verdict::Fault { at_least, reason, halve }
}

fn judge_400(body: &Body<'_>, count: usize, at_least: Option<Duration>) -> Verdict {
    // What concerns the request and no event. The message of the first goes on with the key itself, which must not spread.
    for (error, reason, halve) in [
        ("Invalid API key", INVALID_KEY, false),
        ("Invalid request path", WRONG_ADDRESS, false),
        ("Missing request body", CHANGED, false),
        ("Invalid JSON request body", CHANGED, true),
    ] {
        if body.text(reply::ERROR).starts_with(error) {
            return fault(at_least, reason, halve);
        }
    }
    if body.has(reply::MISSING_FIELD) {
        return fault(at_least, MISSING_FIELD, false);
    }
    let mut named = waits(body, count, at_least);
    let mut known = vec![false; count];
    let mut reject = |field, reason: fn(String) -> Rejection| {
        let mut why = reason(String::new());
        body.each(field, &mut |part| match part {
            // It becomes the reason of many events.
            Part::Name(name) => why = reason(name.chars().take(100).collect()),
            // Of several reasons for an event the first counts, however long a list is.
            Part::Number(index) => {
                if let Some(index) = valid(index, count)
                    && !mem::replace(&mut known[index], true)
                {
                    named.rejected.push((index, why.clone()));
                }
            }
        });
    };
    reject(reply::INVALID_FIELDS, Rejection::InvalidField);
    reject(reply::MISSING_FIELDS, Rejection::MissingField);
    reject(reply::ID_LENGTHS, Rejection::IdLength);
    reject(reply::SILENCED_EVENTS, |_| Rejection::Silenced);

    if named.rejected.is_empty() {
        ids(body, reply::SILENCED_DEVICES, count, &mut |id| named.silenced.push(id));
    }
    if named.is_empty() { Verdict::Unexplained } else { Verdict::Named(named) }
}

fn judge_429(body: &Body<'_>, count: usize, at_least: Option<Duration>) -> Verdict {
    let named = waits(body, count, at_least);
    if named.is_empty() { Verdict::Retry { at_least } } else { Verdict::Named(named) }
}

fn waits(body: &Body<'_>, count: usize, at_least: Option<Duration>) -> Named {
    let eps =
        body.integer(reply::EPS_THRESHOLD).and_then(|eps| usize::try_from(eps).ok()).unwrap_or(limits::HTTP_V2_EPS as usize);
    let window = eps.saturating_mul(limits::THROTTLE_WINDOW_SECS as usize).max(1);
    let mut named = Named { at_least, window, ..Named::default() };
    for field in reply::THROTTLED_USERS..=reply::QUOTA_DEVICES {
        let wait = if field < reply::QUOTA_USERS { Wait::Throttle } else { Wait::DailyQuota };
        ids(body, field, count, &mut |id| named.ids.push((id, wait)));
    }
    body.each(reply::THROTTLED_EVENTS, &mut |part| {
        if let Part::Number(index) = part
            && named.events.len() < count
        {
            named.events.extend(valid(index, count));
        }
    });
    named
}

/// Tells the hashes of a field's ids. No honest reply names more ids than the request has events.
fn ids(body: &Body<'_>, field: usize, count: usize, tell: &mut dyn FnMut(u64)) {
    let mut left = count;
    body.each(field, &mut |part| {
        if let Part::Name(name) = part
            && left > 0
        {
            left -= 1;
            tell(id_hash(name));
        }
    });
}

impl Named {
    fn is_empty(&self) -> bool {
        self.ids.len() + self.silenced.len() + self.events.len() + self.rejected.len() == 0
    }
}

/// An index that points at an event of the request: a wrong one must not hit a neighbour.
fn valid(index: i64, count: usize) -> Option<usize> {
    usize::try_from(index).ok().filter(|index| *index < count)
}
