//! Flush, shutdown and drop: what they cover, when they end, what they report.

use std::time::{Duration, Instant};

use amplitude_sdk::{Config, DropReason, ErrorKind, Event, Flow, Notice, Outcome, Plugin, PluginError, Report};

use super::{
    client, config, event, notices,
    server::{PATIENCE, Server},
    wait,
};

/// A deadline that no test waits for.
const LATER: Duration = Duration::from_secs(3600);
const SOON: Duration = Duration::from_millis(150);

/// A client that sends nothing before it is told to.
fn patient(server: &Server) -> Config {
    config(server).flush_interval(LATER)
}

#[test]
fn a_flush_covers_what_was_tracked_before_it_and_nothing_after() {
    let server = Server::start();
    let client = client(patient(&server));
    client.track(event(1)).unwrap();
    let first = client.flush(LATER);
    let request = server.next();
    // Tracked while the flush is under way: neither sent by it nor waited for.
    client.track(event(2)).unwrap();
    assert_eq!(request.numbers(), [1]);
    request.confirm();
    let report = wait(first);
    assert_eq!((report.delivered, report.pending), (1, 0));
    assert!(server.is_silent(SOON));
    assert_eq!(client.counts().pending, 1);
}

#[test]
fn flushes_at_the_same_time_each_report_what_they_cover() {
    let server = Server::start();
    let client = client(patient(&server));
    client.track(event(1)).unwrap();
    let first = client.flush(LATER);
    let request = server.next();
    client.track(event(2)).unwrap();
    let second = client.flush(LATER);
    request.confirm();
    assert_eq!(wait(first).delivered, 1);
    let request = server.next();
    assert_eq!(request.numbers(), [2]);
    request.say(400, r#"{"code":400,"events_with_invalid_fields":{"time":[0]}}"#);
    let report = wait(second);
    assert_eq!((report.delivered, report.rejected, report.pending), (1, 1, 0));
}

#[test]
fn a_flush_returns_at_its_deadline_and_the_events_go_on() {
    let server = Server::start();
    let client = client(patient(&server));
    let receipt = client.track_with_receipt(event(1)).unwrap();
    for deadline in [Duration::ZERO, SOON] {
        let started = Instant::now();
        let report = client.flush_blocking(deadline);
        assert_eq!((report.delivered, report.pending), (0, 1));
        // The clock of the client counts whole milliseconds.
        assert!(started.elapsed() + Duration::from_millis(1) >= deadline && started.elapsed() < PATIENCE);
    }
    server.next().confirm();
    assert_eq!(wait(receipt), Outcome::Delivered);
}

#[test]
fn a_shutdown_ends_a_flush_that_is_under_way() {
    let server = Server::start();
    let client = client(patient(&server));
    client.track(event(1)).unwrap();
    client.track(event(2)).unwrap();
    let flush = client.flush(LATER);
    let request = server.next();
    let patient_shutdown = client.shutdown(LATER);
    // The nearest of several deadlines counts.
    let report = client.shutdown_blocking(SOON);
    assert_eq!((report.unknown, report.dropped, report.pending), (2, 0, 0), "the server may have them");
    assert_eq!(wait(flush).unknown, 2);
    assert_eq!(wait(patient_shutdown).pending, 0);
    assert_eq!(client.counts().unknown, 2);
    // Nothing waits for its answer any more.
    request.confirm();
    assert_eq!(client.flush_blocking(LATER), Report::default());
}

struct Step(fn(&mut Event) -> Result<Flow, PluginError>);

impl Plugin for Step {
    fn name(&self) -> &str {
        panic!("a name that panics, on purpose")
    }

    fn process(&self, event: &mut Event) -> Result<Flow, PluginError> {
        (self.0)(event)
    }
}

#[test]
fn after_a_shutdown_every_event_is_refused_even_one_that_a_plugin_would_drop() {
    let server = Server::start();
    let client = client(config(&server).plugin(Step(|_| Ok(Flow::Drop))));
    client.track(event(1)).unwrap();
    assert_eq!(client.counts().dropped_for(DropReason::Plugin), 1);
    assert_eq!(client.shutdown_blocking(LATER), Report::default());
    let error = client.track(event(2)).unwrap_err();
    assert_eq!((error.kind(), error.into_event()), (ErrorKind::Closed, Some(event(2))));
    assert_eq!(client.track_with_receipt(event(2)).unwrap_err().kind(), ErrorKind::Closed);
    let waiting = wait(client.track_when_ready(event(2)));
    assert_eq!(waiting.unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(client.counts().accepted, 1);
}

#[test]
fn a_callers_code_that_panics_stops_nothing() {
    let server = Server::start();
    let (config, seen) = notices(config(&server).plugin(Step(|_| panic!("a plugin, on purpose"))));
    let client = client(config.on_progress(|_| panic!("a progress hook, on purpose")));
    client.track(event(1)).unwrap();
    assert!(matches!(seen.recv_timeout(PATIENCE), Ok(Notice::PluginFailed { .. })));
    server.next().say(401, "");
    assert!(matches!(seen.recv_timeout(PATIENCE), Ok(Notice::DeliveryPaused { .. })));
    server.next().confirm();
    assert_eq!(client.shutdown_blocking(PATIENCE).pending, 0);
    assert_eq!(client.counts().delivered, 1);
}

#[test]
fn dropping_the_last_handle_does_not_wait_for_a_network_that_hangs() {
    let server = Server::start();
    let client = client(config(&server));
    client.track(event(1)).unwrap();
    let request = server.next();
    client.track(event(2)).unwrap();
    let started = Instant::now();
    drop(client);
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    // What waits is still delivered.
    request.confirm();
    assert_eq!(server.next().numbers(), [2]);
}
