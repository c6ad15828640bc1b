//! What memory has no room for: records whose ids wait go out of the pipeline, where the disk has them, too, and come in again later.

use super::{Entry, Header, Now, Pipeline, RecordId, planted};

impl Pipeline {
    /// Bytes of the records that only wait for the time of their ids.
    pub(crate) fn waiting_bytes(&self) -> usize {
        self.lanes.waiting_bytes()
    }

    /// Until when a record that is outside would wait inside for the time of its ids; 0: not at all.
    pub(crate) fn waits(&self, header: &Header, now: Now) -> u64 {
        self.lanes.waits(&Entry::new(0, *header), now.mono_ms, true)
    }

    /// Lets go of records until no more than `keep` bytes only wait for the time of their ids. What comes in again must come behind what its
    /// lane has here: of a lane that loses one, all go that come after it.
    pub(crate) fn shed(&mut self, keep: usize) -> Vec<(RecordId, Header)> {
        let mut shed = self.lanes.shed(keep);
        let mut lanes: Vec<u64> = shed.iter().map(|entry| entry.lane).collect();
        lanes.sort_unstable();
        if !planted("what comes after a deferred record stays") {
            self.ready.retain(|entry| {
                let stays = lanes.binary_search(&entry.lane).is_err();
                if !stays {
                    self.ready_bytes -= entry.bytes as usize;
                    shed.push(*entry);
                }
                stays
            });
        }
        if self.ready.is_empty() {
            self.flush_at = None;
        }
        // They are the disk's again, which counts them.
        self.counts.accepted -= shed.len() as u64;
        self.counts.pending -= shed.len() as u64;
        self.counts.pending_bytes -= shed.iter().map(|entry| u64::from(entry.bytes)).sum::<u64>();
        shed.iter().map(|entry| (entry.id, entry.header())).collect()
    }

    /// What is ready has waited long enough.
    pub(crate) fn make_due(&mut self, now: Now) {
        if !self.ready.is_empty() {
            self.flush_at = Some(now.mono_ms);
        }
    }

    /// How many headers there are, and lanes for them.
    #[cfg(test)]
    pub(crate) fn held(&self) -> (usize, usize) {
        let batches = self.batches.iter().map(|batch| batch.entries.len() + batch.later.iter().map(Vec::len).sum::<usize>());
        let (parked, lanes) = self.lanes.held();
        (self.storing.len() + self.ready.len() + parked + batches.sum::<usize>(), lanes)
    }

    /// What is counted while it changes, counted anew.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn check(&self) {
        self.lanes.check();
        assert_eq!(self.ready_bytes, self.ready.iter().map(|entry| entry.bytes as usize).sum::<usize>());
    }
}
