//! A map from hashes of ids: open addressing with linear probing. The one of std, made for every key and value, is 3 kB of the browser's
//! download.

use std::mem;

/// Slots that an emptied map keeps.
const KEPT_SLOTS: usize = 4096;

#[derive(Debug)]
pub(super) struct IdMap<V> {
    /// A power of two of them, at least half of them free.
    slots: Vec<Option<(u64, V)>>,
    len: usize,
}

impl<V> Default for IdMap<V> {
    fn default() -> Self {
        Self { slots: Vec::new(), len: 0 }
    }
}

impl<V: Default> IdMap<V> {
    pub(super) fn get(&self, id: u64) -> Option<&V> {
        self.slots.get(self.find(id)).and_then(Option::as_ref).map(|(_, value)| value)
    }

    pub(super) fn get_mut(&mut self, id: u64) -> Option<&mut V> {
        let at = self.find(id);
        self.slots.get_mut(at).and_then(Option::as_mut).map(|(_, value)| value)
    }

    /// The value, which is the default where there was none.
    pub(super) fn entry(&mut self, id: u64) -> &mut V {
        if self.len * 2 >= self.slots.len() {
            self.grow();
        }
        let at = self.find(id);
        let slot = &mut self.slots[at];
        self.len += usize::from(slot.is_none());
        &mut slot.get_or_insert_with(|| (id, V::default())).1
    }

    pub(super) fn remove(&mut self, id: u64) {
        let mut gap = self.find(id);
        if self.slots.get_mut(gap).and_then(Option::take).is_none() {
            return;
        }
        self.len -= 1;
        if self.len == 0 && self.slots.len() > KEPT_SLOTS {
            self.slots = Vec::new();
            return;
        }
        // Those behind it that would be looked for from before the gap close it.
        let mask = self.slots.len() - 1;
        let mut at = gap;
        loop {
            at = (at + 1) & mask;
            let Some((id, _)) = &self.slots[at] else { return };
            if at.wrapping_sub(self.home(*id)) & mask >= at.wrapping_sub(gap) & mask {
                self.slots.swap(gap, at);
                gap = at;
            }
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &V)> {
        self.slots.iter().flatten().map(|(id, value)| (*id, value))
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.slots.iter_mut().flatten().map(|(_, value)| value)
    }

    pub(super) fn drain(&mut self) -> impl Iterator<Item = V> {
        self.len = 0;
        mem::take(&mut self.slots).into_iter().flatten().map(|(_, value)| value)
    }

    /// Where the id stands, or the free slot where it would.
    fn find(&self, id: u64) -> usize {
        let mut at = self.home(id);
        while let Some(Some((other, _))) = self.slots.get(at)
            && *other != id
        {
            at = (at + 1) & (self.slots.len() - 1);
        }
        at
    }

    fn home(&self, id: u64) -> usize {
        // Hashes are good, numbers of lanes may not be; the high half of a product mixes either.
        (id.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize & self.slots.len().wrapping_sub(1)
    }

    fn grow(&mut self) {
        let size = (self.slots.len() * 2).max(8);
        let old = mem::take(&mut self.slots);
        self.slots.resize_with(size, || None);
        for (id, value) in old.into_iter().flatten() {
            let at = self.find(id);
            self.slots[at] = Some((id, value));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn holds_what_a_map_would_hold(steps in prop::collection::vec((any::<bool>(), 0u64..40, any::<u32>()), 0..400), spread in 1u64..9) {
            let (mut map, mut model) = (IdMap::default(), HashMap::new());
            for (add, id, value) in steps {
                // Ids that share their low bits, and some that are far apart.
                let id = id << (spread * 7);
                if add {
                    *map.entry(id) = value;
                    model.insert(id, value);
                } else {
                    map.remove(id);
                    model.remove(&id);
                }
                for id in 0..40 {
                    let id = id << (spread * 7);
                    prop_assert_eq!(map.get(id), model.get(&id));
                    prop_assert_eq!(map.get_mut(id).copied(), model.get(&id).copied());
                }
            }
            prop_assert_eq!(map.iter().map(|(id, value)| (id, *value)).collect::<HashMap<_, _>>(), model.clone());
            let mut left: Vec<_> = map.drain().collect();
            let mut expected: Vec<_> = model.into_values().collect();
            left.sort_unstable();
            expected.sort_unstable();
            prop_assert_eq!(left, expected);
        }
    }
}
