//! A store that takes everything at once and keeps nothing: what an output over HTTP costs when
//! nobody is to be waited for. `GET` is answered with how many lines and bytes came.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

#[derive(Default)]
struct Counts {
    lines: AtomicU64,
    bytes: AtomicU64,
}

/// Serves until it is killed.
///
/// # Errors
/// The address is in use.
pub fn serve(address: &str) -> io::Result<()> {
    let listener = TcpListener::bind(address)?;
    let counts = Arc::new(Counts::default());
    for stream in listener.incoming() {
        let (stream, counts) = (stream?, Arc::clone(&counts));
        thread::spawn(move || answer_all(&stream, &counts));
    }
    Ok(())
}

/// Ends when the other end does.
fn answer_all(stream: &TcpStream, counts: &Counts) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut input = BufReader::with_capacity(1 << 18, stream);
    let mut body = Vec::new();
    loop {
        let (mut length, mut is_get, mut line) = (0, false, String::new());
        loop {
            line.clear();
            if input.read_line(&mut line)? == 0 {
                return Ok(());
            }
            is_get |= line.starts_with("GET ");
            let lower = line.to_ascii_lowercase();
            if let Some(value) = lower.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
            if line == "\r\n" {
                break;
            }
        }
        body.resize(length, 0);
        input.read_exact(&mut body)?;
        let lines = memchr::memchr_iter(b'\n', &body).count() as u64;
        counts.lines.fetch_add(lines, Ordering::Relaxed);
        counts.bytes.fetch_add(length as u64, Ordering::Relaxed);
        let mut output = stream;
        if is_get {
            let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
            let text = format!("lines {}\nbytes {}\n", load(&counts.lines), load(&counts.bytes));
            let length = text.len();
            write!(output, "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{text}")?;
        } else {
            output.write_all(b"HTTP/1.1 204 No Content\r\n\r\n")?;
        }
    }
}
