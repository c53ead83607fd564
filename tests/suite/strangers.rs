//! Strangers who hold places and memory, or speak for somebody else: each fault that was found under
//! attack has a test here that bears its name, over real sockets.

use crate::http::{Client, push, request};
use crate::process::{PATIENCE, Pushline, command};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The value of one of the process's own figures.
fn figure(address: SocketAddr, name: &str) -> u64 {
    let metrics = Client::connect(address).ask("GET", "/metrics", &[], b"");
    let of_name = |line: &&str| line.split_once(' ').is_some_and(|(known, _)| known == name);
    let line = metrics.text().lines().find(of_name).unwrap_or_else(|| panic!("no {name}"));
    line.rsplit_once(' ').unwrap().1.parse().unwrap()
}

fn wait_until(mut is_so: impl FnMut() -> bool, what: &str) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
    }
}

/// A pushline whose output takes nothing, and which waits for it as long as a test takes.
fn stalled(server: &str) -> Pushline {
    // Nobody listens on port 1.
    let output = "[output]\ntarget = \"tcp://127.0.0.1:1\"\nack_timeout = \"100s\"\n";
    Pushline::spawn(&format!("[server]\n{server}{output}"), Stdio::null())
}

#[test]
fn unfinished_requests_at_max_connections_make_room_for_a_whole_one() {
    let slow = "head_timeout = \"100s\"\nbody_timeout = \"100s\"\nmax_connections = 8\n";
    let half_head: &[u8] = b"POST /metrics/job/x HTTP/1.1\r\nA: ";
    let half_body = b"POST /metrics/job/x HTTP/1.1\r\nContent-Length: 100\r\n\r\na_b";
    let half_chunk = b"POST /metrics/job/x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\na";
    for unfinished in [half_head, half_body, half_chunk] {
        let (pushline, _output) = Pushline::start(&format!("[server]\n{slow}"));
        let mut holders: Vec<_> = (0..8).map(|_| Client::connect(pushline.address)).collect();
        for holder in &mut holders {
            holder.send_through(unfinished);
        }
        // Once this is answered, all of them have a place, and what they sent is read. A probe
        // takes none.
        let probe = || Client::connect(pushline.address).ask("GET", "/-/ready", &[], b"").status;
        assert_eq!(probe(), 200);
        assert_eq!(push(pushline.address, "/metrics/job/whole", "a_b 1\n").status, 200);
        let told = holders[0].read_answer(true).unwrap();
        assert_eq!(told.status, 503, "the oldest one: {}", told.text());
        assert!(told.text().contains("server.max_connections"), "{}", told.text());
        for _ in 0..20 {
            assert_eq!(push(pushline.address, "/metrics/job/whole", "a_b 1\n").status, 200);
        }
    }
}

#[test]
fn clients_that_read_no_answer_make_room_for_a_whole_request() {
    let toml = "[server]\nmax_connections = 4\nbody_timeout = \"100s\"\n";
    let (pushline, _output) = Pushline::start(toml);
    let body = b"a_b 1 9\n".repeat(500_000);
    let mut deaf = Vec::new();
    for _ in 0..4 {
        let mut client = Client::connect(pushline.address);
        client.send(&request("POST", b"/metrics/job/deaf?dry_run=1", &[], &body)).unwrap();
        deaf.push(client);
    }
    // Whoever pushes is served, and in the end in the place of one of them.
    wait_until(
        || {
            assert_eq!(push(pushline.address, "/metrics/job/whole", "a_b 1\n").status, 200);
            figure(pushline.address, "pushline_connections_evicted_total") > 0
        },
        "none makes room",
    );
}

