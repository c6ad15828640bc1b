//! The disk store as an application meets it: what one client leaves, the next one delivers.

#![cfg(all(not(target_family = "wasm"), feature = "disk"))]

#[path = "pipeline/server.rs"]
mod server;

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    future::Future,
    path::Path,
    process::Command,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use amplitude_sdk::{Client, Config, DiskOptions, DiskSync, DropReason, ErrorKind, Event, Notice, Outcome, ProjectKey, WhenFull};

use server::{PATIENCE, Server};

const KEY: &str = "demo0000000000000000000000000key";

fn config(url: &str, dir: &Path) -> Config {
    Config::new(ProjectKey::new(KEY).unwrap())
        .server_url(url)
        .flush_interval(Duration::from_millis(1))
        .no_gzip()
        .max_in_flight(1)
        .disk(DiskOptions::new(dir).memory_bytes(1_000_000))
}

fn event(number: u32) -> Event {
    let device = format!("device-{}", number % 7);
    Event::builder("counted").device_id(&device).insert_id(&format!("insert-{number}")).property("n", number).build().unwrap()
}

fn wait<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(PATIENCE, future).await }).expect("it comes")
}

/// Confirms requests until that many events have come; answers their numbers, in the order of their arrival.
fn confirm(server: &Server, events: usize) -> Vec<u64> {
    let mut numbers = Vec::new();
    while numbers.len() < events {
        let request = server.next();
        numbers.extend(request.numbers());
        request.confirm();
    }
    numbers
}

fn assert_ordered_by_device(numbers: &[u64]) {
    let mut last = BTreeMap::new();
    for number in numbers {
        assert!(last.insert(number % 7, *number) < Some(*number), "{number} comes after a later one of its device");
    }
}

#[test]
fn what_a_client_leaves_the_next_one_delivers() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start();
    let client = Client::new(config(&server.url, dir.path())).unwrap();
    let receipt = client.track_with_receipt(event(0)).unwrap();
    wait(receipt.stored()).unwrap();
    (1..50).for_each(|number| client.track(event(number)).unwrap());
    let unanswered = server.next();
    let report = client.shutdown_blocking(Duration::from_millis(50));
    assert_eq!((report.pending, report.dropped, report.unknown), (50, 0, 0));
    assert_eq!(wait(receipt.settled()), Outcome::Kept);
    let counts = client.counts();
    assert_eq!((counts.accepted, counts.pending), (50, 50));
    drop((client, unanswered));

    let client = Client::new(config(&server.url, dir.path())).unwrap();
    assert_eq!(client.counts().pending, 50);
    let flush = client.flush(PATIENCE);
    let numbers = confirm(&server, 50);
    assert_ordered_by_device(&numbers);
    let report = wait(flush);
    assert_eq!((report.delivered, report.pending), (50, 0));
    drop(client);
    // And nothing comes twice.
    assert_eq!(Client::new(config(&server.url, dir.path())).unwrap().counts().accepted, 0);
}

#[test]
fn what_is_too_much_for_memory_is_read_back_in_its_order() {
    const EVENTS: u32 = 12_000;
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start();
    let client = Client::new(config(&server.url, dir.path())).unwrap();
    let held = server_next_after(&server, &client, event(0));
    (1..EVENTS / 2).for_each(|number| client.track(event(number)).unwrap());
    let counts = client.counts();
    assert_eq!(counts.pending, u64::from(EVENTS / 2));
    let mut numbers = held.numbers();
    held.confirm();
    // More come while they are read back.
    let tracker = client.clone();
    let tracking = thread::spawn(move || (EVENTS / 2..EVENTS).for_each(|number| tracker.track(event(number)).unwrap()));
    numbers.extend(confirm(&server, EVENTS as usize - numbers.len()));
    tracking.join().unwrap();
    assert_ordered_by_device(&numbers);
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(0..u64::from(EVENTS)));
    let report = client.shutdown_blocking(PATIENCE);
    assert_eq!(report.pending, 0);
    let counts = client.counts();
    assert_eq!((counts.accepted, counts.delivered), (u64::from(EVENTS), u64::from(EVENTS)));
}

fn server_next_after(server: &Server, client: &Client, first: Event) -> server::Request {
    client.track(first).unwrap();
    server.next()
}

