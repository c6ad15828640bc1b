//! Lanes: what keeps one id's events in order and apart from everybody else's waits.
//!
//! A lane exists only while a batch holds it, while it waits, or while records are parked on it; an idle id costs nothing.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    mem,
};

use super::{BatchId, Entry, id_map::IdMap, planted};
use crate::json;

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
    /// Listed in `Lanes::open`.
    open: bool,
}

#[derive(Debug, Default)]
pub(super) struct Lanes {
    lanes: IdMap<Lane>,
    /// Users that wait on all their devices, sorted, and until when. Few at a time.
    users: Vec<(u64, u64)>,
    /// Lanes with parked records that neither wait nor are held.
    open: VecDeque<u64>,
    timers: BinaryHeap<Reverse<(u64, u64)>>,
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
        let user_until = user_wait(&self.users, entry.user, now);
        let Some(lane) = self.lanes.get_mut(entry.lane) else {
            if user_until == 0 {
                if !fits(entry) {
                    return Taken::Full;
                }
                if !planted("a lane is not held") {
                    self.lanes.entry(entry.lane).held_by = Some(batch);
                }
                return Taken::New;
            }
            let lane = self.lanes.entry(entry.lane);
            lane.until = user_until;
            lane.parked.push_back(*entry);
            self.timers.push(Reverse((user_until, entry.lane)));
            return Taken::Parked;
        };
        let free = lane.held_by.is_none_or(|holder| holder == batch);
        if free && lane.parked.is_empty() && lane.until <= now && user_until == 0 {
            if !fits(entry) {
                return Taken::Full;
            }
            return if lane.held_by.replace(batch).is_some() { Taken::Again } else { Taken::New };
        }
        // A lane that is held gets its timer on release; one with parked records, or that waits, has it. A user's longer wait is seen
        // when the entry comes to the front: raising the lane's own would leave its timer behind.
        if lane.held_by.is_none() && lane.parked.is_empty() && lane.until <= now {
            lane.until = user_until;
            self.timers.push(Reverse((user_until, entry.lane)));
        }
        lane.parked.push_back(*entry);
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
                wait = user_wait(&self.users, entry.user, now);
                if wait > 0 {
                    break;
                }
                if !fits(entry) {
                    full = true;
                    break;
                }
                entries.extend(lane.parked.pop_front());
                if lane.held_by.replace(batch).is_none() {
                    held.push(key);
                }
            }
            lane.until = lane.until.max(wait);
            if lane.held_by.is_none() {
                if full {
                    lane.open = true;
                    self.open.push_front(key);
                } else if wait > 0 {
                    self.timers.push(Reverse((wait, key)));
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
            self.lanes.entry(entry.lane).parked.push_front(*entry);
        }
    }

    pub(super) fn wait(&mut self, lane: u64, until: u64) {
        let lane = self.lanes.entry(lane);
        lane.until = lane.until.max(until);
    }

    pub(super) fn wait_user(&mut self, user: u64, until: u64) {
        match self.users.binary_search_by_key(&user, |(user, _)| *user) {
            Ok(at) => self.users[at].1 = until.max(self.users[at].1),
            Err(at) => self.users.insert(at, (user, until)),
        }
    }

    /// Until when the entry must wait; 0: not at all.
    pub(super) fn waits(&self, entry: &Entry, now: u64) -> u64 {
        let lane = self.lanes.get(entry.lane).map_or(0, |lane| lane.until);
        let until = lane.max(user_wait(&self.users, entry.user, now));
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
            lane.until = lane.until.max(user_wait(&self.users, entry.user, now));
            if lane.until > now {
                self.timers.push(Reverse((lane.until, key)));
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
        let mut any = false;
        while let Some(&Reverse((until, key))) = self.timers.peek() {
            if until > now {
                break;
            }
            self.timers.pop();
            any = true;
            let Some(lane) = self.lanes.get_mut(key) else { continue };
            // A longer wait has its own timer; a held lane gets one on release.
            if lane.until > now || lane.held_by.is_some() {
                continue;
            }
            if lane.parked.is_empty() {
                self.lanes.remove(key);
            } else if !mem::replace(&mut lane.open, true) {
                self.open.push_back(key);
            }
        }
        if any {
            self.users.retain(|(_, until)| *until > now);
        }
    }

    /// When the next wait is over.
    pub(super) fn next_expiry(&self) -> u64 {
        self.timers.peek().map_or(u64::MAX, |Reverse((until, _))| *until)
    }

    pub(super) fn drain(&mut self) -> Vec<Entry> {
        self.open.clear();
        self.timers.clear();
        self.users.clear();
        self.lanes.drain().flat_map(|lane| lane.parked).collect()
    }
}

/// Until when a user waits; 0: not at all.
fn user_wait(users: &[(u64, u64)], user: u64, now: u64) -> u64 {
    let found = users.binary_search_by_key(&user, |(user, _)| *user).ok().and_then(|at| users.get(at));
    found.map(|(_, until)| *until).filter(|until| *until > now).unwrap_or(0)
}
