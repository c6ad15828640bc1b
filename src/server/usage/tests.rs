//! What is unusual, and what is counted.

use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::server::UnusualUsage;

struct Watched {
    monitor: UsageMonitor,
    seconds: Arc<AtomicU64>,
    observers: Observers,
    told: Arc<Mutex<Vec<(UnusualUsage, u64, u64)>>>,
}

impl Watched {
    fn new() -> Self {
        let (seconds, told) = (Arc::new(AtomicU64::new(0)), Arc::new(Mutex::new(Vec::new())));
        let (clock, heard) = (Arc::clone(&seconds), Arc::clone(&told));
        let monitor = UsageMonitor::new().clock(move || Duration::from_secs(clock.load(Ordering::Relaxed)));
        let observers = Observers::new(Arc::new(move |event: &AuthEvent<'_>| {
            if let AuthEvent::UsageUnusual { what, seen, usual, .. } = event {
                heard.lock().unwrap().push((*what, *seen, *usual));
            }
        }));
        Self { monitor: monitor.interval(Duration::from_secs(60)), seconds, observers, told }
    }

    fn meter(&self, key: &str) -> Meter {
        let authorization = Authorization::nothing(CredentialKind::ProjectKey, key);
        Meter::new(Some(&self.monitor), &self.observers, &authorization)
    }

    fn requests(&self, count: usize, status: u16) {
        for _ in 0..count {
            let meter = self.meter("key");
            meter.sent(10);
            meter.answered(status);
        }
    }

    fn next_interval(&self) {
        self.seconds.fetch_add(60, Ordering::Relaxed);
    }

    fn told(&self) -> Vec<(UnusualUsage, u64, u64)> {
        std::mem::take(&mut *self.told.lock().unwrap())
    }
}

#[test]
fn a_spike_is_told_once_as_soon_as_it_is_one() {
    let watched = Watched::new();
    for _ in 0..3 {
        watched.requests(10, 200);
        watched.next_interval();
    }
    watched.requests(40, 200);
    assert_eq!(watched.told(), []);
    watched.requests(1, 200);
    assert_eq!(watched.told(), [(UnusualUsage::Requests, 41, 10)]);
    watched.requests(100, 200);
    assert_eq!(watched.told(), []);
    // The next interval is one of its own, and the average has learnt: 10 + 0.2 * (141 - 10).
    watched.next_interval();
    watched.requests(144, 200);
    assert_eq!(watched.told(), []);
    watched.requests(2, 200);
    assert_eq!(watched.told(), [(UnusualUsage::Requests, 145, 36)]);
}

#[test]
fn few_are_never_unusual_and_nothing_is_before_three_intervals() {
    let watched = Watched::new();
    watched.requests(1000, 429);
    watched.next_interval();
    watched.next_interval();
    watched.requests(100_000, 401);
    assert_eq!(watched.told(), []);
    let quiet = Watched::new();
    quiet.requests(1, 200);
    for _ in 0..3 {
        quiet.next_interval();
    }
    quiet.requests(20, 200);
    assert_eq!(quiet.told(), []);
    quiet.requests(1, 200);
    assert_eq!(quiet.told(), [(UnusualUsage::Requests, 21, 1)]);
}

#[test]
fn refusals_throttles_and_bytes_have_averages_of_their_own() {
    for (status, what) in [(401, UnusualUsage::Refusals), (403, UnusualUsage::Refusals), (429, UnusualUsage::Throttles)] {
        let watched = Watched::new();
        for _ in 0..3 {
            watched.requests(30, 200);
            watched.next_interval();
        }
        watched.requests(25, status);
        assert_eq!(watched.told(), [(what, 21, 0)], "{status}");
    }
    let watched = Watched::new();
    for _ in 0..3 {
        watched.requests(30, 200);
        watched.next_interval();
    }
    watched.meter("key").received(10 << 20);
    assert_eq!(watched.told(), []);
    watched.meter("key").received(1);
    assert_eq!(watched.told(), [(UnusualUsage::Bytes, (10 << 20) + 1, 300)]);
}

#[test]
fn long_silence_leaves_no_average_and_a_clock_that_goes_back_harms_nothing() {
    let watched = Watched::new();
    for _ in 0..3 {
        watched.requests(1000, 200);
        watched.next_interval();
    }
    watched.seconds.store(u64::MAX / 2, Ordering::Relaxed);
    watched.requests(21, 200);
    assert_eq!(watched.told(), [(UnusualUsage::Requests, 21, 0)]);
    watched.seconds.store(0, Ordering::Relaxed);
    watched.requests(1, 200);
    assert_eq!(watched.monitor.report().credentials[0].current.requests, 22);
}

#[test]
fn the_report_names_each_credential_by_its_fingerprint_and_the_number_of_them_has_a_bound() {
    let watched = Watched::new();
    watched.meter("one").sent(5);
    watched.requests(3, 403);
    watched.meter("key").received(7);
    let report = watched.monitor.report();
    assert_eq!(report.credentials.len(), 2);
    let first = &report.credentials[0];
    assert_eq!(first.total, Usage { requests: 3, refusals: 3, throttles: 0, bytes_sent: 30, bytes_received: 7 });
    assert_eq!(first.fingerprint, Fingerprint::of("key"));
    let text = report.to_string();
    assert!(text.contains(&format!("the project's API key {}: 3 requests (3 refused", Fingerprint::of("key"))), "{text}");
    assert!(text.contains("too few intervals"), "{text}");
    watched.next_interval();
    for number in 0..2 * MAX_CREDENTIALS {
        watched.meter(&number.to_string()).sent(1);
        // In use, so that it is never the oldest.
        watched.next_interval();
        watched.meter("key").sent(1);
    }
    let report = watched.monitor.report();
    assert_eq!(report.credentials.len(), MAX_CREDENTIALS);
    assert!(report.credentials.iter().any(|usage| usage.fingerprint == Fingerprint::of("key")));
}
