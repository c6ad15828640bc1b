//! Lanes: what keeps one id's events in order and apart from everybody else's waits.
//!
//! A lane exists only while a batch holds it, while it waits, or while records are parked on it; an idle id costs nothing. What a throttled
//! id, device or user, has waiting goes in shares that fit into the server's window: a larger request is refused whole, as often as it comes.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    mem,
};

use super::{BatchId, Entry, id_map::IdMap, planted, verdict::Wait};
use crate::json;

/// How long a throttled id waits, for the first time and from one share to the next.
const THROTTLE_MS: u64 = Wait::Throttle.secs() * 1000;

/// The hash of an id, over its JSON text without quotes: what sealing sees. Two ids with one hash share a lane, which costs time alone.
pub(crate) fn id_hash(id: &str) -> u64 {
    let mut text = String::with_capacity(id.len() + 2);
    json::push_string(&mut text, id);
    fnv1a(text.as_bytes().get(1..text.len() - 1).unwrap_or_default())
}

/// FNV-1a, 64 bits.
pub(crate) fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[derive(Debug, Default)]
struct Lane {
    held_by: Option<BatchId>,
    /// 0: does not wait.
    until: u64,
    parked: VecDeque<Entry>,
    /// Of the parked records.
    bytes: usize,
    /// Listed in `Lanes::open`.
    open: bool,
}

impl Lane {
    /// Whether it waits for its time alone, if it has anything parked at all.
    fn is_asleep(&self) -> bool {
        self.held_by.is_none() && !self.open
    }
}

/// An id that was throttled: a device, or a user with all his devices.
#[derive(Debug, Default)]
struct Slow {
    id: u64,
    until: u64,
    /// How many events it may send before it waits again, and how many of them are left. 0 left: those under way go on, further ones wait.
    share: usize,
    left: usize,
    /// The largest share.
    most: usize,
}

#[derive(Debug, Default)]
pub(super) struct Lanes {
    lanes: IdMap<Lane>,
    /// Sorted by id, each until it has not used up a share for as long as a window. Few at a time.
    slow: Vec<Slow>,
    /// Lanes with parked records that neither wait nor are held.
    open: VecDeque<u64>,
    timers: BinaryHeap<Reverse<(u64, u64)>>,
    /// Bytes of the records on lanes that are asleep.
    waiting_bytes: usize,
}

/// What became of a fresh entry that a batch wanted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Taken {
    /// The batch has no room for it.
    Full,
    /// It waits on its lane.
    Parked,
    /// It goes; its lane was already the batch's.
    Again,
    /// It goes; its lane now is the batch's.
    New,
}

impl Lanes {
    /// Parks an entry behind what its lane or user waits for, or gives it to the batch where `fits` says so.
    pub(super) fn take(&mut self, entry: &Entry, batch: BatchId, now: u64, fits: &mut impl FnMut(&Entry) -> bool) -> Taken {
        let wait = slow_until(&self.slow, entry, now, true);
        // Where it does not fit, its lane stays for it: it is the next batch's first.
        let lane = self.lanes.entry(entry.lane);
        let idle = lane.parked.is_empty() && lane.until <= now;
        if idle && wait == 0 && lane.held_by.is_none_or(|holder| holder == batch) {
            if !fits(entry) {
                return Taken::Full;
            }
            spend(&mut self.slow, entry, now);
            if planted("a lane is not held") {
                return Taken::New;
            }
            return if lane.held_by.replace(batch).is_some() { Taken::Again } else { Taken::New };
        }
        // A lane that is held gets its timer on release; one with parked records, or that waits, has it. A user's longer wait is seen
        // when the entry comes to the front: raising the lane's own would leave its timer behind.
        if idle && lane.held_by.is_none() {
            lane.until = wait;
            self.timers.push(Reverse((wait, entry.lane)));
        }
        lane.parked.push_back(*entry);
        lane.bytes += entry.bytes as usize;
        if lane.is_asleep() {
            self.waiting_bytes += entry.bytes as usize;
        }
        Taken::Parked
    }

