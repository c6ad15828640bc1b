//! A suite once more, in a process that logs everything, for a search through all that it printed.
//!
//! Each way into the library that the suite has begins with [`start`], and each of its servers notes with [`exchange`] what passed.

pub(crate) mod sentinels;

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    fs::{self, File, OpenOptions},
    io::Write as _,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

use sentinels::{SHORTEST, Search, print_logs};

/// Names the file in which every server of the tests writes what passes, a JSON object a line. It is set in the process that logs everything,
/// and in those that it starts.
pub(crate) const EXCHANGES: &str = "AMPLITUDE_TEST_EXCHANGES";

pub(crate) fn is_on() -> bool {
    env::var_os(EXCHANGES).is_some()
}

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

/// Ends with the test, also when that fails.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a suite printed, and what passed at its servers.
pub(crate) struct Run {
    pub(crate) said: String,
    exchanges: String,
}

impl Run {
    /// The suite without these tests, to its end.
    pub(crate) fn of_suite(without: &[&str], variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (log, exchanges) = (folder.path().join("log"), folder.path().join("exchanges"));
        let output = File::create(&log).expect("a file");
        let child = Command::new(env::current_exe().expect("this program"))
            .arg("--nocapture")
            .args(without.iter().flat_map(|test| ["--skip", test]))
            .env(EXCHANGES, &exchanges)
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("the file once more"))
            .stderr(output)
            .spawn();
        let mut child = Running(child.expect("this program starts"));
        let patience = Instant::now() + Duration::from_secs(600);
        let status = loop {
            if let Some(status) = child.0.try_wait().expect("its state") {
                break status;
            }
            assert!(Instant::now() < patience, "the suite does not end");
            std::thread::sleep(Duration::from_millis(100));
        };
        let said = String::from_utf8_lossy(&fs::read(log).expect("what it printed")).into_owned();
        let is_log = |line: &&str| ["TRACE", "DEBUG", " INFO", " WARN", "shown"].iter().any(|level| line.starts_with(level));
        assert!(status.success(), "{}", said.lines().filter(|line| !is_log(line)).collect::<Vec<_>>().join("\n"));
        Self { said, exchanges: fs::read_to_string(exchanges).expect("something passed") }
    }

    /// An object for each exchange, with what its server noted.
    pub(crate) fn passed(&self) -> impl Iterator<Item = Value> {
        self.exchanges.lines().map(|line| serde_json::from_str(line).expect("an object a line"))
    }

    /// What stood in these fields, each of which has a least number of texts. What is too short to be a secret is what a test made up to see
    /// it refused.
    pub(crate) fn secrets(&self, fields: &[(&'static str, usize)]) -> Vec<(&'static str, String)> {
        let mut found = BTreeMap::<_, BTreeSet<_>>::new();
        self.passed().for_each(|exchange| collect(&exchange, fields, &mut found));
        let counts: BTreeMap<_, _> = found.iter().map(|(name, texts)| (*name, texts.len())).collect();
        println!("{counts:?}, {} bytes", self.said.len());
        for (name, least) in fields {
            assert!(counts.get(name) >= Some(least), "of {name} there are too few: {counts:?}");
        }
        let secrets: Vec<_> =
            found.into_iter().flat_map(|(name, texts)| texts.into_iter().map(move |text| (name, text))).collect();
        // A search finds them where they may be.
        let distinct: BTreeSet<_> = secrets.iter().map(|(_, text)| text).collect();
        let search = Search::new(secrets.iter().map(|(name, text)| (*name, text.as_bytes())));
        assert!(search.found_in(self.exchanges.as_bytes()).len() >= distinct.len());
        secrets
    }
}

fn collect(value: &Value, fields: &[(&'static str, usize)], found: &mut BTreeMap<&'static str, BTreeSet<String>>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                match (fields.iter().find(|(known, _)| known == name), value.as_str()) {
                    (Some((name, _)), Some(text)) => {
                        // A header's begins behind its scheme.
                        let secret = text.split_once(' ').filter(|_| *name == "authorization").map_or(text, |(_, it)| it);
                        if secret.len() >= SHORTEST {
                            found.entry(name).or_default().insert(secret.to_owned());
                        }
                    }
                    _ => collect(value, fields, found),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| collect(value, fields, found)),
        _ => {}
    }
}
