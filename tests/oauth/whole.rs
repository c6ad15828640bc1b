//! T-R3: the whole suite once more, in a process that logs everything, and then a search through all that it printed for every secret that any
//! server gave or was sent, and for those that the tests made up.

use crate::{
    server::Server,
    trace::{Run, sentinels::Search},
};

/// The fields that hold secrets, and how many of each there are at the least; without servers of other makers, too.
const SECRETS: [(&str, usize); 12] = [
    ("access_token", 40),
    ("authorization", 8),
    ("client_secret", 10),
    ("code", 20),
    ("code_verifier", 50),
    ("device_code", 4),
    ("id_token", 3),
    ("refresh_token", 30),
    ("registration_access_token", 20),
    ("state", 20),
    ("token", 15),
    ("user_code", 4),
];

/// How those begin that the tests make up, and the keys that they encrypt with.
const MADE_UP: [&[u8]; 8] =
    [b"sentinel", b"fake-access", b"fake-refresh", b"fake-key-fake-key", &[1; 32], &[3; 32], &[7; 32], &[8; 32]];

#[test]
fn t_r3_nothing_secret_shows_in_the_whole_suite() {
    if Server::shared().is_none() {
        return;
    }
    // A minute of the race is for the test that is about it.
    let run = Run::of_suite(&["t_r3_nothing_secret_shows_in_the_whole_suite"], &[("REFRESH_RACE_SECONDS", "5")]);
    let secrets = run.secrets(&SECRETS);
    let of_servers = secrets.iter().map(|(name, text)| (*name, text.as_bytes()));
    let search = Search::new(of_servers.chain(MADE_UP.map(|secret| ("secret of a test", secret))));

    for part in ["TRACE hyper", "DEBUG rustls", "DEBUG reqwest", " INFO amplitude_sdk::auth", " WARN amplitude_sdk::auth"] {
        assert!(run.said.lines().any(|line| line.starts_with(part)), "no line of the log starts with {part:?}");
    }
    for error in [
        "ReauthRequired(",
        "ClientRejected {",
        "Denied {",
        "ScopeRefused {",
        "CallbackRejected(",
        "Protocol {",
        "Transient {",
        "Tls {",
        "Insecure {",
        "Expired {",
        "Store(",
        "Secret(",
        "System(",
        "Unsupported {",
        "Invalid(",
    ] {
        assert!(run.said.contains(error), "no {error} was shown");
    }
    let urls = urls(&run);
    assert!(urls.lines().count() > 100, "{urls}");

    // Who opens a browser hands it an address, and the library that does logs what it runs (see `open_browser`).
    let (of_browser, rest): (Vec<_>, Vec<_>) = run.said.lines().partition(|line| line.starts_with("DEBUG webbrowser::"));
    assert_eq!(search.found_in(rest.join("\n").as_bytes()), Vec::<String>::new());
    let only_its_state = |found: &String| found.contains("authorize?state=sentinel");
    assert!(search.found_in(of_browser.join("\n").as_bytes()).iter().all(only_its_state), "{of_browser:?}");
    assert_eq!(search.found_in(urls.as_bytes()), Vec::<String>::new());
}

/// The addresses that the library asked, not those that users opened.
fn urls(run: &Run) -> String {
    let of_library = run.passed().filter(|it| it["agent"].as_str().is_some_and(|agent| agent.starts_with("amplitude-sdk")));
    of_library.map(|it| it["url"].as_str().expect("each has one").to_owned() + "\n").collect()
}
