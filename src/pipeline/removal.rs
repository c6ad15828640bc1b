//! What is taken out before its time: the oldest records where the queue is full, and those that the owner wants forgotten.

use std::mem;

use super::{Action, BatchState, DropReason, Entry, Now, Outcome, Pipeline, RecordId, applied::extract, planted};

impl Pipeline {
    /// Gives up the oldest records that are not under way and have a number below `before`, until they free that many bytes. Answers how many
    /// bytes they did.
    pub(crate) fn evict(&mut self, bytes: u64, before: RecordId, now: Now) -> u64 {
        let mut waiting = Vec::new();
        self.look_through(&mut |entry| {
            if entry.id < before {
                waiting.push((entry.id, entry.bytes));
            }
        });
        waiting.sort_unstable();
        if planted("the newest make room") {
            waiting.reverse();
        }
        let mut freed = 0;
        let mut newest = None;
        for (id, size) in waiting {
            if freed >= bytes {
                break;
            }
            freed += u64::from(size);
            newest = Some(id);
        }
        if let Some(newest) = newest {
            let is_old = |entry: &Entry| if planted("the newest make room") { entry.id >= newest } else { entry.id <= newest };
            let evicted = self.take_out(&mut |entry| is_old(entry), now);
            self.settle(&evicted, Outcome::Dropped(DropReason::Evicted));
        }
        freed
    }

    /// Gives up the records of which `is_meant` says so. Those under way are delivered where their reply says so, and given up otherwise.
    /// Answers how many were given up and how many are under way.
    pub(crate) fn purge(&mut self, is_meant: &mut dyn FnMut(RecordId) -> bool, now: Now) -> (usize, usize) {
        let purged = self.take_out(&mut |entry| is_meant(entry.id), now);
        self.settle(&purged, Outcome::Dropped(DropReason::Purged));
        let under_way = self.batches.iter().filter(|batch| !matches!(batch.state, BatchState::Waiting { .. }));
        let storing = self.storing.iter().map(|storing| storing.entry.id);
        let others = storing.chain(under_way.flat_map(|batch| &batch.entries).map(|entry| entry.id));
        let meant: Vec<_> = others.filter(|id| is_meant(*id)).collect();
        self.purged.extend(&meant);
        self.purged.sort_unstable();
        self.purged.dedup();
        (purged.len(), meant.len())
    }

    /// Gives up records that stood on the disk alone, and were not counted here.
    pub(crate) fn drop_on_disk(&mut self, ids: Vec<RecordId>, reason: DropReason) {
        if !ids.is_empty() {
            let outcome = Outcome::Dropped(reason);
            self.count_dropped(ids.len() as u64, reason);
            self.actions.push_back(Action::Settle { ids, outcome });
        }
    }

    pub(super) fn is_purged(&self, entry: &Entry) -> bool {
        self.purged.binary_search(&entry.id).is_ok()
    }

    /// Takes out what was purged while it was under way, and would be sent again or kept for it.
    pub(super) fn drop_purged(&mut self, entries: &mut Vec<Entry>) {
        if self.purged.is_empty() || planted("a purged event is sent again") {
            return;
        }
        let dropped = extract(entries, &mut |entry| self.is_purged(entry));
        self.settle(&dropped, Outcome::Dropped(DropReason::Purged));
    }

    /// Whether the driver is to hear of a record's outcome.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn settles(&self, id: RecordId) -> bool {
        self.actions.iter().any(|action| matches!(action, Action::Settle { ids, .. } if ids.contains(&id)))
    }

    /// Shows all records that are not under way.
    fn look_through(&self, look: &mut dyn FnMut(&Entry)) {
        for batch in &self.batches {
            if matches!(batch.state, BatchState::Waiting { .. }) {
                batch.entries.iter().for_each(&mut *look);
            }
            batch.later.iter().flatten().for_each(&mut *look);
        }
        self.lanes.parked().for_each(&mut *look);
        self.ready.iter().for_each(look);
    }

    /// Takes out records that are not under way.
    fn take_out(&mut self, out: &mut dyn FnMut(&Entry) -> bool, now: Now) -> Vec<Entry> {
        let mut taken = Vec::new();
        for mut batch in mem::take(&mut self.batches) {
            for part in &mut batch.later {
                taken.extend(extract(part, out));
            }
            let BatchState::Waiting { not_before } = batch.state else {
                self.batches.push(batch);
                continue;
            };
            taken.extend(extract(&mut batch.entries, out));
            self.go_on(batch, not_before, now);
        }
        taken.extend(self.lanes.take_out(out));
        let mut ready = mem::take(&mut self.ready).into();
        taken.extend(extract(&mut ready, out));
        self.ready = ready.into();
        self.ready_bytes = self.ready.iter().map(|entry| entry.bytes as usize).sum();
        if self.ready.is_empty() {
            self.flush_at = None;
        }
        taken
    }
}
