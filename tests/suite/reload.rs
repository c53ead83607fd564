//! SIGHUP: what can change changes while pushes go on, what cannot is named, and a bad file changes
//! nothing.

use crate::http::{Answer, Client, push, request};
use crate::load::{check_all_there, push_all};
use crate::process::{Collected, PATIENCE, Pushline, command, folder};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

const TAKEN: &str = "configuration and credentials read again";
const KEPT: &str = "the configuration stays as it was";

/// Gives the process another configuration; returns the log up to the line that says what changed.
fn reload(pushline: &Pushline, toml: &str) -> String {
    std::fs::write(pushline.config(), toml).unwrap();
    pushline.hang_up(TAKEN)
}

/// The value of one of the process's own metrics.
fn metric(client: &mut Client, name: &str) -> u64 {
    let answer = client.ask("GET", "/metrics", &[], b"");
    let value = answer.text().lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.unwrap().parse().unwrap()
}

fn wait_for_metric(client: &mut Client, name: &str, is_it: impl Fn(u64) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_it(metric(client, name)) {
        assert!(Instant::now() < deadline, "{name} is {}", metric(client, name));
        thread::yield_now();
    }
}

/// A body of about so many bytes: one line of text exposition.
fn body(bytes: usize) -> String {
    format!("a_b{{x=\"{}\"}} 1\n", "y".repeat(bytes))
}

/// One push of the load: where it went, and when it began and ended.
struct Pushed {
    path: &'static str,
    number: u64,
    status: u16,
    epochs: [u64; 2],
}

const LANES: u64 = 8;
const PATHS: [&str; 3] = ["/keep", "/old", "/new"];

/// What the pushing threads and the one that reloads tell each other.
#[derive(Default)]
struct Progress {
    /// Even: the configuration of that turn holds, all of it; odd: it is being replaced.
    epoch: AtomicU64,
    answered: AtomicU64,
    is_over: AtomicBool,
}

impl Progress {
    fn push_all(&self, address: SocketAddr, lane: u64) -> Vec<Pushed> {
        let mut client = Client::connect(address);
        let mut pushed = Vec::new();
        let mut numbers = (lane..).step_by(LANES as usize);
        while !self.is_over.load(Ordering::SeqCst) {
            let number = numbers.next().unwrap();
            let path = PATHS[(number / LANES) as usize % PATHS.len()];
            let began = self.epoch.load(Ordering::SeqCst);
            let answer =
                client.push(&format!("{path}/metrics/job/j"), &format!("x{{n=\"{number}\"}} 1\n"));
            let epochs = [began, self.epoch.load(Ordering::SeqCst)];
            pushed.push(Pushed { path, number, status: answer.status, epochs });
            self.answered.fetch_add(1, Ordering::SeqCst);
        }
        pushed
    }

    /// Waits until one of the lanes at least has pushed to each of the paths.
    fn wait(&self) {
        let enough = self.answered.load(Ordering::SeqCst) + LANES * 6;
        let deadline = Instant::now() + PATIENCE;
        while self.answered.load(Ordering::SeqCst) < enough {
            assert!(Instant::now() < deadline, "no progress");
            thread::yield_now();
        }
    }
}

/// Configurations of even and of odd turns: one input stays, one goes, one comes.
fn turn(number: u64) -> String {
    let input = |prefix: &str| {
        let name = &prefix[1..];
        format!(
            "[[inputs.pushgateway]]\nroute_prefix = \"{prefix}\"\nmeasurement_name = \"{name}\"\n"
        )
    };
    if number.is_multiple_of(2) {
        input("/keep") + &input("/old")
    } else {
        input("/new") + &input("/keep")
    }
}

#[test]
fn inputs_come_and_go_under_load_and_every_push_goes_its_own_way() {
    const TURNS: u64 = 12;
    let (mut pushline, output) = Pushline::start(&turn(0));
    let address = pushline.address;
    let progress = &Progress::default();
    let pushed: Vec<Pushed> = thread::scope(|scope| {
        let lanes: Vec<_> =
            (0..LANES).map(|lane| scope.spawn(move || progress.push_all(address, lane))).collect();
        for number in 1..=TURNS {
            progress.epoch.fetch_add(1, Ordering::SeqCst);
            let line = reload(&pushline, &turn(number));
            progress.epoch.fetch_add(1, Ordering::SeqCst);
            progress.wait();
            assert!(line.contains("inputs.pushgateway[/new] "), "{line}");
            for path in PATHS {
                let answer = push(address, &format!("{path}/metrics/job/own"), "own 1\n");
                assert_eq!(answer.status, expected(path, number), "{path} in turn {number}");
            }
        }
        progress.is_over.store(true, Ordering::SeqCst);
        lanes.into_iter().flat_map(|lane| lane.join().unwrap()).collect()
    });
    pushline.signal("TERM");
    assert!(pushline.wait().success());
    check_ways(&pushed, &output);
}

