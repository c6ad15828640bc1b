//! T-R3: the whole suite once more, in a process that logs everything, and then a search through all that it printed, of the emulator itself too,
//! for every credential, code and token that passed.

use amplitude_sdk::emulator::DEMO_SECRET;

use crate::trace::{Run, sentinels::Search};

/// The fields that hold secrets, and how many of each there are at the least.
const SECRETS: [(&str, usize); 7] = [
    ("access_token", 20),
    ("authorization", 20),
    ("client_secret", 3),
    ("code", 10),
    ("device_code", 5),
    ("refresh_token", 20),
    ("registration_access_token", 2),
];

#[test]
fn t_r3_nothing_secret_shows_in_the_whole_suite() {
    let run = Run::of_suite(&["t_r3_nothing_secret_shows_in_the_whole_suite"], &[]);
    let secrets = run.secrets(&SECRETS);
    let of_servers = secrets.iter().map(|(name, text)| (*name, text.as_bytes()));
    let search = Search::new(of_servers.chain([("secret key", DEMO_SECRET.as_bytes())]));
    for part in ["TRACE hyper", "shown: Emulator {"] {
        assert!(run.said.lines().any(|line| line.starts_with(part)), "no line starts with {part:?}");
    }
    assert_eq!(search.found_in(run.said.as_bytes()), Vec::<String>::new());
}
