//! The books of what came over the wire, before anything is taken out as a copy.

use std::collections::{HashMap, HashSet};

use crate::MAX_IN_FLIGHT;

#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    /// The events that came, by their insert ids, and the request that each came in last.
    pub(crate) seen: HashMap<String, RequestId>,
    /// Events that came again.
    pub(crate) repeats: usize,
    /// Events that a child sent again which had sent them itself: no answer but a confirmation was ever given.
    pub(crate) sent_twice: Vec<String>,
    /// The child at work, and its requests so far.
    child: usize,
    requests: usize,
    /// Of each child the requests that must have been in flight at its end: they got no answer, or events of them came again.
    in_flight: HashMap<usize, HashSet<RequestId>>,
}

/// The child that sent it, and its number among the child's.
pub(crate) type RequestId = (usize, usize);

impl Ledger {
    /// A request was read.
    pub(crate) fn read(&mut self, ids: &[String]) -> RequestId {
        let request = (self.child, self.requests);
        self.requests += 1;
        for id in ids {
            let Some(before) = self.seen.insert(id.clone(), request) else { continue };
            self.repeats += 1;
            if before.0 == self.child {
                self.sent_twice.push(id.clone());
            } else {
                self.was_in_flight(before);
            }
        }
        request
    }

    /// A request gets no answer.
    pub(crate) fn was_in_flight(&mut self, request: RequestId) {
        self.in_flight.entry(request.0).or_default().insert(request);
    }

    /// The child is dead, and all that it has sent was read.
    pub(crate) fn end_of_child(&mut self) {
        self.child += 1;
        self.requests = 0;
    }

    /// How many requests were in flight at ends of children.
    pub(crate) fn requests_in_flight(&self) -> usize {
        self.in_flight.values().map(HashSet::len).sum()
    }

    /// The children of whose requests more came again, or had no answer, than can have been in flight at once.
    pub(crate) fn too_many_in_flight(&self) -> Vec<usize> {
        self.in_flight.iter().filter(|(_, requests)| requests.len() > MAX_IN_FLIGHT).map(|(child, _)| *child).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(ledger: &mut Ledger, ids: &[&str]) -> RequestId {
        ledger.read(&ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn what_was_in_flight_at_a_kill_may_come_again_and_nothing_else() {
        let mut ledger = Ledger::default();
        for batch in [&["a", "b"], &["c", "d"], &["e", "f"]] {
            read(&mut ledger, batch);
        }
        let unanswered = read(&mut ledger, &["g"]);
        ledger.was_in_flight(unanswered);
        ledger.end_of_child();
        // One more request may have been under way, whole or in part.
        read(&mut ledger, &["g", "c"]);
        read(&mut ledger, &["d"]);
        assert_eq!((ledger.repeats, ledger.requests_in_flight(), ledger.too_many_in_flight()), (3, 2, vec![]));
        assert!(ledger.sent_twice.is_empty());
        read(&mut ledger, &["e"]);
        assert_eq!(ledger.too_many_in_flight(), [0]);
        read(&mut ledger, &["d"]);
        assert_eq!((ledger.repeats, ledger.sent_twice), (5, vec!["d".to_owned()]));
    }
}
