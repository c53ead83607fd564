//! A native histogram → cumulative buckets with classic bounds (SPEC 2.2, 5).
//!
//! Buckets come as spans (how many indexes to pass over, how many buckets stand there) and one
//! count for each bucket, as integers in deltas or as doubles. Bucket i of a schema s holds what is
//! above 2^((i-1)·2^-s) and up to 2^(i·2^-s); negative buckets mirror that. What comes out ascends:
//! the negative buckets from the outermost inwards, the zero bucket, the positive buckets outwards.
//! The work is bounded by the number of counts that were sent, whatever the spans claim.

mod significands;

use significands::{FRACTIONS, IS_ROUNDED_UP};

/// `BucketSpan` of the protobuf format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    /// Of the first span the index of its first bucket, of a further one the gap before it.
    pub(super) offset: i32,
    /// How many buckets.
    pub(super) length: u32,
}

/// One side of a histogram.
#[derive(Debug, Default)]
pub(super) struct Side {
    pub(super) spans: Vec<Span>,
    /// Counts in deltas, of an integer histogram.
    pub(super) deltas: Vec<i64>,
    /// Counts as they are, of a float histogram.
    pub(super) counts: Vec<f64>,
}

/// A native histogram as it was sent.
#[derive(Debug, Default)]
pub(super) struct Native {
    pub(super) schema: i32,
    pub(super) zero_threshold: f64,
    pub(super) zero_count: u64,
    pub(super) zero_count_float: f64,
    pub(super) negative: Side,
    pub(super) positive: Side,
}

/// Which of the two kinds of counts a histogram uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counts {
    Integer,
    Float,
}

/// The schemas with exponential bounds.
const SCHEMAS: std::ops::RangeInclusive<i32> = -4..=8;

impl Side {
    pub(super) fn clear(&mut self) {
        self.spans.clear();
        self.deltas.clear();
        self.counts.clear();
    }

    /// Whether nothing of it was sent.
    fn is_empty(&self) -> bool {
        self.spans.is_empty() && self.deltas.is_empty() && self.counts.is_empty()
    }

    /// Index and count of each bucket, in ascending order of the index.
    fn buckets(&self, counts: Counts) -> Result<Vec<(i64, f64)>, &'static str> {
        let counts = match counts {
            Counts::Integer => absolute(&self.deltas)?,
            Counts::Float => self.counts.clone(),
        };
        if counts.iter().any(|count| count.is_nan() || *count < 0.0) {
            return Err("a bucket has a negative count, or none that is a number");
        }
        let mut left = counts.iter();
        let mut buckets = Vec::with_capacity(counts.len());
        let mut index = 0_i64;
        for (number, span) in self.spans.iter().enumerate() {
            if number > 0 && span.offset < 0 {
                return Err("a span of buckets has a negative offset");
            }
            index += i64::from(span.offset);
            for _ in 0..span.length {
                let count =
                    left.next().ok_or("the spans hold more buckets than there are counts")?;
                buckets.push((index, *count));
                index += 1;
            }
        }
        match left.next() {
            None => Ok(buckets),
            Some(_) => Err("the spans hold fewer buckets than there are counts"),
        }
    }
}

/// Deltas → counts.
fn absolute(deltas: &[i64]) -> Result<Vec<f64>, &'static str> {
    let mut count = 0_i64;
    let mut next = |delta: &i64| {
        count = count.checked_add(*delta)?;
        #[expect(clippy::cast_precision_loss, reason = "every value is a double in the end")]
        Some(count as f64)
    };
    deltas.iter().map(|delta| next(delta).ok_or("a bucket's count is beyond int64")).collect()
}

impl Native {
    pub(super) fn clear(&mut self) {
        self.negative.clear();
        self.positive.clear();
        let (negative, positive) =
            (std::mem::take(&mut self.negative), std::mem::take(&mut self.positive));
        *self = Native { negative, positive, ..Native::default() };
    }

    /// Whether anything marks the histogram as a native one: what prometheus takes for one
    /// (`isNativeHistogram`), and buckets without a span, which must not be lost without a word.
    pub(super) fn is_native(&self) -> bool {
        !self.negative.is_empty()
            || !self.positive.is_empty()
            || self.zero_threshold > 0.0
            || self.zero_count > 0
            || self.zero_count_float > 0.0
    }

    /// Calls `each` with bound and cumulative count of each populated bucket, in ascending order;
    /// the bucket of all, `+Inf`, is the caller's.
    pub(super) fn cumulate<E: From<&'static str>>(
        &self,
        counts: Counts,
        mut each: impl FnMut(f64, f64) -> Result<(), E>,
    ) -> Result<(), E> {
        if !SCHEMAS.contains(&self.schema) {
            return Err("the schema of a native histogram must be between -4 and 8".into());
        }
        if self.zero_threshold.is_nan() || self.zero_threshold < 0.0 {
            return Err("the zero threshold is negative, or no number".into());
        }
        #[expect(clippy::cast_precision_loss, reason = "every value is a double in the end")]
        let zero_count = match counts {
            Counts::Integer => self.zero_count as f64,
            Counts::Float => self.zero_count_float,
        };
        if zero_count.is_nan() || zero_count < 0.0 {
            return Err("the zero bucket has a negative count, or none that is a number".into());
        }
        let negative = self.negative.buckets(counts)?;
        let positive = self.positive.buckets(counts)?;
        let below = negative.iter().rev().map(|(index, count)| (-self.bound(index - 1), *count));
        let above = positive.iter().map(|(index, count)| (self.bound(*index), *count));
        let zero = (self.zero_threshold, zero_count);
        let mut cumulated = 0.0;
        for (bound, count) in below.chain([zero]).chain(above).filter(|(_, count)| *count > 0.0) {
            cumulated += count;
            if bound.is_finite() {
                each(bound, cumulated)?;
            }
        }
        Ok(())
    }

    fn bound(&self, index: i64) -> f64 {
        bound(self.schema, index)
    }
}

