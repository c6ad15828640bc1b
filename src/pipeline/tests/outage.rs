//! What is waited for after failures, across processes and networks; what an own proxy says; what a reply tells of the clock; and
//! that the ledger adds up by reason.

use super::{cases::Case, *};
use crate::pipeline::outcome::RejectReason;

fn flushed() -> Case {
    let mut case = Case::new(config());
    case.track("u", "d");
    case.flush();
    case
}

#[test]
fn the_next_process_waits_as_long_as_its_predecessor_would_have() {
    let mut case = flushed();
    for _ in 0..6 {
        let (batch, _) = case.sent();
        case.pipeline.handle(Input::Reply { batch, reply: Err(Failure::Connect) }, case.now);
        let at = case.pipeline.wake_at(case.now);
        case.pass(at - case.now.mono_ms);
    }
    let (batch, _) = case.sent();
    case.pipeline.handle(Input::Reply { batch, reply: Err(Failure::Connect) }, case.now);
    let wait = case.pipeline.wake_at(case.now) - case.now.mono_ms;
    let outage = case.pipeline.outage(case.now);
    assert_eq!(outage, Outage { failures: 7, until_ms: case.now.unix_ms + wait });

    // Its successor, whose monotonic clock begins anew.
    let mut next = flushed();
    next.now.unix_ms = case.now.unix_ms;
    next.pipeline.resume(outage, next.now);
    assert_eq!(next.obey(), (vec![], vec![]));
    assert_eq!(next.pipeline.wake_at(next.now), next.now.mono_ms + wait);
    next.pass(wait);
    let (batch, _) = next.sent();
    next.pipeline.handle(Input::Reply { batch, reply: Ok(reply(503, "")) }, next.now);
    assert_eq!(next.pipeline.outage(next.now).failures, 8);
    next.pass(60_000);
    let (batch, _) = next.sent();
    next.pipeline.handle(Input::Reply { batch, reply: Ok(reply(200, OK)) }, next.now);
    assert_eq!(next.pipeline.outage(next.now), Outage::default());
}

#[test]
fn a_noted_time_far_ahead_is_not_believed() {
    let mut case = flushed();
    // A machine without a battery for its clock starts in 1970.
    case.now.unix_ms = 5000;
    case.pipeline.resume(Outage { failures: 1, until_ms: 1_760_000_000_000 }, case.now);
    case.sent();
}

#[test]
fn a_network_that_is_back_ends_the_wait_for_an_answer_and_no_other() {
    let mut case = flushed();
    let (batch, ids) = case.sent();
    case.pipeline.handle(Input::Reply { batch, reply: Err(Failure::Connect) }, case.now);
    assert_eq!(case.obey().0, []);
    case.pipeline.handle(Input::Online, case.now);
    let (batch, again) = case.sent();
    assert_eq!(again, ids);

    let asked = Reply { retry_after: Some(Duration::from_secs(9)), ..reply(503, "") };
    case.pipeline.handle(Input::Reply { batch, reply: Ok(asked) }, case.now);
    case.pipeline.handle(Input::Online, case.now);
    assert_eq!(case.obey().0, []);
    assert!(case.pipeline.wake_at(case.now) >= case.now.mono_ms + 9000);
}

#[test]
fn only_the_declared_answer_of_a_proxy_delivers() {
    let declared = ProxyReply::json_field("ok", true).unwrap();
    for (body, delivered) in [(r#"{"ok":true}"#, 1), (r#"{"ok":false}"#, 0), ("<html>", 0), (OK, 1)] {
        let mut case = Case::new(PipelineConfig { proxy_reply: Some(declared.clone()), ..config() });
        case.track("u", "d");
        case.flush();
        let (batch, _) = case.sent();
        case.pipeline.handle(Input::Reply { batch, reply: Ok(reply(200, body)) }, case.now);
        assert_eq!(case.pipeline.counts().delivered, delivered, "{body}");
        assert_eq!(case.pipeline.counts().pending, 1 - delivered, "{body}");
    }
    // What it says with another status says nothing.
    let mut case = Case::new(PipelineConfig { proxy_reply: Some(declared), ..config() });
    case.track("u", "d");
    case.flush();
    let (batch, _) = case.sent();
    case.pipeline.handle(Input::Reply { batch, reply: Ok(reply(500, r#"{"ok":true}"#)) }, case.now);
    assert_eq!(case.pipeline.counts().pending, 1);
}

#[test]
fn the_drift_is_told_by_answers_that_can_tell() {
    let mut case = Case::new(config());
    let mut drift_after = |round_trip_ms, jump_ms: u64| {
        case.track("u", "d");
        case.flush();
        let (batch, _) = case.sent();
        let server_ms = case.now.unix_ms + round_trip_ms / 2 - 5000;
        case.pass(round_trip_ms);
        case.now.unix_ms += jump_ms;
        let body = format!(r#"{{"code":200,"server_upload_time":{server_ms}}}"#);
        case.pipeline.handle(Input::Reply { batch, reply: Ok(reply(200, &body)) }, case.now);
        case.pipeline.clock_drift_ms()
    };
    assert_eq!(drift_after(200, 0), Some(-5000));
    // Slow, or the clock was set meanwhile.
    assert_eq!(drift_after(20_000, 0), None);
    assert_eq!(drift_after(200, 3_600_000), None);
}

#[test]
fn the_ledger_adds_up_by_reason() {
    let mut case = Case::new(config());
    let ids: Vec<_> = (0..3).map(|n| case.track("u", &format!("d{n}"))).collect();
    case.flush();
    let (batch, sent) = case.sent();
    assert_eq!(sent, ids);
    let body = r#"{"code":400,"events_with_invalid_fields":{"time":[0]},"silenced_events":[2]}"#;
    case.pipeline.handle(Input::Reply { batch, reply: Ok(reply(400, body)) }, case.now);
    let counts = case.pipeline.counts();
    assert_eq!(
        (counts.rejected, counts.rejected_for(RejectReason::InvalidField), counts.rejected_for(RejectReason::Silenced)),
        (2, 1, 1)
    );
    let all: u64 = RejectReason::ALL.iter().map(|reason| counts.rejected_for(*reason)).sum();
    assert_eq!(all, counts.rejected);
    assert_eq!(Rejection::InvalidField("time".to_owned()).reason(), RejectReason::InvalidField);
}
