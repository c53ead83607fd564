//! What one client's requests may cost the others: turns of the gate, the workers' time, memory. Each
//! fault of that kind that was found under attack has a test here that bears its name, over real
//! sockets. Work is compared as time of the processor, which does not grow with what else runs.

use crate::http::{Client, push, request};
use crate::process::{Collected, PATIENCE, Pushline, folder};
use crate::store::{Act, Store};
use std::io::Write;
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The time of the processor that a process has used so far.
fn cpu_time(pushline: &Pushline) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pushline.child.id())).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    // utime and stime, in hundredths of a second (proc(5)).
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(10 * ticks)
}

/// What a push costs, and how it is answered.
fn cost(pushline: &Pushline, path: &str, body: &str) -> (Duration, u16) {
    let mut client = Client::connect(pushline.address);
    // A fault takes minutes.
    client.stream.set_read_timeout(Some(10 * PATIENCE)).unwrap();
    let before = cpu_time(pushline);
    let status = client.push(path, body).status;
    (cpu_time(pushline) - before, status)
}

fn gzip_of(script: &str) -> Vec<u8> {
    Command::new("sh").args(["-c", &format!("{script} | gzip -1")]).output().unwrap().stdout
}

#[test]
fn a_probe_does_not_wait_for_the_conversions_before_it() {
    const BOMBS: usize = 12;
    let (pushline, _output) = Pushline::start("[server]\nworkers = 1\n");
    let bomb = gzip_of("head -c 60000000 /dev/zero | tr '\\0' '\\n'");
    let bomb = request("PUT", b"/metrics/job/x", &[("Content-Encoding", "gzip")], &bomb);
    let mut clients: Vec<_> = (0..BOMBS).map(|_| Client::connect(pushline.address)).collect();
    for client in &mut clients {
        client.send(&bomb).unwrap();
    }
    for target in ["/-/healthy", "/-/ready"] {
        let probe = Client::connect(pushline.address).ask("GET", target, &[], b"");
        assert_eq!(probe.status, 200, "{target}");
    }
    let is_answered = |client: &Client| {
        client.stream.set_nonblocking(true).unwrap();
        client.stream.peek(&mut [0]).is_ok()
    };
    let answered = clients.iter().filter(|client| is_answered(client)).count();
    assert!(answered < BOMBS, "the probes were answered after all that came before them");
}

/// A client whose first push is served: its connection is a regular one.
fn served(pushline: &Pushline) -> Client {
    let mut client = Client::connect(pushline.address);
    assert_eq!(client.push("/metrics/job/first", "a_b 1\n").status, 200);
    client
}

#[test]
fn bodies_that_come_in_tiny_chunks_take_turns_with_a_small_push() {
    const CLIENTS: usize = 8;
    let (pushline, output) = Pushline::start("");
    // The process is stopped until all of it is sent, so that it finds all at once.
    let clients: Vec<_> = (0..CLIENTS).map(|_| served(&pushline)).collect();
    let mut small = served(&pushline);
    let body = "a_b 1\n".repeat(8000);
    let mut large =
        b"PUT /metrics/job/large HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for byte in body.bytes() {
        large.extend_from_slice(&[b'1', b'\r', b'\n', byte, b'\r', b'\n']);
    }
    large.extend_from_slice(b"0\r\n\r\n");
    pushline.stop();
    std::thread::scope(|scope| {
        for client in &clients {
            let mut stream = client.stream.try_clone().unwrap();
            // It ends only once the process reads.
            scope.spawn({
                let large = &large;
                move || stream.write_all(large).unwrap()
            });
        }
        let deadline = Instant::now() + PATIENCE;
        while clients.iter().any(|client| client.bytes_unread() < 60_000) {
            assert!(Instant::now() < deadline, "the large bodies do not come");
        }
        small.send_through(&request("PUT", b"/metrics/job/small", &[], b"a_b 1\n"));
        pushline.signal("CONT");
    });
    for mut client in clients {
        assert_eq!(client.read_answer(true).unwrap().status, 200);
    }
    assert_eq!(small.read_answer(true).unwrap().status, 200);
    output.wait_for_text("job=small");
    let text = String::from_utf8(output.snapshot()).unwrap();
    let (small, large) = (came(&text, "small"), came(&text, "large"));
    assert!(small[0] < *large.iter().min().unwrap(), "the small one waited for a large one");
}

