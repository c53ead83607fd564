//! The private connections to the workers: each carries one whole request after the other. Answers
//! come back past them, so a lane is free as soon as it has taken a request.
//!
//! A large push may fill its lane until a worker reads it. The last lane is kept for what is no
//! push, so that a probe does not stand behind that.

use super::head::Method;
use super::stream::{Moved, moved};
use crate::limits::{KEPT_BODY_BYTES_MAX, KIB};
use crate::system::{Interest, Watch};
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;

/// Up to here a body is copied behind its head: one write is cheaper than two.
const COPIED_BYTES_MAX: usize = 64 * KIB;

/// All lanes, and who waits for one.
#[derive(Debug)]
pub(super) struct Lanes {
    lanes: Vec<Lane>,
    push: Pool,
    quick: Pool,
}

/// Lanes for one kind of request.
#[derive(Debug, Default)]
struct Pool {
    /// The one that was free last comes first: its thread may still be awake.
    free: Vec<usize>,
    /// Connections whose request waits for a lane, by their numbers.
    line: VecDeque<u64>,
}

/// One private connection.
#[derive(Debug)]
struct Lane {
    stream: UnixStream,
    token: u64,
    /// A lane takes most requests at once. Only the others are waited for: whenever a worker reads
    /// of a lane, the system would tell that it takes bytes again.
    interest: Interest,
    /// The request in hand: its head, with the body behind it where that is small.
    head: Vec<u8>,
    /// The body where it is large.
    body: Vec<u8>,
    sent: usize,
    is_push: bool,
}

/// A request that is ready for a worker.
#[derive(Debug)]
pub(super) struct Request<'r> {
    pub(super) method: Method,
    /// Everything before the body.
    pub(super) head: &'r [u8],
    pub(super) body: &'r mut Vec<u8>,
}

impl Lanes {
    /// Takes the connections, and has each watched with its index as the token.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn new(streams: Vec<UnixStream>, watch: &Watch) -> io::Result<Lanes> {
        let count = streams.len();
        let mut lanes = Lanes { lanes: Vec::new(), push: Pool::default(), quick: Pool::default() };
        for (index, stream) in streams.into_iter().enumerate() {
            stream.set_nonblocking(true)?;
            watch.add(&stream, index as u64, Interest::Readable)?;
            let is_push = index + 1 < count;
            lanes.lanes.push(Lane::new(stream, index as u64, is_push));
            lanes.pool(is_push).free.push(index);
        }
        Ok(lanes)
    }

    fn pool(&mut self, is_push: bool) -> &mut Pool {
        if is_push { &mut self.push } else { &mut self.quick }
    }

    /// Whether a request of that method may be sent now: a lane is free, and nobody came before.
    /// Otherwise its connection stands in line from here on.
    pub(super) fn is_free_for(&mut self, method: Method, connection: u64) -> bool {
        let pool = self.pool(method.is_push());
        let is_free = !pool.free.is_empty() && pool.line.is_empty();
        if !is_free {
            pool.line.push_back(connection);
        }
        is_free
    }

    /// The connection whose turn it is, where a lane is free.
    pub(super) fn next_in_line(&mut self) -> Option<u64> {
        [&mut self.push, &mut self.quick]
            .into_iter()
            .filter(|pool| !pool.free.is_empty())
            .find_map(|pool| pool.line.pop_front())
    }

    /// Sends a request over a free lane. Its body is taken.
    ///
    /// # Errors
    /// There is no free lane, or it broke, which is a defect.
    pub(super) fn send(&mut self, request: Request<'_>, watch: &Watch) -> io::Result<()> {
        let pool = self.pool(request.method.is_push());
        let index = pool.free.pop().ok_or(io::ErrorKind::NotConnected)?;
        if let Some(lane) = self.lanes.get_mut(index) {
            lane.begin(request);
        }
        self.go_on(index, watch)
    }

    /// The lane of that index can go on.
    ///
    /// # Errors
    /// It broke, which is a defect.
    pub(super) fn go_on(&mut self, index: usize, watch: &Watch) -> io::Result<()> {
        let Some(lane) = self.lanes.get_mut(index).filter(|lane| lane.is_busy()) else {
            return Ok(());
        };
        let is_push = lane.is_push;
        if lane.go_on(watch)? {
            self.pool(is_push).free.push(index);
        }
        Ok(())
    }
}

impl Lanes {
    /// Takes what came over the lane of that index, which nobody should send: how many bytes.
    ///
    /// # Errors
    /// It broke.
    pub(super) fn clear(&self, index: usize) -> io::Result<usize> {
        let (mut bytes, mut count) = ([0; KIB], 0);
        let Some(lane) = self.lanes.get(index) else { return Ok(0) };
        loop {
            match moved(|| (&lane.stream).read(&mut bytes))? {
                Moved::Bytes(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Moved::Bytes(more) => count += more,
                Moved::Nothing => return Ok(count),
            }
        }
    }
}

impl Lane {
    fn new(stream: UnixStream, token: u64, is_push: bool) -> Lane {
        let (head, body) = (Vec::new(), Vec::new());
        Lane { stream, token, interest: Interest::Readable, head, body, sent: 0, is_push }
    }

    fn is_busy(&self) -> bool {
        !self.head.is_empty()
    }

    fn begin(&mut self, request: Request<'_>) {
        let Request { head, body, .. } = request;
        self.head.extend_from_slice(head);
        if body.len() <= COPIED_BYTES_MAX {
            self.head.extend_from_slice(body);
        } else {
            std::mem::swap(&mut self.body, body);
        }
        self.sent = 0;
    }

    /// Sends what the lane takes now of its request; true once that is all.
    fn go_on(&mut self, watch: &Watch) -> io::Result<bool> {
        let is_sent = self.send()?;
        let interest = if is_sent { Interest::Readable } else { Interest::Both };
        if interest != self.interest {
            watch.set(&self.stream, self.token, interest)?;
            self.interest = interest;
        }
        if is_sent {
            // One unusually large push must not hold its memory until the next one.
            for buffer in [&mut self.head, &mut self.body] {
                buffer.clear();
                buffer.shrink_to(KEPT_BODY_BYTES_MAX);
            }
        }
        Ok(is_sent)
    }

    fn send(&mut self) -> io::Result<bool> {
        loop {
            let rest = match self.head.get(self.sent..) {
                Some(rest) if !rest.is_empty() => rest,
                _ => self.body.get(self.sent - self.head.len()..).unwrap_or_default(),
            };
            if rest.is_empty() {
                return Ok(true);
            }
            match moved(|| (&self.stream).write(rest))? {
                Moved::Bytes(count) => self.sent += count,
                Moved::Nothing => return Ok(false),
            }
        }
    }
}

/// The length of the head at the start of an answer.
pub(super) fn head_len(answer: &[u8]) -> Option<usize> {
    answer.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4)
}
