//! What a configuration changes, and what it refuses.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use amplitude_sdk::{Client, Config, ErrorKind, Event, IngestionApi, LongStrings, Notice, ProjectKey, Properties};

use crate::{
    KEY, config, event,
    support::{self, PATIENCE, Stub},
};

#[test]
fn ids_are_checked_against_the_configuration() {
    let stub = Stub::start([]);
    let client = Client::new(config(&stub)).unwrap();
    let error = client.track(Event::builder("e").user_id("abc").build().unwrap()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert_eq!(error.to_string(), "user_id: is shorter than 5 characters; see `min_id_length`, on a page `minIdLength`");
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

#[test]
fn numbers_that_no_double_holds_are_refused_in_properties() {
    for value in ["1e400", "-1e400", "[1,{\"a\":2E+309}]", &"9".repeat(400)] {
        let error = Properties::from_json(&format!("{{\"fine\":1e300,\"huge\":{value}}}")).unwrap_err();
        assert!(error.to_string().contains("properties.huge: holds a number"), "{error}");
        let event = format!("{{\"event_type\":\"a\",\"user_id\":\"user123\",\"event_properties\":{{\"huge\":{value}}}}}");
        assert_eq!(Event::from_json(&event).unwrap_err().kind(), ErrorKind::Invalid);
    }
    let good = r#"{"text":"1e400, \" 1e400","tiny":1e-400,"list":[-0,1.5,true,null],"1e400":0}"#;
    assert_eq!(Properties::from_json(good).unwrap().len(), 4);
}

#[test]
fn a_long_string_that_is_gone_is_not_counted() {
    let long = || "x".repeat(1025);
    let mut event =
        Event::builder("long").user_id("user123").property("text", long()).property("list", [long(), long()]).build().unwrap();
    assert_eq!(event.long_strings(), 3);
    event.event_properties_mut().set("text", "short").unwrap();
    assert_eq!(event.long_strings(), 2);
    assert!(event.event_properties_mut().remove("list"));
    assert_eq!(event.long_strings(), 0);
    event.set_field("app_version", &format!("\"{}\"", long())).unwrap();
    assert_eq!(event.long_strings(), 1);
    event.set_field("app_version", "\"1\"").unwrap();
    assert_eq!(event.long_strings(), 0);

    let stub = Stub::start([]);
    let strict = Client::new(config(&stub).long_strings(LongStrings::Refuse)).unwrap();
    strict.track(event).unwrap();
}

/// Words that compress, but not to nothing.
fn prose() -> String {
    (0..2000u64).map(|number| format!("{} ", number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % 5000)).collect()
}

/// Sends the same event with another compression, and answers with the request.
fn sent(compression: impl FnOnce(Config) -> Config) -> support::Seen {
    let stub = Stub::start([]);
    let client = Client::new(compression(config(&stub))).unwrap();
    client.track(Event::builder("big").user_id("user123").property("text", prose()).build().unwrap()).unwrap();
    client.shutdown_blocking(PATIENCE);
    assert_eq!(client.counts().delivered, 1);
    stub.seen().remove(0)
}

#[test]
fn gzip_follows_its_threshold() {
    let plain = sent(Config::no_gzip);
    let bytes = plain.raw_bytes;
    assert_eq!((plain.header("content-encoding"), plain.text.len()), (None, bytes));
    let at = sent(|config| config.gzip(6, bytes));
    assert_eq!(at.header("content-encoding"), Some("gzip"));
    assert!(at.raw_bytes < bytes / 2);
    assert_eq!(at.events()[0]["event_properties"], plain.events()[0]["event_properties"]);
    let above = sent(|config| config.gzip(6, bytes + 1));
    assert_eq!((above.header("content-encoding"), above.raw_bytes), (None, bytes));
    assert_eq!(sent(|config| config).header("content-encoding"), Some("gzip"), "by default from 2048 bytes on");
}

#[test]
fn gzip_follows_its_level() {
    let bytes = [0, 1, 9].map(|level| sent(|config| config.gzip(level, 0)).raw_bytes);
    assert!(bytes[0] > bytes[1] && bytes[1] > bytes[2], "levels 0, 1 and 9 make {bytes:?} bytes");
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

#[test]
fn the_address_of_one_api_is_no_base_of_all() {
    use amplitude_sdk::server::{Client, Options};

    let made = |url: &str| Client::with_options(ProjectKey::new(KEY).unwrap(), Options::new().base_url(url));
    for url in ["http://127.0.0.1:8787/2/httpapi", "https://proxy.example.com/batch/"] {
        let error = made(url).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().starts_with("base url: is the address of one API"), "{error}");
    }
    for url in ["http://127.0.0.1:8787", "https://proxy.example.com/amplitude/"] {
        assert!(made(url).is_ok(), "{url}");
    }
}
