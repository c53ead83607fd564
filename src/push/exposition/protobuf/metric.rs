//! One metric → its labels, its time and its samples (SPEC 1.4, 2.2).
//!
//! ```text
//! metric = label = 1, gauge = 2, counter = 3, summary = 4, untyped = 5, timestamp_ms = 6,
//!          histogram = 7
//! ```
//!
//! Its value is read when its labels and its time are known, since fields may come in any order.

use super::super::delta::{Delta, Likeness};
use super::super::error::{Error, ErrorKind};
use super::super::name;
use super::super::native::Native;
use super::family::{Family, MetricType};
use super::histogram::{HistogramHead, as_double, bucket};
use super::labels::MetricLabels;
use super::wire::{Field, Fields, Message};
use crate::push::sample::Part;

/// Either the sample's receiver has had enough, or the message is wrong.
pub(super) type Outcome<E> = Result<(), E>;

/// A metric whose labels are known.
#[derive(Clone, Copy)]
pub(super) struct Metric<'b> {
    message: Message<'b>,
    /// Its value, where it comes in one piece.
    value: Option<Message<'b>>,
    pub(super) timestamp_ns: Option<i64>,
}

impl<'b> Metric<'b> {
    /// Reads labels and time; checks that the value is the one that the family's type asks for. The
    /// labels of the metric before are replaced; `delta`, which begins as [`Delta::SAME`], is then
    /// what they have in common with those.
    pub(super) fn read(
        message: Message<'b>,
        family: &Family<'b>,
        labels: &mut MetricLabels<'b>,
        delta: &mut Delta,
    ) -> Result<Metric<'b>, Error> {
        let mut label_count = 0;
        let mut timestamp_ns = None;
        let (mut value, mut value_count) = (None, 0);
        let mut fields = Fields::new(message);
        while let Some(field) = fields.next()? {
            match field.number {
                1 => {
                    labels.take(field.message()?, label_count, family.names, delta)?;
                    label_count += 1;
                }
                6 => timestamp_ns = Some(timestamp(field)?),
                number if number == family.metric_type.field() => {
                    value = field.message().ok();
                    value_count += 1;
                }
                2..=5 | 7 => return Err(Error::new(field.start, ErrorKind::ValueOfOtherType)),
                _ => {}
            }
        }
        labels.end(label_count, delta);
        if delta.likeness == Likeness::Unknown {
            name::check_unique(labels.as_slice())
                .map_err(|kind| Error::new(message.start, kind))?;
        }
        if value_count == 0 {
            return Err(Error::new(message.start, ErrorKind::NoValue));
        }
        let value = value.filter(|_| value_count == 1);
        Ok(Metric { message, value, timestamp_ns })
    }

    /// Hands each sample to `emit`.
    #[inline(always)]
    pub(super) fn samples<E: From<Error>>(
        &self,
        family: &Family<'b>,
        native: &mut Native,
        emit: &mut impl FnMut(Part, f64) -> Outcome<E>,
    ) -> Outcome<E> {
        match family.metric_type {
            MetricType::Counter | MetricType::Gauge | MetricType::Untyped => {
                let value = self.simple(family).map_err(|error| family.at(error))?;
                emit(Part::Whole, value)
            }
            MetricType::Summary => self.summary(family, emit),
            MetricType::Histogram => self.histogram(family, native, emit),
        }
    }

    /// Calls `take` with each field of the value; a value that comes in pieces is one value.
    fn value_fields<E: From<Error>>(
        &self,
        family: &Family<'b>,
        mut take: impl FnMut(Field<'b>) -> Outcome<E>,
    ) -> Outcome<E> {
        if let Some(message) = self.value {
            let mut inner = Fields::new(message);
            while let Some(field) = inner.next().map_err(|error| family.at(error))? {
                take(field)?;
            }
            return Ok(());
        }
        let mut fields = Fields::new(self.message);
        while let Some(field) = fields.next().map_err(|error| family.at(error))? {
            if field.number == family.metric_type.field() {
                let message = field.message().map_err(|error| family.at(error))?;
                let mut inner = Fields::new(message);
                while let Some(field) = inner.next().map_err(|error| family.at(error))? {
                    take(field)?;
                }
            }
        }
        Ok(())
    }

    /// `Counter`, `Gauge`, `Untyped`: value = 1.
    fn simple(&self, family: &Family<'b>) -> Result<f64, Error> {
        let mut value = 0.0;
        self.value_fields(family, |field| {
            if field.number == 1 {
                value = field.double()?;
            }
            Ok::<_, Error>(())
        })?;
        Ok(value)
    }

    /// `Summary`: sample_count = 1, sample_sum = 2, quantile = 3 { quantile = 1, value = 2 }.
    fn summary<E: From<Error>>(
        &self,
        family: &Family<'b>,
        emit: &mut impl FnMut(Part, f64) -> Outcome<E>,
    ) -> Outcome<E> {
        let (mut sum, mut count) = (None, None);
        self.value_fields(family, |field| -> Outcome<E> {
            match field.number {
                1 => count = Some(field.varint().map_err(|error| family.at(error))?),
                2 => sum = Some(field.double().map_err(|error| family.at(error))?),
                3 => {
                    let [quantile, value] = pair(field).map_err(|error| family.at(error))?;
                    emit(Part::Quantile(quantile), value)?;
                }
                _ => {}
            }
            Ok(())
        })?;
        emit_sum_and_count(sum, count.map(as_double), emit)
    }

    /// `Histogram`: see the numbers in [`HistogramHead::take`].
    fn histogram<E: From<Error>>(
        &self,
        family: &Family<'b>,
        native: &mut Native,
        emit: &mut impl FnMut(Part, f64) -> Outcome<E>,
    ) -> Outcome<E> {
        native.clear();
        let mut head = HistogramHead::default();
        self.value_fields(family, |field| -> Outcome<E> {
            Ok(head.take(field, native).map_err(|error| family.at(error))?)
        })?;
        let counts = head.counts();
        if head.has_buckets {
            self.value_fields(family, |field| -> Outcome<E> {
                if field.number != 3 {
                    return Ok(());
                }
                let (bound, count) = bucket(field, counts).map_err(|error| family.at(error))?;
                emit(Part::Bucket(bound), count)
            })?;
        } else if native.is_native() {
            let mut total = 0.0;
            native
                .cumulate(counts, |bound, count| {
                    total = count;
                    emit(Part::Bucket(bound), count).map_err(NativeStop::Receiver)
                })
                .map_err(|stop| match stop {
                    NativeStop::Receiver(error) => error,
                    NativeStop::Native(what) => {
                        family.at(Error::new(self.message.start, ErrorKind::Native { what })).into()
                    }
                })?;
            emit(Part::Bucket(f64::INFINITY), head.count(counts).unwrap_or(total))?;
        }
        emit_sum_and_count(head.sum, head.count(counts), emit)
    }
}