#[test]
fn new_events_of_a_device_come_after_those_that_were_left() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start();
    let client = Client::new(config(&server.url, dir.path())).unwrap();
    (0..100).for_each(|number| client.track(event(number)).unwrap());
    client.shutdown_blocking(Duration::ZERO);
    drop(client);
    let client = Client::new(config(&server.url, dir.path())).unwrap();
    (100..200).for_each(|number| client.track(event(number)).unwrap());
    let mut numbers = Vec::new();
    while numbers.iter().collect::<BTreeSet<_>>().len() < 200 {
        let request = server.next();
        // The request of the first client may still come.
        numbers.extend(request.numbers());
        request.confirm();
    }
    let seen: Vec<_> = numbers[numbers.len() - 200..].to_vec();
    assert_ordered_by_device(&seen);
    wait(client.flush(PATIENCE));
    assert_eq!(client.counts().pending, 0);
}

#[test]
fn a_shutdown_tells_the_receipts_of_what_is_on_the_disk_alone_too() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start();
    let client = Client::new(config(&server.url, dir.path())).unwrap();
    // More than memory holds.
    let receipts: Vec<_> = (0..8000).map(|number| client.track_with_receipt(event(number)).unwrap()).collect();
    let unanswered = server.next();
    assert_eq!(client.shutdown_blocking(Duration::from_millis(50)).pending, 8000);
    for receipt in receipts {
        assert_eq!(wait(receipt.settled()), Outcome::Kept);
    }
    drop(unanswered);
}

#[test]
fn a_record_that_a_broken_file_has_lost_holds_up_no_report() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start();
    for break_it in [false, true] {
        // Opened once more, so that the records are counted before one breaks.
        let client = Client::new(config(&server.url, dir.path()).flush_interval(PATIENCE)).unwrap();
        if !break_it {
            (0..10).for_each(|number| client.track(event(number)).unwrap());
        }
        client.shutdown_blocking(Duration::ZERO);
        drop(client);
        if break_it {
            let folder = std::fs::read_dir(dir.path()).unwrap().next().unwrap().unwrap().path();
            let path = folder.join("0/00000001.events");
            let mut bytes = std::fs::read(&path).unwrap();
            bytes[16 + 40] ^= 1;
            std::fs::write(&path, bytes).unwrap();
        }
    }
    let client = Client::new(config(&server.url, dir.path())).unwrap();
    server.confirm_all();
    let begun = Instant::now();
    let report = client.shutdown_blocking(Duration::from_secs(60));
    let counts = client.counts();
    assert_eq!((report.pending, counts.delivered + counts.dropped), (0, 10));
    assert!(begun.elapsed() < Duration::from_secs(30), "it waited for its deadline");
}

#[test]
fn records_for_one_address_are_not_sent_to_another() {
    let dir = tempfile::tempdir().unwrap();
    let (server, other) = (Server::start(), Server::start());
    let client = Client::new(config("http://127.0.0.1:9/", dir.path())).unwrap();
    client.track(event(1)).unwrap();
    client.shutdown_blocking(Duration::ZERO);
    drop(client);
    let client = Client::new(config(&other.url, dir.path())).unwrap();
    assert_eq!(client.counts().accepted, 0);
    let client = Client::new(config(&server.url, dir.path())).unwrap();
    assert_eq!(client.counts().accepted, 0);
    assert!(other.is_silent(Duration::from_millis(100)) && server.is_silent(Duration::from_millis(1)));
}

#[test]
fn a_receipt_tells_when_the_disk_itself_has_the_event() {
    let dir = tempfile::tempdir().unwrap();
    let options = DiskOptions::new(dir.path()).sync(DiskSync::Every(Duration::from_millis(20)));
    let client = Client::new(config("http://127.0.0.1:9/", dir.path()).disk(options)).unwrap();
    for number in 0..3 {
        let receipt = client.track_with_receipt(event(number)).unwrap();
        wait(receipt.stored()).unwrap();
    }
    // The end does not wait for the interval.
    let options = DiskOptions::new(dir.path()).sync(DiskSync::Every(Duration::from_secs(3600)));
    let client = Client::new(config("http://127.0.0.1:9/", dir.path()).disk(options)).unwrap();
    let receipt = client.track_with_receipt(event(4)).unwrap();
    client.shutdown_blocking(Duration::ZERO);
    wait(receipt.stored()).unwrap();
}

