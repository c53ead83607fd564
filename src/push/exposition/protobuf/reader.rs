//! A protobuf body → its metric families, and the samples of their metrics (SPEC 1.4).
//!
//! ```text
//! body   = *( length MetricFamily )
//! family = name = 1, type = 3, metric = 4
//! ```
//!
//! As fields may come in any order, a family is walked twice: its name and type, then its metrics.

use super::super::delta::{Delta, Kept, Likeness};
use super::super::error::{BodyPlace, Error};
use super::super::native::Native;
use super::family::Family;
use super::labels::MetricLabels;
use super::metric::{Metric, Outcome};
use super::wire::{Fields, Message};
use crate::push::sample::{Names, Part, Sample, Value};
use std::mem::Discriminant;

/// Reads one body after the other. It keeps their memory, not their bytes.
#[derive(Debug, Default)]
pub struct ProtobufReader {
    labels: MetricLabels<'static>,
    /// Where the family is at which the last reading ended that its receiver stopped.
    stopped_at: BodyPlace,
}

impl ProtobufReader {
    /// Reads `body` and hands each sample to `each`, in the order of the body, with what it has in
    /// common with the one before.
    ///
    /// # Errors
    /// The first mistake of the body, as an [`Error`] with its offset and the family's name, or
    /// what `each` returns.
    #[inline(always)]
    pub(crate) fn read<E: From<Error>>(
        &mut self,
        body: &[u8],
        names: Names,
        mut each: impl FnMut(&Sample<'_>, Delta) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut messages = Fields::new(Message { bytes: body, start: 0 });
        let labels = std::mem::take(&mut self.labels).emptied();
        let (delta, last_kind, native) = (Delta::UNKNOWN, None, Native::default());
        let mut scratch = Scratch { labels, delta, last_kind, native };
        while !messages.is_at_end() {
            let message = messages.length_delimited()?;
            let family = Family::read(message, names)?;
            if let Err(stop) = scratch.family(&family, &mut each) {
                let (offset, family) = (message.start, Some(family.name.to_owned()));
                self.stopped_at = BodyPlace { offset, family };
                return Err(stop);
            }
        }
        self.labels = scratch.labels.emptied();
        Ok(())
    }

    /// Where the family of the sample is at which its receiver stopped the reading.
    pub(crate) fn place_of_last_sample(&self) -> BodyPlace {
        self.stopped_at.clone()
    }
}

/// What is used again for each metric.
struct Scratch<'b> {
    labels: MetricLabels<'b>,
    /// What the labels and the family have in common with those of the last sample, up to now: a
    /// metric may have no sample.
    delta: Delta,
    /// The kind of the last sample's part.
    last_kind: Option<Discriminant<Part>>,
    native: Native,
}

impl<'b> Scratch<'b> {
    /// Hands the samples of a family to `each`.
    fn family<E: From<Error>>(
        &mut self,
        family: &Family<'b>,
        each: &mut impl FnMut(&Sample<'_>, Delta) -> Outcome<E>,
    ) -> Outcome<E> {
        self.delta = self.delta.at_most(Likeness::Shape);
        let mut fields = Fields::new(family.message);
        while let Some(field) = fields.next().map_err(|error| family.at(error))? {
            if field.number == 4 {
                let message = field.message().map_err(|error| family.at(error))?;
                self.metric(family, message, each)?;
            }
        }
        Ok(())
    }

    /// Hands the samples of one metric to `each`.
    fn metric<E: From<Error>>(
        &mut self,
        family: &Family<'b>,
        message: Message<'b>,
        each: &mut impl FnMut(&Sample<'_>, Delta) -> Outcome<E>,
    ) -> Outcome<E> {
        let Scratch { labels, delta, last_kind, native } = self;
        let mut since_metric = Delta::SAME;
        let metric = Metric::read(message, family, labels, &mut since_metric)
            .map_err(|error| family.at(error))?;
        *delta = delta.and(since_metric);
        let labels = labels.as_slice();
        let of_one_metric = Delta { kept: Kept::first(labels.len()), likeness: Likeness::Family };
        metric.samples(family, native, &mut |part, value| {
            let since_last = std::mem::replace(delta, of_one_metric);
            let kind = std::mem::discriminant(&part);
            let has_last_kind = last_kind.replace(kind) == Some(kind);
            let likeness = if has_last_kind { since_last.likeness } else { Likeness::Unknown };
            let (value, timestamp_ns) = (Value::Number(value), metric.timestamp_ns);
            let sample = Sample { family: family.name, part, labels, value, timestamp_ns };
            each(&sample, Delta { likeness, ..since_last })
        })
    }
}
