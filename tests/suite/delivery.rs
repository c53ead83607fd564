//! What was answered 200 is on the output, whatever happens around it: consumers that die, stall
//! and come back, signals at random moments, full disks, rotated files.

use crate::http::Client;
use crate::load::{check_all_there, push_all};
use crate::process::{Collected, PATIENCE, Pushline, command, folder, signal};
use std::collections::{HashMap, HashSet};
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const PUSHES: u64 = 20_000;

/// Waits for a count to pass a mark.
fn wait_for(answered: &AtomicU64, mark: u64) {
    let deadline = Instant::now() + PATIENCE;
    while answered.load(Ordering::Relaxed) < mark {
        assert!(Instant::now() < deadline, "no progress");
        thread::yield_now();
    }
}

/// A consumer that reads until it has so many bytes, then is gone without another word.
fn read_some(mut stream: impl Read, bytes_max: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 8192];
    while bytes.len() < bytes_max {
        match stream.read(&mut chunk) {
            Ok(count @ 1..) => bytes.extend_from_slice(&chunk[..count]),
            Ok(0) | Err(_) => break,
        }
    }
    // What was read of a torn line is no line.
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    bytes.truncate(whole);
    bytes
}

/// Consumers that die in the middle: what they received together, and how many connections.
fn dying_consumers<S: Read + Send + 'static>(
    accept: impl Fn() -> S + Send + 'static,
) -> thread::JoinHandle<(Vec<u8>, usize)> {
    thread::spawn(move || {
        let mut received = Vec::new();
        // Each dies after some bytes, and leaves what is in its buffers unread; the last one stays.
        for bytes_max in [200_000, 1, 500_000, 50_000] {
            received.extend(read_some(accept(), bytes_max));
        }
        received.extend(read_some(accept(), usize::MAX));
        (received, 5)
    })
}

fn check_union(name: &str, received: &[u8], good: &[u64], connections: usize) {
    let text = std::str::from_utf8(received).unwrap();
    let unique: HashSet<&str> = text.lines().collect();
    let all = text.lines().count();
    assert_eq!(good.len() as u64, PUSHES, "every push must get 200");
    check_all_there(received, good);
    println!(
        "{name}: {connections} consumers, {} pushes, {all} lines, {} of them duplicates",
        good.len(),
        all - unique.len()
    );
}

#[test]
fn tcp_consumers_that_die_lose_no_push_that_got_200() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let consumers = dying_consumers(move || listener.accept().unwrap().0);
    let toml = format!("[output]\ntarget = \"tcp://{address}\"\nack_timeout = \"20s\"\n");
    let mut pushline = Pushline::spawn(&toml, Stdio::null());
    let good = push_all(pushline.address, PUSHES, &Arc::default());
    pushline.signal("TERM");
    assert!(pushline.wait().success());
    let (received, connections) = consumers.join().unwrap();
    check_union("tcp", &received, &good, connections);
}

#[test]
fn unix_consumers_that_die_lose_no_push_that_got_200() {
    let folder = folder();
    let path = folder.join("consumer");
    let listener = UnixListener::bind(&path).unwrap();
    let consumers = dying_consumers(move || listener.accept().unwrap().0);
    let toml = format!("[output]\ntarget = \"unix:{}\"\nack_timeout = \"20s\"\n", path.display());
    let mut pushline = Pushline::spawn(&toml, Stdio::null());
    let good = push_all(pushline.address, PUSHES, &Arc::default());
    pushline.signal("TERM");
    assert!(pushline.wait().success());
    let (received, connections) = consumers.join().unwrap();
    check_union("unix", &received, &good, connections);
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_consumer_that_is_not_there_yet_is_waited_for() {
    let port = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let toml = format!("[output]\ntarget = \"tcp://127.0.0.1:{port}\"\nack_timeout = \"200ms\"\n");
    let pushline = Pushline::spawn(&toml, Stdio::null());
    let answer = crate::http::push(pushline.address, "/metrics/job/early", "a_b 1\n");
    assert_eq!((answer.status, answer.header("Retry-After")), (503, Some("5")));
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let (stream, _) = listener.accept().unwrap();
    let output = Collected::from(stream);
    let deadline = Instant::now() + PATIENCE;
    while crate::http::push(pushline.address, "/metrics/job/late", "a_b 2\n").status != 200 {
        assert!(Instant::now() < deadline, "service does not begin");
    }
    output.wait_for_text("job=late");
}

#[test]
fn a_peer_that_closes_while_idle_is_noticed_before_the_next_push() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let toml = format!("[output]\ntarget = \"tcp://{address}\"\n");
    let pushline = Pushline::spawn(&toml, Stdio::null());
    let (first, _) = listener.accept().unwrap();
    drop(first);
    // The reconnect comes without a push.
    let (second, _) = listener.accept().unwrap();
    let output = Collected::from(second);
    assert_eq!(crate::http::push(pushline.address, "/metrics/job/x", "a_b 1\n").status, 200);
    output.wait_for_text("job=x");
}

