//! `Client` end to end, against a scripted server on loopback.

#![cfg(not(target_family = "wasm"))]

mod capabilities;
mod proxy;
mod support;

use std::{
    future::Future,
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake},
    thread,
    time::Duration,
};

use amplitude_sdk::{
    Client, Config, DropReason, ErrorKind, Event, Flow, GroupIdentify, Identify, IngestionApi, LongStrings, Notice, Outcome,
    Plugin, PluginError, ProjectKey, Revenue,
};
use support::{Answer, PATIENCE, Stub};

const KEY: &str = "demo0000000000000000000000000key";

fn config(stub: &Stub) -> Config {
    Config::new(ProjectKey::new(KEY).unwrap()).server_url(stub.url()).flush_interval(Duration::from_millis(5))
}

fn event(user: &str) -> Event {
    Event::builder("Product Purchased").user_id(user).property("price", 29.99).build().unwrap()
}

/// The smallest executor, to show that no other is needed.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(thread::current())).into();
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return value;
        }
        thread::park();
    }
}

#[test]
fn delivers_without_a_runtime() {
    let stub = Stub::start([]);
    let client = Client::new(config(&stub)).unwrap();
    client.track(event("user123")).unwrap();
    client.track(event("user456")).unwrap();
    let report = block_on(client.flush(PATIENCE));
    assert_eq!((report.delivered, report.pending), (2, 0));

    let requests = stub.seen();
    let events: Vec<_> = requests.iter().flat_map(|request| request.events()).collect();
    assert_eq!(events.len(), 2);
    assert_eq!(requests[0].line, "POST /2/httpapi HTTP/1.1");
    assert_eq!(requests[0].header("content-type"), Some("application/json"));
    assert_eq!(requests[0].json()["api_key"], KEY);
    assert!(requests[0].json()["client_upload_time"].as_str().unwrap().ends_with('Z'));
    assert_eq!(events[0]["user_id"], "user123");
    assert_eq!(events[0]["event_type"], "Product Purchased");
    assert_eq!(events[0]["event_properties"]["price"], 29.99);
    assert!(events[0]["time"].as_i64().unwrap() > 1_700_000_000_000);
    assert_eq!(events[0]["insert_id"].as_str().unwrap().len(), 36);
    assert_ne!(events[0]["insert_id"], events[1]["insert_id"]);
    assert!(events[0]["library"].as_str().unwrap().starts_with("amplitude-sdk-rust/"));
}

#[tokio::test]
async fn delivers_inside_a_runtime() {
    let stub = Stub::start([]);
    let client = Client::new(config(&stub)).unwrap();
    let receipt = client.track_with_receipt(event("user123")).unwrap();
    receipt.stored().await.unwrap();
    assert_eq!(receipt.settled().await, Outcome::Delivered);
}

