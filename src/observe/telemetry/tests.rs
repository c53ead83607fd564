//! What is counted, and that what is rendered is an exposition as Prometheus asks for one.

use super::*;
use crate::push::body::Coding;
use crate::push::exposition::{self, Error};
use crate::push::sample::{Format, Names};
use std::collections::{HashMap, HashSet};

/// Something of everything.
fn busy() -> Telemetry {
    let telemetry = Telemetry::new();
    for (number, status) in STATUSES.into_iter().chain([418]).enumerate() {
        let time = Duration::from_micros(7 << (2 * number));
        METHODS.iter().for_each(|method| telemetry.answered(method, status, time));
    }
    Reason::ALL.iter().for_each(|reason| telemetry.refused(*reason));
    telemetry.accepted("text", "gzip");
    telemetry.lines_written.add(12);
    telemetry
}

fn has_line(text: &str, line: &str) -> bool {
    text.lines().any(|found| found == line)
}

#[test]
fn an_answer_is_counted_once_under_its_method_and_status() {
    let telemetry = Telemetry::new();
    telemetry.answered("POST", 200, Duration::from_micros(300));
    telemetry.answered("BREW", 418, Duration::from_secs(60));
    let text = telemetry.render();
    for line in [
        "pushline_http_requests_total{code=\"200\",method=\"POST\"} 1",
        "pushline_http_requests_total{code=\"other\",method=\"other\"} 1",
        "pushline_http_answer_seconds_bucket{le=\"0.00025\"} 0",
        "pushline_http_answer_seconds_bucket{le=\"0.0005\"} 1",
        "pushline_http_answer_seconds_bucket{le=\"30\"} 1",
        "pushline_http_answer_seconds_bucket{le=\"+Inf\"} 2",
        "pushline_http_answer_seconds_sum 60.000300",
        "pushline_http_answer_seconds_count 2",
    ] {
        assert!(has_line(&text, line), "{line} is missing in\n{text}");
    }
    assert_eq!(text.matches("pushline_http_requests_total{").count(), 2, "{text}");
}

#[test]
fn a_push_is_counted_once_under_its_format_and_coding_or_its_reason() {
    for format in [Format::Text, Format::OpenMetrics, Format::Protobuf] {
        for coding in [Coding::Identity, Coding::Gzip, Coding::Deflate, Coding::Snappy] {
            let telemetry = Telemetry::new();
            telemetry.accepted(format.name(), coding.name());
            let labels = format!("coding=\"{}\",format=\"{}\"", coding.name(), format.name());
            let line = format!("pushline_pushes_total{{{labels}}} 1");
            assert!(has_line(&telemetry.render(), &line), "{line}");
        }
    }
    for reason in Reason::ALL {
        let telemetry = Telemetry::new();
        telemetry.refused(*reason);
        let text = telemetry.render();
        let line = format!("pushline_pushes_refused_total{{reason=\"{}\"}} 1", reason.name());
        assert!(has_line(&text, &line), "{line}");
        let others = text.lines().filter(|line| line.starts_with("pushline_pushes_refused_total{"));
        assert_eq!(others.filter(|line| line.ends_with(" 0")).count(), Reason::ALL.len() - 1);
    }
}

/// The names and labels of all samples, as our own reader reads them.
fn read(text: &str, format: Format) -> Vec<String> {
    let mut series = Vec::new();
    exposition::read(text.as_bytes(), format, Names::Legacy, |sample| {
        series.push(format!("{} {:?} {:?}", sample.family, sample.part, sample.labels));
        Ok::<(), Error>(())
    })
    .unwrap();
    series
}

#[test]
fn our_own_reader_reads_no_series_twice_in_both_text_formats() {
    let text = busy().render();
    for format in [Format::Text, Format::OpenMetrics] {
        let series = read(&text, format);
        let unique: HashSet<_> = series.iter().collect();
        assert_eq!(unique.len(), series.len());
        assert_eq!(series.len(), text.lines().filter(|line| !line.starts_with('#')).count());
    }
}

#[test]
fn every_family_has_help_and_type_and_a_name_by_the_conventions() {
    let text = busy().render();
    let mut kinds = HashMap::new();
    let mut family = ("", "");
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|l| l.split_once(' ')) {
            let kind = lines.next().and_then(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
            let (same, kind) = kind.unwrap_or_else(|| panic!("{name} has no TYPE"));
            assert_eq!(same, name);
            assert!(help.ends_with('.'), "{help}");
            assert_eq!(kinds.insert(name, kind), None, "{name} appears twice");
            assert!(lines.peek().is_some_and(|line| line.starts_with(name)), "{name} is empty");
            family = (name, kind);
            continue;
        }
        let name = line.split(['{', ' ']).next().unwrap();
        let suffixes: &[&str] =
            if family.1 == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
        let is_of_family = suffixes.iter().any(|suffix| format!("{}{suffix}", family.0) == name);
        assert!(is_of_family, "{line} is in {}", family.0);
    }
    for (name, kind) in &kinds {
        assert!(name.starts_with("pushline_") || name.starts_with("process_"), "{name}");
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{name}");
        assert_eq!(name.ends_with("_total"), *kind == "counter", "{name} is a {kind}");
    }
    assert!(kinds.len() > 30, "{kinds:?}");
}
