//! The whole process in front of a store that has bad days: what a pusher is told, what an operator
//! sees, and that neither probes nor the end wait for a store that hangs.

use crate::http::{Client, push};
use crate::load::{check_all_there, push_all};
use crate::process::{PATIENCE, Pushline, command, folder};
use crate::store::{Act, Early, Store, StoreRequest};
use std::collections::VecDeque;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

fn spawn(store: &Store, more: &str) -> Pushline {
    let url = store.url("/write?db=metrics&p=secret");
    let toml = format!("output.target = \"{url}\"\noutput.ack_timeout = \"20s\"\n{more}");
    Pushline::spawn(&toml, Stdio::null())
}

fn is_good(line: &str) -> bool {
    !line.contains("bad=yes")
}

fn whole(request: &StoreRequest) -> Act {
    Act::whole(request, is_good)
}

/// Waits until it is so.
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::yield_now();
    }
}

#[test]
fn a_push_that_got_200_is_in_the_store_whatever_the_store_did_before() {
    let mut count = 0_u32;
    let store = Store::start(move |_| {
        count += 1;
        match count % 12 {
            3 => Act::status(503),
            5 => Act::TakeAndClose,
            7 => Act::status(500),
            9 => Act::Raw("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ncut".to_owned()),
            11 => Act::Raw(String::new()),
            _ => Act::status(204),
        }
    });
    let mut pushline = spawn(&store, "");
    let good = push_all(pushline.address, 3_000, &Arc::default());
    assert_eq!(good.len(), 3_000);
    pushline.signal("TERM");
    assert!(pushline.wait().success());
    let taken: String = store.taken().iter().map(|line| format!("{line}\n")).collect();
    let lines = check_all_there(taken.as_bytes(), &good);
    assert!(lines >= 9_000);
    println!("3000 pushes, {} lines in the store more than once", lines - 9_000);
}

#[test]
fn a_pusher_is_told_which_of_its_lines_the_store_refuses() {
    let store = Store::start(whole);
    let folder = folder();
    let file = folder.join("rejected");
    let pushline = spawn(&store, &format!("output.rejected.file = \"{}\"\n", file.display()));
    let body = "a_b{n=\"1\"} 1\na_b{n=\"2\",bad=\"yes\"} 2\na_b{n=\"3\"} 3\n";
    let answer = push(pushline.address, "/metrics/job/x", body);
    assert_eq!(answer.status, 422, "{}", answer.text());
    let text = answer.text();
    assert!(text.starts_with("1 of the 3 lines of this push were refused"), "{text}");
    assert!(text.contains("a,bad=yes,job=x,n=2 b=2"), "{text}");
    assert!(text.contains("a bad line"), "the words of the store: {text}");
    let kept = std::fs::read_to_string(&file).unwrap();
    let [comment, line] = kept.lines().collect::<Vec<_>>()[..] else { panic!("{kept}") };
    assert!(comment.starts_with("# 20") && comment.ends_with(" status=400 message=\"a bad line\""));
    assert!(line.starts_with("a,bad=yes,job=x,n=2 b=2 "), "{line}");
    let taken = store.taken();
    assert_eq!(taken.len(), 2, "{taken:?}");
    assert_eq!(push(pushline.address, "/metrics/job/x", "a_b 4\n").status, 200);
    let metrics = push_metrics(&pushline);
    assert!(metrics.contains("\npushline_lines_rejected_total{reason=\"refused\"} 1\n"));
    std::fs::remove_dir_all(folder).unwrap();
}

fn push_metrics(pushline: &Pushline) -> String {
    let mut client = Client::connect(pushline.address);
    client.ask("GET", "/metrics", &[], b"").text().to_owned()
}

#[test]
fn secrets_of_the_url_are_not_shown() {
    let store = Store::start(|_| Act::status(204));
    let pushline = spawn(&store, "");
    let mut client = Client::connect(pushline.address);
    let status = client.ask("GET", "/api/v1/status", &[], b"").text().to_owned();
    assert!(status.contains("/write") && !status.contains("secret"), "{status}");
    pushline.log.wait_for_text("/write");
    let log = String::from_utf8(pushline.log.snapshot()).unwrap();
    assert!(!log.contains("secret"), "{log}");
}

