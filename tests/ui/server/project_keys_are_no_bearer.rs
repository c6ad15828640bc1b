//! The Developer API takes a user's token and no project's key; and a project's key alone cannot be asked about.

use amplitude_sdk::{
    ProjectKey,
    server::{Client, PersonalAccessToken, ProjectPair, SecretKey},
};

fn main() {
    let key = || ProjectKey::new("demo0000000000000000000000000key").unwrap();
    let pair = ProjectPair::new(key(), SecretKey::new("fake0000000000000000000000000key").unwrap());
    let token = || PersonalAccessToken::new("amp_fake").unwrap();
    drop(Client::new(token()).unwrap().context());
    drop(Client::new(pair.clone()).unwrap().with_bearer(token()).context());
    drop(Client::new(pair.clone()).unwrap().verify());

    drop(Client::new(pair.clone()).unwrap().context()); //~ E0277 ProjectPair` cannot call the Developer API
    //~^ make the client from a `server::OAuth` or a `server::PersonalAccessToken`, or add one with `Client::with_bearer`
    let _ = Client::new(key()).unwrap().with_bearer(pair); //~ E0277 ProjectPair` cannot call the Developer API
    drop(Client::new(key()).unwrap().verify()); //~ E0277 ProjectKey` cannot be verified
    //~^ ingestion only
}