#[test]
fn requests_that_are_sent_ahead_take_turns_with_a_small_push() {
    const CLIENTS: usize = 8;
    let (pushline, output) = Pushline::start("");
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| served(&pushline)).collect();
    let mut small = served(&pushline);
    // Less than one read, and the last of them is a push.
    let mut ahead = b"GET /-/healthy HTTP/1.1\r\n\r\n".repeat(1500);
    ahead.extend(request("PUT", b"/metrics/job/ahead", &[], b"a_b 1\n"));
    pushline.stop();
    for client in &mut clients {
        client.send_through(&ahead);
    }
    small.send_through(&request("PUT", b"/metrics/job/small", &[], b"a_b 1\n"));
    pushline.signal("CONT");
    for client in &mut clients {
        for _ in 0..=1500 {
            assert_eq!(client.read_answer(true).unwrap().status, 200);
        }
    }
    assert_eq!(small.read_answer(true).unwrap().status, 200);
    output.wait_for_text("job=small");
    let text = String::from_utf8(output.snapshot()).unwrap();
    let (small, ahead) = (came(&text, "small"), came(&text, "ahead"));
    assert!(
        small[0] < *ahead.iter().min().unwrap(),
        "the small one waited for all that came ahead"
    );
}

/// When the last byte of each push of a job came, which is the time of its line.
fn came(text: &str, job: &str) -> Vec<u64> {
    let of_job = text.lines().filter(|line| line.starts_with(&format!("a,job={job} ")));
    of_job.map(|line| line.rsplit_once(' ').unwrap().1.parse().unwrap()).collect()
}

#[test]
fn a_small_body_under_a_url_of_empty_labels_costs_what_it_has() {
    let (pushline, _output) = Pushline::start("");
    let letters = || (b'a'..=b'z').chain(b'A'..=b'Z').map(char::from);
    let names = letters().flat_map(|first| letters().map(move |second| (first, second)));
    let labels: String = names.map(|(first, second)| format!("/{first}{second}/")).collect();
    for body in ["a{b=\"\"} 1\n".repeat(20_000), "a{b=\"\"} 1\na{c=\"1\"} 1\n".repeat(10_000)] {
        let (usual, status) = cost(&pushline, "/metrics/job/x", &body);
        assert_eq!(status, 200);
        let (found, status) = cost(&pushline, &format!("/metrics/job/x{labels}"), &body);
        assert_eq!(status, 200);
        println!("{usual:?} under a short URL, {found:?} under 2704 empty labels");
        assert!(found < 5 * usual + Duration::from_millis(500), "{found:?}, usually {usual:?}");
    }
}

#[test]
fn names_that_clean_to_one_name_cost_what_they_have() {
    let toml = "[server]\nmax_line_bytes = \"16MiB\"\n[[inputs.pushgateway]]\nutf8_names = true\n";
    let (pushline, _output) = Pushline::start(toml);
    let body = |zero: &str, one: &str| {
        let name = |number: usize| -> String {
            (0..12).map(|bit| if number >> bit & 1 == 0 { zero } else { one }).collect()
        };
        let labels: String =
            (0..4000).map(|number| format!("\"{}\"=\"v\",", name(number))).collect();
        format!("a{{{labels}}} 1\n")
    };
    let (usual, status) = cost(&pushline, "/metrics/job/x", &body("xx", "yy"));
    assert_eq!(status, 200);
    let (found, status) = cost(&pushline, "/metrics/job/x", &body("\\\"", "\\\\"));
    assert_eq!(status, 200);
    println!("{usual:?} for 4000 names, {found:?} for as many that clean to one");
    assert!(found < 10 * usual + Duration::from_millis(1500), "{found:?}, usually {usual:?}");
}

