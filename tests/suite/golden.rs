//! The golden vectors over HTTP against real processes (`tests/golden/README.md`).

use crate::http::{Answer, Client, head, request};
use crate::lines::{self, Field};
use crate::process::{Collected, Pushline};
use crate::vectors::{self, Case};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::{SystemTime, UNIX_EPOCH};

/// The options of a vector as a configuration file.
pub(crate) fn toml(options: &Value) -> String {
    let mut text = String::new();
    let options = options.as_object().unwrap();
    let server =
        options.iter().filter_map(|(key, value)| Some((key.strip_prefix("server.")?, value)));
    text.push_str("[server]\n");
    for (key, value) in server {
        writeln!(text, "{key} = {value}").unwrap();
    }
    let plain = options.iter().filter(|(key, _)| !key.starts_with("server.") && *key != "inputs");
    let own: serde_json::Map<_, _> =
        plain.map(|(key, value)| (key.clone(), value.clone())).collect();
    let inputs = options
        .get("inputs")
        .map_or_else(|| vec![Value::Object(own)], |several| several.as_array().unwrap().clone());
    for input in inputs {
        text.push_str("[[inputs.pushgateway]]\n");
        for (key, value) in input.as_object().unwrap() {
            writeln!(text, "{key} = {value}").unwrap();
        }
    }
    text
}

pub(crate) fn now_ns() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as i64
}

fn ask(address: std::net::SocketAddr, case: &Case) -> Answer {
    let headers: Vec<_> =
        case.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let mut client = Client::connect(address);
    let request = if case.is_framed {
        [head(&case.method, &case.path, &headers).as_slice(), b"\r\n", &case.body].concat()
    } else {
        request(&case.method, &case.path, &headers, &case.body)
    };
    // A refusal may come before all is sent.
    client.send(&request).ok();
    let is_cut = case.is_framed && !case.body.ends_with(b"\r\n\r\n");
    if is_cut || case.header("Content-Length").is_some() {
        client.end_sending();
    }
    client.read_answer(case.method != "HEAD").unwrap()
}

/// What the process wrote for this case: all that is before the next marker.
fn written(address: std::net::SocketAddr, prefix: &str, output: &Collected) -> Vec<u8> {
    const MARKER: &[u8] = b"golden_marker";
    let path = format!("{prefix}/metrics/job/golden_marker");
    let answer = Client::connect(address).push(&path, "golden_marker 1 1\n");
    if answer.text().contains("server.max_line_bytes") {
        // No line is short enough for this configuration.
        return output.snapshot();
    }
    assert_eq!(answer.status, 200);
    let has_marker = |bytes: &[u8]| {
        bytes.ends_with(b"\n") && bytes.windows(MARKER.len()).any(|window| window == MARKER)
    };
    let mut bytes = output.take_until(has_marker);
    bytes.truncate(bytes.len() - 1);
    let start = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    assert!(bytes[start..].windows(MARKER.len()).any(|window| window == MARKER));
    bytes.truncate(start);
    bytes
}

/// What the process answered and wrote for one case.
struct Outcome {
    answer: Answer,
    /// The lines on the output.
    written: Vec<Field>,
    /// Before the request was sent, and after the answer was read, in nanoseconds.
    between: (i64, i64),
}

fn check(case: &Case, outcome: &Outcome) -> Result<(), String> {
    let Outcome { answer, written, between } = outcome;
    if answer.status != case.status {
        return Err(format!("{} {:?}", answer.status, answer.text()));
    }
    check_kind_of_answer(case, answer)?;
    for (name, value) in &case.response_headers {
        if answer.header(name) != Some(value) {
            return Err(format!("{name} is {:?}", answer.header(name)));
        }
    }
    compare(case, written, *between, &case.lines)?;
    match &case.answer_lines {
        Some(want) => compare(case, &lines::read(&answer.lines()), *between, want),
        None => Ok(()),
    }
}

/// What holds for every answer, whatever the vector says of it.
fn check_kind_of_answer(case: &Case, answer: &Answer) -> Result<(), String> {
    let wrong = || Err(format!("not as such an answer must be: {answer:?}"));
    let content_type = answer.header("Content-Type").unwrap_or_default();
    let is_dry_run = case.answer_lines.is_some();
    let path = case.path.split(|byte| *byte == b'?').next().unwrap_or_default();
    let is_right = match (answer.status, &*case.method, path) {
        (200, "PUT" | "POST", _) if !is_dry_run => answer.body.is_empty(),
        (202, ..) => answer.body.is_empty(),
        (400 | 403 | 413 | 415, ..) => {
            let is_one_line =
                answer.text().ends_with('\n') && answer.text().trim_end().lines().count() == 1;
            content_type == "text/plain; charset=utf-8"
                && answer.header("X-Content-Type-Options") == Some("nosniff")
                && (is_one_line || case.method == "HEAD")
        }
        (200, "GET", b"/") => {
            content_type.starts_with("text/html") && answer.text().contains("<html")
        }
        (200, "GET", b"/api/v1/status") => {
            let report: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
            content_type.starts_with("application/json") && report.is_object()
        }
        (200, "GET", b"/metrics") => {
            content_type.starts_with("text/plain; version=0.0.4")
                && answer.text().contains("\n# TYPE ")
        }
        _ => true,
    };
    if is_right { Ok(()) } else { wrong() }
}

/// Found fields against wanted ones, where `NOW` is one time between two others.
fn compare(
    case: &Case,
    fields: &[Field],
    between: (i64, i64),
    want: &[String],
) -> Result<(), String> {
    let is_now = |time: i64| (between.0..=between.1).contains(&time);
    let now = fields.iter().map(|field| field.time).find(|time| is_now(*time));
    let found = fields.iter().map(|field| field.with_now(now)).collect();
    let (found, want) = (case.comparable(found), case.comparable(want.to_vec()));
    if found == want { Ok(()) } else { Err(format!("\n  found {found:?}\n  want  {want:?}")) }
}

#[test]
fn golden_vectors_hold_over_http() {
    let mut groups: BTreeMap<String, Vec<Case>> = BTreeMap::new();
    for case in vectors::all() {
        groups.entry(toml(&case.options)).or_default().push(case);
    }
    let (mut count, mut failures) = (0, Vec::new());
    for (config, cases) in &groups {
        let (pushline, output) = Pushline::start(config);
        let address = pushline.address;
        let prefix = config.lines().find_map(|line| line.strip_prefix("route_prefix = "));
        let prefix = prefix.map_or(String::new(), |prefix| {
            format!("/{}", prefix.trim_matches(['"', '/']).trim_end_matches("/\""))
        });
        for case in cases {
            let before = now_ns();
            let answer = ask(address, case);
            let between = (before, now_ns());
            let written = lines::read(&written(address, &prefix, &output));
            if let Err(what) = check(case, &Outcome { answer, written, between }) {
                failures.push(format!("{} ({}): {what}", case.name, case.status));
            }
            count += 1;
        }
    }
    println!("{count} golden vectors over HTTP, {} processes", groups.len());
    assert!(failures.is_empty(), "{} failures\n{}", failures.len(), failures.join("\n"));
    assert_eq!(count, 844, "a vector is missing, or is new and not counted here");
}
