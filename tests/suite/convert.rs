//! `pushline convert`: the lines of a push without a server.

use crate::golden::toml;
use crate::http;
use crate::process::{Pushline, command, folder};
use crate::{lines, vectors};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Stdio};
use std::thread;

const NOW: i64 = 1_764_000_000_123_456_789;

/// What one call left: its status, standard output and standard error.
struct Outcome {
    status: Option<i32>,
    stdout: Vec<u8>,
    stderr: String,
}

impl Outcome {
    fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap()
    }
}

fn start(arguments: &[&str]) -> Child {
    command()
        .arg("convert")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn convert(arguments: &[&str], body: &[u8]) -> Outcome {
    let mut child = start(arguments);
    let mut stdin = child.stdin.take().unwrap();
    let body = body.to_vec();
    // It may end before it has read everything.
    let feeding = thread::spawn(move || stdin.write_all(&body).ok());
    let output = child.wait_with_output().unwrap();
    feeding.join().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    Outcome { status: output.status.code(), stdout: output.stdout, stderr }
}

/// The options of `convert` that say what a request's path and headers say; none where it needs
/// more than they can.
fn options_of(case: &vectors::Case, prefix: &str) -> Option<Vec<String>> {
    let path = String::from_utf8(case.path.clone()).ok()?;
    let path = path.strip_suffix("?dry_run").unwrap_or(&path);
    let parts = path.strip_prefix(prefix)?.strip_prefix("/metrics/job/")?;
    let mut parts: Vec<_> = parts.split('/').collect();
    let is_plain = |part: &&str| {
        !part.is_empty()
            && part.chars().all(|char| char.is_ascii_alphanumeric() || "_.@:-=+".contains(char))
    };
    if !parts.iter().all(is_plain) || parts.len() % 2 == 0 {
        return None;
    }
    let mut options = vec!["--job".to_owned(), parts.remove(0).to_owned()];
    for pair in parts.chunks(2) {
        options.push(format!("--label={}={}", pair[0], pair[1]));
    }
    let format = match &*case.header("Content-Type").unwrap_or_default().to_ascii_lowercase() {
        "application/openmetrics-text" => "openmetrics",
        kind if kind.starts_with("application/openmetrics-text;") => "openmetrics",
        "application/vnd.google.protobuf" => "protobuf",
        kind if kind.starts_with("application/vnd.google.protobuf") => {
            let is_delimited = kind.contains("delimited") && kind.contains("io.prometheus.client.");
            is_delimited.then_some("protobuf")?
        }
        _ => "text",
    };
    options.push(format!("--format={format}"));
    if let Some(coding) = case.header("Content-Encoding") {
        options.push(format!("--coding={coding}"));
    }
    Some(options)
}

#[test]
fn golden_pushes_become_the_same_lines_without_a_server() {
    let folder = folder();
    let (mut counts, mut failures) = (BTreeMap::new(), Vec::new());
    for (number, case) in vectors::all().into_iter().enumerate() {
        let is_of_the_body = matches!(case.status, 200 | 413)
            || (case.status == 400 && !case.name.starts_with("url/"));
        let has_one_input = case.options.get("inputs").is_none();
        if !case.is_whole_push() || !is_of_the_body || !has_one_input {
            continue;
        }
        let prefix = case.options.get("route_prefix").and_then(|prefix| prefix.as_str());
        let prefix = pushline::push::route::normalise_prefix(prefix.unwrap_or_default());
        let Some(mut options) = options_of(&case, &prefix) else { continue };
        let config = folder.join(format!("{number}.toml"));
        std::fs::write(&config, toml(&case.options)).unwrap();
        options.push(format!("--config={}", config.display()));
        options.push(format!("--time={NOW}"));
        let arguments: Vec<_> = options.iter().map(String::as_str).collect();
        let outcome = convert(&arguments, &case.body);
        let found = lines::read(&outcome.stdout);
        let found = found.iter().map(|field| field.with_now(Some(NOW))).collect();
        let (found, want) = (case.comparable(found), case.comparable(case.all_lines()));
        let status = if case.status == 200 { 0 } else { 1 };
        let is_told = status == 0
            || (outcome.stderr.starts_with("<stdin>: ") && outcome.stderr.lines().count() == 1);
        if outcome.status != Some(status) || found != want || !is_told {
            let (status, stderr) = (outcome.status, outcome.stderr);
            failures.push(format!("{}: {status:?} {stderr:?}\n {found:?}\n {want:?}", case.name));
        }
        let format = options.iter().find(|option| option.starts_with("--format")).unwrap().clone();
        *counts.entry((case.status, format)).or_insert(0) += 1;
    }
    println!("golden pushes through convert: {counts:?}");
    assert!(failures.is_empty(), "{} failures\n{}", failures.len(), failures.join("\n"));
    assert!(counts.values().sum::<i32>() > 500, "{counts:?}");
    assert!(counts.keys().filter(|(status, _)| *status == 200).count() == 3, "{counts:?}");
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_file_becomes_lines_under_the_labels_of_its_url() {
    let folder = folder();
    let (body, config) = (folder.join("m.txt"), folder.join("c.toml"));
    std::fs::write(&body, "disk_free 5\n").unwrap();
    std::fs::write(&config, "[[inputs.pushgateway]]\nkeep_exist_metric_name = true\n").unwrap();
    let (body, config) = (body.to_str().unwrap(), config.to_str().unwrap());
    let labels = ["--label", "zone=a b", "--label=site@base64=eC95", "--label", "zone=c=d"];
    let arguments = [&labels[..], &["--time", "7", "--job=j/k", "--config", config, body]].concat();
    let outcome = convert(&arguments, b"");
    assert_eq!((outcome.status, outcome.stderr.as_str()), (Some(0), ""));
    assert_eq!(outcome.text(), "disk,job=j/k,site=x/y,zone=c\\=d disk_free=5 7\n");
    // Without any of them: standard input, the job of the default, the time of the call.
    let outcome = convert(&[], b"disk_free 5\n");
    assert!(outcome.text().starts_with("disk,job=convert free=5 1"), "{}", outcome.text());
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn the_environment_holds_as_it_does_for_the_server() {
    let mut child = command();
    child.args(["convert", "--time=7"]).env("ENV_INPUT_PUSHGATEWAY_MEASUREMENT_NAME", "m");
    let mut child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"a_b 1\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "m,job=convert a_b=1 7\n");
}

#[test]
fn among_several_inputs_one_must_be_chosen() {
    let folder = folder();
    let config = folder.join("c.toml");
    let inputs = "[[inputs.pushgateway]]\n[[inputs.pushgateway]]\nroute_prefix = \"/v1\"\n\
                  measurement_name = \"m\"\n";
    std::fs::write(&config, inputs).unwrap();
    let config = format!("--config={}", config.display());
    for (prefix, want) in [("/", "a,job=convert b=1 7\n"), ("v1/", "m,job=convert a_b=1 7\n")] {
        let outcome = convert(&[&config, "--time=7", "--route-prefix", prefix], b"a_b 1\n");
        assert_eq!((outcome.status, outcome.text()), (Some(0), want), "{}", outcome.stderr);
    }
    for wrong in [&[][..], &["--route-prefix=/v2"]] {
        let outcome = convert(&[&[&*config], wrong].concat(), b"a_b 1\n");
        assert_eq!((outcome.status, outcome.text()), (Some(2), ""));
        let want = "pushline: --route-prefix must name one of the inputs: \"/\", \"/v1\"\n";
        assert_eq!(outcome.stderr, want);
    }
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_refusal_names_the_file_and_says_what_a_pusher_would_be_told() {
    let folder = folder();
    let config = "[server]\nmax_body_bytes = \"1KiB\"\nmax_decoded_bytes = \"2KiB\"\n";
    let path = folder.join("c.toml");
    std::fs::write(&path, config).unwrap();
    let config_argument = format!("--config={}", path.display());
    let (pushline, _output) = Pushline::start(config);
    let long = "a_b 1\n".repeat(300);
    let openmetrics = "application/openmetrics-text";
    for (body, format, coding) in [
        (&b"a_b 1\na_b{c=\"d} 1\n"[..], "text", "identity"),
        (b"a_b 1 2 3\n", "text", "identity"),
        (b"a_b 1\n# EOF\na_b 2\n", "openmetrics", "identity"),
        (b"\x05\x0a\x01a", "protobuf", "identity"),
        (b"not gzip", "text", "gzip"),
        (long.as_bytes(), "text", "identity"),
    ] {
        let kind = match format {
            "text" => "text/plain",
            "openmetrics" => openmetrics,
            _ => "application/vnd.google.protobuf",
        };
        let headers = [("Content-Type", kind), ("Content-Encoding", coding)];
        let mut client = http::Client::connect(pushline.address);
        let answer = client.ask("POST", "/metrics/job/convert", &headers, body);
        assert!(matches!(answer.status, 400 | 413), "{}", answer.status);
        let file = folder.join("body");
        std::fs::write(&file, body).unwrap();
        let name = file.to_str().unwrap();
        let arguments = [&*config_argument, "--format", format, "--coding", coding];
        for (source, file) in [("<stdin>", None), (name, Some(name))] {
            let arguments = arguments.into_iter().chain(file).collect::<Vec<_>>();
            let outcome = convert(&arguments, body);
            assert_eq!((outcome.status, outcome.text()), (Some(1), ""));
            assert_eq!(outcome.stderr, format!("{source}: {}", answer.text()));
        }
    }
    let outcome = convert(&[], b"a_b 1\na_b{c=\"d} 1\n");
    let want = "<stdin>: line 2, column 7: the quote \"\\\"d} 1\" is not closed in its line\n";
    assert_eq!(outcome.stderr, want);
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn what_is_asked_wrongly_is_told_with_status_two() {
    let missing = Path::new(env!("CARGO_TARGET_TMPDIR")).join("missing.txt");
    let missing = missing.to_str().unwrap();
    for (arguments, want) in [
        (&["--label", "my-zone=1"][..], "pushline: --job, --label: URL label \"my-zone\": a label"),
        (
            &["--label", "x@base64=!"],
            "pushline: --job, --label: URL label \"x\": \"!\" is not base64",
        ),
        (&["--format", "json"], "pushline: --format is \"json\", must be text, openmetrics or"),
        (&["--config", missing], &format!("pushline: {missing}: ")),
        (&[missing], &format!("pushline: cannot read {missing}: No such file or directory")),
        (&["/"], "pushline: cannot read /: Is a directory"),
    ] {
        let outcome = convert(arguments, b"a_b 1\n");
        assert_eq!((outcome.status, outcome.text()), (Some(2), ""), "{arguments:?}");
        assert!(outcome.stderr.starts_with(want), "{}", outcome.stderr);
    }
    let outcome = convert(&["--help"], b"");
    assert_eq!(outcome.status, Some(0));
    assert!(outcome.text().starts_with("pushline convert: "), "{}", outcome.text());
}

#[test]
fn samples_without_a_line_are_counted_on_standard_error() {
    let body = b"a_b NaN\na_c +Inf\na_d 1\n# TYPE h histogram\nh_bucket{le=\"NaN\"} 1\n";
    let outcome = convert(&["--time=7"], body);
    assert_eq!((outcome.status, outcome.text()), (Some(0), "a,job=convert d=1 7\n"));
    let want = "<stdin>: 3 of 4 samples skipped: 2 NaN or infinite, 1 with a NaN le or quantile\n";
    assert_eq!(outcome.stderr, want);
}

#[test]
fn lines_of_one_point_are_told_with_the_reason_where_it_is_known() {
    let body = "a 1\na_a 2\n_a_b 3\na_b 4\nm_c{job=\"x\",k=\"1\"} 5\nm_c{job=\"y\",k=\"1\"} 6\n\
                m_d{k=\"1\"} 7\nm_d{k=\"1\"} 8\n# TYPE s summary\ns_sum 1\ns_count 2\ns_count 3\n\
                t_x{k=\"1\",q=\"a\\nb\"} 1\nt_x{k=\"1\",q=\"a b\"} 2\n";
    let outcome = convert(&["--time=1700000000000000000"], body.as_bytes());
    assert_eq!(outcome.status, Some(0));
    let same = "are one point: same measurement, tags, field and time";
    let want = format!(
        "<stdin>: 2 labels are overruled by the URL, which has another value\n\
         <stdin>: lines 1 and 2 {same}; the names \"a\" and \"a_a\" are cut alike\n\
         <stdin>: lines 3 and 4 {same}; the names \"_a_b\" and \"a_b\" are cut alike\n\
         <stdin>: lines 5 and 6 {same}; the URL overrules their label \"job\"\n\
         <stdin>: lines 7 and 8 {same}; the body has this sample twice\n\
         <stdin>: lines 9 and 10 {same}; the body has this sample twice\n\
         <stdin>: lines 11 and 12 {same}\n"
    );
    assert_eq!(outcome.stderr, want);
    let found = outcome.text().lines().nth(8).unwrap();
    assert_eq!(found, "s,job=convert s_sum=1,s_count=2 1700000000000000000");
}

#[test]
fn a_body_without_newlines_that_is_one_comment_is_told() {
    let outcome = convert(&[], b"# HELP a_b Words.# TYPE a_b gaugea_b 1");
    assert_eq!((outcome.status, outcome.text()), (Some(0), ""));
    assert_eq!(
        outcome.stderr,
        "<stdin>: the body has no samples, it is one comment: were its newlines lost? curl needs --data-binary\n"
    );
}

#[test]
fn a_reader_that_has_seen_enough_ends_it_quietly() {
    let mut child = start(&["--time=7"]);
    let mut stdin = child.stdin.take().unwrap();
    let feeding = thread::spawn(move || stdin.write_all(&b"a_b 1\n".repeat(500_000)).ok());
    let mut first = String::new();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    stdout.read_line(&mut first).unwrap();
    drop(stdout);
    assert_eq!(first, "a,job=convert b=1 7\n");
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert_eq!((child.wait().unwrap().code(), stderr.as_str()), (Some(1), ""));
    feeding.join().unwrap();
}

#[test]
fn an_output_that_is_full_is_told() {
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let mut child = command();
    child.arg("convert").stdin(Stdio::piped()).stdout(full).stderr(Stdio::piped());
    let mut child = child.spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"a_b 1\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.starts_with("pushline: cannot write the lines: No space left"), "{stderr}");
}

#[test]
fn a_body_as_large_as_allowed_is_converted_and_one_byte_more_is_not() {
    const BODY_BYTES_MAX: usize = 16 << 20;
    let folder = folder();
    let path = folder.join("large.txt");
    let mut body = b"a_b 1\n".repeat(2_000_000);
    let sample_count = body.len() / 6;
    body.resize(BODY_BYTES_MAX, b'\n');
    std::fs::write(&path, &body).unwrap();
    let outcome = convert(&["--time=7", path.to_str().unwrap()], b"");
    // Each line but the first is a point that there was before.
    assert_eq!((outcome.status, outcome.stderr.lines().count()), (Some(0), 1000 + 1));
    let line = b"a,job=convert b=1 7\n";
    assert_eq!(outcome.stdout.len(), sample_count * line.len());
    assert!(outcome.stdout.chunks(line.len()).all(|found| found == line));
    body.push(b'\n');
    std::fs::write(&path, &body).unwrap();
    let outcome = convert(&["--time=7", path.to_str().unwrap()], b"");
    assert_eq!((outcome.status, outcome.stdout.len()), (Some(1), 0));
    let want = "the body is larger than 16777216 bytes (server.max_body_bytes)\n";
    assert_eq!(outcome.stderr, format!("{}: {want}", path.display()));
    std::fs::remove_dir_all(folder).unwrap();
}
