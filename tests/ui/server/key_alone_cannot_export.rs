//! A project key alone ingests, but cannot export.

use amplitude_sdk::{
    Event, ProjectKey,
    server::{Client, ExportRange, IngestOptions},
};

fn main() {
    let client = Client::new(ProjectKey::new("demo0000000000000000000000000key").unwrap()).unwrap();
    let mut events: [Event; 0] = [];
    drop(client.ingest(&mut events, IngestOptions::new()));
    let range = ExportRange::parse("20260101T00", "20260101T23").unwrap();
    drop(client.export(range)); //~ E0277 ProjectKey` cannot export events
    //~^ make the client from a `server::ProjectPair`
}
