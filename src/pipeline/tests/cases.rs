//! Single schedules, each for one rule of the pipeline.

use super::*;

pub(super) type Requests = Vec<(BatchId, Vec<RecordId>)>;
pub(super) type Outcomes = Vec<(Vec<RecordId>, Outcome)>;

/// A pipeline, its clock, and no more than that: a case says itself what happens.
pub(super) struct Case {
    pub(super) pipeline: Pipeline,
    pub(super) now: Now,
}

impl Case {
    pub(super) fn new(config: PipelineConfig) -> Self {
        Self { pipeline: Pipeline::new(config, 7), now: Now { mono_ms: 1000, unix_ms: 1_760_000_000_000 } }
    }

    fn offer(&mut self, user: &str, device: &str) -> RecordId {
        let header =
            Header { user: Some(id_hash(user)), device: Some(id_hash(device)), bytes: 100, tracked_secs: 0, first_attempt: 0 };
        take(&mut self.pipeline, header)
    }

    /// Offered and stored.
    pub(super) fn track(&mut self, user: &str, device: &str) -> RecordId {
        let id = self.offer(user, device);
        self.pipeline.stored(id, true, self.now);
        id
    }

    pub(super) fn flush(&mut self) {
        flush(&mut self.pipeline, self.now);
    }

    pub(super) fn pass(&mut self, ms: u64) {
        self.now.mono_ms += ms;
        self.now.unix_ms += ms;
    }

    /// Performs what is due with a store that answers at once. Answers the requests that are sent and the outcomes.
    pub(super) fn obey(&mut self) -> (Requests, Outcomes) {
        let (mut loads, mut sends, mut settled) = (HashMap::new(), Vec::new(), Vec::new());
        while let Some(action) = self.pipeline.next(self.now) {
            match action {
                Action::Load { batch, ids, .. } => {
                    loads.insert(batch, ids);
                    self.pipeline.handle(Input::Loaded { batch }, self.now);
                }
                Action::Send { batch } => sends.push((batch, loads.remove(&batch).expect("loaded before"))),
                Action::Settle { ids, outcome } => settled.push((ids, outcome)),
                Action::NotAttempted { .. } | Action::Paused { .. } => {}
            }
        }
        (sends, settled)
    }

    /// The records of the one request that is due now.
    pub(super) fn sent(&mut self) -> (BatchId, Vec<RecordId>) {
        let (mut sends, _) = self.obey();
        assert_eq!(sends.len(), 1, "{sends:?}");
        sends.remove(0)
    }

    fn reply(&mut self, batch: BatchId, reply: Reply) {
        self.pipeline.handle(Input::Reply { batch, reply: Ok(reply) }, self.now);
    }
}

#[test]
fn a_failed_append_does_not_hold_up_the_records_behind_it() {
    let mut case = Case::new(config());
    let (first, second) = (case.offer("u", "d"), case.offer("u", "d"));
    case.pipeline.stored(second, true, case.now);
    case.pipeline.stored(first, false, case.now);
    case.flush();
    let (sends, settled) = case.obey();
    assert_eq!(settled, [(vec![first], Outcome::Dropped(DropReason::Store))]);
    assert_eq!(sends[0].1, [second]);
}

