//! What a reply does to the records of its batch: settled, parked on their lanes, halved, or sent again.

use std::{mem, time::Duration};

use super::{
    Action, Batch, BatchState, DropReason, Entry, Failure, Now, Outcome, Pipeline, Rejection, Reply, planted,
    verdict::{Throttled, Verdict, Wait, judge},
};
use crate::limits;

/// Waits that have no other rule: throttled ids (documented) and daily quotas (counted by the hour).
const THROTTLE_MS: u64 = limits::THROTTLE_WAIT_SECS * 1000;
const QUOTA_MS: u64 = 3_600_000;
/// The longest that a server's `Retry-After` is believed.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3600);
impl Pipeline {
    /// Applies what a reply means to the records of its batch.
    pub(super) fn judged(&mut self, mut batch: Batch, reply: &Result<Reply, Failure>, now: Now) {
        let verdict = match reply {
            Ok(reply) => judge(reply, batch.entries.len()),
            Err(_) => Verdict::Retry { at_least: None },
        };
        if !matches!(verdict, Verdict::Retry { .. } | Verdict::Fault { .. }) {
            self.failures = 0;
            self.not_before = 0;
            self.paused = None;
        }
        // The server has certainly not taken what it refused or never saw, so their age does not count.
        let untouched = match reply {
            Ok(reply) => matches!(reply.status, 400..=499 | 503) && reply.status != 408,
            Err(failure) => *failure == Failure::Connect,
        };
        if untouched {
            let secs = batch.sent_secs;
            for entry in batch.entries.iter_mut().filter(|entry| entry.first_attempt == secs) {
                entry.first_attempt = 0;
            }
        }
        match verdict {
            Verdict::Delivered { short } => {
                self.counts.short_replies += u64::from(short);
                let entries = mem::take(&mut batch.entries);
                self.settle(&entries, Outcome::Delivered);
            }
            Verdict::Rejected(list) => self.reject(&mut batch, list),
            Verdict::Throttled(throttled) => {
                self.throttle(&mut batch, throttled, now);
            }
            Verdict::TooLarge => self.bisect(&mut batch, Rejection::TooLarge),
            Verdict::Unexplained => self.bisect(&mut batch, Rejection::Unexplained),
            Verdict::Retry { at_least } => {
                self.back_off(at_least, now);
                if planted("a lease is lost") {
                    return;
                }
            }
            Verdict::Fault { at_least, reason } => {
                self.back_off(at_least, now);
                if self.paused.replace(reason) != Some(reason) {
                    self.actions.push_back(Action::Paused { reason });
                }
            }
        }
        self.go_on(batch, now);
    }

    /// A batch goes again, or on with the next part that was cut off it, or ends.
    pub(super) fn go_on(&mut self, mut batch: Batch, now: Now) {
        if planted("the later half is forgotten") {
            batch.later.clear();
        }
        while batch.entries.is_empty() {
            match batch.later.pop() {
                Some(part) => batch.entries = part,
                None => {
                    for lane in batch.lanes {
                        self.lanes.release(lane, now.mono_ms);
                    }
                    return;
                }
            }
        }
        batch.state = BatchState::Waiting { not_before: now.mono_ms };
        self.batches.push(batch);
    }

    /// Settles the events at these indexes; of several reasons for one the first counts.
    fn reject(&mut self, batch: &mut Batch, list: Vec<(usize, Rejection)>) {
        if list.is_empty() {
            return;
        }
        let mut reasons = vec![None; batch.entries.len()];
        for (index, reason) in list {
            let index = index + usize::from(planted("an index off by one"));
            if let Some(place) = reasons.get_mut(index) {
                place.get_or_insert(reason);
            }
        }
        for (entry, reason) in mem::take(&mut batch.entries).into_iter().zip(reasons) {
            match reason {
                Some(reason) => self.settle(&[entry], Outcome::Rejected(reason)),
                None => batch.entries.push(entry),
            }
        }
    }

    fn throttle(&mut self, batch: &mut Batch, throttled: Throttled, now: Now) {
        let least = throttled.at_least.map_or(0, |least| least.min(MAX_RETRY_AFTER).as_millis() as u64);
        let until = |wait| now.mono_ms + least.max(if wait == Wait::Throttle { THROTTLE_MS } else { QUOTA_MS });
        for (user, wait) in throttled.users {
            self.lanes.wait_user(user, until(wait));
        }
        let devices = throttled.devices;
        for index in throttled.events {
            if let Some(entry) = batch.entries.get(index)
                && self.lanes.waits(entry, now.mono_ms) == 0
                && !devices.iter().any(|(device, _)| *device == entry.lane)
            {
                self.lanes.wait(entry.lane, until(Wait::Throttle));
            }
        }
        for (device, wait) in devices {
            if batch.lanes.contains(&device) {
                self.lanes.wait(device, until(wait));
            }
        }
        self.reject(batch, throttled.rejected);
        // All parts at once, so that a lane's records stay in their order.
        let mut parked = Vec::new();
        for part in std::iter::once(&mut batch.entries).chain(batch.later.iter_mut().rev()) {
            part.retain(|entry| {
                let until = self.lanes.waits(entry, now.mono_ms);
                if until > 0 {
                    self.lanes.wait(entry.lane, until);
                    parked.push(*entry);
                }
                until == 0
            });
        }
        self.lanes.give_back(&parked);
    }

    fn bisect(&mut self, batch: &mut Batch, alone: Rejection) {
        if batch.entries.len() == 1 {
            let entries = mem::take(&mut batch.entries);
            self.settle(&entries, Outcome::Rejected(alone));
        } else {
            let half = batch.entries.len() / 2;
            batch.later.push(batch.entries.split_off(half));
        }
    }

    fn back_off(&mut self, at_least: Option<Duration>, now: Now) {
        self.failures = self.failures.saturating_add(1);
        let at_least = at_least.map(|least| least.min(MAX_RETRY_AFTER));
        let delay = self.config.backoff.delay_ms(self.failures, at_least, &mut self.jitter);
        self.not_before = self.not_before.max(now.mono_ms + delay);
    }

    pub(super) fn settle(&mut self, entries: &[Entry], outcome: Outcome) {
        if entries.is_empty() {
            return;
        }
        self.counts.settle(entries.len() as u64, &outcome);
        self.counts.pending_bytes -= u64::from(planted("a byte is counted twice"));
        self.counts.pending_bytes -= entries.iter().map(|entry| u64::from(entry.bytes)).sum::<u64>();
        self.actions.push_back(Action::Settle { ids: entries.iter().map(|entry| entry.id).collect(), outcome });
    }

    pub(super) fn abandon(&mut self, reason: DropReason) {
        let mut entries: Vec<_> = self.storing.drain(..).map(|storing| storing.entry).collect();
        entries.extend(self.ready.drain(..));
        self.ready_bytes = 0;
        for batch in self.batches.drain(..) {
            entries.extend(batch.entries);
            entries.extend(batch.later.into_iter().flatten());
        }
        entries.extend(self.lanes.drain());
        self.flush_at = None;
        self.settle(&entries, Outcome::Dropped(reason));
    }
}
