//! A process that does not exist yet → its first push that is answered 200.

use crate::request;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(10);
/// Between two attempts to connect: far below what is measured.
const PAUSE: Duration = Duration::from_micros(50);

/// Milliseconds from before `fork` to the end of the answer; each time a new process.
///
/// # Errors
/// The binary cannot be run, or answers nothing in time.
pub fn times_ms(binary: &str, times: u32) -> io::Result<Vec<f64>> {
    let request = request::push(&request::small());
    (0..times).map(|_| once(binary, &request)).collect()
}

fn once(binary: &str, request: &[u8]) -> io::Result<f64> {
    let address = free_address()?;
    let start = Instant::now();
    let mut server = Command::new(binary)
        .env("PUSHLINE_SERVER_LISTEN", address.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let answered = push(address, request);
    let elapsed = start.elapsed();
    end(&mut server)?;
    answered.map(|()| elapsed.as_secs_f64() * 1000.0)
}

fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

fn push(address: SocketAddr, request: &[u8]) -> io::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    let mut stream = loop {
        match TcpStream::connect(address) {
            Ok(stream) => break stream,
            Err(error) if Instant::now() >= deadline => return Err(error),
            Err(_) => std::thread::sleep(PAUSE),
        }
    };
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(request)?;
    let mut status_line = [0; 12];
    stream.read_exact(&mut status_line)?;
    if status_line.ends_with(b" 200") {
        return Ok(());
    }
    Err(io::Error::other(String::from_utf8_lossy(&status_line).into_owned()))
}

fn end(server: &mut Child) -> io::Result<()> {
    server.kill()?;
    server.wait().map(|_| ())
}
