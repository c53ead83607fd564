//! Vectors whose memory serves one body after the other.
//!
//! What they hold borrows from the body, so they cannot outlive it, but their memory can: an empty
//! vector is the same whatever it was full of.

use crate::limits::KEPT_LABELS_MAX;

/// An empty vector in the memory of `used`. OK because std collects what comes out of a vector in
/// its own memory where both kinds of elements have one size; where it would not, this would be
/// slower and no more. The memory of unusually many elements is given back.
pub(super) fn emptied<T, U>(mut used: Vec<T>) -> Vec<U> {
    if used.capacity() > KEPT_LABELS_MAX {
        return Vec::new();
    }
    used.clear();
    used.into_iter().filter_map(|_| None).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_emptied_vector_has_the_memory_of_the_one_before_unless_that_is_much() {
        let text = "a b".to_owned();
        let words: Vec<&str> = text.split(' ').collect();
        let (place, capacity) = (words.as_ptr().addr(), words.capacity());
        let bytes: Vec<&[u8]> = emptied(words);
        assert_eq!((bytes.as_ptr().addr(), bytes.capacity(), bytes.len()), (place, capacity, 0));
        let many: Vec<&[u8]> = emptied(vec![""; KEPT_LABELS_MAX + 1]);
        assert_eq!(many.capacity(), 0);
    }
}
