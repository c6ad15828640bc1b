//! Seeded schedules of the whole native client but its threads: `track`, the driver, the pipeline, the disk store on real files, a clock that
//! jumps, a network that answers anything, and crashes at any step. A crash drops everything in memory; the next process opens the files.
//!
//! In one schedule of eighteen somebody is hot: a device, or a user with ever new devices, tracks most of the events, far more than memory
//! holds, and is over its daily quota. In one of eight the queue is so small that the oldest events make room for others. Now and then a
//! device's events are purged.
//!
//! Checked after every step: the ledger adds up, memory and queue keep their bounds, requests in flight share no device, nothing is sent that
//! was refused or purged. At the end, with a kind server: everybody else's events arrive while the hot one's still wait; then every event that
//! was tracked has arrived, was refused by the server, was purged, or is one of as many as made room, each under one insert id, those of a
//! device in their order, and repeats on the wire stay within what was in flight at the crashes or had no answer.

mod world;

use std::{
    env, panic,
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use self::world::World;
use crate::pipeline::plant;

/// Schedules in a run of `cargo test`; `SIMULATED_SCHEDULES` asks for another number, as `make test` does.
const SCHEDULES: u64 = 1500;

fn run(seed: u64, root: &Path) {
    let dir = root.join(seed.to_string());
    let mut world = World::new(seed, &dir);
    let steps = world.length();
    (0..steps).for_each(|_| world.step());
    world.finish();
    drop(world);
    std::fs::remove_dir_all(&dir).unwrap();
}

/// In memory where the system has a folder there: files are what is simulated, not disks.
fn root() -> tempfile::TempDir {
    let shm = Path::new("/dev/shm");
    if shm.is_dir() { tempfile::tempdir_in(shm) } else { tempfile::tempdir() }.unwrap()
}

#[test]
fn the_simulation_finds_every_planted_bug_of_the_store() {
    let bugs = [
        "a settled range covers its neighbour",
        "what was spilled counts as read",
        "a segment goes before its last record is settled",
        "the journal of the last process is forgotten",
        "notes are not written",
        "what is read back comes twice",
        "the last bytes of a segment are not read",
        "an attempt is noted as its end",
        "an append is answered and not written",
        "new records overtake those that were left",
        "a later record of a deferred lane is read first",
        "what comes after a deferred record stays",
        "a deferred record is forgotten at the end of a sweep",
        "a record that a sweep has taken comes twice",
        "a sweep forgets whose records it keeps",
        "a purge is not noted",
        "a purge overwrites the neighbour",
        "a purged event is sent again",
    ];
    // What panics on this thread is meant to; others tell of theirs.
    let (quiet, hook) = (thread::current().id(), panic::take_hook());
    panic::set_hook(Box::new(move |info| {
        if thread::current().id() != quiet {
            hook(info);
        }
    }));
    let mut missed = Vec::new();
    for bug in bugs {
        let root = root();
        let found = (0..1500).any(|seed| {
            plant(bug);
            let found = panic::catch_unwind(|| run(seed, root.path())).is_err();
            plant("");
            found
        });
        if !found {
            missed.push(bug);
        }
    }
    // The one of the standard library.
    drop(panic::take_hook());
    assert!(missed.is_empty(), "not found: {missed:?}");
}

#[test]
fn nothing_is_lost_in_any_schedule() {
    let schedules = env::var("SIMULATED_SCHEDULES").map_or(SCHEDULES, |text| text.parse().expect("a number"));
    let first = env::var("SIMULATED_SEED").map_or(0, |text| text.parse().expect("a number"));
    let root = root();
    let next = AtomicU64::new(first);
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + schedules {
                break;
            }
            let ended = panic::catch_unwind(|| run(seed, root.path()));
            assert!(ended.is_ok(), "seed {seed}: run again with SIMULATED_SEED={seed} SIMULATED_SCHEDULES=1");
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    println!("{schedules} schedules");
}
