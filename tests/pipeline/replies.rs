//! Replies of every kind, from real sockets: what is sent again, when, and what never is.

use std::time::{Duration, Instant};

use amplitude_sdk::{DropReason, Notice, Outcome, Rejection};

use super::{
    client, config, event, event_of, notices,
    server::{PATIENCE, Server},
    wait,
};

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn a_request_that_is_too_large_is_halved_until_it_fits_and_one_event_alone_is_rejected() {
    let server = Server::start();
    let client = client(config(&server).flush_interval(HOUR).flush_at(4));
    let receipts: Vec<_> = (0..4).map(|n| client.track_with_receipt(event(n)).unwrap()).collect();
    let request = server.next();
    assert_eq!(request.numbers(), [0, 1, 2, 3]);
    request.say_with(413, "content-type: text/html", "<h1>413 Request Entity Too Large</h1>");
    let request = server.next();
    assert_eq!(request.numbers(), [0, 1]);
    request.say(413, r#"{"code":413,"error":"Payload too large"}"#);
    server.next().confirm();
    server.next().say(413, "");
    let request = server.next();
    assert_eq!(request.numbers(), [2, 3]);
    request.confirm();
    let outcomes: Vec<_> = receipts.into_iter().map(wait).collect();
    assert_eq!(outcomes[1], Outcome::Rejected(Rejection::TooLarge));
    assert!([0, 2, 3].iter().all(|at| outcomes[*at] == Outcome::Delivered), "{outcomes:?}");
}

#[test]
fn an_unexplained_400_finds_the_guilty_event_and_costs_no_other() {
    let server = Server::start();
    let client = client(config(&server).flush_interval(HOUR).flush_at(6));
    (0..6).for_each(|n| client.track(event(n)).unwrap());
    for (numbers, guilty) in [
        (vec![0, 1, 2, 3, 4, 5], true),
        (vec![0, 1, 2], false),
        (vec![3, 4, 5], true),
        (vec![3], false),
        (vec![4, 5], true),
        (vec![4], true),
        (vec![5], false),
    ] {
        let request = server.next();
        assert_eq!(request.numbers(), numbers);
        if guilty { request.say(400, r#"{"code":400,"error":"Invalid event JSON"}"#) } else { request.confirm() }
    }
    assert_eq!(client.shutdown_blocking(PATIENCE).pending, 0);
    assert_eq!((client.counts().delivered, client.counts().rejected), (5, 1));
}

#[test]
fn answers_about_the_request_keep_every_event_and_tell_the_owner() {
    let deep = "[".repeat(200_000);
    for (status, body, text) in [
        (400, r#"{"code":400,"error":"Invalid request path"}"#, "address"),
        (400, r#"{"code":400,"error":"Missing request body"}"#, "proxy"),
        (400, r#"{"code":400,"error":"Invalid API key: demo0000000000000000000000000key"}"#, "API key"),
        (400, r#"{"code":400,"error":"Request missing required field","missing_field":"api_key"}"#, "misses a field"),
        (404, "", "address"),
        (302, "", "address"),
        (401, r#"{"code":401}"#, "refuses"),
        // Status and body do not agree.
        (200, r#"{"code":400,"error":"Invalid event JSON"}"#, "not Amplitude's"),
        (204, "", "not Amplitude's"),
        (200, "{}", "not Amplitude's"),
        (200, deep.as_str(), "not Amplitude's"),
    ] {
        let server = Server::start();
        let (config, seen) = notices(config(&server));
        let client = client(config);
        client.track(event(1)).unwrap();
        server.next().say(status, body);
        let Ok(Notice::DeliveryPaused { reason }) = seen.recv_timeout(PATIENCE) else { panic!("{status} {body}: no notice") };
        assert!(reason.contains(text) && !reason.contains("demo0000"), "{status} {body}: {reason}");
        server.next().confirm();
        assert_eq!(client.shutdown_blocking(PATIENCE).pending, 0);
        assert_eq!(client.counts().delivered, 1, "{status} {body}");
    }
}

#[test]
fn what_a_firewall_dislikes_in_one_event_costs_the_others_a_while_only() {
    let server = Server::start();
    let (config, seen) = notices(config(&server).flush_interval(HOUR).flush_at(4));
    let client = client(config);
    (0..4).for_each(|n| client.track(event(n)).unwrap());
    for (numbers, disliked) in
        [(vec![0, 1, 2, 3], true), (vec![0, 1], false), (vec![2, 3], true), (vec![2], true), (vec![3], false)]
    {
        let request = server.next();
        assert_eq!(request.numbers(), numbers);
        if disliked { request.say_with(400, "content-type: text/html", "<h1>400 Bad Request</h1>") } else { request.confirm() }
    }
    let report = client.shutdown_blocking(Duration::from_millis(500));
    assert_eq!(report.dropped_for(DropReason::Shutdown), 1);
    assert_eq!((client.counts().delivered, client.counts().rejected), (3, 0));
    assert!(matches!(seen.recv_timeout(PATIENCE), Ok(Notice::DeliveryPaused { .. })));
}

#[test]
fn retry_after_is_waited_for() {
    let server = Server::start();
    let client = client(config(&server));
    client.track(event(1)).unwrap();
    for status in [503, 429] {
        let request = server.next();
        let answered = Instant::now();
        request.say_with(status, "retry-after: 1", "");
        let again = server.next();
        assert!(answered.elapsed() >= Duration::from_secs(1), "{:?}", answered.elapsed());
        if status == 429 {
            again.confirm();
        }
    }
    assert_eq!(client.shutdown_blocking(PATIENCE).pending, 0);
}

#[test]
fn a_throttled_device_waits_and_the_others_go_on() {
    let server = Server::start();
    let client = client(config(&server).flush_interval(HOUR).flush_at(3));
    client.track(event_of("hot-device", 1)).unwrap();
    let cold = client.track_with_receipt(event_of("cold-device", 2)).unwrap();
    client.track(event_of("hot-device", 3)).unwrap();
    let request = server.next();
    request.say(429, r#"{"code":429,"eps_threshold":30,"throttled_devices":{"hot-device":31},"throttled_events":[0,2]}"#);
    let request = server.next();
    assert_eq!(request.numbers(), [2]);
    request.confirm();
    assert_eq!(wait(cold), Outcome::Delivered);
    client.track(event_of("hot-device", 4)).unwrap();
    client.track(event_of("cold-device", 5)).unwrap();
    let report = client.flush(Duration::from_secs(1));
    let request = server.next();
    assert_eq!(request.numbers(), [5]);
    request.confirm();
    let report = wait(report);
    assert_eq!((report.delivered, report.pending), (1, 3));
}

#[test]
fn a_reply_of_many_megabytes_costs_neither_memory_nor_events() {
    let server = Server::start();
    let client = client(config(&server));
    client.track(event(1)).unwrap();
    // A reason for one event, with a name of half a megabyte, a million times.
    let (field, indexes) = ("x".repeat(500_000), "0,".repeat(1_000_000));
    let hostile = format!(r#"{{"code":400,"events_with_invalid_fields":{{"{field}":[{indexes}0]}}}}"#);
    server.next().say(400, &hostile);
    client.flush_blocking(PATIENCE);
    assert_eq!(client.counts().rejected, 1);
    // Larger than any of Amplitude's: cut off, so it proves nothing.
    client.track(event(2)).unwrap();
    server.next().say(200, &format!(r#"{{"code":200,"events_ingested":1,"x":"{}"}}"#, "x".repeat(9 << 20)));
    server.next().confirm();
    assert_eq!(client.shutdown_blocking(PATIENCE).pending, 0);
    assert_eq!(client.counts().delivered, 1);
}