fn expected(path: &str, turn: u64) -> u16 {
    match path {
        "/keep" => 200,
        "/old" if turn.is_multiple_of(2) => 200,
        "/new" if !turn.is_multiple_of(2) => 200,
        _ => 404,
    }
}

/// Each push that got 200 is on the output once, under the measurement of its input, and no
/// other does; and it got 200 or not as the configuration says that held from its begin to its end.
fn check_ways(pushed: &[Pushed], output: &Collected) {
    let text = String::from_utf8(output.snapshot()).unwrap();
    let mut written: HashMap<u64, Vec<&str>> = HashMap::new();
    for line in text.lines().filter(|line| !line.contains("job=own")) {
        let (measurement, rest) = line.split_once(",job=j,n=").unwrap();
        let number = rest.split_once(' ').unwrap().0.parse().unwrap();
        written.entry(number).or_default().push(measurement);
    }
    let mut counts: HashMap<(&str, u16), u64> = HashMap::new();
    for Pushed { path, number, status, epochs: [began, ended] } in pushed {
        let lines = written.remove(number).unwrap_or_default();
        let want = if *status == 200 { vec![&path[1..]] } else { Vec::new() };
        assert_eq!(lines, want, "push {number} to {path} got {status}");
        assert!(*path != "/keep" || *status == 200, "{status}");
        if began == ended && began.is_multiple_of(2) {
            assert_eq!(*status, expected(path, began / 2), "push {number} to {path}");
        }
        *counts.entry((path, *status)).or_default() += 1;
    }
    assert!(written.is_empty(), "{written:?}");
    for known in [("/keep", 200), ("/old", 200), ("/old", 404), ("/new", 200), ("/new", 404)] {
        assert!(counts.contains_key(&known), "{known:?} never happened: {counts:?}");
    }
    println!("{counts:?}");
}

#[test]
fn a_hundred_sighups_among_pushes_lose_none_of_them() {
    const PUSHES: u64 = 20_000;
    const SIGNALS: u64 = 100;
    let mut pushline = Pushline::spawn("", Stdio::piped());
    let output = Collected::from(pushline.stdout());
    let answered = Arc::new(AtomicU64::new(0));
    let (address, counter) = (pushline.address, Arc::clone(&answered));
    let pushing = thread::spawn(move || push_all(address, PUSHES, &counter));
    let files = [
        "[server]\nmax_connections = 40\n[output]\nack_timeout = \"20s\"\n",
        "[server]\nmax_body_bytes = 0\n",
        "[output]\nack = \"queued\"\nqueue_bytes = \"64KiB\"\nack_timeout = \"21s\"\n",
        "[[inputs.pushgateway]]\nutf8_names = true\n[output]\nack_timeout = \"22s\"\n",
    ];
    for number in 0..SIGNALS {
        let deadline = Instant::now() + PATIENCE;
        while answered.load(Ordering::Relaxed) < number * PUSHES / SIGNALS {
            assert!(Instant::now() < deadline, "no progress");
            thread::yield_now();
        }
        // A file in the making is never seen: it is moved into its place.
        let next = pushline.config().with_extension("next");
        std::fs::write(&next, files[number as usize % files.len()]).unwrap();
        std::fs::rename(next, pushline.config()).unwrap();
        pushline.signal("HUP");
    }
    let at_last_signal = answered.load(Ordering::Relaxed);
    // However many of the signals fell together: each kind came at least once.
    std::fs::write(pushline.config(), files[1]).unwrap();
    let mut log = pushline.hang_up(KEPT);
    log.push_str(&reload(&pushline, files[0]));
    let good = pushing.join().unwrap();
    std::fs::write(pushline.config(), "").unwrap();
    pushline.signal("HUP");
    pushline.signal("TERM");
    assert!(pushline.wait().success());
    assert_eq!(good.len() as u64, PUSHES, "every push must get 200");
    let lines = check_all_there(&output.snapshot(), &good);
    assert_eq!(lines as u64, PUSHES * 3);
    log.push_str(&String::from_utf8(pushline.log.snapshot()).unwrap());
    let (taken, kept) = (log.matches(TAKEN).count(), log.matches(KEPT).count());
    assert!(taken > 0 && kept > 0, "{taken} taken, {kept} refused");
    println!("{SIGNALS} signals while {at_last_signal} pushes: {taken} taken, {kept} refused");
}

