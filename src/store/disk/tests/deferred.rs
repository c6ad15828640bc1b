//! What is deferred comes in the order of its lane, once, when its lane need not wait any more.

use std::collections::{BTreeMap, VecDeque};

use super::*;
use crate::store::Recalled;

const HOT: u64 = 1;

fn text(number: u32) -> String {
    format!("{{\"n\":{number:06}}}")
}

impl Store {
    fn append_of(&mut self, lane: u64, record: &str) -> RecordId {
        let header = Header { device: Some(lane), ..header(record) };
        let id = self.journal.append(&header, record.as_bytes()).unwrap();
        self.learn();
        id
    }

    /// The numbers in the texts of what comes.
    fn recall_into(&mut self, space: &Space<'_>) -> (Recalled, Vec<u32>) {
        let recalled = self.archive.recall(space, &mut self.memory);
        let number = |id| {
            let text = self.memory.get(id).or_else(|| self.archive.late(id)).expect("it is in memory");
            std::str::from_utf8(&text[5..11]).unwrap().parse().unwrap()
        };
        let numbers = recalled.records.iter().map(|(id, _)| *id).map(number).collect();
        (recalled, numbers)
    }

    /// Memory is crowded, and one lane waits until that time.
    fn recall_crowded(&mut self, hot_until_ms: u64, now_ms: u64) -> (Recalled, Vec<u32>) {
        let waits = |header: &Header| if header.lane() == HOT && hot_until_ms > now_ms { hot_until_ms } else { 0 };
        self.recall_into(&Space { bytes: usize::MAX, crowded: true, waits: &waits, now_ms })
    }
}

/// With twenty records, of which the even ones are hot.
fn store(dir: &Path) -> (Store, Vec<RecordId>) {
    let mut store = Store::open(dir);
    let ids = (0..20).map(|number| store.append_of(if number % 2 == 0 { HOT } else { 2 }, &text(number))).collect();
    (store, ids)
}

fn even(to: u32) -> Vec<u32> {
    (0..to).step_by(2).collect()
}

#[test]
fn who_waits_stays_on_the_disk_and_comes_in_order_when_it_is_time() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = store(dir.path());
    let (recalled, numbers) = store.recall_crowded(5000, 0);
    assert_eq!((recalled.late, numbers), (0, (1..20).step_by(2).collect()));
    assert_eq!((store.archive.backlog().records, store.archive.sweep_at()), (10, 5000));
    // Not even one that need not wait overtakes those before it.
    store.append_of(HOT, &text(20));
    let (recalled, _) = store.recall_crowded(0, 100);
    assert_eq!((recalled.records.len(), store.archive.backlog().records), (0, 11));
    // It might only be taken for one of that lane, and is looked for at once: with all the others.
    assert_eq!(store.archive.sweep_at(), 0);
    let (recalled, numbers) = store.recall_crowded(0, 200);
    assert_eq!((recalled.late, numbers), (11, even(21)));
    assert_eq!((store.archive.backlog().records, store.archive.sweep_at()), (0, u64::MAX));
    // From now on nothing is deferred.
    store.append_of(HOT, &text(21));
    let (recalled, numbers) = store.recall_crowded(0, 300);
    assert_eq!((recalled.late, numbers), (0, vec![21]));
}

#[test]
fn who_only_comes_after_others_is_seldom_looked_for_before_it_is_their_time() {
    const HOUR_MS: u64 = 3_600_000;
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path());
    for number in 0..10 {
        // Of one device; the first one's user is over the quota.
        let user = (number == 0).then_some(HOT);
        let header = Header { user, device: Some(2), ..header(&text(number)) };
        store.journal.append(&header, text(number).as_bytes()).unwrap();
    }
    store.learn();
    let (mut now_ms, mut sweeps) = (0, 0);
    let numbers = loop {
        let waits = |header: &Header| if header.user == Some(HOT) && now_ms < HOUR_MS { HOUR_MS } else { 0 };
        let (recalled, numbers) = store.recall_into(&Space { bytes: usize::MAX, crowded: true, waits: &waits, now_ms });
        if !recalled.records.is_empty() {
            break numbers;
        }
        sweeps += 1;
        now_ms = now_ms.max(store.archive.sweep_at());
    };
    assert_eq!((numbers, now_ms), ((0..10).collect(), HOUR_MS));
    assert!(sweeps <= 62, "{sweeps} in an hour");
}

