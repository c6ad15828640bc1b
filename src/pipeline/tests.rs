//! The invariants, checked after every step of random schedules, and the table of replies.

use std::{
    cell::Cell,
    collections::{HashMap, HashSet},
    time::Duration,
};

use proptest::{
    prelude::*,
    test_runner::{TestError, TestRunner},
};

use super::{
    verdict::{Verdict, judge},
    *,
};

const OK: &str = r#"{"code":200,"events_ingested":1,"server_upload_time":1}"#;

fn config() -> PipelineConfig {
    PipelineConfig {
        batch_events: 5,
        batch_bytes: 1000,
        envelope_bytes: 100,
        flush_interval_ms: 50,
        flush_events: 3,
        flush_bytes: 500,
        queue_bytes: 3000,
        max_in_flight: 2,
        backoff: Backoff::default(),
    }
}

fn reply(status: u16, body: &str) -> Reply {
    Reply { status, retry_after: None, body: body.as_bytes().to_vec() }
}

/// The replies of a hostile network, by number.
fn answer(pick: u8, size: usize) -> Result<Reply, Failure> {
    let last = size - 1;
    Ok(match pick % 14 {
        0 | 1 => reply(200, OK),
        2 => reply(200, "<html>log in</html>"),
        3 => reply(400, &format!(r#"{{"code":400,"events_with_invalid_fields":{{"time":[0,{last},99,-1]}}}}"#)),
        4 => reply(400, r#"{"code":400,"error":"Invalid event JSON"}"#),
        5 => reply(400, r#"{"code":400,"error":"Invalid API key: x"}"#),
        6 => reply(413, ""),
        7 => reply(429, r#"{"code":429,"throttled_devices":{"d1":31},"throttled_users":{"u2":31},"throttled_events":[0]}"#),
        8 => reply(429, r#"{"code":429,"exceeded_daily_quota_devices":{"d0":1}}"#),
        9 => reply(503, "<html>"),
        10 => return Err(Failure::Timeout),
        11 => return Err(Failure::Connect),
        12 => reply(403, ""),
        _ => reply(429, ""),
    })
}

/// A driver whose store and network are a model that knows what must be true.
struct World {
    pipeline: Pipeline,
    now: Now,
    /// Lane and size of every record.
    records: HashMap<RecordId, (u64, u32)>,
    settled: HashSet<RecordId>,
    /// The last record of each lane that reached an end, by its number.
    last_settled: HashMap<u64, RecordId>,
    in_flight: HashMap<BatchId, Vec<RecordId>>,
    loaded: HashMap<BatchId, Vec<RecordId>>,
    /// What replies confirmed, and what they named as invalid.
    confirmed: HashSet<RecordId>,
    guilty: HashSet<RecordId>,
}

impl World {
    fn new() -> Self {
        let now = Now { mono_ms: 1000, unix_ms: 1_760_000_000_000 };
        let pipeline = Pipeline::new(config(), 7);
        Self {
            pipeline,
            now,
            records: HashMap::new(),
            settled: HashSet::new(),
            last_settled: HashMap::new(),
            in_flight: HashMap::new(),
            loaded: HashMap::new(),
            confirmed: HashSet::new(),
            guilty: HashSet::new(),
        }
    }

    fn track(&mut self, user: u8, device: u8, bytes: u32) {
        let hash = |kind: &str, number: u8| lanes::id_hash(&format!("{kind}{number}"));
        let device = (device < 4).then(|| hash("d", device));
        let header = Header { user: Some(hash("u", user % 3)), device, bytes };
        if let Ok(id) = self.pipeline.offer(header) {
            self.records.insert(id, (device.unwrap_or(hash("u", user % 3)), bytes));
            self.pipeline.stored(id, self.now);
        }
        self.obey();
    }

    fn pass(&mut self, ms: u64) {
        self.now.mono_ms += ms;
        self.now.unix_ms += ms;
        self.obey();
    }

    fn answer(&mut self, pick: u8, which: usize) {
        let mut batches: Vec<_> = self.in_flight.keys().copied().collect();
        batches.sort_unstable();
        if let Some(batch) = batches.get(which % batches.len().max(1)).copied() {
            let ids = self.in_flight.remove(&batch).expect("one of them");
            match pick % 14 {
                0 | 1 => self.confirmed.extend(&ids),
                3 => self.guilty.extend([ids[0], ids[ids.len() - 1]]),
                _ => {}
            }
            self.pipeline.handle(Input::Reply { batch, reply: answer(pick, ids.len()) }, self.now);
            // An answer that comes twice changes nothing.
            self.pipeline.handle(Input::Reply { batch, reply: Ok(reply(200, OK)) }, self.now);
        }
        self.obey();
    }

    fn obey(&mut self) {
        while let Some(action) = self.pipeline.next(self.now) {
            match action {
                Action::Load { batch, ids, bytes } => {
                    let sum: u32 = ids.iter().map(|id| self.records[id].1).sum();
                    assert_eq!(bytes, config().envelope_bytes + sum as usize + ids.len() - 1);
                    assert!(bytes <= config().batch_bytes && ids.len() <= config().batch_events && !ids.is_empty());
                    self.loaded.insert(batch, ids);
                    self.pipeline.handle(Input::Loaded { batch }, self.now);
                }
                Action::Send { batch } => {
                    let ids = self.loaded.remove(&batch).expect("sent only what was loaded");
                    for (index, id) in ids.iter().enumerate() {
                        let lane = self.records[id].0;
                        assert!(!self.settled.contains(id), "sent after its end");
                        assert!(self.last_settled.get(&lane).is_none_or(|last| last < id), "overtaken on its lane");
                        assert!(
                            ids[..index].iter().all(|before| self.records[before].0 != lane || before < id),
                            "order in a request"
                        );
                        for other in self.in_flight.values().flatten() {
                            assert_ne!(self.records[other].0, lane, "two requests share a lane");
                        }
                    }
                    self.in_flight.insert(batch, ids);
                    assert!(self.in_flight.len() <= config().max_in_flight);
                }
                Action::Settle { ids, outcome } => {
                    for id in ids {
                        assert!(self.settled.insert(id), "settled twice");
                        assert!(outcome != Outcome::Delivered || self.confirmed.contains(&id), "nobody confirmed it");
                        let invalid = matches!(outcome, Outcome::Rejected(Rejection::InvalidField(_)));
                        assert!(!invalid || self.guilty.contains(&id), "a neighbour pays");
                        if outcome == Outcome::Delivered {
                            self.last_settled.insert(self.records[&id].0, id);
                        }
                    }
                }
                Action::Paused { .. } => {}
            }
        }
        self.check();
    }

    fn check(&self) {
        let counts = self.pipeline.counts();
        assert_eq!(counts.accepted, counts.delivered + counts.rejected + counts.dropped + counts.unknown + counts.pending);
        assert_eq!(counts.accepted, self.records.len() as u64);
        assert_eq!(counts.pending, (self.records.len() - self.settled.len()) as u64);
        let bytes: u64 =
            self.records.iter().filter(|(id, _)| !self.settled.contains(id)).map(|(_, (_, bytes))| u64::from(*bytes)).sum();
        assert_eq!(counts.pending_bytes, bytes);
        assert!(bytes <= config().queue_bytes as u64);
    }

    /// A kind network delivers all that is left, or the pipeline has forgotten a record or a wake-up.
    fn finish(&mut self) {
        self.pipeline.handle(Input::Flush, self.now);
        for _ in 0..2000 {
            self.answer(0, 0);
            if self.pipeline.counts().pending == 0 {
                return;
            }
            if self.in_flight.is_empty() {
                let at = self.pipeline.wake_at(self.now);
                assert_ne!(at, u64::MAX, "something is pending and nothing is due");
                self.pass(at.saturating_sub(self.now.mono_ms).max(1));
            }
        }
        panic!("{:?}", self.pipeline);
    }
}

type Step = (u8, u8, u8, u32);

fn schedules() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec((0u8..4, any::<u8>(), any::<u8>(), 1u32..300), 1..120)
}

fn run(steps: Vec<Step>) {
    let mut world = World::new();
    for (kind, a, b, n) in steps {
        match kind {
            0 | 1 => world.track(a, b % 5, n),
            2 => world.answer(a, usize::from(b)),
            _ => world.pass(u64::from(n) * u64::from(a)),
        }
    }
    world.finish();
}

thread_local! {
    static PLANTED: Cell<&'static str> = const { Cell::new("") };
}

/// Whether this thread's test has switched that break on.
pub(super) fn planted(bug: &str) -> bool {
    PLANTED.get() == bug
}

#[test]
fn the_invariants_find_every_planted_bug() {
    let bugs = [
        "an index off by one",
        "a lease is lost",
        "the later half is forgotten",
        "a comma is not counted",
        "a batch of one too many",
        "the queue has no bound",
        "a later event overtakes",
        "a byte is counted twice",
        "a lane is not held",
        "a lane is not given back",
        "a parked event is forgotten",
        "a portal's page delivers",
    ];
    for bug in bugs {
        PLANTED.set(bug);
        let config = ProptestConfig { cases: 2000, max_shrink_iters: 0, failure_persistence: None, ..ProptestConfig::default() };
        let result = TestRunner::new(config).run(&schedules(), |steps| {
            run(steps);
            Ok(())
        });
        PLANTED.set("");
        assert!(matches!(result, Err(TestError::Fail(..))), "nothing noticed: {bug}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn every_event_has_one_end_in_order_and_within_bounds(steps in schedules()) {
        run(steps);
    }

    #[test]
    fn no_body_makes_the_judge_panic_or_deliver(status in 200u16..600, body in prop::collection::vec(any::<u8>(), 0..200)) {
        let verdict = judge(&Reply { status, retry_after: None, body }, 3);
        let delivered = matches!(verdict, Verdict::Delivered { .. });
        prop_assert!(!delivered);
    }
}

#[test]
fn abandoning_settles_all_and_late_answers_change_nothing() {
    let mut world = World::new();
    (0..12).for_each(|index| world.track(index, index % 5, 100));
    assert!(!world.in_flight.is_empty());
    world.pipeline.handle(Input::Abandon(DropReason::Shutdown), world.now);
    world.obey();
    assert_eq!(world.pipeline.counts().dropped_for(DropReason::Shutdown), 12);
    world.answer(0, 0);
    assert_eq!(world.pipeline.counts().delivered, 0);
}

#[test]
fn an_event_of_unknown_fate_is_not_sent_after_seven_days() {
    let mut world = World::new();
    world.track(0, 0, 100);
    world.pass(60);
    let (batch, _) = world.in_flight.drain().next().expect("it was sent");
    world.pipeline.handle(Input::Reply { batch, reply: Err(Failure::Timeout) }, world.now);
    world.pass(7 * 86_400_000);
    assert_eq!((world.pipeline.counts().unknown, world.in_flight.len()), (1, 0));
}

#[test]
fn the_table_of_replies() {
    let of = |status, body: &str| judge(&reply(status, body), 2);
    assert_eq!(of(200, OK), Verdict::Delivered { short: true });
    assert_eq!(of(200, r#"{"code":200,"events_ingested":2}"#), Verdict::Delivered { short: false });
    for (status, body) in
        [(200, "success"), (200, "{}"), (204, ""), (200, r#"{"code":500}"#), (200, "<html>"), (302, ""), (404, "")]
    {
        assert!(matches!(of(status, body), Verdict::Fault { .. }), "{status} {body}");
    }
    assert!(matches!(of(400, r#"{"code":400,"missing_field":"api_key"}"#), Verdict::Fault { .. }));
    assert!(matches!(of(401, ""), Verdict::Fault { .. }));
    assert_eq!(of(400, "<h1>400 Bad Request</h1>"), of(400, "<h1>Bad</h1>"));
    assert_eq!(of(400, r#"{"code":400,"error":"Invalid event JSON"}"#), Verdict::Unexplained);
    assert_eq!(
        of(400, r#"{"code":400,"events_with_missing_fields":{"event_type":[1,2,-1]}}"#),
        Verdict::Rejected(vec![(1, Rejection::MissingField("event_type".to_owned()))])
    );
    assert_eq!(of(413, "anything"), Verdict::TooLarge);
    assert_eq!(of(408, ""), Verdict::Retry { at_least: None });
    let wait = Some(Duration::from_secs(9));
    assert_eq!(judge(&Reply { retry_after: wait, ..reply(503, "") }, 2), Verdict::Retry { at_least: wait });
}
