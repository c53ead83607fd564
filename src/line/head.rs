//! What stands before the value of a line: measurement, tags, field.
//!
//! ```text
//! head = measurement *( "," key "=" value ) blank field "="
//! ```
//!
//! Most heads differ from an earlier one in the value of a tag or two: such a head is copied from
//! that line, run by run, around the values that changed ([`Point::changed`]).

use super::bounds::Bounds;
use super::escape::{push_key, push_measurement, push_tag_value};
use super::lines::Lines;
use crate::mapping::{Point, Source, TagValue};

/// The values of the URL labels, escaped once a push.
#[derive(Debug, Default)]
pub(super) struct GroupValues {
    /// One behind the other.
    text: Vec<u8>,
    /// Where each ends.
    ends: Vec<usize>,
}

impl GroupValues {
    pub(super) fn set<'l>(&mut self, values: impl Iterator<Item = &'l str>) {
        let mut lines = Lines::new(std::mem::take(&mut self.text));
        self.ends.clear();
        for value in values {
            push_tag_value(&mut lines, value);
            self.ends.push(lines.len());
        }
        self.text = lines.into_bytes();
    }

    fn get(&self, index: usize) -> &[u8] {
        let end = self.ends.get(index).copied().unwrap_or_default();
        let before = index.checked_sub(1).and_then(|index| self.ends.get(index));
        self.text.get(before.copied().unwrap_or_default()..end).unwrap_or_default()
    }
}

/// The last head of one kind of point.
#[derive(Debug, Default)]
pub(super) struct Head {
    /// The number of what it has in common with others; 0 for no head.
    number: u64,
    /// Whose names it has.
    family: u64,
    /// Where it begins.
    start: usize,
    /// Bytes of the measurement.
    measurement_len: usize,
    tags: Vec<Tag>,
    /// Bytes of measurement and tags.
    pub(super) series_len: usize,
    /// Bytes of the blank, the field and the equals sign.
    field_len: usize,
}

/// A tag in a head whose value may change.
#[derive(Clone, Copy, Debug)]
struct Tag {
    /// Bytes between what stands before, such a value or the measurement, and its value.
    gap: usize,
    /// Bytes of its value.
    value: usize,
    /// It has that value as long as so many labels are kept.
    unchanged_from: usize,
    source: Source,
}

/// What it takes to write a value.
pub(super) struct Values<'e> {
    pub(super) group: &'e GroupValues,
    pub(super) bounds: &'e mut Bounds,
}

impl Values<'_> {
    #[inline(always)]
    fn push(&mut self, lines: &mut Lines, value: TagValue<'_>) {
        match value {
            TagValue::Group(index) => lines.extend(self.group.get(index)),
            TagValue::Text(text) => push_tag_value(lines, text),
            TagValue::Bound(bound) => self.bounds.push(lines, bound),
        }
    }
}

impl Head {
    /// There is no head to copy from.
    pub(super) fn forget(&mut self) {
        self.number = 0;
    }

    /// Appends the head of a point of this kind.
    #[inline(always)]
    pub(super) fn push(&mut self, lines: &mut Lines, point: &Point<'_>, values: Values<'_>) {
        let start = lines.len();
        if self.number == point.number() {
            self.push_changed(lines, point, values);
        } else {
            self.push_new(lines, *point, values);
        }
        self.start = start;
    }

    #[inline(always)]
    fn push_changed(&mut self, lines: &mut Lines, point: &Point<'_>, mut values: Values<'_>) {
        let start = lines.len();
        let has_same_names = self.family == point.family();
        let series_end = self.start + self.series_len;
        // Where the walk over the earlier head stands, and how far it is copied.
        let (mut at, mut copied) = (self.start + self.measurement_len, self.start);
        if !has_same_names {
            copied = at;
            self.push_measurement(lines, point.measurement(), point.family());
        }
        for tag in &mut self.tags {
            at += tag.gap;
            let end = at + tag.value;
            if point.kept() < tag.unchanged_from
                && let Some(value) = point.changed(tag.source)
            {
                lines.repeat(copied, at - copied);
                copied = end;
                let value_start = lines.len();
                values.push(lines, value);
                tag.value = lines.len() - value_start;
            }
            at = end;
        }
        if has_same_names {
            lines.repeat(copied, series_end + self.field_len - copied);
            self.series_len = lines.len() - start - self.field_len;
        } else {
            lines.repeat(copied, series_end - copied);
            self.push_field(lines, start, (point.field(), point.suffix()));
        }
    }

    #[inline(never)]
    fn push_new(&mut self, lines: &mut Lines, point: Point<'_>, mut values: Values<'_>) {
        let start = lines.len();
        self.number = point.number();
        self.push_measurement(lines, point.measurement(), point.family());
        self.tags.clear();
        let mut gap_start = lines.len();
        for tag in point.tags() {
            lines.push(b',');
            push_key(lines, tag.key);
            lines.push(b'=');
            let (gap, value_start) = (lines.len() - gap_start, lines.len());
            values.push(lines, tag.value);
            let (value, source) = (lines.len() - value_start, tag.source);
            // A tag of the URL never changes, and so is part of the next gap.
            if source.unchanged_from() > 0 {
                gap_start = lines.len();
                self.tags.push(Tag { gap, value, unchanged_from: source.unchanged_from(), source });
            }
        }
        self.push_field(lines, start, (point.field(), point.suffix()));
    }

    /// Begins a head of that family.
    #[inline(never)]
    fn push_measurement(&mut self, lines: &mut Lines, measurement: &str, family: u64) {
        let start = lines.len();
        push_measurement(lines, measurement);
        self.measurement_len = lines.len() - start;
        self.family = family;
    }

    /// Ends a head that began at `start` with a field and its suffix.
    #[inline(never)]
    fn push_field(&mut self, lines: &mut Lines, start: usize, field: (&str, &str)) {
        self.series_len = lines.len() - start;
        lines.push(b' ');
        push_field_key(lines, field);
        self.field_len = lines.len() - start - self.series_len;
    }
}

/// `field suffix "="`
pub(super) fn push_field_key(lines: &mut Lines, (field, suffix): (&str, &str)) {
    push_key(lines, field);
    lines.extend(suffix.as_bytes());
    lines.push(b'=');
}
