//! The way of a push without a process: route, body, exposition, mapping, line, against the golden
//! vectors, every prefix of their bodies, and damaged ones.

use crate::random::Random;
use crate::{lines, vectors};
use pushline::push::mapping::{self, Measurement, Timestamps};
use pushline::push::route::{self, Endpoint, Route};
use pushline::push::sample::Names;
use pushline::push::{Converted, Input, PushHeaders, PushLimits, Pusher};
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
        mapping: mapping::MappingOptions {
            measurement,
            timestamps,
            ..mapping::MappingOptions::default()
        },
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
    let size = |key: &str, default: usize| match case.options.get(key).and_then(Value::as_str) {
        Some("1KiB") => 1 << 10,
        Some("128KiB") => 128 << 10,
        Some("1MiB") => 1 << 20,
        Some(other) => panic!("{other} is not read here"),
        None => default,
    };
    if body.len() > size("server.max_body_bytes", 16 << 20) {
        return (413, "too large".to_owned(), Vec::new());
    }
    let mut pusher = Pusher::new(PushLimits {
        decoded_bytes_max: size("server.max_decoded_bytes", 64 << 20),
        line_bytes_max: size("server.max_line_bytes", 64 << 10),
        lines_bytes_max: 64 << 20,
    });
    let head = PushHeaders {
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

#[test]
fn golden_pushes_become_the_lines_that_they_must() {
    let mut count = 0;
    let mut failures = Vec::new();
    for case in vectors::all() {
        if !case.is_whole_push() {
            continue;
        }
        count += 1;
        let (status, message, output) = push(&case, &case.body);
        let found: Vec<_> =
            lines::read(&output).iter().map(|field| field.with_now(Some(NOW))).collect();
        let (found, want) = (case.comparable(found), case.comparable(case.all_lines()));
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

/// Reads lines back with an independent parser, into the fields that ours reads.
fn read_back(output: &[u8]) -> Vec<String> {
    let text = std::str::from_utf8(output).unwrap();
    let mut found = Vec::new();
    for line in influxdb_line_protocol::parse_lines(text) {
        let line = line.unwrap_or_else(|error| panic!("{error} in {text}"));
        let mut tags: Vec<_> = line.series.tag_set.iter().flatten().collect();
        tags.sort_by_key(|(key, _)| key.to_string());
        let tags: String =
            tags.iter().map(|(key, value)| format!("\u{1}{key}\u{2}{value}")).collect();
        for (key, value) in &line.field_set {
            let influxdb_line_protocol::FieldValue::F64(value) = value else { panic!("{value:?}") };
            let (measurement, bits) = (&line.series.measurement, value.to_bits());
            found.push(format!("{measurement}{tags}\u{3}{key}={bits} {}", line.timestamp.unwrap()));
        }
    }
    found
}

/// The same of a field as our strict reader gives it.
fn own_form(field: &lines::Field) -> String {
    let unescaped =
        field.text.replace("\\,", "\u{11}").replace("\\=", "\u{12}").replace("\\ ", "\u{13}");
    let (head, value) = unescaped.split_once(' ').unwrap();
    let (key, number) = value.split_once('=').unwrap();
    let bits = number.parse::<f64>().unwrap().to_bits();
    let head = head.replace(',', "\u{1}");
    let mut parts = head.split('\u{1}');
    let mut form = parts.next().unwrap().to_owned();
    for tag in parts {
        form.push('\u{1}');
        form.push_str(&tag.replacen('=', "\u{2}", 1));
    }
    format!("{form}\u{3}{key}={bits} {}", field.time)
        .replace('\u{11}', ",")
        .replace('\u{12}', "=")
        .replace('\u{13}', " ")
}

#[test]
fn an_independent_parser_reads_every_line_back() {
    let mut count = 0;
    for case in vectors::all().iter().filter(|case| case.is_whole_push() && case.status == 200) {
        let (_, _, output) = push(case, &case.body);
        let own: Vec<_> = lines::read(&output).iter().map(own_form).collect();
        assert_eq!(read_back(&output), own, "{}", case.name);
        count += own.len();
    }
    println!("{count} fields read back with an independent parser");
    assert!(count > 1800);
}

#[test]
fn every_prefix_of_every_push_gives_an_answer() {
    let mut count = 0;
    for case in
        vectors::all().iter().filter(|case| case.is_whole_push() && case.body.len() < 20_000)
    {
        let step = case.body.len() / 200 + 1;
        for len in (0..case.body.len()).step_by(step) {
            let (status, _, output) = push(case, &case.body[..len]);
            assert!(matches!(status, 200 | 400 | 404 | 413 | 415), "{}: {status}", case.name);
            assert!(status == 200 || output.is_empty(), "{}: a partial push", case.name);
            lines::read(&output);
            count += 1;
        }
    }
    assert!(count > 15_000, "only {count} prefixes");
}

/// A push of `body` with a line limit of 1 KiB.
fn push_within_1_kib(body: &str) -> (u16, String, Vec<u8>) {
    let case = vectors::Case {
        name: "limited".to_owned(),
        method: "POST".to_owned(),
        path: b"/metrics/job/j".to_vec(),
        headers: Vec::new(),
        body: body.as_bytes().to_vec(),
        options: serde_json::json!({"server.max_line_bytes": "1KiB"}),
        status: 200,
        lines: Vec::new(),
        answer_lines: None,
        is_framed: false,
        is_ordered: false,
        response_headers: Vec::new(),
    };
    push(&case, &case.body)
}

#[test]
fn a_line_over_the_limit_refuses_the_push_and_its_sample_is_named() {
    // `ab,job=j,x=… c=1 1764000000123456789` without its LF.
    const REST: usize = "ab,job=j,x= c=1 1764000000123456789".len();
    let body = |value_len: usize, value: &str| {
        format!("# one\nab_d 1\nab_c{{x=\"{}\"}} {value}\nab_e 1\n", "y".repeat(value_len))
    };
    assert_eq!(push_within_1_kib(&body(1024 - REST, "1")).0, 200);
    let (status, message, output) = push_within_1_kib(&body(1025 - REST, "1"));
    let want = "line 3, column 1: the line of this sample takes 1025 bytes, \
                more than the 1024 of server.max_line_bytes";
    assert_eq!((status, &*message, output.len()), (400, want, 0));
    // One that is much longer is not written to its end, so that its length is not known.
    let (_, message, _) = push_within_1_kib(&body(100_000, "1"));
    let want = "line 3, column 1: the line of this sample takes \
                more than the 1024 bytes of server.max_line_bytes";
    assert_eq!(message, want);
    // A sample without a line has no length.
    assert_eq!(push_within_1_kib(&body(2000, "NaN")).0, 200);
    // Where the body ends without a line end.
    let (_, message, _) = push_within_1_kib(body(2000, "1").trim_end_matches("\nab_e 1\n"));
    assert!(message.starts_with("line 3, column 1: the line of this sample"), "{message}");
}

#[test]
fn a_line_that_two_samples_share_is_as_long_as_both_make_it() {
    let name = format!("s_{}", "n".repeat(500));
    let body = format!("# TYPE {name} summary\n{name}_sum 1\n");
    assert_eq!(push_within_1_kib(&body).0, 200);
    let (status, message, _) = push_within_1_kib(&format!("{body}{name}_count 2\n"));
    assert_eq!(status, 400);
    let want = "line 3, column 1: the line of this sample takes 1043 bytes";
    assert!(message.starts_with(want), "{message}");
}

/// What a text pushed to `/metrics/job/j` comes to within these limits: its lines, or the status.
fn convert_within(
    line_bytes_max: usize,
    lines_bytes_max: usize,
    body: &str,
) -> Result<String, u16> {
    let input = Input::default();
    let path = b"/metrics/job/j";
    let endpoints = [input.endpoint.clone()];
    let Ok(Route::Push { group, .. }) = route::route("POST", path, &endpoints) else {
        panic!("no push")
    };
    let limits = PushLimits { decoded_bytes_max: 1 << 24, line_bytes_max, lines_bytes_max };
    let head =
        PushHeaders { group: &group, content_type: None, content_encoding: None, received_ns: NOW };
    // Room of an earlier push says nothing about what this one may take.
    let room = vec![b'x'; 3000];
    let converted = Pusher::new(limits).convert(&input, head, body.as_bytes(), room);
    converted
        .map(|converted| String::from_utf8(converted.lines).unwrap())
        .map_err(|error| error.status())
}

#[test]
fn a_push_is_refused_if_and_only_if_a_line_or_all_of_them_are_too_long() {
    let mut random = Random::new(0x0123_4567_89ab_cdef);
    let (mut long_line, mut long_lines, mut taken) = (0, 0, 0);
    for _ in 0..3000 {
        let mut body = "# TYPE ab_s summary\n".to_owned();
        for number in 0..1 + random.below(12) {
            let value = "y".repeat(random.below(200));
            let labels = format!("{{number=\"{number}\",x=\"{value}\"}}");
            match random.below(3) {
                0 => body += &format!("ab_c{labels} 1\n"),
                1 => body += &format!("ab_s_sum{labels} 2.5\nab_s_count{labels} 4\n"),
                _ => body += &format!("ab_s_count{labels} 4\nab_s_sum{labels} 2.5\n"),
            }
        }
        let all = convert_within(1 << 16, 1 << 24, &body).unwrap();
        let longest = all.lines().map(str::len).max().unwrap();
        let near = |random: &mut Random, length: usize| length + 3 - random.below(6);
        let line_max = [1 << 16, near(&mut random, longest)][random.below(2)];
        let lines_max = [1 << 24, near(&mut random, all.len())][random.below(2)];
        let want =
            if longest > line_max || all.len() > lines_max { Err(()) } else { Ok(all.clone()) };
        let found = convert_within(line_max, lines_max, &body);
        assert_eq!(found.clone().map_err(|_| ()), want, "{line_max} {lines_max}\n{body}");
        match found {
            Ok(_) => taken += 1,
            Err(400) => {
                assert!(longest > line_max, "{longest} {line_max}\n{body}");
                long_line += 1;
            }
            Err(status) => {
                assert_eq!(status, 413, "{body}");
                assert!(all.len() > lines_max, "{} {lines_max}\n{body}", all.len());
                long_lines += 1;
            }
        }
    }
    assert!(long_line.min(long_lines).min(taken) > 100, "{long_line} {long_lines} {taken}");
}

#[test]
fn a_count_behind_one_that_joined_its_sum_has_its_own_tags() {
    // No head is written for a count that joins, so the last one for a count was another series'.
    let body = "# TYPE s_x summary\ns_x_count{a=\"1\",b=\"1\"} 1\ns_x_sum{a=\"2\",b=\"2\"} 2\n\
                s_x_count{a=\"2\",b=\"2\"} 3\ns_x_count{a=\"2\",b=\"3\"} 4\n";
    let case = vectors::Case {
        name: "joined".to_owned(),
        method: "POST".to_owned(),
        path: b"/metrics/job/j".to_vec(),
        headers: Vec::new(),
        body: body.as_bytes().to_vec(),
        options: serde_json::json!({}),
        status: 200,
        lines: Vec::new(),
        answer_lines: None,
        is_framed: false,
        is_ordered: false,
        response_headers: Vec::new(),
    };
    let (_, _, output) = push(&case, &case.body);
    let want = format!(
        "s,a=1,b=1,job=j x_count=1 {NOW}\ns,a=2,b=2,job=j x_sum=2,x_count=3 {NOW}\n\
         s,a=2,b=3,job=j x_count=4 {NOW}\n"
    );
    assert_eq!(String::from_utf8(output).unwrap(), want);
}

#[test]
fn a_small_body_under_long_url_labels_cannot_fill_the_memory() {
    let case = vectors::Case {
        name: "amplification".to_owned(),
        method: "POST".to_owned(),
        path: format!("/metrics/job/{}", "x".repeat(15_000)).into_bytes(),
        headers: Vec::new(),
        body: b"a 1\n".repeat(1 << 20),
        options: serde_json::json!({}),
        status: 413,
        lines: Vec::new(),
        answer_lines: None,
        is_framed: false,
        is_ordered: false,
        response_headers: Vec::new(),
    };
    let (status, message, output) = push(&case, &case.body);
    assert_eq!((status, output.len()), (413, 0));
    assert_eq!(
        message,
        "the lines of this push take more than the 67108864 bytes of output.queue_bytes"
    );
}
