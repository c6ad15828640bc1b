//! T-R3: the suite once more, in a process that logs everything, and then a search through all that it printed for the credentials that were sent.

use amplitude_sdk::emulator::DEMO_SECRET;

use crate::trace::{Run, sentinels::Search};

#[test]
fn t_r3_nothing_secret_shows_in_the_whole_suite() {
    // A gigabyte is not logged piece by piece.
    let run = Run::of_suite(&["t_r3_nothing_secret_shows_in_the_whole_suite", "memory::"], &[]);
    let secrets = run.secrets(&[("authorization", 1)]);
    let of_servers = secrets.iter().map(|(name, text)| (*name, text.as_bytes()));
    let made_up = [DEMO_SECRET, "sentinel"].map(|secret| ("secret of a test", secret.as_bytes()));
    for part in ["TRACE hyper", "DEBUG reqwest", "shown: 127.0.0.1 does not take", "shown: ExportedEvent"] {
        assert!(run.said.lines().any(|line| line.starts_with(part)), "no line starts with {part:?}");
    }
    assert_eq!(Search::new(of_servers.chain(made_up)).found_in(run.said.as_bytes()), Vec::<String>::new());
}
