//! Usage as clients have it: what is counted, who is told.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use amplitude_sdk::{
    ProjectKey,
    server::{AuthEvent, Client, CredentialKind, ExportRange, IngestOptions, ManagementKey, Options, UnusualUsage, UsageMonitor},
};

use crate::{
    KEY, SECRET, block_on, event, pair,
    support::{Answer, Stub},
};

#[test]
fn a_spike_of_a_client_is_told_to_its_observers() {
    let seconds = Arc::new(AtomicU64::new(0));
    let clock = Arc::clone(&seconds);
    let monitor = UsageMonitor::new().interval(Duration::from_secs(60)).at_least(5).factor(2.0);
    let monitor = monitor.clock(move || Duration::from_secs(clock.load(Ordering::Relaxed)));
    let told: Arc<Mutex<Vec<(UnusualUsage, u64, u64)>>> = Arc::default();
    let heard = Arc::clone(&told);
    let stub = Stub::start([]);
    let options = Options::new().base_url(stub.base_url()).usage(monitor.clone()).observer(move |event: &AuthEvent<'_>| {
        if let AuthEvent::UsageUnusual { what, seen, usual, .. } = event {
            heard.lock().unwrap().push((*what, *seen, *usual));
        }
    });
    let client = Client::with_options(ProjectKey::new(KEY).unwrap(), options).unwrap();
    let ingest = || block_on(client.ingest(&mut [event("user123")], IngestOptions::new())).unwrap();
    for _ in 0..3 {
        ingest();
        ingest();
        seconds.fetch_add(60, Ordering::Relaxed);
    }
    (0..5).for_each(|_| drop(ingest()));
    assert!(told.lock().unwrap().is_empty());
    ingest();
    assert_eq!(*told.lock().unwrap(), [(UnusualUsage::Requests, 6, 2)]);
}

#[test]
fn requests_refusals_throttles_and_bytes_are_counted_by_credential() {
    let monitor = UsageMonitor::new();
    let nothing = "Raw data files were not found.";
    let say = |status, text: &str| Answer::Say(status, "text/plain", text.to_owned());
    let stub = Stub::start([say(404, nothing), say(401, "no"), say(429, ""), Answer::Confirm]);
    let options = || Options::new().base_url(stub.base_url()).usage(monitor.clone());
    let client = Client::with_options(pair(SECRET), options()).unwrap();
    for _ in 0..3 {
        drop(block_on(client.export(ExportRange::parse("20260101T00", "20260101T23").unwrap())));
    }
    block_on(client.ingest(&mut [event("user123")], IngestOptions::new())).unwrap();
    block_on(Client::with_options(ManagementKey::new("fake-management-key").unwrap(), options()).unwrap().verify()).unwrap();

    let report = monitor.report();
    let of = |kind| report.credentials.iter().find(|usage| usage.kind == kind).unwrap();
    let total = of(CredentialKind::ProjectPair).total;
    assert_eq!((total.requests, total.refusals, total.throttles, total.bytes_sent), (3, 1, 1, 0));
    assert_eq!(total.bytes_received as usize, nothing.len() + "no".len());
    // Ingestion is done by the key that the body names.
    let total = of(CredentialKind::ProjectKey).total;
    assert_eq!((total.requests, total.bytes_sent as usize), (1, stub.seen()[3].raw_bytes));
    assert!(total.bytes_received > 0);
    assert_eq!(of(CredentialKind::ManagementKey).total.requests, 1);
    assert_eq!(report.credentials.len(), 3, "{report}");
    let text = report.to_string();
    assert!(!text.contains(SECRET) && !text.contains(KEY), "{text}");
}
