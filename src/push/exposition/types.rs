//! The TYPE lines of a text exposition: which part of which family a sample is (SPEC 1.3, 2.2, 5).

use crate::bytes::chunk::is_same;
use std::borrow::Cow;
use std::collections::HashMap;

/// What a TYPE says, as far as it changes how a sample is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FamilyKind {
    /// Every sample stands on its own: counter, gauge, untyped, unknown, info, stateset.
    Plain,
    /// `_bucket`, `_sum` and `_count` are its parts.
    Histogram,
    /// As a histogram, with `_gsum` and `_gcount` besides.
    GaugeHistogram,
    /// `_sum` and `_count` are its parts, and its own samples with a `quantile`.
    Summary,
}

impl FamilyKind {
    /// The kind of a TYPE word, in any case.
    pub(super) fn of_word(word: &[u8]) -> Option<FamilyKind> {
        const WORDS: [(&[u8], FamilyKind); 10] = [
            (b"counter", FamilyKind::Plain),
            (b"gauge", FamilyKind::Plain),
            (b"histogram", FamilyKind::Histogram),
            (b"summary", FamilyKind::Summary),
            (b"untyped", FamilyKind::Plain),
            (b"unknown", FamilyKind::Plain),
            (b"info", FamilyKind::Plain),
            (b"stateset", FamilyKind::Plain),
            (b"gaugehistogram", FamilyKind::GaugeHistogram),
            (b"gauge_histogram", FamilyKind::GaugeHistogram),
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

/// All TYPE lines read so far; the last one for a name holds.
///
/// The table keeps only what changes how a sample is read: families with parts, and plain families
/// that are named like such a part. So it is bounded by the body, and ordinary gauges and counters
/// take no room. A name costs two look-ups at most, in a map with random keys, and none at all
/// where it was asked for last, or where its family's TYPE line was the last one.
#[derive(Debug, Default)]
pub(super) struct Types<'a> {
    kinds: HashMap<Cow<'a, str>, FamilyKind>,
    /// A name in the table looks like a part of another family.
    has_part_names: bool,
    /// The last TYPE line.
    declared: Option<(Cow<'a, str>, FamilyKind)>,
    /// The last name that was asked for since.
    resolved: Option<(&'a str, Resolved)>,
}

impl<'a> Types<'a> {
    /// Notes a TYPE line; it governs the samples after it.
    pub(super) fn declare(&mut self, family: Cow<'a, str>, kind: FamilyKind) {
        let is_part_name = Suffix::split(&family).is_some();
        if kind != FamilyKind::Plain || is_part_name {
            self.has_part_names |= is_part_name;
            self.kinds.insert(family.clone(), kind);
        } else if !self.kinds.is_empty() {
            self.kinds.remove(&family);
        }
        self.declared = Some((family, kind));
        self.resolved = None;
    }

    /// What a sample of that name is.
    #[inline]
    #[expect(clippy::ptr_arg, reason = "a borrowed name outlives the call, as a str would not")]
    pub(super) fn resolve(&mut self, name: &Cow<'a, str>) -> Resolved {
        if self.kinds.is_empty() {
            return Resolved { role: Role::Whole, family_len: name.len() };
        }
        match (self.resolved, name) {
            (Some((last, resolved)), _) if is_same(last, name) => resolved,
            (_, Cow::Borrowed(name)) => {
                let resolved = self.look_up(name);
                self.resolved = Some((name, resolved));
                resolved
            }
            (_, Cow::Owned(name)) => self.look_up(name),
        }
    }

    /// A name with a TYPE of its own is what that TYPE says.
    fn look_up(&self, name: &str) -> Resolved {
        let whole = Resolved { role: Role::Whole, family_len: name.len() };
        let part = Suffix::split(name);
        let own_kind = if part.is_some() && !self.has_part_names { None } else { self.kind(name) };
        match (own_kind, part) {
            (Some(FamilyKind::Summary), _) => Resolved { role: Role::Quantile, ..whole },
            (Some(_), _) | (None, None) => whole,
            (None, Some((family, suffix))) => {
                let role = self.kind(family).and_then(|kind| suffix.role(kind));
                role.map_or(whole, |role| Resolved { role, family_len: family.len() })
            }
        }
    }

    fn kind(&self, family: &str) -> Option<FamilyKind> {
        match &self.declared {
            Some((declared, kind)) if is_same(declared, family) => Some(*kind),
            _ => self.kinds.get(family).copied(),
        }
    }
}

/// What may follow a family's name in the name of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Suffix {
    Bucket,
    Sum,
    Count,
    Gsum,
    Gcount,
}

impl Suffix {
    /// The family's name and the suffix, where `name` is named like a part.
    fn split(name: &str) -> Option<(&str, Suffix)> {
        let (family, suffix) = match name.as_bytes() {
            [family @ .., b'_', b'b', b'u', b'c', b'k', b'e', b't'] => (family, Suffix::Bucket),
            [family @ .., b'_', b's', b'u', b'm'] => (family, Suffix::Sum),
            [family @ .., b'_', b'c', b'o', b'u', b'n', b't'] => (family, Suffix::Count),
            [family @ .., b'_', b'g', b's', b'u', b'm'] => (family, Suffix::Gsum),
            [family @ .., b'_', b'g', b'c', b'o', b'u', b'n', b't'] => (family, Suffix::Gcount),
            _ => return None,
        };
        Some((name.get(..family.len())?, suffix))
    }

    /// The part that it names, where families of that kind have it.
    fn role(self, kind: FamilyKind) -> Option<Role> {
        match (kind, self) {
            (FamilyKind::Histogram | FamilyKind::GaugeHistogram, Suffix::Bucket) => {
                Some(Role::Bucket)
            }
            (FamilyKind::Plain, _) | (FamilyKind::Summary, Suffix::Bucket) => None,
            (_, Suffix::Sum) | (FamilyKind::GaugeHistogram, Suffix::Gsum) => Some(Role::Sum),
            (_, Suffix::Count) | (FamilyKind::GaugeHistogram, Suffix::Gcount) => Some(Role::Count),
            (_, Suffix::Gsum | Suffix::Gcount) => None,
        }
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
            types.declare(Cow::Borrowed(name), FamilyKind::of_word(word.as_bytes()).unwrap());
        }
        types
    }

    #[test]
    fn a_name_is_a_part_only_of_a_family_that_has_such_parts() {
        let mut types = types();
        for (name, role, family_len) in [
            ("h", Role::Whole, 1),
            ("h_bucket", Role::Bucket, 1),
            ("h_count", Role::Count, 1),
            ("h_sum", Role::Whole, 5),
            ("h_gsum", Role::Whole, 6),
            ("h_created", Role::Whole, 9),
            ("hbucket", Role::Whole, 7),
            ("g_bucket", Role::Bucket, 1),
            ("g_sum", Role::Sum, 1),
            ("g_gsum", Role::Sum, 1),
            ("g_gcount", Role::Count, 1),
            ("g_count", Role::Count, 1),
            ("s", Role::Quantile, 1),
            ("s_sum", Role::Sum, 1),
            ("s_gsum", Role::Whole, 6),
            ("s_bucket", Role::Whole, 8),
            ("p_sum", Role::Whole, 5),
            ("h_count_sum", Role::Quantile, 11),
            ("unknown_count", Role::Whole, 13),
            ("_sum", Role::Whole, 4),
        ] {
            let want = Resolved { role, family_len };
            assert_eq!(types.resolve(&Cow::Borrowed(name)), want, "{name}");
            assert_eq!(types.resolve(&Cow::Owned(name.to_owned())), want, "{name}");
        }
    }

    #[test]
    fn the_last_type_of_a_name_holds_from_there_on() {
        let mut types = types();
        let name = Cow::Borrowed("h_bucket");
        assert_eq!(types.resolve(&name).role, Role::Bucket);
        types.declare(Cow::Borrowed("h"), FamilyKind::Plain);
        assert_eq!(types.resolve(&name).role, Role::Whole);
        types.declare(Cow::Borrowed("other"), FamilyKind::Plain);
        assert_eq!(types.resolve(&name).role, Role::Whole);
        types.declare(Cow::Borrowed("h"), FamilyKind::Histogram);
        assert_eq!(types.resolve(&name).role, Role::Bucket);
        types.declare(name.clone(), FamilyKind::Plain);
        types.declare(Cow::Borrowed("other"), FamilyKind::Plain);
        assert_eq!(types.resolve(&name).role, Role::Whole);
    }

    #[test]
    fn plain_families_take_no_room_unless_they_are_named_like_parts() {
        let mut types = Types::default();
        for name in ["a", "a_b", "a_sum", "b"] {
            types.declare(Cow::Borrowed(name), FamilyKind::Plain);
        }
        assert_eq!(types.kinds.len(), 1);
    }

    #[test]
    fn an_unknown_word_has_no_kind() {
        assert_eq!(FamilyKind::of_word(b"meter"), None);
        assert_eq!(FamilyKind::of_word(b"GAUGE_Histogram"), Some(FamilyKind::GaugeHistogram));
    }
}
