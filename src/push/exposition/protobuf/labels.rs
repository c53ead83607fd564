//! The labels of a metric (`LabelPair`), read anew only where they differ from those before.
//!
//! Metrics of a family have the same label names in the same order, and many values in common. A
//! pair whose bytes are those of the pair at its place in the metric before is that label; a name
//! that was there before has been checked.

use super::super::delta::{Delta, Kept, Likeness};
use super::super::error::Error;
use super::super::name;
use super::super::reuse::emptied;
use super::wire::{Field, Fields, Message};
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

    /// Puts a label in its place. `delta` is what the metric has in common with the one before, and
    /// says no more from here on than this label allows.
    #[inline(always)]
    pub(super) fn take(
        &mut self,
        message: Message<'b>,
        index: usize,
        names: Names,
        delta: &mut Delta,
    ) -> Result<(), Error> {
        let places = (self.labels.get_mut(index), self.bytes.get_mut(index));
        let (Some(before), Some(bytes)) = places else {
            let pair = Pair::read(message, "", names)?;
            self.labels.push(Label { name: Cow::Borrowed(pair.name), value: pair.value.into() });
            self.bytes.push(message.bytes);
            *delta = Delta::UNKNOWN;
            return Ok(());
        };
        if is_same_bytes(bytes, message.bytes) {
            return Ok(());
        }
        let known_name = match before.name {
            Cow::Borrowed(name) => name,
            Cow::Owned(_) => "",
        };
        let Pair { name, value, has_known_name } = Pair::read(message, known_name, names)?;
        *bytes = message.bytes;
        if !has_known_name {
            before.name = Cow::Borrowed(name);
        } else if *before.value == *value {
            return Ok(());
        }
        delta.kept = delta.kept.and(Kept::first(index));
        if !has_known_name || before.value.is_empty() || value.is_empty() {
            delta.likeness = Likeness::Unknown;
        }
        before.value = value.into();
        Ok(())
    }

    /// Ends a metric with so many labels: `delta` says no more from here on than their number
    /// allows.
    pub(super) fn end(&mut self, count: usize, delta: &mut Delta) {
        delta.kept = delta.kept.and(Kept::first(count));
        if self.labels.len() != count {
            delta.likeness = Likeness::Unknown;
            self.labels.truncate(count);
            self.bytes.truncate(count);
        }
    }
}

/// A label as it is read.
struct Pair<'b> {
    name: &'b str,
    value: &'b str,
    /// Its name is the one that was there before, which need not be checked again.
    has_known_name: bool,
}

impl<'b> Pair<'b> {
    #[inline(always)]
    fn read(message: Message<'b>, known_name: &'b str, names: Names) -> Result<Pair<'b>, Error> {
        let mut pair = Pair { name: "", value: "", has_known_name: false };
        if let Some([name, value]) = message.usual_pair() {
            pair.take(name, known_name)?;
            pair.take(value, known_name)?;
        } else {
            pair.take_all(message, known_name)?;
        }
        if !pair.has_known_name {
            name::check_label(pair.name, names).map_err(|kind| Error::new(message.start, kind))?;
        }
        Ok(pair)
    }

    #[inline(never)]
    fn take_all(&mut self, message: Message<'b>, known_name: &'b str) -> Result<(), Error> {
        let mut fields = Fields::new(message);
        while let Some(field) = fields.next()? {
            self.take(field, known_name)?;
        }
        Ok(())
    }

    /// `LabelPair`: name = 1, value = 2.
    #[inline(always)]
    fn take(&mut self, field: Field<'b>, known_name: &'b str) -> Result<(), Error> {
        match field.number {
            1 => {
                let bytes = field.message()?.bytes;
                self.has_known_name =
                    !bytes.is_empty() && is_same_bytes(bytes, known_name.as_bytes());
                self.name = if self.has_known_name { known_name } else { field.text()? };
            }
            2 => self.value = field.text()?,
            _ => {}
        }
        Ok(())
    }
}
