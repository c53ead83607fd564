//! Pushes that cost as much as we know how to make a byte cost, for every format, coding and option.

use crate::protobuf::{CONTENT_TYPE, bytes, delimited, double, integer};
use crate::worst::Case;
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use pushline::push::Input;
use pushline::push::mapping::{Filter, MappingOptions, Measurement, MeasurementRule, Pattern};
use pushline::push::route::Endpoint;
use pushline::push::sample::{Label, Names};
use std::io::Write;

/// How large a body is, about.
const BODY_BYTES: usize = 400_000;
/// A URL may have about so many bytes.
const URL_BYTES: usize = 15_000;
const USUAL_PATH: &str = "/metrics/job/bench/instance/host-1";
/// Rules in each list of an input that has some.
const RULES: usize = 16;

/// All of them.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    texts(&mut cases);
    urls(&mut cases);
    numbers(&mut cases);
    names(&mut cases);
    options(&mut cases);
    protobufs(&mut cases);
    codings(&mut cases);
    cases
}

fn text(name: &str, body: String) -> Case {
    let body = body.into_bytes();
    Case {
        name: name.to_owned(),
        path: USUAL_PATH.to_owned(),
        input: Input::default(),
        content_type: None,
        coding: None,
        decoded_bytes: body.len(),
        body,
    }
}

/// Pieces, numbered from 0, until the body is large enough.
fn repeat(mut piece: impl FnMut(usize) -> String) -> String {
    let mut body = String::new();
    let mut number = 0;
    while body.len() < BODY_BYTES {
        body.push_str(&piece(number));
        number += 1;
    }
    body
}

/// So many pairs, with names in no order; `salt` makes other names.
fn pairs(count: usize, salt: usize, value: &str) -> String {
    let name = |at: usize| format!("l{:x}", (at * 7919 + salt * 104_729) % 99_991);
    (0..count).map(|at| format!("{}=\"{value}\",", name(at))).collect()
}

fn texts(cases: &mut Vec<Case>) {
    let alternate = |a: &str, b: &str| repeat(|at| if at % 2 == 0 { a } else { b }.to_owned());
    for (name, body) in [
        ("shortest samples", alternate("a 1\n", "a 1\n")),
        ("alternating families", alternate("a 1\n", "b 1\n")),
        ("alternating with NaN", alternate("a{b=\"1\"} 1\n", "a{b=\"1\"} NaN\n")),
        ("alternating label names", alternate("a{b=\"1\"} 1\n", "a{c=\"1\"} 1\n")),
        ("alternating empty labels", alternate("a{b=\"\"} 1\n", "a{b=\"1\"} 1\n")),
        ("alternating clashes", alternate("a{a=\"1\"} 1\n", "b{b=\"1\"} 1\n")),
        ("blank lines", alternate("\n", "\n")),
        ("comments", alternate("#\n", "# a\n")),
        ("TYPE lines", repeat(|at| format!("# TYPE a{at} summary\na{at}_sum 1\n"))),
        ("TYPE of one name", alternate("# TYPE a summary\na 1\n", "# TYPE a gauge\na 1\n")),
        ("exemplars", alternate("a 1 # {a=\"1\"} 1\n", "a 1 # {b=\"1\"} 1 1\n")),
        ("names among pairs", alternate("{a=\"1\",\"b\"} 1\n", "{\"c\"} 1\n")),
        ("sums and counts", format!("# TYPE s summary\n{}", alternate("s_sum 1\n", "s_count 1\n"))),
        (
            "new bounds",
            format!("# TYPE h histogram\n{}", repeat(|at| format!("h_bucket{{le=\".{at}\"}} 1\n"))),
        ),
        ("escapes", repeat(|_| format!("a{{b=\"{}\"}} 1\n", "\\\\".repeat(1000)))),
        ("commas", repeat(|at| format!("a{{b=\"{}{at}\"}} 1\n", ",".repeat(1000)))),
        ("one long value", format!("a{{b=\"{}\"}} 1\n", ",".repeat(60_000))),
        ("one endless value", format!("a{{b=\"{}\"}} 1\n", ",".repeat(8 << 20))),
        ("many labels", repeat(|at| format!("a{{{}}} 1\n", pairs(1000, at, "1")))),
        ("many empty labels", repeat(|at| format!("a{{{}}} 1\n", pairs(1000, at, "")))),
        ("some empty labels", repeat(|at| format!("a{{{}}} 1\n", pairs(12, at, "")))),
        ("labels one more each time", repeat(|at| format!("a{{{}}} 1\n", pairs(at, 0, "1")))),
    ] {
        cases.push(text(name, body));
    }
}

