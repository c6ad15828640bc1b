//! Answers that others believe, or give up at.

use std::time::Duration;

use amplitude_sdk::{Notice, Outcome, ProxyReply};

use super::{
    Answer, Stub, config, event, heard, json, numbers, page, patient,
    support::{self, PATIENCE},
    wait,
};

/// T2: an error in a flush, of the user, of the page's end or after an offline time, drops the batch: of a backlog of 50 events that met one
/// 502, 30 were gone.
#[test]
fn t2_a_flush_tries_again_like_any_other_sending() {
    let stub = Stub::start([page(502)]);
    let client = patient(&stub, 2000);
    (0..50).for_each(|n| client.track(event(n)).unwrap());
    let report = client.flush_blocking(PATIENCE);
    assert_eq!((report.delivered, report.pending), (50, 0));
    assert_eq!(stub.seen().len(), 2);
}

/// T4: a portal's or a proxy's page with status 200 counts as delivered. Kotlin takes any 2xx, too.
#[test]
fn t4_a_page_with_status_200_delivers_nothing() {
    let empty = |status| Answer::Say(status, "text/plain", String::new());
    for answer in [page(200), empty(200), empty(204), json(202, "{}")] {
        let stub = Stub::start([answer.clone()]);
        let (client, hear) = heard(config(&stub));
        let receipt = client.track_with_receipt(event(1)).unwrap();
        let notice = hear.recv_timeout(PATIENCE).unwrap();
        assert!(matches!(&notice, Notice::DeliveryPaused { reason } if reason.contains("not Amplitude's")), "{notice:?}");
        assert_eq!(wait(receipt.settled()), Outcome::Delivered);
        let seen = stub.seen();
        assert_eq!(seen.len(), 2, "{answer:?}");
        assert_eq!(seen[0].events()[0]["insert_id"], seen[1].events()[0]["insert_id"]);
    }
}

