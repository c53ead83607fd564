//! Metric families as values: what a body is written from, and what its lines are expected from.

/// A metric family with all its metrics.
#[derive(Clone, Debug)]
pub struct Family {
    /// Its whole name.
    pub name: String,
    /// The text of `HELP`; empty: no such line.
    pub help: &'static str,
    /// Its type.
    pub kind: Kind,
    /// In the order of the body.
    pub metrics: Vec<Metric>,
}

/// The types that occur.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Counts up.
    Counter,
    /// Any number.
    Gauge,
    /// Buckets, sum and count.
    Histogram,
}

/// One metric of a family.
#[derive(Clone, Debug)]
pub struct Metric {
    /// Names and values, sorted by name, as client libraries write them.
    pub labels: Vec<(&'static str, String)>,
    /// What it holds.
    pub value: Value,
}

/// What a metric holds.
#[derive(Clone, Debug)]
pub enum Value {
    /// A counter or a gauge.
    Number(f64),
    /// A histogram.
    Buckets {
        /// Upper bounds with their cumulative counts, the infinite one last.
        buckets: Vec<(f64, u64)>,
        /// The sum of what was observed.
        sum: f64,
    },
}

impl Value {
    /// Samples that it is in a text body.
    pub fn sample_count(&self) -> u64 {
        match self {
            Value::Number(_) => 1,
            Value::Buckets { buckets, .. } => buckets.len() as u64 + 2,
        }
    }
}

/// Samples that the families are in a text body.
pub fn sample_count(families: &[Family]) -> u64 {
    families
        .iter()
        .flat_map(|family| &family.metrics)
        .map(|metric| metric.value.sample_count())
        .sum()
}