    /// Moves parked entries of open lanes to the batch while `fits` says so. Answers the lanes that the batch now holds.
    pub(super) fn take_open(
        &mut self,
        batch: BatchId,
        now: u64,
        entries: &mut Vec<Entry>,
        held: &mut Vec<u64>,
        fits: &mut impl FnMut(&Entry) -> bool,
    ) {
        while let Some(key) = self.open.pop_front() {
            let Some(lane) = self.lanes.get_mut(key) else { continue };
            lane.open = false;
            let mut wait = 0;
            let mut full = false;
            while let Some(entry) = lane.parked.front() {
                wait = slow_until(&self.slow, entry, now, true);
                if wait > 0 {
                    break;
                }
                if !fits(entry) {
                    full = true;
                    break;
                }
                spend(&mut self.slow, entry, now);
                lane.bytes -= entry.bytes as usize;
                entries.extend(lane.parked.pop_front());
                if lane.held_by.replace(batch).is_none() {
                    held.push(key);
                }
            }
            // A lane that is held sees on release for how long it waits; what goes now must not wait with the rest.
            if lane.held_by.is_none() {
                if full {
                    lane.open = true;
                    self.open.push_front(key);
                } else if lane.parked.is_empty() {
                    // What was parked was taken out.
                    self.lanes.remove(key);
                } else if wait > 0 {
                    lane.until = wait;
                    self.timers.push(Reverse((wait, key)));
                    self.waiting_bytes += lane.bytes;
                }
            }
            if full {
                return;
            }
        }
    }

    pub(super) fn has_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// Parks an entry that its batch gives back; entries of a lane come in their order, before any that was parked while it was held.
    pub(super) fn give_back(&mut self, entries: &[Entry]) {
        for entry in entries.iter().rev() {
            if planted("a parked event is forgotten") {
                continue;
            }
            let lane = self.lanes.entry(entry.lane);
            lane.parked.push_front(*entry);
            lane.bytes += entry.bytes as usize;
            if lane.is_asleep() {
                self.waiting_bytes += entry.bytes as usize;
            }
        }
    }

    pub(super) fn wait(&mut self, lane: u64, until: u64) {
        let lane = self.lanes.entry(lane);
        lane.until = lane.until.max(until);
    }

    /// Has an id wait that was throttled with these entries, if any is its own, and then go on in shares: of `most` events, which is what
    /// the server takes in a window, or of half of what it refused, where it refuses an id that already goes in shares.
    pub(super) fn slow_down(&mut self, id: u64, until: u64, most: usize, entries: &[Entry], now: u64) {
        let had = entries.iter().filter(|entry| entry.is_of(id)).count();
        if had == 0 {
            return;
        }
        let at = place(&self.slow, id);
        if at == self.slow.len() || self.slow[at].id != id {
            self.slow.insert(at, Slow { id, ..Slow::default() });
        }
        let slow = &mut self.slow[at];
        // While it waits, other requests that were under way say nothing new.
        if slow.left == 0 || slow.until <= now {
            slow.share = if slow.share == 0 { most } else { most.min(had / 2).max(1) };
            slow.left = slow.share;
            slow.most = most;
        }
        slow.until = slow.until.max(until);
    }

    /// The server took these: their ids' next shares are larger, in case that the window has room.
    pub(super) fn speed_up(&mut self, entries: &[Entry]) {
        for slow in &mut self.slow {
            if entries.iter().any(|entry| entry.is_of(slow.id)) {
                slow.share = slow.share.saturating_add(slow.share).min(slow.most);
            }
        }
    }

    /// Until when an entry must wait; 0: not at all. `further`: it was not taken already, so that those count, too, that used up their shares.
    pub(super) fn waits(&self, entry: &Entry, now: u64, further: bool) -> u64 {
        let lane = self.lanes.get(entry.lane).map_or(0, |lane| lane.until);
        let until = lane.max(slow_until(&self.slow, entry, now, further));
        if until > now { until } else { 0 }
    }

    /// The batch is done with the lane.
    pub(super) fn release(&mut self, key: u64, now: u64) {
        if planted("a lane is not given back") {
            return;
        }
        let Some(lane) = self.lanes.get_mut(key) else { return };
        lane.held_by = None;
        if let Some(entry) = lane.parked.front() {
            lane.until = lane.until.max(slow_until(&self.slow, entry, now, true));
            if lane.until > now {
                self.timers.push(Reverse((lane.until, key)));
                self.waiting_bytes += lane.bytes;
            } else {
                lane.open = true;
                self.open.push_back(key);
            }
        } else if lane.until <= now {
            self.lanes.remove(key);
        } else {
            self.timers.push(Reverse((lane.until, key)));
        }
    }

    /// Opens the lanes whose wait is over.
    pub(super) fn expire(&mut self, now: u64) {
        while let Some(&Reverse((until, key))) = self.timers.peek() {
            if until > now {
                break;
            }
            self.timers.pop();
            let Some(lane) = self.lanes.get_mut(key) else { continue };
            // A longer wait has its own timer; a held lane gets one on release.
            if lane.until > now || lane.held_by.is_some() {
                continue;
            }
            if lane.parked.is_empty() {
                self.lanes.remove(key);
            } else if !mem::replace(&mut lane.open, true) {
                self.waiting_bytes -= lane.bytes;
                self.open.push_back(key);
            }
        }
        self.slow.retain(|slow| slow.until + THROTTLE_MS > now);
    }

