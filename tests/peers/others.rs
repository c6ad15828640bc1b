//! What others count, and what ends their delivery.

use std::time::Duration;

use amplitude_sdk::{Client, DropReason, Event, Flow, Outcome, Plugin, PluginError};

use super::{HOUR, Stub, config, event, json, patient, support::PATIENCE, wait};

/// Kotlin: an error that nobody expected ends the delivery until the process starts anew.
#[test]
fn kotlin_a_callers_code_that_fails_does_not_end_delivery() {
    let stub = Stub::start([json(401, "")]);
    let hooks =
        config(&stub).on_notice(|_| panic!("a notice hook, on purpose")).on_progress(|_| panic!("a progress hook, on purpose"));
    let client = Client::new(hooks).unwrap();
    for n in 0..3 {
        let receipt = client.track_with_receipt(event(n)).unwrap();
        assert_eq!(wait(receipt.settled()), Outcome::Delivered);
    }
}

struct DropInternal;

impl Plugin for DropInternal {
    fn name(&self) -> &str {
        "drop-internal"
    }

    fn process(&self, event: &mut Event) -> Result<Flow, PluginError> {
        Ok(if event.event_type() == "internal" { Flow::Drop } else { Flow::Continue })
    }
}

/// sentry-rust tries nothing again, but counts what it lost by reason. Here both: each event has one end, and the sums say so.
#[test]
fn sentry_every_event_is_counted_once_under_what_became_of_it() {
    let invalid = json(400, r#"{"code":400,"events_with_invalid_fields":{"time":[0]}}"#);
    let stub = Stub::start([invalid, json(500, ""), json(500, "")]);
    let client = Client::new(config(&stub).flush_interval(HOUR).flush_at(4).plugin(DropInternal)).unwrap();
    client.track(Event::builder("internal").user_id("user-1").build().unwrap()).unwrap();
    (0..4).for_each(|n| client.track(event(n)).unwrap());
    assert_eq!(client.flush_blocking(PATIENCE).pending, 0);
    client.track(event(5)).unwrap();
    // Its request is on its way when the time is over.
    assert_eq!(client.shutdown_blocking(Duration::ZERO).unknown, 1);
    let counts = client.counts();
    let ends = (counts.delivered, counts.rejected, counts.dropped, counts.unknown, counts.pending);
    assert_eq!((counts.accepted, ends), (6, (3, 1, 1, 1, 0)));
    assert_eq!(counts.dropped_for(DropReason::Plugin), 1);
}

/// No SDK of Amplitude's, Go's and Python's least of all, says when it sent; the server's own time for a late event is then wrong.
#[test]
fn python_go_every_request_says_when_it_was_sent() {
    let stub = Stub::start([json(503, "")]);
    let client = patient(&stub, 2000);
    client.track(event(1)).unwrap();
    client.flush_blocking(PATIENCE);
    assert_eq!(client.counts().delivered, 1);
    let seen = stub.seen();
    let at = |index: usize| seen[index].json()["client_upload_time"].as_str().unwrap().to_owned();
    // The second one later than the first one.
    assert!(at(0) < at(1), "{} {}", at(0), at(1));
    assert_eq!(seen[0].events()[0]["time"], seen[1].events()[0]["time"]);
}