#[test]
fn a_stalled_reader_gives_503_and_bounded_memory_and_service_resumes() {
    let toml = "[output]\nack_timeout = \"300ms\"\nqueue_bytes = \"1MiB\"\n";
    let mut pushline = Pushline::spawn(toml, Stdio::piped());
    let unread = pushline.stdout();
    let mut client = Client::connect(pushline.address);
    let body = format!("a_b{{x=\"{}\"}} 1\n", "y".repeat(500)).repeat(1000);
    let mut good = 0;
    let refusal = loop {
        let answer = client.push("/metrics/job/fill", &body);
        match answer.status {
            200 => good += 1,
            _ => break answer,
        }
        assert!(good < 100, "the pipe never fills");
    };
    assert_eq!((refusal.status, refusal.header("Retry-After")), (503, Some("5")));
    let deadline = Instant::now() + PATIENCE;
    let not_ready = loop {
        let answer = client.ask("GET", "/-/ready", &[], b"");
        if answer.status == 503 {
            break answer;
        }
        assert!(Instant::now() < deadline, "it says that it is ready");
    };
    assert!(
        not_ready.text().starts_with("the output has taken nothing for"),
        "{}",
        not_ready.text()
    );
    assert_eq!(client.ask("GET", "/-/healthy", &[], b"").status, 200);
    let begun = Instant::now();
    for _ in 0..200 {
        assert_eq!(client.push("/metrics/job/refused", &body).status, 503);
    }
    println!(
        "200 pushes refused in {:?}, resident {} KiB",
        begun.elapsed(),
        pushline.status_of("VmRSS")
    );
    assert!(
        begun.elapsed() < Duration::from_secs(30),
        "refused one after the other, each after a wait"
    );
    assert!(pushline.status_of("VmRSS") < 64 * 1024);
    let output = Collected::from(unread);
    let deadline = Instant::now() + PATIENCE;
    while client.push("/metrics/job/resumed", "a_b 2\n").status != 200 {
        assert!(Instant::now() < deadline, "service does not resume");
    }
    assert_eq!(client.ask("GET", "/-/ready", &[], b"").status, 200);
    output.wait_for_text("job=resumed");
    let text = String::from_utf8(output.snapshot()).unwrap();
    assert!(text.matches("job=fill").count() >= good * 1000);
    assert!(!text.contains("job=refused"), "refused before it was accepted, so never written");
}

#[test]
fn a_non_blocking_pipe_of_a_supervisor_is_waited_for() {
    // python sets O_NONBLOCK on the pipe's description, which pushline inherits.
    let script = "import fcntl,os,sys;fcntl.fcntl(1,fcntl.F_SETFL,fcntl.fcntl(1,fcntl.F_GETFL)|os.O_NONBLOCK);\
                  os.execv(sys.argv[1],sys.argv[1:])";
    let mut python = Command::new("python3");
    python.args(["-c", script]).arg(command().get_program());
    let mut pushline = Pushline::spawn_with(python, "", Stdio::piped());
    let mut source = pushline.stdout();
    let reader = thread::spawn(move || {
        let mut bytes = Vec::new();
        let mut chunk = [0; 4096];
        // A slow reader: the pipe is full most of the time.
        while let Ok(count @ 1..) = source.read(&mut chunk) {
            bytes.extend_from_slice(&chunk[..count]);
        }
        bytes
    });
    let good = push_all(pushline.address, 5000, &Arc::default());
    pushline.signal("TERM");
    assert!(pushline.wait().success());
    assert_eq!(good.len(), 5000);
    check_all_there(&reader.join().unwrap(), &good);
}