#[test]
fn a_probe_is_answered_while_every_place_waits_for_the_output() {
    const SERVED: usize = 4 + 56;
    let pushline = stalled("max_connections = 4\n");
    let whole = request("POST", b"/metrics/job/x", &[], b"a_b 1\n");
    // Each sends its push before the next one connects: an idle connection would make room.
    let mut pushers: Vec<_> = (0..SERVED)
        .map(|_| {
            let mut pusher = Client::connect(pushline.address);
            pusher.send_through(&whole);
            pusher
        })
        .collect();
    // A push that comes now finds no place, and is told so at once.
    let refusal = loop {
        let mut client = Client::connect(pushline.address);
        client.send(&whole).unwrap();
        client.stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        match client.read_answer(true) {
            Ok(answer) => break answer,
            // It has taken the last place.
            Err(_) => pushers.push(client),
        }
        assert!(pushers.len() < SERVED + 10, "places without end");
    };
    assert_eq!((refusal.status, refusal.header("Retry-After")), (503, Some("5")));
    assert!(refusal.text().contains("all 4 connections are in use"), "{}", refusal.text());
    for _ in 0..20 {
        let healthy = Client::connect(pushline.address).ask("GET", "/-/healthy", &[], b"");
        assert_eq!((healthy.status, healthy.text()), (200, "healthy\n"));
    }
}

#[test]
fn what_has_had_its_time_makes_room_though_nothing_else_happens() {
    let toml = "[server]\nmax_connections = 2\nhead_timeout = \"300ms\"\n";
    let (pushline, _output) = Pushline::start(toml);
    let mut holders = [(); 2].map(|()| Client::connect(pushline.address));
    for holder in &mut holders {
        holder.send_through(b"POST /metr");
    }
    let mut third = Client::connect(pushline.address);
    for holder in &mut holders {
        assert_eq!(holder.read_answer(true).unwrap().status, 408);
    }
    assert_eq!(third.push("/metrics/job/third", "a_b 1\n").status, 200);
}

#[test]
fn announced_bodies_of_which_nothing_came_take_no_memory() {
    let toml = "[server]\nmax_body_bytes = \"1MiB\"\nmax_buffered_bytes = \"1MiB\"\n";
    let (pushline, _output) = Pushline::start(toml);
    let head = b"POST /metrics/job/x HTTP/1.1\r\nContent-Length: 1000000\r\n\r\na_b";
    let mut holders: Vec<_> = (0..100).map(|_| Client::connect(pushline.address)).collect();
    for holder in &mut holders {
        holder.send_through(head);
    }
    wait_until(
        || figure(pushline.address, "pushline_buffered_bytes") >= 100 * 3,
        "their bytes do not come",
    );
    // A body that takes nearly all of the memory for bodies has room.
    let body = b"a_b 1\n".repeat(150_000);
    let answer = Client::connect(pushline.address).ask("POST", "/metrics/job/large", &[], &body);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let held = figure(pushline.address, "pushline_buffered_bytes");
    assert!(held <= 100 * 64, "{held} bytes are held for {} that came", 100 * 3);
}

#[test]
fn a_status_is_taken_from_the_memory_for_bodies_and_the_probes_are_not() {
    let toml = "[server]\nmax_body_bytes = \"1KiB\"\nmax_buffered_bytes = \"64KiB\"\n";
    let (pushline, _output) = Pushline::start(toml);
    let ask = |path: &str| Client::connect(pushline.address).ask("GET", path, &[], b"");
    assert_eq!(ask("/api/v1/status").status, 200);
    let mut client = Client::connect(pushline.address);
    for group in 0..100 {
        let job = format!("/metrics/job/{group}/long/{}", "x".repeat(400));
        assert_eq!(client.push(&job, &format!("a_b{{y=\"{job}\"}} 1\n")).status, 200);
    }
    let refusal = ask("/api/v1/status");
    assert_eq!((refusal.status, refusal.header("Retry-After")), (503, Some("5")));
    assert!(refusal.text().contains("server.max_buffered_bytes"), "{}", refusal.text());
    for path in ["/-/ready", "/-/healthy", "/metrics"] {
        assert_eq!(ask(path).status, 200, "{path}");
    }
}

