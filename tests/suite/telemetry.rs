//! What a running process says of itself: each figure moves when what it counts happens, and only
//! then; own figures on the output; the tables of the manual.

use crate::http::{Answer, Client, push, request};
use crate::process::{PATIENCE, Pushline, folder};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Every series and its value.
type Figures = BTreeMap<String, f64>;

fn scrape(address: SocketAddr) -> Figures {
    read(&Client::connect(address).ask("GET", "/metrics", &[], b""))
}

fn read(answer: &Answer) -> Figures {
    let lines = answer.text().lines().filter(|line| !line.starts_with('#'));
    let pairs = lines.map(|line| line.rsplit_once(' ').unwrap());
    pairs.map(|(series, value)| (series.to_owned(), value.parse().unwrap())).collect()
}

/// Scrapes until `is_so`.
fn scrape_until(address: SocketAddr, is_so: impl Fn(&Figures) -> bool) -> Figures {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let figures = scrape(address);
        if is_so(&figures) {
            return figures;
        }
        assert!(Instant::now() < deadline, "it does not come: {figures:?}");
    }
}

/// What has grown of the families of that name, and by how much.
fn growth(before: &Figures, after: &Figures, family: &str) -> Vec<(String, f64)> {
    let start = format!("{family}{{");
    let grown = after.iter().filter(|(series, _)| series.starts_with(&start));
    grown
        .map(|(series, value)| {
            (series.clone(), value - before.get(series).copied().unwrap_or_default())
        })
        .filter(|(_, by)| *by != 0.0)
        .collect()
}

/// Sends bytes on a connection of their own; the answer's status.
fn status_of(address: SocketAddr, bytes: &[u8]) -> u16 {
    let mut client = Client::connect(address);
    client.send(bytes).ok();
    client.read_answer(true).unwrap().status
}

/// `provoke` must be refused with that status, and counted once, under that reason and as a POST.
fn check_refusal(address: SocketAddr, reason: &str, status: u16, provoke: impl FnOnce() -> u16) {
    let before = scrape(address);
    assert_eq!(provoke(), status, "{reason}");
    let after = scrape(address);
    let refused = growth(&before, &after, "pushline_pushes_refused_total");
    let want = format!("pushline_pushes_refused_total{{reason=\"{reason}\"}}");
    assert_eq!(refused, [(want, 1.0)]);
    let mut answers = growth(&before, &after, "pushline_http_requests_total");
    answers.retain(|(series, _)| !series.contains("method=\"GET\""));
    let want = format!("pushline_http_requests_total{{code=\"{status}\",method=\"POST\"}}");
    assert_eq!(answers, [(want, 1.0)]);
    assert_eq!(growth(&before, &after, "pushline_pushes_total"), []);
}

/// A head of a push, and what follows it.
fn raw(rest: &str) -> Vec<u8> {
    format!("POST /metrics/job/x HTTP/1.1\r\n{rest}").into_bytes()
}

#[test]
fn each_way_to_refuse_a_push_moves_its_own_counter_by_one() {
    const PROTOBUF: &str = "application/vnd.google.protobuf";
    let toml = "[server]\nmax_body_bytes = \"16KiB\"\nmax_decoded_bytes = \"16KiB\"\n\
                [output]\nqueue_bytes = \"64KiB\"\n";
    let (pushline, _output) = Pushline::start(toml);
    let with =
        |name, value, body: &[u8]| request("POST", b"/metrics/job/x", &[(name, value)], body);
    let many = b"a 1\n".repeat(4000);
    let long = format!("/metrics/job/x/long/{}", "y".repeat(100));
    let snappy_of_2_mib = b"\x80\x80\x80\x01\x00";
    for (reason, status, bytes) in [
        ("url", 400, request("POST", b"/metrics/job/x/odd", &[], b"a_b 1\n")),
        ("coding", 415, with("Content-Encoding", "br", b"a_b 1\n")),
        ("parameter", 415, with("Content-Type", "application/vnd.google.protobuf;proto=x", b"")),
        ("corrupt", 400, with("Content-Encoding", "gzip", b"a_b 1\n")),
        ("malformed_text", 400, with("Content-Type", "text/plain", b"oops\n")),
        (
            "malformed_openmetrics",
            400,
            with("Content-Type", "application/openmetrics-text", b"x\n"),
        ),
        ("malformed_protobuf", 400, with("Content-Type", PROTOBUF, b"\xff\xff")),
        ("decoded_too_large", 413, with("Content-Encoding", "snappy", snappy_of_2_mib)),
        ("lines_too_large", 413, request("POST", long.as_bytes(), &[], &many)),
        ("body_too_large", 413, raw("Content-Length: 16385\r\n\r\n")),
        (
            "body_too_large",
            413,
            [raw("Transfer-Encoding: chunked\r\n\r\n4001\r\n"), many.repeat(2)].concat(),
        ),
        ("request", 400, raw("Content-Length: 6\r\nContent-Length: 6\r\n\r\n")),
        ("request", 400, raw("A: b\r\n c\r\n\r\n")),
        ("request", 400, raw("Transfer-Encoding: chunked\r\n\r\nzz\r\n")),
        ("head_too_large", 431, raw(&"A: b\r\n".repeat(100))),
        ("http_version", 505, b"POST /metrics/job/x HTTP/2.0\r\n\r\n".to_vec()),
    ] {
        check_refusal(pushline.address, reason, status, || status_of(pushline.address, &bytes));
    }
    check_refusal(pushline.address, "cut_short", 400, || {
        let mut client = Client::connect(pushline.address);
        client.send(&raw("Content-Length: 6\r\n\r\na_b")).unwrap();
        client.end_sending();
        client.read_answer(true).unwrap().status
    });
}

