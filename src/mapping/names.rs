//! The names of a family: where they are cut, and what makes them clean (SPEC 2.1, 2.4).

use super::{Context, Measurement};
use crate::chunk::{self, Chunk, is_same};
use std::borrow::Cow;

/// Keys that consumers keep for themselves (SPEC 2.3).
pub(super) const RESERVED_KEYS: [&str; 3] = ["_field", "_measurement", "time"];

/// The names of the family in hand.
#[derive(Debug, Default)]
pub(super) struct FamilyNames {
    family: String,
    pub(super) measurement: String,
    pub(super) field: String,
    /// Which family it is: never the same again.
    pub(super) number: u64,
    /// The input's filter keeps it.
    pub(super) is_kept: bool,
    is_set: bool,
}

impl FamilyNames {
    /// There is no family in hand.
    pub(super) fn clear(&mut self) {
        self.is_set = false;
    }

    /// Splits and cleans the name of a family, once while its samples follow each other.
    #[inline(always)]
    pub(super) fn set(&mut self, family: &str, context: &Context<'_>) {
        if self.is_set && is_same(&self.family, family) {
            return;
        }
        let options = context.options;
        let by_rule = options.measurement_rules.iter().find_map(|rule| rule.names(family));
        let (measurement, field) = by_rule.unwrap_or_else(|| match &options.measurement {
            Measurement::Fixed(name) => (name.as_str(), family),
            Measurement::Job => (context.job, family),
            Measurement::Cut => (cut(family).measurement, cut(family).field),
            Measurement::CutAndKeep => (cut(family).measurement, cut(family).kept),
        });
        match &*options.measurement_prefix {
            "" => replace(&mut self.measurement, &clean(measurement)),
            prefix => replace(&mut self.measurement, &clean(&format!("{prefix}{measurement}"))),
        }
        self.is_kept = options.filter.keeps(family);
        replace(&mut self.field, &clean(field));
        replace(&mut self.family, family);
        self.number += 1;
        self.is_set = true;
    }

    /// Whether no tag may have this key: it is reserved, or the field's.
    pub(super) fn is_taken(&self, key: &str, suffix: &str) -> bool {
        key.strip_suffix(suffix) == Some(&self.field) || RESERVED_KEYS.contains(&key)
    }
}

fn replace(text: &mut String, by: &str) {
    text.clear();
    text.push_str(by);
}

/// The names that SPEC 2.1, 3 cuts from a metric's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cut<'n> {
    measurement: &'n str,
    field: &'n str,
    /// The field where the whole name is kept.
    kept: &'n str,
}

fn cut(name: &str) -> Cut<'_> {
    let name = name.trim_start_matches('_');
    let one = |name| Cut { measurement: name, field: name, kept: name };
    match name.split_once('_') {
        _ if name.is_empty() => one("unknown"),
        None => one(name),
        Some((measurement, "")) => one(measurement),
        Some((measurement, field)) => Cut { measurement, field, kept: name },
    }
}

/// A name as line protocol may have it (SPEC 2.4): control characters, `"` and `\` become `_`, a
/// leading `#` gets a `_` before it.
pub(super) fn clean(name: &str) -> Cow<'_, str> {
    let unfit = |chunk: Chunk| {
        chunk.within(0, 0x1f) | chunk.equal(0x7f) | chunk.equal(b'"') | chunk.equal(b'\\')
    };
    if !name.starts_with('#') && !chunk::has(name.as_bytes(), unfit) {
        return Cow::Borrowed(name);
    }
    let is_unfit = |byte: u8| matches!(byte, 0..0x20 | 0x7f | b'"' | b'\\');
    let mut clean = String::with_capacity(name.len() + 1);
    if name.starts_with('#') {
        clean.push('_');
    }
    let unfit = |char: char| u8::try_from(char).is_ok_and(is_unfit);
    clean.extend(name.chars().map(|char| if unfit(char) { '_' } else { char }));
    Cow::Owned(clean)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cut_at_their_first_underscore() {
        for (name, measurement, field, kept) in [
            ("disk_free_bytes", "disk", "free_bytes", "disk_free_bytes"),
            ("up", "up", "up", "up"),
            ("x", "x", "x", "x"),
            ("_x", "x", "x", "x"),
            ("x_", "x", "x", "x"),
            ("ab__", "ab", "_", "ab__"),
            ("ab__c", "ab", "_c", "ab__c"),
            ("__ab_c_", "ab", "c_", "ab_c_"),
            ("job:ab:rate5m", "job:ab:rate5m", "job:ab:rate5m", "job:ab:rate5m"),
            ("", "unknown", "unknown", "unknown"),
            ("___", "unknown", "unknown", "unknown"),
        ] {
            assert_eq!(cut(name), Cut { measurement, field, kept }, "{name}");
        }
    }

    #[test]
    fn names_are_clean() {
        for (name, want) in [
            ("plain", "plain"),
            ("#x", "_#x"),
            ("x#", "x#"),
            ("a\"b\\c\n\u{7f}", "a_b_c__"),
            ("日本", "日本"),
            ("a,b c=d", "a,b c=d"),
        ] {
            assert_eq!(clean(name), want);
        }
    }
}
