//! What other SDKs lose or hammer in hours, not shown here: rows of a table of their faults, in virtual time. Those that take no time are
//! in `tests/peers`.

use super::*;

const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;
const DAY_MS: u64 = 24 * HOUR_MS;
const PAGE: &str = "<h1>Sorry</h1>";

/// A pipeline with a store that answers at once, and its clock.
struct Run {
    pipeline: Pipeline,
    now: Now,
    loads: HashMap<BatchId, Vec<RecordId>>,
    requests: Vec<Vec<RecordId>>,
    outcomes: BTreeMap<RecordId, Outcome>,
    delivered: Vec<RecordId>,
}

impl Run {
    /// With so many events, each of a user and a device of its own.
    fn with_events(events: usize) -> Self {
        let bounds = Bounds { batch: 1_000_000, envelope: 100, queue: 64_000_000 };
        let mut run = Self {
            pipeline: Pipeline::new(PipelineConfig { batch_events: 2000, flush_events: 200, bounds, ..config() }, 7),
            now: Now { mono_ms: 1000, unix_ms: 1_760_000_000_000 },
            loads: HashMap::new(),
            requests: Vec::new(),
            outcomes: BTreeMap::new(),
            delivered: Vec::new(),
        };
        (0..events).for_each(|index| run.track(&format!("user-{index}"), &format!("device-{index}")));
        run
    }

    fn track(&mut self, user: &str, device: &str) {
        let header =
            Header { user: Some(id_hash(user)), device: Some(id_hash(device)), bytes: 100, tracked_secs: 0, first_attempt: 0 };
        let id = take(&mut self.pipeline, header);
        self.pipeline.stored(id, true, self.now);
    }

    /// Lets time pass, from one thing that is due to the next. Every request is answered at once.
    fn pass(&mut self, ms: u64, answer: impl Fn(&[RecordId]) -> Result<Reply, Failure>) {
        let until = self.now.mono_ms + ms;
        loop {
            while let Some(action) = self.pipeline.next(self.now) {
                match action {
                    Action::Load { batch, ids, .. } => {
                        self.loads.insert(batch, ids);
                        self.pipeline.handle(Input::Loaded { batch }, self.now);
                    }
                    Action::Send { batch } => {
                        let ids = self.loads.remove(&batch).expect("loaded before");
                        let reply = answer(&ids);
                        self.requests.push(ids);
                        assert!(self.requests.len() < 100_000, "a hot loop");
                        self.pipeline.handle(Input::Reply { batch, reply }, self.now);
                    }
                    Action::Settle { ids, outcome } => {
                        for id in ids {
                            if outcome == Outcome::Delivered {
                                self.delivered.push(id);
                            }
                            assert_eq!(self.outcomes.insert(id, outcome.clone()), None, "settled twice");
                        }
                    }
                    Action::NotAttempted { .. } | Action::Paused { .. } => {}
                }
            }
            if self.now.mono_ms >= until {
                return;
            }
            let step = self.pipeline.wake_at(self.now).min(until) - self.now.mono_ms;
            self.now.mono_ms += step;
            self.now.unix_ms += step;
        }
    }

    fn all_delivered(&self) -> bool {
        self.pipeline.counts().pending == 0 && self.delivered.len() as u64 == self.pipeline.counts().accepted
    }
}

fn confirm(_: &[RecordId]) -> Result<Reply, Failure> {
    Ok(reply(200, OK))
}

