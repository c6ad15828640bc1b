//! What comes back after a process is gone, whatever was done to its files. The files are real; a process that is gone is a store that was
//! dropped without a word.

mod deferred;

use std::{
    collections::BTreeSet,
    fs::{self, OpenOptions},
    io::Write as _,
    path::{Path, PathBuf},
};

use proptest::prelude::*;

use super::*;
use crate::{
    ErrorKind,
    pipeline::{Header, RecordId},
    store::{MemoryStore, Space},
};

const BINDING: u64 = 7;

struct Store {
    journal: Journal,
    archive: Archive,
    memory: MemoryStore,
}

impl Store {
    fn open(dir: &Path) -> Self {
        let (own, left) = Slot::claim(dir).unwrap();
        let (journal, archive) = open_slots(own, left, BINDING, 1_000_000).unwrap();
        Self { journal, archive, memory: MemoryStore::default() }
    }

    fn append(&mut self, record: &str) -> RecordId {
        let id = self.journal.append(&header(record), record.as_bytes()).unwrap();
        self.learn();
        id
    }

    fn learn(&mut self) {
        let changes = self.journal.take_changes();
        self.archive.learn(&changes);
    }

    fn recall(&mut self) -> Vec<(RecordId, String, u32)> {
        self.learn();
        let space = Space { bytes: usize::MAX, crowded: false, waits: &|_| 0, now_ms: 0 };
        let recalled = self.archive.recall(&space, &mut self.memory).records;
        recalled
            .into_iter()
            .map(|(id, header)| {
                let text = self.memory.get(id).expect("it is in memory");
                assert_eq!(header.bytes as usize, text.len());
                (id, String::from_utf8(text.to_vec()).unwrap(), header.first_attempt)
            })
            .collect()
    }

    fn texts(&mut self) -> Vec<String> {
        self.recall().into_iter().map(|(_, text, _)| text).collect()
    }
}

fn header(record: &str) -> Header {
    Header { user: Some(1), device: Some(2), bytes: record.len() as u32, tracked_secs: 0, first_attempt: 0 }
}

fn sized(ids: &[RecordId], record: &str) -> Vec<(RecordId, u32)> {
    ids.iter().map(|id| (*id, record.len() as u32)).collect()
}

fn files(dir: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for slot in fs::read_dir(dir).unwrap() {
        for file in fs::read_dir(slot.unwrap().path()).unwrap() {
            found.push(file.unwrap().path());
        }
    }
    found.retain(|path| path.to_str().unwrap().ends_with(ending));
    found.sort();
    found
}

#[test]
fn what_was_appended_is_there_after_the_process() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path());
    let ids: Vec<_> = (0..100).map(|i| store.append(&format!("{{\"i\":{i}}}"))).collect();
    assert!(ids.is_sorted());
    drop(store);
    let mut store = Store::open(dir.path());
    assert_eq!(store.archive.backlog().records, 100);
    let texts: Vec<_> = (0..100).map(|i| format!("{{\"i\":{i}}}")).collect();
    assert_eq!(store.texts(), texts);
    assert_eq!(store.archive.backlog(), Default::default());
}

#[test]
fn what_is_settled_does_not_come_back_and_its_files_go() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path());
    let ids: Vec<_> = (0..10).map(|_| store.append("{}")).collect();
    store.archive.settle(&sized(&ids[2..9], "{}"));
    drop(store);
    let mut store = Store::open(dir.path());
    assert_eq!(store.archive.backlog().records, 3);
    let rest: Vec<_> = store.recall().into_iter().map(|(id, _, _)| id).collect();
    assert_eq!(rest.len(), 3);
    store.archive.settle(&sized(&rest, "{}"));
    assert_eq!(files(dir.path(), "s"), Vec::<PathBuf>::new());
}