#[test]
fn options_out_of_range_and_folders_that_are_none_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |options: DiskOptions| Client::new(config("http://127.0.0.1:9/", dir.path()).disk(options)).unwrap_err();
    let error = refused(DiskOptions::new(dir.path()).memory_bytes(10));
    assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Invalid, "memory_bytes: must be at least 1 MB"));
    assert_eq!(refused(DiskOptions::new(dir.path()).sync(DiskSync::Every(Duration::ZERO))).kind(), ErrorKind::Invalid);
    let file = dir.path().join("file");
    std::fs::write(&file, "x").unwrap();
    let error = refused(DiskOptions::new(&file));
    assert_eq!(error.kind(), ErrorKind::Store);
    assert!(error.to_string().contains(file.to_str().unwrap()), "{error}");
}

#[test]
#[cfg(unix)]
fn folders_and_files_are_for_their_user_alone() {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    fn check(path: &Path) -> usize {
        let found = std::fs::metadata(path).unwrap();
        let expected = if found.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(found.mode() & 0o777, expected, "{}", path.display());
        if found.is_dir() { std::fs::read_dir(path).unwrap().map(|entry| check(&entry.unwrap().path())).sum() } else { 1 }
    }

    let dir = tempfile::tempdir().unwrap();
    let client = Client::new(config("http://127.0.0.1:9/", dir.path())).unwrap();
    client.track(event(1)).unwrap();
    client.shutdown_blocking(Duration::from_millis(100));
    let folder = std::fs::read_dir(dir.path()).unwrap().next().unwrap().unwrap().path();
    // A lock, a segment and its notes; and where there was time to meet it, the outage.
    assert!(check(&folder) >= 3);
    // One that others may enter is closed to them.
    drop(client);
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).unwrap();
    drop(Client::new(config("http://127.0.0.1:9/", dir.path())).unwrap());
    assert!(check(&folder) >= 3);
}

/// Not a test of its own: the process of the next two, whose disk is soon full.
#[test]
fn child_on_a_full_disk() {
    let (Ok(dir), Ok(url)) = (env::var("DISK_TEST_DIR"), env::var("DISK_TEST_URL")) else { return };
    let client = Client::new(config(&url, Path::new(&dir)).flush_interval(Duration::from_secs(3600)).flush_at(2000)).unwrap();
    let mut taken = 0;
    let refused = loop {
        match client.track(event(taken)) {
            Ok(()) => taken += 1,
            Err(error) => break error,
        }
        assert!(taken < 100_000, "the disk is never full");
    };
    assert_eq!(refused.kind(), ErrorKind::Store);
    assert!(std::error::Error::source(&refused).is_some(), "it says what the system said");
    assert_eq!(refused.into_event().map(|event| event.to_json()), Some(event(taken).to_json()));
    // However often it is tried, what there is no room for leaves no files behind.
    let large = Event::builder("large").device_id("device-1").property("text", "x".repeat(300_000)).build().unwrap();
    for _ in 0..100 {
        assert_eq!(client.track(large.clone()).unwrap_err().kind(), ErrorKind::Store);
    }
    let folders = std::fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path().join("0"));
    let files: usize = folders.map(|folder| std::fs::read_dir(folder).unwrap().count()).sum();
    assert!(files < 10, "{files} files");
    // What was taken goes; and then there is room again.
    let report = client.flush_blocking(PATIENCE);
    assert_eq!((report.delivered, report.pending), (u64::from(taken), 0));
    for number in taken..taken + taken / 2 {
        client.track(event(number)).unwrap();
    }
    let report = client.shutdown_blocking(PATIENCE);
    assert_eq!((report.delivered, report.pending), (u64::from(taken / 2), 0));
    println!("taken={taken}");
}

#[cfg(unix)]
fn run_on_a_full_disk(command: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start();
    let url = server.url.clone();
    server.confirm_all();
    let output = Command::new("bash")
        .args(["-c", command])
        .arg(env::current_exe().unwrap())
        .env("DISK_TEST_DIR", dir.path())
        .env("DISK_TEST_URL", url)
        .output()
        .unwrap();
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
#[cfg(unix)]
fn a_write_that_comes_short_refuses_its_event_and_loses_nothing_else() {
    let said = run_on_a_full_disk("ulimit -f 100; trap '' XFSZ; exec \"$0\" --exact child_on_a_full_disk --nocapture");
    assert!(said.contains("taken="), "{said}");
}

/// On a disk of 200 kB in memory, which a user may mount where the system gives him a namespace of his own.
#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_has_room_again_when_its_events_are_delivered() {
    let mount = "mount -t tmpfs -o size=200k none \"$DISK_TEST_DIR\"";
    let said = run_on_a_full_disk(&format!(
        "exec unshare --user --map-root-user --mount bash -c '{mount} && exec \"$0\" --exact child_on_a_full_disk --nocapture' \"$0\""
    ));
    if said.contains("Operation not permitted") || said.contains("Permission denied") || said.contains("command not found") {
        eprintln!("not tried, because this system gives no namespaces: {said}");
        return;
    }
    assert!(said.contains("taken="), "{said}");
}