/// Takes what is left of the memory for bodies, down to less than a small body; and what the end of an
/// unread answer gives back, where the machine is that slow.
fn hold_what_is_left(address: SocketAddr) -> Vec<Client> {
    let sizes = [512 << 10, 128 << 10, 40 << 10, 24 << 10];
    let (mut holders, mut next) = (Vec::new(), 0);
    while let Some(bytes) = sizes.get(next) {
        let before = figure(address, "pushline_buffered_bytes");
        let whole = request("POST", b"/metrics/job/large", &[], &vec![b'#'; *bytes]);
        let mut client = Client::connect(address);
        client.send(&whole[..whole.len() - 1]).ok();
        // A large one is refused once it has waited for its turn for a second.
        client.stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let is_held = (0..100).find_map(|_| match client.stream.peek(&mut [0]) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                let held = figure(address, "pushline_buffered_bytes");
                (held >= before + *bytes as u64 / 2).then_some(true)
            }
            _ => Some(false),
        });
        if is_held == Some(false) {
            // A client that is still sending may lose the answer.
            if let Ok(answer) = client.read_answer(true) {
                assert_eq!(answer.status, 503);
            }
            next += 1;
        } else {
            holders.push(client);
            next = 0;
        }
    }
    holders
}

#[test]
fn a_small_push_has_room_whatever_large_bodies_and_unread_answers_hold() {
    // No body that is held ends before the memory is used up, however slow the machine.
    let toml = "[server]\nmax_body_bytes = \"24MiB\"\nmax_buffered_bytes = \"32MiB\"\n\
                body_timeout = \"10m\"\n";
    let (pushline, _output) = Pushline::start(toml);
    // Its answer is below the share of answers, and more than the buffers of a socket hold.
    let body = b"a_b 1 9\n".repeat(500_000);
    let mut deaf = Client::connect(pushline.address);
    deaf.send(&request("POST", b"/metrics/job/deaf?dry_run=1", &[], &body)).unwrap();
    wait_until(
        || figure(pushline.address, "pushline_buffered_bytes") > 11_000_000,
        "the answer is not held",
    );
    let whole = request("POST", b"/metrics/job/large", &[], &vec![b'#'; 20_000_000]);
    let mut holder = Client::connect(pushline.address);
    holder.send(&whole[..whole.len() - 1]).unwrap();
    wait_until(
        || figure(pushline.address, "pushline_buffered_bytes") > 31_000_000,
        "the body is not held",
    );
    let _holders = hold_what_is_left(pushline.address);
    let small = "a_b 1\n".repeat(2000);
    for _ in 0..20 {
        assert_eq!(push(pushline.address, "/metrics/job/small", &small).status, 200);
    }
}

#[test]
fn requests_that_are_sent_ahead_are_counted_and_bounded() {
    const CLIENTS: usize = 60;
    let pushline = stalled("max_body_bytes = \"1MiB\"\nmax_buffered_bytes = \"1MiB\"\n");
    let whole = request("POST", b"/metrics/job/x", &[], b"a_b 1\n");
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| Client::connect(pushline.address)).collect();
    let ahead = whole.repeat(64 * 1024 / whole.len());
    for client in &mut clients {
        client.send(&ahead).unwrap();
    }
    wait_until(
        || figure(pushline.address, "pushline_buffered_bytes") > 800_000,
        "what was sent ahead is not counted",
    );
    wait_until(
        || figure(pushline.address, "pushline_queue_batches") >= CLIENTS as u64,
        "the first requests are not served",
    );
    let held = figure(pushline.address, "pushline_buffered_bytes");
    let free = CLIENTS as u64 * 16 * 1024;
    assert!(held <= (1 << 20) + free, "{held} bytes are held");
}

