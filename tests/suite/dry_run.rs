//! `?dry_run=1`: a push that is answered with its lines instead of being written.

use crate::golden::{now_ns, toml};
use crate::http::{Client, request};
use crate::process::{PATIENCE, Pushline};
use crate::{lines, vectors};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Instant;

/// The value of one of the process's own figures.
fn figure(address: SocketAddr, name: &str) -> u64 {
    let answer = Client::connect(address).ask("GET", "/metrics", &[], b"");
    let line = answer.text().lines().find(|line| line.starts_with(&format!("{name} ")));
    line.unwrap().rsplit_once(' ').unwrap().1.parse().unwrap()
}

#[test]
fn a_dry_run_is_answered_with_its_lines_and_writes_nothing() {
    let (pushline, output) = Pushline::start("");
    let mut client = Client::connect(pushline.address);
    let body = "# TYPE s summary\ns_sum 1 9\ns_count 2 9\na_b{x=\"y\"} 3 9\na_c NaN\n";
    for query in ["?dry_run=1", "?dry_run", "?x=y&dry_run=true"] {
        for method in ["POST", "PUT"] {
            let path = format!("/metrics/job/j/zone/eu{query}");
            let answer = client.ask(method, &path, &[], body.as_bytes());
            assert_eq!(answer.status, 200);
            assert_eq!(answer.header("Content-Type"), Some("text/plain; charset=utf-8"));
            assert_eq!(answer.header("X-Content-Type-Options"), Some("nosniff"));
            let want = "s,job=j,zone=eu s_sum=1,s_count=2 9000000\n\
                        a,job=j,x=y,zone=eu b=3 9000000\n\
                        # 1 of 4 samples skipped: 1 NaN or infinite\n\
                        # 3 timestamps are before 2000 or more than a day ahead: an integer is \
                        milliseconds here, not seconds\n";
            assert_eq!(answer.text(), want);
        }
    }
    // One without lines is answered with none.
    let answer = client.push("/metrics/job/j?dry_run=1", "# nothing\n");
    assert_eq!((answer.status, answer.text()), (200, ""));
    for name in ["pushline_samples_read_total", "pushline_push_decoded_bytes_total"] {
        assert_eq!(figure(pushline.address, name), 0, "{name}");
    }
    let answer = client.ask("GET", "/metrics", &[], b"");
    let counted = "pushline_samples_skipped_total{reason=\"not_finite\"} 0";
    assert!(answer.text().contains(counted), "{}", answer.text());
    // An ordinary push comes after them, and nothing before it.
    assert_eq!(client.push("/metrics/job/real?dry_run=0", "a_b 1 9\n").status, 200);
    output.wait_for_text("\n");
    assert_eq!(output.snapshot(), b"a,job=real b=1 9000000\n");
}

#[test]
fn dry_runs_of_golden_pushes_are_answered_with_their_lines_or_their_refusal() {
    let mut groups: BTreeMap<String, Vec<vectors::Case>> = BTreeMap::new();
    for case in vectors::all() {
        if case.is_whole_push() && !case.path.contains(&b'?') && !case.path.contains(&b'#') {
            groups.entry(toml(&case.options)).or_default().push(case);
        }
    }
    let (mut count, mut failures) = (0, Vec::new());
    for (config, cases) in &groups {
        let (pushline, output) = Pushline::start(config);
        for case in cases {
            let headers: Vec<_> =
                case.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            let path = [&*case.path, b"?dry_run=1"].concat();
            let before = now_ns();
            let mut client = Client::connect(pushline.address);
            // A refusal may come before all is sent.
            client.send(&request(&case.method, &path, &headers, &case.body)).ok();
            let answer = client.read_answer(true).unwrap();
            let lines = if answer.status == 200 { answer.lines() } else { Vec::new() };
            let fields = lines::read(&lines);
            let is_now = |time: &i64| (before..=now_ns()).contains(time);
            let now = fields.iter().map(|field| field.time).find(is_now);
            let found = fields.iter().map(|field| field.with_now(now)).collect();
            let (found, want) = (case.comparable(found), case.comparable(case.lines.clone()));
            let is_told = answer.status == 200 || !answer.body.is_empty();
            if answer.status != case.status || found != want || !is_told {
                failures.push(format!("{}: {}\n {found:?}\n {want:?}", case.name, answer.status));
            }
            count += 1;
        }
        assert_eq!(output.snapshot(), b"", "{config}");
        assert_eq!(figure(pushline.address, "pushline_lines_written_total"), 0, "{config}");
    }
    println!("{count} golden pushes as dry runs, {} processes", groups.len());
    assert!(failures.is_empty(), "{} failures\n{}", failures.len(), failures.join("\n"));
    assert!(count > 650, "only {count} vectors ran");
}

