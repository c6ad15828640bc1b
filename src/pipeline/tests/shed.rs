//! What only waits goes out when it is too much: those first that wait longest, and each with all that its lane has behind it.

use super::{verdict::Wait, *};

/// A pipeline in which two devices wait, one for half a minute, the other for an hour, each with three records parked and one ready.
fn waiting() -> (Pipeline, Now) {
    let mut pipeline = Pipeline::new(config(), 7);
    let now = Now { mono_ms: 1000, unix_ms: 1_760_000_000_000 };
    let track = |pipeline: &mut Pipeline, devices: &[u64]| {
        for device in devices {
            let header = Header { user: None, device: Some(*device), bytes: 10, tracked_secs: 0, first_attempt: 0 };
            let id = take(pipeline, header);
            pipeline.stored(id, true, now);
        }
    };
    track(&mut pipeline, &[hash("d", 0), hash("d", 1)]);
    flush(&mut pipeline, now);
    let batch = send(&mut pipeline, now);
    let body = r#"{"code":429,"exceeded_daily_quota_devices":{"d0":1},"throttled_devices":{"d1":31}}"#;
    pipeline.handle(Input::Reply { batch, reply: Ok(reply(429, body)) }, now);
    track(&mut pipeline, &[hash("d", 0), hash("d", 1), hash("d", 0), hash("d", 1), hash("d", 2)]);
    flush(&mut pipeline, now);
    send(&mut pipeline, now);
    // These come behind, and nobody has looked at them yet.
    track(&mut pipeline, &[hash("d", 0), hash("d", 1)]);
    (pipeline, now)
}

fn send(pipeline: &mut Pipeline, now: Now) -> BatchId {
    while let Some(action) = pipeline.next(now) {
        match action {
            Action::Load { batch, .. } => pipeline.handle(Input::Loaded { batch }, now),
            Action::Send { batch } => return batch,
            _ => {}
        }
    }
    panic!("nothing to send");
}

fn shed(pipeline: &mut Pipeline, keep: usize) -> Vec<RecordId> {
    let mut ids: Vec<_> = pipeline.shed(keep).iter().map(|(id, _)| *id).collect();
    pipeline.check();
    ids.sort_unstable();
    ids
}

#[test]
fn who_waits_longest_goes_first_and_with_all_that_comes_after() {
    let (mut pipeline, _) = waiting();
    assert_eq!((pipeline.waiting_bytes(), pipeline.counts().pending), (60, 9));
    assert!(shed(&mut pipeline, 60).is_empty());
    // The end of the lane that waits for an hour: 1, 3, 5 are parked on it, 8 is ready.
    assert_eq!(shed(&mut pipeline, 55), [5, 8]);
    assert_eq!((pipeline.waiting_bytes(), pipeline.counts().pending, pipeline.counts().accepted), (50, 7, 7));
    // All of it, and the end of the other one.
    assert_eq!(shed(&mut pipeline, 25), [1, 3, 6, 9]);
    assert_eq!((pipeline.waiting_bytes(), pipeline.counts().pending_bytes), (20, 30));
}

#[test]
fn what_went_out_would_wait_until_its_lane_may_go() {
    let (mut pipeline, now) = waiting();
    for (_, header) in pipeline.shed(0) {
        let until = pipeline.waits(&header, now);
        assert_eq!(
            until,
            now.mono_ms + if header.lane() == hash("d", 0) { Wait::DailyQuota } else { Wait::Throttle }.secs() * 1000
        );
        assert_eq!(pipeline.waits(&header, Now { mono_ms: until, ..now }), 0);
    }
    // What is under way is not shed, and those who do not wait are not made to.
    assert_eq!(pipeline.counts().pending, 1);
    let other = Header { user: None, device: Some(hash("d", 2)), bytes: 10, tracked_secs: 0, first_attempt: 0 };
    assert_eq!(pipeline.waits(&other, now), 0);
}

#[test]
fn what_is_taken_out_of_lanes_that_are_open_leaves_none_of_them_behind() {
    let (mut pipeline, now) = waiting();
    let later = Now { mono_ms: now.mono_ms + 3_700_000, ..now };
    pipeline.lanes.expire(later.mono_ms);
    pipeline.evict(u64::MAX, RecordId::MAX, later);
    while pipeline.next(later).is_some() {}
    // That of the record which is under way stays.
    assert_eq!(pipeline.held(), (1, 1));
}
