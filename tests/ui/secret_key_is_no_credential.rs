//! A secret key without the project's key is no credential.

use amplitude_sdk::{
    ProjectKey,
    server::{Client, ProjectPair, SecretKey},
};

fn main() {
    let secret = SecretKey::new("fake0000000000000000000000000key").unwrap();
    let key = ProjectKey::new("demo0000000000000000000000000key").unwrap();
    let _ = Client::new(ProjectPair::new(key, secret.clone()));
    let _ = Client::new(secret);
}