#[test]
fn neither_probes_nor_the_end_wait_for_a_store_that_hangs() {
    let store = Store::start(|_| Act::Hang);
    let toml = "output.drain_timeout = \"300ms\"\noutput.http.timeout = \"60s\"\n";
    let mut pushline = spawn(&store, toml);
    let mut client = Client::connect(pushline.address);
    client.send(&crate::http::request("POST", b"/metrics/job/x", &[], b"a_b 1\n")).unwrap();
    store.wait_for_requests(1);
    let mut probe = Client::connect(pushline.address);
    assert_eq!(probe.ask("GET", "/-/healthy", &[], b"").status, 200);
    pushline.signal("HUP");
    assert_eq!(probe.ask("GET", "/-/healthy", &[], b"").status, 200);
    let begun = Instant::now();
    pushline.signal("TERM");
    assert!(!pushline.wait().success(), "a push was not written");
    assert!(begun.elapsed() < Duration::from_secs(30), "it waited for the store");
}

#[test]
fn a_mistake_of_the_operator_is_told_everywhere_in_the_words_of_the_store_and_mended() {
    let store = Store::start(|_| Act::answer(401, "", r#"{"error":"unauthorized access"}"#));
    let pushline = spawn(&store, "");
    let mut first = Client::connect(pushline.address);
    first.send(&crate::http::request("POST", b"/metrics/job/x", &[], b"a_b 1\n")).unwrap();
    let words = "401 from the store: \"unauthorized access\"";
    let mut client = Client::connect(pushline.address);
    wait_until("it is ready", || {
        let answer = client.ask("GET", "/-/ready", &[], b"");
        answer.status == 503 && answer.text().contains(words)
    });
    let status = client.ask("GET", "/api/v1/status", &[], b"").text().to_owned();
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    assert_eq!(status["state"], "misconfigured");
    assert_eq!(status["output"]["error"], words);
    assert!(status["output"]["since_ms"].as_u64() >= status["start_ms"].as_u64());
    assert!(status["output"]["next_try_seconds"].as_u64().unwrap() <= 30);
    let refused = push(pushline.address, "/metrics/job/x", "a_b 2\n");
    assert_eq!(refused.status, 503);
    assert!(refused.text().contains(words), "{}", refused.text());
    pushline.log.wait_for_text("401 from the store");
    store.play(|_| Act::status(204));
    // Mended, it is tried again at once.
    pushline.signal("HUP");
    assert_eq!(first.read_answer(true).unwrap().status, 200);
    wait_until("it is not ready", || client.ask("GET", "/-/ready", &[], b"").status == 200);
    assert_eq!(store.taken().len(), 1, "the refused push was not written");
}

#[test]
fn an_answer_before_the_body_was_read_is_heard_by_the_whole_process() {
    let store = Store::start(|_| Act::status(204));
    store.play_early(Early::Answer(401));
    let pushline = spawn(&store, "");
    let mut client = Client::connect(pushline.address);
    client.send(&crate::http::request("POST", b"/metrics/job/x", &[], b"a_b 1\n")).unwrap();
    pushline.log.wait_for_text("401 from the store");
}

#[test]
fn what_waits_while_a_request_is_on_its_way_is_one_request() {
    let (hold, held) = std::sync::mpsc::channel::<()>();
    let store = Store::start(move |_| {
        held.recv().unwrap();
        Act::status(204)
    });
    let pushline = spawn(&store, "");
    let mut clients: Vec<_> = (0..20).map(|_| Client::connect(pushline.address)).collect();
    let request = crate::http::request("POST", b"/metrics/job/x", &[], b"a_b 1\n");
    clients[0].send(&request).unwrap();
    store.wait_for_requests(1);
    for client in &mut clients[1..] {
        client.send(&request).unwrap();
    }
    let metrics = || push_metrics(&pushline);
    wait_until("they do not wait", || metrics().contains("\npushline_queue_batches 20\n"));
    hold.send(()).unwrap();
    hold.send(()).unwrap();
    for client in &mut clients {
        assert_eq!(client.read_answer(true).unwrap().status, 200);
    }
    let lines: Vec<_> = store.requests().iter().map(|request| request.lines.len()).collect();
    assert_eq!(lines, [1, 19]);
}

#[test]
fn a_credential_that_cannot_be_used_ends_the_start_and_the_check() {
    let folder = folder();
    let config = folder.join("pushline.toml");
    let toml =
        "output.target = \"http://127.0.0.1:1/write\"\noutput.http.auth_file = \"/nowhere\"\n";
    std::fs::write(&config, toml).unwrap();
    let output = command().arg("--check").arg("--config").arg(&config).output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(
        message.contains("output.http.auth_file: /nowhere: cannot read the credentials"),
        "{message}"
    );
    std::fs::write(&config, "output.target = \"http://store/write?precision=ms\"\n").unwrap();
    let output = command().arg("--check").arg("--config").arg(&config).output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{message}");
    assert!(message.contains("precision=ms"), "{message}");
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn retry_after_is_kept_to() {
    let mut acts = VecDeque::from([Act::answer(429, "Retry-After: 1\r\n", "")]);
    let store = Store::start(move |_| acts.pop_front().unwrap_or(Act::status(204)));
    let pushline = spawn(&store, "");
    let begun = Instant::now();
    assert_eq!(push(pushline.address, "/metrics/job/x", "a_b 1\n").status, 200);
    assert!(begun.elapsed() >= Duration::from_secs(1), "{:?}", begun.elapsed());
}

#[test]
fn a_poison_line_that_is_first_after_a_start_stops_nothing() {
    let folder = folder();
    let spool = format!("[spool]\ndir = \"{}\"\nafter = \"10ms\"\n", folder.display());
    let store = Store::start(|_| Act::status(503));
    let mut pushline = spawn(&store, &spool);
    assert_eq!(push(pushline.address, "/metrics/job/x", "a_b{bad=\"yes\"} 1\n").status, 200);
    pushline.signal("TERM");
    assert!(pushline.wait().success());
    // A store that fails over the line that waits, and has taken no other from this process.
    store.play(|request| match request.lines.iter().all(|line| is_good(line)) {
        true => Act::status(204),
        false => Act::status(500),
    });
    let pushline = spawn(&store, &spool);
    assert_eq!(push(pushline.address, "/metrics/job/x", "a_b 2\n").status, 200);
    let is_refused = "\npushline_lines_rejected_total{reason=\"poison\"} 1\n";
    wait_until("the line is refused", || push_metrics(&pushline).contains(is_refused));
    wait_until("the other is taken", || {
        store.taken().iter().any(|line| line.contains("a,job=x b=2"))
    });
    assert!(store.taken().iter().all(|line| is_good(line)));
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn what_was_acknowledged_is_spooled_though_a_slow_body_uses_up_the_time_of_the_end() {
    let folder = folder();
    // The writer is in a request until its time is up, and gives up as soon as that ends.
    let toml = format!(
        "output.ack = \"queued\"\noutput.drain_timeout = \"100ms\"\n\
         output.http.timeout = \"700ms\"\n[spool]\ndir = \"{}\"\nafter = \"10s\"\n",
        folder.display()
    );
    let store = Store::start(|_| Act::Hang);
    let mut pushline = spawn(&store, &toml);
    let mut slow = Client::connect(pushline.address);
    slow.send(b"POST /metrics/job/x HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\na").unwrap();
    for number in 0..5 {
        let body = format!("a_b{{n=\"{number}\"}} 1\n");
        assert_eq!(push(pushline.address, "/metrics/job/x", &body).status, 200);
    }
    store.wait_for_requests(1);
    pushline.signal("TERM");
    assert!(pushline.wait().success(), "nothing is left");
    let shown = command().args(["spool", "print", "--dir"]).arg(&folder).output().unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    let numbers = (0..5).filter(|number| shown.contains(&format!("n={number} ")));
    assert_eq!(numbers.count(), 5, "{shown}");
    std::fs::remove_dir_all(folder).unwrap();
}
