//! The text reader against its naive twin, and every reader against cut and damaged bodies.

use super::delta::Likeness;
use super::*;
use crate::testing::random::{self, Random};
use crate::testing::reader_claims::{self, read_all};

/// Bodies of similar lines; the suite converts them whole.
#[path = "../../../tests/suite/similar.rs"]
mod similar;

/// The bodies of the golden vectors that are not compressed, each with its format and names.
fn golden() -> Vec<(Vec<u8>, Format, Names)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");
    let mut bodies = Vec::new();
    for theme in [
        "bodies",
        "names",
        "openmetrics",
        "protobuf",
        "native",
        "smallprint",
        "text",
        "types",
        "values",
    ] {
        let text = std::fs::read_to_string(format!("{folder}/{theme}.jsonl")).unwrap();
        for line in text.lines() {
            let case: serde_json::Value = serde_json::from_str(line).unwrap();
            let headers = case["headers"].to_string().to_ascii_lowercase();
            if headers.contains("encoding\":") {
                continue;
            }
            let format = if headers.contains("protobuf") {
                Format::Protobuf
            } else if headers.contains("openmetrics") {
                Format::OpenMetrics
            } else {
                Format::Text
            };
            let names =
                if case["options"]["utf8_names"] == true { Names::Utf8 } else { Names::Legacy };
            let body = match case["body"].as_str() {
                Some(body) => body.as_bytes().to_vec(),
                None => base64(case["body_b64"].as_str().unwrap()),
            };
            bodies.push((body, format, names));
        }
    }
    bodies
}

fn base64(text: &str) -> Vec<u8> {
    use std::io::Write;
    use std::process::{Command, Stdio};
    let mut child = Command::new("base64")
        .arg("-d")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    child.wait_with_output().unwrap().stdout
}

/// One to three damages of the kinds that a hostile or broken peer makes.
fn damage(body: &mut Vec<u8>, random: &mut Random) {
    const SPICE: &[u8] = b"{}\"\\=,# \t\n\r_:+-.eE019naNIf\0\xff\xc3\x80";
    for _ in 0..=random.below(3) {
        let at = random.below(body.len() + 1);
        match random.below(5) {
            0 if at < body.len() => {
                body.remove(at);
            }
            1 => body.insert(at, SPICE[random.below(SPICE.len())]),
            2 if at < body.len() => body[at] = SPICE[random.below(SPICE.len())],
            3 if at < body.len() => body[at] = random.byte(),
            _ => {
                let end = (at + random.below(20)).min(body.len());
                let piece = body[at..end].to_vec();
                let to = random.below(body.len() + 1);
                body.splice(to..to, piece);
            }
        }
    }
}

#[test]
fn the_text_reader_agrees_with_its_twin() {
    let bodies = golden();
    for (body, format, names) in &bodies {
        reader_claims::twins(body, *format, *names);
    }
    let mut random = Random::new(0x5851_f42d_4c95_7f2d);
    let small: Vec<_> = bodies.iter().filter(|(body, ..)| body.len() < 2000).collect();
    for _ in 0..40_000 {
        let (body, format, names) = small[random.below(small.len())];
        let mut body = body.clone();
        damage(&mut body, &mut random);
        reader_claims::twins(&body, *format, *names);
    }
}

#[test]
fn the_text_reader_agrees_with_its_twin_on_lines_of_random_words() {
    const WORDS: [&str; 31] = [
        "ab_c",
        "a_time",
        "\"ab_c\"",
        "\"\\d\"",
        "h",
        "_bucket",
        "_count",
        "s",
        " ",
        " ",
        "\t",
        "{",
        "}",
        ",",
        "=",
        "\"x\"",
        "le",
        "quantile",
        "\"1.0\"",
        "\"+Inf\"",
        "1",
        "-2.50",
        "1e9",
        "\n",
        "\r\n",
        "\r",
        "#",
        "\n# TYPE h ",
        "histogram\n",
        "summary\n",
        "\n# EOF\n",
    ];
    let mut random = Random::new(0x1234_5678_9abc_def1);
    let mut accepted = 0;
    for _ in 0..40_000 {
        let mut body = "# TYPE h histogram\n# TYPE s summary\n".to_owned();
        for _ in 0..random.below(16) {
            body.push_str(WORDS[random.below(WORDS.len())]);
        }
        for format in [Format::Text, Format::OpenMetrics] {
            reader_claims::twins(body.as_bytes(), format, Names::Utf8);
        }
        accepted += usize::from(read_all(body.as_bytes(), Format::Text, Names::Utf8).is_ok());
    }
    assert!(accepted > 1_000, "only {accepted} were accepted");
}

