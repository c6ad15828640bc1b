//! Room in the queue: who waits for it, gets it, in his turn.

use std::{task::Poll, thread, time::Duration};

use amplitude_sdk::{DropReason, ErrorKind, Event, Outcome, WhenFull};

use super::{
    client, config, event, poll,
    server::{PATIENCE, Server},
    wait,
};

fn large(n: u64, bytes: usize) -> Event {
    let device = format!("device-{n}");
    Event::builder("large").device_id(&device).property("n", n).property("text", "x".repeat(bytes)).build().unwrap()
}

#[test]
fn those_who_wait_for_room_get_it_in_their_order_and_nobody_takes_it_from_them() {
    let server = Server::start();
    let client = client(config(&server).queue_bytes(1200).batch_events(1));
    // Five of about 200 bytes each; the first is under way.
    let mut tracked = 0;
    while client.track(event(tracked)).is_ok() {
        tracked += 1;
    }
    assert!(tracked >= 4, "{tracked}");
    let request = server.next();

    let mut first = Box::pin(client.track_when_ready(large(100, 600)));
    let mut second = Box::pin(client.track_when_ready(event(101)));
    assert!(poll(&mut first).is_pending() && poll(&mut second).is_pending());

    // One event's room is free, and it is kept for the first, though the second and others would fit.
    request.confirm();
    let mut request = server.next();
    assert!(poll(&mut first).is_pending() && poll(&mut second).is_pending());
    assert_eq!(client.track(event(102)).unwrap_err().kind(), ErrorKind::Full);
    assert!(poll(&mut Box::pin(client.capacity(1))).is_pending());

    while poll(&mut first).is_pending() {
        assert!(poll(&mut second).is_pending(), "the second was served before the first");
        request.confirm();
        request = server.next();
    }
    while poll(&mut second).is_pending() {
        request.confirm();
        request = server.next();
    }
    // The line is empty, and what is free is free for all.
    request.confirm();
    server.confirm_all();
    assert_eq!(client.flush_blocking(PATIENCE).pending, 0);
    client.track(event(103)).unwrap();
    assert_eq!(client.shutdown_blocking(PATIENCE).pending, 0);
    assert_eq!(client.counts().delivered, tracked + 3);
}

#[test]
fn who_gives_up_waiting_leaves_his_room_to_the_next() {
    let server = Server::start();
    let client = client(config(&server).queue_bytes(600).batch_events(1));
    while client.track(event(1)).is_ok() {}
    let request = server.next();
    let mut first = Box::pin(client.track_when_ready(large(2, 300)));
    let mut second = Box::pin(client.track_when_ready(event(3)));
    assert!(poll(&mut first).is_pending() && poll(&mut second).is_pending());
    request.confirm();
    let request = server.next();
    // There is room for the second, but it is not its turn.
    assert!(poll(&mut second).is_pending());
    drop(first);
    assert!(matches!(poll(&mut second), Poll::Ready(Ok(()))));
    request.confirm();
    server.confirm_all();
    assert_eq!(client.shutdown_blocking(PATIENCE).pending, 0);
}

#[test]
fn a_shutdown_sends_those_home_who_wait_for_room_with_their_events() {
    let server = Server::start();
    let client = client(config(&server).queue_bytes(600));
    while client.track(event(1)).is_ok() {}
    let _unanswered = server.next();
    let waiting = client.clone();
    let waiter = thread::spawn(move || wait(waiting.track_when_ready(event(7))));
    let room = client.capacity(500);
    let report = client.shutdown_blocking(Duration::from_millis(200));
    assert_eq!(report.pending, 0);
    wait(room);
    let error = waiter.join().unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
    assert_eq!(error.into_event(), Some(event(7)));
}

#[test]
fn an_empty_queue_has_room_for_whatever_is_asked() {
    let server = Server::start();
    let client = client(config(&server).queue_bytes(600));
    wait(client.capacity(usize::MAX));
    client.track(event(1)).unwrap();
    let mut impossible = Box::pin(client.capacity(usize::MAX));
    assert!(poll(&mut impossible).is_pending());
    let mut little = Box::pin(client.capacity(100));
    assert!(poll(&mut little).is_ready());
    server.next().confirm();
    wait(impossible);
}

#[test]
fn the_oldest_make_room_where_the_policy_says_so() {
    let server = Server::start();
    let client = client(config(&server).queue_bytes(20_000).batch_events(1).when_full(WhenFull::DropOldest));
    let first = client.track_with_receipt(event(0)).unwrap();
    let second = client.track_with_receipt(event(1)).unwrap();
    let under_way = server.next();
    let mut tracked = 2;
    while client.counts().dropped == 0 {
        assert!(tracked < 1000, "the queue has no bound");
        client.track(event(tracked)).unwrap();
        tracked += 1;
    }
    let counts = client.counts();
    assert_eq!(counts.dropped_for(DropReason::Evicted), counts.dropped);
    assert!(counts.pending_bytes <= 20_000 && (5..50).contains(&counts.dropped), "{counts:?}");
    assert_eq!(wait(second.settled()), Outcome::Dropped(DropReason::Evicted));
    under_way.confirm();
    assert_eq!(wait(first.settled()), Outcome::Delivered);
    server.confirm_all();
    let report = client.shutdown_blocking(PATIENCE);
    assert_eq!((report.pending, client.counts().delivered), (0, tracked - counts.dropped));
}

#[test]
fn the_room_that_one_call_made_and_another_took_is_made_again() {
    let server = Server::start();
    // Nothing is under way, so that there always is something that can make room.
    let config = config(&server).flush_interval(Duration::from_secs(3600)).queue_bytes(10_000).when_full(WhenFull::DropOldest);
    let client = client(config);
    let large = || Event::builder("counted").device_id("device-1").property("text", "x".repeat(1500)).build().unwrap();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..2000).for_each(|_| client.track(large()).unwrap()));
        }
    });
    let counts = client.counts();
    assert_eq!((counts.accepted, counts.dropped + counts.pending), (8000, 8000));
}
