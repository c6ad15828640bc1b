//! Nobody else makes credentials.

use amplitude_sdk::server::{CanExport, Credential};

fn check<C: Credential>() {}

#[derive(Clone)]
struct Mine;

impl Credential for Mine {}
impl CanExport for Mine {}

fn main() {
    check::<amplitude_sdk::server::ProjectPair>();
}
