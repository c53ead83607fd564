//! The private connections to the workers: borrowed for one request, then given back.
//!
//! Pushes may wait for a stalled output, in as many lanes as there are. One lane is kept for
//! everything else, so that a probe is answered while all pushes wait.

use super::budget::{Budget, Lease};
use super::head::Method;
use crate::limits::KEPT_BODY_BYTES_MAX;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The lanes that are free.
#[derive(Debug)]
pub(super) struct Lanes {
    push: Pool,
    quick: Pool,
}

#[derive(Debug)]
struct Pool {
    free: Mutex<Vec<UnixStream>>,
    is_back: Condvar,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exchange {
    /// Its whole answer is there.
    Answered,
    /// No lane became free in time.
    NoLane,
    /// There is no memory for its answer, which is dropped.
    NoMemory,
}

/// The answer of a worker, in memory that the next one uses again.
///
/// What the workers say of themselves is small. The lines of a dry run may be as many as the queue
/// holds, and their client may be slow: more than an idle connection may keep is taken from the
/// budget of the bodies in hand.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) bytes: Vec<u8>,
    budget: Arc<Budget>,
    lease: Option<Lease>,
}

impl Answer {
    pub(super) fn new(budget: Arc<Budget>) -> Answer {
        Answer { bytes: Vec::new(), budget, lease: None }
    }

    /// Gives back what an idle connection must not hold.
    pub(super) fn release(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(KEPT_BODY_BYTES_MAX);
        self.lease = None;
    }

    /// Takes memory for an answer of `length` bytes; false where there is none.
    fn reserve(&mut self, length: usize) -> bool {
        if length > KEPT_BODY_BYTES_MAX {
            let mut lease = Lease::new(Arc::clone(&self.budget));
            if !lease.cover(length) {
                return false;
            }
            self.lease = Some(lease);
        }
        self.bytes.reserve_exact(length.saturating_sub(self.bytes.len()));
        true
    }
}

impl Lanes {
    /// The last of `streams` is for what is no push.
    pub(super) fn new(mut streams: Vec<UnixStream>) -> Lanes {
        let quick = streams.pop().into_iter().collect();
        Lanes { push: Pool::new(streams), quick: Pool::new(quick) }
    }

    /// Sends a whole request over a lane that becomes free within `patience`, and reads the whole
    /// answer into `answer`.
    ///
    /// # Errors
    /// A lane broke, which is a defect: it is not used again.
    pub(super) fn exchange(
        &self,
        method: Method,
        request: [&[u8]; 2],
        answer: &mut Answer,
        patience: Duration,
    ) -> io::Result<Exchange> {
        let pool = match method {
            Method::Push(_) => &self.push,
            Method::Head | Method::Quick(_) | Method::Other => &self.quick,
        };
        let Some(mut stream) = pool.take(patience) else {
            return Ok(Exchange::NoLane);
        };
        for part in request.into_iter().filter(|part| !part.is_empty()) {
            stream.write_all(part)?;
        }
        let exchange = read_answer(&mut stream, answer, method)?;
        pool.give_back(stream);
        Ok(exchange)
    }
}

impl Pool {
    fn new(streams: Vec<UnixStream>) -> Pool {
        Pool { free: Mutex::new(streams), is_back: Condvar::new() }
    }

    fn take(&self, patience: Duration) -> Option<UnixStream> {
        let deadline = Instant::now() + patience;
        // A list is never left half-changed, so a poisoned lock is as good as any.
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(stream) = free.pop() {
                return Some(stream);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            free = self.is_back.wait_timeout(free, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn give_back(&self, stream: UnixStream) {
        self.free.lock().unwrap_or_else(PoisonError::into_inner).push(stream);
        self.is_back.notify_one();
    }
}

/// Reads one answer of a worker: each has a `Content-Length`, written by our own hand.
fn read_answer(
    stream: &mut UnixStream,
    answer: &mut Answer,
    method: Method,
) -> io::Result<Exchange> {
    answer.bytes.clear();
    let length = read_head(stream, &mut answer.bytes, method)?;
    let left = length.saturating_sub(answer.bytes.len()) as u64;
    if left == 0 {
        return Ok(Exchange::Answered);
    }
    let mut rest = stream.take(left);
    // It is read in either case: the next answer begins behind it.
    let (count, exchange) = match method {
        Method::Push(_) if !answer.reserve(length) => {
            (io::copy(&mut rest, &mut io::sink())?, Exchange::NoMemory)
        }
        _ => (rest.read_to_end(&mut answer.bytes)? as u64, Exchange::Answered),
    };
    if count == left { Ok(exchange) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

/// Reads until the head of an answer is there, with what came of its body; returns the length that
/// both have together.
fn read_head(stream: &mut UnixStream, bytes: &mut Vec<u8>, method: Method) -> io::Result<usize> {
    let mut chunk = [0; 4096];
    loop {
        match stream.read(&mut chunk)? {
            0 => return Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
            count => bytes.extend_from_slice(chunk.get(..count).unwrap_or_default()),
        }
        if let Some(head_len) = head_len(bytes) {
            let body_len = if method == Method::Head { 0 } else { content_length(bytes) };
            return Ok(head_len.saturating_add(body_len));
        }
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
