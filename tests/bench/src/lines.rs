//! Families → the lines that a push of them must become (SPEC 2), worked out without reading a body.
//!
//! As plain as it can be, since it is what the fast path is held against: the names of the measured
//! families need no escaping, and none of their values is NaN or infinite.

use crate::model::{Family, Metric, Value};
use std::fmt::Write;

/// The lines of a push with these URL labels at this time.
pub fn expect(families: &[Family], url: &[(&str, &str)], time_ns: i64) -> String {
    let mut lines = String::new();
    for Family { name, metrics, .. } in families {
        let (measurement, field) = name.split_once('_').unwrap_or((name, name));
        for metric in metrics {
            let mut line = |bound: Option<f64>, fields: String| {
                let tags = tags(metric, url, bound);
                // OK because writing to a String never fails.
                writeln!(lines, "{measurement}{tags} {fields} {time_ns}").ok();
            };
            match &metric.value {
                Value::Number(value) => line(None, format!("{field}={value}")),
                Value::Buckets { buckets, sum } => {
                    for (bound, count) in buckets {
                        line(Some(*bound), format!("{field}_bucket={count}"));
                    }
                    let count = buckets.last().map_or(0, |(_, count)| *count);
                    line(None, format!("{field}_sum={sum},{field}_count={count}"));
                }
            }
        }
    }
    lines
}

/// Sorted by key, the URL before the body.
fn tags(metric: &Metric, url: &[(&str, &str)], bound: Option<f64>) -> String {
    let of_url = url.iter().map(|(key, value)| (*key, (*value).to_owned()));
    let of_body = metric.labels.iter().filter(|(key, _)| url.iter().all(|(other, _)| other != key));
    let mut tags: Vec<_> = of_url.chain(of_body.cloned()).collect();
    tags.extend(bound.map(|bound| ("le", le(bound))));
    tags.sort();
    tags.iter().map(|(key, value)| format!(",{key}={value}")).collect()
}

fn le(bound: f64) -> String {
    if bound == f64::INFINITY { "+Inf".to_owned() } else { bound.to_string() }
}