/// T1, and Swift's cap: after five tries in eight seconds (12 in two minutes, 6 in one) their events are dropped, or the SDK stays offline.
#[test]
fn t1_an_outage_of_a_day_loses_nothing_and_ends_within_two_minutes() {
    type Fault = fn(&[RecordId]) -> Result<Reply, Failure>;
    let faults: [(&str, Fault); 7] = [
        ("503", |_| Ok(reply(503, ""))),
        ("502 with a page", |_| Ok(reply(502, PAGE))),
        ("500", |_| Ok(reply(500, r#"{"code":500}"#))),
        ("refused", |_| Err(Failure::Connect)),
        ("no answer", |_| Err(Failure::Timeout)),
        ("reset", |_| Err(Failure::Interrupted)),
        ("400 with a page", |_| Ok(reply(400, PAGE))),
    ];
    for (name, fault) in faults {
        let mut run = Run::with_events(20);
        for minute in 0..24 * 60 {
            if minute % 10 == 0 {
                run.track("user-0", "device-0");
            }
            run.pass(MINUTE_MS, fault);
        }
        assert_eq!((run.outcomes.len(), run.pipeline.counts().pending), (0, 164), "{name}");
        run.pass(2 * MINUTE_MS, confirm);
        assert!(run.all_delivered(), "{name}: {:?}", run.pipeline.counts());
        let of_one_device = run.delivered.iter().filter(|id| **id == 1 || **id > 20);
        assert!(of_one_device.is_sorted(), "{name}: out of order");
    }
}

/// Go asks again without a pause or a count after a 4xx without indexes, Swift sent 800 requests and filled a cache of gigabytes.
#[test]
fn go_refusals_without_indexes_are_asked_again_twice_a_minute_at_most() {
    for (status, body) in [
        (401, PAGE),
        (404, PAGE),
        (407, PAGE),
        // What one event may be to blame for.
        (400, PAGE),
        (403, PAGE),
        (302, ""),
        (200, PAGE),
        (429, ""),
        (429, r#"{"code":429,"throttled_users":{"nobody":31}}"#),
        (400, r#"{"code":400,"error":"Invalid API key: x"}"#),
        (400, r#"{"code":400,"missing_field":"api_key"}"#),
    ] {
        let mut run = Run::with_events(20);
        run.pass(DAY_MS, |_| Ok(reply(status, body)));
        let most = 20 + DAY_MS / (MINUTE_MS / 2);
        assert!((run.requests.len() as u64) < most, "{status} {body}: {} requests", run.requests.len());
        assert_eq!(run.pipeline.counts().pending, 20, "{status} {body}");
        run.pass(2 * MINUTE_MS, confirm);
        assert!(run.all_delivered(), "{status} {body}");
    }
    // A 413 without Amplitude's body ends: each event is found to be too large alone.
    let mut run = Run::with_events(20);
    run.pass(DAY_MS, |_| Ok(reply(413, PAGE)));
    assert_eq!((run.requests.len(), run.pipeline.counts().rejected), (39, 20));
}

/// T20: tries are counted for each event, so that a good one is used up by what its neighbours do.
#[test]
fn t20_an_event_is_not_worn_out_by_its_neighbours() {
    for answer in [Ok(reply(500, "")), Ok(reply(403, PAGE)), Err(Failure::Interrupted)] {
        let mut run = Run::with_events(20);
        let poison = 7;
        let stumbles = |ids: &[RecordId]| if ids.contains(&poison) { answer.clone() } else { confirm(ids) };
        run.pass(15 * MINUTE_MS, stumbles);
        assert_eq!(run.delivered.len(), 19, "{answer:?}");
        // Later ones do not pay, either.
        run.track("user-0", "device-0");
        run.pass(15 * MINUTE_MS, stumbles);
        assert_eq!((run.delivered.len(), run.pipeline.counts().pending), (20, 1), "{answer:?}");
        // It is nobody's fault for good: when the server has been repaired, it goes.
        run.pass(5 * MINUTE_MS, confirm);
        assert!(run.all_delivered(), "{answer:?}");
    }
}

/// P9: Python sees a quota only where the reply also calls the user throttled, and otherwise tries until its cap. T10 beside it.
#[test]
fn p9_a_daily_quota_alone_parks_its_user_and_nobody_else() {
    let body = r#"{"code":429,"exceeded_daily_quota_users":{"user-3":500001}}"#;
    let over = |ids: &[RecordId]| if ids.contains(&4) { Ok(reply(429, body)) } else { confirm(ids) };
    let mut run = Run::with_events(20);
    run.pass(MINUTE_MS, over);
    assert_eq!((run.delivered.len(), run.requests.len()), (19, 2));
    // Hours of the same answer use up no tries and make no noise.
    run.pass(12 * HOUR_MS, over);
    assert_eq!(run.pipeline.counts().pending, 1);
    assert!(run.requests.len() <= 2 + 12, "{}", run.requests.len());
    run.pass(HOUR_MS, confirm);
    assert!(run.all_delivered());
}