#[test]
fn large_pushes_that_are_refused_leave_no_large_buffers_to_tiny_ones_that_wait() {
    const PUSHES: usize = 150;
    let toml =
        "[output]\nqueue_bytes = \"4MiB\"\nack_timeout = \"100s\"\ndrain_timeout = \"1ms\"\n";
    let mut pushline = Pushline::spawn(toml, Stdio::piped());
    let _unread = pushline.stdout();
    // Just below what is kept of a buffer: lines of 900 KB.
    let path = format!("/metrics/job/{}", "j".repeat(160));
    let large = request("PUT", path.as_bytes(), &[], "a_b 1\n".repeat(4500).as_bytes());
    let mut waiting = Vec::new();
    let mut push_large = || {
        let mut client = Client::connect(pushline.address);
        client.send(&large).unwrap();
        client.stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        let status = client.read_answer(true).map(|answer| answer.status);
        if status.is_err() {
            // It waits for the output, which takes no more than a pipe holds.
            waiting.push(client);
        }
        status.ok()
    };
    // Until the queue is full, and what waits for room in it is as much as may.
    let deadline = Instant::now() + 2 * PATIENCE;
    while push_large() != Some(503) {
        assert!(Instant::now() < deadline, "no push is refused");
    }
    let before = pushline.status_of("VmRSS");
    let mut tiny = Vec::new();
    for _ in 0..PUSHES {
        push_large();
        let mut client = Client::connect(pushline.address);
        client.send(&request("PUT", b"/metrics/job/tiny", &[], b"a_b 1\n")).unwrap();
        tiny.push(client);
    }
    let taken = pushline.status_of("VmRSS").saturating_sub(before);
    println!("{PUSHES} tiny pushes that wait, each after a large refused one: {taken} KiB");
    assert!(taken < 24 * 1024, "{taken} KiB");
}

#[test]
fn a_push_that_is_larger_than_what_is_sent_again_is_not_kept_for_good() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = listener.local_addr().unwrap();
    let toml = format!("[output]\ntarget = \"tcp://{target}\"\nack_timeout = \"60s\"\n");
    let pushline = Pushline::spawn(&toml, Stdio::null());
    let output = Collected::from(listener.accept().unwrap().0);
    assert_eq!(push(pushline.address, "/metrics/job/small", "a_b 1\n").status, 200);
    let before = pushline.status_of("VmRSS");
    let large = format!("a_b{{x=\"{}\"}} 1\n", "y".repeat(1000)).repeat(38_000);
    let mut client = Client::connect(pushline.address);
    let gzip = {
        let path = crate::process::folder().join("large");
        std::fs::write(&path, &large).unwrap();
        gzip_of(&format!("cat {}", path.display()))
    };
    let coding = [("Content-Encoding", "gzip")];
    assert_eq!(client.ask("PUT", "/metrics/job/large", &coding, &gzip).status, 200);
    output.take_until(|bytes| bytes.ends_with(b"\n") && bytes.len() > large.len());
    // Whoever has it in hand still lets go of it soon.
    let deadline = Instant::now() + PATIENCE;
    loop {
        assert_eq!(push(pushline.address, "/metrics/job/small", "a_b 1\n").status, 200);
        let kept = pushline.status_of("VmRSS").saturating_sub(before);
        if kept < 20 * 1024 {
            println!("{kept} KiB are kept of a push of {} KiB", large.len() / 1024);
            return;
        }
        assert!(Instant::now() < deadline, "{kept} KiB are kept");
    }
}

/// How often the thread of that name has slept so far.
fn sleeps_of_thread(pushline: &Pushline, name: &str) -> u64 {
    let begin = format!("Name:\t{name}\n");
    let status = || {
        let threads = std::fs::read_dir(format!("/proc/{}/task", pushline.child.id())).unwrap();
        // One may end meanwhile.
        threads
            .filter_map(|thread| {
                std::fs::read_to_string(thread.unwrap().path().join("status")).ok()
            })
            .find(|status| status.starts_with(&begin))
    };
    let status = loop {
        // A thread names itself once it runs.
        if let Some(status) = status() {
            break status;
        }
        std::thread::yield_now();
    };
    let count = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    count.unwrap().trim().parse().unwrap()
}

#[test]
fn while_all_is_well_no_push_wakes_the_spooler() {
    const PUSHES: u64 = 300;
    let store = Store::start(|_| Act::status(204));
    let spool = folder();
    let (pushline, _output) = Pushline::start(&format!(
        "[output]\ntarget = \"{}\"\nack_timeout = \"60s\"\n[spool]\ndir = \"{}\"\nafter = \"30s\"\n",
        store.url("/write"),
        spool.display()
    ));
    let mut client = served(&pushline);
    let (before, start) = (sleeps_of_thread(&pushline, "spooler"), Instant::now());
    for _ in 0..PUSHES {
        assert_eq!(client.push("/metrics/job/x", "a_b 1\n").status, 200);
    }
    let slept = sleeps_of_thread(&pushline, "spooler") - before;
    // It looks after its folder once a second.
    let looks = start.elapsed().as_secs() + 2;
    assert!(slept <= 2 * looks, "it slept {slept} times");
    std::fs::remove_dir_all(spool).unwrap();
}