#[test]
fn a_broken_file_is_told_and_its_neighbours_go() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start();
    let client = Client::new(config("http://127.0.0.1:9/", dir.path())).unwrap();
    drop(client);
    let client = Client::new(config(&server.url, dir.path())).unwrap();
    (0..10).for_each(|number| client.track(event(number)).unwrap());
    let request = server.next();
    client.shutdown_blocking(Duration::ZERO);
    drop((client, request));
    let mut path = None;
    for folder in std::fs::read_dir(dir.path()).unwrap() {
        let segment = folder.unwrap().path().join("0/00000001.events");
        path = path.or(segment.exists().then_some(segment));
    }
    let path = path.expect("a segment is there");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[16 + 40] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let notices = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&notices);
    let config = config(&server.url, dir.path()).on_notice(move |notice: &Notice| heard.lock().unwrap().push(notice.to_string()));
    let client = Client::new(config).unwrap();
    let mut numbers = Vec::new();
    while !numbers.contains(&9) {
        let request = server.next();
        numbers.extend(request.numbers());
        request.confirm();
    }
    wait(client.flush(PATIENCE));
    assert!((1..10).all(|number| numbers.contains(&number)));
    assert!(notices.lock().unwrap().iter().any(|text| text.contains("bytes that are no record")), "{notices:?}");
}

#[test]
fn a_process_that_starts_in_an_outage_waits_as_its_predecessor_would_have() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start();
    let (told, heard) = std::sync::mpsc::channel();
    let paused = config(&server.url, dir.path()).on_notice(move |notice| drop(told.send(notice.clone())));
    let client = Client::new(paused).unwrap();
    client.track(event(1)).unwrap();
    server.next().say_with(401, "retry-after: 600", "");
    assert!(matches!(heard.recv_timeout(PATIENCE).unwrap(), Notice::DeliveryPaused { .. }));
    assert_eq!(client.shutdown_blocking(Duration::ZERO).pending, 1);
    drop(client);

    let client = Client::new(config(&server.url, dir.path())).unwrap();
    client.track(event(2)).unwrap();
    assert!(server.is_silent(Duration::from_millis(300)));
    assert_eq!(client.shutdown_blocking(Duration::ZERO).pending, 2);
    drop(client);
    // The note is what it waited for; with the outage it goes.
    let key = dir.path().read_dir().unwrap().next().unwrap().unwrap().path();
    let outage = std::fs::read_to_string(key.join("outage")).unwrap();
    assert!(outage.starts_with("1 "), "{outage}");
    std::fs::write(key.join("outage"), "1 0").unwrap();
    let client = Client::new(config(&server.url, dir.path())).unwrap();
    assert_eq!(confirm(&server, 2), [1, 2]);
    assert_eq!(client.shutdown_blocking(PATIENCE).pending, 0);
    assert!(!key.join("outage").exists());
}

#[test]
fn the_oldest_on_the_disk_make_room_where_the_policy_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start();
    let bound = 4_000_000;
    let config = config(&server.url, dir.path()).queue_bytes(bound).when_full(WhenFull::DropOldest);
    let client = Client::new(config).unwrap();
    client.track(event(0)).unwrap();
    let under_way = server.next();
    let mut tracked = 1;
    while client.counts().dropped < 10_000 {
        assert!(tracked < 200_000, "the queue has no bound");
        (0..500).for_each(|more| client.track(event(tracked + more)).unwrap());
        tracked += 500;
    }
    let counts = client.counts();
    assert_eq!(counts.dropped_for(DropReason::Evicted), counts.dropped);
    assert!(counts.pending_bytes <= bound as u64, "{counts:?}");
    under_way.confirm();
    let flush = client.flush(PATIENCE);
    let numbers = confirm(&server, counts.pending as usize - 1);
    assert_ordered_by_device(&numbers);
    assert_eq!(numbers.iter().min().copied(), Some(counts.dropped + 1), "the oldest went");
    assert_eq!(wait(flush).pending, 0);
    assert_eq!(client.counts().delivered + counts.dropped, u64::from(tracked));
}
