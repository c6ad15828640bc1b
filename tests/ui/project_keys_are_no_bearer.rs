//! The Developer API takes a user's token and no project's key; and a project's key alone cannot be asked about.

use amplitude_sdk::{
    ProjectKey,
    server::{Client, PersonalAccessToken, ProjectPair, SecretKey},
};

fn main() {
    let key = || ProjectKey::new("demo0000000000000000000000000key").unwrap();
    let pair = ProjectPair::new(key(), SecretKey::new("fake0000000000000000000000000key").unwrap());
    let token = || PersonalAccessToken::new("amp_fake").unwrap();
    let _ = Client::new(token()).unwrap().context();
    let _ = Client::new(pair.clone()).unwrap().with_bearer(token()).context();
    let _ = Client::new(pair.clone()).unwrap().verify();

    let _ = Client::new(pair.clone()).unwrap().context();
    let _ = Client::new(key()).unwrap().with_bearer(pair);
    let _ = Client::new(key()).unwrap().verify();
}
