//! Sets of places in a file, as sorted ranges that do not touch: settled records mostly lie one behind the other.

use std::ops::Range;

#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Ranges(Vec<Range<u32>>);

impl Ranges {
    pub(super) fn insert(&mut self, range: Range<u32>) {
        if range.is_empty() {
            return;
        }
        // Those from `first` until `last` touch it.
        let first = self.0.partition_point(|it| it.end < range.start);
        let last = self.0.partition_point(|it| it.start <= range.end);
        let merged = match self.0.get(first..last) {
            Some([head, .., tail]) => range.start.min(head.start)..range.end.max(tail.end),
            Some([one]) => range.start.min(one.start)..range.end.max(one.end),
            _ => range,
        };
        self.0.splice(first..last, [merged]);
    }

    pub(super) fn remove(&mut self, range: &Range<u32>) {
        if range.is_empty() {
            return;
        }
        let mut rest = Vec::with_capacity(self.0.len() + 1);
        for it in self.0.drain(..) {
            let parts = [it.start..it.end.min(range.start), it.start.max(range.end)..it.end];
            rest.extend(parts.into_iter().filter(|part| !part.is_empty()));
        }
        self.0 = rest;
    }

    /// The end of the range that holds the place.
    pub(super) fn end_of(&self, at: u32) -> Option<u32> {
        let after = self.0.partition_point(|it| it.start <= at);
        self.0.get(after.checked_sub(1)?).map(|it| it.end).filter(|end| at < *end)
    }

    pub(super) fn contains(&self, at: u32) -> bool {
        self.end_of(at).is_some()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn holds_what_a_set_would_hold(steps in prop::collection::vec((any::<bool>(), 0u32..60, 0u32..12), 0..60)) {
            let (mut ranges, mut set) = (Ranges::default(), BTreeSet::new());
            for (add, start, length) in steps {
                let range = start..start + length;
                if add {
                    set.extend(range.clone());
                    ranges.insert(range);
                } else {
                    set.retain(|at| !range.contains(at));
                    ranges.remove(&range);
                }
                for at in 0..80 {
                    prop_assert_eq!(ranges.contains(at), set.contains(&at));
                }
                prop_assert!(ranges.0.windows(2).all(|pair| pair[0].end < pair[1].start));
            }
        }
    }
}
