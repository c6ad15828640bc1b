//! The Rust client in a real browser.

#![cfg(target_family = "wasm")]

use std::time::Duration;

use amplitude_sdk::{Client, Config, ErrorKind, Event, ProjectKey};
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};

wasm_bindgen_test_configure!(run_in_browser);

const KEY: &str = "demo0000000000000000000000000key";

fn config() -> Config {
    Config::new(ProjectKey::new(KEY).expect("a key"))
}

#[wasm_bindgen_test]
async fn an_event_that_nobody_answers_stays_pending() {
    // Port 9 of loopback is closed: the browser refuses it by itself.
    let client = Client::new(config().server_url("http://127.0.0.1:9/2/httpapi")).expect("a client");
    let event = Event::builder("Product Purchased").user_id("user123").property("price", 29.99).property("large", 1e21);
    client.track(event.build().expect("an event")).expect("room");
    let report = client.flush(Duration::from_millis(300)).await;
    assert_eq!((report.delivered, report.pending), (0, 1));
    let pending = client.pending_json();
    let event = Event::from_json(pending.trim_matches(['[', ']'])).expect("what is pending can be read again");
    assert_eq!(event.event_properties().json("price"), Some("29.99"));
    assert_eq!(event.event_properties().json("large"), Some("1e+21"));
    assert!(event.field("insert_id").is_some() && event.field("time").is_some());
}

#[wasm_bindgen_test]
fn addresses_are_checked_as_on_servers() {
    for (url, good) in [
        ("https://proxy.example/2/httpapi", true),
        ("http://localhost:8787/2/httpapi", true),
        ("/collect", true),
        ("http://127.1.2.3/2/httpapi", true),
        ("http://proxy.example/2/httpapi", false),
        ("http://127.example.com/2/httpapi", false),
        ("http://127.0.0.1.example.com/2/httpapi", false),
        ("ftp://localhost/", false),
        ("https://user@proxy.example/", false),
        ("https://:password@proxy.example/", false),
        ("https://", false),
    ] {
        let result = Client::new(config().server_url(url));
        assert_eq!(result.is_ok(), good, "{url}");
        if let Err(error) = result {
            assert_eq!(error.kind(), ErrorKind::Invalid);
        }
    }
}
