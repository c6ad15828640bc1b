//! The memory store: records one after the other in large segments, each freed when its last record is settled. Both targets.
//!
//! A record that stays long must not keep its settled neighbours alive: a segment that is mostly settled shrinks to what is left of it.

use std::mem;

use crate::pipeline::RecordId;

/// Segments grow from the first size to the last, so that a client that queues little holds little.
const FIRST_SEGMENT: usize = 4 << 10;
const LAST_SEGMENT: usize = 1 << 20;

/// How many settled segments wait to be filled again: fresh memory costs a page fault for every ten records, which is a good part of a
/// `track`. They go when the store is empty.
const SPARES: usize = 2;

/// Holds the bytes of records from append to settle.
#[derive(Debug, Default)]
pub(crate) struct MemoryStore {
    /// In the order of their records.
    segments: Vec<Segment>,
    /// Empty, of the last size.
    spares: Vec<Segment>,
    /// 0: the first size.
    next_size: usize,
    /// The segment where the last record was found: the next one is mostly there too.
    cursor: usize,
}

#[derive(Debug)]
struct Segment {
    bytes: Vec<u8>,
    /// In rising order of ids.
    records: Vec<Record>,
    live_bytes: usize,
}

#[derive(Clone, Copy, Debug)]
struct Record {
    id: RecordId,
    at: u32,
    /// 0: settled.
    bytes: u32,
}

impl MemoryStore {
    /// Takes a record; answers whether there was memory for it. Ids rise from call to call.
    pub(crate) fn append(&mut self, id: RecordId, record: &[u8]) -> bool {
        let full = self.segments.last().is_none_or(|last| last.bytes.capacity() - last.bytes.len() < record.len());
        if full {
            self.end_last();
            let Some(segment) = self.segment_for(record.len()) else { return false };
            self.segments.push(segment);
        }
        if let Some(last) = self.segments.last_mut() {
            last.push(id, record);
        }
        true
    }

    /// Takes over all records of another store, whose ids are higher, and leaves it ready for as many again.
    pub(crate) fn absorb(&mut self, other: &mut Self) {
        let bytes: usize = other.segments.iter().map(|segment| segment.bytes.len()).sum();
        other.next_size = bytes.next_power_of_two().min(LAST_SEGMENT);
        for mut segment in other.segments.drain(..) {
            if self.copy_small(&segment) {
                segment.clear();
                other.spares.push(segment);
                continue;
            }
            if segment.bytes.len() < segment.bytes.capacity() / 4 * 3 {
                segment.bytes.shrink_to_fit();
            }
            self.end_last();
            self.segments.push(segment);
        }
        other.spares.truncate(1);
        if other.spares.is_empty() {
            other.spares.extend(self.spares.pop());
        }
    }

    /// Copies a small segment behind the last one, where there is room, so that small ones do not add up.
    fn copy_small(&mut self, segment: &Segment) -> bool {
        let Some(last) = self.segments.last_mut() else { return false };
        let room = last.bytes.capacity() - last.bytes.len();
        let fits = segment.bytes.len() <= room.min(LAST_SEGMENT / 4);
        if fits {
            last.extend(segment);
        }
        fits
    }

    /// An empty segment with room for a record; `None` when there is no memory.
    fn segment_for(&mut self, bytes: usize) -> Option<Segment> {
        if let Some(spare) = self.spares.pop_if(|spare| bytes <= spare.bytes.capacity()) {
            return Some(spare);
        }
        let mut segment = Segment { bytes: Vec::new(), records: Vec::new(), live_bytes: 0 };
        segment.bytes.try_reserve_exact(self.next_size.max(FIRST_SEGMENT).max(bytes)).ok()?;
        self.next_size = (segment.bytes.capacity() * 2).min(LAST_SEGMENT);
        Some(segment)
    }

    /// The JSON of a record that is not settled.
    pub(crate) fn get(&mut self, id: RecordId) -> Option<&[u8]> {
        let (segment, record) = self.find(id)?;
        let segment = &self.segments[segment];
        let Record { at, bytes, .. } = segment.records[record];
        Some(&segment.bytes[at as usize..][..bytes as usize])
    }

    /// Appends all records, with commas between them.
    pub(crate) fn load_all(&self, body: &mut Vec<u8>) {
        let mut first = true;
        for segment in &self.segments {
            for record in segment.records.iter().filter(|record| record.bytes > 0) {
                if !mem::replace(&mut first, false) {
                    body.push(b',');
                }
                body.extend_from_slice(&segment.bytes[record.at as usize..][..record.bytes as usize]);
            }
        }
    }

    #[cfg(test)]
    pub(crate) fn live_bytes(&self) -> usize {
        self.segments.iter().map(|segment| segment.live_bytes).sum()
    }

    /// Forgets records whose outcome is known.
    pub(crate) fn settle(&mut self, ids: &[RecordId]) {
        for &id in ids {
            let Some((at, record)) = self.find(id) else { continue };
            let last = at + 1 == self.segments.len();
            let segment = &mut self.segments[at];
            let bytes = mem::take(&mut segment.records[record].bytes) as usize;
            segment.live_bytes -= bytes;
            if segment.live_bytes == 0 && !last {
                let segment = self.segments.remove(at);
                self.spare(segment);
                self.cursor = at;
            } else if segment.live_bytes == 0 {
                // The last one is filled again.
                segment.clear();
                self.cursor = at;
                if at == 0 {
                    self.spares.clear();
                }
            } else if !last {
                self.tidy(at);
            }
        }
    }

    fn spare(&mut self, mut segment: Segment) {
        if self.spares.len() < SPARES && segment.bytes.capacity() == LAST_SEGMENT {
            segment.clear();
            self.spares.push(segment);
        }
    }