/// 2^(index · 2^-schema), correctly rounded; 0 and infinity beyond the doubles. The schema is one
/// of [`SCHEMAS`].
fn bound(schema: i32, index: i64) -> f64 {
    const TABLE_SCHEMA: u32 = 8;
    let Ok(fine) = u32::try_from(schema) else {
        let factor = 1_i64 << schema.unsigned_abs().min(4);
        return scale(0, index.saturating_mul(factor));
    };
    let fine = fine.min(TABLE_SCHEMA);
    let part = (index & ((1 << fine) - 1)) << (TABLE_SCHEMA - fine);
    scale(usize::try_from(part).unwrap_or_default(), index >> fine)
}

/// 2^(part / 256) · 2^exponent, correctly rounded.
fn scale(part: usize, exponent: i64) -> f64 {
    const FRACTION_BITS: u32 = 52;
    let fraction = FRACTIONS.get(part).copied().unwrap_or_default();
    match exponent {
        1024.. => f64::INFINITY,
        -1022..=1023 => {
            // OK because the exponent with its bias is between 1 and 2046.
            let biased = u64::try_from(exponent + 1023).unwrap_or_default();
            f64::from_bits(biased << FRACTION_BITS | fraction)
        }
        -1075..=-1023 => {
            let dropped_bits = u32::try_from(-1022 - exponent).unwrap_or_default();
            let significand = 1 << FRACTION_BITS | fraction;
            f64::from_bits(round_off(significand, dropped_bits, part))
        }
        _ => 0.0,
    }
}

/// Drops up to 53 bits of a significand and rounds to the nearest, ties to even. The significand
/// itself is rounded: where it seems to be a tie, the table tells on which side the truth is.
fn round_off(significand: u64, dropped_bits: u32, part: usize) -> u64 {
    let kept = significand >> dropped_bits;
    let dropped = significand & ((1 << dropped_bits) - 1);
    let half = 1 << (dropped_bits - 1);
    let is_up = match dropped.cmp(&half) {
        std::cmp::Ordering::Less => false,
        std::cmp::Ordering::Greater => true,
        // The powers of two are exact; all others are a little above or below.
        std::cmp::Ordering::Equal if part == 0 => kept % 2 == 1,
        std::cmp::Ordering::Equal => {
            let word = IS_ROUNDED_UP.get(part / 128).copied().unwrap_or_default();
            word >> (part % 128) & 1 == 0
        }
    };
    kept + u64::from(is_up)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_correctly_rounded_for_every_schema() {
        let table = include_str!("../../../../tests/data/native_bounds.txt");
        let mut count = 0;
        for line in table.lines() {
            let [schema, index, bits] = line.split(' ').collect::<Vec<_>>()[..] else {
                panic!("{line}")
            };
            let bits = u64::from_str_radix(bits, 16).unwrap();
            let found = bound(schema.parse().unwrap(), index.parse().unwrap());
            assert_eq!(found.to_bits(), bits, "{line}: {found:e}");
            count += 1;
        }
        assert!(count > 1900, "only {count} bounds");
    }

    fn side(spans: &[(i32, u32)], deltas: &[i64]) -> Side {
        let spans = spans.iter().map(|(offset, length)| Span { offset: *offset, length: *length });
        Side { spans: spans.collect(), deltas: deltas.to_vec(), counts: Vec::new() }
    }

    #[derive(Debug)]
    struct Message(&'static str);

    impl From<&'static str> for Message {
        fn from(message: &'static str) -> Message {
            Message(message)
        }
    }

    fn cumulate(native: &Native) -> Result<Vec<(f64, f64)>, &'static str> {
        let mut buckets = Vec::new();
        let outcome: Result<(), Message> = native.cumulate(Counts::Integer, |bound, count| {
            buckets.push((bound, count));
            Ok(())
        });
        outcome.map(|()| buckets).map_err(|message| message.0)
    }

    #[test]
    fn buckets_ascend_from_the_outermost_negative_one() {
        let native = Native {
            schema: 0,
            zero_threshold: 0.001,
            zero_count: 1,
            negative: side(&[(0, 2), (1, 1)], &[2, 1, -2]),
            positive: side(&[(1, 2)], &[4, -4]),
            ..Native::default()
        };
        let want = [(-4.0, 1.0), (-1.0, 4.0), (-0.5, 6.0), (0.001, 7.0), (2.0, 11.0)];
        assert_eq!(cumulate(&native).unwrap(), want);
    }

    #[test]
    fn spans_that_lie_are_refused_at_once() {
        for (spans, deltas) in [
            (&[(0, u32::MAX)][..], &[1][..]),
            (&[(i32::MAX, 1), (i32::MAX, u32::MAX)], &[1, 1]),
            (&[(0, 1)], &[1, 1]),
            (&[(0, 1), (-1, 1)], &[1, 1]),
            (&[], &[1]),
            (&[(0, 2)], &[1, -2]),
            (&[(0, 2)], &[i64::MAX, 1]),
        ] {
            let native = Native { positive: side(spans, deltas), ..Native::default() };
            assert!(cumulate(&native).is_err(), "{spans:?} {deltas:?}");
        }
    }
}
