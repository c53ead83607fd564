//! The configuration for a host of 64 MiB (`scripts/examples/small-host.toml`) under all at once that
//! takes memory.

use crate::http::{Client, head, push, request};
use crate::process::Pushline;
use std::io::Read;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

const RESIDENT_KIB_MAX: u64 = 24 * 1024;
const PUSHERS: usize = 16;
const PUSHES: usize = 10;

/// Pushes again and again, over a new connection where the last one was closed.
fn push_all(address: SocketAddr, requests: &[Vec<u8>]) -> usize {
    let mut taken = 0;
    let mut client = Client::connect(address);
    for request in requests.iter().cycle().take(PUSHES) {
        let answer = client.send(request).and_then(|()| client.read_answer(true));
        match answer {
            Ok(answer) => taken += usize::from(answer.status == 200),
            Err(_) => client = Client::connect(address),
        }
    }
    taken
}

fn gzip_of_newlines(bytes: usize) -> Vec<u8> {
    let script = format!("head -c {bytes} /dev/zero | tr '\\0' '\\n' | gzip");
    Command::new("sh").args(["-c", &script]).output().unwrap().stdout
}

/// Bodies at every bound: as many lines as a body of 256 KiB has, long ones, many labels, bombs that
/// become as much as is allowed and more.
fn requests() -> Vec<Vec<u8>> {
    let path = b"/metrics/job/load/instance/a";
    let short: String = (0..).map(|number| format!("a_{number} 1\n")).take(40_000).collect();
    let short = &short[..short[..256 << 10].rfind('\n').unwrap() + 1];
    let long = format!("a{{b=\"{}\"}} 1\n", "x".repeat(60_000)).repeat(4);
    let labels: String = (0..2000).map(|number| format!("l{number}=\"v\",")).collect();
    let labels = format!("a{{{labels}}} 1\n").repeat(8);
    let gzip = [("Content-Encoding", "gzip")];
    let bomb = |bytes: usize| request("PUT", path, &gzip, &gzip_of_newlines(bytes));
    let text = |body: &str| request("PUT", path, &[], body.as_bytes());
    vec![text(short), text(&long), text(&labels), bomb(1 << 20), bomb(64 << 20)]
}

#[test]
fn the_configuration_of_a_small_host_holds_under_hostile_load() {
    let toml = include_str!("../../scripts/examples/small-host.toml");
    // A short patience, as half of the load meets a stalled output.
    let toml = toml.replace("[output]\n", "[output]\nack_timeout = \"100ms\"\n");
    let mut pushline = Pushline::spawn(&toml, Stdio::piped());
    let mut output = pushline.stdout();
    let address = pushline.address;
    let mut idle = Vec::new();
    for number in 0..100 {
        let mut client = Client::connect(address);
        let mut bytes = head("PUT", b"/metrics/job/half", &[("Content-Length", "262144")]);
        if number % 2 == 0 {
            // Half a body; the others are half a head. Some hold a half of the memory for bodies, so
            // that the pushes of the load have the other half.
            let body_bytes = if number < 16 { 100 << 10 } else { 12 << 10 };
            bytes.extend_from_slice(b"\r\n");
            bytes.resize(bytes.len() + body_bytes, b'#');
        }
        client.send(&bytes).ok();
        idle.push(client);
    }
    let requests = requests();
    let load = || -> usize {
        thread::scope(|scope| {
            let pushers: Vec<_> =
                (0..PUSHERS).map(|_| scope.spawn(|| push_all(address, &requests))).collect();
            pushers.into_iter().map(|pusher| pusher.join().unwrap()).sum()
        })
    };
    let is_read = AtomicBool::new(true);
    let taken = thread::scope(|scope| {
        scope.spawn(|| {
            let mut chunk = [0; 64 << 10];
            while is_read.load(Ordering::Relaxed) {
                assert!(output.read(&mut chunk).unwrap() > 0, "the output has ended");
            }
        });
        let taken = load();
        is_read.store(false, Ordering::Relaxed);
        // It ends the read that the reader may be waiting in: a small push always has room.
        push(address, "/metrics/job/last", "a_b 1\n");
        taken
    });
    assert!(taken > PUSHERS, "the load was refused before it could take memory");
    // Now nobody reads: the output stalls once the pipe is full.
    let fills = format!("a_b{{x=\"{}\"}} 1\n", "y".repeat(12 << 10));
    while push(address, "/metrics/job/unread", &fills).status == 200 {}
    load();
    let peak_kib = pushline.status_of("VmHWM");
    println!("{taken} pushes taken, {peak_kib} KiB at most");
    assert!(peak_kib < RESIDENT_KIB_MAX, "{peak_kib} KiB");
    drop((output, idle));
}