#[test]
fn no_web_page_of_another_site_may_push_or_read() {
    let (pushline, output) = Pushline::start("");
    let mut client = Client::connect(pushline.address);
    for (site, method, path, want) in [
        ("cross-site", "POST", "/metrics/job/evil", 403),
        ("Same-Site", "PUT", "/metrics/job/evil", 403),
        ("cross-site", "POST", "/metrics/job/evil?dry_run=1", 403),
        ("cross-site", "GET", "/", 403),
        ("cross-site", "GET", "/api/v1/status", 403),
        ("same-site", "GET", "/metrics", 403),
        ("cross-site", "OPTIONS", "/metrics/job/evil", 403),
        ("cross-site", "GET", "/-/healthy", 200),
        ("cross-site", "GET", "/-/ready", 200),
        ("same-origin", "GET", "/api/v1/status", 200),
        ("none", "GET", "/api/v1/status", 200),
        ("same-origin", "POST", "/metrics/job/good", 200),
    ] {
        let answer = client.ask(method, path, &[("Sec-Fetch-Site", site)], b"a_b 1\n");
        assert_eq!(answer.status, want, "{site} {method} {path}");
        if want == 403 {
            assert!(answer.text().contains("Sec-Fetch-Site"), "{}", answer.text());
            client = Client::connect(pushline.address);
        }
    }
    let counted = "pushline_http_requests_total{code=\"403\",method=\"POST\"}";
    assert_eq!(figure(pushline.address, counted), 2);
    output.wait_for_text("job=good");
    assert!(!String::from_utf8(output.snapshot()).unwrap().contains("evil"));
}

#[test]
fn framing_that_two_readers_could_read_in_two_ways_is_refused() {
    let (pushline, output) = Pushline::start("");
    let chunked = |body: &str| {
        format!("POST /metrics/job/x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{body}")
    };
    for (name, bytes, want) in [
        ("LF after a size", chunked("6\na_b 1\n\r\n0\r\n\r\n"), 400),
        ("LF after data", chunked("6\r\na_b 1\n\n0\r\n\r\n"), 400),
        ("LF after the last size", chunked("6\r\na_b 1\n\r\n0\n\r\n"), 400),
        ("LF at the end", chunked("6\r\na_b 1\n\r\n0\r\n\n"), 400),
        ("a request as a trailer", chunked("0\r\nPOST /metrics/job/evil HTTP/1.1\r\n\r\n"), 400),
        ("a length as a trailer", chunked("0\r\nContent-Length: 5\r\n\r\n"), 400),
        ("a trailer", chunked("6\r\na_b 1\n\r\n0\r\nX-Sum: 1\r\n\r\n"), 200),
        ("a blank in the target", "GET /a b HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("a blank at its end", "GET /  HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("a tab in the target", "GET /a\tb HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("two hosts", "GET /metrics HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n".to_owned(), 400),
        ("another version", "GET / HTTP/3.0\r\n\r\n".to_owned(), 505),
    ] {
        let mut client = Client::connect(pushline.address);
        client.send(bytes.as_bytes()).unwrap();
        client.end_sending();
        assert_eq!(client.read_answer(true).unwrap().status, want, "{name}");
    }
    output.wait_for_text("job=x");
    assert!(!String::from_utf8(output.snapshot()).unwrap().contains("evil"));
}

/// Joins the private socket of a process that starts, if it can: prints what it got.
const INTRUDER: &str = "\
import os, re, socket, subprocess, sys
child = subprocess.Popen(sys.argv[1:], stdout=open(os.devnull, 'w'), stderr=subprocess.PIPE)
joined = 0
seen = set()
os.set_blocking(child.stderr.fileno(), False)
log = b''
while b'msg=listening' not in log and child.poll() is None:
    log += child.stderr.read() or b''
    for name in re.findall(r'@(pushline-[0-9a-f]+)$', open('/proc/net/unix').read(), re.M):
        client = socket.socket(socket.AF_UNIX)
        client.setblocking(False)
        try:
            client.connect('\\0' + name)
        except OSError:
            continue
        client.settimeout(0.2)
        try:
            client.sendall(b'GET /-/healthy HTTP/1.1\\r\\n\\r\\n')
            joined += bool(client.recv(1))
        except OSError:
            pass
        seen.add(client)
print(child.poll() is None, joined)
child.kill()
";

#[test]
fn nobody_joins_the_private_socket_of_a_process_that_starts() {
    for _ in 0..5 {
        let mut python = Command::new("python3");
        python.args(["-c", INTRUDER]).arg(command().get_program());
        python.env("PUSHLINE_SERVER_LISTEN", "127.0.0.1:0");
        let told = python.output().unwrap();
        assert_eq!(String::from_utf8(told.stdout).unwrap(), "True 0\n", "it serves, and alone");
    }
}
