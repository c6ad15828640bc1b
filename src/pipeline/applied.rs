//! What a reply does to the records of its batch: settled, parked on their lanes, halved, or sent again.

use std::{iter, mem, time::Duration};

use super::{
    Action, Batch, BatchState, Clocks, DropReason, Entry, Failure, Now, Outcome, Pipeline, RecordId, Rejection, Reply,
    backoff::millis,
    planted,
    verdict::{Named, Verdict, Wait, is_untouched, judge},
};

const UNREACHABLE: &str = "the server cannot be reached";
/// The longest that a server's `Retry-After` is believed.
pub(super) const MAX_RETRY_AFTER: Duration = Duration::from_secs(3600);
/// Failures in a row after which a batch is halved, in case that it is too much for the line or holds what the server stumbles over.
const HALVE_AFTER: u32 = 4;

impl Pipeline {
    /// Applies what a reply means to the records of its batch.
    pub(super) fn judged(&mut self, mut batch: Batch, reply: &Result<Reply, Failure>, now: Now) {
        let untouched = is_untouched(reply);
        if untouched {
            let ids: Vec<_> = batch.entries.iter().filter(|entry| entry.first_attempt == 0).map(|entry| entry.id).collect();
            if !ids.is_empty() && self.config.notes_attempts {
                self.actions.push_back(Action::NotAttempted { ids });
            }
        } else if !planted("an attempt is forgotten") {
            for entry in batch.entries.iter_mut().filter(|entry| entry.first_attempt == 0) {
                entry.first_attempt = batch.sent_secs.max(1);
            }
        }
        let verdict = match reply {
            Ok(reply) if self.is_declared(reply) => Verdict::Delivered { short: false, server_ms: None },
            Ok(reply) => judge(reply, batch.entries.len()),
            Err(Failure::Connect) => Verdict::Fault { at_least: None, reason: UNREACHABLE, halve: false },
            Err(_) => Verdict::Retry { at_least: None },
        };
        let waits = match verdict {
            Verdict::Delivered { short, server_ms } => {
                self.counts.short_replies += u64::from(short);
                self.clocks = server_ms.map(|server_ms| Clocks { server_ms, sent: batch.sent, answered: now });
                let entries = mem::take(&mut batch.entries);
                self.lanes.speed_up(&entries);
                self.settle(&entries, Outcome::Delivered);
                None
            }
            Verdict::Named(named) => {
                let at_least = named.at_least;
                let smaller = self.apply(&mut batch, named, now);
                // A list that concerns nobody here must not bring the same request back at once.
                (!smaller && !planted("a list of nobody brings the request back")).then_some(at_least)
            }
            Verdict::TooLarge => {
                self.bisect(&mut batch, Rejection::TooLarge);
                None
            }
            Verdict::Unexplained => {
                self.bisect(&mut batch, Rejection::Unexplained);
                None
            }
            Verdict::Retry { at_least } => {
                // That a server is busy, or out of reach, says nothing of the events.
                if !untouched {
                    self.narrow(&mut batch, HALVE_AFTER, now);
                }
                Some(at_least)
            }
            Verdict::Fault { at_least, reason, halve } => {
                if halve {
                    self.narrow(&mut batch, 0, now);
                }
                if self.paused.replace(reason) != Some(reason) {
                    self.actions.push_back(Action::Paused { reason });
                }
                Some(at_least)
            }
        };
        batch.unanswered = reply.is_err();
        let not_before = match waits {
            None => {
                batch.failures = 0;
                self.failures = 0;
                self.not_before = 0;
                self.unanswered = false;
                self.paused = None;
                now.mono_ms
            }
            Some(at_least) => {
                self.failures = self.failures.saturating_add(1);
                self.unanswered = batch.unanswered;
                let not_before = self.back_off(&mut batch, self.failures, at_least, now);
                self.not_before = self.not_before.max(not_before);
                if planted("a lease is lost") {
                    return;
                }
                not_before
            }
        };
        self.go_on(batch, not_before, now);
    }

    /// Whether an own proxy says that it has the events.
    fn is_declared(&self, reply: &Reply) -> bool {
        (200..=299).contains(&reply.status) && self.config.proxy_reply.as_ref().is_some_and(|declared| declared.is(reply))
    }