#[test]
fn a_dry_run_needs_no_output_and_the_credentials_of_a_push() {
    use std::os::unix::fs::PermissionsExt;
    let folder = crate::process::folder();
    let auth = folder.join("auth");
    std::fs::write(&auth, "bearer t0ken\n").unwrap();
    std::fs::set_permissions(&auth, std::fs::Permissions::from_mode(0o600)).unwrap();
    // Nobody listens on port 1.
    let toml = format!(
        "[server]\nauth_file = \"{}\"\n[output]\ntarget = \"tcp://127.0.0.1:1\"\nack_timeout = \"100ms\"\n",
        auth.display()
    );
    let (pushline, _output) = Pushline::start(&toml);
    let path = "/metrics/job/j?dry_run=1";
    assert_eq!(Client::connect(pushline.address).push(path, "a_b 1 9\n").status, 401);
    let mut client = Client::connect(pushline.address);
    let token = [("Authorization", "Bearer t0ken")];
    assert_eq!(client.ask("POST", "/metrics/job/j", &token, b"a_b 1\n").status, 503);
    let answer = client.ask("POST", path, &token, b"a_b 1 9\n");
    assert_eq!((answer.status, &*answer.lines()), (200, &b"a,job=j b=1 9000000\n"[..]));
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_large_answer_comes_whole_and_its_memory_goes_back() {
    const CONNECTIONS: usize = 24;
    const SAMPLES: usize = 560;
    let (pushline, _output) = Pushline::start("[server]\nidle_timeout = \"10m\"\n");
    // Long lines: what they cost is to be written, not made.
    let job = "large".repeat(2400);
    let body = b"a_b 1 9\n".repeat(SAMPLES);
    let line = format!("a,job={job} b=1 9000000\n").into_bytes();
    let mut clients: Vec<_> = (0..CONNECTIONS).map(|_| Client::connect(pushline.address)).collect();
    let mut answered = 0;
    for client in &mut clients {
        let answer = client.ask("POST", &format!("/metrics/job/{job}?dry_run=1"), &[], &body);
        let lines = answer.lines();
        assert_eq!((answer.status, lines.len()), (200, SAMPLES * line.len()));
        assert!(lines.chunks(line.len()).all(|found| found == line));
        answered += answer.body.len();
        // What follows on the same connection is its own answer.
        assert_eq!(client.push("/metrics/job/small", "a_b 1\n").body, b"");
    }
    let rss_kib = pushline.status_of("VmRSS") as usize;
    println!(
        "{CONNECTIONS} idle connections, {} KiB answered, {rss_kib} KiB resident",
        answered / 1024
    );
    assert!(rss_kib < answered / 1024 / 2, "{rss_kib} KiB");
    assert_eq!(figure(pushline.address, "pushline_buffered_bytes"), 0);
}

#[test]
fn large_answers_that_nobody_reads_are_bounded_together_and_leave_pushes_served() {
    const SAMPLES: u64 = 900;
    let toml = "[server]\nmax_body_bytes = \"4MiB\"\nmax_buffered_bytes = \"32MiB\"\n\
                body_timeout = \"100s\"\n";
    let (pushline, _output) = Pushline::start(toml);
    let address = pushline.address;
    // Long lines: an answer is made in a small part of the time that its client is waited for.
    let job = "deaf".repeat(3000);
    let line = format!("a,job={job} b=1 9000000\n");
    // An answer is more than the buffers of a socket hold; one of them fits the half of the memory
    // for bodies that answers may have.
    let body = b"a_b 1 9\n".repeat(SAMPLES as usize);
    let path = format!("/metrics/job/{job}?dry_run=1");
    let whole = request("POST", path.as_bytes(), &[], &body);
    let wait_until = |is_enough: &dyn Fn(u64) -> bool, what: &str| {
        let deadline = Instant::now() + PATIENCE;
        while !is_enough(figure(address, "pushline_buffered_bytes")) {
            assert!(Instant::now() < deadline, "{what}");
        }
    };
    let mut deaf = Client::connect(address);
    deaf.send(&whole).unwrap();
    let held = SAMPLES * line.len() as u64;
    wait_until(&|bytes| bytes >= held, "the answer is not held");
    let mut second = Client::connect(address);
    second.send(&whole).unwrap();
    let refusal = second.read_answer(true).unwrap();
    assert_eq!((refusal.status, refusal.header("Retry-After")), (503, Some("5")));
    assert!(refusal.text().contains("server.max_buffered_bytes"), "{}", refusal.text());
    assert_eq!(Client::connect(address).push("/metrics/job/x", "a_b 1\n").status, 200);
    // They are given up, and their memory comes back.
    wait_until(&|bytes| bytes == 0, "the memory does not come back");
    let answer = Client::connect(address).push(&path, "a_b 1 9\n");
    assert_eq!((answer.status, answer.lines()), (200, line.clone().into_bytes()));
    assert!(deaf.read_answer(true).is_err(), "an answer came whole to one that did not read");
}

#[test]
fn a_dry_run_that_is_refused_is_counted_as_no_push() {
    let toml = "[server]\nmax_body_bytes = \"16KiB\"\nbody_timeout = \"1s\"\n";
    let (pushline, _output) = Pushline::start(toml);
    let address = pushline.address;
    // So small that it is sent whole, whether or not its refusal waits for the rest.
    let large = b"a_b 1\n".repeat(3000);
    let ask = |path: &str, headers: &[(&str, &str)], body: &[u8]| {
        let mut client = Client::connect(address);
        client.send(&request("POST", path.as_bytes(), headers, body)).ok();
        client.read_answer(true).unwrap().status
    };
    // Each of them is refused at another place: the URL, the coding, the text, the size as
    // announced and as it comes, the head, the framing, the time.
    let cut = [("Content-Length", "100")];
    let chunked = [("Transfer-Encoding", "chunked")];
    let both = [("Transfer-Encoding", "chunked"), ("Content-Length", "6")];
    let many: Vec<_> = (0..70).map(|_| ("A", "b")).collect();
    let refusals = |query: &str| {
        let path = format!("/metrics/job/j{query}");
        [
            ask(&format!("/metrics/job/j/a{query}"), &[], b"a_b 1\n"),
            ask(&path, &[("Content-Encoding", "br")], b"a_b 1\n"),
            ask(&path, &[], b"a_b{x=\"y} 1\n"),
            ask(&path, &[], &large),
            ask(&path, &chunked, &large),
            ask(&path, &many, b"a_b 1\n"),
            ask(&path, &both, b"6\r\na_b 1\n\r\n0\r\n\r\n"),
            ask(&path, &cut, b"a_b 1\n"),
        ]
    };
    let counted = || {
        let metrics = Client::connect(address).ask("GET", "/metrics", &[], b"");
        let refused = metrics.text().lines().filter(|line| {
            line.starts_with("pushline_pushes_refused_total{") && !line.ends_with(" 0")
        });
        let refused: u64 =
            refused.map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()).sum();
        let report = Client::connect(address).ask("GET", "/api/v1/status", &[], b"");
        let report: serde_json::Value = serde_json::from_str(report.text()).unwrap();
        (refused, report["pushes_refused"].as_u64().unwrap())
    };
    let want = [400, 415, 400, 413, 413, 431, 400, 408];
    assert_eq!(refusals("?dry_run"), want);
    assert_eq!(counted(), (0, 0));
    assert_eq!(refusals(""), want);
    // Those that fail before their group is known are told of otherwise on the page.
    assert_eq!(counted(), (8, 2));
}
