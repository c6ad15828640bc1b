//! A secret's text is not for users: no `Display`, no comparison, no default, no access.

use amplitude_sdk::server::SecretKey;

fn main() {
    let secret = SecretKey::new("fake0000000000000000000000000key").unwrap();
    println!("{:?}", secret.clone());
    println!("{secret}");
    let _ = secret == secret.clone();
    let _ = SecretKey::default();
    let _ = secret.expose();
    let _ = secret.0;
}
