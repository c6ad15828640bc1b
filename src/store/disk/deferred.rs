//! Deferred records: they stand in files alone although others behind them are in memory, because their ids wait and would fill the memory
//! that the others need.
//!
//! Nothing is written for it, and what is kept of them has a fixed size: how many they are, where the first may stand, and a set of their
//! lanes. Whatever stands before the archive's cursor and is neither settled nor in memory is deferred. Sweeps read from the first of them up
//! to the cursor and take those whose ids do not wait any more; what the others need is found with them, because a sweep stops while memory
//! is full and goes on where it stopped.
//!
//! Order: once a record is deferred, all that its lane has behind it are, too, until a sweep ends without one of that lane. A sweep thus
//! builds the next set while the last one still holds. A set may take a lane for another one, which then is deferred for no reason; each is
//! made with a hash of its own, so that this does not last.

use std::collections::BTreeMap;

use super::{
    Backlog,
    recall::Reading,
    segment::{Segment, Walked, walk},
};
use crate::pipeline::{Header, RecordId, planted};

/// From the end of a sweep to the next one, at least: a second, or where it is more, one for each so many bytes that it read for nothing. That is
/// about a hundredth of a processor.
const PAUSE_MS: u64 = 1000;
const BYTES_A_PAUSE: u64 = 16 << 20;

/// What a sweep keeps for the sake of those before it alone comes with them. It is looked for after a minute all the same: its lane may have
/// been taken for another one, or those before it were given up.
const BEHIND_MS: u64 = 60_000;

/// The smallest set of lanes: 8 kB.
const LEAST_WORDS: usize = 1024;

pub(super) struct Deferred {
    all: Waiting,
    sweep: Option<Sweep>,
    /// How many have begun.
    sweeps: u64,
    /// When the next one may begin.
    rested_ms: u64,
    memory_bytes: usize,
    /// What sweeps have taken: these are in memory out of their order.
    taken: BTreeMap<RecordId, Box<[u8]>>,
}

/// Records that are deferred, and what is known of them all.
struct Waiting {
    backlog: Backlog,
    /// None stands before it.
    first: RecordId,
    lanes: LaneSet,
    /// None need be looked for before.
    earliest_ms: u64,
}

/// A way from the first deferred record to the archive's cursor.
struct Sweep {
    at: RecordId,
    /// What stays deferred up to there.
    kept: Waiting,
    /// Bytes that were read for nothing.
    passed: u64,
    /// A file could not be read: what stands there is left for the next process.
    blind: bool,
}

impl Deferred {
    /// `memory_bytes`: what is held in memory, of which the two sets are a small part.
    pub(super) fn new(memory_bytes: usize) -> Self {
        let all = Waiting::new(memory_bytes, 0);
        Self { all, sweep: None, sweeps: 0, rested_ms: 0, memory_bytes, taken: BTreeMap::new() }
    }

    pub(super) fn backlog(&self) -> Backlog {
        self.all.backlog
    }

    /// No deferred record stands before it.
    pub(super) fn first(&self) -> RecordId {
        if self.all.backlog.records == 0 { RecordId::MAX } else { self.all.first }
    }

    /// Whether a record must be deferred because one before it is.
    pub(super) fn concerns(&self, lane: u64) -> bool {
        let concerns = self.all.backlog.records > 0 && self.all.lanes.contains(lane);
        concerns && !planted("a later record of a deferred lane is read first")
    }

    /// When a sweep is to begin, or go on; [`u64::MAX`]: there is nothing to look for.
    pub(super) fn next_ms(&self) -> u64 {
        match &self.sweep {
            _ if self.all.backlog.records == 0 => u64::MAX,
            Some(_) => self.rested_ms,
            None => self.rested_ms.max(self.all.earliest_ms),
        }
    }

    /// Adds a record that waits until that time; 0: for those before it alone.
    pub(super) fn defer(&mut self, id: RecordId, header: &Header, until_ms: u64) {
        self.taken.remove(&id);
        self.all.add(id, header, until_ms);
        if let Some(sweep) = self.sweep.as_mut().filter(|sweep| id < sweep.at) {
            sweep.kept.add(id, header, until_ms);
        }
    }

    /// Takes a record out that is settled where it stands.
    pub(super) fn remove(&mut self, id: RecordId, bytes: u32) {
        self.all.backlog.remove(bytes);
        if let Some(sweep) = self.sweep.as_mut().filter(|sweep| id < sweep.at) {
            sweep.kept.backlog.remove(bytes);
        }
    }

    /// The JSON of a record that a sweep has taken.
    pub(super) fn taken(&self, id: RecordId) -> Option<&[u8]> {
        self.taken.get(&id).map(|record| &**record)
    }

    #[cfg(test)]
    pub(super) fn taken_bytes(&self) -> usize {
        self.taken.values().map(|record| record.len()).sum()
    }

    pub(super) fn settle(&mut self, id: RecordId) {
        if !self.taken.is_empty() {
            self.taken.remove(&id);
        }
    }

