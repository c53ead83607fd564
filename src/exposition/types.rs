//! The TYPE lines of a text exposition: which part of which family a sample is (SPEC 1.3, 2.2, 5).

use std::borrow::Cow;
use std::collections::HashMap;

/// What a TYPE says, as far as it changes how a sample is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Every sample stands on its own: counter, gauge, untyped, unknown, info, stateset.
    Plain,
    /// `_bucket`, `_sum` and `_count` are its parts.
    Histogram,
    /// As a histogram, with `_gsum` and `_gcount` besides.
    GaugeHistogram,
    /// `_sum` and `_count` are its parts, and its own samples with a `quantile`.
    Summary,
}

impl Kind {
    /// The kind of a TYPE word, in any case.
    pub(super) fn of_word(word: &[u8]) -> Option<Kind> {
        const WORDS: [(&[u8], Kind); 10] = [
            (b"counter", Kind::Plain),
            (b"gauge", Kind::Plain),
            (b"histogram", Kind::Histogram),
            (b"summary", Kind::Summary),
            (b"untyped", Kind::Plain),
            (b"unknown", Kind::Plain),
            (b"info", Kind::Plain),
            (b"stateset", Kind::Plain),
            (b"gaugehistogram", Kind::GaugeHistogram),
            (b"gauge_histogram", Kind::GaugeHistogram),
        ];
        WORDS.iter().find(|(known, _)| known.eq_ignore_ascii_case(word)).map(|(_, kind)| *kind)
    }
}

/// What a sample's name makes of it. A bucket without `le` and a sample of a summary without
/// `quantile` are plain all the same: the labels decide that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// On its own.
    Whole,
    /// `_bucket` of a histogram.
    Bucket,
    /// A sample of a summary under the summary's own name.
    Quantile,
    /// `_sum`, or `_gsum` of a gauge histogram.
    Sum,
    /// `_count`, or `_gcount` of a gauge histogram.
    Count,
}

/// A role and the bytes of the sample's name that are the family's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Resolved {
    /// What the sample is.
    pub(super) role: Role,
    /// How many bytes of its name name the family.
    pub(super) family_len: usize,
}

/// The suffixes that may name a part.
const SUFFIXES: [(&str, Role); 5] = [
    ("_bucket", Role::Bucket),
    ("_sum", Role::Sum),
    ("_count", Role::Count),
    ("_gsum", Role::Sum),
    ("_gcount", Role::Count),
];

/// All TYPE lines read so far; the last one for a name holds.
#[derive(Debug, Default)]
pub(super) struct Types<'a> {
    kinds: HashMap<Cow<'a, str>, Kind>,
    /// Only these kinds change how a sample is read: without one there is nothing to look up.
    has_parts: bool,
}

impl<'a> Types<'a> {
    /// Notes a TYPE line; it governs the samples after it.
    pub(super) fn declare(&mut self, family: Cow<'a, str>, kind: Kind) {
        self.has_parts |= kind != Kind::Plain;
        self.kinds.insert(family, kind);
    }

    /// What a sample of that name is. A name with a TYPE of its own is what that TYPE says.
    pub(super) fn resolve(&self, name: &str) -> Resolved {
        let whole = Resolved { role: Role::Whole, family_len: name.len() };
        if !self.has_parts {
            return whole;
        }
        match self.kinds.get(name) {
            Some(Kind::Summary) => Resolved { role: Role::Quantile, ..whole },
            Some(_) => whole,
            None => self.resolve_suffix(name).unwrap_or(whole),
        }
    }

    fn resolve_suffix(&self, name: &str) -> Option<Resolved> {
        let (suffix, role, family) = SUFFIXES
            .iter()
            .find_map(|&(suffix, role)| Some((suffix, role, name.strip_suffix(suffix)?)))?;
        let is_part = match (self.kinds.get(family)?, role) {
            (Kind::Plain, _) | (Kind::Summary, Role::Bucket) => false,
            (Kind::GaugeHistogram, _) => true,
            _ => !suffix.starts_with("_g"),
        };
        is_part.then_some(Resolved { role, family_len: family.len() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn types() -> Types<'static> {
        let mut types = Types::default();
        for (name, word) in [
            ("h", "histogram"),
            ("g", "GaugeHistogram"),
            ("s", "summary"),
            ("p", "gauge"),
            ("h_sum", "counter"),
            ("h_count_sum", "summary"),
        ] {
            types.declare(Cow::Borrowed(name), Kind::of_word(word.as_bytes()).unwrap());
        }
        types
    }

    #[test]
    fn a_name_is_a_part_only_of_a_family_that_has_such_parts() {
        for (name, role, family_len) in [
            ("h", Role::Whole, 1),
            ("h_bucket", Role::Bucket, 1),
            ("h_count", Role::Count, 1),
            ("h_sum", Role::Whole, 5),
            ("h_gsum", Role::Whole, 6),
            ("h_created", Role::Whole, 9),
            ("g_gsum", Role::Sum, 1),
            ("g_gcount", Role::Count, 1),
            ("g_count", Role::Count, 1),
            ("s", Role::Quantile, 1),
            ("s_sum", Role::Sum, 1),
            ("s_bucket", Role::Whole, 8),
            ("p_sum", Role::Whole, 5),
            ("h_count_sum", Role::Quantile, 11),
            ("unknown_count", Role::Whole, 13),
            ("_sum", Role::Whole, 4),
        ] {
            assert_eq!(types().resolve(name), Resolved { role, family_len }, "{name}");
        }
    }

    #[test]
    fn the_last_type_of_a_name_holds() {
        let mut types = types();
        types.declare(Cow::Borrowed("h"), Kind::Plain);
        assert_eq!(types.resolve("h_bucket").role, Role::Whole);
    }

    #[test]
    fn an_unknown_word_has_no_kind() {
        assert_eq!(Kind::of_word(b"meter"), None);
        assert_eq!(Kind::of_word(b"GAUGE_Histogram"), Some(Kind::GaugeHistogram));
    }
}
