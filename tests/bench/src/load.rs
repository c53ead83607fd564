//! Load over HTTP/1.1 with keep-alive: one thread, many connections, one request in flight on each.
//!
//! Answers are counted per connection, so that a starved connection shows. When the time is over no
//! new request begins, but those in flight are answered: what is counted here and what a server has
//! taken agree to the last push.

use crate::figures::tell;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// How long the last answers may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is sent, to whom and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Plan<'a> {
    /// The server.
    pub address: SocketAddr,
    /// How many connections.
    pub connections: usize,
    /// One whole request.
    pub request: &'a [u8],
    /// How long new requests begin.
    pub duration: Duration,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Report {
    /// 2xx answers within the time, each connection's own.
    pub answered: Vec<u64>,
    /// 2xx answers to what was in flight when the time was over.
    pub late: u64,
    /// Answers with any other status.
    pub refused: u64,
    /// Connections that broke or never answered their last request.
    pub broken: u64,
    /// How long new requests began.
    pub elapsed: Duration,
}

impl Report {
    /// All 2xx answers within the time.
    pub fn total(&self) -> u64 {
        self.answered.iter().sum()
    }

    /// Tells all of it.
    pub fn tell(&self) {
        tell("answered", self.total() as f64);
        tell("fewest", self.answered.iter().min().copied().unwrap_or(0) as f64);
        tell("most", self.answered.iter().max().copied().unwrap_or(0) as f64);
        tell("late", self.late as f64);
        tell("refused", self.refused as f64);
        tell("broken", self.broken as f64);
        tell("seconds", self.elapsed.as_secs_f64());
    }
}

struct Connection {
    stream: TcpStream,
    state: State,
    answer: Vec<u8>,
    answered: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// So many bytes of the request are sent.
    Sending(usize),
    Waiting,
    /// Answered, and the time is over.
    Idle,
    Broken,
}

/// Sends the request over each connection, again and again.
///
/// # Errors
/// What the system says; a connection that breaks is counted instead.
pub fn run(plan: Plan<'_>) -> io::Result<Report> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(plan.connections.max(16));
    let mut all = connect(plan, &poll)?;
    let mut report = Report::default();
    let start = Instant::now();
    let mut is_over = false;
    while all.iter().any(Connection::is_busy) {
        if !is_over && start.elapsed() >= plan.duration {
            is_over = true;
            report.elapsed = start.elapsed();
            report.answered = all.iter().map(|connection| connection.answered).collect();
        }
        if is_over && start.elapsed() >= plan.duration + PATIENCE {
            break;
        }
        poll.poll(&mut events, Some(Duration::from_millis(20)))?;
        for event in &events {
            if let Some(connection) = all.get_mut(event.token().0) {
                connection.drive(plan.request, is_over, &mut report);
            }
        }
    }
    report.late = all.iter().map(|connection| connection.answered).sum::<u64>() - report.total();
    report.broken = all.iter().filter(|connection| connection.state != State::Idle).count() as u64;
    Ok(report)
}

fn connect(plan: Plan<'_>, poll: &Poll) -> io::Result<Vec<Connection>> {
    let connect = |index| {
        let stream = std::net::TcpStream::connect(plan.address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        let interest = Interest::READABLE | Interest::WRITABLE;
        poll.registry().register(&mut stream, Token(index), interest)?;
        let answer = Vec::with_capacity(4096);
        Ok(Connection { stream, state: State::Sending(0), answer, answered: 0 })
    };
    (0..plan.connections).map(connect).collect()
}

impl Connection {
    fn is_busy(&self) -> bool {
        matches!(self.state, State::Sending(_) | State::Waiting)
    }

    /// Goes on as far as the socket allows. Events are edge-triggered: bytes that come after a
    /// read or a write that was complete are an event of their own.
    fn drive(&mut self, request: &[u8], is_over: bool, report: &mut Report) {
        if self.state == State::Waiting {
            self.receive(report);
            if self.state == State::Idle && !is_over {
                self.state = State::Sending(0);
            }
        }
        if let State::Sending(sent) = self.state {
            self.send(request, sent);
        }
    }

    fn send(&mut self, request: &[u8], mut sent: usize) {
        while let Some(rest) = request.get(sent..).filter(|rest| !rest.is_empty()) {
            match self.stream.write(rest) {
                Ok(count) => sent += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.state = State::Sending(sent);
                    return;
                }
                Err(_) => {
                    self.state = State::Broken;
                    return;
                }
            }
        }
        self.answer.clear();
        self.state = State::Waiting;
    }

    fn receive(&mut self, report: &mut Report) {
        let mut chunk = [0; 4096];
        loop {
            match self.stream.read(&mut chunk) {
                Ok(count @ 1..) => self.answer.extend(chunk.iter().take(count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Ok(_) | Err(_) => {
                    self.state = State::Broken;
                    return;
                }
            }
            match status(&self.answer) {
                None => {}
                Some(200..=299) => {
                    self.answered += 1;
                    self.state = State::Idle;
                    return;
                }
                Some(_) => {
                    report.refused += 1;
                    self.state = State::Idle;
                    return;
                }
            }
        }
    }
}

/// The status of an answer, once it is whole.
fn status(answer: &[u8]) -> Option<u16> {
    let head_bytes = memchr::memmem::find(answer, b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(answer.get(..head_bytes)?).ok()?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let fields = head.lines().filter_map(|line| line.split_once(':'));
    let is_length = |(name, _): &(&str, &str)| name.eq_ignore_ascii_case("Content-Length");
    let body_bytes = fields
        .into_iter()
        .find(is_length)
        .map_or(Some(0), |(_, value)| value.trim().parse().ok())?;
    (answer.len() >= head_bytes + body_bytes).then_some(status)
}

#[cfg(test)]
mod tests {
    use super::status;

    #[test]
    fn an_answer_counts_once_it_is_whole() {
        let whole = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nab";
        assert_eq!(status(whole), Some(200));
        for end in 0..whole.len() {
            assert_eq!(status(&whole[..end]), None, "after {end} bytes");
        }
        assert_eq!(status(b"HTTP/1.1 204 No Content\r\nDate: x\r\n\r\n"), Some(204));
    }
}
