//! T-R3: the whole suite once more, in a process that logs everything, and then a search through all that it printed for every secret that any
//! server gave or was sent, and for those that the tests made up.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    error::Error,
    fmt,
    fs::{self, File, OpenOptions},
    io::Write as _,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    processes::Running,
    sentinels::{SHORTEST, Search, print_logs, show},
    server::Server,
};

/// Names the file in which every server of the tests writes what passes, a JSON object a line: `url` and `agent` of a request, and beside them
/// whatever was in it and in its answer. It is set in the process that logs everything, and in those that it starts.
pub(crate) const EXCHANGES: &str = "AMPLITUDE_TEST_EXCHANGES";

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

pub(crate) fn is_on() -> bool {
    env::var_os(EXCHANGES).is_some()
}

/// Every way into the library begins with it.
pub(crate) fn start() {
    if is_on() {
        print_logs();
    }
}

/// What passed at a server of this process.
pub(crate) fn exchange(what: &Value) {
    if let Some(path) = env::var_os(EXCHANGES) {
        let mut file = OpenOptions::new().append(true).create(true).open(path).expect("a file that can be written");
        file.write_all(format!("{what}\n").as_bytes()).expect("it is written");
    }
}

pub(crate) trait Shown {
    /// Prints what a program could print of it, where that is looked through.
    #[must_use]
    fn shown(self) -> Self;
}

impl<T: fmt::Debug, E: Error> Shown for Result<T, E> {
    fn shown(self) -> Self {
        start();
        if is_on() {
            show(&self);
        }
        self
    }
}

/// All that passed in the other process.
struct Passed(Vec<Value>);

impl Passed {
    fn read(text: &str) -> Self {
        Self(text.lines().map(|line| serde_json::from_str(line).expect("an object a line")).collect())
    }

    /// Each secret with the name of its field. What is too short to be one is one that a test made up to see it refused.
    fn secrets(&self) -> BTreeMap<&'static str, BTreeSet<String>> {
        fn collect(value: &Value, secrets: &mut BTreeMap<&'static str, BTreeSet<String>>) {
            match value {
                Value::Object(members) => {
                    for (name, value) in members {
                        match (SECRETS.iter().find(|(known, _)| known == name), value.as_str()) {
                            (Some((name, _)), Some(text)) => {
                                // A header's begins behind its scheme.
                                let secret = text.split_once(' ').filter(|_| *name == "authorization").map_or(text, |(_, it)| it);
                                if secret.len() >= SHORTEST {
                                    secrets.entry(name).or_default().insert(secret.to_owned());
                                }
                            }
                            _ => collect(value, secrets),
                        }
                    }
                }
                Value::Array(values) => values.iter().for_each(|value| collect(value, secrets)),
                _ => {}
            }
        }
        let mut secrets = BTreeMap::new();
        self.0.iter().for_each(|exchange| collect(exchange, &mut secrets));
        secrets
    }

    /// The addresses that the library asked, not those that users opened.
    fn urls(&self) -> String {
        let of_library = self.0.iter().filter(|it| it["agent"].as_str().is_some_and(|agent| agent.starts_with("amplitude-sdk")));
        of_library.map(|it| it["url"].as_str().expect("each has one").to_owned() + "\n").collect()
    }
}

/// The suite without this test, to its end: what it printed, and what passed.
fn run() -> (String, String) {
    let folder = tempfile::tempdir().unwrap();
    let (log, exchanges) = (folder.path().join("log"), folder.path().join("exchanges"));
    let output = File::create(&log).unwrap();
    let child = Command::new(env::current_exe().unwrap())
        .args(["--nocapture", "--skip", "t_r3_nothing_secret_shows_in_the_whole_suite"])
        .env(EXCHANGES, &exchanges)
        // A minute of it is for the test that is about it.
        .env("REFRESH_RACE_SECONDS", "5")
        .stdin(Stdio::null())
        .stdout(output.try_clone().unwrap())
        .stderr(output)
        .spawn();
    let mut child = Running(child.unwrap());
    let patience = Instant::now() + Duration::from_secs(600);
    let status = loop {
        if let Some(status) = child.0.try_wait().unwrap() {
            break status;
        }
        assert!(Instant::now() < patience, "the suite does not end");
        std::thread::sleep(Duration::from_millis(100));
    };
    let said = String::from_utf8_lossy(&fs::read(log).unwrap()).into_owned();
    let is_log = |line: &&str| ["TRACE", "DEBUG", " INFO", " WARN", "shown"].iter().any(|level| line.starts_with(level));
    assert!(status.success(), "{}", said.lines().filter(|line| !is_log(line)).collect::<Vec<_>>().join("\n"));
    (said, fs::read_to_string(exchanges).unwrap())
}

#[test]
fn t_r3_nothing_secret_shows_in_the_whole_suite() {
    if Server::shared().is_none() {
        return;
    }
    let (said, exchanges) = run();
    let passed = Passed::read(&exchanges);
    let secrets = passed.secrets();
    let of_servers = secrets.iter().flat_map(|(name, texts)| texts.iter().map(|text| (*name, text.as_bytes())));
    let search = Search::new(of_servers.chain(MADE_UP.map(|secret| ("secret of a test", secret))));

    // There is something to be found, and it is found where it may be.
    let counts: BTreeMap<_, _> = secrets.iter().map(|(name, texts)| (*name, texts.len())).collect();
    println!("{counts:?}, {} bytes", said.len());
    for (name, least) in SECRETS {
        assert!(counts.get(name) >= Some(&least), "of {name} there are too few: {counts:?}");
    }
    let distinct: BTreeSet<_> = secrets.values().flatten().collect();
    assert!(search.found_in(exchanges.as_bytes()).len() >= distinct.len());
    for part in ["TRACE hyper", "DEBUG rustls", "DEBUG reqwest", " INFO amplitude_sdk::auth", " WARN amplitude_sdk::auth"] {
        assert!(said.lines().any(|line| line.starts_with(part)), "no line of the log starts with {part:?}");
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
        assert!(said.contains(error), "no {error} was shown");
    }
    assert!(passed.urls().lines().count() > 100, "{}", passed.urls());

    // Who opens a browser hands it an address, and the library that does logs what it runs (see `open_browser`).
    let (of_browser, rest): (Vec<_>, Vec<_>) = said.lines().partition(|line| line.starts_with("DEBUG webbrowser::"));
    assert_eq!(search.found_in(rest.join("\n").as_bytes()), Vec::<String>::new());
    let only_its_state = |found: &String| found.contains("authorize?state=sentinel");
    assert!(search.found_in(of_browser.join("\n").as_bytes()).iter().all(only_its_state), "{of_browser:?}");
    assert_eq!(search.found_in(passed.urls().as_bytes()), Vec::<String>::new());
}
