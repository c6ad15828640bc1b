//! T-R3: the whole suite once more, in a process that logs everything, and then a search through all that it printed for every credential that a
//! server was sent, and for those that the tests made up.

use crate::trace::{Run, sentinels::Search};

/// How the secrets begin that the tests make up.
const MADE_UP: [&str; 9] = [
    "fake0000000000000000000000000key",
    "fake-and-wrong",
    "fake-management-key",
    "fake-new-secret",
    "fake-old-secret",
    "fake-secret",
    "fake-token",
    "amp_fake",
    "sentinel",
];

#[test]
fn t_r3_nothing_secret_shows_in_the_whole_suite() {
    // The compiler quotes the sources that it is given.
    let run = Run::of_suite(&["t_r3_nothing_secret_shows_in_the_whole_suite", "wrong_credentials_do_not_compile"], &[]);
    let secrets = run.secrets(&[("authorization", 20)]);
    let of_servers = secrets.iter().map(|(name, text)| (*name, text.as_bytes()));
    let search = Search::new(of_servers.chain(MADE_UP.map(|secret| ("secret of a test", secret.as_bytes()))));
    for part in ["TRACE hyper", "DEBUG rustls", "DEBUG reqwest", "DEBUG amplitude_sdk", " WARN amplitude_sdk"] {
        assert!(run.said.lines().any(|line| line.starts_with(part)), "no line of the log starts with {part:?}");
    }
    for shown in ["Unauthorized", "Invalid", "Transport", "Timeout", "Protocol", "Throttled", "ProjectPair", "redacted"] {
        assert!(run.said.contains(shown), "no {shown} was shown");
    }
    assert_eq!(search.found_in(run.said.as_bytes()), Vec::<String>::new());
    let urls = urls(&run);
    assert!(urls.lines().count() > 100, "{urls}");
    assert_eq!(search.found_in(urls.as_bytes()), Vec::<String>::new());
}

/// The addresses that the library asked.
fn urls(run: &Run) -> String {
    run.passed().map(|it| it["url"].as_str().expect("each has one").to_owned() + "\n").collect()
}
