//! The queue's bound, `flush` and `shutdown`.

use std::{thread, time::Duration};

use amplitude_sdk::{Client, ErrorKind, Event, Outcome};

use crate::{
    block_on, config, event,
    support::{Answer, PATIENCE, Stub},
};

#[test]
fn a_full_queue_refuses_and_gives_the_event_back() {
    let stub = Stub::start([Answer::Silence]);
    let client = Client::new(config(&stub).queue_bytes(600).request_timeout(Duration::from_secs(5)).max_in_flight(1)).unwrap();
    let mut accepted = 0;
    let error = loop {
        match client.track(event("user123")) {
            Ok(()) => accepted += 1,
            Err(error) => break error,
        }
        assert!(accepted < 10, "the bound of 600 bytes was not kept");
    };
    assert_eq!(error.kind(), ErrorKind::Full);
    assert!(error.is_retryable());
    let refused = error.into_event().expect("the refused event comes back");
    assert_eq!(refused.event_type(), "Product Purchased");

    // Once the server answers again there is room, and the waiting call goes through.
    let waiting = client.clone();
    let waiter = thread::spawn(move || block_on(waiting.track_when_ready(refused)));
    stub.wait_for_requests(1);
    stub.hang_up_on_all();
    waiter.join().unwrap().unwrap();
    assert_eq!(client.flush_blocking(PATIENCE).pending, 0);
    assert_eq!(client.counts().delivered, accepted + 1);
}

#[test]
fn an_event_larger_than_a_request_is_refused_by_name() {
    let stub = Stub::start([]);
    let client = Client::new(config(&stub)).unwrap();
    let big = Event::builder("big").user_id("user123").property("text", "x".repeat(1_100_000)).build().unwrap();
    let error = client.track(big).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert!(error.to_string().contains("1000000"), "{error}");
    client.track(event("user123")).unwrap();
    client.flush_blocking(PATIENCE);
    assert_eq!(client.counts().delivered, 1);
}

#[test]
fn shutdown_refuses_new_events_and_reports_what_is_left() {
    let stub = Stub::start([Answer::Silence]);
    let client = Client::new(config(&stub).request_timeout(Duration::from_secs(60))).unwrap();
    let receipt = client.track_with_receipt(event("user123")).unwrap();
    stub.wait_for_requests(1);
    let report = client.shutdown_blocking(Duration::from_millis(100));
    // The server may have it.
    assert_eq!((report.delivered, report.pending, report.unknown), (0, 0, 1));
    assert_eq!(block_on(receipt.settled()), Outcome::Unknown);
    assert_eq!(client.track(event("user123")).unwrap_err().kind(), ErrorKind::Closed);
    // A second shutdown has nothing left to do.
    assert_eq!(client.shutdown_blocking(PATIENCE), amplitude_sdk::Report::default());
}

#[test]
fn a_flush_sends_all_of_it_in_requests_within_their_bounds() {
    let stub = Stub::start([]);
    let client = Client::new(config(&stub).flush_interval(Duration::from_secs(3600))).unwrap();
    assert_eq!(block_on(client.flush(PATIENCE)), amplitude_sdk::Report::default());
    for index in 0..5000 {
        client.track(event(&format!("user-{index}"))).unwrap();
    }
    let report = block_on(client.flush(PATIENCE));
    assert_eq!(report.pending, 0);
    assert_eq!(client.counts().delivered, 5000);
    assert!(stub.seen().iter().all(|request| request.events().len() <= 2000 && request.text.len() <= 1_000_000));
}
