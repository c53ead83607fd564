//! Heads that wait to be sent to tiny_http: the least that it reads as a request.

use crate::limits::KIB;
use std::io::{self, Write};

/// What is kept of the buffer, in bytes.
const KEPT_BYTES_MAX: usize = 16 * KIB;

/// Heads that wait to be sent, one for each request in hand at most.
#[derive(Debug)]
pub(super) struct Heads {
    /// What every head begins with.
    start: String,
    bytes: Vec<u8>,
    /// So many of them are sent.
    sent: usize,
}

impl Heads {
    /// `key` is how the target of each begins.
    pub(super) fn new(key: &str) -> Heads {
        Heads { start: format!("GET {key}"), bytes: Vec::new(), sent: 0 }
    }

    pub(super) fn push(&mut self, number: u64) {
        self.bytes.extend_from_slice(self.start.as_bytes());
        // OK because writing to a Vec never fails.
        write!(self.bytes, "{number} HTTP/1.1\r\n\r\n").ok();
    }

    /// Writes what waits, as far as it is taken without waiting; true once that is all.
    pub(super) fn write_to(&mut self, stream: &mut impl Write) -> io::Result<bool> {
        while let Some(rest) = self.bytes.get(self.sent..).filter(|rest| !rest.is_empty()) {
            match stream.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.bytes.drain(..self.sent);
                    self.sent = 0;
                    return Ok(false);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.bytes.clear();
        self.bytes.shrink_to(KEPT_BYTES_MAX);
        self.sent = 0;
        Ok(true)
    }
}
