//! Buffers of large bodies that are used again: memory that the system hands out anew is filled
//! with zeros by it first, and lies in no cache.

use crate::limits::{KEPT_BUFFER_BYTES_MAX, SPARE_BODIES_BYTES_MAX};
use std::ops::RangeInclusive;

/// Spare buffers; the last one that came back is the first one to go.
#[derive(Debug, Default)]
pub(super) struct SpareBodies {
    buffers: Vec<Vec<u8>>,
    /// What they take together.
    bytes: usize,
}

impl SpareBodies {
    /// An empty buffer of a size in this range.
    pub(super) fn take(&mut self, bytes: RangeInclusive<usize>) -> Option<Vec<u8>> {
        let at = self.buffers.iter().rposition(|buffer| bytes.contains(&buffer.capacity()))?;
        let buffer = self.buffers.remove(at);
        self.bytes -= buffer.capacity();
        Some(buffer)
    }

    /// Keeps a buffer, or drops it: one unusually large body must not hold its memory for good.
    pub(super) fn give_back(&mut self, mut buffer: Vec<u8>) {
        let capacity = buffer.capacity();
        if capacity > KEPT_BUFFER_BYTES_MAX || self.bytes + capacity > SPARE_BODIES_BYTES_MAX {
            return;
        }
        buffer.clear();
        self.bytes += capacity;
        self.buffers.push(buffer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::KIB;

    #[test]
    fn the_last_buffer_of_a_fitting_size_is_used_again() {
        let mut spares = SpareBodies::default();
        assert!(spares.take(0..=usize::MAX).is_none());
        for size in [64 * KIB, 100 * KIB, 80 * KIB] {
            let mut buffer = Vec::with_capacity(size);
            buffer.push(b'x');
            spares.give_back(buffer);
        }
        let mut take = |bytes| spares.take(bytes).map(|buffer| (buffer.len(), buffer.capacity()));
        assert_eq!(take(90 * KIB..=200 * KIB), Some((0, 100 * KIB)));
        assert_eq!(take(90 * KIB..=200 * KIB), None);
        assert_eq!(take(64 * KIB..=200 * KIB), Some((0, 80 * KIB)));
    }

    #[test]
    fn spare_buffers_are_bounded() {
        let mut spares = SpareBodies::default();
        spares.give_back(Vec::with_capacity(KEPT_BUFFER_BYTES_MAX + 1));
        assert!(spares.take(0..=usize::MAX).is_none(), "an unusually large one is dropped");
        for _ in 0..100 {
            spares.give_back(Vec::with_capacity(100 * KIB));
        }
        let held: usize = spares.buffers.iter().map(Vec::capacity).sum();
        assert_eq!(held, spares.bytes);
        assert!(held <= SPARE_BODIES_BYTES_MAX && held > SPARE_BODIES_BYTES_MAX / 2, "{held}");
        while spares.take(0..=usize::MAX).is_some() {}
        assert_eq!(spares.bytes, 0);
    }
}
