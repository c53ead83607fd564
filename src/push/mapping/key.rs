//! The key of a tag: a name, or a name with underscores after it that keep it apart from others.
//!
//! Of many names that are one once they are clean, each gets an underscore more than the one before
//! (SPEC 2.3). All of them written out would take the square of their number in bytes, so the
//! underscores are only counted until the line is written, which has a bound of its own.

use std::cmp::Ordering;
use std::iter::repeat_n;

/// A clean key that is never empty.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TagKey<'k> {
    /// What it begins with.
    pub(crate) text: &'k str,
    /// How many underscores follow.
    pub(crate) underscores: usize,
}

/// A key that is not the name of its label.
#[derive(Clone, Debug)]
pub(super) struct ChangedKey {
    pub(super) text: String,
    pub(super) underscores: usize,
}

impl ChangedKey {
    pub(super) fn borrowed(&self) -> TagKey<'_> {
        TagKey { text: &self.text, underscores: self.underscores }
    }
}

impl<'k> TagKey<'k> {
    /// A name as it is.
    #[inline]
    pub(super) fn of(name: &'k str) -> TagKey<'k> {
        TagKey { text: name, underscores: 0 }
    }

    /// In byte order.
    pub(super) fn cmp(self, other: TagKey<'_>) -> Ordering {
        let (one, two) = (self.text.as_bytes(), other.text.as_bytes());
        let common = one.len().min(two.len());
        let (Some((one, one_rest)), Some((two, two_rest))) =
            (one.split_at_checked(common), two.split_at_checked(common))
        else {
            return Ordering::Equal;
        };
        one.cmp(two).then_with(|| match (one_rest, two_rest) {
            ([], []) => self.underscores.cmp(&other.underscores),
            // OK because one of the rests is empty, so that this is no longer than a name.
            _ => tail(one_rest, self.underscores).cmp(tail(two_rest, other.underscores)),
        })
    }
}

fn tail(rest: &[u8], underscores: usize) -> impl Iterator<Item = u8> {
    rest.iter().copied().chain(repeat_n(b'_', underscores))
}

/// The name without the underscores at its end, and how many they are.
pub(super) fn stem(name: &str) -> (&str, usize) {
    let stem = name.trim_end_matches('_');
    (stem, name.len() - stem.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::random::Random;

    #[test]
    fn keys_compare_as_their_texts_do() {
        let mut random = Random::new(29);
        for _ in 0..20_000 {
            let mut text = || -> String {
                (0..random.below(5)).map(|_| ['_', 'a', 'Z', 'z'][random.below(4)]).collect()
            };
            let (one, two) = (text(), text());
            let (of_one, of_two) = (stem(&one), stem(&two));
            let key = |(text, underscores)| TagKey { text, underscores };
            assert_eq!(key(of_one).cmp(key(of_two)), one.cmp(&two), "{one} {two}");
            assert_eq!(TagKey::of(&one).cmp(key(of_two)), one.cmp(&two), "{one} {two}");
        }
    }
}
