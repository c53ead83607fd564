//! A store that answers what no store should, and a spool whose folder others lay hands on: no push
//! that got 200 is lost, nobody waits longer than was asked for, and memory stays small.

use crate::http::{Client, push};
use crate::process::{Pushline, command, folder};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::thread;

/// What a store says to its first request. Whatever has no end goes on until the client has gone.
type Garbage = fn(&mut TcpStream);

fn say(stream: &mut TcpStream, text: &[u8]) {
    // OK because a client may have heard enough.
    stream.write_all(text).ok();
}

fn go_on(stream: &mut TcpStream, text: &[u8]) {
    while stream.write_all(text).is_ok() {}
}

const GARBAGE: [(&str, Garbage); 14] = [
    ("header lines without end", |stream| {
        say(stream, b"HTTP/1.1 204 No Content\r\n");
        go_on(stream, &[b"X-A: ".as_slice(), &[b'a'; 8000], b"\r\n"].concat());
    }),
    ("a header line without end", |stream| {
        say(stream, b"HTTP/1.1 204 No Content\r\nX-A: ");
        go_on(stream, &[b'a'; 65_536]);
    }),
    ("a status line without end", |stream| {
        say(stream, b"HTTP/1.1 204 ");
        go_on(stream, &[b'a'; 65_536]);
    }),
    ("a body of a gigabyte", |stream| {
        say(stream, b"HTTP/1.1 500 Said\r\nContent-Length: 1073741824\r\n\r\n");
        go_on(stream, &[b'a'; 65_536]);
    }),
    ("chunks without end", |stream| {
        say(stream, b"HTTP/1.1 503 Said\r\nTransfer-Encoding: chunked\r\n\r\n");
        go_on(stream, &[b"10000\r\n".as_slice(), &[b'a'; 65_536], b"\r\n"].concat());
    }),
    ("interim answers without end", |stream| {
        go_on(stream, &b"HTTP/1.1 102 Processing\r\n\r\n".repeat(100));
    }),
    ("a length that is too long", |stream| {
        say(stream, b"HTTP/1.1 200 Said\r\nContent-Length: 10\r\n\r\nabc");
    }),
    ("two lengths", |stream| {
        say(stream, b"HTTP/1.1 200 Said\r\nContent-Length: 3\r\nContent-Length: 7\r\n\r\nabc");
    }),
    ("a negative length", |stream| {
        say(stream, b"HTTP/1.1 200 Said\r\nContent-Length: -3\r\n\r\n");
    }),
    ("a length beyond all numbers", |stream| {
        say(stream, b"HTTP/1.1 200 Said\r\nContent-Length: 99999999999999999999999\r\n\r\n");
    }),
    ("a status that is none", |stream| {
        say(stream, b"HTTP/1.1 000 Said\r\nContent-Length: 0\r\n\r\n");
    }),
    ("zeros", |stream| say(stream, &[0; 100_000])),
    ("HTTP/2", |stream| say(stream, b"\0\0\x12\x04\0\0\0\0\0\0\x03\0\0\0\x64\0\x04\0\0\xff\xff")),
    ("nothing", |_| {}),
];

/// Reads one request; its body, or nothing once the client has gone.
fn read_request(stream: &TcpStream) -> Option<Vec<u8>> {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length: ") {
            length = value.trim().parse().unwrap();
        }
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(body)
}

/// A store that says that to its first request and takes all others; what it takes.
fn store(garbage: Garbage) -> (String, Arc<Mutex<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/write", listener.local_addr().unwrap());
    let taken = Arc::new(Mutex::new(Vec::new()));
    let taking = Arc::clone(&taken);
    thread::spawn(move || {
        let mut first = listener.accept().unwrap().0;
        read_request(&first);
        garbage(&mut first);
        drop(first);
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            while let Some(body) = read_request(&stream) {
                taking.lock().unwrap().extend(body);
                say(&mut stream, b"HTTP/1.1 204 No Content\r\n\r\n");
            }
        }
    });
    (url, taken)
}

fn survives(name: &str, garbage: Garbage) {
    let (url, taken) = store(garbage);
    let toml = format!(
        "output.target = \"{url}\"\noutput.ack_timeout = \"50s\"\noutput.drain_timeout = \"1s\"\n\
         output.http.timeout = \"500ms\"\noutput.http.gzip = false\n"
    );
    let mut pushline = Pushline::spawn(&toml, Stdio::null());
    assert_eq!(push(pushline.address, "/metrics/job/x", "a_b 1\n").status, 200, "{name}");
    let taken = String::from_utf8(taken.lock().unwrap().clone()).unwrap();
    assert!(taken.starts_with("a,job=x b=1 "), "{name}: {taken}");
    let peak_kib = pushline.status_of("VmHWM:");
    assert!(peak_kib < 65_536, "{name}: {peak_kib} KiB");
    pushline.signal("TERM");
    assert!(pushline.wait().success(), "{name}");
}

#[test]
fn a_store_that_answers_garbage_costs_no_push() {
    thread::scope(|scope| {
        for (name, garbage) in GARBAGE {
            scope.spawn(move || survives(name, garbage));
        }
    });
}

#[test]
fn a_spool_has_one_process_and_survives_what_others_do_to_its_folder() {
    let folder = folder();
    let dir = folder.join("spool");
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let toml = format!(
        "output.target = \"http://{closed}/write\"\nspool.dir = \"{}\"\n[server]\n\
         listen = [\"127.0.0.1:0\"]\n",
        dir.display()
    );
    let pushline = Pushline::spawn(&toml, Stdio::null());
    let status =
        |number: u32| push(pushline.address, &format!("/metrics/job/x{number}"), "a_b 1\n").status;
    assert_eq!(status(1), 200);
    // Another process is told whose it is.
    let config = folder.join("second.toml");
    std::fs::write(&config, &toml).unwrap();
    let second = command().arg("--config").arg(&config).stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8(second.stderr).unwrap();
    assert!(!second.status.success());
    let owner = format!("belongs to process {}, which is running", pushline.child.id());
    assert!(said.contains(&owner), "{said}");
    // Removed, it is made again.
    std::fs::remove_dir_all(&dir).unwrap();
    assert_eq!(status(2), 200);
    assert!(std::fs::read_dir(&dir).unwrap().count() > 0);
    // With a file in its place nothing is safe, and nobody is told that it is.
    std::fs::remove_dir_all(&dir).unwrap();
    std::fs::write(&dir, "").unwrap();
    assert_eq!(status(3), 503);
    let mut client = Client::connect(pushline.address);
    assert_eq!(client.ask("GET", "/-/ready", &[], b"").status, 503);
    std::fs::remove_file(&dir).unwrap();
    pushline.log.wait_for_text("the spool takes pushes again");
    assert_eq!(status(4), 200);
    drop(pushline);
    std::fs::remove_dir_all(folder).unwrap();
}
