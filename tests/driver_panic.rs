//! A driver that panics leaves nobody waiting. A file of its own, because what makes it panic is a subscriber of the whole process.

#![cfg(not(target_family = "wasm"))]

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    thread,
    time::Duration,
};

use amplitude_sdk::{Client, Config, ErrorKind, Event, Outcome, ProjectKey};
use tracing::{
    Level, Metadata, Subscriber,
    span::{Attributes, Id, Record},
};

/// Ends whoever warns.
struct Panics;

impl Subscriber for Panics {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::WARN
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &tracing::Event<'_>) {
        panic!("a subscriber's panic, on purpose");
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// Answers every request with a page, of which the client warns.
fn portal() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/2/httpapi", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\nconnection: close\r\n\r\n<html>");
        }
    });
    url
}

#[test]
fn a_driver_that_panics_leaves_nobody_waiting() {
    tracing::subscriber::set_global_default(Panics).unwrap();
    let key = ProjectKey::new("demo0000000000000000000000000key").unwrap();
    let event = || Event::builder("Product Purchased").user_id("user123").build().unwrap();
    let client = Client::new(Config::new(key).server_url(portal()).flush_interval(Duration::from_millis(5))).unwrap();
    let receipt = client.track_with_receipt(event()).unwrap();
    let report = client.flush_blocking(Duration::from_secs(3600));
    assert_eq!((report.unknown, report.pending), (1, 0));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    assert_eq!(runtime.block_on(receipt.settled()), Outcome::Unknown);
    assert_eq!(client.track(event()).unwrap_err().kind(), ErrorKind::Closed);
    let counts = client.counts();
    assert_eq!((counts.accepted, counts.unknown, counts.pending), (1, 1, 0));
    // Nothing is pending, so that there is nothing to wait for.
    assert_eq!(client.shutdown_blocking(Duration::from_secs(3600)).pending, 0);
    drop(client);

    // What is on the disk is free for others, though the client with the broken driver is still there.
    #[cfg(feature = "disk")]
    {
        let dir = tempfile::tempdir().unwrap();
        let key = ProjectKey::new("demo0000000000000000000000000key").unwrap();
        let config = Config::new(key)
            .server_url(portal())
            .flush_interval(Duration::from_millis(5))
            .disk(amplitude_sdk::DiskOptions::new(dir.path()));
        let client = Client::new(config.clone()).unwrap();
        let receipt = client.track_with_receipt(event()).unwrap();
        assert_eq!(runtime.block_on(receipt.settled()), Outcome::Kept);
        client.flush_blocking(Duration::from_secs(3600));
        let next = Client::new(config).unwrap();
        assert_eq!((next.counts().pending, client.counts().pending), (1, 1));
    }
}