#[test]
fn a_first_attempt_is_remembered_until_it_is_taken_back() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path());
    let ids: Vec<_> = (0..3).map(|_| store.append("{}")).collect();
    store.archive.attempted(&sized(&ids, "{}"), 1_760_000_001);
    // The first one counts.
    store.archive.attempted(&sized(&ids, "{}"), 1_760_009_999);
    store.archive.not_attempted(&sized(&ids[2..], "{}"));
    drop(store);
    let attempts: Vec<_> = Store::open(dir.path()).recall().into_iter().map(|(_, _, attempt)| attempt).collect();
    assert_eq!(attempts, [1_760_000_001, 1_760_000_001, 0]);
}

#[test]
fn every_truncated_tail_costs_the_record_that_it_cuts_and_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path());
    for _ in 0..3 {
        store.append("{\"event_type\":\"x\"}");
    }
    drop(store);
    let path = files(dir.path(), ".events").remove(0);
    let whole = fs::read(&path).unwrap();
    let one = (whole.len() - 16) / 3;
    for length in (16..whole.len()).rev() {
        let dir = tempfile::tempdir().unwrap();
        drop(Store::open(dir.path()));
        fs::write(dir.path().join("0/00000001.events"), &whole[..length]).unwrap();
        let mut store = Store::open(dir.path());
        assert_eq!(store.texts().len(), (length - 16) / one, "cut at {length}");
        // And it goes on.
        store.append("{}");
        drop(store);
        assert_eq!(Store::open(dir.path()).texts().len(), (length - 16) / one + 1);
    }
}

#[test]
fn a_broken_record_costs_itself_alone_and_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path());
    let ids: Vec<_> = (0..5).map(|i| store.append(&format!("{{\"i\":{i}}}"))).collect();
    drop(store);
    let path = files(dir.path(), ".events").remove(0);
    let mut bytes = fs::read(&path).unwrap();
    bytes[ids[2] as u32 as usize + 33] ^= 1;
    fs::write(&path, bytes).unwrap();
    let mut store = Store::open(dir.path());
    assert_eq!(store.texts(), ["{\"i\":0}", "{\"i\":1}", "{\"i\":3}", "{\"i\":4}"]);
    let problems = store.archive.take_problems();
    assert!(problems[0].to_string().contains("bytes that are no record"), "{problems:?}");
}

#[test]
fn a_record_that_breaks_after_it_was_counted_is_counted_as_lost() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path());
    let ids: Vec<_> = (0..5).map(|_| store.append("{}")).collect();
    drop(store);
    drop(Store::open(dir.path()));
    let path = files(dir.path(), ".events").remove(0);
    let mut bytes = fs::read(&path).unwrap();
    bytes[ids[2] as u32 as usize + 33] ^= 1;
    fs::write(&path, bytes).unwrap();
    let mut store = Store::open(dir.path());
    assert_eq!(store.archive.backlog().records, 5);
    let rest: Vec<_> = store.recall().into_iter().map(|(id, _, _)| id).collect();
    assert_eq!((rest.len(), store.archive.take_lost()), (4, 1));
    store.archive.settle(&sized(&rest, "{}"));
    assert_eq!(files(dir.path(), "s"), Vec::<PathBuf>::new());
}

#[test]
fn damage_to_a_settled_record_takes_no_neighbour_along() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path());
    let ids: Vec<_> = (0..2).map(|i| store.append(&format!("{{\"i\":{i}}}"))).collect();
    store.archive.settle(&sized(&ids[..1], "{\"i\":0}"));
    drop(store);
    let path = files(dir.path(), ".events").remove(0);
    let mut bytes = fs::read(&path).unwrap();
    bytes[ids[0] as u32 as usize + 33] ^= 1;
    fs::write(&path, bytes).unwrap();
    assert_eq!(Store::open(dir.path()).texts(), ["{\"i\":1}"]);
}

#[test]
fn broken_and_cut_notes_tell_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path());
    let ids: Vec<_> = (0..4).map(|_| store.append("{}")).collect();
    store.archive.settle(&sized(&ids[..1], "{}"));
    store.archive.settle(&sized(&ids[1..2], "{}"));
    drop(store);
    let path = files(dir.path(), ".notes").remove(0);
    let mut bytes = fs::read(&path).unwrap();
    // The first note is broken, and one behind the second is cut off.
    bytes[1] ^= 1;
    bytes.extend_from_slice(&[0; 7]);
    fs::write(&path, bytes).unwrap();
    let mut store = Store::open(dir.path());
    let rest: Vec<_> = store.recall().into_iter().map(|(id, _, _)| id).collect();
    assert_eq!(rest.len(), 3);
    store.archive.settle(&sized(&rest[..1], "{}"));
    drop(store);
    assert_eq!(Store::open(dir.path()).recall().len(), 2);
}