/// Samples that say little under a URL that says much.
fn urls(cases: &mut Vec<Case>) {
    let url = |pair: fn(usize) -> String| {
        let mut path = "/metrics/job/j".to_owned();
        let mut number = 0;
        while path.len() < URL_BYTES {
            path.push_str(&pair(number));
            number += 1;
        }
        path
    };
    let empty = url(|at| format!("/l{at:x}/"));
    let full = url(|at| format!("/l{at:x}/1"));
    let clashing = full.clone() + "/time/1";
    let body = |count: usize, sample: fn(usize) -> String| (0..count).map(sample).collect();
    let one: fn(usize) -> String = |_| "a{b=\"\"} 1\n".to_owned();
    let other: fn(usize) -> String = |at| format!("a{{b{}=\"\"}} 1\n", at % 2);
    for (name, path, body) in [
        ("empty URL labels", &empty, body(40_000, one)),
        ("empty URL labels alternating", &empty, body(40_000, other)),
        ("long URL", &full, body(1_000, one)),
        ("long URL alternating", &full, body(1_000, other)),
        ("long URL with a clash", &clashing, body(1_000, other)),
    ] {
        cases.push(Case { path: path.clone(), ..text(name, body) });
    }
}

fn numbers(cases: &mut Vec<Case>) {
    for (name, value) in [
        ("values of 17 digits", "0.12345678901234567"),
        ("values halfway", "9007199254740993.000000000000000000001"),
        ("values halfway with an exponent", "6.9294956446009195e15000000000000000001e-300"),
        ("values halfway and tiny", "2.4703282292062327208e-324"),
        ("values halfway and large", "8.988465674311580536e307"),
        ("values of many digits", &"1234567890".repeat(30)),
        ("values of many zeros", &format!("{}1", "0".repeat(300))),
    ] {
        cases.push(text(name, repeat(|at| format!("a{{b=\"{at}\"}} {value}\n"))));
    }
    for (name, time) in [
        ("times as seconds", "1700000000.123456789"),
        ("times with an exponent", "1.7e9"),
        ("times of many digits", &format!("1.{}", "7".repeat(300))),
    ] {
        cases.push(text(name, repeat(|at| format!("a 1 {}{time}\n", at % 2))));
    }
}

/// Quoted names, which only an input with `utf8_names` takes.
fn names(cases: &mut Vec<Case>) {
    let input = Input {
        endpoint: Endpoint { names: Names::Utf8, ..Endpoint::default() },
        ..Input::default()
    };
    // Quotes and backslashes in all orders: all of one length clean to one name.
    let alike = |count: usize| -> String {
        let name = |number: usize| -> String {
            (0..13).map(|bit| if number >> bit & 1 == 0 { "\\\"" } else { "\\\\" }).collect()
        };
        (0..count).map(|number| format!("\"{}\"=\"1\",", name(number))).collect()
    };
    for (name, body) in [
        ("names that clean to one", format!("a{{{}}} 1\n", alike(8000))),
        (
            "names that clean to one again",
            repeat(|at| format!("a{{{}}} {at}\n", alike(2 + at % 2))),
        ),
        (
            "many names that clean to one",
            repeat(|at| format!("a{{{}}} {at}\n", alike(250 + at % 2))),
        ),
        ("quoted names", repeat(|at| format!("{{\"a.{at}\",\"b c\"=\"1\"}} 1\n"))),
        ("unclean families", repeat(|at| format!("{{\"a\\\"{at}\"}} 1\n"))),
    ] {
        cases.push(Case { input: input.clone(), ..text(name, body) });
    }
}

