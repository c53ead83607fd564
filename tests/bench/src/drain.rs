//! Standard input → nothing: a consumer that is never the one to wait for, and counts lines.

use std::io::{self, Read};

const BUFFER_BYTES: usize = 1 << 20;

/// Reads to the end and tells how many lines and bytes there were.
///
/// # Errors
/// Standard input cannot be read.
pub fn lines() -> io::Result<(u64, u64)> {
    let mut input = io::stdin().lock();
    let mut buffer = vec![0; BUFFER_BYTES];
    let (mut lines, mut bytes) = (0, 0);
    loop {
        let count = input.read(&mut buffer)?;
        let read = buffer.get(..count).unwrap_or_default();
        if read.is_empty() {
            return Ok((lines, bytes));
        }
        lines += memchr::memchr_iter(b'\n', read).count() as u64;
        bytes += count as u64;
    }
}
