//! Who is over the daily quota has more events waiting than memory holds, and nobody else notices.

#![cfg(all(not(target_family = "wasm"), feature = "disk", feature = "emulator"))]

use std::{
    collections::BTreeMap,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use amplitude_sdk::{
    Client, Config, DiskOptions, Event, ProjectKey,
    emulator::{DEMO_KEY, Emulator, Throttle},
};

/// More than a megabyte of JSON, which is what memory may hold.
const HOT: usize = 8000;
const OTHERS: usize = 1000;
const PATIENCE: Duration = Duration::from_secs(60);

fn client(emulator: &Emulator, dir: &Path) -> Client {
    let config = Config::new(ProjectKey::new(DEMO_KEY).unwrap())
        .server_url(emulator.ingestion_url())
        .flush_interval(Duration::from_millis(10))
        .disk(DiskOptions::new(dir).memory_bytes(1_000_000));
    Client::new(config).unwrap()
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

#[test]
fn a_user_over_the_quota_costs_the_others_neither_time_nor_memory() {
    let quota = Throttle::Limits { per_second: 1_000_000, per_day: HOT as u64 };
    let emulator = Emulator::builder().throttle(quota).start().unwrap();
    let dir = tempfile::tempdir().unwrap();
    // His quota is used up.
    let hot = client(&emulator, dir.path());
    (0..HOT).for_each(|_| hot.track(Event::builder("Used up").user_id("user-hot").build().unwrap()).unwrap());
    hot.shutdown_blocking(PATIENCE);
    assert_eq!(hot.counts().delivered, HOT as u64);
    drop(hot);

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