    /// How far the server's clock was ahead at its last answer; `None` where that was slow, or the clock was set meanwhile.
    pub(crate) fn clock_drift_ms(&self) -> Option<i64> {
        let Clocks { server_ms, sent, answered } = self.clocks?;
        let round_trip = answered.mono_ms.saturating_sub(sent.mono_ms);
        let on_the_wall = answered.unix_ms.saturating_sub(sent.unix_ms);
        let middle = i64::try_from(sent.unix_ms + round_trip / 2).ok()?;
        (round_trip <= 10_000 && on_the_wall.abs_diff(round_trip) <= 1000).then(|| server_ms.saturating_sub(middle))
    }

    /// A batch goes again, or on with the next part that was cut off it, or ends.
    pub(super) fn go_on(&mut self, mut batch: Batch, not_before: u64, now: Now) {
        if planted("the later half is forgotten") {
            batch.later.clear();
        }
        for part in iter::once(&mut batch.entries).chain(&mut batch.later) {
            self.drop_purged(part);
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
        batch.state = BatchState::Waiting { not_before };
        self.batches.push(batch);
    }

    /// What the store has lost is settled; the rest is loaded again, at once where that alone was in the way.
    pub(super) fn load_failed(&mut self, mut batch: Batch, lost: &[RecordId], now: Now) {
        if planted("a failed load is forgotten") {
            return;
        }
        let is_gone = |entry: &Entry| lost.contains(&entry.id) && !planted("a lost record is loaded again");
        let gone = extract(&mut batch.entries, &mut |entry| is_gone(entry));
        self.settle(&gone, Outcome::Dropped(DropReason::Store));
        let not_before = if gone.is_empty() { self.back_off(&mut batch, 1, None, now) } else { now.mono_ms };
        self.go_on(batch, not_before, now);
    }

    /// Makes ids wait and parks their records, settles what is refused. Answers whether that made the request smaller.
    fn apply(&mut self, batch: &mut Batch, named: Named, now: Now) -> bool {
        let least = named.at_least.map_or(0, |least| millis(least.min(MAX_RETRY_AFTER)));
        let until = |wait: Wait| now.mono_ms + least.max(wait.secs() * 1000);
        let window = named.window;
        for (id, wait) in named.ids {
            self.lanes.slow_down(id, until(wait), window, &batch.entries, now.mono_ms);
        }
        // After the ids, because an event's own wait is the shorter one.
        for index in named.events {
            if let Some(entry) = batch.entries.get(index)
                && self.lanes.waits(entry, now.mono_ms, false) == 0
            {
                self.lanes.slow_down(entry.lane, until(Wait::Throttle), window, &batch.entries, now.mono_ms);
            }
        }
        let before = batch.entries.len();
        let mut refused = vec![false; before];
        for (index, reason) in named.rejected {
            let index = index + usize::from(planted("an index off by one"));
            if let Some(&entry) = batch.entries.get(index) {
                refused[index] = true;
                self.settle(&[entry], Outcome::Rejected(reason));
            }
        }
        let mut refused = refused.into_iter();
        extract(&mut batch.entries, &mut |_| refused.next() == Some(true));
        let silenced = extract(&mut batch.entries, &mut |entry| named.silenced.contains(&entry.lane));
        self.settle(&silenced, Outcome::Rejected(Rejection::Silenced));
        self.park(batch, now);
        batch.entries.len() < before
    }

    /// Parks the records whose ids wait.
    pub(super) fn park(&mut self, batch: &mut Batch, now: Now) {
        // All parts at once, so that a lane's records stay in their order.
        let mut parked = Vec::new();
        for part in iter::once(&mut batch.entries).chain(batch.later.iter_mut().rev()) {
            self.drop_purged(part);
            parked.extend(extract(part, &mut |entry| {
                let until = self.lanes.waits(entry, now.mono_ms, false);
                if until > 0 {
                    // Those behind it wait too, though their users may not.
                    self.lanes.wait(entry.lane, until);
                }
                until > 0
            }));
        }
        self.lanes.give_back(&parked);
    }

    /// What was refused, or failed more than `after` times in a row, may fail for its size or for one event in it: it is halved, and what fails
    /// alone waits on its lane, so that the others are sent without it.
    fn narrow(&mut self, batch: &mut Batch, after: u32, now: Now) {
        if batch.failures < after {
            return;
        }
        match batch.entries.as_slice() {
            [_] if batch.failures < 2 * after => {}
            [entry] => {
                self.lanes.wait(entry.lane, now.mono_ms + millis(self.config.backoff.cap));
                self.park(batch, now);
            }
            _ => self.halve(batch),
        }
    }

    fn bisect(&mut self, batch: &mut Batch, alone: Rejection) {
        if batch.entries.len() == 1 {
            let entries = mem::take(&mut batch.entries);
            self.settle(&entries, Outcome::Rejected(alone));
        } else {
            self.halve(batch);
        }
    }

    fn halve(&mut self, batch: &mut Batch) {
        let half = batch.entries.len() / 2;
        batch.later.push(batch.entries.split_off(half));
    }

    /// Until when a batch waits that failed once more. `failures`: those in a row whatever the batch. The wait is the batch's own, so that
    /// what others meet does not bring it back sooner than its server asked.
    fn back_off(&mut self, batch: &mut Batch, failures: u32, at_least: Option<Duration>, now: Now) -> u64 {
        batch.failures = batch.failures.saturating_add(1);
        let at_least = at_least.map(|least| least.min(MAX_RETRY_AFTER));
        let wait = self.config.backoff.delay_ms(failures.max(batch.failures), at_least, &mut self.jitter);
        if planted("a batch comes back too soon") { now.mono_ms } else { now.mono_ms + wait }
    }

    pub(super) fn settle(&mut self, entries: &[Entry], outcome: Outcome) {
        if self.purged.is_empty() {
            return self.end(entries, outcome);
        }
        let (purged, others): (Vec<_>, Vec<_>) = entries.iter().copied().partition(|entry| self.is_purged(entry));
        self.purged.retain(|id| purged.iter().all(|entry| entry.id != *id));
        // No dead letter tells of it.
        let end = if outcome.makes_a_dead_letter() { Outcome::Dropped(DropReason::Purged) } else { outcome.clone() };
        self.end(&purged, end);
        self.end(&others, outcome);
    }

    fn end(&mut self, entries: &[Entry], outcome: Outcome) {
        if entries.is_empty() {
            return;
        }
        self.counts.settle(entries.len() as u64, &outcome);
        self.counts.pending_bytes -= u64::from(planted("a byte is counted twice"));
        self.counts.pending_bytes -= entries.iter().map(|entry| u64::from(entry.bytes)).sum::<u64>();
        self.actions.push_back(Action::Settle { ids: entries.iter().map(|entry| entry.id).collect(), outcome });
    }

    /// Gives up all that is pending, or lets go of it where the store keeps it. What the server may have and nobody keeps is of unknown fate.
    pub(crate) fn abandon(&mut self, reason: Option<DropReason>) {
        // Those that the store failed are settled already.
        let twice = planted("an abandoned record is settled twice");
        let unanswered = self.storing.drain(..).filter(|storing| twice || storing.stored != Some(false));
        let mut entries: Vec<_> = unanswered.map(|storing| storing.entry).collect();
        entries.extend(self.ready.drain(..));
        self.ready_bytes = 0;
        let mut sent = Vec::new();
        for mut batch in self.batches.drain(..) {
            if batch.state == BatchState::InFlight {
                sent.append(&mut batch.entries);
            }
            entries.extend(batch.entries);
            entries.extend(batch.later.into_iter().flatten());
        }
        entries.extend(self.lanes.drain());
        self.flush_at = None;
        sent.extend(extract(&mut entries, &mut |entry| entry.first_attempt != 0));
        match reason {
            Some(reason) => {
                self.settle(&sent, Outcome::Unknown);
                self.settle(&entries, Outcome::Dropped(reason));
            }
            None => {
                entries.append(&mut sent);
                self.drop_purged(&mut entries);
                let ids: Vec<_> = entries.iter().map(|entry| entry.id).collect();
                if !ids.is_empty() {
                    self.actions.push_back(Action::Settle { ids, outcome: Outcome::Kept });
                }
            }
        }
    }
}

/// Takes out the entries of which `out` says so. One function for all, where `Vec::extract_if` would be made for each.
pub(super) fn extract(entries: &mut Vec<Entry>, out: &mut dyn FnMut(&Entry) -> bool) -> Vec<Entry> {
    let (taken, kept) = mem::take(entries).into_iter().partition(|entry| out(entry));
    *entries = kept;
    taken
}
