//! Nobody else makes credentials.

use amplitude_sdk::server::{CanExport, Credential};

fn check<C: Credential>() {}

#[derive(Clone)]
struct Mine;

impl Credential for Mine {} //~ E0277 Sealed
impl CanExport for Mine {} //~ E0277 Sealed

fn main() {
    check::<amplitude_sdk::server::ProjectPair>();
}
