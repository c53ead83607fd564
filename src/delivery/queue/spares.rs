//! Buffers that are used again, and the memory of lines that wait.
//!
//! A worker writes lines into a buffer that has grown with its pushes, up to a mebibyte: were a
//! push of two hundred bytes to wait in such a buffer, a queue of 64 MiB would hold gigabytes. So
//! lines that are small, or that others wait before, move into an allocation of their own size, and
//! the large buffer goes back to the workers at once.

use crate::limits::{KEPT_BUFFER_BYTES_MAX, KIB, SPARES_BYTES_MAX};
use std::sync::{Mutex, PoisonError};

/// Lines up to this size are always copied: that costs a tenth of what converting them did.
const COPIED_BYTES_MAX: usize = 16 * KIB;
/// Spare buffers at most.
const SPARES_MAX: usize = 8;

/// Whether others wait for the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Backlog {
    /// Few do: what comes is on its way soon.
    Short,
    /// What comes will wait.
    Long,
}

/// Spare buffers.
#[derive(Debug, Default)]
pub(super) struct Spares {
    buffers: Mutex<Vec<Vec<u8>>>,
}

impl Spares {
    /// A buffer, used before or new: what is in it is overwritten.
    pub(super) fn take(&self) -> Vec<u8> {
        self.buffers.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    /// Gives buffers back whose lines are not needed any more.
    pub(super) fn give_back(&self, buffers: impl IntoIterator<Item = Vec<u8>>) {
        let mut spares = self.buffers.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bytes: usize = spares.iter().map(Vec::capacity).sum();
        for mut buffer in buffers {
            // Small allocations are those of one push: a worker needs a larger one.
            if buffer.capacity() <= COPIED_BYTES_MAX {
                continue;
            }
            // One unusually large push must not hold its memory for good. What is kept keeps its
            // length, too: it is room that the next lines overwrite, and need not fill with zeros.
            buffer.truncate(KEPT_BUFFER_BYTES_MAX);
            buffer.shrink_to(KEPT_BUFFER_BYTES_MAX);
            bytes += buffer.capacity();
            if spares.len() == SPARES_MAX || bytes > SPARES_BYTES_MAX {
                return;
            }
            spares.push(buffer);
        }
    }

    /// The same lines in memory that is worth waiting in.
    pub(super) fn fit(&self, lines: Vec<u8>, backlog: Backlog) -> Vec<u8> {
        let is_copied = match backlog {
            Backlog::Short => lines.len() <= COPIED_BYTES_MAX,
            Backlog::Long => true,
        };
        // A quarter more than needed is not worth a copy.
        if !is_copied || lines.capacity() - lines.len() <= lines.len() / 4 {
            return lines;
        }
        let fitting = lines.as_slice().to_vec();
        self.give_back([lines]);
        fitting
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_capacity(len: usize, capacity: usize) -> Vec<u8> {
        let mut lines = Vec::with_capacity(capacity);
        lines.resize(len, b'x');
        lines
    }

    #[test]
    fn a_tiny_push_does_not_keep_a_large_buffer() {
        for (len, capacity, backlog, is_copied) in [
            (200, 1 << 20, Backlog::Short, true),
            (200, 240, Backlog::Short, false),
            (100_000, 1 << 20, Backlog::Short, false),
            (100_000, 1 << 20, Backlog::Long, true),
            (100_000, 110_000, Backlog::Long, false),
        ] {
            let spares = Spares::default();
            let lines = with_capacity(len, capacity);
            let place = lines.as_ptr();
            let fitting = spares.fit(lines, backlog);
            assert_eq!(fitting.len(), len);
            assert_eq!(fitting.as_ptr() != place, is_copied, "{len} of {capacity}, {backlog:?}");
            let spare = spares.take();
            assert_eq!(spare.capacity() > 0 && spare.as_ptr() == place, is_copied);
            assert!(!is_copied || fitting.capacity() == len);
        }
    }

    #[test]
    fn spare_buffers_are_bounded_in_bytes_and_in_number() {
        let spares = Spares::default();
        spares.give_back((0..100).map(|_| Vec::with_capacity(32 * KIB)));
        spares.give_back((0..100).map(|_| Vec::with_capacity(64 << 20)));
        let held = spares.buffers.lock().unwrap();
        let bytes: usize = held.iter().map(Vec::capacity).sum();
        assert!(held.len() <= SPARES_MAX && bytes <= SPARES_BYTES_MAX, "{} of {bytes}", held.len());
    }
}
