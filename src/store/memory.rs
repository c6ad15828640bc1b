//! The memory store: records one after the other in large segments, each freed when its last record is settled. Both targets.
//!
//! A record that stays long must not keep its settled neighbours alive: a segment that is mostly settled shrinks to what is left of it.

use std::mem;

use crate::pipeline::RecordId;

/// Segments grow from the first size to the last, so that a client that queues little holds little.
const FIRST_SEGMENT: usize = 4 << 10;
const LAST_SEGMENT: usize = 1 << 20;

/// Holds the bytes of records from append to settle.
#[derive(Debug)]
pub(crate) struct MemoryStore {
    /// In the order of their records.
    segments: Vec<Segment>,
    next_size: usize,
    /// Where the last record was found: the next one is mostly behind it.
    cursor: (usize, usize),
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
    pub(crate) const fn new() -> Self {
        Self { segments: Vec::new(), next_size: FIRST_SEGMENT, cursor: (0, 0) }
    }

    /// Takes a record; answers whether there was memory for it. Ids rise from call to call.
    pub(crate) fn append(&mut self, id: RecordId, record: &[u8]) -> bool {
        let full = self.segments.last().is_none_or(|last| last.bytes.capacity() - last.bytes.len() < record.len());
        if full {
            self.tidy(self.segments.len().wrapping_sub(1));
            let size = self.next_size.max(record.len());
            let mut bytes = Vec::new();
            if bytes.try_reserve_exact(size).is_err() {
                return false;
            }
            self.next_size = (self.next_size * 2).min(LAST_SEGMENT);
            self.segments.push(Segment { bytes, records: Vec::new(), live_bytes: 0 });
        }
        if let Some(last) = self.segments.last_mut() {
            // Records are bounded by the size of a request, far below 4 GiB.
            last.records.push(Record { id, at: last.bytes.len() as u32, bytes: record.len() as u32 });
            last.bytes.extend_from_slice(record);
            last.live_bytes += record.len();
        }
        true
    }

    /// Appends the records to a body, with commas between them; answers whether all were there.
    pub(crate) fn load(&mut self, ids: &[RecordId], body: &mut Vec<u8>) -> bool {
        for (index, &id) in ids.iter().enumerate() {
            if index > 0 {
                body.push(b',');
            }
            let Some((segment, record)) = self.find(id) else { return false };
            let segment = &self.segments[segment];
            let Record { at, bytes, .. } = segment.records[record];
            body.extend_from_slice(&segment.bytes[at as usize..][..bytes as usize]);
        }
        true
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

    /// Forgets records whose outcome is known.
    pub(crate) fn settle(&mut self, ids: &[RecordId]) {
        for &id in ids {
            let Some((at, record)) = self.find(id) else { continue };
            let segment = &mut self.segments[at];
            let bytes = mem::take(&mut segment.records[record].bytes) as usize;
            segment.live_bytes -= bytes;
            let last = at + 1 == self.segments.len();
            let segment = &mut self.segments[at];
            if segment.live_bytes == 0 && !last {
                self.segments.remove(at);
                self.cursor = (at, 0);
            } else if segment.live_bytes == 0 {
                // The last one is filled again.
                segment.bytes.clear();
                segment.records.clear();
                self.cursor = (at, 0);
            } else if !last {
                self.tidy(at);
            }
        }
    }

    /// Shrinks a segment that is mostly settled and that nothing is appended to any more.
    fn tidy(&mut self, at: usize) {
        let Some(segment) = self.segments.get_mut(at) else { return };
        if segment.live_bytes < segment.bytes.capacity() / 4 {
            segment.shrink();
            self.cursor = (at, 0);
        }
    }

    /// The segment and the place in it of a record that is not settled.
    fn find(&mut self, id: RecordId) -> Option<(usize, usize)> {
        let (segment, record) = self.cursor;
        let next = |segment: usize, record: usize| {
            self.segments.get(segment).and_then(|it| it.records.get(record)).is_some_and(|it| it.id == id)
        };
        let found = if next(segment, record + 1) {
            (segment, record + 1)
        } else if next(segment, record) {
            (segment, record)
        } else if next(segment + 1, 0) {
            (segment + 1, 0)
        } else {
            let after = self.segments.partition_point(|it| it.records.first().is_some_and(|first| first.id <= id));
            let segment = after.checked_sub(1)?;
            (segment, self.segments[segment].records.binary_search_by_key(&id, |record| record.id).ok()?)
        };
        self.cursor = found;
        (self.segments[found.0].records[found.1].bytes > 0).then_some(found)
    }
}

impl Segment {
    /// Copies what is left into a segment of just its size.
    fn shrink(&mut self) {
        let mut bytes = Vec::with_capacity(self.live_bytes);
        let mut records = Vec::new();
        for record in self.records.iter().filter(|record| record.bytes > 0) {
            let from = record.at as usize;
            records.push(Record { at: bytes.len() as u32, ..*record });
            bytes.extend_from_slice(&self.bytes[from..from + record.bytes as usize]);
        }
        *self = Self { bytes, records, live_bytes: self.live_bytes };
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn held(store: &MemoryStore) -> usize {
        store.segments.iter().map(|segment| segment.bytes.capacity()).sum()
    }

    #[test]
    fn a_record_that_stays_does_not_keep_its_neighbours() {
        let mut store = MemoryStore::new();
        let record = vec![b'x'; 400];
        for id in 1..=100_000 {
            store.append(id, &record);
            if id % 5000 != 0 {
                store.settle(&[id]);
            }
        }
        assert!(held(&store) < 3 * LAST_SEGMENT, "{} bytes for 20 records", held(&store));
        let mut body = Vec::new();
        store.load(&[5000, 100_000], &mut body);
        assert_eq!(body.len(), 801);
    }

    proptest! {
        #[test]
        fn holds_what_a_map_would_hold(steps in prop::collection::vec((any::<bool>(), 0usize..64, 1usize..3000), 1..300)) {
            let mut store = MemoryStore::new();
            let mut model = BTreeMap::new();
            let mut next = 1;
            for (append, pick, size) in steps {
                if append || model.is_empty() {
                    let record = vec![b'a' + (next % 26) as u8; size];
                    store.append(next, &record);
                    model.insert(next, record);
                    next += 1;
                } else {
                    let id = *model.keys().nth(pick % model.len()).unwrap();
                    store.settle(&[id]);
                    store.settle(&[id]);
                    model.remove(&id);
                }
                let ids: Vec<_> = model.keys().copied().collect();
                let mut body = Vec::new();
                store.load(&ids, &mut body);
                let expected = model.values().map(Vec::as_slice).collect::<Vec<_>>().join(&b','.to_owned());
                prop_assert_eq!(body, expected);
            }
        }
    }
}