    /// Takes what waits no longer and stands before `until`, as far as `reading` goes and until that many bytes of JSON are taken. Answers how
    /// many records are not there any more.
    pub(super) fn sweep(&mut self, segments: &mut [Segment], until: RecordId, most: usize, reading: &mut Reading<'_>) -> u64 {
        if self.next_ms() > reading.space.now_ms {
            return 0;
        }
        if self.sweep.is_none() {
            self.sweeps += 1;
            let kept = Waiting::new(self.memory_bytes, self.sweeps);
            self.sweep = Some(Sweep { at: self.all.first, kept, passed: 0, blind: false });
        }
        while let Some(sweep) = &mut self.sweep
            && reading.goes_on(most)
        {
            let (taken, backlog, kept) = (&mut self.taken, &mut self.all.backlog, &mut sweep.kept);
            let (space, store, records) = (reading.space, &mut *reading.store, &mut reading.records);
            let mut bytes = 0;
            let walked = walk(segments, &mut sweep.at, until, &mut reading.buffer, |id, frame, first_attempt| {
                let is_taken = taken.contains_key(&id) && !planted("a record that a sweep has taken comes twice");
                if is_taken || store.get(id).is_some() {
                    return true;
                }
                let header = Header { first_attempt, ..frame.header };
                let waits = (space.waits)(&header);
                if waits > 0 || kept.lanes.contains(header.lane()) {
                    kept.add(id, &header, if waits > 0 { waits } else { space.now_ms + BEHIND_MS });
                    return true;
                }
                if reading.bytes + bytes >= most {
                    return false;
                }
                backlog.remove(header.bytes);
                taken.insert(id, frame.record.into());
                bytes += frame.record.len();
                records.push((id, header));
                true
            });
            match walked {
                Walked::End => return self.end_sweep(until, reading.space.now_ms),
                Walked::On(in_file) => {
                    sweep.passed += u64::from(in_file).saturating_sub(bytes as u64);
                    reading.advance(in_file, bytes);
                }
                Walked::Unreadable(problem) => {
                    sweep.blind = true;
                    reading.problems.extend(problem);
                }
            }
            if self.all.backlog.records == 0 {
                return self.end_sweep(until, reading.space.now_ms);
            }
        }
        0
    }

    fn end_sweep(&mut self, until: RecordId, now_ms: u64) -> u64 {
        let Some(sweep) = self.sweep.take() else { return 0 };
        let missing = self.all.backlog.records.saturating_sub(sweep.kept.backlog.records);
        let lost = if sweep.blind { 0 } else { missing };
        self.all = sweep.kept;
        if planted("a deferred record is forgotten at the end of a sweep") {
            self.all.first = until;
        }
        self.rested_ms = now_ms + PAUSE_MS.max(sweep.passed * PAUSE_MS / BYTES_A_PAUSE);
        lost
    }
}

impl Waiting {
    fn new(memory_bytes: usize, number: u64) -> Self {
        let lanes = LaneSet::new(memory_bytes, number);
        Self { backlog: Backlog::default(), first: RecordId::MAX, lanes, earliest_ms: u64::MAX }
    }

    fn add(&mut self, id: RecordId, header: &Header, until_ms: u64) {
        self.first = self.first.min(id);
        if !planted("a sweep forgets whose records it keeps") {
            self.lanes.insert(header.lane());
        }
        self.backlog.add(header.bytes);
        self.earliest_ms = self.earliest_ms.min(until_ms);
    }
}

/// A set of lanes that may take others for its own: a bit for each hash.
struct LaneSet {
    /// A power of two of them, once there are any.
    bits: Vec<u64>,
    words: usize,
    /// Makes the hash; odd.
    factor: u64,
}

impl LaneSet {
    /// A bit for each eight bytes that are held in memory. `number`: that of its hash.
    fn new(memory_bytes: usize, number: u64) -> Self {
        let words = (memory_bytes / 512).next_power_of_two().max(LEAST_WORDS);
        // SplitMix64.
        let mut factor = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        factor = (factor ^ (factor >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        Self { bits: Vec::new(), words, factor: factor ^ (factor >> 27) | 1 }
    }

    fn insert(&mut self, lane: u64) {
        let (word, bit) = self.place(lane);
        self.bits.resize(self.words, 0);
        self.bits[word] |= bit;
    }

    fn contains(&self, lane: u64) -> bool {
        let (word, bit) = self.place(lane);
        self.bits.get(word).is_some_and(|bits| bits & bit != 0)
    }

    fn place(&self, lane: u64) -> (usize, u64) {
        // The high bits of a product depend on all of the lane's.
        let hash = lane.wrapping_mul(self.factor) >> 32;
        ((hash as usize / 64) & (self.words - 1), 1 << (hash % 64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::fnv1a;

    #[test]
    fn a_set_takes_some_lanes_for_its_own_and_another_one_takes_others() {
        let lane = |number: u64| fnv1a(&number.to_le_bytes());
        let wrong = |number| -> Vec<u64> {
            let mut set = LaneSet::new(1, number);
            (0..20_000).for_each(|number| set.insert(lane(number)));
            assert!((0..20_000).all(|number| set.contains(lane(number))));
            (20_000..40_000).filter(|number| set.contains(lane(*number))).collect()
        };
        let [first, second] = [wrong(0), wrong(1)];
        let both = first.iter().filter(|lane| second.contains(lane)).count();
        // 20,000 lanes take up to a third of 65,536 bits.
        for some in [first.len(), second.len()] {
            assert!((1..7000).contains(&some), "{some} of 20,000");
            assert!(both < some / 2, "{both} of {some} are wrong in both");
        }
    }
}
