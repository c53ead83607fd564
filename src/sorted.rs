//! Lists that are sorted off the hot path.
//!
//! Each type that std sorts gets a copy of its sort, of 6 to 12 KB. Here all lists share one: what
//! is sorted is their indexes, by a comparison that is called and not inlined.

use std::cmp::Ordering;

/// Sorts a list; items that are equal keep their order.
pub(crate) fn sort_by<T>(list: &mut Vec<T>, compare: impl Fn(&T, &T) -> Ordering) {
    let order = order(list.len(), &|one, other| match (list.get(one), list.get(other)) {
        (Some(one), Some(other)) => compare(one, other),
        // OK because indexes below the length have an item.
        _ => Ordering::Equal,
    });
    let mut items: Vec<Option<T>> = list.drain(..).map(Some).collect();
    list.extend(order.into_iter().filter_map(|index| items.get_mut(index)?.take()));
}

/// The indexes below `len` in the order of their items.
#[inline(never)]
fn order(len: usize, compare: &dyn Fn(usize, usize) -> Ordering) -> Vec<usize> {
    let mut indexes: Vec<usize> = (0..len).collect();
    indexes.sort_by(|one, other| compare(*one, *other));
    indexes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::random::Random;

    #[test]
    fn a_list_is_sorted_as_std_sorts_it() {
        let mut random = Random::new(1);
        for len in [0, 1, 2, 3, 30, 1000] {
            let mut list: Vec<(usize, String)> =
                (0..len).map(|number: u32| (random.below(10), number.to_string())).collect();
            let mut want = list.clone();
            want.sort_by_key(|item| item.0);
            sort_by(&mut list, |one, other| one.0.cmp(&other.0));
            assert_eq!(list, want);
        }
    }
}
