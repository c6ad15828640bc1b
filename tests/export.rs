//! Export and ingest with a project's secret, against the emulator and against archives of every form.

#![cfg(all(not(target_family = "wasm"), feature = "emulator"))]

use std::{
    io::{Cursor, Read, Write},
    net::TcpListener,
    thread,
};

use amplitude_sdk::{
    ErrorKind, Event, ProjectKey,
    emulator::{DEMO_KEY, DEMO_SECRET, Emulator},
    server::{Client, Export, ExportRange, IngestOptions, Ingested, Options, ProjectPair, SecretKey},
};
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

fn pair(secret: &str) -> ProjectPair {
    ProjectPair::new(ProjectKey::new(DEMO_KEY).unwrap(), SecretKey::new(secret).unwrap())
}

fn client(url: String) -> Client<ProjectPair> {
    Client::with_options(pair(DEMO_SECRET), Options::new().base_url(url)).unwrap()
}

fn this_hour() -> ExportRange {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    ExportRange::from_unix_seconds(now - 3600, now + 3600).unwrap()
}

#[tokio::test]
async fn what_was_ingested_is_exported_again() {
    let emulator = Emulator::builder().start().unwrap();
    let client = client(emulator.url());
    assert!(matches!(client.export(this_hour()).await.unwrap(), Export::NoData));
    let mut events = [Event::builder("Product Purchased").user_id("user123").property("price", 29.99).build().unwrap()];
    assert_eq!(client.ingest(&mut events, IngestOptions::new()).await.unwrap(), Ingested::Delivered);
    assert_eq!(client.ingest(&mut events, IngestOptions::new().with_secret()).await.unwrap(), Ingested::Delivered);
    assert_eq!(emulator.counts(DEMO_KEY).duplicates, 1, "the second has the insert id of the first");
    let Export::Events(mut exported) = client.export(this_hour()).await.unwrap() else { panic!("there is one") };
    let event = exported.next().await.unwrap().unwrap();
    assert_eq!((event.event_type(), event.user_id()), ("Product Purchased", Some("user123")));
    assert_eq!(event.event_property("price"), Some("29.99"));
    assert!(exported.next().await.is_none());
    assert!(emulator.events(DEMO_KEY).iter().all(|event| !event.contains(DEMO_SECRET)));
}

#[tokio::test]
async fn refusals_have_their_kinds_and_no_secret() {
    let emulator = Emulator::builder().export_limit_bytes(10).start().unwrap();
    let wrong = Client::with_options(pair("sentinel-of-a-secret"), Options::new().base_url(emulator.url())).unwrap();
    let error = wrong.export(this_hour()).await.unwrap_err();
    assert_eq!((error.kind(), error.status()), (ErrorKind::Unauthorized, Some(401)));
    assert!(!format!("{error:?} {error} {wrong:?}").contains("sentinel"));
    let client = client(emulator.url());
    let mut bad = [Event::builder("a").user_id("abc").build().unwrap()];
    assert_eq!(client.ingest(&mut bad, IngestOptions::new()).await.unwrap_err().kind(), ErrorKind::Invalid);
    let refused = client.ingest(&mut bad, IngestOptions::new().min_id_length(1)).await.unwrap();
    assert_eq!(refused, Ingested::Delivered);
    assert_eq!(client.export(this_hour()).await.unwrap_err().kind(), ErrorKind::TooLarge);
    let key_alone = Client::with_options(ProjectKey::new(DEMO_KEY).unwrap(), Options::new().base_url(emulator.url())).unwrap();
    let error = key_alone.ingest(&mut bad, IngestOptions::new().min_id_length(1).with_secret()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

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

/// Stored members with their sizes behind them, as a server writes that streams.
fn archive_with_descriptors() -> Vec<u8> {
    let mut zip = Vec::new();
    for hour in 0..2 {
        let data = gzip(format!("{{\"event_type\":\"e{hour}\"}}\n").as_bytes());
        let mut crc = flate2::Crc::new();
        crc.update(&data);
        let name = format!("1_2026-01-01_{hour}#0.json.gz");
        zip.extend_from_slice(&[0x50, 0x4b, 3, 4, 20, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        zip.extend_from_slice(&u16::try_from(name.len()).unwrap().to_le_bytes());
        zip.extend_from_slice(&[0, 0]);
        zip.extend_from_slice(name.as_bytes());
        zip.extend_from_slice(&data);
        zip.extend_from_slice(&[0x50, 0x4b, 7, 8]);
        zip.extend_from_slice(&crc.sum().to_le_bytes());
        for _ in 0..2 {
            zip.extend_from_slice(&u32::try_from(data.len()).unwrap().to_le_bytes());
        }
    }
    zip.extend_from_slice(&[0x50, 0x4b, 5, 6]);
    zip.extend_from_slice(&[0; 18]);
    zip
}

/// Serves a body once, in pieces of that size.
fn serve(body: Vec<u8>, piece: usize) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 4096];
        let _ = stream.read(&mut request);
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
        let _ = stream.write_all(head.as_bytes());
        for piece in body.chunks(piece) {
            if stream.write_all(piece).and_then(|()| stream.flush()).is_err() {
                return;
            }
        }
    });
    url
}

/// How many events and errors an archive gives.
async fn read(body: Vec<u8>, piece: usize) -> (usize, Vec<String>) {
    let Export::Events(mut events) = client(serve(body, piece)).export(this_hour()).await.unwrap() else { panic!("200") };
    let (mut read, mut errors) = (0, Vec::new());
    while let Some(event) = events.next().await {
        match event {
            Ok(_) => read += 1,
            Err(error) => errors.push(error.to_string()),
        }
    }
    (read, errors)
}

#[tokio::test]
async fn archives_of_every_form_are_read_in_pieces_of_any_size() {
    for archive in [
        archive(CompressionMethod::Stored, false),
        archive(CompressionMethod::Deflated, false),
        archive(CompressionMethod::Stored, true),
        archive(CompressionMethod::Deflated, true),
    ] {
        for piece in [1, 7, 100_000] {
            let (events, errors) = read(archive.clone(), piece).await;
            assert_eq!(events, 61);
            assert_eq!(errors.len(), 1, "{errors:?}");
            assert!(errors[0].starts_with("1/1_2026-01-01_1#0.json.gz line 21"), "{errors:?}");
        }
    }
    for piece in [1, 7, 100_000] {
        assert_eq!(read(archive_with_descriptors(), piece).await, (2, vec![]));
    }
}

#[tokio::test]
async fn archives_that_are_cut_off_or_broken_end_with_an_error() {
    for whole in [archive(CompressionMethod::Deflated, false), archive_with_descriptors()] {
        for cut in (0..whole.len()).step_by(3) {
            let (_, errors) = read(whole[..cut].to_vec(), 100_000).await;
            assert!(!errors.is_empty(), "cut at {cut}");
        }
    }
    let mut flipped = archive(CompressionMethod::Stored, false);
    flipped[120] ^= 0xff;
    assert!(!read(flipped, 100_000).await.1.is_empty());
    assert!(!read(b"<html>log in</html>".to_vec(), 100_000).await.1.is_empty());
}