/// T5: after a 200 whose JSON has no `code` the events go up again and again, then are reported as failed; a JSON string is believed, and the
/// events reported as failed.
#[test]
fn t5_json_that_is_not_amplitudes_neither_delivers_nor_fails_an_event() {
    let stub = Stub::start([json(200, r#"{"ok":true}"#), json(200, r#""success""#), json(200, r#"{"code":400}"#)]);
    let (client, hear) = heard(config(&stub));
    let receipt = client.track_with_receipt(event(1)).unwrap();
    assert!(matches!(hear.recv_timeout(PATIENCE).unwrap(), Notice::DeliveryPaused { .. }));
    stub.wait_for_requests(3);
    assert_eq!(client.counts().delivered + client.counts().rejected + client.counts().dropped, 0);
    assert_eq!(wait(receipt.settled()), Outcome::Delivered);
    assert_eq!(stub.seen().len(), 4);

    // Whose proxy it is can say that this is its answer.
    let stub = Stub::start([json(200, r#""success""#), json(200, r#"{"ok":true}"#)]);
    let (client, _hear) = heard(config(&stub).proxy_reply(ProxyReply::json_field("ok", true).unwrap()));
    let receipt = client.track_with_receipt(event(1)).unwrap();
    assert_eq!(wait(receipt.settled()), Outcome::Delivered);
    assert_eq!(stub.seen().len(), 2);
}

/// T19: a proxy's 401, 403 or 404 costs the events after five requests; amplitude-rs drops them at once. (A 403 makes an event that is alone
/// in its request wait for a minute: with the tests that take long.)
#[test]
fn t19_a_proxys_refusal_keeps_the_events_and_tells_the_owner() {
    let stub = Stub::start([401, 404, 407, 404].map(page));
    let (client, hear) = heard(config(&stub));
    let receipt = client.track_with_receipt(event(1)).unwrap();
    assert_eq!(wait(receipt.settled()), Outcome::Delivered);
    assert_eq!(stub.seen().len(), 5);
    assert!(matches!(hear.try_recv(), Ok(Notice::DeliveryPaused { .. })));
}

/// P1: a 200 that is no JSON makes the thread that reads it fail, and the events vanish without a word.
#[test]
fn p1_an_answer_that_cannot_be_read_leaves_no_event_without_an_outcome() {
    let texts = ["<html>", "{", "\u{0}", "{\"code\":200,\"events_ingested\":\"many\"}", "[]", "nul"];
    for text in texts {
        let stub = Stub::start([json(200, text), json(500, text)]);
        let client = patient(&stub, 3);
        let receipts: Vec<_> = (0..3).map(|n| client.track_with_receipt(event(n)).unwrap()).collect();
        for receipt in receipts {
            assert_eq!(wait(receipt.settled()), Outcome::Delivered, "{text}");
        }
        assert_eq!(stub.seen().len(), 3, "{text}");
    }
}

/// P3: an invalid API key drops the events, and no callback hears of it.
#[test]
fn p3_an_invalid_key_keeps_the_events_until_it_is_put_right() {
    let invalid = json(400, r#"{"code":400,"error":"Invalid API key: demo0000000000000000000000000key"}"#);
    let stub = Stub::start([invalid.clone(), invalid]);
    let (client, hear) = heard(config(&stub));
    client.track(event(1)).unwrap();
    let notice = hear.recv_timeout(PATIENCE).unwrap();
    assert!(notice.message().contains("does not know the API key"), "{notice:?}");
    client.flush_blocking(PATIENCE);
    assert_eq!(client.counts().delivered, 1);
}

/// P4: at exit the events of an answer 500 go back into a store that nobody reads any more, without a callback.
#[test]
fn p4_a_shutdown_tries_again_until_its_deadline_and_tells_what_is_left() {
    let stub = Stub::start([json(500, "{}")]);
    let client = patient(&stub, 2000);
    client.track(event(1)).unwrap();
    client.shutdown_blocking(PATIENCE);
    assert_eq!(client.counts().delivered, 1);
    assert_eq!(stub.seen().len(), 2);

    let stub = Stub::start(vec![json(500, "{}"); 100]);
    let client = patient(&stub, 2000);
    let receipt = client.track_with_receipt(event(1)).unwrap();
    let report = client.shutdown_blocking(Duration::from_millis(400));
    // The server may have taken it before it failed.
    assert_eq!((report.unknown, report.pending), (1, 0));
    assert_eq!(wait(receipt.settled()), Outcome::Unknown);
}

/// T8: a 413 halves the size that was configured, not the batch: ten events went up whole five times, and with a browser's five tries two of
/// three good events were dropped.
#[test]
fn t8_a_413_halves_the_batch_that_it_is_about() {
    let too_large = || json(413, r#"{"code":413,"error":"Payload too large"}"#);
    // One event a request is all that this server takes: 10 and 5 and 2 are too many.
    let sizes = [10, 5, 2, 1, 1, 3, 1, 2, 1, 1, 5, 2, 1, 1, 3, 1, 2, 1, 1];
    let script = sizes.map(|size| if size > 1 { too_large() } else { Answer::Confirm });
    let stub = Stub::start(script);
    let client = patient(&stub, 10);
    (0..10).for_each(|n| client.track(event(n)).unwrap());
    assert_eq!(client.flush_blocking(PATIENCE).pending, 0);
    assert_eq!(client.counts().delivered, 10);
    assert_eq!(stub.seen().iter().map(|request| numbers(request).len()).collect::<Vec<_>>(), sizes);

    // The next batch is as large as ever.
    (0..10).for_each(|n| client.track(event(n)).unwrap());
    assert_eq!(client.flush_blocking(PATIENCE).pending, 0);
    assert_eq!(support::Seen::events(stub.seen().last().unwrap()).len(), 10);
}

/// T10: one throttled user holds up all others for half a minute, and goes again together with them.
#[test]
fn t10_a_throttled_user_holds_up_nobody_else() {
    let body = r#"{"code":429,"eps_threshold":30,"throttled_devices":{"device-1":31},"throttled_events":[1]}"#;
    let stub = Stub::start([json(429, body)]);
    let client = patient(&stub, 3);
    let receipts: Vec<_> = (0..3).map(|n| client.track_with_receipt(event(n)).unwrap()).collect();
    // Less than the half minute.
    for cold in [0, 2] {
        assert_eq!(wait(receipts[cold].settled()), Outcome::Delivered);
    }
    client.track(event(3)).unwrap();
    let report = client.flush_blocking(Duration::from_millis(500));
    assert_eq!((report.delivered, report.pending), (1, 1));
    assert_eq!(stub.seen()[1..].iter().map(numbers).collect::<Vec<_>>(), [vec![0, 2], vec![3]]);
}
