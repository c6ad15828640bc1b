//! How much an id may send: rates averaged over a recent window, and a quota of 24 hours.

use std::collections::{BTreeMap, HashMap, VecDeque};

use serde_json::{Map, Value, json};

use super::{check::ids, ingest::Endpoint};
use crate::limits;

/// Whether ids that send too much are throttled.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Throttle {
    /// Never.
    #[default]
    Off,
    /// As documented. HTTP V2 and Identify: 30 events a second for each user and each device, averaged from when the id was first seen,
    /// over one second at least and 30 at most. Batch: 1000 a second averaged over 30 seconds, and, for an id that was too fast once,
    /// 500,000 in 24 hours.
    Documented,
    /// Other numbers, for all endpoints; the events of 24 hours count from the first on.
    Limits {
        /// Events of one id in a second, averaged as on HTTP V2.
        per_second: u64,
        /// Events of one id in 24 hours.
        per_day: u64,
    },
}

/// What an endpoint allows one id.
#[derive(Clone, Copy, Debug)]
pub(super) struct Allowance {
    pub(super) per_second: u64,
    /// The shortest time to take an average over.
    least_ms: u64,
    per_day: Option<u64>,
    /// The events of a day count only once the id was too fast.
    only_spam_counts: bool,
}

impl Throttle {
    pub(super) fn allowance(self, endpoint: Endpoint) -> Option<Allowance> {
        let (per_second, least_ms, per_day) = match (self, endpoint) {
            (Self::Off, _) => return None,
            (Self::Documented, Endpoint::HttpV2) => (limits::HTTP_V2_EPS, 1000, None),
            (Self::Documented, Endpoint::Batch) => (limits::BATCH_EPS, WINDOW_MS, Some(limits::DAILY_QUOTA)),
            (Self::Limits { per_second, per_day }, _) => (per_second, 1000, Some(per_day)),
        };
        Some(Allowance { per_second, least_ms, per_day, only_spam_counts: self == Self::Documented })
    }
}

/// A user or a device: the two share no names.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) enum Id {
    User(String),
    Device(String),
}

const SECOND_MS: u64 = 1000;
const WINDOW_MS: u64 = limits::THROTTLE_WINDOW_SECS * SECOND_MS;
const HOUR_MS: u64 = 3_600_000;
const DAY_HOURS: u64 = 24;

/// What each id sent to each endpoint.
#[derive(Debug, Default)]
pub(super) struct Rates(HashMap<(Endpoint, Id), Rate>);

#[derive(Debug)]
struct Rate {
    first_ms: u64,
    seconds: VecDeque<(u64, u64)>,
    hours: VecDeque<(u64, u64)>,
    was_too_fast: bool,
}

impl Rates {
    /// Counts the events, or answers with the body of the 429 that refuses them all.
    pub(super) fn admit(&mut self, endpoint: Endpoint, allowance: Allowance, events: &[Value], now_ms: u64) -> Result<(), Value> {
        let mut wanted: BTreeMap<Id, u64> = BTreeMap::new();
        for id in events.iter().flat_map(ids) {
            *wanted.entry(id).or_default() += 1;
        }
        let mut over = Over::default();
        for (id, more) in &wanted {
            let rate = self.of(endpoint, id, now_ms);
            if let Some(day) = rate.day_above(allowance, *more, now_ms) {
                over.quota.insert(id.clone(), day);
            } else if let Some(per_second) = rate.second_above(allowance, *more, now_ms) {
                rate.was_too_fast = true;
                over.rate.insert(id.clone(), per_second);
            }
        }
        if !over.rate.is_empty() || !over.quota.is_empty() {
            return Err(over.answer(endpoint, allowance, events));
        }
        for (id, more) in &wanted {
            self.of(endpoint, id, now_ms).add(allowance, *more, now_ms);
        }
        Ok(())
    }

    fn of(&mut self, endpoint: Endpoint, id: &Id, now_ms: u64) -> &mut Rate {
        self.0.entry((endpoint, id.clone())).or_insert_with(|| Rate {
            first_ms: now_ms,
            seconds: VecDeque::new(),
            hours: VecDeque::new(),
            was_too_fast: false,
        })
    }
}

impl Rate {
    /// Events a second with `more` of them, where that is too many.
    fn second_above(&mut self, allowance: Allowance, more: u64, now_ms: u64) -> Option<u64> {
        drop_before(&mut self.seconds, now_ms.saturating_sub(WINDOW_MS) / SECOND_MS);
        let count = more + self.seconds.iter().map(|(_, count)| count).sum::<u64>();
        let averaged_ms = now_ms.saturating_sub(self.first_ms).clamp(allowance.least_ms, WINDOW_MS);
        let per_second = (count * SECOND_MS).div_ceil(averaged_ms);
        (per_second > allowance.per_second).then_some(per_second)
    }

    /// Events in 24 hours with `more` of them, where that is too many.
    fn day_above(&mut self, allowance: Allowance, more: u64, now_ms: u64) -> Option<u64> {
        if !self.counts_days(allowance) {
            return None;
        }
        drop_before(&mut self.hours, (now_ms / HOUR_MS).saturating_sub(DAY_HOURS - 1));
        let count = more + self.hours.iter().map(|(_, count)| count).sum::<u64>();
        allowance.per_day.is_some_and(|per_day| count > per_day).then_some(count)
    }

