//! What is before the value of a line: measurement, tags, field.
//!
//! ```text
//! head = measurement *( "," key "=" value ) blank field "="
//! ```
//!
//! Most heads differ from an earlier one in the value of a tag or two: such a head is copied from
//! that line, run by run, around the values that changed ([`Series::kept`]).

use super::bound_texts::BoundTexts;
use super::buffer::{Full, Line, Lines};
use super::escape::{push_field_name, push_key, push_measurement, push_tag_value};
use crate::bytes::text::Text;
use crate::push::exposition::delta::Kept;
use crate::push::mapping::{Known, Series, TagValue};
use crate::push::sample::{Label, Part};

/// The values of the URL labels, escaped once a push.
#[derive(Debug, Default)]
pub(super) struct GroupValues {
    /// One after the other.
    text: Vec<u8>,
    /// Where each ends.
    ends: Vec<usize>,
}

impl GroupValues {
    pub(super) fn set<'l>(&mut self, values: impl Iterator<Item = &'l Text<'l>>) {
        let mut lines = Lines::new(std::mem::take(&mut self.text));
        self.ends.clear();
        for value in values {
            lines.append(|line| push_tag_value(line, value));
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
pub(super) struct SeriesKey {
    /// The number of what it has in common with others; 0 for no head.
    number: u64,
    /// Whose names it has.
    family: u64,
    /// Where it begins.
    start: usize,
    /// Bytes of the measurement.
    measurement_len: usize,
    tags: Vec<TagSpan>,
    /// Bytes of measurement and tags.
    pub(super) series_len: usize,
    /// Bytes of the blank, the field and the equals sign.
    field_len: usize,
}

/// A tag in a head whose value may change.
#[derive(Clone, Copy, Debug)]
struct TagSpan {
    /// Bytes between what is before, such a value or the measurement, and its value.
    gap: usize,
    /// Bytes of its value.
    value: usize,
    /// The label whose value it is; none for a bound, which is written each time.
    label: Option<usize>,
}

/// What it takes to write a value.
pub(super) struct TagTexts<'e> {
    pub(super) group: &'e GroupValues,
    pub(super) bounds: &'e mut BoundTexts,
}

impl TagTexts<'_> {
    #[inline(always)]
    fn push(&mut self, line: &mut Line<'_>, value: TagValue<'_>) -> Result<(), Full> {
        match value {
            TagValue::Group(index) => line.extend(self.group.get(index)),
            TagValue::Text(text) => push_tag_value(line, text),
            TagValue::Bound(bound) => self.bounds.push(line, bound),
        }
    }
}

impl SeriesKey {
    /// There is no head to copy from.
    pub(super) fn forget(&mut self) {
        self.number = 0;
    }

    /// Writes the head of a series of this kind. Where the room is over, it must be forgotten.
    #[inline(always)]
    pub(super) fn push(
        &mut self,
        line: &mut Line<'_>,
        series: &Series<'_>,
        values: TagTexts<'_>,
    ) -> Result<(), Full> {
        let start = line.end();
        if self.number == series.number() && self.family == series.family() {
            let copied = self.push_changed(line, series, values, self.start)?;
            line.repeat(copied, self.start + self.series_len + self.field_len - copied)?;
            self.series_len = line.end() - start - self.field_len;
        } else {
            let Series { known, labels, kept, part } = *series;
            let end = self.push_other(line.handed_on(), known, labels, kept, part, values)?;
            line.end_at(end);
        }
        self.start = start;
        Ok(())
    }

    /// Copies the earlier head from `copied` on, around the values that changed: how far.
    #[inline(always)]
    fn push_changed(
        &mut self,
        line: &mut Line<'_>,
        series: &Series<'_>,
        values: TagTexts<'_>,
        mut copied: usize,
    ) -> Result<usize, Full> {
        let mut at = self.start + self.measurement_len;
        for tag in &mut self.tags {
            at += tag.gap;
            let end = at + tag.value;
            if !tag.label.is_some_and(|label| series.kept.has(label)) {
                line.repeat(copied, at - copied)?;
                copied = end;
                let value_start = line.end();
                if let Some(label) = tag.label.and_then(|label| series.labels.get(label)) {
                    push_tag_value(line, &label.value)?;
                } else if let Some(bound) = series.bound() {
                    values.bounds.push(line, bound)?;
                }
                tag.value = line.end() - value_start;
            }
            at = end;
        }
        Ok(copied)
    }

    /// Writes the head of a series with other names than the earlier one: where it ends.
    #[inline(never)]
    fn push_other(
        &mut self,
        mut line: Line<'_>,
        known: &Known<'_>,
        labels: &[Label<'_>],
        kept: Kept,
        part: Part,
        values: TagTexts<'_>,
    ) -> Result<usize, Full> {
        let series = Series { known, labels, kept, part };
        let (start, line) = (line.end(), &mut line);
        let (old_tags, old_end) = (self.start + self.measurement_len, self.start + self.series_len);
        push_measurement(line, series.measurement())?;
        let measurement_len = line.end() - start;
        if self.number == series.number() {
            let copied = self.push_changed(line, &series, values, old_tags)?;
            line.repeat(copied, old_end - copied)?;
        } else {
            self.push_tags(line, &series, values)?;
        }
        self.number = series.number();
        self.family = series.family();
        self.measurement_len = measurement_len;
        self.series_len = line.end() - start;
        push_field(line, &series, b' ')?;
        self.field_len = line.end() - start - self.series_len;
        Ok(line.end())
    }

    fn push_tags(
        &mut self,
        line: &mut Line<'_>,
        series: &Series<'_>,
        mut values: TagTexts<'_>,
    ) -> Result<(), Full> {
        self.tags.clear();
        let mut gap_start = line.end();
        for tag in series.tags() {
            line.push(b',')?;
            push_key(line, tag.key)?;
            line.push(b'=')?;
            let (gap, value_start) = (line.end() - gap_start, line.end());
            values.push(line, tag.value)?;
            // A tag that never changes is part of the next gap.
            if !tag.source.is_constant() {
                let value = line.end() - value_start;
                gap_start = line.end();
                self.tags.push(TagSpan { gap, value, label: tag.source.label() });
            }
        }
        Ok(())
    }
}

/// `blank field suffix "="`, or a comma for the blank where it is not the first field.
pub(super) fn push_field(
    line: &mut Line<'_>,
    series: &Series<'_>,
    separator: u8,
) -> Result<(), Full> {
    line.push(separator)?;
    push_field_name(line, series.field())?;
    line.extend(series.suffix().as_bytes())?;
    line.push(b'=')
}