#[test]
fn processes_share_a_folder_and_what_one_leaves_the_next_adopts() {
    let dir = tempfile::tempdir().unwrap();
    let (mut first, mut second) = (Store::open(dir.path()), Store::open(dir.path()));
    first.append("{\"of\":1}");
    second.append("{\"of\":2}");
    // Both are alive: a third finds nothing to adopt.
    assert_eq!(Store::open(dir.path()).texts(), Vec::<String>::new());
    drop(second);
    assert_eq!(Store::open(dir.path()).texts(), ["{\"of\":2}"]);
    drop(first);
    let mut last = Store::open(dir.path());
    assert_eq!(last.texts(), ["{\"of\":1}", "{\"of\":2}"]);
}

#[test]
fn what_a_process_leaves_later_comes_between_the_segments_of_one_that_lives() {
    let dir = tempfile::tempdir().unwrap();
    let (mut first, mut second) = (Store::open(dir.path()), Store::open(dir.path()));
    second.append("{\"of\":2}");
    first.append("{\"of\":1}");
    assert!(first.archive.find_left().0.is_empty());
    drop(second);
    let (left, segments) = first.archive.find_left();
    assert_eq!((left.len(), segments), (1, 1));
    first.journal.make_way(segments);
    first.learn();
    first.archive.adopt_left(left);
    first.append("{\"of\":3}");
    assert_eq!(first.archive.backlog().records, 3);
    let read = first.recall();
    assert_eq!(read.iter().map(|(_, text, _)| text.as_str()).collect::<Vec<_>>(), ["{\"of\":1}", "{\"of\":2}", "{\"of\":3}"]);
    let ids: Vec<_> = read.iter().map(|(id, _, _)| *id).collect();
    assert!(ids.is_sorted());
    first.archive.settle(&sized(&ids, "{\"of\":1}"));
    drop(first);
    assert_eq!(Store::open(dir.path()).archive.backlog().records, 0);
}

#[test]
fn a_number_that_was_used_is_not_used_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut left = Store::open(dir.path());
    (0..3).for_each(|_| {
        left.append("{\"first\":true}");
    });
    drop(left);
    let mut store = Store::open(dir.path());
    let mut others: Vec<_> = (0..2).map(|_| Store::open(dir.path())).collect();
    let mut newest = 0;
    // All that is known is settled when others leave more, and nothing of the store's own comes in between.
    for round in 0..3 {
        let read = store.recall();
        assert_eq!(read.len(), if round == 0 { 3 } else { 1 }, "round {round}");
        let ids: Vec<_> = read.iter().map(|(id, _, _)| *id).collect();
        assert!(ids[0] > newest, "numbers rise");
        newest = ids[ids.len() - 1];
        store.archive.settle(&ids.iter().zip(&read).map(|(id, (_, text, _))| (*id, text.len() as u32)).collect::<Vec<_>>());
        assert_eq!(store.archive.take_lost(), 0);
        if let Some(mut other) = others.pop() {
            other.append("{}");
            drop(other);
            let (left, segments) = store.archive.find_left();
            store.journal.make_way(segments);
            store.archive.adopt_left(left);
            assert_eq!(store.archive.backlog().records, 1, "round {round}");
        }
    }
}

