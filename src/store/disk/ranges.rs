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

    /// How many places they hold.
    pub(super) fn places(&self) -> u32 {
        self.0.iter().map(|it| it.end - it.start).sum()
    }

    /// The end of the range that holds the place.
    pub(super) fn end_of(&self, at: u32) -> Option<u32> {
        let after = self.0.partition_point(|it| it.start <= at);
        self.0.get(after.checked_sub(1)?).map(|it| it.end).filter(|end| at < *end)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn holds_what_a_set_would_hold(steps in prop::collection::vec((0u32..60, 0u32..12), 0..60)) {
            let (mut ranges, mut set) = (Ranges::default(), BTreeSet::new());
            for (start, length) in steps {
                set.extend(start..start + length);
                ranges.insert(start..start + length);
                for at in 0..80 {
                    prop_assert_eq!(ranges.end_of(at), set.contains(&at).then(|| (at..).find(|end| !set.contains(end)).unwrap()));
                }
                prop_assert_eq!(ranges.places() as usize, set.len());
                prop_assert!(ranges.0.windows(2).all(|pair| pair[0].end < pair[1].start));
            }
        }
    }
}
