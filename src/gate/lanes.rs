//! The private connections to the workers: borrowed for one request, then given back.
//!
//! Pushes may wait for a stalled output, in as many lanes as there are. One lane is kept for
//! everything else, so that a probe is answered while all pushes wait.

use super::head::Method;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::{Condvar, Mutex, PoisonError};
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

impl Lanes {
    /// The last of `streams` is for what is no push.
    pub(super) fn new(mut streams: Vec<UnixStream>) -> Lanes {
        let quick = streams.pop().into_iter().collect();
        Lanes { push: Pool::new(streams), quick: Pool::new(quick) }
    }

    /// Sends a whole request over a free lane and reads the whole answer into `answer`; `Ok(false)`
    /// where no lane became free within `patience`.
    ///
    /// # Errors
    /// A lane broke, which is a defect: it is not used again.
    pub(super) fn exchange(
        &self,
        method: Method,
        request: [&[u8]; 2],
        answer: &mut Vec<u8>,
        patience: Duration,
    ) -> io::Result<bool> {
        let pool = match method {
            Method::Push(_) => &self.push,
            Method::Head | Method::Quick(_) | Method::Other => &self.quick,
        };
        let Some(mut stream) = pool.take(patience) else { return Ok(false) };
        for part in request.into_iter().filter(|part| !part.is_empty()) {
            stream.write_all(part)?;
        }
        read_answer(&mut stream, answer, method)?;
        pool.give_back(stream);
        Ok(true)
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
fn read_answer(stream: &mut UnixStream, answer: &mut Vec<u8>, method: Method) -> io::Result<()> {
    let mut chunk = [0; 4096];
    answer.clear();
    loop {
        match stream.read(&mut chunk)? {
            0 => return Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
            count => answer.extend_from_slice(chunk.get(..count).unwrap_or_default()),
        }
        if let Some(head_len) = head_len(answer) {
            let body_len = if method == Method::Head { 0 } else { content_length(answer) };
            if answer.len() >= head_len + body_len {
                return Ok(());
            }
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