#[test]
fn a_push_that_comes_too_slowly_is_counted_as_that() {
    let toml = "[server]\nhead_timeout = \"300ms\"\nbody_timeout = \"300ms\"\n";
    let (pushline, _output) = Pushline::start(toml);
    for bytes in [raw("Content-Length: 6\r\n\r\na_b"), raw("A: b\r\n")] {
        let provoke = || status_of(pushline.address, &bytes);
        check_refusal(pushline.address, "timed_out", 408, provoke);
    }
}

#[test]
fn a_push_without_credentials_is_counted_as_unauthorized() {
    use std::os::unix::fs::PermissionsExt;
    let folder = folder();
    let file = folder.join("auth");
    std::fs::write(&file, "bearer t0ken\n").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let toml = format!("[server]\nauth_file = \"{}\"\n", file.display());
    let (pushline, _output) = Pushline::start(&toml);
    let headers = [("Authorization", "Bearer t0ken")];
    let scrape = || read(&Client::connect(pushline.address).ask("GET", "/metrics", &headers, b""));
    let before = scrape();
    assert_eq!(push(pushline.address, "/metrics/job/x", "a_b 1\n").status, 401);
    let refused = growth(&before, &scrape(), "pushline_pushes_refused_total");
    let want = "pushline_pushes_refused_total{reason=\"unauthorized\"}".to_owned();
    assert_eq!(refused, [(want, 1.0)]);
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_push_beyond_the_memory_for_bodies_is_counted_as_that() {
    let toml = "[server]\nmax_body_bytes = \"1MiB\"\nmax_buffered_bytes = \"1MiB\"\n";
    let (pushline, _output) = Pushline::start(toml);
    let whole = request("POST", b"/metrics/job/x", &[], &b"a_b 1\n".repeat(120_000));
    let mut holder = Client::connect(pushline.address);
    holder.send(&whole[..whole.len() - 1]).unwrap();
    scrape_until(pushline.address, |figures| figures["pushline_buffered_bytes"] >= 719_999.0);
    check_refusal(pushline.address, "memory", 503, || status_of(pushline.address, &whole));
}

#[test]
fn a_push_that_the_output_does_not_take_is_counted_by_what_became_of_it() {
    let toml = "[output]\nack_timeout = \"300ms\"\n";
    let mut pushline = Pushline::spawn(toml, Stdio::piped());
    let mut unread = pushline.stdout();
    let address = pushline.address;
    // More than a pipe holds: the writer is stuck in the middle of it.
    let body = format!("a_b{{x=\"{}\"}} 1\n", "y".repeat(500)).repeat(6000);
    check_refusal(address, "ack_timed_out", 503, || {
        push(address, "/metrics/job/stuck", &body).status
    });
    let stuck = scrape_until(address, |figures| figures["pushline_ready"] == 0.0);
    assert_eq!(stuck["pushline_queue_batches"], 1.0);
    check_refusal(address, "stalled", 503, || push(address, "/metrics/job/x", "a_b 1\n").status);
    assert_eq!(stuck["pushline_writer_stalls_total"], 0.0, "it is not over");
    std::thread::spawn(move || unread.read_to_end(&mut Vec::new()));
    // The figures of one answer are not all of one moment: each is waited for.
    let flowing = scrape_until(address, |figures| {
        figures["pushline_lines_written_total"] == 6000.0 && figures["pushline_ready"] == 1.0
    });
    assert_eq!(flowing["pushline_writer_stalls_total"], 1.0);
    scrape_until(address, |figures| figures["pushline_queue_batches"] == 0.0);
}

#[test]
fn a_push_whose_connection_breaks_is_counted_as_cut_short() {
    let (pushline, _output) = Pushline::start("");
    let client = Client::connect(pushline.address);
    let head = raw("Expect: 100-continue\r\nContent-Length: 6\r\n\r\n");
    (&client.stream).write_all(&head).unwrap();
    client.stream.peek(&mut [0]).unwrap();
    // Closed with an unread answer, so that the connection is reset.
    drop(client);
    let series = "pushline_pushes_refused_total{reason=\"cut_short\"}";
    scrape_until(pushline.address, |figures| figures[series] == 1.0);
}

#[test]
fn what_is_no_push_is_counted_under_its_method_and_is_no_refused_push() {
    let (pushline, _output) = Pushline::start("");
    let address = pushline.address;
    let before = scrape(address);
    for (bytes, want) in [
        (b"GET / HTTP/2.0\r\n\r\n".to_vec(), 505),
        (b"DELETE /metrics/job/x HTTP/1.1\r\nContent-Length: x\r\n\r\n".to_vec(), 400),
        (b"\x16\x03\x01\x02\x00 \x01\x00\x01\xfc\r\n".to_vec(), 400),
        (request("PATCH", b"/metrics/job/x", &[], b""), 405),
        (request("POST", b"/nowhere", &[], b"a_b 1\n"), 404),
    ] {
        assert_eq!(status_of(address, &bytes), want);
    }
    let after = scrape(address);
    assert_eq!(growth(&before, &after, "pushline_pushes_refused_total"), []);
    let answers = growth(&before, &after, "pushline_http_requests_total");
    let want = [
        ("code=\"200\",method=\"GET\"", 1.0),
        ("code=\"400\",method=\"DELETE\"", 1.0),
        ("code=\"400\",method=\"other\"", 1.0),
        ("code=\"404\",method=\"POST\"", 1.0),
        ("code=\"405\",method=\"other\"", 1.0),
        ("code=\"505\",method=\"GET\"", 1.0),
    ];
    let want = want.map(|(labels, by)| (format!("pushline_http_requests_total{{{labels}}}"), by));
    assert_eq!(answers, want);
}

fn encode(coding: &str, body: &[u8]) -> Vec<u8> {
    let level = flate2::Compression::default();
    match coding {
        "gzip" => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
            encoder.write_all(body).unwrap();
            encoder.finish().unwrap()
        }
        "deflate" => {
            let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), level);
            encoder.write_all(body).unwrap();
            encoder.finish().unwrap()
        }
        "snappy" => snap::raw::Encoder::new().compress_vec(body).unwrap(),
        _ => body.to_vec(),
    }
}

