//! The types that cross from a reader of exposition formats to the mapping.
//!
//! A [`Sample`] borrows from the body of the push and from its reader: it owns only what had to be
//! unescaped. All text in it is UTF-8 and obeys the rules of the exposition formats (SPEC 1.3), so
//! no later stage refuses it.

use crate::bytes::short::ShortRef;
use crate::bytes::text::Text;
use crate::limits::QUOTED_BYTES_MAX;
use std::borrow::Cow;
use std::fmt;

/// One label of a sample. Both parts are unescaped; the value may be empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label<'a> {
    /// Never empty, unique within its sample.
    pub name: Cow<'a, str>,
    /// Any text, the empty one included.
    pub value: Text<'a>,
}

/// What a sample is within its metric family (SPEC 2.2).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Part {
    /// A sample on its own: its family is its full name, all its labels are ordinary.
    Whole,
    /// A cumulative bucket of a typed histogram, with its upper bound `le`; NaN is left to the
    /// mapping.
    Bucket(f64),
    /// A quantile of a typed summary; NaN is left to the mapping.
    Quantile(f64),
    /// The `_sum` of a typed histogram or summary.
    Sum,
    /// The `_count` of a typed histogram or summary.
    Count,
}

/// The value of a sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// The one canonical form of SPEC 2.4, where the text in the body shows it.
    Canonical(ShortRef<'a>),
    /// Any other value, NaN and the infinities included.
    Number(f64),
}

/// One sample of an exposition.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample<'a> {
    /// N of SPEC 2.1: the metric family's name for a part of a typed histogram or summary, else the
    /// sample's own name.
    pub family: &'a str,
    /// What the sample is within that family.
    pub part: Part,
    /// The labels in the order of the body. An `le` or `quantile` among those of a part that has
    /// it is the text of what [`Part`] holds.
    pub labels: &'a [Label<'a>],
    /// The value.
    pub value: Value<'a>,
    /// Nanoseconds since the Unix epoch, where the sample names a time, of either sign.
    pub(crate) timestamp_ns: Option<i64>,
}

/// Which names a push may use (SPEC 1.1, 1.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Names {
    /// `[a-zA-Z_:][a-zA-Z0-9_:]*` for metrics, the same without the colon for labels.
    #[default]
    Legacy,
    /// Besides, any non-empty UTF-8 text, where the format can say it.
    Utf8,
}

/// The format of a push's body (SPEC 1.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Prometheus text format, 0.0.4 and 1.0.0.
    #[default]
    Text,
    /// OpenMetrics 1.0 text.
    OpenMetrics,
    /// Length-delimited `io.prometheus.client.MetricFamily`.
    Protobuf,
}

impl Format {
    /// Its name, as own metrics and messages have it.
    pub fn name(self) -> &'static str {
        match self {
            Format::Text => "text",
            Format::OpenMetrics => "openmetrics",
            Format::Protobuf => "protobuf",
        }
    }
}

/// Foreign bytes as a message quotes them: escaped, and cut to [`QUOTED_BYTES_MAX`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quoted<'a>(pub &'a [u8]);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cut = self.0.get(..QUOTED_BYTES_MAX).unwrap_or(self.0);
        f.write_str("\"")?;
        for chunk in cut.utf8_chunks() {
            for char in chunk.valid().chars() {
                match char {
                    '"' => f.write_str("\\\"")?,
                    control if control.is_control() => write!(f, "{}", control.escape_default())?,
                    other => write!(f, "{other}")?,
                }
            }
            let is_cut_there = cut.len() < self.0.len() && chunk.invalid().len() < 4;
            if !chunk.invalid().is_empty() && !is_cut_there {
                write!(f, "{}", chunk.invalid().escape_ascii())?;
            }
        }
        f.write_str(if cut.len() < self.0.len() { "\"…" } else { "\"" })
    }
}
