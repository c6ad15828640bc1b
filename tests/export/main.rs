//! Export over loopback: what was ingested comes back, answers of every kind, memory.

#![cfg(all(not(target_family = "wasm"), feature = "emulator"))]

mod answers;
mod memory;
#[path = "../trace/outcome.rs"]
mod outcome;
mod server;
#[path = "../trace/mod.rs"]
mod trace;
mod whole;

use std::{
    fmt,
    io::{Cursor, Write},
    time::SystemTime,
};

use amplitude_sdk::{
    ErrorKind, Event, ProjectKey,
    emulator::{DEMO_KEY, DEMO_SECRET, Emulator},
    server::{Client, Export, ExportRange, IngestOptions, Ingested, Options, ProjectPair, SecretKey},
};
use flate2::{Compression, write::GzEncoder};
use server::{After, Server};
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

fn pair(secret: &str) -> ProjectPair {
    ProjectPair::new(ProjectKey::new(DEMO_KEY).unwrap(), SecretKey::new(secret).unwrap())
}

fn client(url: String) -> Client<ProjectPair> {
    trace::start();
    Client::with_options(pair(DEMO_SECRET), Options::new().base_url(url)).unwrap()
}

fn this_hour() -> ExportRange {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    ExportRange::from_unix_seconds(now - 3600, now + 3600).unwrap()
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

/// Three hours of twenty events, as a library writes them.
fn archive(method: CompressionMethod, large: bool) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(method).large_file(large);
    for hour in 0..3 {
        let lines: String = (0..20).map(|i| format!("{{\"event_type\":\"e{hour}-{i}\"}}\n")).collect();
        let lines = if hour == 1 { format!("{lines}not json\n{{\"event_type\":\"last\"}}") } else { lines };
        zip.start_file(format!("1/1_2026-01-01_{hour}#0.json.gz"), options).unwrap();
        zip.write_all(&gzip(lines.as_bytes())).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// Prints an outcome where all that is printed is looked through.
fn show_traced<T: fmt::Debug>(outcome: &Result<T, amplitude_sdk::Error>) {
    if trace::is_on() {
        outcome::show(outcome);
    }
}

/// How many events and errors an export gives, whichever its kind.
async fn read(client: &Client<ProjectPair>) -> (usize, Vec<amplitude_sdk::Error>) {
    let Export::Events(mut events) = client.export(this_hour()).await.unwrap() else { panic!("the answer was 200") };
    let (mut read, mut errors) = (0, Vec::new());
    while let Some(event) = events.next().await {
        show_traced(&event);
        match event {
            Ok(_) => read += 1,
            Err(error) => errors.push(error),
        }
    }
    assert!(events.next().await.is_none(), "the end is the end");
    (read, errors)
}

#[tokio::test]
async fn what_was_ingested_is_exported_again() {
    let emulator = Emulator::builder().start().unwrap();
    let client = client(emulator.url());
    assert!(matches!(client.export(this_hour()).await.unwrap(), Export::NoData));
    let mut events = [Event::builder("Product Purchased").user_id("user123").property("price", 29.99).build().unwrap()];
    let delivered = Ingested::Delivered { short: false };
    assert_eq!(client.ingest(&mut events, IngestOptions::new()).await.unwrap(), delivered);
    assert_eq!(client.ingest(&mut events, IngestOptions::new().with_secret()).await.unwrap(), delivered);
    assert_eq!(emulator.counts(DEMO_KEY).duplicates, 1, "the second has the insert id of the first");
    let Export::Events(mut exported) = client.export(this_hour()).await.unwrap() else { panic!("there is one") };
    let event = exported.next().await.unwrap().unwrap();
    assert_eq!((event.event_type(), event.user_id()), ("Product Purchased", Some("user123")));
    assert_eq!(event.event_property("price"), Some("29.99"));
    assert!(exported.next().await.is_none());
    assert!(emulator.events(DEMO_KEY).iter().all(|event| !event.contains(DEMO_SECRET)));
}

#[tokio::test]
async fn parts_of_a_range_hold_each_event_once() {
    let emulator = Emulator::builder().start().unwrap();
    let client = client(emulator.url());
    let mut events: Vec<_> =
        (0..50).map(|number| Event::builder("step").user_id(&format!("user-{number}")).build().unwrap()).collect();
    client.ingest(&mut events, IngestOptions::new()).await.unwrap();
    let mut users = Vec::new();
    for hour in this_hour().split(1) {
        let Export::Events(mut events) = client.export(hour).await.unwrap() else { continue };
        while let Some(event) = events.next().await {
            users.push(event.unwrap().user_id().unwrap().to_owned());
        }
    }
    users.sort_unstable();
    users.dedup();
    assert_eq!(users.len(), 50);
}

#[tokio::test]
async fn refusals_have_their_kinds_and_no_secret() {
    let emulator = Emulator::builder().export_limit_bytes(10).start().unwrap();
    let wrong = Client::with_options(pair("sentinel-of-a-secret"), Options::new().base_url(emulator.url())).unwrap();
    let refused = wrong.export(this_hour()).await;
    show_traced(&refused);
    let error = refused.unwrap_err();
    assert_eq!((error.kind(), error.status()), (ErrorKind::Unauthorized, Some(401)));
    assert!(!format!("{error:?} {error} {wrong:?}").contains("sentinel"));
    let client = client(emulator.url());
    let mut events = [Event::builder("a").user_id("user123").build().unwrap()];
    client.ingest(&mut events, IngestOptions::new()).await.unwrap();
    assert_eq!(client.export(this_hour()).await.unwrap_err().kind(), ErrorKind::TooLarge);
}

#[tokio::test]
async fn archives_that_a_library_writes_are_read_in_pieces_of_any_size() {
    for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
        for large in [false, true] {
            for piece in [1, 7, 100_000] {
                let server = Server::start("HTTP/1.1 200 OK", &archive(method, large), piece, After::Close);
                let (events, errors) = read(&client(server.url())).await;
                assert_eq!(events, 61);
                assert_eq!(errors.len(), 1, "{errors:?}");
                assert!(errors[0].to_string().contains("1/1_2026-01-01_1#0.json.gz line 21"), "{errors:?}");
            }
        }
    }
}
