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
    entries: Vec<Entry<K, V>>,
    /// Which entry was asked for last.
    last: usize,
    /// Which one came after it the last time.
    expected: usize,
    /// Which entry the next new one replaces when there is no room.
    oldest: usize,
}

#[derive(Clone, Debug)]
struct Entry<K, V> {
    key: K,
    value: V,
    /// Which entry came after it the last time.
    next: usize,
}

impl<K, V> Default for Cycle<K, V> {
    fn default() -> Cycle<K, V> {
        Cycle { entries: Vec::new(), last: 0, expected: 0, oldest: 0 }
    }
}

impl<K: Copy + PartialEq, V> Cycle<K, V> {
    /// The value of a key, if it is known.
    #[inline(always)]
    pub(crate) fn get(&mut self, key: K) -> Option<&V> {
        if self.entries.get(self.expected).is_none_or(|entry| entry.key != key) {
            self.find(key)?;
        }
        let entry = self.entries.get(self.expected)?;
        self.last = self.expected;
        self.expected = entry.next;
        Some(&entry.value)
    }

    /// Expects a key that is known.
    #[inline(never)]
    fn find(&mut self, key: K) -> Option<()> {
        let place = self.entries.iter().position(|entry| entry.key == key)?;
        self.expect(place);
        Some(())
    }

    /// That entry comes after the last one.
    fn expect(&mut self, place: usize) {
        self.expected = place;
        if let Some(last) = self.entries.get_mut(self.last) {
            last.next = place;
        }
    }

    /// Notes the value of a key that is not known. It comes after the last one.
    pub(crate) fn insert(&mut self, key: K, value: V) {
        let place = if self.entries.len() < CYCLE_ENTRIES_MAX {
            self.entries.len()
        } else {
            self.oldest = (self.oldest + 1) % CYCLE_ENTRIES_MAX;
            self.oldest
        };
        self.expect(place);
        let entry = Entry { key, value, next: place + 1 };
        match self.entries.get_mut(place) {
            Some(old) => *old = entry,
            None => self.entries.push(entry),
        }
        (self.last, self.expected) = (place, place + 1);
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