#[test]
fn each_limit_holds_for_the_next_request_of_a_connection_that_was_open_before() {
    // So small that it is sent whole, whether or not its refusal waits for the rest; its lines are
    // more than the queue holds.
    let (path, long) = (format!("/metrics/job/{}", "j".repeat(50)), "a_b 1\n".repeat(3000));
    for (name, lowered, status) in [
        ("body", "[server]\nmax_body_bytes = \"16KiB\"\n", 413),
        ("decoded", "[server]\nmax_decoded_bytes = \"16KiB\"\n", 413),
        ("queue", "[output]\nqueue_bytes = \"64KiB\"\n", 413),
        ("prefix", "[[inputs.pushgateway]]\nroute_prefix = \"/p\"\n", 404),
    ] {
        let mut patient = command();
        patient.env("PUSHLINE_OUTPUT_ACK_TIMEOUT", "60s");
        let mut pushline = Pushline::spawn_with(patient, "", Stdio::piped());
        let _output = Collected::from(pushline.stdout());
        let mut clients: Vec<_> = (0..2).map(|_| Client::connect(pushline.address)).collect();
        for client in &mut clients {
            assert_eq!(client.push(&path, &long).status, 200, "{name}");
        }
        reload(&pushline, lowered);
        assert_eq!(clients[0].push(&path, &long).status, status, "{name} lowered");
        reload(&pushline, "");
        assert_eq!(clients[1].push(&path, &long).status, 200, "{name} raised");
    }
}

#[test]
fn each_timeout_holds_for_the_next_request_of_a_connection_that_was_open_before() {
    let (pushline, _output) = Pushline::start("");
    let mut clients: Vec<_> = (0..3).map(|_| Client::connect(pushline.address)).collect();
    for client in &mut clients {
        assert_eq!(client.push("/metrics/job/j", "a_b 1\n").status, 200);
    }
    let whole = request("POST", b"/metrics/job/j", &[], b"a_b 1\n");
    reload(&pushline, "[server]\nhead_timeout = \"20ms\"\n");
    clients[0].send_through(&whole[..20]);
    let answer = clients[0].read_answer(true).unwrap();
    assert_eq!(answer.status, 408);
    assert!(answer.text().contains("head"), "{}", answer.text());
    reload(&pushline, "[server]\nbody_timeout = \"20ms\"\n");
    clients[1].send_through(&whole[..whole.len() - 1]);
    let answer = clients[1].read_answer(true).unwrap();
    assert_eq!(answer.status, 408);
    assert!(answer.text().contains("body"), "{}", answer.text());
    reload(&pushline, "[server]\nidle_timeout = \"20ms\"\n");
    assert_eq!(clients[2].push("/metrics/job/j", "a_b 1\n").status, 200);
    assert!(clients[2].is_closed(), "idle for longer than it may");
}

#[test]
fn a_body_in_hand_goes_on_under_the_bounds_that_it_began_with() {
    let (pushline, output) = Pushline::start("");
    let whole = request("POST", b"/metrics/job/inhand", &[], body(60_000).as_bytes());
    let mut in_hand = Client::connect(pushline.address);
    in_hand.send_through(&whole[..50_000]);
    let mut probe = Client::connect(pushline.address);
    wait_for_metric(&mut probe, "pushline_buffered_bytes", |bytes| bytes >= 48_000);
    reload(&pushline, "[server]\nmax_body_bytes = \"32KiB\"\nmax_buffered_bytes = \"32KiB\"\n");
    let refused = push(pushline.address, "/metrics/job/new", &body(20_000));
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert!(refused.text().contains("32768 bytes"), "{}", refused.text());
    in_hand.send(&whole[50_000..]).unwrap();
    assert_eq!(in_hand.read_answer(true).unwrap().status, 200);
    output.wait_for_text("job=inhand");
    wait_for_metric(&mut probe, "pushline_buffered_bytes", |bytes| bytes < 12_000);
    assert_eq!(push(pushline.address, "/metrics/job/new", &body(20_000)).status, 200);
    assert_eq!(in_hand.push("/metrics/job/inhand", &body(60_000)).status, 413);
}