#[test]
fn what_cannot_be_taken_over_is_met_once() {
    let dir = tempfile::tempdir().unwrap();
    let (mut first, mut second) = (Store::open(dir.path()), Store::open(dir.path()));
    second.append("{}");
    let mut foreign = journal::start(BINDING);
    foreign[7] += 1;
    fs::write(dir.path().join("1/00000009.events"), foreign).unwrap();
    drop(second);
    let (left, segments) = first.archive.find_left();
    assert_eq!(segments, 2);
    first.archive.adopt_left(left);
    assert_eq!((first.archive.backlog().records, first.archive.take_problems().len()), (1, 1));
    let read = first.recall();
    first.archive.settle(&sized(&[read[0].0], "{}"));
    // The folder is free again, with what is left alone in it.
    assert!(first.archive.find_left().0.is_empty());
    let mut third = Store::open(dir.path());
    third.append("{}");
    drop(third);
    assert_eq!(first.archive.find_left().1, 2);
}

#[test]
fn segments_of_others_are_left_alone_and_told() {
    let dir = tempfile::tempdir().unwrap();
    drop(Store::open(dir.path()));
    let put = |name: &str, start: &[u8]| fs::write(dir.path().join("0").join(name), start).unwrap();
    put("00000001.events", &journal::start(BINDING + 1));
    put("00000002.events", b"AMPLSEG\x02\0\0\0\0\0\0\0\0and more");
    put("00000003.events", b"something else than that");
    // A process was killed before it had written the start.
    put("00000004.events", b"AMPL");
    let mut store = Store::open(dir.path());
    let problems: Vec<_> = store.archive.take_problems().iter().map(ToString::to_string).collect();
    assert!(problems[0].contains("another project"), "{problems:?}");
    assert!(problems[1].contains("version 2"), "{problems:?}");
    assert!(problems[2].contains("is no segment"), "{problems:?}");
    assert_eq!(problems.len(), 3);
    store.append("{}");
    drop(store);
    assert_eq!(files(dir.path(), ".events").len(), 4);
    assert_eq!(Store::open(dir.path()).texts(), ["{}"]);
}

#[test]
fn settled_segments_give_their_space_back() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path());
    let record = format!("\"{}\"", "x".repeat(100_000));
    let mut largest = 0;
    for _ in 0..400 {
        let id = store.append(&record);
        store.archive.skip_to(store.journal.end().unwrap());
        store.archive.settle(&sized(&[id], &record));
        let held: u64 = files(dir.path(), ".events").iter().map(|path| path.metadata().unwrap().len()).sum();
        largest = largest.max(held);
    }
    assert!(largest < 9 << 20, "{largest} bytes");
}

#[test]
fn a_folder_that_cannot_be_one_is_an_error_that_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    OpenOptions::new().write(true).create_new(true).open(&path).unwrap().write_all(b"x").unwrap();
    let error = Slot::claim(&path.join("sub")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Store);
    assert!(error.to_string().contains("file/sub"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Appends, settles, reads, in any order, with a process that is gone in between: what is not settled is there, once, in its order.
    #[test]
    fn holds_what_a_map_would_hold(steps in prop::collection::vec((0u8..12, any::<u16>()), 1..200)) {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::open(dir.path());
        // All texts that are not settled, by their numbers, and where the store has those in memory.
        let mut pending = BTreeSet::new();
        let mut ids = std::collections::BTreeMap::new();
        let text = |number: u32| format!("{{\"n\":{number:06}}}");
        let mut next = 0;
        for (kind, pick) in steps {
            match kind {
                0..=5 => {
                    store.append(&text(next));
                    pending.insert(next);
                    next += 1;
                }
                6..=8 => {
                    for (id, read, _) in store.recall() {
                        let number: u32 = read[5..11].parse().unwrap();
                        prop_assert!(ids.insert(number, id).is_none(), "{} twice", number);
                    }
                    prop_assert_eq!(ids.keys().copied().collect::<BTreeSet<_>>(), pending.clone());
                }
                9 | 10 => {
                    let share: Vec<u32> = ids.keys().copied().filter(|number| number % 4 != u32::from(pick) % 4).collect();
                    let settled: Vec<_> = share.iter().map(|number| ids.remove(number).unwrap()).collect();
                    pending.retain(|number| !share.contains(number));
                    store.archive.settle(&sized(&settled, &text(0)));
                }
                _ => {
                    drop(store);
                    store = Store::open(dir.path());
                    ids.clear();
                    prop_assert_eq!(store.archive.backlog().records, pending.len() as u64);
                }
            }
        }
    }
}
