//! The lines of several pushes, one after the other: what a sink is offered at once.
//!
//! A sink that must take a block apart knows where each push ends, so that it can part pushes
//! before it parts lines. Every push ends with a line feed, and none is empty.

use std::ops::Range;

/// Lines of one or more pushes.
#[derive(Debug, Default)]
pub(crate) struct Block {
    bytes: Vec<u8>,
    pushes: Vec<BlockPush>,
}

/// Where a push ends in its block.
#[derive(Clone, Copy, Debug)]
struct BlockPush {
    /// The byte after its last line feed.
    end: usize,
    line_count: u32,
}

impl Block {
    /// Empties the block; its memory stays.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.pushes.clear();
    }

    /// Appends a copy of the lines of a push.
    pub(crate) fn append(&mut self, lines: &[u8], line_count: u32) {
        self.bytes.extend_from_slice(lines);
        self.pushes.push(BlockPush { end: self.bytes.len(), line_count });
    }

    /// Becomes a block of this one push, without a copy: the buffers change places, and
    /// [`Block::swap_back`] changes them again.
    pub(crate) fn swap_in(&mut self, lines: &mut Vec<u8>, line_count: u32) {
        self.clear();
        std::mem::swap(&mut self.bytes, lines);
        self.pushes.push(BlockPush { end: self.bytes.len(), line_count });
    }

    /// Gives the lines back that [`Block::swap_in`] took; the block is empty then.
    pub(crate) fn swap_back(&mut self, lines: &mut Vec<u8>) {
        std::mem::swap(&mut self.bytes, lines);
        self.clear();
    }

    /// All lines, each with its line feed.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many lines there are.
    pub(crate) fn line_count(&self) -> u64 {
        self.pushes.iter().map(|push| u64::from(push.line_count)).sum()
    }

    /// Each push, in order: the bytes that it has in this block, and how many lines they are.
    pub(crate) fn pushes(&self) -> impl Iterator<Item = (Range<usize>, u32)> + '_ {
        let starts = std::iter::once(0).chain(self.pushes.iter().map(|push| push.end));
        starts.zip(&self.pushes).map(|(start, push)| (start..push.end, push.line_count))
    }

    /// The lines in a range of its bytes; empty where the range is not in the block.
    pub(crate) fn slice(&self, range: Range<usize>) -> &[u8] {
        self.bytes.get(range).unwrap_or_default()
    }
}

/// How many lines these bytes are.
pub(crate) fn count_lines(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_knows_where_each_of_its_pushes_ends() {
        let mut block = Block::default();
        assert_eq!((block.line_count(), block.pushes().count()), (0, 0));
        block.append(b"a 1\nb 2\n", 2);
        block.append(b"c 3\n", 1);
        assert_eq!(block.pushes().collect::<Vec<_>>(), [(0..8, 2), (8..12, 1)]);
        assert_eq!((block.pushes().count(), block.line_count()), (2, 3));
        assert_eq!(block.slice(8..12), b"c 3\n");
        assert_eq!(block.slice(8..13), b"");
        assert_eq!(count_lines(block.bytes()), 3);
        block.clear();
        assert_eq!((block.bytes(), block.pushes().count()), (&b""[..], 0));
    }

    #[test]
    fn a_single_push_is_lent_to_its_block_without_a_copy() {
        let mut lines = b"a 1\n".to_vec();
        let place = lines.as_ptr();
        let mut block = Block::default();
        block.append(b"before 1\n", 1);
        block.swap_in(&mut lines, 1);
        assert_eq!((block.bytes().as_ptr(), block.bytes()), (place, &b"a 1\n"[..]));
        assert_eq!(block.pushes().collect::<Vec<_>>(), [(0..4, 1)]);
        block.swap_back(&mut lines);
        assert_eq!((lines.as_ptr(), &*lines), (place, &b"a 1\n"[..]));
        assert_eq!((block.bytes(), block.pushes().count()), (&b""[..], 0));
    }
}