/// How many labels each sample keeps, and its likeness.
fn deltas(body: &[u8], format: Format) -> Vec<(usize, Likeness)> {
    let mut deltas = Vec::new();
    read_deltas(body, format, Names::Legacy, |sample, delta| {
        deltas.push((delta.kept.of(sample.labels.len()), delta.likeness));
        Ok::<_, Error>(())
    })
    .unwrap();
    deltas
}

#[test]
fn the_example_of_a_delta_is_true() {
    use Likeness::{Family, Shape, Unknown};
    let example = r#"node_cpu_seconds_total{cpu="0",mode="idle"} 71
node_cpu_seconds_total{cpu="0",mode="user"} 9
node_cpu_seconds_total{cpu="1",mode="user"} 8
node_cpu_guest_seconds_total{cpu="1",mode="user"} 0
# The last bytes of a body are not compared.
"#;
    let want = [(0, Unknown), (1, Family), (0, Family), (2, Shape)];
    assert_eq!(deltas(example.as_bytes(), Format::Text), want);
}

#[test]
fn a_delta_says_what_is_that_of_the_sample_before() {
    use Likeness::{Family, Shape, Unknown};
    let text = r#"# TYPE h histogram
h_bucket{a="1",b="2",le="1"} 1
h_bucket{a="1",b="2",le="2"} 1
h_sum{a="1",b="2"} 1
h_count{a="1",b="2"} 1
other{a="1",b="3"} 1
other{a="1",b="\\"} 1
other{a="2",b="1"} 1
another{a="2",b="1"} 1
another{a="2",b=""} 1
another 1
other{a="1"} 1
{"other",a="1"} 1
"#;
    let text_deltas = [
        (0, Unknown),
        (2, Family),
        (2, Unknown),
        (2, Unknown),
        (1, Unknown),
        (1, Family),
        (0, Family),
        (2, Shape),
        (1, Unknown),
        (0, Unknown),
        (0, Unknown),
        (0, Unknown),
    ];
    assert_eq!(deltas(text.as_bytes(), Format::Text), text_deltas);
    // Families of one gauge each, and a summary that has neither sum nor count nor quantile.
    let message = |number: u8, fields: &[u8]| {
        [&[number << 3 | 2, u8::try_from(fields.len()).unwrap()][..], fields].concat()
    };
    let label = |value: &[u8]| message(1, &[message(1, b"x"), message(2, value)].concat());
    let family = |kind: u8, labels: &[u8], value: u8| {
        let metric = message(4, &[labels, &message(value, &[])].concat());
        let fields = [message(1, b"f"), vec![0x18, kind], metric].concat();
        [&[u8::try_from(fields.len()).unwrap()][..], &fields].concat()
    };
    let body = [
        family(1, &label(b"1"), 2),
        family(2, &label(b"2"), 4),
        family(1, &label(b"2"), 2),
        family(1, &label(b"2"), 2),
    ];
    assert_eq!(deltas(&body.concat(), Format::Protobuf), [(0, Unknown), (0, Shape), (1, Shape)]);
}

#[test]
fn every_prefix_of_every_golden_body_gives_an_answer() {
    let mut count = 0;
    for (body, format, names) in golden() {
        // The largest bodies are cut at every hundredth byte only, or the test would take minutes.
        let step = body.len() / 2000 + 1;
        for len in (0..=body.len()).step_by(step) {
            if let Err(error) = read_all(&body[..len], format, names) {
                assert!(error.offset() <= len, "{error:?}");
                let text = error.describe(&body[..len], format);
                assert!(!text.contains('\n') && text.len() < 300, "{text}");
            }
            if body.len() < 500 {
                reader_claims::twins(&body[..len], format, names);
            }
            count += 1;
        }
    }
    assert!(count > 30_000, "only {count} prefixes");
}

#[test]
fn damaged_protobuf_is_read_or_refused() {
    let bodies: Vec<_> =
        golden().into_iter().filter(|(_, format, _)| *format == Format::Protobuf).collect();
    let mut random = Random::new(0x2545_f491_4f6c_dd1d);
    let mut refused = 0;
    for (body, format, names) in &bodies {
        for _ in 0..400 {
            let mut body = body.clone();
            damage(&mut body, &mut random);
            if let Err(error) = read_all(&body, *format, *names) {
                assert!(!error.describe(&body, *format).contains('\n'));
                refused += 1;
            }
        }
    }
    assert!(refused > 10_000, "only {refused} refused");
}

