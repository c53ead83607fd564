//! A body that does not go through the client's buffer.
//!
//! ureq reads a body into the buffer of its transport, and hands that to the transport: a copy of
//! every block, most of whose bytes are in no cache any more. So where nothing is in between (no
//! TLS, no proxy), the body is a [`BodyInHand`], which is read as any other; but when it is read,
//! it sends itself over the connection, and the buffer that ureq thinks it has filled is passed
//! over:
//!
//! ```text
//! ureq: body.read(buffer) ──▶ BodyInHand: sends all of its bytes, says "count bytes"
//!       transmit(count)   ──▶ transport: count of them are sent already, nothing to do
//! ```

use super::connection::StoreConnection;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

/// A connection that a body in hand may use beside who owns it.
#[derive(Clone, Debug)]
pub(super) struct SharedConnection {
    line: Arc<Mutex<BusyConnection>>,
    current: CurrentConnection,
}

/// A connection, and how much it has sent of what it is about to be handed.
#[derive(Debug)]
struct BusyConnection {
    connection: StoreConnection,
    sent_ahead: usize,
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    // A client has one thread: what a panic leaves, nobody uses.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SharedConnection {
    /// Sends the bytes, but for those that a body in hand has sent already.
    pub(super) fn send(&self, bytes: &[u8], deadline: Instant) -> io::Result<()> {
        let mut line = lock(&self.line);
        if line.sent_ahead > 0 {
            line.sent_ahead = line.sent_ahead.saturating_sub(bytes.len());
            return Ok(());
        }
        let sent = line.connection.send(bytes, deadline);
        self.current.note(&line.connection);
        sent
    }

    /// Receives some bytes; 0 when the peer has closed.
    pub(super) fn receive(&self, buffer: &mut [u8], deadline: Instant) -> io::Result<usize> {
        lock(&self.line).connection.receive(buffer, deadline)
    }

    /// Whether another request may be sent.
    pub(super) fn is_open(&self) -> bool {
        lock(&self.line).connection.is_open()
    }
}

/// The connection that was made last: as a client sends one request at a time, and keeps one
/// connection, it is the one in use. Its owner closes it when it likes.
#[derive(Clone, Debug, Default)]
pub(super) struct CurrentConnection(Arc<Mutex<LatestConnection>>);

#[derive(Debug, Default)]
struct LatestConnection {
    line: Weak<Mutex<BusyConnection>>,
    was_cut: bool,
}

impl CurrentConnection {
    /// From here on it is this one.
    pub(super) fn replace(&self, connection: StoreConnection) -> SharedConnection {
        let line = Arc::new(Mutex::new(BusyConnection { connection, sent_ahead: 0 }));
        lock(&self.0).line = Arc::downgrade(&line);
        SharedConnection { line, current: self.clone() }
    }

    /// A request begins.
    pub(super) fn begin(&self) {
        lock(&self.0).was_cut = false;
    }

    /// Whether a part of the request was dropped.
    pub(super) fn was_cut(&self) -> bool {
        lock(&self.0).was_cut
    }

    fn note(&self, connection: &StoreConnection) {
        if connection.is_spent() {
            lock(&self.0).was_cut = true;
        }
    }
}

/// The bytes of a request's body.
#[derive(Debug)]
pub(super) struct BodyInHand<'b> {
    /// What is not spoken of yet.
    rest: &'b [u8],
    current: &'b CurrentConnection,
    deadline: Instant,
}

impl<'b> BodyInHand<'b> {
    /// `timeout` is that of the whole request, which begins now.
    pub(super) fn new(
        bytes: &'b [u8],
        current: &'b CurrentConnection,
        timeout: Duration,
    ) -> BodyInHand<'b> {
        BodyInHand { rest: bytes, current, deadline: Instant::now() + timeout }
    }
}

impl Read for BodyInHand<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let line = lock(&self.current.0).line.upgrade().ok_or(io::ErrorKind::NotConnected)?;
        let mut line = lock(&line);
        if line.sent_ahead == 0 && !self.rest.is_empty() {
            line.connection.send(self.rest, self.deadline)?;
            self.current.note(&line.connection);
            line.sent_ahead = self.rest.len();
        }
        let count = buffer.len().min(self.rest.len());
        self.rest = self.rest.get(count..).unwrap_or_default();
        Ok(count)
    }
}
