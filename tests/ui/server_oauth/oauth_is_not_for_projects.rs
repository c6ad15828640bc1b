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
    drop(Client::new(oauth()).unwrap().context());
    drop(Client::new(bearer()).unwrap().export(range()));
    let key = ProjectKey::new("demo0000000000000000000000000key").unwrap();
    let both = Client::new(key).unwrap().with_bearer(oauth());
    drop(both.context());

    drop(Client::new(oauth()).unwrap().export(range())); //~ E0277 OAuth` cannot export events
    //~^ for delegated access, from a `server::ProjectBearer`
    drop(both.export(range())); //~ E0277 cannot export events
    let mut events: [Event; 0] = [];
    drop(Client::new(bearer()).unwrap().ingest(&mut events, IngestOptions::new())); //~ E0277 ProjectBearer` cannot ingest events
    drop(Client::new(bearer()).unwrap().context()); //~ E0277 ProjectBearer` cannot call the Developer API
    drop(Client::new(bearer()).unwrap().verify()); //~ E0277 ProjectBearer` cannot be verified
}