fn options(cases: &mut Vec<Case>) {
    let pattern = |text: String| Pattern::new(text);
    let label = |name: String| Label { name: name.into(), value: "1".into() };
    let mut rules = MappingOptions { measurement_prefix: "p_".to_owned(), ..Default::default() };
    rules.filter = Filter {
        allow: vec![pattern("*".to_owned())],
        deny: (0..RULES).map(|at| pattern(format!("*x{at}*"))).collect(),
    };
    rules.measurement_rules = (0..RULES)
        .map(|at| MeasurementRule { prefix: format!("a{at}x"), name: format!("m{at}") })
        .collect();
    let mut tags = MappingOptions::default();
    tags.tags.rename = (0..RULES).map(|at| (format!("l{at}"), format!("r{at}"))).collect();
    tags.tags.drop = (0..RULES).map(|at| pattern(format!("*d{at}*"))).collect();
    tags.tags.add = vec![label("host".to_owned()), label("zone".to_owned())];
    let job = MappingOptions { measurement: Measurement::Job, ..Default::default() };
    let empty = |at: usize| format!("/l{at:x}/");
    let long: String = "/metrics/job/j".to_owned() + &(0..2500).map(empty).collect::<String>();
    let input = |mapping: &MappingOptions| Input { mapping: mapping.clone(), ..Input::default() };
    let alternate = || repeat(|at| format!("a{{l{}=\"1\"}} 1\n", at % 2));
    cases.push(Case {
        input: input(&rules),
        ..text("filters and rules", repeat(|at| format!("a{at} 1\n")))
    });
    cases.push(Case { input: input(&tags), ..text("rules for tags", alternate()) });
    cases.push(Case {
        input: input(&tags),
        path: long,
        ..text("rules for tags and a long URL", alternate())
    });
    cases.push(Case {
        input: input(&job),
        ..text("job as measurement", repeat(|at| format!("a{} 1\n", at % 2)))
    });
}

/// A metric family of that type.
fn family(name: &str, kind: u64, metrics: &[Vec<u8>]) -> Vec<u8> {
    let mut message = Vec::new();
    bytes(&mut message, 1, name.as_bytes());
    integer(&mut message, 3, kind);
    metrics.iter().for_each(|metric| bytes(&mut message, 4, metric));
    let mut out = Vec::new();
    delimited(&mut out, &message);
    out
}

/// A metric with these labels and that value.
fn metric(labels: &[(String, &str)], field: u64, value: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in labels {
        let mut pair = Vec::new();
        bytes(&mut pair, 1, name.as_bytes());
        bytes(&mut pair, 2, value.as_bytes());
        bytes(&mut out, 1, &pair);
    }
    bytes(&mut out, field, value);
    out
}

