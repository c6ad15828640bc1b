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
    let _ = client(key).with_bearer(token()).ingest(&mut events, IngestOptions::new());

    let profile = ProfileKey::new(SecretKey::new(FAKE).unwrap());
    let _ = client(profile).ingest(&mut events, IngestOptions::new());
    let management = ManagementKey::new(FAKE).unwrap();
    let _ = client(management).ingest(&mut events, IngestOptions::new());
    let _ = client(token()).ingest(&mut events, IngestOptions::new());
}