/// `timestamp_ms`, in nanoseconds.
fn timestamp(field: Field<'_>) -> Result<i64, Error> {
    let millis = field.varint()?.cast_signed();
    millis.checked_mul(1_000_000).ok_or_else(|| {
        let found = millis.to_string().into_bytes();
        Error::new(field.start, ErrorKind::TimestampRange { found })
    })
}

/// What ends the buckets of a native histogram.
enum NativeStop<E> {
    Receiver(E),
    Native(&'static str),
}

impl<E> From<&'static str> for NativeStop<E> {
    fn from(what: &'static str) -> NativeStop<E> {
        NativeStop::Native(what)
    }
}

/// `Quantile`: quantile = 1, value = 2.
fn pair(field: Field<'_>) -> Result<[f64; 2], Error> {
    let mut pair = [0.0; 2];
    let mut fields = Fields::new(field.message()?);
    while let Some(field) = fields.next()? {
        let [quantile, value] = &mut pair;
        match field.number {
            1 => *quantile = field.double()?,
            2 => *value = field.double()?,
            _ => {}
        }
    }
    Ok(pair)
}

/// Only what was sent; next to each other, so that they share a line.
#[inline(always)]
fn emit_sum_and_count<E>(
    sum: Option<f64>,
    count: Option<f64>,
    emit: &mut impl FnMut(Part, f64) -> Outcome<E>,
) -> Outcome<E> {
    sum.map_or(Ok(()), |sum| emit(Part::Sum, sum))?;
    count.map_or(Ok(()), |count| emit(Part::Count, count))
}
