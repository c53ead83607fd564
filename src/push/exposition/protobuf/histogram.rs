//! The fields of one histogram message: what it says of itself, its classic buckets, and its native
//! spans and counts (`Histogram`, `Bucket`, `BucketSpan`).

use super::super::error::Error;
use super::super::native::{Counts, Native, Span};
use super::wire::{Field, Fields};

/// What a histogram says of itself besides its buckets.
#[derive(Debug, Default)]
pub(super) struct HistogramHead {
    pub(super) sum: Option<f64>,
    count_integer: Option<u64>,
    count_float: Option<f64>,
    pub(super) has_buckets: bool,
}

impl HistogramHead {
    /// Takes one of its fields.
    pub(super) fn take(&mut self, field: Field<'_>, native: &mut Native) -> Result<(), Error> {
        match field.number {
            1 => self.count_integer = Some(field.varint()?),
            2 => self.sum = Some(field.double()?),
            3 => {
                field.message()?;
                self.has_buckets = true;
            }
            4 => self.count_float = Some(field.double()?),
            5 => native.schema = field.sint32()?,
            6 => native.zero_threshold = field.double()?,
            7 => native.zero_count = field.varint()?,
            8 => native.zero_count_float = field.double()?,
            9 => native.negative.spans.push(span(field)?),
            10 => field.sints(&mut native.negative.deltas)?,
            11 => field.doubles(&mut native.negative.counts)?,
            12 => native.positive.spans.push(span(field)?),
            13 => field.sints(&mut native.positive.deltas)?,
            14 => field.doubles(&mut native.positive.counts)?,
            _ => {}
        }
        Ok(())
    }

    /// Float counts are used when the float sample count is present and there is no integer one
    /// above 0 (SPEC 5).
    pub(super) fn counts(&self) -> Counts {
        match (self.count_float, self.count_integer) {
            (Some(_), None | Some(0)) => Counts::Float,
            _ => Counts::Integer,
        }
    }

    /// The sample count, where it was sent.
    pub(super) fn count(&self, counts: Counts) -> Option<f64> {
        match counts {
            Counts::Integer => self.count_integer.map(as_double),
            Counts::Float => self.count_float,
        }
    }
}

/// `Bucket`: cumulative_count = 1, upper_bound = 2, cumulative_count_float = 4.
pub(super) fn bucket(field: Field<'_>, counts: Counts) -> Result<(f64, f64), Error> {
    let (mut integer, mut float, mut bound) = (0, 0.0, 0.0);
    let mut fields = Fields::new(field.message()?);
    while let Some(field) = fields.next()? {
        match field.number {
            1 => integer = field.varint()?,
            2 => bound = field.double()?,
            4 => float = field.double()?,
            _ => {}
        }
    }
    let count = match counts {
        Counts::Integer => as_double(integer),
        Counts::Float => float,
    };
    Ok((bound, count))
}

/// `BucketSpan`: offset = 1, length = 2.
fn span(field: Field<'_>) -> Result<Span, Error> {
    let mut span = Span { offset: 0, length: 0 };
    let mut fields = Fields::new(field.message()?);
    while let Some(field) = fields.next()? {
        match field.number {
            1 => span.offset = field.sint32()?,
            2 => {
                let range = |_| field.error("an integer is beyond 32 bits");
                span.length = u32::try_from(field.varint()?).map_err(range)?;
            }
            _ => {}
        }
    }
    Ok(span)
}

/// A count as every value is written.
#[expect(clippy::cast_precision_loss, reason = "every value is a double in the end")]
pub(super) fn as_double(count: u64) -> f64 {
    count as f64
}