#[test]
fn delivers_after_the_callers_runtime_has_ended() {
    let stub = Stub::start([]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let client = runtime.block_on(async {
        let client = Client::new(config(&stub)).unwrap();
        client.track(event("inside-the-runtime")).unwrap();
        client
    });
    drop(runtime);
    client.track(event("after-the-runtime")).unwrap();
    let report = client.flush_blocking(PATIENCE);
    assert_eq!(report.pending, 0);
    assert_eq!(client.counts().delivered, 2);
}

#[test]
fn what_waits_is_sent_after_the_last_handle_is_dropped() {
    let stub = Stub::start([]);
    let client = Client::new(config(&stub).flush_interval(Duration::from_secs(3600))).unwrap();
    client.track(event("user123")).unwrap();
    drop(client.clone());
    drop(client);
    assert_eq!(stub.wait_for_requests(1)[0].events().len(), 1);
}

#[test]
fn clients_are_send_sync_and_clone() {
    fn check<T: Send + Sync + Clone + 'static>() {}
    check::<Client>();
    fn check_future<T: Send>(_: T) {}
    let stub = Stub::start([]);
    let client = Client::new(config(&stub)).unwrap();
    check_future(client.flush(Duration::ZERO));
    check_future(client.capacity(1));
}

#[test]
fn many_threads_lose_nothing_and_keep_order_per_device() {
    let stub = Stub::start([]);
    let client = Client::new(config(&stub)).unwrap();
    thread::scope(|scope| {
        for device in 0..4 {
            let client = client.clone();
            scope.spawn(move || {
                for index in 0..500 {
                    let event = Event::builder("step").device_id(&format!("device-{device}")).property("index", index);
                    client.track(event.build().unwrap()).unwrap();
                }
            });
        }
    });
    assert_eq!(client.shutdown_blocking(PATIENCE).pending, 0);
    assert_eq!(client.counts().delivered, 2000);
    for device in 0..4 {
        let name = format!("device-{device}");
        let order: Vec<_> = stub
            .seen()
            .iter()
            .flat_map(support::Seen::events)
            .filter(|event| event["device_id"] == name)
            .map(|event| event["event_properties"]["index"].as_i64().unwrap())
            .collect();
        assert_eq!(order, (0..500).collect::<Vec<_>>());
    }
}

#[test]
fn a_hung_server_does_not_block_track_and_the_event_is_sent_again() {
    let stub = Stub::start([Answer::Silence]);
    let client = Client::new(config(&stub).request_timeout(Duration::from_millis(300))).unwrap();
    let receipt = client.track_with_receipt(event("user123")).unwrap();
    stub.wait_for_requests(1);
    // The request is under way and hangs; tracking goes on.
    client.track(event("user456")).unwrap();
    assert_eq!(block_on(receipt.settled()), Outcome::Delivered);
    let events: Vec<_> = stub.seen().iter().flat_map(support::Seen::events).collect();
    let copies: Vec<_> = events.iter().filter(|event| event["user_id"] == "user123").collect();
    assert_eq!(copies.len(), 2);
    assert_eq!(copies[0]["insert_id"], copies[1]["insert_id"]);
}

#[test]
fn hang_ups_and_html_pages_deliver_nothing() {
    let page = "<html><body>Please log in</body></html>";
    let stub = Stub::start([
        Answer::HangUp,
        Answer::Say(200, "text/html", page.to_owned()),
        Answer::Say(502, "text/html", page.to_owned()),
        Answer::Header(503, "retry-after: 0"),
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
fn a_full_queue_refuses_and_gives_the_event_back() {
    let stub = Stub::start([Answer::Silence]);
    let client = Client::new(config(&stub).queue_bytes(600).request_timeout(Duration::from_secs(60)).max_in_flight(1)).unwrap();
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
    assert_eq!(client.flush_blocking(PATIENCE).delivered, 1);
}

#[test]
fn ids_are_checked_against_the_configuration() {
    let stub = Stub::start([]);
    let client = Client::new(config(&stub)).unwrap();
    let error = client.track(Event::builder("e").user_id("abc").build().unwrap()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert_eq!(error.to_string(), "user_id: is shorter than 5 characters; see `min_id_length`");
    assert!(error.into_event().is_some());
    let error = client.track(Event::builder("e").build().unwrap()).unwrap_err();
    assert!(error.to_string().contains("device_id"), "{error}");

    let lenient = Client::new(config(&stub).min_id_length(1)).unwrap();
    lenient.track(Event::builder("e").user_id("abc").build().unwrap()).unwrap();
    lenient.flush_blocking(PATIENCE);
    assert_eq!(stub.seen().last().unwrap().json()["options"]["min_id_length"], 1);
}

#[test]
fn long_strings_are_passed_warned_once_counted_or_refused() {
    let stub = Stub::start([]);
    let long = || Event::builder("long").user_id("user123").property("text", "ä".repeat(1025)).build().unwrap();
    let notices = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&notices);
    let client = Client::new(config(&stub).on_notice(move |notice| {
        assert!(matches!(notice, Notice::LongString { event_type } if event_type == "long"));
        seen.fetch_add(1, Ordering::SeqCst);
    }))
    .unwrap();
    client.track(long()).unwrap();
    client.track(long()).unwrap();
    client.flush_blocking(PATIENCE);
    let sent = stub.seen().iter().flat_map(support::Seen::events).next().unwrap();
    assert_eq!(sent["event_properties"]["text"].as_str().unwrap().chars().count(), 1025);
    assert_eq!(notices.load(Ordering::SeqCst), 1);
    assert_eq!(client.counts().long_strings, 2);

    let strict = Client::new(config(&stub).long_strings(LongStrings::Refuse)).unwrap();
    let error = strict.track(long()).unwrap_err();
    assert!(error.to_string().contains("1024"), "{error}");
}

struct Step(&'static str, fn(&mut Event) -> Result<Flow, PluginError>);

impl Plugin for Step {
    fn name(&self) -> &str {
        self.0
    }

    fn process(&self, event: &mut Event) -> Result<Flow, PluginError> {
        self.1(event)
    }
}

#[test]
fn plugins_enrich_drop_and_fail_alone() {
    let stub = Stub::start([]);
    let notices = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&notices);
    let client = Client::new(
        config(&stub)
            .plugin(Step("enrich", |event| {
                event.event_properties_mut().set("plan", "pro")?;
                Ok(Flow::Continue)
            }))
            .plugin(Step("fails", |event| {
                event.event_properties_mut().set("half_done", true)?;
                Err("no network".into())
            }))
            .plugin(Step("panics", |event| {
                event.event_properties_mut().set("half_done", true)?;
                panic!("a plugin's panic, on purpose")
            }))
            .plugin(Step("drop", |event| Ok(if event.event_type() == "internal" { Flow::Drop } else { Flow::Continue })))
            .on_notice(move |notice| seen.lock().unwrap().push(notice.clone())),
    )
    .unwrap();
    let kept = client.track_with_receipt(event("user123")).unwrap();
    let dropped = client.track_with_receipt(Event::builder("internal").user_id("user123").build().unwrap()).unwrap();
    assert_eq!(block_on(kept.settled()), Outcome::Delivered);
    assert_eq!(block_on(dropped.settled()), Outcome::Dropped(DropReason::Plugin));
    let events: Vec<_> = stub.seen().iter().flat_map(support::Seen::events).collect();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["event_properties"]["plan"], "pro");
    assert!(events[0]["event_properties"].get("half_done").is_none());
    let failed: Vec<_> = notices
        .lock()
        .unwrap()
        .iter()
        .map(|notice| match notice {
            Notice::PluginFailed { plugin, .. } => plugin.clone(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(failed, ["fails", "panics", "fails", "panics"]);
    let counts = client.counts();
    assert_eq!(counts.accepted, counts.delivered + counts.rejected + counts.dropped + counts.unknown + counts.pending);
    assert_eq!(counts.dropped, 1);
}

#[test]
fn shutdown_refuses_new_events_and_reports_what_is_left() {
    let stub = Stub::start([Answer::Silence]);
    let client = Client::new(config(&stub).request_timeout(Duration::from_secs(60))).unwrap();
    let receipt = client.track_with_receipt(event("user123")).unwrap();
    stub.wait_for_requests(1);
    let report = client.shutdown_blocking(Duration::from_millis(100));
    assert_eq!((report.delivered, report.pending, report.dropped), (0, 0, 1));
    assert_eq!(report.dropped_for(DropReason::Shutdown), 1);
    assert_eq!(block_on(receipt.settled()), Outcome::Dropped(DropReason::Shutdown));
    assert_eq!(client.track(event("user123")).unwrap_err().kind(), ErrorKind::Closed);
    // A second shutdown has nothing left to do.
    assert_eq!(client.shutdown_blocking(PATIENCE), amplitude_sdk::Report::default());
}

#[test]
fn flush_covers_what_was_tracked_before_it_and_no_more_than_its_deadline() {
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

#[test]
fn gzip_follows_its_threshold() {
    let stub = Stub::start([]);
    let text = "long and repetitive ".repeat(50);
    let big = || Event::builder("big").user_id("user123").property("text", text.as_str()).build().unwrap();
    let compressed = Client::new(config(&stub).gzip(6, 500)).unwrap();
    compressed.track(big()).unwrap();
    compressed.flush_blocking(PATIENCE);
    let plain = Client::new(config(&stub).gzip(6, 100_000)).unwrap();
    plain.track(big()).unwrap();
    plain.flush_blocking(PATIENCE);
    let off = Client::new(config(&stub).no_gzip()).unwrap();
    off.track(big()).unwrap();
    off.flush_blocking(PATIENCE);
    let seen = stub.seen();
    assert_eq!(seen[0].header("content-encoding"), Some("gzip"));
    assert!(seen[0].raw_bytes < seen[0].text.len() / 2);
    assert_eq!(seen[1].header("content-encoding"), None);
    assert_eq!(seen[2].header("content-encoding"), None);
    assert_eq!(seen[0].events()[0]["event_properties"], seen[2].events()[0]["event_properties"]);
}

#[test]
fn batches_keep_the_bounds_of_their_endpoint() {
    let stub = Stub::start([]);
    let client =
        Client::new(config(&stub).api(IngestionApi::HttpV2).batch_bytes(10_000).flush_interval(Duration::from_secs(3600)))
            .unwrap();
    for index in 0..500 {
        client.track(event(&format!("user-{index}"))).unwrap();
    }
    client.flush_blocking(PATIENCE);
    let seen = stub.seen();
    assert!(seen.len() >= 5);
    for request in &seen {
        assert!(request.text.len() <= 10_000, "{}", request.text.len());
    }
    assert_eq!(seen.iter().map(|request| request.events().len()).sum::<usize>(), 500);
}

#[test]
fn identify_groups_and_revenue_have_their_shapes() {
    let stub = Stub::start([]);
    let client = Client::new(config(&stub)).unwrap();
    client.identify(Some("user123"), None, Identify::new().set("plan", "pro").add("logins", 1)).unwrap();
    client.group_identify(Some("user123"), None, GroupIdentify::new("org id", "12345678").set("plan", "enterprise")).unwrap();
    client.revenue(None, Some("device-1"), Revenue::new(4.99).quantity(2).product_id("sku-1")).unwrap();
    client.flush_blocking(PATIENCE);
    let events: Vec<_> = stub.seen().iter().flat_map(support::Seen::events).collect();
    let find = |kind: &str| events.iter().find(|event| event["event_type"] == kind).unwrap();
    assert_eq!(find("$identify")["user_properties"]["$set"]["plan"], "pro");
    assert_eq!(find("$identify")["user_properties"]["$add"]["logins"], 1);
    assert_eq!(find("$groupidentify")["groups"]["org id"], "12345678");
    assert_eq!(find("$groupidentify")["group_properties"]["$set"]["plan"], "enterprise");
    assert_eq!(find("revenue_amount")["event_properties"]["$price"], 4.99);
    assert_eq!(find("revenue_amount")["event_properties"]["$quantity"], 2);
}

#[test]
fn bad_configuration_is_named() {
    let base = || Config::new(ProjectKey::new(KEY).unwrap());
    for (config, name) in [
        (base().batch_events(0), "batch_events"),
        (base().batch_events(2001), "batch_events"),
        (base().batch_bytes(1_000_001), "batch_bytes"),
        (base().batch_bytes(1), "batch_bytes"),
        (base().queue_bytes(0), "queue_bytes"),
        (base().max_in_flight(0), "max_in_flight"),
        (base().min_id_length(0), "min_id_length"),
        (base().server_url("not a url"), "url"),
        (base().server_url(""), "url"),
        (base().server_url("http://example.com/2/httpapi"), "https"),
        (base().server_url("ftp://127.0.0.1/"), "https"),
        (base().gzip(10, 0), "gzip"),
    ] {
        let error = Client::new(config).map(|_| ()).expect_err(name);
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains(name), "{error} does not name {name}");
    }
}
