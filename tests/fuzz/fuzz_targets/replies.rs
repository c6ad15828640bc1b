//! Any reply to a request. The first line holds its status and how many events the request had, the second its `Retry-After`, the rest is
//! the body.

#![no_main]

use std::collections::HashSet;

use amplitude_sdk::fuzzing::{Judged, judge, retry_after_of};
use libfuzzer_sys::fuzz_target;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let mut parts = text.splitn(3, '\n');
    let (head, retry_after, body) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""), parts.next().unwrap_or(""));
    let mut numbers = head.split(' ').map(|number| number.parse().ok());
    let (Some(Some(status)), Some(Some(count))) = (numbers.next(), numbers.next()) else { return };
    // A request holds one event or more, and the documentation's bound is 2000.
    if (100..1000).contains(&status) && (1..=2000).contains(&count) {
        check(status, retry_after, body, usize::from(count));
    }
});

fn check(status: u16, retry_after: &str, body: &str, count: usize) {
    let asked = retry_after_of(retry_after);
    let judged = judge(status, retry_after, body, count);
    match &judged {
        Judged::Delivered { short } => {
            let ingested = confirmed(status, body).expect("a body that is not Amplitude's delivers nothing");
            assert_eq!(*short, ingested.is_some_and(|ingested| (0..count as i64).contains(&ingested)));
        }
        Judged::Named { ids, silenced, waiting, rejected, at_least } => {
            assert!(matches!(status, 400 | 429) && code(body) == Some(i64::from(status)));
            assert_eq!(*at_least, asked);
            assert!(ids + silenced + waiting.len() + rejected.len() > 0, "it names nobody");
            // Two fields of throttled ids, two of ids beyond their quotas.
            assert!(*ids <= 4 * count && *silenced <= count && waiting.len() <= count);
            assert!(status == 400 || rejected.len() + silenced == 0, "a 429 refuses for ever");
            let unique: HashSet<_> = rejected.iter().map(|(index, _)| index).collect();
            assert_eq!(unique.len(), rejected.len(), "an event is rejected twice");
            assert!(rejected.iter().all(|(index, field)| *index < count && field.chars().count() <= 100));
            assert!(waiting.iter().all(|index| *index < count));
        }
        Judged::TooLarge => assert_eq!(status, 413),
        Judged::Unexplained => assert_eq!((status, code(body)), (400, Some(400))),
        Judged::Later { at_least } => assert_eq!(*at_least, asked),
    }
    if confirmed(status, body).is_some() && is_plain(body) {
        assert!(matches!(judged, Judged::Delivered { .. }), "an honest answer is not believed");
    }
}

/// Whether a body holds nothing but whole numbers of 64 bits under names of an answer that confirms. What it has beside may be of a shape that
/// it must not have.
fn is_plain(body: &str) -> bool {
    let known = ["code", "events_ingested", "payload_size_bytes", "server_upload_time"];
    let is_known = |(key, value): &(String, Box<RawValue>)| known.contains(&&**key) && value.get().parse::<i64>().is_ok();
    pairs(body).is_some_and(|pairs| pairs.iter().all(is_known))
}

/// How many events an answer of Amplitude's confirms, if it says so; `None` where it is none of Amplitude's.
fn confirmed(status: u16, body: &str) -> Option<Option<i64>> {
    let ingested = integer(body, "events_ingested");
    let is_honest = (200..300).contains(&status) && code(body) == Some(i64::from(status));
    (is_honest && (ingested.is_some() || integer(body, "server_upload_time").is_some())).then_some(ingested)
}

fn code(body: &str) -> Option<i64> {
    integer(body, "code")
}

/// The whole number under a key, as serde_json reads the body. Of several the last counts, and null is none.
fn integer(body: &str, key: &str) -> Option<i64> {
    let values = pairs(body)?;
    let last = values.iter().rev().find(|(name, value)| name == key && value.get() != "null")?;
    last.1.get().parse().ok()
}

/// The body's keys and values in their order, where it is a JSON object.
fn pairs(body: &str) -> Option<Vec<(String, Box<RawValue>)>> {
    struct Pairs;
    impl<'de> Visitor<'de> for Pairs {
        type Value = Vec<(String, Box<RawValue>)>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut pairs = Vec::new();
            while let Some(pair) = map.next_entry()? {
                pairs.push(pair);
            }
            Ok(pairs)
        }
    }
    let mut reader = serde_json::Deserializer::from_str(body);
    let pairs = reader.deserialize_map(Pairs).ok()?;
    reader.end().ok().map(|()| pairs)
}
