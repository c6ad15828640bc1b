//! When the first attempts were made at a segment's records, by their places in its file.

use std::ops::Range;

/// Sorted ranges that do not overlap, each with a time in seconds since 1970.
#[derive(Clone, Debug, Default)]
pub(super) struct Attempts(Vec<(Range<u32>, u32)>);

impl Attempts {
    /// Sets the time for all places in a range; 0 takes it away.
    pub(super) fn set(&mut self, range: Range<u32>, secs: u32) {
        if range.is_empty() {
            return;
        }
        // Those from `first` until `last` overlap it.
        let first = self.0.partition_point(|(it, _)| it.end <= range.start);
        let last = self.0.partition_point(|(it, _)| it.start < range.end);
        let overlapping = self.0.get(first..last).unwrap_or_default();
        let before = overlapping.first().map(|(it, secs)| (it.start..range.start, *secs));
        let behind = overlapping.last().map(|(it, secs)| (range.end..it.end, *secs));
        let parts = [before, Some((range, secs)), behind].into_iter().flatten();
        let parts: Vec<_> = parts.filter(|(it, secs)| !it.is_empty() && *secs > 0).collect();
        self.0.splice(first..last, parts);
    }

    /// The time for a place; 0: there is none.
    pub(super) fn at(&self, place: u32) -> u32 {
        let after = self.0.partition_point(|(it, _)| it.start <= place);
        let last = after.checked_sub(1).and_then(|before| self.0.get(before));
        last.filter(|(it, _)| place < it.end).map_or(0, |(_, secs)| *secs)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn holds_what_a_table_would_hold(steps in prop::collection::vec((0u32..4, 0u32..60, 0u32..12), 0..60)) {
            let (mut attempts, mut table) = (Attempts::default(), [0; 80]);
            for (secs, start, length) in steps {
                table[start as usize..(start + length) as usize].fill(secs);
                attempts.set(start..start + length, secs);
                for (place, secs) in table.iter().enumerate() {
                    prop_assert_eq!(attempts.at(place as u32), *secs);
                }
                prop_assert!(attempts.0.windows(2).all(|pair| pair[0].0.end <= pair[1].0.start));
                prop_assert!(attempts.0.iter().all(|(it, secs)| it.start < it.end && *secs > 0));
            }
        }
    }
}
