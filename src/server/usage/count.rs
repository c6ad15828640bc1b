//! The counts of one credential, interval by interval.

use super::{Rules, Usage};
use crate::server::UnusualUsage;

/// The weight of the last interval in the average.
const WEIGHT: f64 = 0.2;
/// Fewer intervals than these make no average.
const WARM_UP: u64 = 3;
/// After so many empty intervals the average is nothing.
const FORGOTTEN: u64 = 64;
const KINDS: [UnusualUsage; 4] = [UnusualUsage::Requests, UnusualUsage::Refusals, UnusualUsage::Throttles, UnusualUsage::Bytes];

pub(super) struct History {
    /// The number of the running interval.
    interval: u64,
    pub(super) current: Usage,
    pub(super) total: Usage,
    /// The average of the intervals before, in the order of `KINDS`.
    average: [f64; KINDS.len()],
    /// How many these are.
    finished: u64,
    /// What was told of the running interval.
    told: [bool; KINDS.len()],
}

impl History {
    pub(super) fn new(interval: u64) -> Self {
        Self {
            interval,
            current: Usage::default(),
            total: Usage::default(),
            average: [0.0; KINDS.len()],
            finished: 0,
            told: [false; KINDS.len()],
        }
    }

    pub(super) fn interval(&self) -> u64 {
        self.interval
    }

    pub(super) fn is_warm(&self) -> bool {
        self.finished >= WARM_UP
    }

    /// How many requests an interval usually has.
    pub(super) fn usual_requests(&self) -> u64 {
        whole(self.average[0])
    }

    /// Ends the intervals before that one. A clock that went back changes nothing.
    pub(super) fn advance(&mut self, interval: u64) {
        let passed = interval.saturating_sub(self.interval);
        if passed == 0 {
            return;
        }
        let last = std::mem::take(&mut self.current);
        self.finish(last);
        for _ in 1..passed.min(FORGOTTEN) {
            self.finish(Usage::default());
        }
        self.finished = self.finished.saturating_add(passed.saturating_sub(FORGOTTEN));
        self.interval = interval;
        self.told = [false; KINDS.len()];
    }

    fn finish(&mut self, usage: Usage) {
        for (average, count) in self.average.iter_mut().zip(counts(&usage)) {
            // The first interval is all that is known after it.
            let weight = if self.finished == 0 { 1.0 } else { WEIGHT };
            *average += weight * (count as f64 - *average);
        }
        self.finished = self.finished.saturating_add(1);
    }

    pub(super) fn add(&mut self, add: impl FnOnce(&mut Usage)) {
        let mut usage = Usage::default();
        add(&mut usage);
        self.current = sum(self.current, usage);
        self.total = sum(self.total, usage);
    }

    /// What of the running interval is unusual and was not told yet: seen and usual.
    pub(super) fn unusual(&mut self, rules: &Rules) -> Vec<(UnusualUsage, u64, u64)> {
        if !self.is_warm() {
            return Vec::new();
        }
        let mut unusual = Vec::new();
        for (index, count) in counts(&self.current).into_iter().enumerate() {
            let least = if KINDS[index] == UnusualUsage::Bytes { rules.least_bytes } else { rules.least };
            if !self.told[index] && count > least && count as f64 > rules.factor * self.average[index] {
                self.told[index] = true;
                unusual.push((KINDS[index], count, whole(self.average[index])));
            }
        }
        unusual
    }
}

fn counts(usage: &Usage) -> [u64; KINDS.len()] {
    [usage.requests, usage.refusals, usage.throttles, usage.bytes_sent.saturating_add(usage.bytes_received)]
}

fn sum(a: Usage, b: Usage) -> Usage {
    Usage {
        requests: a.requests.saturating_add(b.requests),
        refusals: a.refusals.saturating_add(b.refusals),
        throttles: a.throttles.saturating_add(b.throttles),
        bytes_sent: a.bytes_sent.saturating_add(b.bytes_sent),
        bytes_received: a.bytes_received.saturating_add(b.bytes_received),
    }
}

/// Averages are of counts, so that none is negative or without measure.
fn whole(average: f64) -> u64 {
    average.round() as u64
}
