//! Batches: cut from what is ready, and loaded, for the first time or again.

use super::{
    Action, Batch, BatchState, DropReason, Entry, Now, Outcome, Pipeline, applied::extract, lanes::Taken, planted, secs,
};
use crate::limits;

/// An event of unknown fate is not sent again in the last twelve hours of the deduplication window.
const RESEND_SECS: u32 = (limits::DEDUP_DAYS * 86_400 - 12 * 3600) as u32;

impl Pipeline {
    /// Cuts a batch from open lanes first, whose records are older, then from the ready queue. Records that must wait are parked on the way;
    /// the way is bounded, so that a cut never costs more the more is queued.
    pub(super) fn cut(&mut self, now: Now) -> Option<Action> {
        let id = self.next_batch;
        self.next_batch += 1;
        let (max_events, max_bytes) = (self.config.batch_events, self.config.bounds.batch.min(self.most_bytes));
        let mut bytes = self.config.bounds.envelope;
        let mut count = 0;
        let mut fits = |entry: &Entry| {
            let comma = usize::from(count > 0 && !planted("a comma is not counted"));
            let larger = bytes + comma + entry.bytes as usize;
            let fits = count == 0 || count < max_events + usize::from(planted("a batch of one too many")) && larger <= max_bytes;
            if fits {
                bytes = larger;
                count += 1;
            }
            fits
        };

        let mut entries = Vec::new();
        let mut lanes = Vec::new();
        let now_ms = now.mono_ms;
        self.lanes.take_open(id, now_ms, &mut entries, &mut lanes, &mut fits);
        let mut scans = 4 * max_events + 1000;
        while let Some(&entry) = self.ready.front() {
            if scans == 0 {
                break;
            }
            scans -= 1;
            match self.lanes.take(&entry, id, now_ms, &mut fits) {
                Taken::Full => break,
                Taken::Parked => {}
                Taken::Again => entries.push(entry),
                Taken::New => {
                    lanes.push(entry.lane);
                    entries.push(entry);
                }
            }
            self.ready.pop_front();
            self.ready_bytes -= entry.bytes as usize;
        }
        match self.ready.back() {
            None => self.flush_at = None,
            Some(newest) if self.flush_at.is_some_and(|at| at <= now_ms) => {
                // What this batch has no room for has waited as long.
                self.flush_through = self.flush_through.max(newest.id);
                self.flush_at = Some(now_ms.saturating_add(self.config.flush_interval_ms));
            }
            Some(_) => {}
        }
        if entries.is_empty() {
            return None;
        }
        let state = BatchState::Loading;
        self.start(
            Batch { id, state, entries, later: Vec::new(), lanes, sent_secs: 0, sent: now, failures: 0, unanswered: false },
            now,
        )
    }

    /// Has a batch loaded, without the records that are too old to be sent again and those whose ids have come to wait.
    pub(super) fn start(&mut self, mut batch: Batch, now: Now) -> Option<Action> {
        let oldest = secs(self.clock_ms).saturating_sub(RESEND_SECS);
        let old = extract(&mut batch.entries, &mut |entry| (1..oldest).contains(&entry.first_attempt));
        self.settle(&old, Outcome::Unknown);
        // What the server may have is resent for as long as that is safe.
        let oldest = secs(self.clock_ms).saturating_sub(self.config.max_age_secs);
        let expired = extract(&mut batch.entries, &mut |entry| entry.tracked_secs < oldest && entry.first_attempt == 0);
        self.settle(&expired, Outcome::Dropped(DropReason::Expired));
        self.drop_purged(&mut batch.entries);
        if !planted("a throttled user's other device goes") {
            self.park(&mut batch, now);
        }
        if batch.entries.is_empty() {
            self.go_on(batch, now.mono_ms, now);
            return None;
        }
        batch.state = BatchState::Loading;
        let records: usize = batch.entries.iter().map(|entry| entry.bytes as usize).sum();
        let bytes = self.config.bounds.envelope + records + batch.entries.len() - 1;
        let ids = batch.entries.iter().map(|entry| entry.id).collect();
        let action = Action::Load { batch: batch.id, ids, bytes };
        self.batches.push(batch);
        Some(action)
    }
}
