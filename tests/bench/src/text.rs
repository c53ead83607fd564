//! Families → Prometheus text 0.0.4, as Go's client library writes it.

use crate::model::{Family, Kind, Metric, Value};
use std::fmt::Write;

/// The body of a push of these families.
pub fn write(families: &[Family]) -> String {
    let mut body = String::new();
    for family in families {
        let Family { name, help, kind, metrics } = family;
        if !help.is_empty() {
            line(&mut body, format_args!("# HELP {name} {help}"));
        }
        line(&mut body, format_args!("# TYPE {name} {}", word(*kind)));
        for metric in metrics {
            write_metric(&mut body, name, metric);
        }
    }
    body
}

fn write_metric(body: &mut String, name: &str, metric: &Metric) {
    let plain = label_set(metric, None);
    match &metric.value {
        Value::Number(value) => line(body, format_args!("{name}{plain} {}", number(*value))),
        Value::Buckets { buckets, sum } => {
            for (bound, count) in buckets {
                let labels = label_set(metric, Some(*bound));
                line(body, format_args!("{name}_bucket{labels} {}", number(*count as f64)));
            }
            let count = buckets.last().map_or(0, |(_, count)| *count);
            line(body, format_args!("{name}_sum{plain} {}", number(*sum)));
            line(body, format_args!("{name}_count{plain} {}", number(count as f64)));
        }
    }
}

fn line(body: &mut String, text: std::fmt::Arguments<'_>) {
    // OK because writing to a String never fails.
    writeln!(body, "{text}").ok();
}

fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram => "histogram",
    }
}

fn label_set(metric: &Metric, bound: Option<f64>) -> String {
    let mut pairs: Vec<String> =
        metric.labels.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
    pairs.extend(bound.map(|bound| format!("le=\"{}\"", number(bound))));
    if pairs.is_empty() { String::new() } else { format!("{{{}}}", pairs.join(",")) }
}

/// As Go's `strconv.FormatFloat(value, 'g', -1, 64)`, which its expfmt uses: the shortest digits,
/// and an exponent of at least two digits below 1e-4 and from 1e+06.
pub fn number(value: f64) -> String {
    if value == f64::INFINITY {
        return "+Inf".to_owned();
    }
    let shortest = format!("{value:e}");
    let Some((digits, exponent)) = shortest.split_once('e') else { return shortest };
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if (-4..6).contains(&exponent) || value == 0.0 {
        return value.to_string();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn numbers_are_printed_as_go_prints_them() {
        let cases = [
            (0.0, "0"),
            (1.0, "1"),
            (0.005, "0.005"),
            (123_456.78, "123456.78"),
            (999_999.0, "999999"),
            (1e6, "1e+06"),
            (1_234_567.0, "1.234567e+06"),
            (16_710_852_608.0, "1.6710852608e+10"),
            (0.000_01, "1e-05"),
            (f64::INFINITY, "+Inf"),
        ];
        for (value, want) in cases {
            assert_eq!(number(value), want);
        }
    }
}