#[test]
fn a_sweep_takes_what_there_is_space_for_and_goes_on_from_there() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, ids) = store(dir.path());
    store.recall_crowded(5000, 0);
    let mut taken = Vec::new();
    for _ in 0..20 {
        let (_, numbers) = store.recall_into(&Space { bytes: 3 * text(0).len(), crowded: true, waits: &|_| 0, now_ms: 5000 });
        assert!(numbers.len() <= 3);
        taken.extend(numbers);
    }
    assert_eq!(taken, even(20));
    // What was taken is in memory until it is settled, or deferred again.
    assert_eq!(store.archive.late_bytes(), 10 * text(0).len());
    let last = Header { device: Some(HOT), ..header(&text(18)) };
    store.archive.defer(ids[18], &last, 0);
    assert_eq!((store.archive.late_bytes(), store.archive.backlog().records), (9 * text(0).len(), 1));
    let (recalled, numbers) = store.recall_crowded(0, 10_000);
    assert_eq!((recalled.late, numbers), (1, vec![18]));
    store.archive.settle(&sized(&ids, &text(0)));
    assert_eq!((store.archive.late_bytes(), store.archive.backlog().records), (0, 0));
}

#[test]
fn a_pause_grows_with_what_was_read_for_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path());
    let record = text(0) + &" ".repeat(1 << 20);
    for _ in 0..40 {
        store.append_of(HOT, &record);
    }
    let mut steps = 0;
    while store.recall_crowded(5000, 0).0.more {
        steps += 1;
    }
    assert!((8..=12).contains(&steps), "{steps} steps for 40 MB");
    assert_eq!(store.archive.sweep_at(), 5000);
    while store.recall_crowded(5001, 5000).0.more {}
    let rest = store.archive.sweep_at() - 5000;
    assert!((2500..2600).contains(&rest), "{rest} ms after 40 MB");
}

#[test]
fn deferred_records_that_break_are_counted_as_lost() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, ids) = store(dir.path());
    store.recall_crowded(5000, 0);
    let path = files(dir.path(), ".events").remove(0);
    let mut bytes = fs::read(&path).unwrap();
    bytes[ids[4] as u32 as usize + 33] ^= 1;
    fs::write(&path, bytes).unwrap();
    let (_, numbers) = store.recall_crowded(0, 5000);
    assert_eq!((numbers, store.archive.take_lost()), (even(20).into_iter().filter(|number| *number != 4).collect(), 1));
    assert_eq!(store.archive.backlog().records, 0);
}

#[test]
fn a_first_attempt_is_remembered_of_what_goes_out_of_memory_and_comes_in_again() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, ids) = store(dir.path());
    store.recall_crowded(0, 0);
    store.archive.attempted(&sized(&ids[..1], &text(0)), 1_760_000_001);
    for id in [ids[2], ids[0]] {
        store.archive.defer(id, &Header { device: Some(HOT), ..header(&text(0)) }, 0);
        store.memory.settle(&[id]);
    }
    let (recalled, _) = store.recall_crowded(0, 1000);
    let attempts: Vec<_> = recalled.records.iter().map(|(_, header)| header.first_attempt).collect();
    assert_eq!(attempts, [1_760_000_001, 0]);
}

