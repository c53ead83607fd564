//! Length-delimited `io.prometheus.client.MetricFamily` → samples (SPEC 1.4, 2.2, 5; the messages
//! are those of prometheus/client_model, `io/prometheus/client/metrics.proto`).
//!
//! Fields are read one by one over sub-slices that bound each nested message; no message is built.
//! As fields may come in any order, a family is walked twice (name and type, then its metrics), and
//! the value of a metric is read when its labels and its time are known. Labels that are, byte by
//! byte, those of the metric before are not read again.

mod histogram;
mod labels;
mod wire;

use super::error::{BodyPlace, Error, ErrorKind};
use super::name;
use super::native::Native;
use crate::push::sample::{Names, Part, Sample, Value};
use histogram::{HistogramHead, bucket};
use labels::{Likeness, MetricLabels};
use std::mem::Discriminant;
use wire::{Field, Fields, Message};

/// Reads `body` and hands each sample to `each`, in the order of the body.
///
/// # Errors
/// The first mistake of the body, as an [`Error`] with its offset and the family's name, or what
/// `each` returns.
pub(crate) fn read<E: From<Error>>(
    body: &[u8],
    names: Names,
    each: impl FnMut(&Sample<'_>) -> Result<(), E>,
) -> Result<(), E> {
    ProtobufReader::default().read(body, names, each)
}

/// The memory of a reader, which serves one body after the other.
#[derive(Debug, Default)]
pub struct ProtobufReader {
    labels: MetricLabels<'static>,
    /// Where the family is at which the last reading ended.
    stopped_at: BodyPlace,
}

impl ProtobufReader {
    /// As [`read`].
    ///
    /// # Errors
    /// As [`read`].
    #[inline(always)]
    pub(crate) fn read<E: From<Error>>(
        &mut self,
        body: &[u8],
        names: Names,
        mut each: impl FnMut(&Sample<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut messages = Fields::new(Message { bytes: body, start: 0 });
        let labels = std::mem::take(&mut self.labels).emptied();
        let native = Native::default();
        let (kept, last_part, has_last_family) = (0, None, false);
        let mut scratch = Scratch { labels, kept, last_part, has_last_family, native };
        while !messages.is_at_end() {
            let message = messages.length_delimited()?;
            let family = Family::read(message, names)?;
            if let Err(stop) = family.samples(&mut scratch, &mut each) {
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

/// `MetricType`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MetricType {
    Counter,
    Gauge,
    Summary,
    Untyped,
    /// HISTOGRAM and GAUGE_HISTOGRAM.
    Histogram,
}

impl MetricType {
    fn of(number: u64) -> Option<MetricType> {
        Some(match number {
            0 => MetricType::Counter,
            1 => MetricType::Gauge,
            2 => MetricType::Summary,
            3 => MetricType::Untyped,
            4 | 5 => MetricType::Histogram,
            _ => return None,
        })
    }

    /// The field of `Metric` that holds its value.
    fn field(self) -> u64 {
        match self {
            MetricType::Gauge => 2,
            MetricType::Counter => 3,
            MetricType::Summary => 4,
            MetricType::Untyped => 5,
            MetricType::Histogram => 7,
        }
    }
}

/// `MetricFamily`: name = 1, type = 3, metric = 4.
struct Family<'b> {
    message: Message<'b>,
    name: &'b str,
    kind: MetricType,
    names: Names,
}

/// What a metric says besides its value, and where its value stands.
struct Head<'b> {
    timestamp_ns: Option<i64>,
    /// Its value, where it comes in one piece.
    value: Option<Message<'b>>,
    /// How many of its first labels are those of the metric before.
    kept: usize,
    /// All its labels have the names of those.
    has_same_names: bool,
}

/// What is used again for each metric.
struct Scratch<'b> {
    labels: MetricLabels<'b>,
    /// How many of the first labels are those of the last sample.
    kept: usize,
    /// What the last sample was, where it had the same names of labels.
    last_part: Option<Discriminant<Part>>,
    /// The last sample had the same family.
    has_last_family: bool,
    native: Native,
}

/// A metric whose labels are known.
#[derive(Clone, Copy)]
struct Metric<'b> {
    message: Message<'b>,
    /// Its value, where it comes in one piece.
    value: Option<Message<'b>>,
}

/// Either the sample's receiver has had enough, or the message is wrong.
type Outcome<E> = Result<(), E>;

impl<'b> Family<'b> {
    fn read(message: Message<'b>, names: Names) -> Result<Family<'b>, Error> {
        let mut family = Family { message, name: "", kind: MetricType::Counter, names };
        let mut fields = Fields::new(message);
        while let Some(field) = fields.next()? {
            match field.number {
                1 => family.name = field.text()?,
                3 => {
                    family.kind = MetricType::of(field.varint()?)
                        .ok_or_else(|| field.error("the type of the family is not known"))?;
                }
                _ => {}
            }
        }
        name::check_metric(family.name, names)
            .map_err(|kind| family.at(Error::new(message.start, kind)))?;
        Ok(family)
    }

    /// The same error, with the family's name.
    fn at(&self, error: Error) -> Error {
        error.in_family(self.name)
    }

    fn samples<E: From<Error>>(
        &self,
        scratch: &mut Scratch<'b>,
        each: &mut impl FnMut(&Sample<'_>) -> Outcome<E>,
    ) -> Outcome<E> {
        scratch.has_last_family = false;
        let mut fields = Fields::new(self.message);
        while let Some(field) = fields.next().map_err(|error| self.at(error))? {
            if field.number == 4 {
                let message = field.message().map_err(|error| self.at(error))?;
                self.metric(message, scratch, each)?;
            }
        }
        Ok(())
    }

    /// `Metric`: label = 1, timestamp_ms = 6, and its value.
    fn metric<E: From<Error>>(
        &self,
        message: Message<'b>,
        scratch: &mut Scratch<'b>,
        each: &mut impl FnMut(&Sample<'_>) -> Outcome<E>,
    ) -> Outcome<E> {
        let head = self.head(message, &mut scratch.labels).map_err(|error| self.at(error))?;
        let Scratch { labels, kept, last_part, has_last_family, native } = scratch;
        let labels = labels.as_slice();
        let value = Metric { message, value: head.value };
        let (family, timestamp_ns) = (self.name, head.timestamp_ns);
        // A metric may have no sample.
        *kept = head.kept.min(*kept);
        if !head.has_same_names {
            *last_part = None;
        }
        let mut emit = |part, value| {
            let kept = std::mem::replace(kept, labels.len());
            let kind = std::mem::discriminant(&part);
            let is_alike = last_part.replace(kind) == Some(kind);
            let has_last_family = std::mem::replace(has_last_family, true);
            let value = Value::Number(value);
            each(&Sample {
                family,
                part,
                labels,
                kept,
                is_alike,
                has_last_family,
                value,
                timestamp_ns,
            })
        };
        match self.kind {
            MetricType::Counter | MetricType::Gauge | MetricType::Untyped => {
                let value = self.simple(value).map_err(|error| self.at(error))?;
                emit(Part::Whole, value)
            }
            MetricType::Summary => self.summary(value, &mut emit),
            MetricType::Histogram => self.histogram(value, native, &mut emit),
        }
    }

    /// MetricLabels and time; checks that the value is the one that the family's type asks for. The
    /// labels of the metric before are replaced.
    fn head(&self, message: Message<'b>, labels: &mut MetricLabels<'b>) -> Result<Head<'b>, Error> {
        let (mut label_count, mut kept, mut has_same_names) = (0, 0, true);
        let mut timestamp_ns = None;
        let (mut value, mut value_count) = (None, 0);
        let mut fields = Fields::new(message);
        while let Some(field) = fields.next()? {
            match field.number {
                1 => {
                    match labels.take(field.message()?, label_count, self.names)? {
                        Likeness::Same => kept += usize::from(kept == label_count),
                        Likeness::SameName => {}
                        Likeness::None => has_same_names = false,
                    }
                    label_count += 1;
                }
                6 => timestamp_ns = Some(timestamp(field)?),
                number if number == self.kind.field() => {
                    value = field.message().ok();
                    value_count += 1;
                }
                2..=5 | 7 => return Err(Error::new(field.start, ErrorKind::ValueOfOtherType)),
                _ => {}
            }
        }
        if labels.as_slice().len() != label_count || !has_same_names {
            has_same_names = false;
            labels.truncate(label_count);
            name::check_unique(labels.as_slice())
                .map_err(|kind| Error::new(message.start, kind))?;
        }
        if value_count == 0 {
            return Err(Error::new(message.start, ErrorKind::NoValue));
        }
        let value = value.filter(|_| value_count == 1);
        Ok(Head { timestamp_ns, value, kept, has_same_names })
    }

    /// Calls `take` with each field of the value; a value that comes in pieces is one value.
    fn value_fields<E: From<Error>>(
        &self,
        metric: Metric<'b>,
        mut take: impl FnMut(Field<'b>) -> Outcome<E>,
    ) -> Outcome<E> {
        if let Some(message) = metric.value {
            let mut inner = Fields::new(message);
            while let Some(field) = inner.next().map_err(|error| self.at(error))? {
                take(field)?;
            }
            return Ok(());
        }
        let mut fields = Fields::new(metric.message);
        while let Some(field) = fields.next().map_err(|error| self.at(error))? {
            if field.number == self.kind.field() {
                let message = field.message().map_err(|error| self.at(error))?;
                let mut inner = Fields::new(message);
                while let Some(field) = inner.next().map_err(|error| self.at(error))? {
                    take(field)?;
                }
            }
        }
        Ok(())
    }

    /// `Counter`, `Gauge`, `Untyped`: value = 1.
    fn simple(&self, metric: Metric<'b>) -> Result<f64, Error> {
        let mut value = 0.0;
        self.value_fields(metric, |field| {
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
        metric: Metric<'b>,
        emit: &mut impl FnMut(Part, f64) -> Outcome<E>,
    ) -> Outcome<E> {
        let (mut sum, mut count) = (None, None);
        self.value_fields(metric, |field| -> Outcome<E> {
            match field.number {
                1 => count = Some(field.varint().map_err(|error| self.at(error))?),
                2 => sum = Some(field.double().map_err(|error| self.at(error))?),
                3 => {
                    let [quantile, value] = pair(field).map_err(|error| self.at(error))?;
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
        metric: Metric<'b>,
        native: &mut Native,
        emit: &mut impl FnMut(Part, f64) -> Outcome<E>,
    ) -> Outcome<E> {
        native.clear();
        let mut head = HistogramHead::default();
        self.value_fields(metric, |field| -> Outcome<E> {
            Ok(head.take(field, native).map_err(|error| self.at(error))?)
        })?;
        let counts = head.counts();
        if head.has_buckets {
            self.value_fields(metric, |field| -> Outcome<E> {
                if field.number != 3 {
                    return Ok(());
                }
                let (bound, count) = bucket(field, counts).map_err(|error| self.at(error))?;
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
                        self.at(Error::new(metric.message.start, ErrorKind::Native { what })).into()
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
fn emit_sum_and_count<E>(
    sum: Option<f64>,
    count: Option<f64>,
    emit: &mut impl FnMut(Part, f64) -> Outcome<E>,
) -> Outcome<E> {
    sum.map_or(Ok(()), |sum| emit(Part::Sum, sum))?;
    count.map_or(Ok(()), |count| emit(Part::Count, count))
}

#[expect(clippy::cast_precision_loss, reason = "every value is a double in the end")]
fn as_double(count: u64) -> f64 {
    count as f64
}
