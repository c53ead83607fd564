//! Peers that mean harm, over real sockets: each gets a clear refusal or a close, and the next
//! ordinary push is served.

use crate::http::{Client, push, request};
use crate::process::{Collected, PATIENCE, Pushline, command};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// An ordinary push must be served, now.
fn assert_serves(address: SocketAddr) {
    let answer = push(address, "/metrics/job/ordinary", "a_b 1\n");
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// Sends bytes on a connection of their own; the status of the answer, 0 where there was none.
fn status_of(address: SocketAddr, bytes: &[u8]) -> u16 {
    let mut client = Client::connect(address);
    client.send(bytes).ok();
    client.end_sending();
    client.read_answer(true).map_or(0, |answer| answer.status)
}

#[test]
fn requests_that_kill_tiny_http_are_refused_and_the_next_push_is_served() {
    let (pushline, _) = Pushline::start("");
    let address = pushline.address;
    let line = "POST /metrics/job/x HTTP/1.1\r\nHost: x\r\n";
    let with = |rest: &str| format!("{line}{rest}").into_bytes();
    let many_headers = format!("{line}{}\r\n", "A: b\r\n".repeat(100));
    let endless_line = format!("{line}A: {}", "b".repeat(100_000));
    let cases: Vec<(&str, Vec<u8>, u16)> = vec![
        ("huge length", with("Content-Length: 1000000000000000\r\n\r\n"), 413),
        ("length beyond 64 bits", with("Content-Length: 99999999999999999999999\r\n\r\n"), 413),
        ("negative length", with("Content-Length: -1\r\n\r\n"), 400),
        ("signed length", with("Content-Length: +6\r\n\r\na_b 1\n"), 400),
        ("two lengths", with("Content-Length: 6\r\nContent-Length: 6\r\n\r\na_b 1\n"), 400),
        ("a list of lengths", with("Content-Length: 6, 6\r\n\r\na_b 1\n"), 400),
        ("length in words", with("Content-Length: six\r\n\r\n"), 400),
        ("empty length", with("Content-Length:\r\n\r\n"), 400),
        (
            "length and coding",
            with("Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            400,
        ),
        (
            "coding twice",
            with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            400,
        ),
        ("chunked not last", with("Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n"), 400),
        ("another coding", with("Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"), 400),
        (
            "chunked in 1.0",
            b"POST /metrics/job/x HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_vec(),
            400,
        ),
        (
            "bad chunk size",
            with("Transfer-Encoding: chunked\r\n\r\nzz\r\na_b 1\n\r\n0\r\n\r\n"),
            400,
        ),
        ("huge chunk size", with("Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n"), 400),
        (
            "chunk longer than its size",
            with("Transfer-Encoding: chunked\r\n\r\n3\r\na_b 1\n\r\n0\r\n\r\n"),
            400,
        ),
        ("chunks cut short", with("Transfer-Encoding: chunked\r\n\r\n6\r\na_b"), 400),
        ("HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), 505),
        ("HTTP/2.0", b"GET / HTTP/2.0\r\n\r\n".to_vec(), 505),
        ("HTTP/0.9", b"GET /\r\n\r\n".to_vec(), 400),
        ("folded header", with("A: b\r\n c\r\n\r\n"), 400),
        ("NUL in a header", with("A: b\0c\r\n\r\n"), 400),
        ("NUL in the target", b"GET /\0 HTTP/1.1\r\n\r\n".to_vec(), 400),
        ("blank in a header name", with("A b: c\r\n\r\n"), 400),
        ("blank before the colon", with("Content-Length : 6\r\n\r\na_b 1\n"), 400),
        ("not ASCII in a header name", with("Ä: b\r\n\r\n"), 400),
        ("not UTF-8 in the target", b"GET /\xff HTTP/1.1\r\n\r\n".to_vec(), 400),
        ("a hundred headers", many_headers.into_bytes(), 431),
        ("endless header line", endless_line.into_bytes(), 431),
        ("nothing", Vec::new(), 0),
        ("a cut head", b"POST /metr".to_vec(), 0),
        ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(), 400),
    ];
    for (name, bytes, want) in &cases {
        assert_eq!(status_of(address, bytes), *want, "{name}");
        assert_serves(address);
    }
    // Header values beyond ASCII are legal (RFC 9110, section 5.5), and harm nobody.
    assert_eq!(
        status_of(address, &with("A: ä\r\nContent-Type: ü\r\nContent-Length: 0\r\n\r\n")),
        200
    );
    println!("{} killing requests refused, each followed by a push that was served", cases.len());
}

#[test]
fn sixty_four_megabytes_of_headers_are_refused_early() {
    let (pushline, _) = Pushline::start("");
    let mut stream = TcpStream::connect(pushline.address).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n").unwrap();
    let chunk = "A: b\r\n".repeat(10_000);
    let mut sent = 0;
    while sent < 64 << 20 && stream.write_all(chunk.as_bytes()).is_ok() {
        sent += chunk.len();
    }
    assert_serves(pushline.address);
    let rss_kib = pushline.status_of("VmRSS");
    println!("{sent} bytes of headers taken at most, resident {rss_kib} KiB");
    assert!(rss_kib < 64 * 1024);
}

#[test]
fn pipelined_requests_are_answered_in_order_and_no_body_becomes_a_request() {
    let (pushline, output) = Pushline::start("");
    let mut client = Client::connect(pushline.address);
    let three = [
        request("POST", b"/metrics/job/one", &[], b"a_b 1\n"),
        request("GET", b"/-/healthy", &[], b""),
        request("POST", b"/metrics/job/two", &[("Transfer-Encoding", "chunked")], b"a_b 2\n"),
    ];
    client.send(&three.concat()).unwrap();
    let statuses = [(); 3].map(|()| client.read_answer(true).unwrap());
    assert_eq!(statuses.each_ref().map(|answer| answer.status), [200, 200, 200]);
    assert_eq!(statuses[1].text(), "healthy\n");
    // After a refused request nothing is served: where the next one begins is not known.
    let smuggled = request("POST", b"/metrics/job/smuggled", &[], b"evil_x 1\n");
    for head in [
        "POST /metrics/job/x HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /metrics/job/x HTTP/1.1\r\nContent-Length: 0\r\nContent-Length: 5\r\n\r\n",
        "POST /metrics/job/x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0;\x01\r\n\r\n",
        "POST /metrics/job/x HTTP/1.1\r\nTransfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
        "GET /-/healthy HTTP/1.1\r\nA: b\r\n\tc\r\n\r\n",
    ] {
        let mut client = Client::connect(pushline.address);
        client.send(&[head.as_bytes(), &smuggled].concat()).ok();
        assert_eq!(client.read_answer(true).unwrap().status, 400, "{head:?}");
        assert!(client.is_closed(), "{head:?}");
    }
    // A body that looks like a request stays a body, whatever the route does with it.
    for path in ["/metrics/job/x", "/nowhere", "/-/healthy"] {
        let mut client = Client::connect(pushline.address);
        client.send(&request("POST", path.as_bytes(), &[], &smuggled)).unwrap();
        let status = client.read_answer(true).unwrap().status;
        assert_eq!(status, if path == "/metrics/job/x" { 400 } else { 404 });
        assert_eq!(client.push("/metrics/job/after", "a_b 3\n").status, 200);
    }
    let text = String::from_utf8(output.take_until(|bytes| bytes.ends_with(b"\n"))).unwrap();
    assert!(!text.contains("evil"), "{text}");
}

#[test]
fn a_continue_is_sent_before_the_body_and_a_refusal_instead_of_it() {
    let (pushline, _) = Pushline::start("[server]\nmax_body_bytes = \"1KiB\"\n");
    let mut client = Client::connect(pushline.address);
    let head = |length: usize| {
        format!(
            "POST /metrics/job/x HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n"
        )
    };
    client.send(head(6).as_bytes()).unwrap();
    assert_eq!(client.read_answer(true).unwrap().status, 100);
    client.send(b"a_b 1\n").unwrap();
    assert_eq!(client.read_answer(true).unwrap().status, 200);
    client.send(head(1025).as_bytes()).unwrap();
    let answer = client.read_answer(true).unwrap();
    assert_eq!(answer.status, 413);
    assert_eq!(answer.text(), "the body is larger than 1024 bytes (server.max_body_bytes)\n");
}

#[test]
fn http_1_0_and_keep_alive_end_as_they_were_asked() {
    let (pushline, _) = Pushline::start("");
    let body = "Content-Length: 6\r\n\r\na_b 1\n";
    for (head, connection) in [
        ("HTTP/1.0\r\n", Some("close")),
        ("HTTP/1.0\r\nConnection: keep-alive\r\n", Some("keep-alive")),
        ("HTTP/1.1\r\n", None),
        ("HTTP/1.1\r\nConnection: Close\r\n", Some("close")),
        ("HTTP/1.1\r\nConnection: x, close\r\n", Some("close")),
    ] {
        let mut client = Client::connect(pushline.address);
        client.send(format!("POST /metrics/job/x {head}{body}").as_bytes()).unwrap();
        let answer = client.read_answer(true).unwrap();
        assert_eq!((answer.status, answer.header("Connection")), (200, connection), "{head}");
        if connection == Some("close") {
            assert!(client.is_closed());
        } else {
            assert_eq!(client.push("/metrics/job/x", "a_b 2\n").status, 200);
        }
    }
}

#[test]
fn slow_heads_and_bodies_are_given_up_at_their_deadlines() {
    let toml =
        "[server]\nhead_timeout = \"300ms\"\nbody_timeout = \"300ms\"\nidle_timeout = \"300ms\"\n";
    let (pushline, _) = Pushline::start(toml);
    for (name, start, want) in [
        ("head", &b"POST /metrics/job/x HTTP/1.1\r\n"[..], Some(408)),
        ("body", b"POST /metrics/job/x HTTP/1.1\r\nContent-Length: 100\r\n\r\n", Some(408)),
        (
            "chunks",
            b"POST /metrics/job/x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n64\r\n",
            Some(408),
        ),
        ("idle", b"", None),
    ] {
        let mut client = Client::connect(pushline.address);
        client.send(start).unwrap();
        let begun = Instant::now();
        let trickle = client.stream.try_clone().unwrap();
        let is_done = Arc::new(AtomicBool::new(false));
        let done = Arc::clone(&is_done);
        let trickling = thread::spawn(move || {
            // One byte every now and then must not move the deadline.
            while !done.load(Ordering::Relaxed) && want.is_some() {
                if (&trickle).write_all(b"a").is_err() {
                    break;
                }
                thread::sleep(Duration::from_millis(50));
            }
        });
        let status = client.read_answer(true).ok().map(|answer| answer.status);
        is_done.store(true, Ordering::Relaxed);
        trickling.join().unwrap();
        assert_eq!(status, want, "{name}");
        assert!(begun.elapsed() < Duration::from_secs(5), "{name}");
        assert_serves(pushline.address);
    }
}

#[test]
fn idle_slow_and_deaf_peers_together_leave_ordinary_pushes_served() {
    const IDLE: usize = 1000;
    const TRICKLING: usize = 500;
    const DEAF: usize = 50;
    const SERVED: usize = 300;
    let toml = "[server]\nmax_connections = 2000\n[output]\nack_timeout = \"30s\"\n";
    let (pushline, _output) = Pushline::start(toml);
    let address = pushline.address;
    let (rss_before, threads_before) = (pushline.status_of("VmRSS"), pushline.status_of("Threads"));
    let idle: Vec<_> = (0..IDLE).map(|_| TcpStream::connect(address).unwrap()).collect();
    let trickling: Vec<_> = (0..TRICKLING)
        .map(|number| {
            let mut stream = TcpStream::connect(address).unwrap();
            let start: &[u8] = if number % 2 == 0 {
                b"POST /metrics/job/x HTTP/1.1\r\nA: "
            } else {
                b"POST /metrics/job/x HTTP/1.1\r\nContent-Length: 100000\r\n\r\n"
            };
            stream.write_all(start).unwrap();
            stream
        })
        .collect();
    let deaf: Vec<_> = (0..DEAF)
        .map(|_| {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.set_nonblocking(true).unwrap();
            let asks = b"GET /metrics HTTP/1.1\r\n\r\n".repeat(2000);
            // It never reads: what does not fit is left unsent.
            stream.write(&asks).ok();
            stream
        })
        .collect();
    let is_done = Arc::new(AtomicBool::new(false));
    let done = Arc::clone(&is_done);
    let dripping = thread::spawn(move || {
        while !done.load(Ordering::Relaxed) {
            for stream in &trickling {
                (&*stream).write(b"a").ok();
            }
            thread::sleep(Duration::from_secs(1));
        }
        drop(trickling);
    });
    let mut slowest = Duration::ZERO;
    for _ in 0..SERVED {
        let asked = Instant::now();
        assert_serves(address);
        slowest = slowest.max(asked.elapsed());
    }
    let (rss, threads) = (pushline.status_of("VmRSS"), pushline.status_of("Threads"));
    println!(
        "{IDLE} idle, {TRICKLING} trickling, {DEAF} deaf: {SERVED} pushes served, slowest {slowest:?}; \
         resident {rss_before} -> {rss} KiB, threads {threads_before} -> {threads}"
    );
    assert!(rss < 128 * 1024, "{rss} KiB");
    assert!(threads <= threads_before + (IDLE + TRICKLING + DEAF + 2) as u64);
    is_done.store(true, Ordering::Relaxed);
    dripping.join().unwrap();
    drop((idle, deaf));
    let deadline = Instant::now() + PATIENCE;
    while pushline.status_of("Threads") > threads_before + 2 {
        assert!(Instant::now() < deadline, "threads do not return");
        thread::sleep(Duration::from_millis(20));
    }
    println!("afterwards resident {} KiB", pushline.status_of("VmRSS"));
}

#[test]
fn sixty_four_keep_alive_clients_at_once_are_all_served_repeatedly() {
    let (pushline, _output) = Pushline::start("");
    let address = pushline.address;
    for round in 0..5 {
        let barrier = Arc::new(std::sync::Barrier::new(64));
        let clients: Vec<_> = (0..64)
            .map(|_| {
                let barrier = Arc::clone(&barrier);
                thread::spawn(move || {
                    barrier.wait();
                    let mut client = Client::connect(address);
                    for _ in 0..20 {
                        assert_eq!(client.push("/metrics/job/x", "a_b 1\n").status, 200);
                    }
                    // All stay connected until the last one is served.
                    barrier.wait();
                })
            })
            .collect();
        for client in clients {
            client.join().unwrap();
        }
        println!("round {round}: 64 clients, 20 pushes each");
    }
}

#[test]
fn beyond_max_connections_the_longest_idle_one_makes_room() {
    let (pushline, _output) = Pushline::start("[server]\nmax_connections = 8\n");
    let mut clients: Vec<_> = (0..8).map(|_| Client::connect(pushline.address)).collect();
    for client in &mut clients {
        assert_eq!(client.push("/metrics/job/x", "a_b 1\n").status, 200);
    }
    for _ in 0..4 {
        assert_serves(pushline.address);
    }
    assert!(clients[0].is_closed(), "the longest idle one");
    let last = clients.last_mut().unwrap();
    assert_eq!(last.push("/metrics/job/x", "a_b 2\n").status, 200, "the shortest idle one stays");
}

#[test]
fn bodies_beyond_the_memory_for_them_are_refused_and_the_memory_comes_back() {
    let toml = "[server]\nmax_body_bytes = \"1MiB\"\nmax_buffered_bytes = \"1MiB\"\n";
    let (pushline, _output) = Pushline::start(toml);
    let body = b"a_b 1\n".repeat(120_000);
    let whole = request("POST", b"/metrics/job/x", &[], &body);
    let mut holder = Client::connect(pushline.address);
    holder.send_through(&whole[..whole.len() - 1]);
    let deadline = Instant::now() + PATIENCE;
    let in_hand = || {
        let metrics = Client::connect(pushline.address).ask("GET", "/metrics", &[], b"");
        let line = metrics.text().lines().find(|line| line.starts_with("pushline_buffered_bytes "));
        line.unwrap().rsplit_once(' ').unwrap().1.parse::<usize>().unwrap()
    };
    while in_hand() < body.len() - 1 {
        assert!(Instant::now() < deadline, "its bytes do not arrive");
    }
    let mut other = Client::connect(pushline.address);
    other.send(&whole).ok();
    let refusal = other.read_answer(true).unwrap();
    assert_eq!(refusal.status, 503);
    assert_eq!(refusal.header("Retry-After"), Some("5"));
    assert!(refusal.text().contains("server.max_buffered_bytes"), "{}", refusal.text());
    holder.send(&whole[whole.len() - 1..]).unwrap();
    assert_eq!(holder.read_answer(true).unwrap().status, 200);
    let deadline = Instant::now() + PATIENCE;
    while Client::connect(pushline.address).ask("POST", "/metrics/job/x", &[], &body).status != 200
    {
        assert!(Instant::now() < deadline, "the memory does not come back");
    }
}

#[test]
fn an_idle_connection_keeps_no_large_body() {
    const CONNECTIONS: usize = 40;
    let (pushline, _output) = Pushline::start("");
    // Comments only: what stays in memory is the body, not its lines.
    let body = b"# a comment that is dropped\n".repeat(150_000);
    let mut clients: Vec<_> = (0..CONNECTIONS).map(|_| Client::connect(pushline.address)).collect();
    for client in &mut clients {
        assert_eq!(client.ask("POST", "/metrics/job/x", &[], &body).status, 200);
    }
    let rss_kib = pushline.status_of("VmRSS") as usize;
    let pushed_kib = CONNECTIONS * body.len() / 1024;
    println!("{CONNECTIONS} idle connections, {pushed_kib} KiB pushed, resident {rss_kib} KiB");
    assert!(rss_kib < pushed_kib / 2, "{rss_kib} KiB");
}

/// A command that may have so many descriptors.
fn with_descriptors(count: usize) -> std::process::Command {
    let mut limited = std::process::Command::new("bash");
    let program = command().get_program().to_string_lossy().into_owned();
    limited.args(["-c", &format!("ulimit -n {count}; exec {program} \"$@\""), "bash"]);
    limited
}

#[test]
fn with_too_few_descriptors_it_does_not_start_and_with_enough_it_serves() {
    let (mut ended, mut served) = (0, 0);
    for count in 3..40 {
        match Pushline::try_spawn_with(with_descriptors(count), "", Stdio::null()) {
            Ok(pushline) => {
                // Who has the last descriptor keeps it, though it says nothing at first.
                let mut client = Client::connect(pushline.address);
                thread::sleep(Duration::from_millis(20));
                assert_eq!(client.push("/metrics/job/x", "a_b 1\n").status, 200, "{count}");
                served += 1;
            }
            Err(log) => {
                assert!(!log.contains("listening"), "{count}: {log}");
                let says_why = ["Too many open files", "Error 24", "tiny_http does not take"];
                assert!(says_why.iter().any(|text| log.contains(text)), "{count}: {log}");
                ended += 1;
            }
        }
    }
    assert!(ended > 0 && served > 0, "{ended} ended, {served} served");
}

#[test]
fn too_few_descriptors_for_more_connections_are_told_when_these_are_configured() {
    let few = "server.max_connections = 10\n";
    let pushline = Pushline::spawn_with(with_descriptors(300), few, Stdio::null());
    let told = "the limit of descriptors is too low for server.max_connections";
    let change = |connections: u32| {
        let toml = format!("server.max_connections = {connections}\n");
        std::fs::write(pushline.config(), toml).unwrap();
        // What is told after the change comes before what the next one tells.
        let mut log = pushline.hang_up("configuration and credentials read again");
        log.push_str(&pushline.hang_up("configuration and credentials read again"));
        log.contains(told)
    };
    assert!(!change(11), "there are enough");
    assert!(change(1000), "too few");
    assert!(!change(999), "told already");
}

#[test]
fn running_out_of_descriptors_is_survived() {
    let pushline = Pushline::spawn_with(with_descriptors(96), "", Stdio::null());
    pushline.log.wait_for_text("too low for server.max_connections");
    pushline.log.wait_for_text("limit=96 needed=1120");
    let address = pushline.address;
    let hoard: Vec<_> = (0..150).map(|_| TcpStream::connect(address).unwrap()).collect();
    pushline.log.wait_for_text("cannot accept, trying again");
    drop(hoard);
    let served = AtomicU64::new(0);
    for _ in 0..50 {
        assert_serves(address);
        served.fetch_add(1, Ordering::Relaxed);
    }
    println!("96 descriptors, 150 connections: service resumed, {} pushes", served.into_inner());
}

#[test]
fn where_descriptors_are_out_the_longest_idle_connection_makes_room() {
    let pushline = Pushline::spawn_with(with_descriptors(96), "", Stdio::null());
    let mut clients = Vec::new();
    for number in 0..150 {
        let mut client = Client::connect(pushline.address);
        assert_eq!(client.push("/metrics/job/idle", "a_b 1\n").status, 200, "client {number}");
        clients.push(client);
    }
    assert!(clients[0].is_closed(), "the first one made room");
    pushline.log.wait_for_text("cannot accept, trying again");
}

/// Threads of all processes of the user whose process this is.
fn threads_of_the_user(pid: u32) -> u64 {
    let number = |status: &str, key: &str| {
        let line = status.lines().find(|line| line.starts_with(key))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok()
    };
    let status = |pid: &str| std::fs::read_to_string(format!("/proc/{pid}/status")).ok();
    let user = number(&status(&pid.to_string()).unwrap(), "Uid:");
    let processes = std::fs::read_dir("/proc").unwrap();
    let names = processes.filter_map(|entry| entry.unwrap().file_name().into_string().ok());
    let statuses = names.filter_map(|name| status(&name));
    statuses
        .filter(|status| number(status, "Uid:") == user)
        .filter_map(|status| number(&status, "Threads:"))
        .sum()
}

/// A command run by a user whom a limit of threads binds: root is not bound, so it takes a user of
/// the test's own.
fn as_bound_user(program: &std::path::Path) -> std::process::Command {
    let id = std::process::Command::new("id").arg("-u").output().unwrap();
    if String::from_utf8(id.stdout).unwrap().trim() != "0" {
        return std::process::Command::new(program);
    }
    let mut as_user = std::process::Command::new("setpriv");
    let user = 20_000 + std::process::id() % 30_000;
    as_user.args([&format!("--reuid={user}"), "--clear-groups", "--"]).arg(program);
    as_user
}

#[test]
fn running_out_of_threads_is_survived() {
    const SPARE_THREADS: u64 = 20;
    const CONNECTIONS_MAX: usize = 300;
    const UNSERVED: usize = 10;
    let folder = crate::process::folder();
    // A copy where that user can read it.
    let program = folder.join("pushline");
    std::fs::copy(command().get_program(), &program).unwrap();
    let mut pushline = Pushline::spawn_with(as_bound_user(&program), "", Stdio::piped());
    let output = Collected::from(pushline.stdout());
    let (address, pid) = (pushline.address, pushline.child.id());
    let limit = threads_of_the_user(pid) + SPARE_THREADS;
    let limited = as_bound_user("prlimit".as_ref())
        .args([format!("--pid={pid}"), format!("--nproc={limit}")])
        .status()
        .unwrap();
    assert!(limited.success());
    let body = request("POST", b"/metrics/job/ordinary", &[], b"a_b 1\n");
    let mut answered = 0;
    let mut refused = 0;
    // All of them stay connected, each with its thread, if it has one.
    let mut exhaust = |client: &mut Client| {
        client.send(&body).ok();
        match client.read_answer(true) {
            Ok(answer) => assert_eq!(answer.status, 200),
            Err(_) => return false,
        }
        answered += 1;
        true
    };
    let mut hoard = Vec::new();
    while refused < UNSERVED && hoard.len() < CONNECTIONS_MAX {
        let mut client = Client::connect(address);
        refused += usize::from(!exhaust(&mut client));
        hoard.push(client);
    }
    let served = hoard.len() - refused;
    // Who has a thread is served as ever.
    assert!(exhaust(&mut hoard[0]), "the first connection");
    drop(hoard);
    let deadline = Instant::now() + PATIENCE;
    while !exhaust(&mut Client::connect(address)) {
        assert!(Instant::now() < deadline, "service does not resume");
        refused += 1;
    }
    let metrics = Client::connect(address).ask("GET", "/metrics", &[], b"");
    let counted = format!("pushline_connections_refused_total {refused}");
    assert!(metrics.text().lines().any(|line| line == counted), "{counted} {}", metrics.text());
    println!("{SPARE_THREADS} threads to spare: {served} connections served, {refused} refused");
    // To end in order needs no thread that is not there.
    let mut hoard = Vec::new();
    let mut is_served = true;
    while is_served && hoard.len() < CONNECTIONS_MAX {
        let mut client = Client::connect(address);
        is_served = exhaust(&mut client);
        hoard.push(client);
    }
    pushline.signal("TERM");
    assert!(pushline.wait().success(), "{}", String::from_utf8_lossy(&pushline.log.snapshot()));
    let is_whole = |bytes: &[u8]| bytes.iter().filter(|byte| **byte == b'\n').count() == answered;
    output.take_until(is_whole);
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn credentials_guard_every_route_but_the_probes() {
    use std::os::unix::fs::PermissionsExt;
    let folder = crate::process::folder();
    let file = folder.join("auth");
    std::fs::write(&file, "basic user:secret\nbearer t0ken\n").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let toml = format!("[server]\nauth_file = \"{}\"\n", file.display());
    let (pushline, _output) = Pushline::start(&toml);
    let ask = |method: &str, path: &str, header: Option<&str>| {
        let headers: Vec<_> = header.into_iter().map(|value| ("Authorization", value)).collect();
        Client::connect(pushline.address).ask(method, path, &headers, b"a_b 1\n")
    };
    let refused = ask("POST", "/metrics/job/x", None);
    assert_eq!(refused.status, 401);
    assert_eq!(
        refused.header("WWW-Authenticate"),
        Some("Basic realm=\"pushline\", charset=\"UTF-8\"")
    );
    assert_eq!(ask("POST", "/metrics/job/x", Some("Bearer wrong")).status, 401);
    assert_eq!(ask("GET", "/metrics", None).status, 401);
    assert_eq!(ask("GET", "/nowhere", None).status, 401);
    assert_eq!(ask("GET", "/-/healthy", None).status, 200);
    assert_eq!(ask("GET", "/-/ready", None).status, 200);
    assert_eq!(ask("POST", "/metrics/job/x", Some("Bearer t0ken")).status, 200);
    assert_eq!(ask("POST", "/metrics/job/x", Some("Basic dXNlcjpzZWNyZXQ=")).status, 200);
    std::fs::write(&file, "bearer other\n").unwrap();
    pushline.signal("HUP");
    pushline.log.wait_for_text("credentials read again");
    assert_eq!(ask("POST", "/metrics/job/x", Some("Bearer t0ken")).status, 401);
    assert_eq!(ask("POST", "/metrics/job/x", Some("Bearer other")).status, 200);
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_client_that_goes_away_in_the_middle_harms_nobody() {
    let (pushline, output) = Pushline::start("");
    for cut in [1, 20, 60, 90] {
        let whole = request("POST", b"/metrics/job/gone", &[], &b"a_b 1\n".repeat(20));
        let mut stream = TcpStream::connect(pushline.address).unwrap();
        stream.write_all(&whole[..whole.len() - cut]).unwrap();
        drop(stream);
    }
    let mut early = TcpStream::connect(pushline.address).unwrap();
    early.write_all(&request("POST", b"/metrics/job/early", &[], b"a_b 1\n")).unwrap();
    drop(early);
    assert_serves(pushline.address);
    wait_for(&output, "job=ordinary");
    let text = String::from_utf8(output.snapshot()).unwrap();
    assert!(!text.contains("job=gone"), "{text}");
}

fn wait_for(output: &Collected, text: &str) {
    output.wait_for_text(text);
}

#[test]
fn a_stop_answers_what_is_in_hand_and_closes_what_is_idle() {
    let (mut pushline, output) = Pushline::start("");
    let mut idle = Client::connect(pushline.address);
    assert_eq!(idle.push("/metrics/job/idle", "a_b 1\n").status, 200);
    let whole = request("POST", b"/metrics/job/inhand", &[], b"a_b 2\n");
    let mut in_hand = Client::connect(pushline.address);
    in_hand.send_through(&whole[..whole.len() - 2]);
    // It is in hand once the process has read of it: the own metrics show it as busy soon after.
    thread::sleep(Duration::from_millis(100));
    pushline.signal("TERM");
    pushline.log.wait_for_text("msg=draining");
    assert!(idle.is_closed());
    in_hand.send(&whole[whole.len() - 2..]).unwrap();
    let answer = in_hand.read_answer(true).unwrap();
    assert_eq!((answer.status, answer.header("Connection")), (200, Some("close")));
    assert!(pushline.wait().success());
    let mut late = TcpStream::connect(pushline.address);
    if let Ok(stream) = &mut late {
        assert!(matches!(stream.read(&mut [0]), Ok(0) | Err(_)));
    }
    assert!(String::from_utf8(output.snapshot()).unwrap().contains("job=inhand"));
}
