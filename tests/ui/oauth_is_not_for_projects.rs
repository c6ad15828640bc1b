//! A user's token on a project's API is a choice that has a type of its own.

use amplitude_sdk::{
    Event, ProjectKey, Region,
    server::{AccessToken, Client, ExportRange, IngestOptions, OAuth, ProjectBearer, Scope, StaticToken},
};

fn range() -> ExportRange {
    ExportRange::parse("20260101T00", "20260101T23").unwrap()
}

fn main() {
    let oauth = || OAuth::new(StaticToken::new(AccessToken::new("fake").unwrap(), Region::Us));
    let bearer = || ProjectBearer::new(oauth(), Scope::new("reads").unwrap());
    let _ = Client::new(oauth()).unwrap().context();
    let _ = Client::new(bearer()).unwrap().export(range());
    let key = ProjectKey::new("demo0000000000000000000000000key").unwrap();
    let both = Client::new(key).unwrap().with_bearer(oauth());
    let _ = both.context();

    let _ = Client::new(oauth()).unwrap().export(range());
    let _ = both.export(range());
    let mut events: [Event; 0] = [];
    let _ = Client::new(bearer()).unwrap().ingest(&mut events, IngestOptions::new());
    let _ = Client::new(bearer()).unwrap().context();
    let _ = Client::new(bearer()).unwrap().verify();
}