#[test]
fn fewer_connections_close_idle_ones_and_more_let_in_again() {
    let (pushline, _output) = Pushline::start("[server]\nmax_connections = 40\n");
    let address = pushline.address;
    let mut idle: Vec<_> = (0..20).map(|_| Client::connect(address)).collect();
    for client in &mut idle {
        assert_eq!(client.push("/metrics/job/j", "a_b 1\n").status, 200);
    }
    reload(&pushline, "[server]\nmax_connections = 5\n");
    // Without a further connection, whose coming would close one more.
    let whole = request("POST", b"/metrics/job/j", &[], b"a_b 1\n");
    idle.retain_mut(|client| client.send(&whole).is_ok_and(|()| client.read_answer(true).is_ok()));
    assert_eq!(idle.len(), 5, "so many stay");
    reload(&pushline, "[server]\nmax_connections = 40\n");
    let mut more: Vec<_> = (0..20).map(|_| Client::connect(address)).collect();
    for client in idle.iter_mut().chain(&mut more) {
        assert_eq!(client.push("/metrics/job/j", "a_b 1\n").status, 200);
    }
    assert_eq!(metric(&mut more[0], "pushline_connections_open"), 25);
}

#[test]
fn busy_connections_that_are_too_many_are_answered_and_told_to_close() {
    let (pushline, _output) = Pushline::start("");
    let whole = request("POST", b"/metrics/job/busy", &[], b"a_b 1\n");
    let mut probe = Client::connect(pushline.address);
    let mut busy: Vec<_> = (0..3).map(|_| Client::connect(pushline.address)).collect();
    for client in &mut busy {
        client.send_through(&whole[..whole.len() - 1]);
    }
    // Six bytes are leased for each.
    wait_for_metric(&mut probe, "pushline_buffered_bytes", |bytes| bytes == 18);
    reload(&pushline, "[server]\nmax_connections = 1\n");
    assert!(probe.is_closed(), "the idle one goes at once");
    let finish = |client: &mut Client| -> Answer {
        client.send(&whole[whole.len() - 1..]).unwrap();
        client.read_answer(true).unwrap()
    };
    for (index, want) in [Some("close"), Some("close"), None].into_iter().enumerate() {
        let answer = finish(&mut busy[index]);
        assert_eq!((answer.status, answer.header("Connection")), (200, want), "{index}");
    }
    assert!(busy[0].is_closed() && busy[1].is_closed());
    assert_eq!(busy[2].push("/metrics/job/busy", "a_b 1\n").status, 200);
}

#[test]
fn the_log_says_more_or_less_and_looks_as_asked_from_the_next_line_on() {
    let (pushline, _output) = Pushline::start("");
    // Each refused push is told at debug, before its answer; the log up to then is looked at.
    let mut number = 0;
    let mut tells = || {
        number += 1;
        let job = format!("/metrics/job/refused{number}");
        assert_eq!(push(pushline.address, &job, "oops\n").status, 400);
        job
    };
    let debug = "log.level = \"debug\"\n";
    let job = tells();
    let log = reload(&pushline, debug);
    assert!(log.contains("changed=\"log.level info -> debug\"") && !log.contains(&job), "{log}");
    let job = tells();
    let log = reload(&pushline, "log.level = \"error\"\nlog.format = \"json\"\n");
    let changed = "\"changed\":\"log.level debug -> error, log.format logfmt -> json\"";
    assert!(log.contains(changed) && log.contains(&job), "{log}");
    let job = tells();
    let log = reload(&pushline, debug);
    let changed = "changed=\"log.level error -> debug, log.format json -> logfmt\"";
    assert!(log.contains(changed) && !log.contains(&job), "{log}");
    pushline.log.wait_for_text(&tells());
}