#[test]
fn accepted_pushes_are_counted_by_format_and_coding_with_their_bytes_and_samples() {
    let (pushline, _output) = Pushline::start("");
    let address = pushline.address;
    // One gauge `a_b` of 1.
    let protobuf = b"\x14\x0a\x03a_b\x18\x01\x22\x0b\x12\x09\x09\0\0\0\0\0\0\xf0\x3f";
    for (format, content_type, body) in [
        ("text", "text/plain", &b"a_b 1\n"[..]),
        ("openmetrics", "application/openmetrics-text", b"a_b 1\n# EOF\n"),
        ("protobuf", "application/vnd.google.protobuf", protobuf),
    ] {
        for coding in ["identity", "gzip", "deflate", "snappy"] {
            let (sent, before) = (encode(coding, body), scrape(address));
            let headers = [("Content-Type", content_type), ("Content-Encoding", coding)];
            let answer = Client::connect(address).ask("PUT", "/metrics/job/x", &headers, &sent);
            assert_eq!(answer.status, 200, "{format} {coding}");
            let after = scrape(address);
            let labels = format!("coding=\"{coding}\",format=\"{format}\"");
            let want = (format!("pushline_pushes_total{{{labels}}}"), 1.0);
            assert_eq!(growth(&before, &after, "pushline_pushes_total"), [want]);
            let grown = |series: &str| after[series] - before[series];
            assert_eq!(grown("pushline_push_body_bytes_total"), sent.len() as f64);
            assert_eq!(grown("pushline_push_decoded_bytes_total"), body.len() as f64);
            assert_eq!(grown("pushline_samples_read_total"), 1.0);
            assert_eq!(grown("pushline_lines_written_total"), 1.0);
        }
    }
}

