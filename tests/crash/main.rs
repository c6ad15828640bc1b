//! Processes that are killed at random moments: what `track` had taken arrives all the same, and little of it twice.
//!
//! `CRASH_KILLS` says how many processes are killed, in place of as many as fit in some seconds, `CRASH_SEED` at which moments.

#![cfg(all(not(target_family = "wasm"), feature = "disk"))]

mod child;
mod ledger;
mod sink;

use std::{
    env, fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    str::FromStr,
    thread,
    time::{Duration, Instant},
};

use child::Store;
use sink::Sink;

/// What anything is waited for at most; a passing test never comes near it.
const PATIENCE: Duration = Duration::from_secs(60);
/// Requests of a child under way at once.
const MAX_IN_FLIGHT: usize = 2;

#[test]
fn what_track_took_arrives_after_any_number_of_kills_and_only_what_was_in_flight_comes_again() {
    let until = Instant::now() + Duration::from_secs(15);
    let end = run(Store::Disk, |kills| match setting("CRASH_KILLS") {
        Some(most) => kills < most,
        None => kills < 50 || Instant::now() < until,
    });
    println!("{end:?}");
    assert!(end.lost.is_empty(), "{end:?}");
    end.check();
    // It was about something: what a server kept waiting comes again.
    assert!(end.promised > end.kills && end.requests_in_flight >= end.kills / 2 && end.repeats >= end.kills / 2, "{end:?}");
}

/// The same harness finds what a store in memory loses, or it would find nothing.
#[test]
fn what_waits_in_memory_is_lost_with_its_process_and_the_harness_sees_it() {
    let end = run(Store::Memory, |kills| kills < 20);
    assert!(!end.lost.is_empty() && end.lost.len() < end.promised, "{end:?}");
    // Nobody has what the dead have sent.
    assert_eq!(end.repeats, 0, "{end:?}");
    assert!(end.requests_in_flight >= end.kills / 2, "{end:?}");
    end.check();
}

/// How it ended.
#[derive(Debug)]
struct End {
    kills: usize,
    /// Events whose `track` had returned.
    promised: usize,
    /// Those of them that never came.
    lost: Vec<String>,
    /// Events that came without a promise.
    unpromised: usize,
    requests_in_flight: usize,
    /// Events on the wire beyond the first time each.
    repeats: usize,
    sent_twice: Vec<String>,
    too_many_in_flight: Vec<usize>,
}

impl End {
    /// What must be true of any store.
    fn check(&self) {
        // One in each kill, between its `track` and its note.
        assert!(self.unpromised <= self.kills, "{self:?}");
        assert!(self.sent_twice.is_empty(), "{self:?}");
        assert!(self.too_many_in_flight.is_empty(), "{self:?}");
    }
}

/// Kills processes which track into one folder, one after the other for as long as it should go on, and lets a last one deliver what is left.
fn run(store: Store, goes_on: impl Fn(usize) -> bool) -> End {
    let dir = tempfile::tempdir().unwrap();
    let sink = Sink::start();
    let mut random = Random(setting("CRASH_SEED").unwrap_or(1));
    let mut promised = Vec::new();
    let mut kills = 0;
    while goes_on(kills) {
        let mut child = spawn(store, dir.path(), &sink, &format!("track {kills}"));
        // Half of them while the server keeps a request waiting.
        let holds = kills % 2 == 0;
        if holds || random.below(5) > 0 {
            wait_for(&mut child, "tracking");
            pause(&mut random, 15_000);
        } else {
            // While it starts, and recovers what the last one left.
            pause(&mut random, 30_000);
        }
        if holds {
            sink.hold();
            pause(&mut random, 3_000);
        }
        child.kill().unwrap();
        child.wait().unwrap();
        sink.end_of_child();
        promised.extend(read_ids(&dir.path().join("ids")));
        kills += 1;
    }
    let mut last = spawn(store, dir.path(), &sink, "deliver");
    wait_for(&mut last, "delivered");
    assert!(last.wait().unwrap().success());
    sink.end_of_child();
    let ledger = sink.ledger();
    let lost: Vec<_> = promised.iter().filter(|id| !ledger.seen.contains_key(*id)).cloned().collect();
    End {
        kills,
        promised: promised.len(),
        unpromised: ledger.seen.len() - (promised.len() - lost.len()),
        lost,
        requests_in_flight: ledger.requests_in_flight(),
        repeats: ledger.repeats,
        too_many_in_flight: ledger.too_many_in_flight(),
        sent_twice: ledger.sent_twice,
    }
}

fn spawn(store: Store, dir: &Path, sink: &Sink, task: &str) -> Child {
    let mut child = Command::new(env::current_exe().unwrap());
    child.args(["--exact", "child::child", "--nocapture"]);
    child.env("CRASH_TASK", task).env("CRASH_STORE", store.name()).env("CRASH_DIR", dir).env("CRASH_URL", sink.url());
    child.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap()
}

/// Reads what the child says up to that word. A child ends by itself in a bounded time.
fn wait_for(child: &mut Child, word: &str) {
    let mut said = String::new();
    let mut reader = BufReader::new(child.stdout.as_mut().unwrap());
    while !said.contains(word) {
        assert!(reader.read_line(&mut said).unwrap() > 0, "the child ended: {said}");
    }
}

/// The insert ids that a child has written, each once its `track` had returned. The file goes, so that each is read once.
fn read_ids(path: &Path) -> Vec<String> {
    let Ok(text) = fs::read_to_string(path) else { return Vec::new() };
    fs::remove_file(path).unwrap();
    // What has no end was cut off.
    text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')).map(str::to_owned).collect()
}

fn pause(random: &mut Random, max_us: u64) {
    thread::sleep(Duration::from_micros(random.below(max_us)));
}

fn setting<T: FromStr>(name: &str) -> Option<T> {
    env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} must be a number, not {text:?}")))
}

/// SplitMix64: the same numbers in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ mixed >> 31) % bound
    }
}
