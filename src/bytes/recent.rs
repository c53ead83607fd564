//! What comes again and again in the same order, and what was worked out for each.
//!
//! The buckets of a histogram have the same bounds in every series of its family. So the one that
//! is asked for is mostly the one that came after the last one before, and is found without a
//! search. A table by hash was slower, and two bounds that fell on one place in it drove each other
//! out in every series.

use crate::limits::CYCLE_ENTRIES_MAX;

/// Up to [`CYCLE_ENTRIES_MAX`] keys and their values; a new one takes the place of the oldest.
#[derive(Clone, Debug)]
pub(crate) struct Cycle<K, V> {
    entries: [(K, V); CYCLE_ENTRIES_MAX],
    len: usize,
    /// Where the key is expected that is asked for next.
    next: usize,
    /// Which entry the next new one replaces when there is no room.
    oldest: usize,
}

impl<K: Copy + Default, V: Copy + Default> Default for Cycle<K, V> {
    fn default() -> Cycle<K, V> {
        let entries = [(K::default(), V::default()); CYCLE_ENTRIES_MAX];
        Cycle { entries, len: 0, next: 0, oldest: 0 }
    }
}

impl<K: Copy + PartialEq, V> Cycle<K, V> {
    /// The value of a key, if it is known.
    #[inline(always)]
    pub(crate) fn get(&mut self, key: K) -> Option<&V> {
        let is_expected = self.next < self.len
            && self.entries.get(self.next).is_some_and(|(known, _)| *known == key);
        if !is_expected {
            self.next = self.find(key)?;
        }
        let (_, value) = self.entries.get(self.next)?;
        self.next += 1;
        Some(value)
    }

    #[inline(never)]
    fn find(&self, key: K) -> Option<usize> {
        self.entries.iter().take(self.len).position(|(known, _)| *known == key)
    }

    /// Notes the value of a key that is not known. It is expected after the last one.
    pub(crate) fn insert(&mut self, key: K, value: V) {
        let place = if self.len < CYCLE_ENTRIES_MAX {
            self.len += 1;
            self.len - 1
        } else {
            self.oldest = (self.oldest + 1) % CYCLE_ENTRIES_MAX;
            self.oldest
        };
        if let Some(entry) = self.entries.get_mut(place) {
            *entry = (key, value);
        }
        self.next = place + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::random::Random;

    #[test]
    fn a_key_is_known_with_its_value_in_any_order_or_not_at_all() {
        let mut random = Random::new(11);
        let mut cycle = Cycle::<u64, u64>::default();
        let mut known = 0;
        for round in 0..20_000_u64 {
            // Runs in order with jumps, over more keys than there is room for in the second half.
            let span = if round < 10_000 { 50 } else { 90 };
            let key = if random.below(5) == 0 { random.below(span) as u64 } else { round % 12 };
            match cycle.get(key).copied() {
                Some(value) => {
                    known += 1;
                    assert_eq!(value, key * 7);
                }
                None => cycle.insert(key, key * 7),
            }
            assert_eq!(cycle.get(key), Some(&(key * 7)));
        }
        assert!(known > 15_000, "{known}");
    }
}