#[test]
fn the_figures_of_the_process_are_those_of_the_system() {
    let begun = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    let (pushline, _output) = Pushline::start("[server]\nworkers = 3\n");
    let folder = format!("/proc/{}/fd", pushline.child.id());
    let open = || std::fs::read_dir(&folder).unwrap().count() as f64;
    let mut client = Client::connect(pushline.address);
    let deadline = Instant::now() + PATIENCE;
    // A thread of a pool may come or go between the two looks.
    let figures = loop {
        let figures = read(&client.ask("GET", "/metrics", &[], b""));
        let threads = pushline.status_of("Threads") as f64;
        if figures["process_open_fds"] == open() && figures["process_threads"] == threads {
            break figures;
        }
        assert!(Instant::now() < deadline, "{figures:?}");
    };
    let started = figures["process_start_time_seconds"];
    assert!(started > begun - 1.0 && started < begun + PATIENCE.as_secs_f64(), "{started}");
    assert!(figures["process_resident_memory_bytes"] > 1e6);
    assert!(figures["process_cpu_seconds_total"] >= 0.0);
    assert!(figures["process_max_fds"] >= figures["process_open_fds"]);
    assert_eq!((figures["pushline_workers"], figures["pushline_workers_busy"]), (3.0, 1.0));
    assert_eq!(figures["pushline_connections_open"], 1.0);
}

#[test]
fn own_figures_come_to_the_output_without_being_asked_for() {
    let (pushline, output) = Pushline::start("[telemetry]\nemit_interval = \"1s\"\n");
    assert_eq!(push(pushline.address, "/metrics/job/x", "a_b 1\na_c NaN\n").status, 200);
    for line in [
        "pushline,code=200,job=pushline,method=POST http_requests_total=1 ",
        "pushline,coding=identity,format=text,job=pushline pushes_total=1 ",
        "pushline,job=pushline,reason=not_finite samples_skipped_total=1 ",
        "pushline,job=pushline samples_read_total=2 ",
        "pushline,job=pushline telemetry_emitted_total=1 ",
        "process,job=pushline open_fds=",
    ] {
        output.wait_for_text(line);
    }
    // They are lines on the output, and no push.
    let figures = scrape(pushline.address);
    assert!(figures["pushline_telemetry_emitted_total"] >= 1.0);
    assert!(figures["pushline_lines_written_total"] > 50.0);
    assert_eq!(figures["pushline_samples_read_total"], 2.0);
    assert_eq!(figures["pushline_pushes_total{coding=\"identity\",format=\"text\"}"], 1.0);
}

#[test]
fn own_figures_that_nobody_takes_are_skipped_and_counted() {
    let toml = "[telemetry]\nemit_interval = \"1s\"\n\
                [output]\ntarget = \"tcp://127.0.0.1:1\"\ndrain_timeout = \"24h\"\n";
    let mut pushline = Pushline::spawn(toml, Stdio::null());
    scrape_until(pushline.address, |figures| figures["pushline_telemetry_skipped_total"] >= 1.0);
    pushline.signal("TERM");
    assert!(pushline.wait().success(), "nothing is lost");
}

#[test]
fn own_figures_that_hang_in_the_output_do_not_hold_up_the_end() {
    let toml = "[telemetry]\nemit_interval = \"1s\"\n\
                [output]\nack_timeout = \"1ms\"\ndrain_timeout = \"24h\"\n";
    // An output that is full from the start: the first line that is written never returns.
    let (_unread, full) = UnixStream::pair().unwrap();
    full.set_nonblocking(true).unwrap();
    while (&full).write(&[b'x'; 4096]).is_ok() {}
    while (&full).write(b"x").is_ok() {}
    full.set_nonblocking(false).unwrap();
    let mut pushline = Pushline::spawn(toml, Stdio::from(OwnedFd::from(full)));
    scrape_until(pushline.address, |figures| figures["pushline_ready"] == 0.0);
    pushline.signal("TERM");
    assert!(pushline.wait().success(), "nothing is lost");
    pushline.log.wait_for_text("the output did not take our own figures");
}

#[test]
fn the_manual_names_every_metric_and_every_reason() {
    let manual = include_str!("../../scripts/packaging/metrics.md");
    let (pushline, _output) = Pushline::start("");
    let answer = Client::connect(pushline.address).ask("GET", "/metrics", &[], b"");
    let words = answer.text().lines().filter_map(|line| match line.strip_prefix("# TYPE ") {
        Some(family) => family.split(' ').next(),
        None => line.split("{reason=\"").nth(1)?.split('"').next(),
    });
    let words: Vec<_> = words.collect();
    assert!(words.len() > 50, "{words:?}");
    for word in words {
        assert!(manual.contains(&format!("`{word}`")), "{word} is not in the manual");
    }
}
