//! The receipts that somebody may hold, by their records' numbers.

use std::{collections::VecDeque, mem};

use crate::{pipeline::RecordId, receipt::Receipt};

/// In rising order of their records; places that were emptied go with the next tidying, so that one receipt that stays does not keep the
/// places of all that come after it.
#[derive(Default)]
pub(super) struct Receipts {
    places: VecDeque<(RecordId, Option<Receipt>)>,
    empty: usize,
}

impl Receipts {
    /// Numbers rise from call to call.
    pub(super) fn insert(&mut self, receipt: Receipt) {
        self.places.push_back((receipt.id(), Some(receipt)));
    }

    /// All that are left.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Receipt> {
        self.empty = 0;
        mem::take(&mut self.places).into_iter().filter_map(|(_, receipt)| receipt)
    }

    pub(super) fn remove(&mut self, id: RecordId) -> Option<Receipt> {
        let at = self.places.binary_search_by_key(&id, |(id, _)| *id).ok()?;
        let receipt = self.places.get_mut(at)?.1.take()?;
        self.empty += 1;
        // The first is the usual one, and costs no tidying.
        while let Some((_, None)) = self.places.front() {
            self.places.pop_front();
            self.empty -= 1;
        }
        if self.empty > self.places.len() / 2 {
            self.places.retain(|(_, receipt)| receipt.is_some());
            self.empty = 0;
        }
        Some(receipt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_that_stays_keeps_no_places_of_others() {
        let mut receipts = Receipts::default();
        receipts.insert(Receipt::new(1));
        for id in (1_000..1_000_000).step_by(100) {
            receipts.insert(Receipt::new(id));
            assert_eq!(receipts.remove(id).map(|receipt| receipt.id()), Some(id));
            assert!(receipts.remove(id).is_none() && receipts.remove(id + 1).is_none());
            assert!(receipts.places.len() <= 2);
        }
        assert_eq!(receipts.remove(1).map(|receipt| receipt.id()), Some(1));
        assert!(receipts.places.is_empty() && receipts.empty == 0);
    }
}
