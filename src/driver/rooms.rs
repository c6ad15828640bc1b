//! Who waits for room in the queue: calls that will track, served in their order, and calls that only want to know.

use crate::{pipeline::Bounds, promise::Promise};

/// A call's place in the line.
pub(crate) type Ticket = u64;

/// Room is kept for everybody in the line, so that no other call takes it and a large event is not starved by small ones.
#[derive(Default)]
pub(super) struct Rooms {
    line: Vec<Place>,
    next: Ticket,
    /// Those at the head of the line who were told that their room is there, and how much that is.
    told: usize,
    told_bytes: usize,
    /// Bytes that all in the line need.
    bytes: usize,
    /// Who wants to hear of how much room.
    curious: Vec<(usize, Promise<()>)>,
}

struct Place {
    ticket: Ticket,
    bytes: usize,
    promise: Promise<()>,
}

impl Rooms {
    /// What calls without a ticket must leave free.
    pub(super) fn kept(&self) -> usize {
        self.bytes
    }

    pub(super) fn join(&mut self, bytes: usize) -> (Ticket, Promise<()>) {
        self.next += 1;
        let promise = Promise::new();
        self.line.push(Place { ticket: self.next, bytes, promise: promise.clone() });
        self.bytes += bytes;
        (self.next, promise)
    }

    /// Gives a place up: its call has given up, or comes for its room. Answers what it must leave free for those before it.
    pub(super) fn leave(&mut self, ticket: Ticket) -> usize {
        if let Some(at) = self.line.iter().position(|place| place.ticket == ticket) {
            let place = self.line.remove(at);
            self.bytes -= place.bytes;
            if at < self.told {
                self.told -= 1;
                self.told_bytes -= place.bytes;
            }
        }
        self.told_bytes
    }

    pub(super) fn ask(&mut self, bytes: usize) -> Promise<()> {
        let promise = Promise::new();
        self.curious.push((bytes, promise.clone()));
        promise
    }

    /// The promises that can be kept now; all of them where nobody can track any more.
    pub(super) fn grant(&mut self, bounds: &Bounds, queued: usize, closing: bool, granted: &mut Vec<Promise<()>>) {
        while let Some(place) = self.line.get(self.told)
            && (closing || bounds.fit(queued.saturating_add(self.told_bytes + place.bytes)))
        {
            self.told += 1;
            self.told_bytes += place.bytes;
            granted.push(place.promise.clone());
        }
        let kept = self.bytes;
        // An empty queue has room for what never fits, or who asks for that would wait for ever.
        let has_room = |bytes: usize| queued == 0 || bounds.fit(queued.saturating_add(bytes));
        let heard = self.curious.extract_if(.., |(bytes, _)| closing || has_room(bytes.saturating_add(kept)));
        granted.extend(heard.map(|(_, promise)| promise));
    }
}