#[test]
fn a_429_that_names_nobody_of_the_request_waits_longer_each_time() {
    let mut case = Case::new(config());
    case.track("u", "d");
    case.flush();
    let mut waited = Vec::new();
    for _ in 0..4 {
        let (batch, _) = case.sent();
        case.reply(batch, reply(429, r#"{"code":429,"throttled_devices":{"somebody-else":31},"throttled_events":[7]}"#));
        assert!(case.obey().0.is_empty(), "sent again at once");
        let wait = case.pipeline.wake_at(case.now) - case.now.mono_ms;
        case.pass(wait);
        waited.push(wait);
    }
    assert!(waited[3] > waited[0] * 3, "{waited:?}");
}

#[test]
fn retry_after_holds_whatever_other_requests_meet() {
    let mut case = Case::new(PipelineConfig { flush_events: 1, ..config() });
    case.track("u1", "d1");
    let (asked_to_wait, first) = case.sent();
    case.track("u2", "d2");
    let (other, _) = case.sent();
    case.reply(asked_to_wait, Reply { retry_after: Some(Duration::from_secs(60)), ..reply(503, "") });
    case.reply(other, reply(200, OK));
    assert!(case.obey().0.is_empty());
    case.pass(59_000);
    assert!(case.obey().0.is_empty());
    case.pass(1000);
    assert_eq!(case.sent().1, first);
}

#[test]
fn a_throttled_users_other_devices_wait_though_they_were_under_way() {
    let mut case = Case::new(PipelineConfig { flush_events: 1, ..config() });
    case.track("u", "d1");
    let (first, _) = case.sent();
    case.track("u", "d2");
    let (second, _) = case.sent();
    case.reply(first, reply(429, r#"{"code":429,"eps_threshold":30,"throttled_users":{"u":31},"throttled_events":[0]}"#));
    case.reply(second, reply(503, ""));
    case.pass(30_999);
    assert!(case.obey().0.is_empty(), "a device of a throttled user was sent");
    case.pass(1);
    assert_eq!(case.sent().1.len(), 2);
}

#[test]
fn what_one_request_does_not_hold_has_waited_its_interval_too() {
    let mut case = Case::new(PipelineConfig { flush_events: 5, flush_bytes: usize::MAX, ..config() });
    for index in 0..4 {
        case.track("u", &index.to_string());
    }
    case.pass(50);
    let (batch, _) = case.sent();
    // Seven more: five go by size at once, and the two behind them when the interval of the first is over.
    for index in 10..17 {
        case.track("u", &index.to_string());
    }
    case.reply(batch, reply(200, OK));
    let (batch, ids) = case.sent();
    assert_eq!(ids.len(), 5);
    case.reply(batch, reply(200, OK));
    case.pass(50);
    assert_eq!(case.sent().1.len(), 2);

    // Six that are due together by time, one more than a request takes.
    let mut case = Case::new(PipelineConfig { flush_events: 100, flush_bytes: usize::MAX, ..config() });
    for index in 0..6 {
        case.track("u", &index.to_string());
    }
    case.pass(50);
    let (sends, _) = case.obey();
    assert_eq!(sends.iter().map(|(_, ids)| ids.len()).collect::<Vec<_>>(), [5, 1]);
}

#[test]
fn an_attempt_of_unknown_fate_is_remembered_through_attempts_that_certainly_failed() {
    let mut case = Case::new(config());
    let id = case.track("u", "d");
    case.flush();
    let (batch, _) = case.sent();
    case.pipeline.handle(Input::Reply { batch, reply: Err(Failure::Interrupted) }, case.now);
    // Within the same second.
    case.pass(250);
    let (batch, _) = case.sent();
    case.reply(batch, reply(503, ""));
    case.pass(4 * 86_400_000);
    let (batch, _) = case.sent();
    case.pipeline.handle(Input::Reply { batch, reply: Err(Failure::Connect) }, case.now);
    case.pass(3 * 86_400_000);
    let (sends, settled) = case.obey();
    assert_eq!((sends.len(), settled), (0, vec![(vec![id], Outcome::Unknown)]));
}

#[test]
fn a_clock_set_back_makes_no_event_younger() {
    let mut case = Case::new(config());
    let id = case.track("u", "d");
    case.flush();
    let (batch, _) = case.sent();
    case.pipeline.handle(Input::Reply { batch, reply: Err(Failure::Timeout) }, case.now);
    case.now.unix_ms -= 3 * 86_400_000;
    assert!(case.obey().0.is_empty());
    case.pass(7 * 86_400_000);
    let (sends, settled) = case.obey();
    assert_eq!((sends.len(), settled), (0, vec![(vec![id], Outcome::Unknown)]));
}

#[test]
fn a_silenced_device_is_named_as_the_reason() {
    let mut case = Case::new(config());
    let (first, second) = (case.track("u1", "d1"), case.track("u2", "d2"));
    case.flush();
    let (batch, _) = case.sent();
    case.reply(batch, reply(400, r#"{"code":400,"error":"Events silenced for device_id","silenced_devices":["d1"]}"#));
    let (sends, settled) = case.obey();
    assert_eq!(settled, [(vec![first], Outcome::Rejected(Rejection::Silenced))]);
    assert_eq!(sends[0].1, [second]);
}

#[test]
fn what_a_firewall_refuses_costs_the_others_nothing_and_is_kept() {
    let mut case = Case::new(PipelineConfig { flush_events: 100, ..config() });
    let ids: Vec<_> = (0..5).map(|index| case.track("u", &format!("d{index}"))).collect();
    let disliked = ids[3];
    case.flush();
    let (mut delivered, mut until) = (Vec::new(), case.now.mono_ms + 50_000);
    while case.now.mono_ms < until {
        let (sends, settled) = case.obey();
        delivered.extend(settled.into_iter().map(|(ids, outcome)| {
            assert_eq!(outcome, Outcome::Delivered);
            ids
        }));
        for (batch, ids) in sends {
            let refused = ids.contains(&disliked) && until < u64::MAX;
            case.reply(batch, if refused { reply(403, "<h1>Forbidden</h1>") } else { reply(200, OK) });
        }
        let wait = case.pipeline.wake_at(case.now).saturating_sub(case.now.mono_ms);
        case.pass(wait.min(1000));
    }
    delivered.sort();
    assert_eq!(delivered.concat().len(), 4);
    assert_eq!(case.pipeline.counts().pending, 1);

    // It is tried again, once the firewall has changed its mind.
    until = u64::MAX;
    case.pass(60_000);
    let (batch, ids) = case.sent();
    assert_eq!((ids, until), (vec![disliked], u64::MAX));
    case.reply(batch, reply(200, OK));
    assert_eq!(case.pipeline.counts().pending, 0);
}

#[test]
fn loads_that_fail_are_tried_again_at_growing_intervals_and_lose_nothing() {
    let mut case = Case::new(config());
    let ids = [case.track("u1", "d1"), case.track("u2", "d2")];
    case.flush();
    let mut waits = Vec::new();
    for _ in 0..5 {
        let Some(Action::Load { batch, ids: asked, .. }) = case.pipeline.next(case.now) else { panic!("nothing to load") };
        assert_eq!(asked, ids);
        case.pipeline.handle(Input::LoadFailed { batch, lost: Vec::new() }, case.now);
        assert!(case.pipeline.next(case.now).is_none());
        let wait = case.pipeline.wake_at(case.now) - case.now.mono_ms;
        case.pass(wait);
        waits.push(wait);
    }
    assert!(waits[4] > waits[0] * 4, "{waits:?}");

    // What the store has lost is dropped alone, and the rest goes at once.
    let Some(Action::Load { batch, .. }) = case.pipeline.next(case.now) else { panic!("nothing to load") };
    case.pipeline.handle(Input::LoadFailed { batch, lost: vec![ids[0]] }, case.now);
    let (sends, settled) = case.obey();
    assert_eq!(settled, [(vec![ids[0]], Outcome::Dropped(DropReason::Store))]);
    assert_eq!(sends[0].1, [ids[1]]);
}

#[test]
fn a_record_that_was_attempted_long_ago_by_another_process_is_not_sent_again() {
    let mut case = Case::new(config());
    let now_secs = u32::try_from(case.now.unix_ms / 1000).unwrap();
    let ages = [7 * 86_400, 6 * 86_400, 0];
    let ids = ages.map(|age| {
        let device = format!("d{age}");
        let first_attempt = if age == 0 { 0 } else { now_secs - age };
        let header = Header { user: None, device: Some(id_hash(&device)), bytes: 100, tracked_secs: 0, first_attempt };
        let id = take(&mut case.pipeline, header);
        case.pipeline.stored(id, true, case.now);
        id
    });
    case.flush();
    let (sends, settled) = case.obey();
    assert_eq!(settled, [(vec![ids[0]], Outcome::Unknown)]);
    assert_eq!(sends[0].1, ids[1..]);
}

#[test]
fn an_event_is_given_up_at_its_age_unless_the_server_may_have_it() {
    let mut case = Case::new(PipelineConfig { max_age_secs: 3600, ..config() });
    let now_secs = u32::try_from(case.now.unix_ms / 1000).unwrap();
    let ids = [(3601, 0), (3599, 0), (3601, now_secs - 60)].map(|(age, first_attempt)| {
        let device = Some(id_hash(&format!("d{age}{first_attempt}")));
        let id = take(&mut case.pipeline, Header { user: None, device, bytes: 100, tracked_secs: now_secs - age, first_attempt });
        case.pipeline.stored(id, true, case.now);
        id
    });
    case.flush();
    let (sends, settled) = case.obey();
    assert_eq!(settled, [(vec![ids[0]], Outcome::Dropped(DropReason::Expired))]);
    assert_eq!(sends[0].1, ids[1..]);
}

#[test]
fn abandoning_settles_all_and_late_answers_change_nothing() {
    let mut world = World::new();
    (0..12).for_each(|index| world.track_and_store(index, index % 5, 100));
    world.step((4, 7, 0, 1));
    assert!(!world.in_flight.is_empty());
    world.step((11, 5, 0, 1));
    let counts = world.counts();
    assert!(counts.unknown > 0, "what was under way may have arrived");
    assert_eq!(counts.dropped_for(DropReason::Shutdown) + counts.unknown, 12);
    world.answer(0, 0);
    assert_eq!((world.counts().delivered, world.counts().pending), (0, 0));
}

#[test]
fn an_event_of_unknown_fate_is_not_sent_after_seven_days() {
    let mut case = Case::new(config());
    let id = case.track("u", "d");
    case.flush();
    let (batch, _) = case.sent();
    case.pipeline.handle(Input::Reply { batch, reply: Err(Failure::Timeout) }, case.now);
    case.pass(7 * 86_400_000);
    let (sends, settled) = case.obey();
    assert_eq!((sends.len(), settled), (0, vec![(vec![id], Outcome::Unknown)]));
}

#[test]
fn an_outcome_that_was_not_told_yet_counts_as_open() {
    let mut case = Case::new(config());
    let failed = case.offer("u", "d");
    case.track("u", "d");
    case.pipeline.stored(failed, false, case.now);
    // A flush that starts here hears of both.
    assert_eq!((case.pipeline.counts().pending, case.pipeline.unsettled()), (1, 2));
    let (_, settled) = case.obey();
    assert_eq!((settled.len(), case.pipeline.unsettled()), (1, 1));
}

#[test]
fn the_driver_is_woken_once_for_what_is_due() {
    let mut case = Case::new(config());
    assert!(case.obey().0.is_empty());
    // The first one arms the timer; the third fills a request.
    let mut woken = 0;
    for device in 0..10 {
        case.track("u", &device.to_string());
        woken += u32::from(case.pipeline.must_wake(case.now));
    }
    assert_eq!(woken, 1);
    case.pass(1);
    case.track("u", "late");
    assert!(!case.pipeline.must_wake(case.now), "it was told already");
    assert!(!case.obey().0.is_empty());
}

#[test]
fn a_bound_for_the_moment_bounds_what_is_cut_and_holds_up_no_large_record() {
    let mut case = Case::new(PipelineConfig { max_in_flight: 9, ..config() });
    let ids: Vec<_> = (0..6).map(|device| case.track("u", &device.to_string())).collect();
    let envelope = case.pipeline.bounds().envelope;
    case.flush();
    case.pipeline.most_bytes = envelope + 2 * 100 + 1;
    let (sends, _) = case.obey();
    assert_eq!(sends.iter().map(|(_, ids)| ids.as_slice()).collect::<Vec<_>>(), ids.chunks(2).collect::<Vec<_>>());
    let large: Vec<_> = (6..8).map(|device| case.track("u", &device.to_string())).collect();
    case.flush();
    case.pipeline.most_bytes = 1;
    let (sends, _) = case.obey();
    assert_eq!(sends.iter().map(|(_, ids)| ids.as_slice()).collect::<Vec<_>>(), large.chunks(1).collect::<Vec<_>>());
}
