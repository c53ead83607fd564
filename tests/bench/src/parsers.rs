//! Other Rust parsers of the text format, beside pushline, which writes lines as well.
//!
//! Each is called as its documentation shows, over the same body as pushline, and must report every
//! sample of it. They only parse, and into values of their own; `prom_text_format_parser` leaves
//! numbers as text.

use crate::body::{Body, Notation};
use crate::conversion::Path;
use crate::figures::tell;
use crate::rounds::{Subject, interleave};
use openmetrics_parser::PrometheusValue;
use std::hint::black_box;
use std::time::Duration;

/// Reads a body and tells how many samples it found; an error in words.
type Parse = fn(&str) -> Result<u64, String>;

const PARSERS: [(&str, Parse); 5] = [
    ("nom-openmetrics", nom_openmetrics),
    ("openmetrics-parser", openmetrics_parser),
    ("prom_text_format_parser", prom_text_format_parser),
    ("prometheus-exposition-format-rs", exposition_format),
    ("prometheus-parse", prometheus_parse),
];

/// Measures all of them on the text body of that name: how many times the time of pushline.
pub fn measure(name: &str, duration: Duration) {
    let Some(body) = Body::named(name, Notation::Text) else { panic!("there is no body {name}") };
    let Ok(text) = std::str::from_utf8(&body.bytes) else { panic!("{name} is not UTF-8") };
    crate::conversion::confirm(name, &body);
    let mut path = Path::new();
    let mut names = Vec::new();
    let mut subjects = vec![Subject::new(|| {
        path.convert(&body);
    })];
    for (parser, parse) in PARSERS {
        match parse(text) {
            Ok(count) if count == body.sample_count => {
                names.push(parser);
                subjects.push(Subject::new(move || {
                    black_box(parse(black_box(text)).ok());
                }));
            }
            Ok(count) => eprintln!("{parser}: finds {count} of {} samples", body.sample_count),
            Err(error) => eprintln!("{parser}: cannot read {name}: {error}"),
        }
    }
    interleave(&mut subjects, duration);
    let [own, others @ ..] = subjects.as_slice() else { return };
    let per_sample = 1e9 / body.sample_count as f64;
    tell(format_args!("{name}.pushline_ns"), own.median_s() * per_sample);
    for (parser, subject) in names.iter().zip(others) {
        tell(format_args!("{name}.ns.{parser}"), subject.median_s() * per_sample);
        tell(format_args!("{name}.times.{parser}"), subject.median_ratio_to(own));
    }
}

fn prometheus_parse(text: &str) -> Result<u64, String> {
    use prometheus_parse::{Scrape, Value};
    let lines = text.lines().map(|line| Ok(line.to_owned()));
    let scrape = Scrape::parse(lines).map_err(|error| error.to_string())?;
    let count = |value: &Value| match value {
        Value::Histogram(buckets) => buckets.len() as u64,
        _ => 1,
    };
    Ok(scrape.samples.iter().map(|sample| count(&sample.value)).sum())
}

fn nom_openmetrics(text: &str) -> Result<u64, String> {
    let parsed = nom_openmetrics::parser::prometheus(text);
    let (_, families) = parsed.map_err(|_| "a syntax error".to_owned())?;
    Ok(families.iter().map(|family| family.samples.len() as u64).sum())
}

fn exposition_format(text: &str) -> Result<u64, String> {
    let metrics = prometheus_exposition_format_rs::parse_complete(text);
    let metrics = metrics.map_err(|error| format!("{error:?}"))?;
    Ok(metrics.iter().map(|metric| metric.samples.len() as u64).sum())
}

fn prom_text_format_parser(text: &str) -> Result<u64, String> {
    let (metrics, error) = prom_text_format_parser::parse_scrape(text);
    match error {
        Some(error) => Err(format!("{error:?}")),
        None => Ok(metrics.iter().map(|metric| metric.samples.len() as u64).sum()),
    }
}

fn openmetrics_parser(text: &str) -> Result<u64, String> {
    let exposition = openmetrics_parser::prometheus::parse_prometheus(text);
    let exposition = exposition.map_err(|error| format!("{error:?}"))?;
    let count = |value: &PrometheusValue| match value {
        PrometheusValue::Histogram(histogram) => histogram.buckets.len() as u64 + 2,
        _ => 1,
    };
    let samples = exposition.families.values().flat_map(|family| family.iter_samples());
    Ok(samples.map(|sample| count(&sample.value)).sum())
}
