//! The bytes of lines as they grow, in room that is there before they come.
//!
//! Most pieces of a line have fewer than 32 bytes, where a call of memcpy costs more than the copy.
//! So a piece is copied in blocks of fixed size, which are single instructions: what a block holds
//! beyond the piece lands in room that the next piece overwrites.

use crate::chunk::{self, CHUNK_BYTES, Chunk, Places};
use crate::short::{SHORT_BYTES_MAX, ShortRef};

/// Bytes in a block.
const BLOCK: usize = SHORT_BYTES_MAX;
/// Bytes in a block of what is repeated, which is longer than a piece as a rule.
const REPEATED_BLOCK: usize = 128;
/// What the room grows by at least, in bytes.
const GROWTH_MIN: usize = 4096;

/// Lines, and room behind them.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// The lines, and whatever is behind them.
    bytes: Vec<u8>,
    len: usize,
}

impl Lines {
    /// No lines; `room` is overwritten.
    pub(super) fn new(room: Vec<u8>) -> Lines {
        Lines { bytes: room, len: 0 }
    }

    /// The lines, and nothing behind them.
    pub(super) fn into_bytes(mut self) -> Vec<u8> {
        self.bytes.truncate(self.len);
        self.bytes
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The bytes from `start` up to `end`.
    #[inline]
    pub(super) fn between(&self, start: usize, end: usize) -> &[u8] {
        self.bytes.get(start..end.min(self.len)).unwrap_or_default()
    }

    /// Takes back what is behind the first `len` bytes.
    #[inline]
    pub(super) fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    #[inline(always)]
    pub(super) fn push(&mut self, byte: u8) {
        if let [place, ..] = self.room(1) {
            *place = byte;
            self.len += 1;
        }
    }

    /// Appends a piece.
    #[inline(always)]
    pub(super) fn extend(&mut self, piece: &[u8]) {
        if piece.len() > BLOCK {
            return self.extend_long(piece);
        }
        let room = self.room(BLOCK);
        // Two blocks that may overlap cover a piece of up to twice their size.
        let _is_copied = copy_ends::<16>(room, piece)
            || copy_ends::<8>(room, piece)
            || copy_ends::<4>(room, piece)
            || copy_ends::<2>(room, piece)
            || copy_ends::<1>(room, piece);
        self.len += piece.len();
    }

    #[cold]
    fn extend_long(&mut self, piece: &[u8]) {
        for (place, byte) in self.room(piece.len()).iter_mut().zip(piece) {
            *place = *byte;
        }
        self.len += piece.len();
    }

    /// Appends a short text.
    #[inline(always)]
    pub(super) fn extend_short(&mut self, text: ShortRef<'_>) {
        let Some(place) = self.bytes.get_mut(self.len..).and_then(<[u8]>::first_chunk_mut) else {
            return self.extend(text.as_bytes());
        };
        *place = *text.block();
        self.len += text.len();
    }

    /// Appends again the `len` bytes from `start` on.
    #[inline(always)]
    pub(super) fn repeat(&mut self, start: usize, len: usize) {
        if self.bytes.len() < self.len + len + REPEATED_BLOCK {
            self.grow(len + REPEATED_BLOCK);
        }
        // OK because what is repeated stands before the room, which takes all blocks.
        if len <= REPEATED_BLOCK / 2 {
            self.bytes.copy_within(start..start + REPEATED_BLOCK / 2, self.len);
        } else {
            let mut copied = 0;
            while copied < len {
                let from = start + copied..start + copied + REPEATED_BLOCK;
                self.bytes.copy_within(from, self.len + copied);
                copied += REPEATED_BLOCK;
            }
        }
        self.len += len;
    }

    /// Appends a piece of 4 to 32 bytes if no byte of it is unfit; false, and nothing is appended,
    /// for any other. Both ends are looked at and copied while they are in registers.
    #[inline(always)]
    pub(super) fn extend_fit(&mut self, piece: &[u8], unfit: impl Fn(Chunk) -> Places) -> bool {
        let room = self.room(BLOCK);
        let is_copied = copy_fit_ends::<16>(room, piece, &unfit)
            || copy_fit_ends::<8>(room, piece, &unfit)
            || copy_fit_ends::<4>(room, piece, &unfit);
        self.len += if is_copied { piece.len() } else { 0 };
        is_copied
    }

    /// The room behind the lines, at least `len` bytes.
    #[inline(always)]
    fn room(&mut self, len: usize) -> &mut [u8] {
        if self.bytes.len() - self.len < len {
            self.grow(len);
        }
        self.bytes.get_mut(self.len..).unwrap_or_default()
    }

    #[cold]
    fn grow(&mut self, len: usize) {
        // A vector that grows takes more memory than it is asked for, so that it seldom moves.
        self.bytes.resize(self.bytes.len() + len.max(GROWTH_MIN), 0);
    }
}

/// Copies a piece of `N` to 2 `N` bytes; false for any other.
#[inline]
fn copy_ends<const N: usize>(room: &mut [u8], piece: &[u8]) -> bool {
    let (Some(first), Some(last)) = (piece.first_chunk::<N>(), piece.last_chunk::<N>()) else {
        return false;
    };
    if let Some(place) = room.first_chunk_mut::<N>() {
        *place = *first;
    }
    let rest = room.get_mut(piece.len() - N..).unwrap_or_default();
    if let Some(place) = rest.first_chunk_mut::<N>() {
        *place = *last;
    }
    true
}

/// The same where no byte is unfit.
#[inline(always)]
fn copy_fit_ends<const N: usize>(
    room: &mut [u8],
    piece: &[u8],
    unfit: &impl Fn(Chunk) -> Places,
) -> bool {
    let (Some(first), Some(last)) = (piece.first_chunk::<N>(), piece.last_chunk::<N>()) else {
        return false;
    };
    let is_unfit = match N {
        CHUNK_BYTES => chunk::has(first, unfit) || chunk::has(last, unfit),
        _ => chunk::has(piece, unfit),
    };
    piece.len() <= 2 * N && !is_unfit && copy_ends::<N>(room, piece)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::short::ShortText;

    #[test]
    fn pieces_of_any_size_are_appended_whole() {
        let source: Vec<u8> = (0..=u8::MAX).collect();
        for first in 0..70 {
            for second in 0..70 {
                let mut lines = Lines::new(vec![b'x'; first / 2]);
                let mut want = Vec::new();
                for piece in [&source[..first], &source[100..100 + second]] {
                    lines.extend(piece);
                    want.extend_from_slice(piece);
                }
                lines.repeat(first / 2, first + second / 2 - first / 2);
                want.extend_from_within(first / 2..first + second / 2);
                lines.push(b'!');
                want.push(b'!');
                let short = &source[first..first + second % BLOCK];
                lines.extend_short(ShortText::new(short).borrowed());
                want.extend_from_slice(short);
                assert_eq!(lines.len(), want.len());
                assert_eq!(lines.between(first, lines.len()), &want[first..]);
                lines.truncate(want.len() - second / 4);
                want.truncate(want.len() - second / 4);
                assert_eq!(lines.into_bytes(), want);
            }
        }
    }
}
