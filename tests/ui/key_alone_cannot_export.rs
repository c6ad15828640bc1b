//! A project key alone ingests, but cannot export.

use amplitude_sdk::{
    Event, ProjectKey,
    server::{Client, ExportRange, IngestOptions},
};

fn main() {
    let client = Client::new(ProjectKey::new("demo0000000000000000000000000key").unwrap()).unwrap();
    let mut events: [Event; 0] = [];
    let _ = client.ingest(&mut events, IngestOptions::new());
    let range = ExportRange::parse("20260101T00", "20260101T23").unwrap();
    let _ = client.export(range);
}
