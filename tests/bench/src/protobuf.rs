//! Families → length-delimited `io.prometheus.client.MetricFamily` (metrics.proto of client_model).

use crate::model::{Family, Kind, Metric, Value};

/// The media type of such a body.
pub const CONTENT_TYPE: &str = "application/vnd.google.protobuf; \
    proto=io.prometheus.client.MetricFamily; encoding=delimited";

/// The body of a push of these families.
pub fn write(families: &[Family]) -> Vec<u8> {
    let mut body = Vec::new();
    for family in families {
        delimited(&mut body, &message(family));
    }
    body
}

/// `MetricFamily { name = 1; help = 2; type = 3; metric = 4 }`
fn message(family: &Family) -> Vec<u8> {
    let mut out = Vec::new();
    bytes(&mut out, 1, family.name.as_bytes());
    if !family.help.is_empty() {
        bytes(&mut out, 2, family.help.as_bytes());
    }
    let kind = match family.kind {
        Kind::Counter => 0,
        Kind::Gauge => 1,
        Kind::Histogram => 4,
    };
    integer(&mut out, 3, kind);
    for of_family in &family.metrics {
        bytes(&mut out, 4, &metric(of_family, family.kind));
    }
    out
}

/// `Metric { label = 1; gauge = 2; counter = 3; histogram = 7 }`
fn metric(metric: &Metric, kind: Kind) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in &metric.labels {
        let mut pair = Vec::new();
        bytes(&mut pair, 1, name.as_bytes());
        bytes(&mut pair, 2, value.as_bytes());
        bytes(&mut out, 1, &pair);
    }
    let mut held = Vec::new();
    match &metric.value {
        Value::Number(value) => {
            double(&mut held, 1, *value);
            bytes(&mut out, if kind == Kind::Counter { 3 } else { 2 }, &held);
        }
        Value::Buckets { buckets, sum } => {
            histogram(&mut held, buckets, *sum);
            bytes(&mut out, 7, &held);
        }
    }
    out
}

/// `Histogram { sample_count = 1; sample_sum = 2; bucket = 3 }`,
/// `Bucket { cumulative_count = 1; upper_bound = 2 }`
fn histogram(out: &mut Vec<u8>, buckets: &[(f64, u64)], sum: f64) {
    integer(out, 1, buckets.last().map_or(0, |(_, count)| *count));
    double(out, 2, sum);
    for (bound, count) in buckets {
        let mut bucket = Vec::new();
        integer(&mut bucket, 1, *count);
        double(&mut bucket, 2, *bound);
        bytes(out, 3, &bucket);
    }
}

/// Appends an integer.
pub fn integer(out: &mut Vec<u8>, field: u64, value: u64) {
    varint(out, field << 3);
    varint(out, value);
}

/// Appends a double.
pub fn double(out: &mut Vec<u8>, field: u64, value: f64) {
    varint(out, field << 3 | 1);
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends bytes, or a nested message.
pub fn bytes(out: &mut Vec<u8>, field: u64, value: &[u8]) {
    varint(out, field << 3 | 2);
    delimited(out, value);
}

/// Appends a message after its length.
pub fn delimited(out: &mut Vec<u8>, value: &[u8]) {
    varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
