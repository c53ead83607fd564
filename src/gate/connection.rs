//! One foreign connection: its requests, one after the other, each complete before a worker has it.

use super::Options;
use super::budget::{Budget, Lease};
use super::chunked::{Chunked, Piece};
use super::head::{self, Framing, Head, Method, Persistence};
use super::lanes::{self, Answer, Exchange, Lanes};
use super::refusal::Refusal;
use super::registry::Place;
use super::stream::Stream;
use crate::auth::Auth;
use crate::limits::{HEAD_BYTES_MAX, KEPT_BODY_BYTES_MAX, KIB};
use crate::log::Log;
use crate::telemetry::Telemetry;
use std::io;
use std::net::Shutdown;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What all connections share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) options: Options,
    pub(super) budget: Arc<Budget>,
    pub(super) lanes: Lanes,
    /// The header line that a worker asks for, with its CRLF.
    pub(super) key_line: String,
    pub(super) auth: Arc<Auth>,
    pub(super) telemetry: Arc<Telemetry>,
    pub(super) log: Arc<Log>,
}

/// How long a request may wait for a free worker.
const LANE_PATIENCE: Duration = Duration::from_secs(30);
/// How long, and how many bytes of an unread body, a refusal waits for the client to read it.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES_MAX: usize = 64 * 1024 * KIB;
/// Bytes that one read asks for.
const READ_BYTES: usize = 16 * KIB;

/// How a connection ends.
enum End {
    /// At once, as there is nobody to tell.
    Silent,
    /// With an answer.
    Refused(Refusal),
}

impl From<Refusal> for End {
    fn from(refusal: Refusal) -> End {
        End::Refused(refusal)
    }
}

/// One connection and what it uses again for each request.
pub(super) struct Connection {
    stream: Arc<Stream>,
    place: Place,
    shared: Arc<Shared>,
    /// Bytes that came and are not used yet.
    received: Vec<u8>,
    /// The head that goes to the worker, and the body behind it where it is small.
    private: Vec<u8>,
    body: Vec<u8>,
    answer: Answer,
}

impl Connection {
    pub(super) fn new(stream: Arc<Stream>, place: Place, shared: Arc<Shared>) -> Connection {
        Connection {
            answer: Answer::new(Arc::clone(&shared.budget)),
            stream,
            place,
            shared,
            received: Vec::new(),
            private: Vec::new(),
            body: Vec::new(),
        }
    }

    /// Serves requests until the connection ends.
    pub(super) fn serve(mut self) {
        while self.wait_for_request() {
            let started = Instant::now();
            match self.serve_one(started) {
                Ok(Persistence::Close) => break,
                Ok(_) => {}
                Err(End::Silent) => return,
                Err(End::Refused(refusal)) => {
                    self.shared.telemetry.answered("other", refusal.status(), started.elapsed());
                    self.shared.log.debug("request refused", &[("error", &refusal)]);
                    return self.refuse(&refusal);
                }
            }
        }
        self.stream.shutdown(Shutdown::Both);
    }

    /// Waits for the first byte of a request; false where none comes.
    fn wait_for_request(&mut self) -> bool {
        if !self.place.is_idle() {
            return false;
        }
        let deadline = Instant::now() + self.shared.options.idle_timeout;
        let has_begun =
            !self.received.is_empty() || matches!(self.fill(deadline), Ok(count) if count > 0);
        self.place.is_busy();
        has_begun
    }

    fn serve_one(&mut self, started: Instant) -> Result<Persistence, End> {
        let head = self.read_head(started)?;
        self.authorize(&head)?;
        self.received.drain(..head.len);
        let mut lease = Lease::new(Arc::clone(&self.shared.budget));
        self.read_body(&head, &mut lease)?;
        self.exchange(&head)?;
        // An idle connection must not hold what its lease no longer covers.
        self.body.clear();
        self.body.shrink_to(KEPT_BODY_BYTES_MAX);
        drop(lease);
        self.answer(&head, started)
    }

