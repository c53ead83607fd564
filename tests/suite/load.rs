//! Many pushes at once, and ends in the middle of them: what was answered 200 is on the output.

use crate::http::Client;
use crate::process::{Pushline, command, folder};
use std::collections::HashSet;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

const CONNECTIONS: u64 = 16;
const PUSHES: u64 = 100_000;

/// A push that names itself: three lines, each with its number.
fn body(number: u64) -> String {
    format!(
        "# TYPE load_seconds histogram\nload_seconds_bucket{{n=\"{number}\",le=\"+Inf\"}} {number}\n\
         load_seconds_sum{{n=\"{number}\"}} 1.5\nload_seconds_count{{n=\"{number}\"}} {number}\n\
         load_rows{{n=\"{number}\"}} 2\n"
    )
}

/// The lines of that push, without their time.
fn lines_of(number: u64) -> [String; 3] {
    [
        format!("load,job=load,le=+Inf,n={number} seconds_bucket={number}"),
        format!("load,job=load,n={number} seconds_sum=1.5,seconds_count={number}"),
        format!("load,job=load,n={number} rows=2"),
    ]
}

/// Pushes until all are sent or the server is gone; returns the numbers that got 200.
pub(crate) fn push_all(address: SocketAddr, count: u64, answered: &Arc<AtomicU64>) -> Vec<u64> {
    let threads: Vec<_> = (0..CONNECTIONS)
        .map(|lane| {
            let answered = Arc::clone(answered);
            thread::spawn(move || {
                let mut good = Vec::new();
                let Ok(mut client) = Client::try_connect(address) else { return good };
                for number in (lane..count).step_by(CONNECTIONS as usize) {
                    let text = body(number);
                    let request =
                        crate::http::request("POST", b"/metrics/job/load", &[], text.as_bytes());
                    let Ok(()) = client.send(&request) else { break };
                    let Ok(answer) = client.read_answer(true) else { break };
                    if answer.status == 200 {
                        good.push(number);
                        answered.fetch_add(1, Ordering::Relaxed);
                    }
                    if answer.header("Connection") == Some("close") {
                        break;
                    }
                }
                good
            })
        })
        .collect();
    threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
}

/// Checks that the lines of each push that got 200 are there, complete; returns how many lines
/// there are in all.
pub(crate) fn check_all_there(output: &[u8], good: &[u64]) -> usize {
    let text = std::str::from_utf8(output).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'), "a line is torn");
    let found: HashSet<&str> = text.lines().map(|line| line.rsplit_once(' ').unwrap().0).collect();
    for number in good {
        for line in lines_of(*number) {
            assert!(found.contains(line.as_str()), "push {number} got 200, but {line} is missing");
        }
    }
    text.lines().count()
}

/// The output of a process, read as it comes.
fn collect(mut source: impl Read + Send + 'static) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        source.read_to_end(&mut bytes).unwrap();
        bytes
    })
}

#[test]
fn every_push_of_100000_that_got_200_is_on_the_output() {
    let mut pushline = Pushline::spawn("", Stdio::piped());
    let output = collect(pushline.stdout());
    let start = Instant::now();
    let good = push_all(pushline.address, PUSHES, &Arc::default());
    let elapsed = start.elapsed();
    pushline.signal("TERM");
    assert!(pushline.wait().success());
    assert_eq!(good.len() as u64, PUSHES, "every push must get 200");
    let lines = check_all_there(&output.join().unwrap(), &good);
    assert_eq!(lines as u64, PUSHES * 3);
    let rate = PUSHES as f64 / elapsed.as_secs_f64();
    println!("{PUSHES} pushes over {CONNECTIONS} connections, {rate:.0} a second, {lines} lines");
}

#[test]
fn a_sigterm_in_the_middle_loses_no_push_that_got_200() {
    let mut pushline = Pushline::spawn("", Stdio::piped());
    let output = collect(pushline.stdout());
    let answered = Arc::new(AtomicU64::new(0));
    let (address, counter) = (pushline.address, Arc::clone(&answered));
    let pushing = thread::spawn(move || push_all(address, PUSHES, &counter));
    while answered.load(Ordering::Relaxed) < PUSHES / 20 {
        thread::yield_now();
    }
    pushline.signal("TERM");
    let good = pushing.join().unwrap();
    assert!(pushline.wait().success());
    assert!((good.len() as u64) < PUSHES, "the signal came too late");
    let lines = check_all_there(&output.join().unwrap(), &good);
    println!("SIGTERM after {} answers, {lines} lines", good.len());
}

#[test]
fn a_reader_that_goes_away_ends_the_process_with_a_clear_message() {
    let mut pushline = Pushline::spawn("", Stdio::piped());
    let mut reader = BufReader::new(pushline.stdout());
    let mut client = Client::connect(pushline.address);
    assert_eq!(client.push("/metrics/job/one", "a_b 1\n").status, 200);
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    assert!(line.starts_with("a,job=one b=1 "), "{line}");
    drop(reader);
    let status = pushline.wait();
    assert_eq!(status.code(), Some(1));
    pushline.log.wait_for_text("the output has ended: its reader went away");
}

#[test]
fn head_of_a_pipe_ends_the_pipeline() {
    let folder = folder();
    let log = folder.join("log");
    let script =
        format!("{} 2>{} | head -1", command().get_program().to_string_lossy(), log.display());
    let mut shell = Command::new("bash")
        .args(["-c", &format!("set -o pipefail; {script}")])
        .env("PUSHLINE_SERVER_LISTEN", "127.0.0.1:0")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let address: SocketAddr = loop {
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        if let Some((_, rest)) = text.split_once("msg=listening address=")
            && let Some((address, _)) = rest.split_once('\n')
        {
            break address.parse().unwrap();
        }
        thread::yield_now();
    };
    assert_eq!(crate::http::push(address, "/metrics/job/one", "a_b 1\n").status, 200);
    assert_eq!(shell.wait().unwrap().code(), Some(1));
    let text = std::fs::read_to_string(&log).unwrap();
    assert!(text.contains("level=error msg=ended error=\"the output has ended"), "{text}");
    assert!(!text.contains("panicked"), "{text}");
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn probes_are_answered_while_every_push_waits_for_a_stalled_output() {
    let toml = "[output]\nack_timeout = \"60s\"\ndrain_timeout = \"1ms\"\n[server]\nworkers = 2\n";
    let mut pushline = Pushline::spawn(toml, Stdio::piped());
    let _unread = pushline.stdout();
    let address = pushline.address;
    let line = format!("a_b{{x=\"{}\"}} 1\n", "y".repeat(1000));
    let body = Arc::new(line.repeat(2000));
    let stuck = Arc::new(Mutex::new(0));
    for _ in 0..8 {
        let (body, stuck) = (Arc::clone(&body), Arc::clone(&stuck));
        thread::spawn(move || {
            let request = crate::http::request("POST", b"/metrics/job/j", &[], body.as_bytes());
            let mut client = Client::connect(address);
            client.send(&request).ok();
            *stuck.lock().unwrap() += 1;
            client.read_answer(true).ok();
        });
    }
    while *stuck.lock().unwrap() < 8 {
        thread::yield_now();
    }
    for _ in 0..20 {
        let answer = Client::connect(address).ask("GET", "/-/healthy", &[], b"");
        assert_eq!((answer.status, answer.text()), (200, "healthy\n"));
    }
}