    /// Before another segment comes behind the last one. An empty one between others would lead a search astray.
    fn end_last(&mut self) {
        match self.segments.pop_if(|last| last.live_bytes == 0) {
            Some(empty) => self.spare(empty),
            None => self.tidy(self.segments.len().wrapping_sub(1)),
        }
    }

    /// Shrinks a segment that is mostly settled and that nothing is appended to any more.
    fn tidy(&mut self, at: usize) {
        let Some(segment) = self.segments.get_mut(at) else { return };
        if segment.live_bytes < segment.bytes.capacity() / 4 {
            let rest = segment.rest();
            let shrunk = mem::replace(segment, rest);
            self.spare(shrunk);
        }
    }

    /// The segment and the place in it of a record that is not settled.
    fn find(&mut self, id: RecordId) -> Option<(usize, usize)> {
        let holds = |at: usize| self.segments.get(at).is_some_and(|it| it.holds(id));
        let segment = if holds(self.cursor) {
            self.cursor
        } else {
            self.segments.partition_point(|it| it.records.first().is_some_and(|first| first.id <= id)).checked_sub(1)?
        };
        self.cursor = segment;
        let record = self.segments[segment].position(id)?;
        (self.segments[segment].records[record].bytes > 0).then_some((segment, record))
    }
}

impl Segment {
    fn clear(&mut self) {
        self.bytes.clear();
        self.records.clear();
        self.live_bytes = 0;
    }

    /// Whether that is the place for a record with that id.
    fn holds(&self, id: RecordId) -> bool {
        self.records.first().is_some_and(|first| first.id <= id) && self.records.last().is_some_and(|last| id <= last.id)
    }

    /// The place of a record. Ids mostly stand without a gap, so that the first try is where it would be then.
    fn position(&self, id: RecordId) -> Option<usize> {
        let guess = id.checked_sub(self.records.first()?.id)? as usize;
        match self.records.get(guess) {
            Some(record) if record.id == id => Some(guess),
            _ => self.records.binary_search_by_key(&id, |record| record.id).ok(),
        }
    }

    /// A copy of what is not settled, of just its size.
    fn rest(&self) -> Self {
        let mut rest = Self { bytes: Vec::with_capacity(self.live_bytes), records: Vec::new(), live_bytes: 0 };
        rest.extend(self);
        rest
    }

    /// Appends what is not settled in another.
    fn extend(&mut self, other: &Self) {
        for record in other.records.iter().filter(|record| record.bytes > 0) {
            let from = record.at as usize;
            self.push(record.id, &other.bytes[from..from + record.bytes as usize]);
        }
    }

    /// Appends a record for which there is room.
    fn push(&mut self, id: RecordId, record: &[u8]) {
        // Records are bounded by the size of a request, far below 4 GiB.
        self.records.push(Record { id, at: self.bytes.len() as u32, bytes: record.len() as u32 });
        self.bytes.extend_from_slice(record);
        self.live_bytes += record.len();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn held(store: &MemoryStore) -> usize {
        store.segments.iter().chain(&store.spares).map(|segment| segment.bytes.capacity()).sum()
    }

    #[test]
    fn a_record_that_stays_does_not_keep_its_neighbours() {
        let mut store = MemoryStore::default();
        let record = vec![b'x'; 400];
        for id in 1..=100_000 {
            store.append(id, &record);
            if id % 5000 != 0 {
                store.settle(&[id]);
            }
        }
        assert!(held(&store) < (2 + SPARES) * LAST_SEGMENT, "{} bytes for 20 records", held(&store));
        assert!([5000, 100_000].iter().all(|id| store.get(*id) == Some(&record)));
    }

    proptest! {
        #[test]
        fn holds_what_a_map_would_hold(steps in prop::collection::vec((0u8..8, 0usize..64, 1usize..3000), 1..300)) {
            let mut store = MemoryStore::default();
            let mut inbox = MemoryStore::default();
            let mut model = BTreeMap::new();
            let (mut next, mut absorbed) = (1, 0);
            for (kind, pick, size) in steps {
                match kind {
                    // Into the other store, with gaps between the ids, and sometimes so large that a segment is taken over whole.
                    0..4 => {
                        let size = if pick == 0 { 100 * size } else { size };
                        let record = vec![b'a' + (next % 26) as u8; size];
                        inbox.append(next, &record);
                        model.insert(next, record);
                        next += 1 + pick as u64 % 3;
                    }
                    4 => {
                        store.absorb(&mut inbox);
                        absorbed = next - 1;
                    }
                    5 if absorbed == next - 1 => {
                        let record = vec![b'A' + (next % 26) as u8; size];
                        store.append(next, &record);
                        model.insert(next, record);
                        absorbed = next;
                        next += 1;
                    }
                    _ => {
                        let here: Vec<_> = model.range(..=absorbed).map(|(id, _)| *id).collect();
                        // Often all of them.
                        let settled = if pick < 16 { &here[..] } else { here.get(pick % here.len().max(1)..).unwrap_or_default() };
                        store.settle(settled);
                        store.settle(settled);
                        settled.iter().for_each(|id| drop(model.remove(id)));
                    }
                }
                for id in 0..=next {
                    prop_assert_eq!(store.get(id), model.get(&id).filter(|_| id <= absorbed).map(Vec::as_slice));
                }
                let mut body = Vec::new();
                store.load_all(&mut body);
                let expected = model.range(..=absorbed).map(|(_, record)| record).map(Vec::as_slice).collect::<Vec<_>>().join(&b','.to_owned());
                prop_assert_eq!(body, expected);
            }
        }
    }
}
