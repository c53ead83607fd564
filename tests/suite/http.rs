//! HTTP/1.1 by hand over a real socket, so that a test can also say what no client would.

use crate::process::PATIENCE;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Instant;

/// One connection.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    received: Vec<u8>,
}

/// One answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let is_it = |(known, _): &&(String, String)| known.eq_ignore_ascii_case(name);
        self.headers.iter().find(is_it).map(|(_, value)| value.as_str())
    }

    /// The lines of a dry run, without the remarks.
    pub(crate) fn lines(&self) -> Vec<u8> {
        let lines = self.body.split_inclusive(|byte| *byte == b'\n');
        lines.filter(|line| !line.starts_with(b"#")).collect::<Vec<_>>().concat()
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// The head of a request, without the blank line at its end.
pub(crate) fn head(method: &str, path: &[u8], headers: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = [method.as_bytes(), b" ", path, b" HTTP/1.1\r\nHost: test\r\n"].concat();
    for (name, value) in headers {
        bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    bytes
}

/// A request with a `Content-Length`, or in chunks where its headers say so.
pub(crate) fn request(method: &str, path: &[u8], headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut bytes = head(method, path, headers);
    let has_framing =
        |name: &str| headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name));
    if has_framing("Transfer-Encoding") {
        bytes.extend_from_slice(b"\r\n");
        for chunk in body.chunks(7919) {
            bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            bytes.extend_from_slice(chunk);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"0\r\n\r\n");
        return bytes;
    }
    if !has_framing("Content-Length") {
        bytes.extend_from_slice(format!("Content-Length: {}\r\n", body.len()).as_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body);
    bytes
}

/// Bytes that the system holds for one end of a connection.
struct BytesHeld {
    /// Sent, and not taken by the system of the other end.
    sent: u64,
    /// Come, and not read.
    unread: u64,
}

/// What the system holds at `local`, of a connection to `peer` (proc_net(5), `/proc/net/tcp`).
fn bytes_held(local: SocketAddr, peer: SocketAddr) -> BytesHeld {
    let port = |address: SocketAddr| format!(":{:04X}", address.port());
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let mut rows = table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    let row = rows.find(|row| row[1].ends_with(&port(local)) && row[2].ends_with(&port(peer)));
    let (sent, unread) = row.unwrap()[4].split_once(':').unwrap();
    let number = |digits| u64::from_str_radix(digits, 16).unwrap();
    BytesHeld { sent: number(sent), unread: number(unread) }
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Client {
        Client::try_connect(address).unwrap()
    }

    /// As [`Client::connect`], for a server that may be gone by now.
    pub(crate) fn try_connect(address: SocketAddr) -> io::Result<Client> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Client { stream, received: Vec::new() })
    }

    /// Sends whatever this is.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Sends whatever this is, and waits until it is in the hands of the server's system: on a busy
    /// machine it is on its way for a while.
    pub(crate) fn send_through(&mut self, bytes: &[u8]) {
        self.send(bytes).unwrap();
        let (local, peer) = (self.stream.local_addr().unwrap(), self.stream.peer_addr().unwrap());
        let deadline = Instant::now() + PATIENCE;
        while bytes_held(local, peer).sent > 0 {
            assert!(Instant::now() < deadline, "nobody takes it");
        }
    }

    /// How much of what was sent, and has come, the server has not read yet.
    pub(crate) fn bytes_unread(&self) -> u64 {
        let (local, peer) = (self.stream.local_addr().unwrap(), self.stream.peer_addr().unwrap());
        bytes_held(peer, local).unread
    }

    pub(crate) fn end_sending(&self) {
        self.stream.shutdown(Shutdown::Write).ok();
    }

    /// Reads one answer; `has_body` is false for HEAD.
    pub(crate) fn read_answer(&mut self, has_body: bool) -> io::Result<Answer> {
        let head_len = loop {
            if let Some(at) = self.received.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            self.fill()?;
        };
        let head = String::from_utf8(self.received[..head_len].to_vec()).unwrap();
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers: Vec<_> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let mut answer = Answer { status, headers, body: Vec::new() };
        let length = answer.header("Content-Length").map_or(0, |value| value.parse().unwrap());
        let length = if has_body && status != 100 { length } else { 0 };
        while self.received.len() < head_len + length {
            self.fill()?;
        }
        answer.body = self.received[head_len..head_len + length].to_vec();
        self.received.drain(..head_len + length);
        Ok(answer)
    }

    /// Whether the server has closed the connection, without another byte before that.
    pub(crate) fn is_closed(&mut self) -> bool {
        self.received.is_empty() && self.fill().is_err()
    }

    fn fill(&mut self) -> io::Result<()> {
        let mut chunk = [0; 16 * 1024];
        loop {
            return match self.stream.read(&mut chunk) {
                Ok(0) => Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
                Ok(count) => {
                    self.received.extend_from_slice(&chunk[..count]);
                    Ok(())
                }
                // The machine was halted for a moment: that is no answer.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => Err(error),
            };
        }
    }

    /// Sends a request and reads its answer.
    pub(crate) fn ask(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        self.send(&request(method, path.as_bytes(), headers, body)).unwrap();
        self.read_answer(method != "HEAD").unwrap()
    }

    /// Pushes text.
    pub(crate) fn push(&mut self, path: &str, body: &str) -> Answer {
        self.ask("POST", path, &[], body.as_bytes())
    }
}

/// One request over a connection of its own.
pub(crate) fn push(address: SocketAddr, path: &str, body: &str) -> Answer {
    Client::connect(address).push(path, body)
}
