//! Keys that a line may not have as they are → clean keys that no other tag of it has (SPEC 2.3,
//! 2.4).
//!
//! A key stays if it is clean, not reserved, and not the field's. The others are cleaned, in the
//! order of their names, and get as many underscores as it takes:
//!
//! ```text
//! names    _a   "a   \a   a   time          (the field is called `a`)
//! stay     _a
//! change        "a   \a   a   time
//! clean         _a   _a   a   time
//! free          _a_  _a__ a_  time_
//! ```
//!
//! A search by one underscore after the other would take the cube of the number of names that are
//! one once they are clean, and a pusher chooses the names. So a key is taken apart into its stem,
//! which ends in no underscore, and its number of underscores, and of each number that is taken it
//! is noted where the next free one may be. What is found on the way is noted too, so that no
//! number is looked at often (a union-find with path compression): the work is near-linear in the
//! names.

use super::key::{ChangedKey, stem};
use super::names::{FamilyNames, RESERVED_KEYS, clean};
use std::borrow::Cow;
use std::collections::HashMap;

/// Which keys of a line must change, by their index, and what they become. `keys` are sorted.
pub(super) fn free_keys(
    keys: &[&str],
    names: &FamilyNames,
    suffix: &str,
) -> Vec<(usize, ChangedKey)> {
    let stays = |key: &str| !names.is_taken(key, suffix) && matches!(clean(key), Cow::Borrowed(_));
    let (staying, changing): (Vec<_>, Vec<_>) =
        keys.iter().enumerate().partition(|(_, key)| stays(key));
    let cleaned: Vec<_> = changing.iter().map(|(index, key)| (*index, clean(key))).collect();
    let field = [names.field(), suffix].concat();
    let mut taken = TakenKeys::default();
    cleaned.iter().for_each(|(_, key)| taken.watch(key));
    staying.iter().for_each(|(_, key)| taken.take(key));
    RESERVED_KEYS.into_iter().chain([&*field]).for_each(|key| taken.take(key));
    cleaned.iter().map(|(index, key)| (*index, taken.free(key))).collect()
}

/// The keys that are taken, of those stems that it watches.
#[derive(Debug, Default)]
struct TakenKeys<'k> {
    stems: HashMap<&'k str, usize>,
    /// By stem and number of underscores: a number above it, up to which all are taken.
    next: HashMap<(usize, usize), usize>,
    /// How often a number was looked at.
    #[cfg(test)]
    steps: usize,
}

impl<'k> TakenKeys<'k> {
    fn watch(&mut self, key: &'k str) {
        let number = self.stems.len();
        self.stems.entry(stem(key).0).or_insert(number);
    }

    fn take(&mut self, key: &str) {
        let (stem, underscores) = stem(key);
        if let Some(number) = self.stems.get(stem) {
            self.next.insert((*number, underscores), underscores + 1);
        }
    }

    /// The first key with the stem of this one, and as many underscores or more, that is free. It
    /// is taken now.
    fn free(&mut self, key: &str) -> ChangedKey {
        let (stem, wanted) = stem(key);
        let number = self.stems.get(stem).copied().unwrap_or_default();
        let (mut free, mut passed) = (wanted, Vec::new());
        while let Some(next) = self.next.get(&(number, free)) {
            passed.push(free);
            free = *next;
        }
        #[cfg(test)]
        {
            self.steps += passed.len() + 1;
        }
        passed.push(free);
        for underscores in passed {
            self.next.insert((number, underscores), free + 1);
        }
        ChangedKey { text: stem.to_owned(), underscores: free }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_clean_to_one_name_take_near_linear_work() {
        // All names of so many quotes and backslashes are as many underscores once they are clean.
        for count in [1_000_u32, 10_000] {
            let name = |number: u32| -> String {
                (0..14).map(|bit| if number >> bit & 1 == 0 { '"' } else { '\\' }).collect()
            };
            let mut keys: Vec<String> = (0..count).map(name).collect();
            keys.sort();
            let cleaned: Vec<_> = keys.iter().map(|key| clean(key)).collect();
            let mut taken = TakenKeys::default();
            cleaned.iter().for_each(|key| taken.watch(key));
            let free: Vec<_> = cleaned.iter().map(|key| taken.free(key).underscores).collect();
            assert_eq!(free, (14..14 + count as usize).collect::<Vec<_>>());
            assert!(taken.steps <= 3 * count as usize, "{} steps for {count}", taken.steps);
        }
    }

    #[test]
    fn stems_that_are_taken_in_pieces_are_passed_over_once() {
        let mut taken = TakenKeys::default();
        taken.watch("a");
        for underscores in (0..2_000).filter(|number| number % 7 != 0) {
            taken.take(&format!("a{}", "_".repeat(underscores)));
        }
        let free: Vec<_> = (0..1_000).map(|_| taken.free("a").underscores).collect();
        let want = (0..2_000).filter(|number| number % 7 == 0).chain(2_000..);
        assert_eq!(free, want.take(1_000).collect::<Vec<_>>());
        assert!(taken.steps < 6_000, "{} steps", taken.steps);
    }
}