fn write_secret(path: &Path, text: &str, mode: u32) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn another_file_of_credentials_and_another_content_are_both_taken() {
    let folder = folder();
    let (one, other) = (folder.join("one"), folder.join("other"));
    write_secret(&one, "bearer one\n", 0o600);
    write_secret(&other, "bearer other\n", 0o600);
    let with = |path: &Path| format!("[server]\nauth_file = \"{}\"\n", path.display());
    let (pushline, _output) = Pushline::start(&with(&one));
    // One connection all the time: it is asked anew with each request.
    let mut client = Client::connect(pushline.address);
    let mut status = |token: &str| {
        let header = format!("Bearer {token}");
        let answer =
            client.ask("POST", "/metrics/job/j", &[("Authorization", &header)], b"a_b 1\n");
        if answer.status == 401 {
            client = Client::connect(pushline.address);
        }
        answer.status
    };
    assert_eq!([status("one"), status("other")], [200, 401]);
    let line = reload(&pushline, &with(&other));
    let paths = format!("server.auth_file {} -> {}", one.display(), other.display());
    assert!(line.contains(&paths) && line.contains("credentials=changed"), "{line}");
    assert!(!line.contains("bearer"), "{line}");
    assert_eq!([status("one"), status("other")], [401, 200]);
    write_secret(&other, "bearer third\n", 0o600);
    let line = reload(&pushline, &with(&other));
    assert!(line.contains("changed=nothing credentials=changed"), "{line}");
    assert_eq!([status("other"), status("third")], [401, 200]);
    let line = reload(&pushline, &with(&other));
    assert!(line.contains("changed=nothing credentials=unchanged"), "{line}");
    let line = reload(&pushline, "");
    assert!(line.contains("credentials=changed"), "{line}");
    assert_eq!(status("nobody"), 200, "open to all");
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_bad_file_of_credentials_keeps_the_whole_configuration_as_it_was() {
    let folder = folder();
    let (one, other) = (folder.join("one"), folder.join("other"));
    write_secret(&one, "bearer one\n", 0o600);
    write_secret(&other, "bearer other\n", 0o644);
    let (pushline, _output) =
        Pushline::start(&format!("[server]\nauth_file = \"{}\"\n", one.display()));
    let new = format!("[server]\nauth_file = \"{}\"\nmax_body_bytes = \"1KiB\"\n", other.display());
    std::fs::write(pushline.config(), new).unwrap();
    let log = pushline.hang_up(KEPT);
    assert!(log.contains(&format!("{}: its mode is 0644", other.display())), "{log}");
    let headers = [("Authorization", "Bearer one")];
    let long = body(2000);
    let mut client = Client::connect(pushline.address);
    assert_eq!(client.ask("POST", "/metrics/job/j", &headers, long.as_bytes()).status, 200);
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_bad_file_changes_nothing_and_every_mistake_is_told_with_its_place() {
    let folder = folder();
    let output = folder.join("lines");
    let good = format!("[output]\ntarget = \"file:{}\"\n", output.display());
    let pushline = Pushline::spawn(&good, Stdio::null());
    let path = pushline.config();
    let bad = format!(
        "{good}ack_timeout = \"never\"\n[log]\nlevel = \"debug\"\nlevle = 1\n\
         [[inputs.pushgateway]]\nroute_prefix = \"/gone\"\n"
    );
    std::fs::write(&path, bad).unwrap();
    std::fs::rename(&output, folder.join("rotated")).unwrap();
    pushline.signal("HUP");
    let place = path.display();
    for want in [
        format!("{place}:3:15: output.ack_timeout is \\\"never\\\", must be between 1ms and 24h"),
        format!("{place}:6:1: \\\"log.levle\\\" is not known, did you mean log.level?"),
    ] {
        pushline.log.wait_for_text(&want);
    }
    // The rotation does not depend on it.
    assert_eq!(push(pushline.address, "/metrics/job/after", "a_b 1\n").status, 200);
    let text = std::fs::read_to_string(&output).unwrap();
    assert!(text.starts_with("a,job=after "), "{text}");
    assert_eq!(push(pushline.address, "/gone/metrics/job/x", "a_b 1\n").status, 404);
    assert_eq!(push(pushline.address, "/metrics/job/quiet", "oops\n").status, 400);
    std::fs::remove_file(&path).unwrap();
    let log = pushline.hang_up(&format!("{place}: cannot be read: No such file"));
    assert!(!log.contains("job/quiet") && !log.contains(TAKEN), "{log}");
    let line = reload(&pushline, &good);
    assert!(line.contains("changed=nothing"), "{line}");
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_key_that_needs_a_restart_is_named_and_the_others_are_taken() {
    let (pushline, output) = Pushline::start("[server]\nworkers = 3\n");
    let new = "[server]\nworkers = 5\nmax_body_bytes = \"1KiB\"\n\
               [output]\ntarget = \"file:/nowhere/x\"\nfsync = true\n";
    std::fs::write(pushline.config(), new).unwrap();
    for _ in 0..2 {
        // Told each time, as long as it is so.
        let log = pushline.hang_up(TAKEN);
        for (key, running, configured) in [
            ("server.workers", "3", "5"),
            ("output.target", "stdout", "file:/nowhere/x"),
            ("output.fsync", "false", "true"),
        ] {
            let want = format!("key={key} running={running} configured={configured}\n");
            assert!(log.contains(&want), "{want} is not in {log}");
        }
        assert_eq!(log.matches("needs a restart").count(), 3, "{log}");
    }
    assert_eq!(push(pushline.address, "/metrics/job/long", &body(2000)).status, 413);
    assert_eq!(push(pushline.address, "/metrics/job/short", "a_b 1\n").status, 200);
    output.wait_for_text("job=short");
}

#[test]
fn the_environment_wins_over_the_new_file_too() {
    let mut command = command();
    command.env("PUSHLINE_SERVER_MAX_BODY_BYTES", "2KiB");
    command.env("ENV_INPUT_PUSHGATEWAY_ROUTE_PREFIX", "/e");
    let mut pushline = Pushline::spawn_with(command, "", Stdio::piped());
    let _output = Collected::from(pushline.stdout());
    let new = "[server]\nmax_body_bytes = \"1MiB\"\nmax_connections = 9\n\
               [[inputs.pushgateway]]\nroute_prefix = \"/f\"\n";
    let line = reload(&pushline, new);
    assert!(line.contains("changed=\"server.max_connections 1024 -> 9\""), "{line}");
    assert_eq!(push(pushline.address, "/e/metrics/job/j", &body(3000)).status, 413);
    assert_eq!(push(pushline.address, "/e/metrics/job/j", &body(1000)).status, 200);
    assert_eq!(push(pushline.address, "/f/metrics/job/j", &body(1000)).status, 404);
}

#[test]
fn without_a_file_sighup_still_reads_the_credentials_again() {
    let folder = folder();
    let file = folder.join("auth");
    write_secret(&file, "bearer one\n", 0o600);
    let mut bash = std::process::Command::new("bash");
    // The harness's own --config becomes $0.
    let program = command().get_program().to_string_lossy().into_owned();
    bash.args(["-c", &format!("exec {program}")]).env("PUSHLINE_SERVER_AUTH_FILE", &file);
    let mut pushline = Pushline::spawn_with(bash, "", Stdio::piped());
    let _output = Collected::from(pushline.stdout());
    std::fs::write(pushline.config(), "nonsense").unwrap();
    write_secret(&file, "bearer other\n", 0o600);
    let log = pushline.hang_up(TAKEN);
    assert!(log.contains("changed=nothing credentials=changed"), "{log}");
    let headers = [("Authorization", "Bearer other")];
    let mut client = Client::connect(pushline.address);
    assert_eq!(client.ask("POST", "/metrics/job/j", &headers, b"a_b 1\n").status, 200);
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_new_acknowledgement_and_a_new_time_to_drain_hold_without_a_restart() {
    let mut pushline = Pushline::spawn("", Stdio::piped());
    let _unread = pushline.stdout();
    reload(&pushline, "[output]\nack = \"queued\"\ndrain_timeout = \"300ms\"\n");
    // More than a pipe takes: only once it is queued can such a push be answered 200.
    let long = body(500).repeat(4000);
    for _ in 0..4 {
        assert_eq!(push(pushline.address, "/metrics/job/j", &long).status, 200);
    }
    pushline.signal("TERM");
    assert_eq!(pushline.wait().code(), Some(1));
    pushline.log.wait_for_text("not written within 0.3 s (output.drain_timeout)");
}
