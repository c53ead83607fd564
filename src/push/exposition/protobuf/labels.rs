//! The labels of a metric (`LabelPair`), read anew only where they differ from those before.
//!
//! Metrics of a family have the same label names in the same order, and many values in common. A
//! pair whose bytes are those of the pair at its place in the metric before is that label; a name
//! that was there before has been checked.

use super::super::delta::{Delta, Kept, Likeness};
use super::super::error::Error;
use super::super::name;
use super::super::reuse::emptied;
use super::wire::{Fields, Message};
use crate::bytes::chunk::is_same_bytes;
use crate::push::sample::{Label, Names};
use std::borrow::Cow;

/// The labels of the metric in hand; while it is read, followed by those of the one before.
#[derive(Debug, Default)]
pub(super) struct MetricLabels<'b> {
    labels: Vec<Label<'b>>,
    /// The message of each.
    bytes: Vec<&'b [u8]>,
}

impl<'b> MetricLabels<'b> {
    pub(super) fn as_slice(&self) -> &[Label<'b>] {
        &self.labels
    }

    /// None, in the memory of these.
    pub(super) fn emptied<'c>(self) -> MetricLabels<'c> {
        MetricLabels { labels: emptied(self.labels), bytes: emptied(self.bytes) }
    }

    /// Puts a label in its place: what the metric has in common with the one before, as far as this
    /// label shows it.
    #[inline(always)]
    pub(super) fn take(
        &mut self,
        message: Message<'b>,
        index: usize,
        names: Names,
    ) -> Result<Delta, Error> {
        let differs = |likeness| Delta { kept: Kept::first(index), likeness };
        let places = (self.labels.get_mut(index), self.bytes.get_mut(index));
        let (Some(before), Some(bytes)) = places else {
            self.labels.push(read(message, "", names)?.0);
            self.bytes.push(message.bytes);
            return Ok(differs(Likeness::Unknown));
        };
        if is_same_bytes(bytes, message.bytes) {
            return Ok(Delta::SAME);
        }
        let known_name = match before.name {
            Cow::Borrowed(name) => name,
            Cow::Owned(_) => "",
        };
        let (label, has_known_name) = read(message, known_name, names)?;
        *bytes = message.bytes;
        let last = std::mem::replace(before, label);
        Ok(match has_known_name {
            true if before.value == last.value => Delta::SAME,
            true if !before.value.is_empty() && !last.value.is_empty() => differs(Likeness::Family),
            _ => differs(Likeness::Unknown),
        })
    }

    /// Ends a metric with so many labels: what it has in common with the one before, as far as the
    /// number of labels shows it.
    pub(super) fn end(&mut self, count: usize) -> Delta {
        let likeness =
            if self.labels.len() == count { Likeness::Family } else { Likeness::Unknown };
        self.labels.truncate(count);
        self.bytes.truncate(count);
        Delta { kept: Kept::first(count), likeness }
    }
}

/// `LabelPair`: name = 1, value = 2; and whether its name is the known one, which need not be
/// checked again.
fn read<'b>(
    message: Message<'b>,
    known_name: &'b str,
    names: Names,
) -> Result<(Label<'b>, bool), Error> {
    let (mut name, mut value) = ("", "");
    let mut has_known_name = false;
    let mut fields = Fields::new(message);
    while let Some(field) = fields.next()? {
        match field.number {
            1 => {
                let bytes = field.message()?.bytes;
                has_known_name = !bytes.is_empty() && is_same_bytes(bytes, known_name.as_bytes());
                name = if has_known_name { known_name } else { field.text()? };
            }
            2 => value = field.text()?,
            _ => {}
        }
    }
    if !has_known_name {
        name::check_label(name, names).map_err(|kind| Error::new(message.start, kind))?;
    }
    Ok((Label { name: Cow::Borrowed(name), value: value.into() }, has_known_name))
}
