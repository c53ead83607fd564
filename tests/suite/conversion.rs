//! The way of a push without a process: route, body, exposition, mapping, line, against the golden
//! vectors, every prefix of their bodies, and damaged ones.

use crate::{lines, vectors};
use pushline::mapping::{self, Measurement, Timestamps};
use pushline::push::{Converted, Head, Input, Options, Pusher};
use pushline::route::{self, Endpoint, Route};
use pushline::sample::Names;
use serde_json::Value;

const NOW: i64 = 1_764_000_000_123_456_789;

fn input(options: &Value) -> Input {
    let text = |key: &str| options.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let flag = |key: &str, default| options.get(key).and_then(Value::as_bool).unwrap_or(default);
    let measurement = match text("measurement_name") {
        name if !name.is_empty() => Measurement::Fixed(name),
        _ if flag("job_as_measurement", false) => Measurement::Job,
        _ if flag("keep_exist_metric_name", false) => Measurement::CutAndKeep,
        _ => Measurement::Cut,
    };
    let timestamps =
        if flag("honor_timestamps", true) { Timestamps::Honor } else { Timestamps::Ignore };
    Input {
        endpoint: Endpoint {
            prefix: route::normalise_prefix(&text("route_prefix")),
            names: if flag("utf8_names", false) { Names::Utf8 } else { Names::Legacy },
        },
        mapping: mapping::Options { measurement, timestamps },
    }
}

fn inputs(options: &Value) -> Vec<Input> {
    match options.get("inputs") {
        Some(several) => several.as_array().unwrap().iter().map(input).collect(),
        None => vec![input(options)],
    }
}

/// The status of a push and its lines.
fn push(case: &vectors::Case, body: &[u8]) -> (u16, String, Vec<u8>) {
    let inputs = inputs(&case.options);
    let endpoints: Vec<_> = inputs.iter().map(|input| input.endpoint.clone()).collect();
    let (input, group) = match route::route(&case.method, &case.path, &endpoints) {
        Ok(Route::Push { input, group }) => (&inputs[input], group),
        Ok(_) => return (404, String::new(), Vec::new()),
        Err(error) => return (400, error.to_string(), Vec::new()),
    };
    let mib = |key: &str, default: usize| match case.options.get(key).and_then(Value::as_str) {
        Some("1MiB") => 1 << 20,
        Some(other) => panic!("{other} is not read here"),
        None => default,
    };
    if body.len() > mib("server.max_body_bytes", 16 << 20) {
        return (413, "too large".to_owned(), Vec::new());
    }
    let mut pusher = Pusher::new(Options {
        decoded_bytes_max: mib("server.max_decoded_bytes", 64 << 20),
        lines_bytes_max: 64 << 20,
    });
    let head = Head {
        group: &group,
        content_type: case.header("content-type"),
        content_encoding: case.header("content-encoding"),
        received_ns: NOW,
    };
    match pusher.convert(input, head, body, Vec::new()) {
        Ok(Converted { lines, .. }) => (200, String::new(), lines),
        Err(error) => (error.status(), error.to_string(), Vec::new()),
    }
}

fn announces_more_than_it_sends(case: &vectors::Case) -> bool {
    case.header("content-length").is_some()
}

#[test]
fn golden_pushes_become_the_lines_that_they_must() {
    let mut count = 0;
    let mut failures = Vec::new();
    for case in vectors::all() {
        if !case.is_push() || announces_more_than_it_sends(&case) {
            continue;
        }
        count += 1;
        let (status, message, output) = push(&case, &case.body);
        let found: Vec<_> =
            lines::read(&output).iter().map(|field| field.with_now(Some(NOW))).collect();
        let (found, want) = (case.comparable(found), case.comparable(case.lines.clone()));
        if status != case.status || found != want {
            failures.push(format!(
                "{}: {status} {message:?}, want {}\n  found {found:?}\n  want  {want:?}",
                case.name, case.status
            ));
        }
        if status != 200 && (message.contains('\n') || (message.is_empty() && status != 404)) {
            failures.push(format!("{}: a message of one line is missing: {message:?}", case.name));
        }
    }
    println!("{count} golden pushes converted");
    assert!(failures.is_empty(), "{} failures\n{}", failures.len(), failures.join("\n"));
    assert!(count > 650, "only {count} vectors ran");
}
