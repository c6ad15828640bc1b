//! Events go to a project: what names none cannot send any.

use amplitude_sdk::{
    Event, ProjectKey,
    server::{Client, Credential, IngestOptions, ManagementKey, PersonalAccessToken, ProfileKey, SecretKey},
};

const FAKE: &str = "fake0000000000000000000000000key";

fn client<C: Credential>(credential: C) -> Client<C> {
    Client::new(credential).unwrap()
}

fn main() {
    let mut events: [Event; 0] = [];
    let token = || PersonalAccessToken::new("amp_fake").unwrap();
    let key = ProjectKey::new("demo0000000000000000000000000key").unwrap();
    drop(client(key).with_bearer(token()).ingest(&mut events, IngestOptions::new()));

    let profile = ProfileKey::new(SecretKey::new(FAKE).unwrap());
    drop(client(profile).ingest(&mut events, IngestOptions::new())); //~ E0277 ProfileKey` cannot ingest events
    //~^ make the client from a `ProjectKey` or a `server::ProjectPair`
    let management = ManagementKey::new(FAKE).unwrap();
    drop(client(management).ingest(&mut events, IngestOptions::new())); //~ E0277 ManagementKey` cannot ingest events
    drop(client(token()).ingest(&mut events, IngestOptions::new())); //~ E0277 PersonalAccessToken` cannot ingest events
}
