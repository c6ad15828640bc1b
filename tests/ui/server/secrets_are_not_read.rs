//! A secret's text is not for users: no `Display`, no comparison, no default, no access.

use amplitude_sdk::server::SecretKey;

fn main() {
    let secret = SecretKey::new("fake0000000000000000000000000key").unwrap();
    println!("{:?}", secret.clone());
    println!("{secret}"); //~ E0277 Display
    let _ = secret == secret.clone(); //~ E0369 `==`
    let _ = SecretKey::default(); //~ E0599 `default`
    let _ = secret.expose(); //~ E0599 `expose`
    let _ = secret.0; //~ E0616 private
}
