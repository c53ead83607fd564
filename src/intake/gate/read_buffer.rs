//! What the connections of the gate read into, one after the other: the thread of the gate has one.
//!
//! A connection has its turn with all its unread bytes in here. What it leaves is its own until the
//! next turn; mostly that is nothing, so an idle connection needs no memory.

use super::socket::Moved;
use super::wire::PeerWire;
use crate::limits::KIB;
use std::io;

/// Bytes that one read asks for.
pub(super) const READ_BYTES: usize = 64 * KIB;
/// Bytes that one read of a sealed socket asks for: no more than there is room for in any case.
const SEALED_READ_BYTES: usize = READ_BYTES / 2;
/// Reads that a connection may make in a turn while no other one waits.
const READS_MAX: usize = 16;

/// How much a connection may read in a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Share {
    /// Others wait.
    OneRead,
    /// No other waits: a turn for each read would cost a call of the system more.
    ManyReads,
}

/// Bytes that came and are not used yet, of the connection that has its turn.
#[derive(Debug)]
pub(super) struct ReadBuffer {
    bytes: Vec<u8>,
    /// What came sealed, while it is opened; no memory before the first connection with TLS.
    sealed: Vec<u8>,
    /// So many of them are used.
    used: usize,
    reads: usize,
    /// How often a connection may read in this turn.
    reads_max: usize,
}

impl ReadBuffer {
    pub(super) fn new() -> ReadBuffer {
        ReadBuffer {
            bytes: Vec::with_capacity(READ_BYTES),
            sealed: Vec::new(),
            used: 0,
            reads: 0,
            reads_max: READS_MAX,
        }
    }

    /// Begins the turn of a connection with what it had left.
    pub(super) fn begin(&mut self, left: &mut Vec<u8>) {
        self.clear();
        self.reads = 0;
        self.bytes.append(left);
        left.shrink_to(0);
    }

    /// Ends its turn: what it leaves.
    pub(super) fn end(&mut self, left: &mut Vec<u8>) {
        left.extend_from_slice(self.rest());
        self.clear();
        self.bytes.shrink_to(READ_BYTES);
    }

    pub(super) fn rest(&self) -> &[u8] {
        self.bytes.get(self.used..).unwrap_or_default()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest().is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.used = 0;
    }

    /// Some of the rest is used.
    pub(super) fn consume(&mut self, count: usize) {
        self.used = self.bytes.len().min(self.used + count);
    }

    /// Bytes that were read too far.
    pub(super) fn put_back(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Says how much each connection may read in this turn.
    pub(super) fn set_share(&mut self, share: Share) {
        self.reads_max = match share {
            Share::OneRead => 1,
            Share::ManyReads => READS_MAX,
        };
    }

    /// Whether other connections wait for this turn to end.
    pub(super) fn is_shared(&self) -> bool {
        self.reads_max == 1
    }

    /// Whether the connection may read once more in this turn.
    pub(super) fn take_share(&mut self) -> bool {
        self.reads += 1;
        self.reads <= self.reads_max
    }

    /// Makes room for a read; how much.
    pub(super) fn room(&mut self) -> usize {
        self.bytes.drain(..self.used);
        self.used = 0;
        self.bytes.reserve(READ_BYTES / 2);
        self.bytes.capacity() - self.bytes.len()
    }

    /// Reads into that room.
    pub(super) fn fill(&mut self, wire: &mut PeerWire) -> io::Result<Moved> {
        if wire.is_sealed() && self.sealed.capacity() == 0 {
            self.sealed.reserve_exact(SEALED_READ_BYTES);
        }
        wire.read(&mut self.sealed, &mut self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_reads_once_a_turn_while_others_wait() {
        let mut buffer = ReadBuffer::new();
        for (share, want) in [(Share::OneRead, 1), (Share::ManyReads, READS_MAX)] {
            buffer.set_share(share);
            for _ in 0..2 {
                buffer.begin(&mut Vec::new());
                let reads = (0..100).filter(|_| buffer.take_share()).count();
                assert_eq!(reads, want, "{share:?}");
            }
        }
    }
}
