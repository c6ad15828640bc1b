//! Calls that return too early, too late, or for nothing.

use std::{thread, time::Duration};

use amplitude_sdk::{Client, ErrorKind, Event, Outcome};

use super::{
    Answer, HOUR, Stub, config, event, event_of, n_of, numbers, patient,
    support::{PATIENCE, Seen},
    wait,
};

/// T11: while another flush runs, `await flush()` returns at once with nothing sent, and before the start has ended as well; what is tracked
/// during a flush stays for the next interval.
#[test]
fn t11_a_flush_ends_when_all_that_was_tracked_before_it_is_settled() {
    let stub = Stub::start([Answer::Silence]);
    let client = Client::new(config(&stub).flush_interval(HOUR).request_timeout(Duration::from_millis(700))).unwrap();
    client.track(event(1)).unwrap();
    let first = client.flush(PATIENCE);
    stub.wait_for_requests(1);
    // Tracked and flushed while the first flush is under way, and its request hangs.
    client.track(event(2)).unwrap();
    let second = client.flush(PATIENCE);
    let report = wait(second);
    assert_eq!((report.delivered, report.pending), (2, 0));
    assert_eq!(wait(first).delivered, 1);
    let confirmed: Vec<_> = stub.seen()[1..].iter().flat_map(numbers).collect();
    assert_eq!(confirmed.len(), 2, "{confirmed:?}");
}

/// T16: one event for each turn of a timer, some 740 a second: 20,000 took 27 seconds.
#[test]
fn t16_twenty_thousand_events_go_in_full_requests() {
    let stub = Stub::start([]);
    let client = patient(&stub, 2000);
    (0..20_000).for_each(|n| client.track(event(n)).unwrap());
    assert_eq!(client.flush_blocking(PATIENCE).pending, 0);
    let seen = stub.seen();
    assert_eq!(seen.iter().map(|request| request.events().len()).sum::<usize>(), 20_000);
    // By bytes as well: a request of HTTP V2 is below a megabyte, so that 2000 of these fit.
    assert!(seen.len() <= 20, "{} requests", seen.len());
}

/// T17: what is tracked before the start has ended lives in memory, and the start waits for a remote configuration, up to seven seconds.
#[test]
fn t17_the_first_request_is_the_first_event() {
    let stub = Stub::start([]);
    let client = Client::new(config(&stub)).unwrap();
    let receipt = client.track_with_receipt(event(1)).unwrap();
    wait(receipt.stored()).unwrap();
    assert_eq!(wait(receipt.settled()), Outcome::Delivered);
    let seen = stub.seen();
    assert_eq!((seen.len(), seen[0].line.as_str(), numbers(&seen[0])), (1, "POST /2/httpapi HTTP/1.1", vec![1]));
}

/// P6: an event that comes between "the queue is empty" and "the thread has ended" waits for the next one to come.
#[test]
fn p6_no_event_waits_for_another_one_to_come() {
    let stub = Stub::start([]);
    let client = Client::new(config(&stub).flush_interval(Duration::ZERO)).unwrap();
    for n in 0..2000_u32 {
        let receipt = client.track_with_receipt(event(n as usize)).unwrap();
        // Around the moment at which the driver has sent the one before and goes to sleep.
        (0..n % 400).for_each(|_| std::hint::spin_loop());
        if n % 3 == 0 {
            assert_eq!(wait(receipt.settled()), Outcome::Delivered);
        }
    }
    // And at the very end, with nothing behind it.
    let last = client.track_with_receipt(event(2000)).unwrap();
    assert_eq!(wait(last.settled()), Outcome::Delivered);
}

/// P10: new events are never refused, so that an outage takes all memory. Go and posthog-rs drop the newest instead, Go without a word.
#[test]
fn p10_go_posthog_a_full_queue_refuses_and_gives_the_event_back() {
    let stub = Stub::start(vec![Answer::Header(503, "retry-after: 1".to_owned()); 1]);
    let client = Client::new(config(&stub).queue_bytes(10_000)).unwrap();
    let (mut accepted, mut refused) = (0, 0);
    for n in 0..500 {
        match client.track(event(n)) {
            Ok(()) => accepted += 1,
            Err(error) => {
                assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Full, true));
                assert_eq!(error.into_event(), Some(event(n)));
                refused += 1;
            }
        }
        assert!(client.counts().pending_bytes <= 10_000);
    }
    assert!(refused > 300, "{refused}");
    // Who wants to wait for room can, and gets it.
    wait(client.track_when_ready(event(500))).unwrap();
    assert_eq!(client.flush_blocking(PATIENCE).pending, 0);
    assert_eq!((client.counts().delivered, client.counts().dropped), (accepted + 1, 0));
}

/// amplitude-rs tries again inside its worker, so that `flush`, `shutdown` and all other events wait behind one batch, for up to six minutes.
#[test]
fn amplitude_rs_flush_and_shutdown_keep_their_deadlines_whatever_waits() {
    let busy = Answer::Header(503, "retry-after: 600".to_owned());
    let stub = Stub::start([busy]);
    let client = Client::new(config(&stub)).unwrap();
    client.track(event(1)).unwrap();
    stub.wait_for_requests(1);
    let flusher = client.clone();
    // A thread each, so that a call that does not return fails the test and does not hang it.
    let (told, hears) = std::sync::mpsc::channel();
    thread::spawn(move || {
        let flushed = flusher.flush_blocking(Duration::from_millis(200));
        told.send((flushed, flusher.shutdown_blocking(Duration::from_millis(200)))).unwrap();
    });
    let (flushed, shut_down) = hears.recv_timeout(PATIENCE).expect("both return");
    assert_eq!((flushed.pending, flushed.delivered), (1, 0));
    assert_eq!((shut_down.pending, shut_down.dropped), (0, 1));
}

/// posthog-rs: nothing of what waits outlives the process. Without a disk store one can see to it oneself.
#[test]
fn posthog_what_is_not_sent_can_be_taken_along_with_its_ids() {
    let stub = Stub::start(vec![Answer::HangUp; 1]);
    let client = patient(&stub, 2000);
    (0..3).for_each(|n| client.track(event_of("device-1", n)).unwrap());
    let kept = client.pending_json();
    client.shutdown_blocking(Duration::ZERO);

    let kept: Vec<serde_json::Value> = serde_json::from_str(&kept).unwrap();
    let stub = Stub::start([]);
    let next = patient(&stub, 2000);
    kept.iter().for_each(|event| next.track(Event::from_json(&event.to_string()).unwrap()).unwrap());
    next.shutdown_blocking(PATIENCE);
    assert_eq!(next.counts().delivered, 3);
    let sent: Vec<_> = stub.seen().iter().flat_map(Seen::events).collect();
    assert_eq!(sent.iter().map(n_of).collect::<Vec<_>>(), [0, 1, 2]);
    for (before, after) in kept.iter().zip(&sent) {
        assert_eq!((&before["insert_id"], &before["time"]), (&after["insert_id"], &after["time"]));
    }
}
