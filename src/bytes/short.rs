//! A text of at most 32 bytes that is handed on and written as one block.
//!
//! A copy of fixed size is two instructions; a copy of just the right size is a call, or a ladder
//! of branches. Numbers, bounds and timestamps are that short, and are copied all the time.

use std::fmt;

/// Bytes in a block.
pub(crate) const SHORT_BYTES_MAX: usize = 32;

/// A text, and whatever is after it up to the end of its block.
#[derive(Clone, Copy, Default)]
pub(crate) struct ShortText {
    block: [u8; SHORT_BYTES_MAX],
    len: usize,
}

impl ShortText {
    /// A copy of `text`, which is not longer than it may be.
    #[must_use]
    pub(crate) fn new(text: &[u8]) -> ShortText {
        let mut block = [0; SHORT_BYTES_MAX];
        for (place, byte) in block.iter_mut().zip(text) {
            *place = *byte;
        }
        ShortText::of_block(block, text.len())
    }

    /// The first `len` bytes of a block.
    #[inline(always)]
    #[must_use]
    pub(crate) fn of_block(block: [u8; SHORT_BYTES_MAX], len: usize) -> ShortText {
        ShortText { block, len: len.min(SHORT_BYTES_MAX) }
    }

    /// Appends a piece, which is no longer than the rest of the block.
    pub(crate) fn extend(&mut self, piece: &[u8]) {
        let room = self.block.get_mut(self.len..).unwrap_or_default();
        for (place, byte) in room.iter_mut().zip(piece) {
            *place = *byte;
        }
        self.len = (self.len + piece.len()).min(SHORT_BYTES_MAX);
    }

    /// The same text, borrowed.
    #[inline(always)]
    #[must_use]
    pub(crate) fn borrowed(&self) -> ShortRef<'_> {
        ShortRef { block: &self.block, len: self.len }
    }

    /// The first `len` bytes of half a block.
    #[inline(always)]
    #[must_use]
    pub(crate) fn of_half(half: [u8; SHORT_BYTES_MAX / 2], len: usize) -> ShortText {
        let mut block = [0; SHORT_BYTES_MAX];
        if let Some(place) = block.first_chunk_mut() {
            *place = half;
        }
        ShortText { block, len: len.min(SHORT_BYTES_MAX / 2) }
    }

    /// The text.
    #[must_use]
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.block.get(..self.len).unwrap_or_default()
    }
}

/// A short text in the block of another, which is not copied.
#[derive(Clone, Copy)]
pub struct ShortRef<'a> {
    block: &'a [u8; SHORT_BYTES_MAX],
    len: usize,
}

impl<'a> ShortRef<'a> {
    /// The first `len` bytes of a block.
    #[inline(always)]
    #[must_use]
    pub(crate) fn of_block(block: &'a [u8; SHORT_BYTES_MAX], len: usize) -> ShortRef<'a> {
        ShortRef { block, len: len.min(SHORT_BYTES_MAX) }
    }

    /// The text and what is after it.
    #[inline(always)]
    #[must_use]
    pub(crate) fn block(&self) -> &'a [u8; SHORT_BYTES_MAX] {
        self.block
    }

    /// Bytes of the text.
    #[inline(always)]
    #[must_use]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The text.
    #[must_use]
    pub(crate) fn as_bytes(&self) -> &'a [u8] {
        self.block.get(..self.len).unwrap_or_default()
    }
}

impl PartialEq for ShortRef<'_> {
    fn eq(&self, other: &ShortRef<'_>) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl fmt::Debug for ShortRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.as_bytes().escape_ascii())
    }
}

impl PartialEq for ShortText {
    fn eq(&self, other: &ShortText) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl fmt::Debug for ShortText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.as_bytes().escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_ends_where_it_was_said_to_whatever_is_behind_it() {
        let text = b"0123456789abcdefghijklmnopqrstuv";
        for len in 0..=text.len() {
            let (whole, copied) = (ShortText::of_block(*text, len), ShortText::new(&text[..len]));
            assert_eq!(whole.as_bytes(), &text[..len]);
            assert_eq!((whole, whole.len), (copied, len));
            assert_eq!(&whole.block[..len], copied.as_bytes());
        }
        let half: [u8; 16] = *text.first_chunk().unwrap();
        assert_eq!(ShortText::of_half(half, 3), ShortText::new(b"012"));
        assert_ne!(ShortText::of_half(half, 3), ShortText::new(b"0123"));
        let mut grown = ShortText::of_half(half, 3);
        grown.extend(b"xyz");
        assert_eq!(grown.as_bytes(), b"012xyz");
        grown.extend(text);
        assert_eq!(grown.as_bytes(), &[b"012xyz", &text[..26]].concat());
        assert_eq!(ShortText::of_half(half, 99).as_bytes(), half);
    }
}
