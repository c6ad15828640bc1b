//! The bytes say what is written to a disk store, what is settled, when its process dies, and what becomes of the files meanwhile. What was not
//! settled and not damaged itself must come back, once and in order, whatever was done to its neighbours.

#![no_main]

use std::{fs, ops::Range, path::PathBuf};

use amplitude_sdk::fuzzing::DiskStore;
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

/// What a segment starts with, without which none of it is read.
const START_BYTES: usize = 16;
/// What stands before a record's text.
const HEAD_BYTES: usize = 32;

fuzz_target!(|data: &[u8]| {
    let mut world = World::new();
    // Four bytes a step.
    for &[kind, a, b, c] in data.as_chunks::<4>().0.iter().take(60) {
        match kind % 6 {
            0 | 1 => world.append(4 * usize::from(a)),
            2 => world.settle(a.into(), 1 + usize::from(b % 8)),
            3 => world.attempt(a.into()),
            4 => world.restart(),
            _ => world.damage(a.into(), usize::from(b) << 4 | usize::from(c >> 4), c),
        }
    }
    world.restart();
});

struct World {
    dir: TempDir,
    /// `None` while no process lives.
    store: Option<DiskStore>,
    records: Vec<Record>,
}

/// What the model knows of a record.
struct Record {
    text: String,
    /// Its number in this process, where it came back or was written.
    id: Option<u64>,
    settled: bool,
    /// Its bytes may be changed or gone, so that it need not come back.
    is_hurt: bool,
    /// What says that it is settled may be gone.
    may_return: bool,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let store = Some(DiskStore::open(dir.path()).expect("an empty folder is a store"));
        Self { dir, store, records: Vec::new() }
    }

    fn append(&mut self, padding: usize) {
        let text = format!("{{\"i\":{},\"padding\":\"{}\"}}", self.records.len(), "x".repeat(padding));
        self.store().append(&text).expect("there is room");
        self.records.push(Record { text, id: None, settled: false, is_hurt: false, may_return: false });
        self.recall();
    }

    /// What comes back is what must, in order, and nothing that nobody wrote.
    fn recall(&mut self) {
        let recalled = self.store().recall();
        let mut next = 0;
        for (id, text) in recalled {
            let at = self.records[next..].iter().position(|record| record.text == text);
            next += at.expect("a record that nobody wrote, or out of order, or twice");
            let record = &mut self.records[next];
            assert!(record.id.is_none(), "it is there already");
            assert!(!record.settled || record.may_return, "it was settled");
            record.id = Some(id);
            if std::mem::take(&mut record.settled) {
                // What says that it is settled may be damaged once more, and so be whole.
                record.is_hurt = true;
            }
            next += 1;
        }
        for record in &self.records {
            assert!(record.id.is_some() || record.settled || record.is_hurt, "lost: {}", record.text);
        }
    }

    fn settle(&mut self, first: usize, count: usize) {
        let records = self.waiting(first, count);
        self.store().settle(&records);
        for record in &mut self.records {
            record.settled |= records.iter().any(|(id, _)| record.id == Some(*id));
        }
    }

    fn attempt(&mut self, first: usize) {
        let records = self.waiting(first, 3);
        self.store().attempt(&records);
    }

    /// Records that are neither settled nor lost, from one of them on, as the store names them.
    fn waiting(&self, first: usize, count: usize) -> Vec<(u64, u32)> {
        let waiting: Vec<_> = self.records.iter().filter(|record| !record.settled && record.id.is_some()).collect();
        let from = first.checked_rem(waiting.len()).unwrap_or(0);
        waiting[from..].iter().take(count).filter_map(|record| Some((record.id?, record.text.len() as u32))).collect()
    }

    fn restart(&mut self) {
        self.die();
        self.store = Some(DiskStore::open(self.dir.path()).expect("no damage keeps a store from being opened"));
        self.recall();
    }

    fn die(&mut self) {
        self.store = None;
        self.records.iter_mut().for_each(|record| record.id = None);
    }

    /// Something happens to a file while no process lives.
    fn damage(&mut self, file: usize, place: usize, how: u8) {
        self.die();
        let files = self.files();
        if let Some(path) = file.checked_rem(files.len()).map(|at| &files[at]) {
            let mut bytes = fs::read(path).expect("it was listed");
            let before = bytes.clone();
            let at = place.checked_rem(bytes.len()).unwrap_or(0);
            let hurt = match how % 3 {
                0 if !bytes.is_empty() => {
                    bytes[at] ^= how | 1;
                    at..at + 1
                }
                1 => {
                    bytes.truncate(at);
                    at..usize::MAX
                }
                _ => {
                    // The head of a record that is none.
                    bytes.extend([0xa5, b'E', b'v', 0x1e, how, 0, 0, 0].iter().chain(&[how; 40]).take(place % 48));
                    usize::MAX..usize::MAX
                }
            };
            fs::write(path, bytes).expect("it is the store's own");
            self.note_damage(path.clone(), &before, &hurt);
        }
        self.restart();
    }

    fn note_damage(&mut self, path: PathBuf, before: &[u8], hurt: &Range<usize>) {
        let is_notes = path.extension().is_some_and(|extension| extension == "notes");
        let events = if is_notes { fs::read(path.with_extension("events")).unwrap_or_default() } else { before.to_vec() };
        for record in &mut self.records {
            let text = record.text.as_bytes();
            let Some(at) = events.windows(text.len()).position(|window| window == text) else { continue };
            record.may_return |= is_notes;
            let own = at - HEAD_BYTES..at + text.len();
            record.is_hurt |= !is_notes && (hurt.start < START_BYTES || hurt.start < own.end && own.start < hurt.end);
        }
    }

    /// The store's files but its locks, in an order that is always the same.
    fn files(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut folders = vec![self.dir.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).expect("the store's own") {
                let path = entry.expect("the store's own").path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some() {
                    found.push(path);
                }
            }
        }
        found.sort();
        found
    }

    fn store(&mut self) -> &mut DiskStore {
        self.store.as_mut().expect("a process lives")
    }
}