#[test]
fn a_reader_of_stdout_killed_under_load_ends_the_process_at_once() {
    // What a pipe holds that its reader had not read is gone with the reader, written all the same.
    const PIPE_BYTES: usize = 1 << 20;
    let mut pushline = Pushline::spawn("", Stdio::piped());
    let output = pushline.stdout();
    let reader = thread::spawn(move || read_some(output, 300_000));
    let good = push_all(pushline.address, PUSHES, &Arc::default());
    let ended = Instant::now();
    assert_eq!(pushline.wait().code(), Some(1));
    let waited = ended.elapsed();
    let received = String::from_utf8(reader.join().unwrap()).unwrap();
    let numbers: HashSet<&str> = received
        .lines()
        .filter_map(|line| line.split(" rows=2").next()?.split("n=").nth(1))
        .collect();
    let unread: Vec<_> =
        good.iter().filter(|number| !numbers.contains(number.to_string().as_str())).collect();
    let line_bytes = received.len() / received.lines().count();
    println!(
        "{} pushes got 200, {} of them written but unread; ended {waited:?} after the last answer",
        good.len(),
        unread.len()
    );
    assert!((good.len() as u64) < PUSHES, "the reader went away too late");
    assert!(unread.len() * 3 * line_bytes <= PIPE_BYTES + 300_000, "more than the pipe holds");
    assert!(waited < Duration::from_secs(5));
}

/// A load that is ended by a signal at a random moment; returns output, the numbers that got 200
/// and whether the process ended well.
fn ended_by(name: &str, after: u64) -> (Vec<u8>, Vec<u64>, bool) {
    let mut pushline = Pushline::spawn("", Stdio::piped());
    let mut source = pushline.stdout();
    let output = thread::spawn(move || {
        let mut bytes = Vec::new();
        source.read_to_end(&mut bytes).unwrap();
        bytes
    });
    let answered = Arc::new(AtomicU64::new(0));
    let (address, counter) = (pushline.address, Arc::clone(&answered));
    let pushing = thread::spawn(move || push_all(address, u64::MAX >> 32, &counter));
    wait_for(&answered, after);
    pushline.signal(name);
    let good = pushing.join().unwrap();
    let status = pushline.wait();
    (output.join().unwrap(), good, status.success())
}

#[test]
fn signals_at_random_moments_lose_no_push_that_got_200() {
    const ROUNDS: u64 = 50;
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut torn = 0;
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for name in ["TERM", "INT", "KILL"] {
        for _ in 0..ROUNDS {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let (mut output, good, is_success) = ended_by(name, random % 400);
            if name == "KILL" {
                let whole = output.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
                torn += usize::from(whole < output.len());
                output.truncate(whole);
            } else {
                assert!(is_success, "SIG{name}");
            }
            check_all_there(&output, &good);
            *counts.entry(name).or_default() += good.len();
        }
    }
    println!(
        "{ROUNDS} times each, pushes that got 200: {counts:?}; last lines torn by SIGKILL: {torn}"
    );
}