    /// When the next wait is over.
    pub(super) fn next_expiry(&self) -> u64 {
        self.timers.peek().map_or(u64::MAX, |Reverse((until, _))| *until)
    }

    pub(super) fn parked(&self) -> impl Iterator<Item = &Entry> {
        self.lanes.iter().flat_map(|(_, lane)| &lane.parked)
    }

    /// Takes out parked records. A lane without any goes when its batch or its wait ends, or with the next batch where it is open.
    pub(super) fn take_out(&mut self, out: &mut dyn FnMut(&Entry) -> bool) -> Vec<Entry> {
        let mut taken = Vec::new();
        for lane in self.lanes.values_mut() {
            let (gone, kept) = mem::take(&mut lane.parked).into_iter().partition::<VecDeque<_>, _>(&mut *out);
            lane.parked = kept;
            let bytes: usize = gone.iter().map(|entry| entry.bytes as usize).sum();
            lane.bytes -= bytes;
            if lane.is_asleep() {
                self.waiting_bytes -= bytes;
            }
            taken.extend(gone);
        }
        taken
    }

    /// Bytes of the records that only wait for their time.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.waiting_bytes
    }

    /// Takes records off the ends of lanes until no more than `keep` bytes of them only wait for their time; those first that wait longest.
    pub(super) fn shed(&mut self, keep: usize) -> Vec<Entry> {
        let asleep = self.lanes.iter().filter(|(_, lane)| lane.is_asleep() && lane.bytes > 0);
        let mut asleep: Vec<_> = asleep.map(|(key, lane)| (lane.until, key)).collect();
        asleep.sort_unstable();
        let mut shed = Vec::new();
        while self.waiting_bytes > keep
            && let Some((_, key)) = asleep.pop()
            && let Some(lane) = self.lanes.get_mut(key)
        {
            while self.waiting_bytes > keep
                && let Some(entry) = lane.parked.pop_back()
            {
                lane.bytes -= entry.bytes as usize;
                self.waiting_bytes -= entry.bytes as usize;
                shed.push(entry);
            }
            lane.parked.shrink_to_fit();
        }
        shed
    }

    #[cfg(test)]
    pub(super) fn held(&self) -> (usize, usize) {
        (self.lanes.iter().map(|(_, lane)| lane.parked.len()).sum(), self.lanes.iter().count())
    }

    /// What is counted, counted anew.
    #[cfg(any(test, fuzzing))]
    pub(super) fn check(&self) {
        let bytes = |lane: &Lane| lane.parked.iter().map(|entry| entry.bytes as usize).sum::<usize>();
        assert!(self.lanes.iter().all(|(_, lane)| lane.bytes == bytes(lane)));
        let asleep = self.lanes.iter().filter(|(_, lane)| lane.is_asleep());
        assert_eq!(self.waiting_bytes, asleep.map(|(_, lane)| lane.bytes).sum::<usize>());
    }

    pub(super) fn drain(&mut self) -> Vec<Entry> {
        self.waiting_bytes = 0;
        self.open.clear();
        self.timers.clear();
        self.slow.clear();
        self.lanes.drain().flat_map(|lane| lane.parked).collect()
    }
}

/// Until when an entry's ids wait, `further`: also those that used up their shares; 0: not at all.
fn slow_until(slow: &[Slow], entry: &Entry, now: u64, further: bool) -> u64 {
    let until = |id| {
        let found = slow.get(place(slow, id)).filter(|slow| slow.id == id && slow.until > now && (further || slow.left > 0));
        found.map_or(0, |slow| slow.until)
    };
    until(entry.lane).max(until(entry.user))
}

/// Takes an entry off its ids' shares. One that is used up is followed by a wait.
fn spend(slow: &mut [Slow], entry: &Entry, now: u64) {
    if planted("a throttled lane sends all at once") {
        return;
    }
    for id in [entry.lane, entry.user] {
        let at = place(slow, id);
        let Some(slow) = slow.get_mut(at).filter(|slow| slow.id == id) else { continue };
        if slow.left == 0 {
            slow.left = slow.share;
        }
        slow.left -= 1;
        if slow.left == 0 {
            slow.until = now + THROTTLE_MS;
        }
    }
}

/// Where an id stands, or would.
fn place(slow: &[Slow], id: u64) -> usize {
    slow.partition_point(|slow| slow.id < id)
}
