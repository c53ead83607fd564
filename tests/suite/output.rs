//! Outputs on a bad day: closed from the start, slow, full, rotated when no file can be opened, a
//! fifo that nobody reads, a reader that hangs up at a line, and one that stalls for good.

use crate::http::{Client, push};
use crate::process::{Collected, PATIENCE, Pushline, command, folder};
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// Runs a script of bash in which `$0` is the configuration and `$1` another path.
fn shell(script: &str, path: &Path) -> Command {
    let mut bash = command();
    let program = bash.get_program().to_string_lossy().into_owned();
    bash = Command::new("bash");
    bash.env_clear().env("PATH", std::env::var_os("PATH").unwrap());
    let script = script.replace("PUSHLINE", &program).replace("OTHER", path.to_str().unwrap());
    bash.args(["-c", &script]);
    bash
}

/// Sets a limit of a running process.
fn limit(pushline: &Pushline, limit: &str) {
    let pid = pushline.child.id().to_string();
    let set = Command::new("prlimit").args(["--pid", &pid, limit]).status().unwrap();
    assert!(set.success(), "prlimit {limit}");
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// A figure of `/metrics`.
fn figure(client: &mut Client, name: &str) -> u64 {
    let answer = client.ask("GET", "/metrics", &[], b"");
    let text = answer.text();
    let line =
        text.lines().find(|line| line.strip_prefix(name).is_some_and(|it| it.starts_with(' ')));
    line.unwrap().rsplit(' ').next().unwrap().parse().unwrap()
}

fn readiness(client: &mut Client) -> (u16, String) {
    let answer = client.ask("GET", "/-/ready", &[], b"");
    (answer.status, answer.text().to_owned())
}

#[test]
fn a_standard_output_that_leads_nowhere_does_not_start() {
    let folder = folder();
    let config = folder.join("pushline.toml");
    std::fs::write(&config, "[server]\nlisten = [\"127.0.0.1:0\"]\n").unwrap();
    for (redirection, want) in [
        (">&-", "standard output is closed"),
        ("<&- >&- ", "standard output is closed"),
        ("1</dev/null", "standard output is only open for reading"),
    ] {
        let mut bash = shell(&format!("exec PUSHLINE --config=\"$0\" {redirection}"), &folder);
        let output = bash.arg(&config).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{redirection}: {stderr}");
        assert!(stderr.contains(want) && !stderr.contains("msg=listening"), "{stderr}");
    }
    // To drop all lines is somebody's right.
    for script in ["exec PUSHLINE \"$0\" >/dev/null", "exec PUSHLINE \"$0\" >>/dev/null"] {
        let pushline = Pushline::spawn_with(shell(script, &folder), "", Stdio::null());
        assert_eq!(push(pushline.address, "/metrics/job/x", "a_b 1\n").status, 200);
    }
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_slow_pipe_that_takes_something_all_the_time_is_ready() {
    let toml = "[output]\nack_timeout = \"2s\"\ndrain_timeout = \"1ms\"\n";
    let mut pushline = Pushline::spawn(toml, Stdio::piped());
    let mut output = pushline.stdout();
    let body = format!("a_b{{x=\"{}\"}} 1\n", "y".repeat(1000)).repeat(12_000);
    let address = pushline.address;
    // One block of 12 MB, at about 2.5 MB a second.
    let pushing = thread::spawn(move || push(address, "/metrics/job/slow", &body).status);
    let mut client = Client::connect(address);
    let mut piece = [0; 32 * 1024];
    let mut read = 0;
    while read < 12_000_000 {
        read += output.read(&mut piece).unwrap();
        assert_eq!(readiness(&mut client).0, 200, "after {read} bytes");
        thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(pushing.join().unwrap(), 503, "it took longer than that push may wait");
    assert_eq!(figure(&mut client, "pushline_writer_stalls_total"), 0);
}

#[test]
fn the_begin_and_the_end_of_a_stall_are_logged() {
    let toml = "[output]\nack_timeout = \"100ms\"\n";
    let mut pushline = Pushline::spawn(toml, Stdio::piped());
    let unread = pushline.stdout();
    let body = format!("a_b{{x=\"{}\"}} 1\n", "y".repeat(1000)).repeat(3000);
    assert_eq!(push(pushline.address, "/metrics/job/x", &body).status, 503);
    pushline
        .log
        .wait_for_text("level=warn msg=\"pushes cannot be delivered, they are answered 503");
    let output = Collected::from(unread);
    pushline.log.wait_for_text("level=info msg=\"pushes are delivered again\" after_s=");
    output.wait_for_text("job=x");
    let mut client = Client::connect(pushline.address);
    assert_eq!(figure(&mut client, "pushline_writer_stalls_total"), 1);
}

#[test]
fn an_appended_standard_output_merges_no_line_with_half_of_another() {
    let folder = folder();
    let path = folder.join("lines");
    // A crash has left half a line there.
    std::fs::write(&path, "whole,a=b c=1 1\ntorn,a=b c=").unwrap();
    let toml = "[output]\nack_timeout = \"300ms\"\n";
    let bash = shell("ulimit -Sf 64; exec PUSHLINE \"$0\" >>OTHER", &path);
    let mut pushline = Pushline::spawn_with(bash, toml, Stdio::null());
    let mut client = Client::connect(pushline.address);
    let body = format!("a_b{{x=\"{}\"}} 1\n", "y".repeat(1000)).repeat(3);
    wait_until("the disk is never full", || client.push("/metrics/job/full", &body).status == 503);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(!text.ends_with('\n'), "the test needs half a line");
    limit(&pushline, "--fsize=unlimited");
    wait_until("service does not resume", || {
        client.push("/metrics/job/again", "a_b 2\n").status == 200
    });
    let text = std::fs::read_to_string(&path).unwrap();
    let is_half = |line: &str| line == "torn,a=b c=" || !line.contains(" b=");
    for line in text.lines().skip(1).filter(|line| !is_half(line)) {
        assert!(line.starts_with("a,job=") && line.matches("job=").count() == 1, "{line}");
    }
    assert_eq!(text.lines().filter(|line| is_half(line)).count(), 3, "whole, torn and broken");
    pushline.signal("TERM");
    assert!(pushline.wait().success());
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_disk_that_takes_a_part_of_a_block_again_and_again_is_not_ready() {
    let folder = folder();
    let path = folder.join("lines");
    let toml = format!(
        "[output]\ntarget = \"file:{}\"\nack_timeout = \"300ms\"\ndrain_timeout = \"1ms\"\n",
        path.display()
    );
    let bash = shell("ulimit -Sf 64; exec PUSHLINE \"$0\"", &folder);
    let pushline = Pushline::spawn_with(bash, &toml, Stdio::null());
    let mut client = Client::connect(pushline.address);
    let body = format!("a_b{{x=\"{}\"}} 1\n", "y".repeat(1000)).repeat(3);
    wait_until("the disk is never full", || client.push("/metrics/job/full", &body).status == 503);
    wait_until("it says that it is ready", || readiness(&mut client).0 == 503);
    let (_, text) = readiness(&mut client);
    assert!(text.starts_with("the output has taken nothing for ") && text.contains("os error"));
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_fifo_that_nobody_reads_does_not_hold_up_the_start() {
    let folder = folder();
    let path = folder.join("fifo");
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    let toml = format!("[output]\ntarget = \"file:{}\"\nack_timeout = \"200ms\"\n", path.display());
    let pushline = Pushline::spawn(&toml, Stdio::null());
    pushline.log.wait_for_text("waiting for a reader of the fifo");
    let mut client = Client::connect(pushline.address);
    let answer = client.push("/metrics/job/early", "a_b 1\n");
    assert_eq!(answer.status, 503);
    assert!(answer.text().contains("nobody reads the fifo"), "{}", answer.text());
    let reader = std::fs::File::open(&path).unwrap();
    let output = Collected::from(reader);
    wait_until("service does not begin", || {
        client.push("/metrics/job/late", "a_b 2\n").status == 200
    });
    output.wait_for_text("job=late");
    assert!(String::from_utf8(output.snapshot()).unwrap().contains("job=early"), "it was accepted");
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_rotation_without_a_free_descriptor_goes_on_in_the_old_file() {
    let folder = folder();
    let (path, old) = (folder.join("lines"), folder.join("lines.1"));
    let toml = format!("[output]\ntarget = \"file:{}\"\n", path.display());
    let pushline = Pushline::spawn(&toml, Stdio::null());
    let mut client = Client::connect(pushline.address);
    assert_eq!(client.push("/metrics/job/first", "a_b 1\n").status, 200);
    let open = std::fs::read_dir(format!("/proc/{}/fd", pushline.child.id())).unwrap();
    let open = open.map(|one| one.unwrap().file_name().to_str().unwrap().parse::<u32>().unwrap());
    let open: Vec<_> = open.collect();
    // Every number below the limit is taken: nothing more can be opened.
    let free = (0..).find(|number| !open.contains(number)).unwrap();
    limit(&pushline, &format!("--nofile={free}:"));
    std::fs::rename(&path, &old).unwrap();
    assert_eq!(client.push("/metrics/job/second", "a_b 2\n").status, 200);
    assert!(std::fs::read_to_string(&old).unwrap().contains("job=second"));
    pushline.log.wait_for_text("the new file cannot be opened, the old one goes on");
    limit(&pushline, "--nofile=1024:");
    wait_until("the new file is never opened", || path.exists());
    assert_eq!(client.push("/metrics/job/third", "a_b 3\n").status, 200);
    assert!(std::fs::read_to_string(&path).unwrap().contains("job=third"));
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_reader_that_hangs_up_at_a_line_gets_every_other_one() {
    let body = include_str!("../data/cases/tcp_replay_consumer_disconnects.txt");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let read = Arc::new(Mutex::new(String::new()));
    let reading = Arc::clone(&read);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut lines = BufReader::new(stream.unwrap()).lines();
            while let Some(Ok(line)) = lines.next() {
                if line.starts_with("consul,") {
                    break;
                }
                *reading.lock().unwrap() += &format!("{line}\n");
            }
        }
    });
    let toml = format!("[output]\ntarget = \"tcp://{address}\"\n");
    let mut pushline = Pushline::spawn(&toml, Stdio::null());
    let mut client = Client::connect(pushline.address);
    let mut statuses = Vec::new();
    for number in 0..40 {
        if number == 10 {
            statuses.push(client.push("/metrics/job/bad", body).status);
        }
        let pushed = client.push(&format!("/metrics/job/good{number}"), "a_b 1\n");
        statuses.push(pushed.status);
    }
    pushline.log.wait_for_text("the reader refuses something, searching for it");
    let rejected = "pushline_lines_rejected_total{reason=\"disconnected\"}";
    wait_until("nothing is refused", || figure(&mut client, rejected) > 0);
    let is_there = |number: u32, text: &str| text.contains(&format!("job=good{number} "));
    wait_until("not everything else arrives", || {
        let text = read.lock().unwrap();
        (0..40).all(|number| is_there(number, &text))
    });
    wait_until("it does not become ready", || readiness(&mut client).0 == 200);
    assert_eq!(figure(&mut client, rejected), 1);
    pushline.log.wait_for_text("what the reader refuses is found, everything else is delivered");
    assert!(figure(&mut client, "pushline_lines_resent_total") > 0);
    // At most the push that is refused was not acknowledged.
    assert!(statuses.iter().filter(|status| **status != 200).count() <= 1, "{statuses:?}");
    pushline.signal("TERM");
    assert!(pushline.wait().success());
}

#[test]
fn while_it_is_searched_for_what_a_reader_refuses_nothing_is_ready() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let reads_to_the_bad_line = |listener: &TcpListener| {
        let (stream, _) = listener.accept().unwrap();
        let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
        lines.find(|line| line.starts_with("bad,"));
        stream
    };
    // At first it seems to have taken the line. Then it closes at it three times, and is away by the
    // time that the search begins.
    let reader = thread::spawn(move || {
        let first = reads_to_the_bad_line(&listener);
        thread::sleep(Duration::from_millis(300));
        drop(first);
        for _ in 0..2 {
            reads_to_the_bad_line(&listener);
        }
        let last = reads_to_the_bad_line(&listener);
        drop(listener);
        drop(last);
    });
    let toml = format!("[output]\ntarget = \"tcp://{address}\"\n");
    let pushline = Pushline::spawn(&toml, Stdio::null());
    let mut pusher = Client::connect(pushline.address);
    pusher.send(&crate::http::request("POST", b"/metrics/job/x", &[], b"bad_line 1\n")).unwrap();
    reader.join().unwrap();
    let mut client = Client::connect(pushline.address);
    wait_until("it stays ready", || {
        let (status, text) = readiness(&mut client);
        status == 503 && text.contains("pushes are offered one by one")
    });
    let report = client.ask("GET", "/api/v1/status", &[], b"").text().to_owned();
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["state"], "reader_refuses");
    assert!(report["output"]["since_ms"].is_u64(), "{}", report["output"]);
    assert_eq!(client.ask("GET", "/-/healthy", &[], b"").status, 200);
    let listener = TcpListener::bind(address).unwrap();
    thread::spawn(move || {
        loop {
            reads_to_the_bad_line(&listener);
        }
    });
    let rejected = "pushline_lines_rejected_total{reason=\"disconnected\"}";
    wait_until("nothing is refused", || figure(&mut client, rejected) > 0);
    wait_until("it does not become ready", || readiness(&mut client).0 == 200);
}

#[test]
fn a_reader_that_comes_back_gets_nothing_older_than_the_replay() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let toml = format!("[output]\ntarget = \"tcp://{address}\"\nreplay = \"300ms\"\n");
    let pushline = Pushline::spawn(&toml, Stdio::null());
    let (first, _) = listener.accept().unwrap();
    let mut client = Client::connect(pushline.address);
    assert_eq!(client.push("/metrics/job/old", "a_b 1\n").status, 200);
    let mut line = String::new();
    BufReader::new(&first).read_line(&mut line).unwrap();
    assert!(line.contains("job=old"));
    // As an orderly restart of a store: it has read all, and comes back later.
    thread::sleep(Duration::from_millis(600));
    drop(first);
    let (second, _) = listener.accept().unwrap();
    let output = Collected::from(second);
    assert_eq!(client.push("/metrics/job/new", "a_b 1\n").status, 200);
    output.wait_for_text("job=new");
    let text = String::from_utf8(output.snapshot()).unwrap();
    assert!(!text.contains("job=old"), "{text}");
}

/// A process whose output takes nothing, and what it takes of memory before that.
fn stalled(acknowledge: &str) -> (Pushline, std::process::ChildStdout, u64) {
    let toml = format!(
        "[output]\nack = \"{acknowledge}\"\nqueue_bytes = \"{QUEUE_KIB}KiB\"\n\
         ack_timeout = \"1h\"\ndrain_timeout = \"1ms\"\n"
    );
    let mut pushline = Pushline::spawn(&toml, Stdio::piped());
    let unread = pushline.stdout();
    // Buffers that grew with a large push must not be what small ones wait in.
    let mut client = Client::connect(pushline.address);
    let large = format!("a_b{{x=\"{}\"}} 1\n", "y".repeat(500)).repeat(1000);
    client.push("/metrics/job/large?dry_run", &large);
    assert_eq!(client.push("/metrics/job/large", &large).status, 200);
    let idle = pushline.status_of("VmRSS");
    (pushline, unread, idle)
}

const QUEUE_KIB: u64 = 8 * 1024;

#[test]
fn small_pushes_that_wait_in_a_queue_take_the_memory_that_it_may_hold() {
    let (pushline, _unread, idle) = stalled("queued");
    let mut client = Client::connect(pushline.address);
    // Nearly full, so that none has to wait for room.
    while figure(&mut client, "pushline_queue_bytes") < (QUEUE_KIB - 256) * 1024 {
        for _ in 0..200 {
            assert_eq!(client.push("/metrics/job/small", "a_b 1\n").status, 200);
        }
    }
    let batches = figure(&mut client, "pushline_queue_batches");
    let taken = pushline.status_of("VmRSS") - idle;
    println!("{batches} small pushes in a queue of {QUEUE_KIB} KiB take {taken} KiB");
    assert!(batches > 10_000, "{batches}");
    assert!(taken < QUEUE_KIB * 3 / 2, "{taken} KiB");
}

#[test]
fn pushes_that_wait_for_their_acknowledgement_take_the_memory_that_they_are_counted_with() {
    let (pushline, _unread, idle) = stalled("written");
    let address = pushline.address;
    let body = Arc::new(format!("a_b{{x=\"{}\"}} 1\n", "y".repeat(1000)).repeat(20));
    for number in 0..300 {
        let body = Arc::clone(&body);
        thread::spawn(move || {
            let path = format!("/metrics/job/{number}");
            let request = crate::http::request("POST", path.as_bytes(), &[], body.as_bytes());
            let mut client = Client::connect(address);
            client.send(&request).ok();
            client.read_answer(true).ok();
        });
    }
    let mut client = Client::connect(address);
    wait_until("they do not wait", || figure(&mut client, "pushline_queue_batches") >= 250);
    let bodies = figure(&mut client, "pushline_buffered_bytes") / 1024;
    let taken = pushline.status_of("VmRSS") - idle;
    println!(
        "250 pushes in a queue of {QUEUE_KIB} KiB and {bodies} KiB of bodies take {taken} KiB"
    );
    assert!(taken < 2 * QUEUE_KIB + bodies + 8 * 1024, "{taken} KiB");
}