    fn read_head(&mut self, started: Instant) -> Result<Head, End> {
        let timeout = self.shared.options.head_timeout;
        loop {
            if let Some(head) = head::read(&self.received, &mut self.private)? {
                return Ok(head);
            }
            match self.fill(started + timeout) {
                Ok(0) => return Err(End::Silent),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                    return Err(Refusal::TimedOut { what: "request head", after: timeout }.into());
                }
                Err(_) => return Err(End::Silent),
            }
        }
    }

    fn authorize(&self, head: &Head) -> Result<(), End> {
        let credentials = head.authorization.clone().and_then(|range| self.received.get(range));
        if head.is_probe || self.shared.auth.admits(credentials) {
            return Ok(());
        }
        Err(Refusal::Unauthorized { challenges: self.shared.auth.challenges() }.into())
    }

    /// Reads the whole body, whether a worker will want it or not: the next request begins behind
    /// it.
    fn read_body(&mut self, head: &Head, lease: &mut Lease) -> Result<(), End> {
        let bytes_max = self.shared.options.body_bytes_max;
        if matches!(head.framing, Framing::Length(length) if length > bytes_max) {
            return Err(Refusal::BodyTooLarge { bytes_max }.into());
        }
        let deadline = Instant::now() + self.shared.options.body_timeout;
        if head.expects_continue && self.received.is_empty() && head.framing != Framing::Length(0) {
            self.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").map_err(|_| End::Silent)?;
        }
        match head.framing {
            Framing::Length(length) => self.read_length(length, deadline, lease),
            Framing::Chunked => self.read_chunked(deadline, lease),
        }
    }

    fn read_length(
        &mut self,
        length: usize,
        deadline: Instant,
        lease: &mut Lease,
    ) -> Result<(), End> {
        let came = self.received.len().min(length);
        self.reserve(came, lease)?;
        self.body.extend(self.received.drain(..came));
        while self.body.len() < length {
            let at = self.body.len();
            // Doubled as bytes arrive, whatever was announced; never more than the lease covers.
            let end = length.min(at + at.max(READ_BYTES));
            self.reserve(end, lease)?;
            self.body.reserve_exact(end - at);
            self.body.resize(end, 0);
            let read = self.stream.read(self.body.get_mut(at..).unwrap_or_default(), deadline);
            self.body.truncate(at + *read.as_ref().unwrap_or(&0));
            self.check_body(read)?;
        }
        Ok(())
    }

    fn read_chunked(&mut self, deadline: Instant, lease: &mut Lease) -> Result<(), End> {
        let bytes_max = self.shared.options.body_bytes_max;
        let mut chunked = Chunked::Size;
        let mut at = 0;
        while chunked != Chunked::Done {
            let came = self.received.get(at..).unwrap_or_default();
            match chunked.step(came).map_err(Refusal::Malformed)? {
                Piece::Framing(len) => at += len,
                Piece::Data(len) if self.body.len() + len > bytes_max => {
                    return Err(Refusal::BodyTooLarge { bytes_max }.into());
                }
                Piece::Data(len) => {
                    self.reserve(self.body.len() + len, lease)?;
                    let data = self.received.get(at..at + len).unwrap_or_default();
                    self.body.extend_from_slice(data);
                    at += len;
                }
                Piece::Incomplete => {
                    self.received.drain(..at);
                    at = 0;
                    let read = self.fill(deadline);
                    self.check_body(read)?;
                }
            }
        }
        self.received.drain(..at);
        Ok(())
    }

    fn reserve(&self, bytes: usize, lease: &mut Lease) -> Result<(), End> {
        let bytes_max = self.shared.budget.bytes_max();
        if lease.cover(bytes) { Ok(()) } else { Err(Refusal::OutOfMemory { bytes_max }.into()) }
    }

    fn check_body(&self, read: io::Result<usize>) -> Result<(), End> {
        let after = self.shared.options.body_timeout;
        match read {
            // The gate ends the reading of idle connections; this one had just become busy.
            Ok(0) if self.place.is_closing() => Err(Refusal::Closing.into()),
            Ok(0) => Err(Refusal::CutShort { received: self.body.len() }.into()),
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                Err(Refusal::TimedOut { what: "body", after }.into())
            }
            Err(_) => Err(End::Silent),
        }
    }

    /// Hands the request to a worker, and takes its answer.
    fn exchange(&mut self, head: &Head) -> Result<(), End> {
        // Up to here one write is cheaper than two.
        const COPIED_BYTES_MAX: usize = 64 * KIB;
        let body = if matches!(head.method, Method::Push(_)) { &*self.body } else { &[] };
        self.private.extend_from_slice(self.shared.key_line.as_bytes());
        let length = body.len();
        self.private.extend_from_slice(format!("Content-Length: {length}\r\n\r\n").as_bytes());
        let parts = if length <= COPIED_BYTES_MAX {
            self.private.extend_from_slice(body);
            [&*self.private, &[]]
        } else {
            [&*self.private, body]
        };
        match self.shared.lanes.exchange(head.method, parts, &mut self.answer, LANE_PATIENCE) {
            Ok(Exchange::Answered) => Ok(()),
            Ok(Exchange::NoLane) => Err(Refusal::NoWorker.into()),
            Ok(Exchange::NoMemory) => {
                let bytes_max = self.shared.budget.bytes_max();
                Err(Refusal::OutOfMemory { bytes_max }.into())
            }
            Err(error) => {
                self.shared.log.error("a private connection broke", &[("error", &error)]);
                Err(Refusal::NoAnswer.into())
            }
        }
    }

    /// Relays the answer in one write. A client may take as long for it as for its body: slower, it
    /// would hold the memory of a large one.
    fn answer(&mut self, head: &Head, started: Instant) -> Result<Persistence, End> {
        let persistence =
            if self.place.is_closing() { Persistence::Close } else { head.persistence };
        let line: &[u8] = match persistence {
            Persistence::KeepAlive => b"",
            Persistence::KeepAliveTold => b"Connection: keep-alive\r\n",
            Persistence::Close => b"Connection: close\r\n",
        };
        if let Some(head_len) = lanes::head_len(&self.answer.bytes) {
            let end = head_len - 2;
            self.answer.bytes.splice(end..end, line.iter().copied());
        }
        let status =
            self.answer.bytes.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok());
        let status = status.and_then(|digits| digits.parse().ok()).unwrap_or_default();
        self.shared.telemetry.answered(head.method.name(), status, started.elapsed());
        let deadline = Instant::now() + self.shared.options.body_timeout;
        self.stream.write_until(&self.answer.bytes, deadline).map_err(|_| End::Silent)?;
        self.answer.release();
        Ok(persistence)
    }

    /// Answers, and waits a little while the client goes on sending: a connection that is closed
    /// with unread bytes is reset, and the client would never see the answer.
    fn refuse(mut self, refusal: &Refusal) {
        if self.stream.write_all(refusal.render().as_bytes()).is_err() {
            return;
        }
        self.stream.shutdown(Shutdown::Write);
        let deadline = Instant::now() + LINGER;
        let mut dropped = 0;
        while dropped < LINGER_BYTES_MAX {
            self.received.clear();
            match self.fill(deadline) {
                Ok(0) | Err(_) => return,
                Ok(count) => dropped += count,
            }
        }
    }

    /// Takes more bytes from the client.
    fn fill(&mut self, deadline: Instant) -> io::Result<usize> {
        let at = self.received.len();
        let room = HEAD_BYTES_MAX.saturating_sub(at).max(KIB);
        self.received.resize(at + room, 0);
        let read = self.stream.read(self.received.get_mut(at..).unwrap_or_default(), deadline);
        self.received.truncate(at + *read.as_ref().unwrap_or(&0));
        read
    }
}
