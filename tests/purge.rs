//! Forgetting on somebody's wish: what waits is not sent, and no file tells of it afterwards.

#![cfg(all(not(target_family = "wasm"), feature = "disk"))]

#[path = "pipeline/server.rs"]
#[expect(dead_code, reason = "other tests ask more of it")]
mod server;

use std::{collections::BTreeSet, fs, path::Path, time::Duration};

use amplitude_sdk::{Client, Config, DiskOptions, DropReason, ErrorKind, Event, ProjectKey};

use server::{PATIENCE, Server};

/// Two users, each of whom uses two devices.
const USERS: [&str; 2] = ["ada-secret", "bob-secret"];

fn config(server: &Server) -> Config {
    Config::new(ProjectKey::new("demo0000000000000000000000000key").unwrap())
        .server_url(&server.url)
        .flush_interval(Duration::from_millis(1))
        .no_gzip()
        .max_in_flight(1)
        .batch_events(100)
}

fn on_disk(server: &Server, dir: &Path) -> Config {
    config(server).disk(DiskOptions::new(dir).memory_bytes(1_000_000))
}

fn event(n: u32) -> Event {
    let user = USERS[n as usize % 2];
    let text = "x".repeat(500);
    Event::builder("counted")
        .user_id(user)
        .device_id(&format!("device-{}", n % 4))
        .insert_id(&format!("insert-{n}"))
        .property("n", n)
        .property("of", format!("{user}-property"))
        .property("text", text)
        .build()
        .unwrap()
}

/// How often a text stands in the files of a folder.
fn mentions(dir: &Path, text: &str) -> usize {
    fs::read_dir(dir)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            if path.is_dir() {
                return mentions(&path, text);
            }
            fs::read(&path).unwrap().windows(text.len()).filter(|window| *window == text.as_bytes()).count()
        })
        .sum()
}

/// Confirms all requests; answers whose events came.
fn confirm_all(client: &Client, server: &Server) -> BTreeSet<u64> {
    let mut numbers = BTreeSet::new();
    while client.counts().pending > 0 {
        let request = server.next();
        numbers.extend(request.numbers());
        request.confirm();
        // The next one comes, or this was the last.
        while client.counts().pending > 0 && client.counts().delivered < numbers.len() as u64 {
            std::thread::yield_now();
        }
    }
    numbers
}

#[test]
fn a_user_is_forgotten_in_memory_and_on_the_disk_and_nobody_else() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start();
    let client = Client::new(on_disk(&server, dir.path())).unwrap();
    // More than memory holds, in the file that is being written and in those before it.
    let all = 20_000;
    (0..all).for_each(|n| client.track(event(n)).unwrap());
    let under_way = server.next();
    let ada: BTreeSet<_> = under_way.numbers().into_iter().filter(|n| n % 2 == 0).collect();
    assert!(mentions(dir.path(), USERS[0]) >= all as usize, "it is there before");

    let purged = client.purge_user(USERS[0]).unwrap();
    assert_eq!(purged.events + purged.under_way, u64::from(all) / 2);
    assert!(purged.under_way >= ada.len() as u64, "{purged:?}");
    let counts = client.counts();
    assert_eq!(counts.dropped_for(DropReason::Purged), purged.events);
    // What is gone takes up no room in the queue.
    assert!(counts.pending_bytes < counts.pending * 1000, "{counts:?}");
    assert_eq!(mentions(dir.path(), USERS[0]), 0);
    // Those under way are not tried again.
    under_way.say(503, "");
    let numbers = confirm_all(&client, &server);
    assert!(numbers.iter().all(|n| n % 2 == 1 || ada.contains(n)), "sent after it was purged");
    let again = numbers.iter().filter(|n| ada.contains(n)).count();
    assert_eq!(again, 0, "tried again");
    assert_eq!(numbers.iter().filter(|n| *n % 2 == 1).count() as u32, all / 2);
    assert_eq!(client.shutdown_blocking(PATIENCE).pending, 0);
}

#[test]
fn a_device_is_forgotten_in_memory() {
    let server = Server::start();
    let client = Client::new(config(&server)).unwrap();
    client.track(event(3)).unwrap();
    let under_way = server.next();
    (4..24).for_each(|n| client.track(event(n)).unwrap());
    let purged = client.purge_device("device-1").unwrap();
    assert_eq!((purged.events, purged.under_way), (5, 0));
    under_way.confirm();
    let numbers = confirm_all(&client, &server);
    assert!(numbers.iter().all(|n| n % 4 != 1) && numbers.len() == 15, "{numbers:?}");
    let purged = client.purge_user("nobody").unwrap();
    assert_eq!(purged, amplitude_sdk::Purged::default());
}