#[test]
fn random_bytes_are_read_or_refused() {
    let mut random = Random::new(0x9e37_79b9_7f4a_7c15);
    for _ in 0..20_000 {
        let body: Vec<u8> = (0..random.below(60)).map(|_| random.byte()).collect();
        for format in [Format::Text, Format::OpenMetrics, Format::Protobuf] {
            reader_claims::twins(&body, format, Names::Utf8);
            if let Err(error) = read_all(&body, format, Names::Utf8) {
                assert!(error.offset() <= body.len());
            }
        }
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table, one case a line")]
fn an_error_says_what_is_wrong_where_and_what_is_allowed() {
    for (body, want) in [
        (
            "ab_c{x=\"a} 42.5\n",
            "line 1, column 8: the quote \"\\\"a} 42.5\" is not closed in its line",
        ),
        (
            "ok 1\nab_c oops\n",
            "line 2, column 6: the value \"oops\" is not a decimal number, NaN, +Inf or -Inf",
        ),
        ("ab_c 1e400\n", "line 1, column 6: the value \"1e400\" is too large for a double"),
        ("9ab 1\n", "line 1, column 1: expected a metric name, found \"9ab\""),
        (
            "{x=\"1\"} 1\n",
            "line 1, column 1: expected a metric name, before the braces or quoted in them, found \"{x=\\\"1\\\"}\"",
        ),
        (
            "{\"a\"=\"b\"} 1\n",
            "line 1, column 1: expected a metric name, before the braces or quoted in them, found \"{\\\"a\\\"=\\\"b\\\"}\"",
        ),
        ("ab-c 1\n", "line 1, column 3: expected a blank or { after the metric name, found \"-c\""),
        ("ab_c\n", "line 1, column 5: expected a value, found the end of the line"),
        (
            "ab_c 1 2 3\n",
            "line 1, column 10: expected the end of the line or an exemplar, found \"3\"",
        ),
        (
            "ab_c{1=\"x\"} 1\n",
            "line 1, column 6: expected a label name or }, found \"1=\\\"x\\\"}\"",
        ),
        ("ab_c{x 1\n", "line 1, column 8: expected = after the label name, found \"1\""),
        ("ab_c{x=1} 1\n", "line 1, column 8: expected a quoted label value, found \"1}\""),
        (
            "ab_c{x=\"1\" y=\"2\"} 1\n",
            "line 1, column 12: expected a comma or } after the label, found \"y=\\\"2\\\"}\"",
        ),
        (
            "ab_c{x=\"1\",x=\"2\"} 1\n",
            "line 1, column 12: the label \"x\" appears twice in this sample",
        ),
        (
            "ab_c{x=\"é\\t\"} 1\n",
            "line 1, column 10: \"\\t\" is not an escape, allowed are \\\\ \\\" and \\n; write a backslash as \\\\",
        ),
        ("ab_c{__name__=\"x\"} 1\n", "line 1, column 6: __name__ must not be a label"),
        ("{\"a.b\"} 1\n", "line 1, column 2: the name \"a.b\" needs utf8_names = true"),
        (
            "ab_c{\"x\"} 1\n",
            "line 1, column 6: a metric name comes once: before the braces, or quoted in them",
        ),
        (
            "ab_c 1 now\n",
            "line 1, column 8: the timestamp \"now\" is not a decimal number of milliseconds or seconds",
        ),
        (
            "ab_c 1 9223372036855\n",
            "line 1, column 8: the timestamp \"9223372036855\" is outside of 1677 to 2262; an integer is milliseconds: is it in microseconds or nanoseconds?",
        ),
        ("ab_c 1 # x\n", "line 1, column 10: expected the labels of an exemplar, found \"x\""),
        (
            "# TYPE a b\n",
            "line 1, column 10: unknown type \"b\", allowed are counter, gauge, histogram, summary, untyped, unknown, info, stateset and gaugehistogram",
        ),
        ("# TYPE a-b gauge\n", "line 1, column 8: expected a metric name, found \"a-b\""),
        (
            "# TYPE h histogram\nh_bucket{le=\"x\"} 1\n",
            "line 2, column 10: the le \"x\" is not a decimal number, NaN, +Inf or -Inf",
        ),
        (
            "# TYPE le histogram\nle_bucket{a=\"le\" , le=\"x\"} 1\n",
            "line 2, column 20: the le \"x\" is not a decimal number, NaN, +Inf or -Inf",
        ),
        (
            "ab_c 1 # { x=\"1\",x=\"2\"} 1\n",
            "line 1, column 18: the label \"x\" appears twice in this sample",
        ),
        (
            "\u{feff}ab_c{x=\"\\é\"} 1\n",
            "line 1, column 9: \"\\é\" is not an escape, allowed are \\\\ \\\" and \\n; write a backslash as \\\\",
        ),
    ] {
        let error = read_all(body.as_bytes(), Format::Text, Names::Legacy).unwrap_err();
        assert_eq!(error.describe(body.as_bytes(), Format::Text), want, "{body:?}");
    }
    let error = read_all(b"a 1\nb \xff", Format::Text, Names::Legacy).unwrap_err();
    assert_eq!(
        error.describe(b"a 1\nb \xff", Format::Text),
        "line 2, column 3: the body is not UTF-8 from here on"
    );
    let long = format!("ab_c {}\n", "x".repeat(100));
    let error = read_all(long.as_bytes(), Format::Text, Names::Legacy).unwrap_err();
    assert!(
        error.describe(long.as_bytes(), Format::Text).contains(&format!("\"{}\"…", "x".repeat(40)))
    );
    let after = b"a 1\n# EOF\nb 2\n";
    let error = read_all(after, Format::OpenMetrics, Names::Legacy).unwrap_err();
    assert_eq!(
        error.describe(after, Format::OpenMetrics),
        "line 3, column 1: nothing may follow # EOF"
    );
}

#[test]
fn an_exemplar_may_repeat_the_labels_of_its_sample() {
    let body = b"a{x=\"1\"} 1 # {x=\"1\"} 1\nb{y=\"2\"} 2\n";
    let samples = read_all(body, Format::Text, Names::Legacy).unwrap();
    let labels: Vec<_> = samples.into_iter().map(|sample| sample.labels).collect();
    let label = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
    assert_eq!(labels, [label("x", "1"), label("y", "2")]);
}

#[test]
fn a_series_after_one_with_its_name_among_labels_is_compared_with_all_of_it() {
    // Said to have the labels of the one before it, the second one got its tag without a value.
    for (body, labels) in [
        ("{x=\"1\",\"a_b\"} 1\nc_d{} 2\n", 0),
        ("{x=\"1\",\"a_b\"} 1\nc_d{y=\"1\"} 2\n", 1),
        ("{x=\"1\",\"a_b\",y=\"2\"} 1\na_b{x=\"1\"} 2\n", 1),
        ("{x=\"1\",\"a_b\"} 1\nc_d 2\n", 0),
        ("{x=\"1\",\"a_b\"} 1\n{\"c_d\"} 2\n", 0),
        ("{x=\"1\",\"a_b\"} 1\n{\"c_d\",x=\"2\"} 2\n", 1),
    ] {
        assert!(reader_claims::twins(body.as_bytes(), Format::Text, Names::Legacy), "{body}");
        let samples = read_all(body.as_bytes(), Format::Text, Names::Legacy).unwrap();
        assert_eq!(samples[1].labels.len(), labels, "{body}");
    }
}

#[test]
fn an_error_of_protobuf_names_byte_and_family() {
    let family = |fields: &[u8]| [&[u8::try_from(fields.len()).unwrap()][..], fields].concat();
    for (fields, want) in [
        (&b"\x0a\x03a_b\x18\x01\x22\x02\x12\x00"[..], None),
        (
            b"\x0a\x03a_b\x18\x01\x22\x02\x1a\x00",
            Some(
                "byte 11, metric family \"a_b\": a metric has a value of another type than its family's",
            ),
        ),
        (
            b"\x0a\x03a_b\x18\x01\x22\x00",
            Some("byte 10, metric family \"a_b\": a metric has no value of its family's type"),
        ),
        (
            b"\x0a\x03a_b\x18\x01\x22\x02\x12\x05",
            Some("byte 12, metric family \"a_b\": a length is beyond the end of its message"),
        ),
        (b"\x0a\x03a_b\x18\x09", Some("byte 7: the type of the family is not known")),
        (b"\x18\x01", Some("byte 1, metric family \"\": a name must not be empty")),
    ] {
        let body = family(fields);
        let message = read_all(&body, Format::Protobuf, Names::Legacy)
            .err()
            .map(|error| error.describe(&body, Format::Protobuf));
        assert_eq!(message.as_deref(), want, "{}", body.escape_ascii());
    }
}

#[test]
fn a_sample_with_very_many_labels_is_read_in_bounded_time() {
    let labels: Vec<String> = (0..200_000).map(|number| format!("l{number}=\"v\"")).collect();
    let body = format!("a{{{}}} 1\n", labels.join(","));
    let samples = read_all(body.as_bytes(), Format::Text, Names::Legacy).unwrap();
    assert_eq!(samples[0].labels.len(), 200_000);
}

#[test]
fn the_text_reader_agrees_with_its_twin_on_similar_lines() {
    let mut accepted = 0;
    for case in 1..=4_000_u64 {
        let mut random = Random::new(case.wrapping_mul(0x2545_f491_4f6c_dd1d));
        let mut lines = similar::exposition(&mut random);
        similar::damage(&mut random, &mut lines);
        let body = lines.concat();
        for format in [Format::Text, Format::OpenMetrics] {
            reader_claims::twins(&body, format, Names::Utf8);
        }
        accepted += usize::from(read_all(&body, Format::Text, Names::Utf8).is_ok());
    }
    assert!(accepted > 2_000, "only {accepted} were accepted");
}