fn protobufs(cases: &mut Vec<Case>) {
    let some = |count: usize, salt: usize, value: &'static str| -> Vec<(String, &'static str)> {
        (0..count).map(|at| (format!("l{}", (at * 7919 + salt) % 99_991), value)).collect()
    };
    let quantiles = |count: usize| -> Vec<u8> {
        let mut summary = Vec::new();
        (0..count).for_each(|_| bytes(&mut summary, 3, &[]));
        summary
    };
    let mut buckets = Vec::new();
    (0..20_000).for_each(|_| bytes(&mut buckets, 3, &[]));
    let mut native = Vec::new();
    integer(&mut native, 5, 16);
    let mut span = Vec::new();
    integer(&mut span, 2, 60_000);
    bytes(&mut native, 12, &span);
    bytes(&mut native, 13, &[2, 1].repeat(30_000));
    let mut pieces = Vec::new();
    (0..30_000).for_each(|_| bytes(&mut pieces, 2, &[]));
    let mut unknown = Vec::new();
    (0..100_000).for_each(|_| integer(&mut unknown, 15, 1));
    bytes(&mut unknown, 2, &[]);
    let mut value = Vec::new();
    double(&mut value, 1, 0.1 + 0.2);
    let gauges = |labels: &dyn Fn(usize) -> Vec<(String, &'static str)>, count: usize| {
        let metrics: Vec<_> = (0..count).map(|at| metric(&labels(at), 2, &value)).collect();
        family("a", 1, &metrics)
    };
    for (name, body) in [
        (
            "protobuf families of one metric",
            (0..30_000).flat_map(|_| family("a", 1, &[metric(&[], 2, &[])])).collect(),
        ),
        ("protobuf empty metrics", family("a", 1, &vec![metric(&[], 2, &[]); 60_000])),
        ("protobuf alternating labels", gauges(&|at| some(1, at % 2, "1"), 20_000)),
        ("protobuf many labels", gauges(&|at| some(1000, at, "1"), 40)),
        ("protobuf many empty labels", gauges(&|at| some(1000, at, ""), 40)),
        ("protobuf empty quantiles", family("a", 2, &[metric(&[], 4, &quantiles(60_000))])),
        (
            "protobuf quantiles of many empty labels",
            family("a", 2, &[metric(&some(1000, 0, ""), 4, &quantiles(60_000))]),
        ),
        (
            "protobuf quantiles of many labels",
            family("a", 2, &[metric(&some(1000, 0, "1"), 4, &quantiles(2_000))]),
        ),
        ("protobuf empty buckets", family("a", 4, &[metric(&[], 7, &buckets)])),
        ("protobuf native buckets", family("a", 4, &[metric(&[], 7, &native)])),
        ("protobuf value in pieces", family("a", 1, &[pieces])),
        ("protobuf unknown fields", family("a", 1, &[unknown])),
    ] {
        let content_type = Some(CONTENT_TYPE);
        let case = text(name, String::new());
        cases.push(Case { content_type, decoded_bytes: body.len(), body, ..case });
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).unwrap_or_default()
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).unwrap_or_default()
}

fn codings(cases: &mut Vec<Case>) {
    let lines = repeat(|at| format!("a{{b=\"\"}} {}\n", at % 10));
    let blanks = "\n".repeat(16 << 20);
    let empty_members = gzip(b"").repeat(20_000);
    let small_members = gzip(b"a 1\n").repeat(20_000);
    // Blocks of zlib without anything in them: each is stored, and of length 0.
    let mut blocks = vec![0x78, 0x9c];
    (0..80_000).for_each(|_| blocks.extend([0, 0, 0, 0xff, 0xff]));
    blocks.extend([1, 0, 0, 0xff, 0xff, 0, 0, 0, 1]);
    let frames = |count: usize| -> Vec<u8> {
        let mut frames = b"\xff\x06\x00\x00sNaPpY".to_vec();
        (0..count).for_each(|_| frames.extend([0xfe, 1, 0, 0, 0]));
        frames
    };
    let block = |bytes: &[u8]| snap::raw::Encoder::new().compress_vec(bytes).unwrap_or_default();
    for (name, coding, body, decoded_bytes) in [
        ("gzip short samples", "gzip", gzip(lines.as_bytes()), lines.len()),
        ("gzip bomb", "gzip", gzip(blanks.as_bytes()), blanks.len()),
        ("gzip empty members", "gzip", empty_members, 0),
        ("gzip small members", "gzip", small_members, 80_000),
        ("deflate bomb", "deflate", zlib(blanks.as_bytes()), blanks.len()),
        ("deflate empty blocks", "deflate", blocks, 0),
        ("snappy block", "snappy", block(lines.as_bytes()), lines.len()),
        ("snappy bomb", "snappy", block(blanks.as_bytes()), blanks.len()),
        ("snappy padding frames", "snappy", frames(80_000), 0),
    ] {
        cases.push(Case { coding: Some(coding), body, decoded_bytes, ..text(name, String::new()) });
    }
}