#[test]
fn a_file_is_rotated_under_load_without_losing_or_splitting_a_push() {
    let folder = folder();
    let path = folder.join("lines");
    let toml = format!("[output]\ntarget = \"file:{}\"\n", path.display());
    let mut pushline = Pushline::spawn(&toml, Stdio::null());
    let answered = Arc::new(AtomicU64::new(0));
    let (address, counter) = (pushline.address, Arc::clone(&answered));
    let pushing = thread::spawn(move || push_all(address, PUSHES, &counter));
    let mut rotated = Vec::new();
    for number in 1..=6_u64 {
        wait_for(&answered, number * PUSHES / 8);
        let to = folder.join(format!("lines.{number}"));
        std::fs::rename(&path, &to).unwrap();
        rotated.push(to);
        if number % 2 == 0 {
            pushline.signal("HUP");
        }
        let deadline = Instant::now() + PATIENCE;
        while !path.exists() {
            assert!(Instant::now() < deadline, "no new file");
            thread::yield_now();
        }
    }
    let good = pushing.join().unwrap();
    pushline.signal("TERM");
    assert!(pushline.wait().success());
    rotated.push(path);
    let mut all = Vec::new();
    for path in &rotated {
        let bytes = std::fs::read(path).unwrap();
        assert!(bytes.is_empty() || bytes.ends_with(b"\n"), "{}: a torn line", path.display());
        // The lines of one push stand in one file, each of its three as often as the others.
        let text = String::from_utf8(bytes.clone()).unwrap();
        let count = |part: &str| text.matches(part).count();
        assert_eq!(count("seconds_bucket="), count("rows="), "{}", path.display());
        all.extend(bytes);
    }
    assert_eq!(good.len() as u64, PUSHES);
    let lines = check_all_there(&all, &good);
    assert_eq!(lines as u64, PUSHES * 3, "nothing twice, nothing lost");
    println!("{} files, {lines} lines, each push in one of them", rotated.len());
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_file_at_its_size_limit_gives_503_and_no_half_line_and_service_resumes() {
    let folder = folder();
    let path = folder.join("lines");
    let toml = format!(
        "[output]\ntarget = \"file:{}\"\nack_timeout = \"300ms\"\ndrain_timeout = \"1s\"\n",
        path.display()
    );
    let mut limited = Command::new("bash");
    let program = command().get_program().to_string_lossy().into_owned();
    // 64 blocks of 1,024 bytes.
    limited.args(["-c", &format!("ulimit -f 64; exec {program} \"$0\"")]);
    let mut pushline = Pushline::spawn_with(limited, &toml, Stdio::null());
    let mut client = Client::connect(pushline.address);
    let mut good = 0;
    let refusal = loop {
        let body = format!("a_b{{n=\"{good}\",x=\"{}\"}} 1\n", "y".repeat(1000)).repeat(3);
        let answer = client.push("/metrics/job/full", &body);
        match answer.status {
            200 => good += 1,
            _ => break answer,
        }
        assert!(good < 100, "the limit is never met");
    };
    assert_eq!(refusal.status, 503);
    pushline.log.wait_for_text("the output fails, trying again\" output=file:");
    let text = String::from_utf8(std::fs::read(&path).unwrap()).unwrap();
    assert!(text.ends_with('\n'), "a half line is left in the file");
    assert_eq!(text.lines().count(), good * 3, "exactly what got 200");
    // Room again: the file is emptied, as a full disk is.
    std::fs::write(&path, "").unwrap();
    let deadline = Instant::now() + PATIENCE;
    while client.push("/metrics/job/again", "a_b 2\n").status != 200 {
        assert!(Instant::now() < deadline, "service does not resume");
    }
    let text = String::from_utf8(std::fs::read(&path).unwrap()).unwrap();
    assert!(text.contains("job=again") && text.ends_with('\n'));
    for line in text.lines() {
        assert!(line.starts_with("a,job="), "{line}");
    }
    println!("{good} pushes until the limit, then 503, then again 200");
    pushline.signal("TERM");
    assert!(pushline.wait().success());
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_line_that_a_crash_has_torn_is_closed_before_the_next_one() {
    let folder = folder();
    let path = folder.join("lines");
    std::fs::write(&path, "whole,a=b c=1 1\ntorn,a=b c=").unwrap();
    let toml = format!("[output]\ntarget = \"file:{}\"\nfsync = true\n", path.display());
    let pushline = Pushline::spawn(&toml, Stdio::null());
    assert_eq!(crate::http::push(pushline.address, "/metrics/job/x", "a_b 1\n").status, 200);
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(&lines[..2], ["whole,a=b c=1 1", "torn,a=b c="]);
    assert!(lines[2].starts_with("a,job=x b=1 "), "{text}");
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_queued_push_is_written_when_sigterm_drains() {
    let toml = "[output]\nack = \"queued\"\n";
    let mut pushline = Pushline::spawn(toml, Stdio::piped());
    let mut source = pushline.stdout();
    let good = push_all(pushline.address, 300, &Arc::default());
    pushline.signal("TERM");
    let mut output = Vec::new();
    source.read_to_end(&mut output).unwrap();
    assert!(pushline.wait().success());
    assert_eq!(good.len(), 300);
    check_all_there(&output, &good);
}

#[test]
fn what_cannot_be_drained_in_time_is_told_and_the_status_is_not_zero() {
    let toml = "[output]\nack = \"queued\"\ndrain_timeout = \"300ms\"\n";
    let mut pushline = Pushline::spawn(toml, Stdio::piped());
    let _unread = pushline.stdout();
    let body = format!("a_b{{x=\"{}\"}} 1\n", "y".repeat(500)).repeat(4000);
    for _ in 0..4 {
        assert_eq!(crate::http::push(pushline.address, "/metrics/job/x", &body).status, 200);
    }
    signal(pushline.child.id(), "TERM");
    assert_eq!(pushline.wait().code(), Some(1));
    pushline.log.wait_for_text("not written within 0.3 s (output.drain_timeout)");
}

#[test]
fn a_connection_that_is_refused_says_why_in_the_log() {
    let pushline = Pushline::spawn("[output]\ntarget = \"tcp://127.0.0.1:1\"\n", Stdio::null());
    pushline.log.wait_for_text("Connection refused");
    assert!(TcpStream::connect(pushline.address).is_ok());
}