#[test]
fn what_was_purged_stays_so_after_a_crash_also_what_others_left() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start();
    let (one, other) = (on_disk(&server, dir.path()), on_disk(&server, dir.path()));
    let (one, other) = (Client::new(one).unwrap(), Client::new(other).unwrap());
    (0..100).for_each(|n| one.track(event(n)).unwrap());
    (100..200).for_each(|n| other.track(event(n)).unwrap());
    let unanswered = [server.next(), server.next()];
    // This one ends without a word.
    assert_eq!(other.shutdown_blocking(Duration::ZERO).pending, 100);
    drop((other, unanswered));

    let purged = one.purge().unwrap();
    assert!(purged.events >= 100 && purged.events + purged.under_way == 200, "{purged:?}");
    let pending = one.shutdown_blocking(Duration::ZERO).pending;
    assert!(pending <= purged.under_way);
    assert!(one.purge().is_err_and(|error| error.kind() == ErrorKind::Closed));
    drop(one);
    let next = Client::new(on_disk(&server, dir.path())).unwrap();
    assert!(next.counts().accepted <= purged.under_way);
    next.purge().unwrap();
    server.confirm_all();
    assert_eq!(next.shutdown_blocking(PATIENCE).pending, 0);
    assert_eq!(mentions(dir.path(), "secret"), 0);
}

#[test]
fn what_a_purge_took_over_of_others_is_delivered() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start();
    let [gone, idle] = [(); 2].map(|()| Client::new(on_disk(&server, dir.path())).unwrap());
    (0..2).for_each(|n| gone.track(event(n)).unwrap());
    gone.shutdown_blocking(Duration::ZERO);
    drop(gone);
    server.confirm_all();
    assert_eq!(idle.purge_user(USERS[0]).unwrap().events, 1);
    let report = idle.flush_blocking(PATIENCE);
    assert_eq!((report.delivered, report.pending), (1, 0));
}

#[test]
fn what_was_under_way_is_neither_kept_for_the_next_process_nor_a_dead_letter() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start();
    for config in [config(&server), on_disk(&server, dir.path())] {
        let client = Client::new(config.clone()).unwrap();
        client.track(event(0)).unwrap();
        let under_way = server.next();
        assert_eq!(client.purge().unwrap().under_way, 1);
        under_way.say(400, r#"{"code":400,"silenced_events":[0]}"#);
        assert_eq!(client.flush_blocking(PATIENCE).pending, 0);
        assert_eq!(client.dead_letters().unwrap(), []);
        assert_eq!(client.counts().dropped_for(DropReason::Purged), 1);

        client.track(event(1)).unwrap();
        let under_way = server.next();
        assert_eq!(client.purge_user(USERS[1]).unwrap().under_way, 1);
        let report = client.shutdown_blocking(Duration::ZERO);
        assert_eq!((report.pending, report.dropped_for(DropReason::Purged)), (0, 1));
        assert_eq!(client.dead_letters().unwrap(), []);
        drop((client, under_way));
        assert_eq!(Client::new(config).unwrap().counts().pending, 0);
    }
    assert_eq!(mentions(dir.path(), "secret"), 0);
}

#[test]
fn dead_letters_are_forgotten_too() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start();
    for config in [config(&server), on_disk(&server, dir.path())] {
        let client = Client::new(config).unwrap();
        for n in 0..4 {
            client.track(event(n)).unwrap();
            server.next().say(400, r#"{"code":400,"silenced_events":[0]}"#);
            assert_eq!(client.flush_blocking(PATIENCE).pending, 0);
        }
        assert_eq!(client.purge_user(USERS[0]).unwrap().dead_letters, 2);
        assert!(client.dead_letters().unwrap().iter().all(|letter| letter.event().unwrap().user_id().unwrap() == USERS[1]));
        assert_eq!(mentions(dir.path(), USERS[0]), 0);
        assert_eq!(client.purge().unwrap().dead_letters, 2);
        assert_eq!(client.dead_letters().unwrap(), []);
        client.shutdown_blocking(PATIENCE);
    }
    assert_eq!(mentions(dir.path(), "secret"), 0);
}
