//! The names of a family: where they are cut, and what makes them clean (SPEC 2.1, 2.4).

use super::context::Context;
use super::options::Measurement;
use crate::bytes::chunk::{self, Chunk, Places, is_same};
use crate::push::sample::Part;
use std::borrow::Cow;
use std::ops::Range;

/// Keys that consumers keep for themselves (SPEC 2.3).
pub(super) const RESERVED_KEYS: [&str; 3] = ["_field", "_measurement", "time"];

/// The names of the family in hand.
#[derive(Debug, Default)]
pub(super) struct FamilyNames {
    /// The name of the family, and after it each of the two below that is not a part of that name.
    text: String,
    family_len: usize,
    measurement: Range<usize>,
    field: Range<usize>,
    /// What the key has after `field` where the part has no suffix of its own: `_` where the key
    /// would be `time`, since InfluxDB refuses a point with a field of that name; else nothing.
    whole_suffix: &'static str,
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

    /// The cut name of the measurement, or another, clean.
    #[inline]
    pub(super) fn measurement(&self) -> &str {
        self.text.get(self.measurement.clone()).unwrap_or_default()
    }

    /// The field, clean.
    #[inline]
    pub(super) fn field(&self) -> &str {
        self.text.get(self.field.clone()).unwrap_or_default()
    }

    /// Splits and cleans the name of a family, once while its samples follow each other.
    #[inline(always)]
    pub(super) fn set(&mut self, family: &str, context: &Context<'_>) {
        let known = self.text.get(..self.family_len).unwrap_or_default();
        if self.is_set && is_same(known, family) {
            return;
        }
        self.text.clear();
        self.text.push_str(family);
        self.family_len = family.len();
        let options = context.options;
        self.is_kept = options.filter.keeps(family);
        let (measurement, field) = match Cut::of(family) {
            Some(cut) if options.cuts_only() && has_clean_parts(family) => {
                let keeps_name = options.measurement == Measurement::CutAndKeep;
                (cut.measurement, if keeps_name { cut.kept } else { cut.field })
            }
            cut => self.find(family, cut, context),
        };
        (self.measurement, self.field) = (measurement, field);
        self.whole_suffix = if self.field() == "time" { "_" } else { "" };
        self.number += 1;
        self.is_set = true;
    }

    /// The names where they are not just cut from the family's, or must be cleaned: puts them
    /// after that one.
    #[inline(never)]
    fn find(
        &mut self,
        family: &str,
        cut: Option<Cut>,
        context: &Context<'_>,
    ) -> (Range<usize>, Range<usize>) {
        let options = context.options;
        let part = |range: fn(&Cut) -> &Range<usize>| {
            cut.as_ref().map_or("unknown", |cut| family.get(range(cut).clone()).unwrap_or_default())
        };
        let by_rule = options.measurement_rules.iter().find_map(|rule| rule.names(family));
        let (measurement, field) = by_rule.unwrap_or_else(|| match &options.measurement {
            Measurement::Fixed(name) => (name.as_str(), family),
            Measurement::Job => (context.job, family),
            Measurement::Cut => (part(|cut| &cut.measurement), part(|cut| &cut.field)),
            Measurement::CutAndKeep => (part(|cut| &cut.measurement), part(|cut| &cut.kept)),
        });
        let mut append = |name: &str| {
            let start = self.text.len();
            self.text.push_str(&clean(name));
            start..self.text.len()
        };
        let prefixed = format!("{}{measurement}", options.measurement_prefix);
        (append(&prefixed), append(field))
    }

    /// What the key of a field has after the name of the family.
    #[inline]
    pub(super) fn suffix(&self, part: Part) -> &'static str {
        match part {
            Part::Whole | Part::Quantile(_) => self.whole_suffix,
            Part::Bucket(_) => "_bucket",
            Part::Sum => "_sum",
            Part::Count => "_count",
        }
    }

    /// Whether no tag may have this key: it is reserved, or the field's.
    pub(super) fn is_taken(&self, key: &str, suffix: &str) -> bool {
        self.is_field(key, suffix) || RESERVED_KEYS.contains(&key)
    }

    /// Whether this is the key of the field.
    #[inline]
    pub(super) fn is_field(&self, key: &str, suffix: &str) -> bool {
        key.len() == self.field.len() + suffix.len()
            && key.strip_suffix(suffix) == Some(self.field())
    }
}

/// Where the names stand in a metric's name that SPEC 2.1, 3 cuts from it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Cut {
    measurement: Range<usize>,
    field: Range<usize>,
    /// The field where the whole name is kept.
    kept: Range<usize>,
}

impl Cut {
    /// None where nothing is left, and the names are `unknown`.
    fn of(name: &str) -> Option<Cut> {
        let name = name.as_bytes();
        let start = name.iter().position(|byte| *byte != b'_')?;
        let len = chunk::find(name.get(start..)?, |chunk| chunk.equal(b'_'));
        let kept = start..name.len();
        let cut = len.map_or(name.len(), |len| start + len);
        let measurement = start..cut;
        let field = if cut + 1 < name.len() { cut + 1..name.len() } else { measurement.clone() };
        let is_whole = field == measurement;
        Some(Cut { kept: if is_whole { field.clone() } else { kept }, measurement, field })
    }
}

/// What makes a name unfit for line protocol, wherever it is.
#[inline]
fn unfit(chunk: Chunk) -> Places {
    chunk.within(0, 0x1f) | chunk.equal(0x7f) | chunk.equal(b'"') | chunk.equal(b'\\')
}

/// Whether all parts of a name are clean, wherever it is cut: true of all names but the strangest.
fn has_clean_parts(name: &str) -> bool {
    !chunk::has(name.as_bytes(), |chunk| unfit(chunk) | chunk.equal(b'#'))
}

/// A name as line protocol may have it (SPEC 2.4): control characters, `"` and `\` become `_`, a
/// leading `#` gets a `_` before it.
pub(super) fn clean(name: &str) -> Cow<'_, str> {
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
            let cut = Cut::of(name);
            let part = |range: fn(&Cut) -> &Range<usize>| {
                cut.as_ref().map_or("unknown", |cut| name.get(range(cut).clone()).unwrap())
            };
            let found =
                [part(|cut| &cut.measurement), part(|cut| &cut.field), part(|cut| &cut.kept)];
            assert_eq!(found, [measurement, field, kept], "{name}");
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
