//! `Client` needs no runtime, works inside one and outlives it; `track` waits for nobody.

use std::{
    thread,
    time::{Duration, Instant},
};

use amplitude_sdk::{Client, Event, Outcome};

use crate::{
    KEY, block_on, config, event,
    support::{self, Answer, PATIENCE, Stub},
};

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
fn a_hung_server_does_not_block_track() {
    let stub = Stub::start([Answer::Silence]);
    let client = Client::new(config(&stub).request_timeout(Duration::from_secs(600)).max_in_flight(1)).unwrap();
    client.track(event("user123")).unwrap();
    stub.wait_for_requests(1);
    // The request is under way and hangs for ten minutes.
    let start = Instant::now();
    for index in 0..10_000 {
        client.track(event(&format!("user-{index}"))).unwrap();
    }
    assert!(start.elapsed() < PATIENCE, "tracking waited for the network");
    assert_eq!((stub.seen().len(), client.counts().delivered, client.counts().pending), (1, 0, 10_001));
    stub.hang_up_on_all();
    assert_eq!(client.flush_blocking(PATIENCE).pending, 0);
}

#[test]
fn a_request_that_takes_too_long_is_sent_again_with_the_same_ids() {
    let stub = Stub::start([Answer::Silence]);
    let client = Client::new(config(&stub).request_timeout(Duration::from_millis(300))).unwrap();
    let receipt = client.track_with_receipt(event("user123")).unwrap();
    assert_eq!(block_on(receipt.settled()), Outcome::Delivered);
    let events: Vec<_> = stub.seen().iter().flat_map(support::Seen::events).collect();
    assert_eq!(events.len(), 2);
    assert_eq!(events[0]["insert_id"], events[1]["insert_id"]);
}

#[test]
fn waiting_inside_a_runtime_ends() {
    let stub = Stub::start([]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    // The runtime's only thread is blocked, and delivery goes on; so does dropping what is inside.
    let report = runtime.block_on(async {
        let client = Client::new(config(&stub)).unwrap();
        client.track(event("user123")).unwrap();
        client.flush_blocking(PATIENCE)
    });
    assert_eq!((report.delivered, report.pending), (1, 0));
}
