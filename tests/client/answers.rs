//! What the server answers, and what becomes of the events.

use std::{
    net::TcpListener,
    sync::{Arc, Mutex, mpsc},
    time::{Duration, Instant, SystemTime},
};

use amplitude_sdk::{Client, Notice, Outcome};

use crate::{
    KEY, block_on, config, event,
    support::{Answer, PATIENCE, Stub},
};

#[test]
fn hang_ups_and_html_pages_deliver_nothing() {
    let page = "<html><body>Please log in</body></html>";
    let stub = Stub::start([
        Answer::HangUp,
        Answer::Say(200, "text/html", page.to_owned()),
        Answer::Say(502, "text/html", page.to_owned()),
        Answer::Header(503, "retry-after: 0".to_owned()),
    ]);
    let client = Client::new(config(&stub)).unwrap();
    let receipt = client.track_with_receipt(event("user123")).unwrap();
    assert_eq!(block_on(receipt.settled()), Outcome::Delivered);
    let ids: Vec<_> = stub.seen().iter().map(|request| request.events()[0]["insert_id"].clone()).collect();
    assert_eq!(ids.len(), 5);
    assert!(ids.iter().all(|id| *id == ids[0]));
}

#[test]
fn a_rejected_event_does_not_cost_its_neighbours() {
    let reply = r#"{"code":400,"error":"Invalid field values on some events","events_with_invalid_fields":{"time":[1]}}"#;
    let stub = Stub::start([Answer::Say(400, "application/json", reply.to_owned())]);
    let client = Client::new(config(&stub).flush_at(3).flush_interval(Duration::from_secs(3600))).unwrap();
    let receipts: Vec<_> =
        ["user-a", "user-b", "user-c"].map(|user| client.track_with_receipt(event(user)).unwrap()).into_iter().collect();
    assert_eq!(block_on(receipts[0].settled()), Outcome::Delivered);
    assert!(matches!(block_on(receipts[1].settled()), Outcome::Rejected(_)));
    assert_eq!(block_on(receipts[2].settled()), Outcome::Delivered);
    let report = client.shutdown_blocking(PATIENCE);
    assert_eq!(report.pending, 0);
    assert_eq!((client.counts().delivered, client.counts().rejected), (2, 1));
}

#[test]
fn an_invalid_key_keeps_the_events_and_is_reported() {
    let reply = format!(r#"{{"code":400,"error":"Invalid API key: {KEY}"}}"#);
    let stub = Stub::start(vec![Answer::Say(400, "application/json", reply); 100]);
    let notices = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&notices);
    let client = Client::new(config(&stub).on_notice(move |notice| seen.lock().unwrap().push(notice.clone()))).unwrap();
    client.track(event("user123")).unwrap();
    stub.wait_for_requests(1);
    let report = client.flush_blocking(Duration::from_millis(300));
    assert_eq!((report.delivered, report.pending), (0, 1));
    let notices = notices.lock().unwrap();
    assert!(matches!(notices.as_slice(), [Notice::DeliveryPaused { .. }, ..]), "{notices:?}");
    assert!(!format!("{notices:?}").contains(KEY));
}

#[test]
fn events_do_not_follow_a_redirect() {
    let other = Stub::start([]);
    let leads = |status| Answer::Header(status, format!("location: {}", other.url()));
    let stub = Stub::start([302, 308].map(leads));
    let client = Client::new(config(&stub)).unwrap();
    let receipt = client.track_with_receipt(event("user123")).unwrap();
    assert_eq!(block_on(receipt.settled()), Outcome::Delivered);
    assert_eq!((stub.seen().len(), other.seen().len()), (3, 0));
}

#[test]
fn the_servers_wait_is_kept_as_seconds_and_as_a_date() {
    // A date has no parts of a second, so that one in three seconds may be little more than two away.
    let date = || httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(3));
    for wait in [|| "1".to_owned(), date] {
        let wait = wait();
        let stub = Stub::start([Answer::Header(503, format!("retry-after: {wait}"))]);
        let client = Client::new(config(&stub)).unwrap();
        let start = Instant::now();
        client.track(event("user123")).unwrap();
        client.shutdown_blocking(PATIENCE);
        assert_eq!(client.counts().delivered, 1);
        assert!(start.elapsed() >= Duration::from_millis(900), "it came again after {:?} instead of {wait}", start.elapsed());
    }
}

#[test]
fn a_wait_without_measure_harms_nothing() {
    for wait in ["18446744073709551615", "-1", "soon", "", "1e9", "Wed, 21 Oct 9999 07:28:00 GMT"] {
        let stub = Stub::start([Answer::Header(503, format!("retry-after: {wait}"))]);
        let client = Client::new(config(&stub)).unwrap();
        client.track(event("user123")).unwrap();
        stub.wait_for_requests(1);
        let report = client.shutdown_blocking(Duration::from_millis(100));
        assert_eq!(report.delivered + report.dropped + report.unknown, 1, "{wait}");
    }
}

#[test]
fn a_reply_without_end_is_not_read_to_its_end() {
    // Larger than the largest that Amplitude could send: it is cut, and so is not Amplitude's.
    let long = format!(r#"{{"code":200,"events_ingested":1,"server_upload_time":1,"x":"{}"}}"#, "x".repeat(9 << 20));
    let stub = Stub::start([Answer::Say(200, "application/json", long)]);
    let client = Client::new(config(&stub)).unwrap();
    client.track(event("user123")).unwrap();
    client.shutdown_blocking(PATIENCE);
    assert_eq!(client.counts().delivered, 1);
    assert_eq!(stub.seen().len(), 2, "the long answer proves nothing, so the event is sent again");
}

#[test]
fn a_server_that_cannot_be_reached_is_told_once_and_its_events_are_kept() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (told, hears) = mpsc::channel();
    let stub = Stub::start([]);
    let config = config(&stub).server_url(format!("http://{gone}/2/httpapi"));
    let client = Client::new(config.on_notice(move |notice| told.send(notice.clone()).unwrap())).unwrap();
    client.track(event("user123")).unwrap();
    let notice = hears.recv_timeout(PATIENCE).unwrap();
    assert!(
        matches!(&notice, Notice::DeliveryPaused { reason } if *reason == format!("the server cannot be reached (http://{gone})")),
        "{notice:?}"
    );
    // It is tried again meanwhile.
    let report = client.flush_blocking(Duration::from_millis(700));
    assert_eq!((report.pending, report.dropped), (1, 0));
    assert!(hears.try_recv().is_err(), "once is enough");
}
