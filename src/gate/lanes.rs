//! The private connections to the workers: each carries one request at a time, and its answer back.
//!
//! Pushes may wait for a stalled output, in as many lanes as there are. The last lane is kept for
//! everything else, so that a probe is answered while all pushes wait.

use super::head::Method;
use super::stream::{Moved, moved};
use crate::limits::{KEPT_BODY_BYTES_MAX, KIB};
use crate::system::{self, Interest, Watch};
use std::collections::VecDeque;
use std::io::{self, Write};
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
    free: Vec<usize>,
    /// Lanes that are not broken.
    count: usize,
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
    answer: Vec<u8>,
    /// Which answer is awaited.
    awaits: Awaits,
    /// The connection that is served; none where it went away.
    serves: Option<u64>,
    is_push: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Awaits {
    Nothing,
    /// An answer without a body, whatever its length says.
    Head,
    Whole,
}

/// A request that is ready for a worker.
#[derive(Debug)]
pub(super) struct Request<'r> {
    pub(super) method: Method,
    /// Everything before the body.
    pub(super) head: &'r [u8],
    pub(super) body: &'r mut Vec<u8>,
}

/// What a lane has brought.
#[derive(Debug)]
pub(super) enum Brought {
    /// Nothing yet.
    Nothing,
    /// The answer for this connection, if it is still there; see [`Lanes::take_answer`].
    Answer(Option<u64>),
    /// The lane broke, which is a defect: it is not used again.
    Failure {
        error: io::Error,
        /// The connection that gets no answer, if it is still there.
        served: Option<u64>,
    },
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
            let pool = lanes.pool(is_push);
            pool.free.push(index);
            pool.count += 1;
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

    /// Sends a request over a free lane; returns which. Its body is taken.
    ///
    /// # Errors
    /// There is no free lane any more, or it broke, which is a defect: it is not used again.
    pub(super) fn send(
        &mut self,
        connection: u64,
        request: Request<'_>,
        watch: &Watch,
    ) -> io::Result<usize> {
        let pool = self.pool(request.method.is_push());
        let index = pool.free.pop().ok_or(io::ErrorKind::NotConnected)?;
        let lane = self.lanes.get_mut(index).ok_or(io::ErrorKind::NotConnected)?;
        lane.begin(connection, request);
        lane.go_on_sending(watch)?;
        Ok(index)
    }

    /// The connection went away: the answer of its lane is nobody's.
    pub(super) fn abandon(&mut self, index: usize) {
        if let Some(lane) = self.lanes.get_mut(index) {
            lane.serves = None;
        }
    }

    /// The lane of that index can go on: what it has brought.
    pub(super) fn go_on(&mut self, index: usize, watch: &Watch) -> Brought {
        let Some(lane) = self.lanes.get_mut(index) else { return Brought::Nothing };
        let is_push = lane.is_push;
        match lane.go_on_sending(watch).and_then(|()| lane.receive()) {
            Ok(false) => Brought::Nothing,
            Ok(true) => {
                let served = lane.end();
                self.pool(is_push).free.push(index);
                Brought::Answer(served)
            }
            Err(error) => {
                lane.awaits = Awaits::Nothing;
                let served = lane.serves.take();
                self.pool(is_push).count -= 1;
                Brought::Failure { error, served }
            }
        }
    }

    /// Swaps the answer that a lane has brought for an empty buffer.
    pub(super) fn take_answer(&mut self, index: usize, answer: &mut Vec<u8>) {
        if let Some(lane) = self.lanes.get_mut(index) {
            answer.clear();
            std::mem::swap(&mut lane.answer, answer);
        }
    }

    /// Whether there are lanes for every kind of request.
    ///
    /// # Errors
    /// All of one kind are broken.
    pub(super) fn check(&self) -> io::Result<()> {
        if self.push.count == 0 || self.quick.count == 0 {
            return Err(io::ErrorKind::NotConnected.into());
        }
        Ok(())
    }
}

impl Lane {
    fn new(stream: UnixStream, token: u64, is_push: bool) -> Lane {
        Lane {
            stream,
            token,
            interest: Interest::Readable,
            head: Vec::new(),
            body: Vec::new(),
            sent: 0,
            answer: Vec::new(),
            awaits: Awaits::Nothing,
            serves: None,
            is_push,
        }
    }

    fn begin(&mut self, connection: u64, request: Request<'_>) {
        let Request { method, head, body } = request;
        self.head.clear();
        self.head.extend_from_slice(head);
        self.body.clear();
        if body.len() <= COPIED_BYTES_MAX {
            self.head.extend_from_slice(body);
        } else {
            std::mem::swap(&mut self.body, body);
        }
        self.sent = 0;
        self.answer.clear();
        self.awaits = if method == Method::Head { Awaits::Head } else { Awaits::Whole };
        self.serves = Some(connection);
    }

    fn go_on_sending(&mut self, watch: &Watch) -> io::Result<()> {
        let interest = if self.send()? { Interest::Readable } else { Interest::Both };
        if interest != self.interest {
            watch.set(&self.stream, self.token, interest)?;
            self.interest = interest;
        }
        Ok(())
    }

    /// Sends what the lane takes now of its request; true once that is all.
    fn send(&mut self) -> io::Result<bool> {
        while self.awaits != Awaits::Nothing {
            let rest = match self.head.get(self.sent..) {
                Some(rest) if !rest.is_empty() => rest,
                _ => self.body.get(self.sent - self.head.len()..).unwrap_or_default(),
            };
            if rest.is_empty() {
                break;
            }
            match moved(|| (&self.stream).write(rest))? {
                Moved::Bytes(count) => self.sent += count,
                Moved::Nothing => return Ok(false),
            }
        }
        Ok(true)
    }

    /// Takes what has come of the answer; true once it is whole. Each has a `Content-Length`,
    /// written by our own hand.
    fn receive(&mut self) -> io::Result<bool> {
        const READ_BYTES: usize = 4 * KIB;
        while self.awaits != Awaits::Nothing {
            self.answer.reserve(READ_BYTES);
            match moved(|| system::read_spare(&self.stream, &mut self.answer))? {
                Moved::Nothing => return Ok(false),
                Moved::Bytes(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Moved::Bytes(_) if self.is_answered() => return Ok(true),
                Moved::Bytes(_) => {}
            }
        }
        Ok(false)
    }

    fn is_answered(&self) -> bool {
        head_len(&self.answer).is_some_and(|head_len| {
            let is_whole = self.awaits == Awaits::Whole;
            let body_len = if is_whole { content_length(&self.answer) } else { 0 };
            self.answer.len() >= head_len + body_len
        })
    }

    /// Ends a request; the connection that it was for.
    fn end(&mut self) -> Option<u64> {
        self.awaits = Awaits::Nothing;
        // One unusually large push must not hold its memory until the next one.
        for buffer in [&mut self.head, &mut self.body] {
            buffer.clear();
            buffer.shrink_to(KEPT_BODY_BYTES_MAX);
        }
        self.serves.take()
    }
}

/// The length of the head at the start of an answer, once all of it came.
pub(super) fn head_len(answer: &[u8]) -> Option<usize> {
    answer.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4)
}

fn content_length(answer: &[u8]) -> usize {
    const NAME: &[u8] = b"\r\nContent-Length: ";
    let Some(at) = answer.windows(NAME.len()).position(|window| window == NAME) else { return 0 };
    let digits = answer.get(at + NAME.len()..).unwrap_or_default();
    let digits = digits.iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |sum: usize, digit| sum.saturating_mul(10) + usize::from(digit - b'0'))
}
