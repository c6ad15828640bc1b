//! Who is over the daily quota has more events waiting than memory holds, and nobody else notices.

#![cfg(all(not(target_family = "wasm"), feature = "disk", feature = "emulator"))]

use std::{
    collections::BTreeMap,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use amplitude_sdk::{
    Client, Config, DiskOptions, DropReason, Event, ProjectKey, WhenFull,
    emulator::{DEMO_KEY, Emulator, Throttle},
};

/// More than a megabyte of JSON, which is what memory may hold.
const HOT: usize = 8000;
const OTHERS: usize = 1000;
const PATIENCE: Duration = Duration::from_secs(60);

fn config(emulator: &Emulator, dir: &Path) -> Config {
    Config::new(ProjectKey::new(DEMO_KEY).unwrap())
        .server_url(emulator.ingestion_url())
        .flush_interval(Duration::from_millis(10))
        .disk(DiskOptions::new(dir).memory_bytes(1_000_000))
}

fn client(emulator: &Emulator, dir: &Path) -> Client {
    Client::new(config(emulator, dir)).unwrap()
}

fn event(user: &str, number: usize) -> Event {
    Event::builder("Deferred").user_id(user).property("n", number as u64).build().unwrap()
}

/// The numbers of a user's events, in the order of their arrival, as far as a test has tracked them with numbers.
fn arrived(emulator: &Emulator) -> BTreeMap<String, Vec<u64>> {
    let mut users: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for event in emulator.events(DEMO_KEY) {
        let event: serde_json::Value = serde_json::from_str(&event).unwrap();
        let number = event["event_properties"]["n"].as_u64();
        users.entry(event["user_id"].as_str().unwrap().to_owned()).or_default().extend(number);
    }
    users
}

fn wait_for(what: &str, mut is_there: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_there() {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// One at which the quota of one user is used up.
fn emulator_over_quota(dir: &Path) -> Emulator {
    let quota = Throttle::Limits { per_second: 1_000_000, per_day: HOT as u64 };
    let emulator = Emulator::builder().throttle(quota).start().unwrap();
    let client = client(&emulator, dir);
    (0..HOT).for_each(|_| client.track(Event::builder("Used up").user_id("user-hot").build().unwrap()).unwrap());
    client.shutdown_blocking(PATIENCE);
    assert_eq!(client.counts().delivered, HOT as u64);
    emulator
}

#[test]
fn a_user_over_the_quota_costs_the_others_neither_time_nor_memory() {
    let dir = tempfile::tempdir().unwrap();
    let emulator = emulator_over_quota(dir.path());
    let client_of_all = client(&emulator, dir.path());
    (0..HOT).for_each(|number| client_of_all.track(event("user-hot", number)).unwrap());
    let begun = Instant::now();
    (0..OTHERS).for_each(|number| client_of_all.track(event(&format!("user-{number}"), number)).unwrap());
    wait_for("the others are held up", || emulator.counts(DEMO_KEY).accepted == (HOT + OTHERS) as u64);
    println!("the others arrived after {:?}", begun.elapsed());
    assert!(arrived(&emulator).iter().all(|(user, numbers)| (user == "user-hot") == numbers.is_empty()));
    // The emulator accepts before it answers.
    wait_for("the others are not settled", || client_of_all.counts().pending == HOT as u64);
    let report = client_of_all.shutdown_blocking(Duration::from_millis(50));
    assert_eq!((report.pending, report.dropped), (HOT as u64, 0));
    drop(client_of_all);

    // The next day, and the next process.
    emulator.advance(Duration::from_secs(25 * 3600));
    let next = client(&emulator, dir.path());
    assert_eq!(next.counts().pending, HOT as u64);
    next.shutdown_blocking(PATIENCE);
    let counts = next.counts();
    assert_eq!((counts.delivered, counts.pending), (HOT as u64, 0));
    assert!(arrived(&emulator)["user-hot"].iter().copied().eq(0..HOT as u64), "out of order, lost or repeated");
}

#[test]
fn where_the_oldest_make_room_they_are_those_that_only_wait() {
    let dir = tempfile::tempdir().unwrap();
    let emulator = emulator_over_quota(dir.path());
    let config = config(&emulator, dir.path()).queue_bytes(2_000_000).when_full(WhenFull::DropOldest);
    let client = Client::new(config).unwrap();
    const MORE: usize = 3 * HOT;
    (0..MORE).for_each(|number| client.track(event("user-hot", number)).unwrap());
    (0..OTHERS).for_each(|number| client.track(event(&format!("user-{number}"), number)).unwrap());
    wait_for("the others are held up", || client.counts().delivered == OTHERS as u64);
    let counts = client.counts();
    assert!(counts.pending_bytes <= 2_000_000 && counts.pending > HOT as u64 / 2, "{counts:?}");
    assert_eq!((counts.dropped, counts.pending), (counts.dropped_for(DropReason::Evicted), MORE as u64 - counts.dropped));
    client.shutdown_blocking(Duration::ZERO);

    emulator.advance(Duration::from_secs(25 * 3600));
    let next = self::client(&emulator, dir.path());
    // The quota of the next day is for fewer than are left.
    wait_for("none of the rest comes", || next.counts().delivered > 1000);
    let arrived = &arrived(&emulator)["user-hot"];
    assert!(arrived.is_sorted() && arrived[0] > 1000, "{:?} came first", arrived.first());
    next.shutdown_blocking(Duration::ZERO);
}