#[test]
fn the_oldest_deferred_make_room_and_the_others_stay() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, ids) = store(dir.path());
    store.recall_crowded(5000, 0);
    let one = text(0).len() as u64;
    // A sweep that is under way must not miss what it has counted.
    store.recall_into(&Space { bytes: 1, crowded: true, waits: &|_| 0, now_ms: 5000 });
    let (evicted, freed) = store.archive.evict(3 * one - 1, &mut store.memory);
    assert_eq!((evicted, freed), (vec![ids[2], ids[4], ids[6]], 3 * one));
    assert_eq!(store.archive.backlog(), Backlog { records: 6, bytes: 6 * one });
    let (_, numbers) = store.recall_crowded(0, 5000);
    assert_eq!((numbers, store.archive.take_lost()), ((8..20).step_by(2).collect(), 0));
    assert_eq!(store.archive.evict(one, &mut store.memory), (vec![], 0));
    drop(store);
    assert_eq!(Store::open(dir.path()).archive.backlog().records, 17);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Lanes wait and do not, records come, go, and are deferred again, and the process is gone in between: all come, once, in the order of
    /// their lanes.
    #[test]
    fn every_lane_comes_in_its_order(steps in prop::collection::vec((0u8..12, any::<u8>()), 1..150)) {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::open(dir.path());
        // The numbers of what is on the disk alone and of what is in memory too, by lane.
        let mut outside: BTreeMap<u64, VecDeque<u32>> = BTreeMap::new();
        let mut inside: BTreeMap<u64, VecDeque<(u32, RecordId)>> = BTreeMap::new();
        let (mut now_ms, mut waiting, mut next) = (0, 0, 0);
        for (kind, pick) in steps.into_iter().chain([(12, 0); 3]) {
            let lane = u64::from(pick % 4) + 1;
            match kind {
                0..=4 => {
                    store.append_of(lane, &text(next));
                    outside.entry(lane).or_default().push_back(next);
                    next += 1;
                }
                5 => waiting = pick % 16,
                6 => {
                    // The end of a lane goes out again.
                    let inside = inside.entry(lane).or_default();
                    for (number, id) in inside.split_off(inside.len() / 2).into_iter().rev() {
                        store.archive.defer(id, &Header { device: Some(lane), ..header(&text(0)) }, 0);
                        store.memory.settle(&[id]);
                        outside.entry(lane).or_default().push_front(number);
                    }
                }
                7 => {
                    let settled: Vec<_> = inside.entry(lane).or_default().drain(..).map(|(_, id)| id).collect();
                    store.archive.settle(&sized(&settled, &text(0)));
                    store.memory.settle(&settled);
                }
                9 if pick < 40 => {
                    // All of a lane is forgotten, wherever it is.
                    let mut found = Vec::new();
                    let is_meant = |header: &Header, _: &[u8]| header.lane() == lane;
                    store.archive.forget(&is_meant, &mut store.memory, &mut found).unwrap();
                    prop_assert_eq!(found.len(), outside.remove(&lane).unwrap_or_default().len());
                    let here: Vec<_> = inside.remove(&lane).unwrap_or_default().into_iter().map(|(_, id)| id).collect();
                    store.archive.settle(&sized(&here, &text(0)));
                    store.memory.settle(&here);
                }
                8 if pick < 60 => {
                    drop(store);
                    store = Store::open(dir.path());
                    for (lane, inside) in std::mem::take(&mut inside) {
                        inside.into_iter().rev().for_each(|(number, _)| outside.entry(lane).or_default().push_front(number));
                    }
                }
                _ => {
                    now_ms += 10_000;
                    if kind == 12 {
                        waiting = 0;
                    }
                    let waits = |header: &Header| if waiting >> (header.lane() - 1) & 1 == 1 { now_ms + 1 } else { 0 };
                    let bytes = if kind == 12 { usize::MAX } else { usize::from(pick) };
                    let (recalled, numbers) = store.recall_into(&Space { bytes, crowded: pick % 2 == 0, waits: &waits, now_ms });
                    for ((id, header), number) in recalled.records.into_iter().zip(numbers) {
                        prop_assert_eq!(outside.get_mut(&header.lane()).and_then(VecDeque::pop_front), Some(number));
                        inside.entry(header.lane()).or_default().push_back((number, id));
                    }
                }
            }
            prop_assert_eq!(store.archive.backlog().records, outside.values().map(VecDeque::len).sum::<usize>() as u64);
            prop_assert_eq!(store.archive.take_lost(), 0);
        }
        prop_assert!(outside.values().all(VecDeque::is_empty), "{:?}", outside);
    }
}