    fn counts_days(&self, allowance: Allowance) -> bool {
        allowance.per_day.is_some() && (self.was_too_fast || !allowance.only_spam_counts)
    }

    fn add(&mut self, allowance: Allowance, more: u64, now_ms: u64) {
        add_to(&mut self.seconds, now_ms / SECOND_MS, more);
        if self.counts_days(allowance) {
            add_to(&mut self.hours, now_ms / HOUR_MS, more);
        }
    }
}

fn drop_before(buckets: &mut VecDeque<(u64, u64)>, first: u64) {
    while buckets.front().is_some_and(|(at, _)| *at < first) {
        buckets.pop_front();
    }
}

fn add_to(buckets: &mut VecDeque<(u64, u64)>, at: u64, more: u64) {
    match buckets.back_mut() {
        Some((last, count)) if *last >= at => *count += more,
        _ => buckets.push_back((at, more)),
    }
}

/// The ids that sent too much, each with how much.
#[derive(Debug, Default)]
struct Over {
    rate: BTreeMap<Id, u64>,
    quota: BTreeMap<Id, u64>,
}

impl Over {
    fn answer(&self, endpoint: Endpoint, allowance: Allowance, events: &[Value]) -> Value {
        let is_over = |event: &Value| ids(event).iter().any(|id| self.rate.contains_key(id) || self.quota.contains_key(id));
        let indexes: Vec<usize> = (0..events.len()).filter(|index| is_over(&events[*index])).collect();
        let (throttled_users, throttled_devices) = by_kind(&self.rate);
        let mut answer = json!({
            "code": 429, "error": "Too many requests for some devices and users", "eps_threshold": allowance.per_second,
            "throttled_users": throttled_users, "throttled_devices": throttled_devices, "throttled_events": indexes,
        });
        // HTTP V2 documents no quota.
        if endpoint == Endpoint::Batch || !self.quota.is_empty() {
            let (users, devices) = by_kind(&self.quota);
            answer["exceeded_daily_quota_users"] = users.into();
            answer["exceeded_daily_quota_devices"] = devices.into();
        }
        answer
    }
}

fn by_kind(counts: &BTreeMap<Id, u64>) -> (Map<String, Value>, Map<String, Value>) {
    let (mut users, mut devices) = (Map::new(), Map::new());
    for (id, count) in counts {
        match id {
            Id::User(id) => users.insert(id.clone(), (*count).into()),
            Id::Device(id) => devices.insert(id.clone(), (*count).into()),
        };
    }
    (users, devices)
}

#[cfg(test)]
mod tests {
    use super::*;

    const START_MS: u64 = 1_760_000_000_000;

    fn events(count: usize) -> Vec<Value> {
        vec![json!({"event_type": "a", "device_id": "device-1"}); count]
    }

    /// What an endpoint, throttled as documented, says to so many events of one device at each time.
    fn refusals(endpoint: Endpoint, sent: &[(u64, usize)]) -> Vec<Option<u64>> {
        let allowance = Throttle::Documented.allowance(endpoint).expect("it is on");
        let mut rates = Rates::default();
        sent.iter()
            .map(|(after_ms, count)| {
                let refusal = rates.admit(endpoint, allowance, &events(*count), START_MS + after_ms).err()?;
                refusal["throttled_devices"]["device-1"].as_u64()
            })
            .collect()
    }

    #[test]
    fn http_v2_averages_from_when_an_id_was_first_seen() {
        let sent = [(0, 31), (0, 30), (0, 1), (999, 1), (2000, 30), (2000, 1), (60_000, 900), (60_000, 1), (91_000, 900)];
        let refused = [Some(31), None, Some(31), Some(31), None, Some(31), None, Some(31), None];
        assert_eq!(refusals(Endpoint::HttpV2, &sent), refused);
    }

    #[test]
    fn batch_averages_over_thirty_seconds() {
        let sent = [(0, 30_000), (0, 1), (29_000, 1), (31_000, 2000), (31_000, 28_001)];
        assert_eq!(refusals(Endpoint::Batch, &sent), [None, Some(1001), Some(1001), None, Some(1001)]);
    }

    #[test]
    fn the_quota_of_a_day_counts_once_an_id_was_too_fast() {
        let allowance = Throttle::Documented.allowance(Endpoint::Batch).expect("it is on");
        let mut rates = Rates::default();
        let mut sent_ms = START_MS;
        let mut send = |count| {
            sent_ms += 2 * WINDOW_MS;
            rates.admit(Endpoint::Batch, allowance, &events(count), sent_ms)
        };
        for _ in 0..20 {
            assert_eq!(send(30_000), Ok(()), "nothing counts yet");
        }
        assert!(send(30_001).is_err_and(|answer| answer["throttled_devices"]["device-1"] == 1001));
        for _ in 0..16 {
            assert_eq!(send(30_000), Ok(()));
        }
        let answer = send(30_000).expect_err("510,000 in a day");
        assert_eq!(answer["exceeded_daily_quota_devices"], json!({"device-1": 510_000}));
        assert_eq!((&answer["throttled_devices"], &answer["throttled_events"][29_999]), (&json!({}), &json!(29_999)));
        sent_ms += 24 * HOUR_MS;
        assert_eq!(rates.admit(Endpoint::Batch, allowance, &events(30_000), sent_ms), Ok(()), "a day later");
    }
}
