//! The bytes of lines as they grow.
//!
//! Most pieces of a line have fewer than 32 bytes, where a call of memcpy costs more than the copy.
//! So a piece is copied in blocks of fixed size, which are single instructions: what a block holds
//! beyond the piece lands in room that the next piece overwrites.
//!
//! A [`Line`] is written into room that is there before it begins and does not grow, so that its
//! end stays in a register from piece to piece. Where the room is over, the line is given up, and
//! is written again once there is more.

use crate::bytes::chunk::{CHUNK_BYTES, Chunk, Places, has};
use crate::bytes::short::{SHORT_BYTES_MAX, ShortRef};

/// Bytes in a block.
const BLOCK: usize = SHORT_BYTES_MAX;
/// Bytes in a block of what is repeated, which is longer than a piece as a rule.
const REPEATED_BLOCK: usize = 64;
/// What the room grows by at least, in bytes.
const GROWTH_MIN: usize = 1024;

/// Lines, and room after them.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// The lines, and whatever is after them.
    bytes: Vec<u8>,
    len: usize,
}

/// No room left: discard the line, grow, write it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

/// The line that is being written, after others.
#[derive(Debug)]
pub(super) struct Line<'l> {
    /// The lines, this one, and the room.
    bytes: &'l mut [u8],
    /// Where it ends so far.
    end: usize,
}

impl Lines {
    /// No lines; `room` is overwritten.
    pub(super) fn new(room: Vec<u8>) -> Lines {
        Lines { bytes: room, len: 0 }
    }

    /// The lines, and nothing after them.
    pub(super) fn into_bytes(mut self) -> Vec<u8> {
        self.bytes.truncate(self.len);
        self.bytes
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Opens a line at byte `end`: bytes from there on are overwritten. A line that is continued
    /// begins before it.
    #[inline(always)]
    pub(super) fn line(&mut self, end: usize) -> Line<'_> {
        Line { bytes: &mut self.bytes, end }
    }

    /// Commits the line: the output ends at `end`.
    #[inline(always)]
    pub(super) fn end_at(&mut self, end: usize) {
        self.len = end;
    }

    /// More room, for the line from `start` on that found it too small: at least twice as much for
    /// it as there was, since it is written again from its start.
    #[cold]
    pub(super) fn grow(&mut self, start: usize) {
        let len = self.bytes.len();
        let more = (len / 16).max(len - start).max(GROWTH_MIN);
        self.bytes.resize(len + more, 0);
    }

    /// Whether there is room for a line from `start` on that takes more than so many bytes.
    pub(super) fn has_room_beyond(&self, start: usize, bytes: usize) -> bool {
        self.bytes.len() - start > bytes.saturating_add(REPEATED_BLOCK)
    }

    /// Appends what `write` writes, which is called again where the room is over.
    pub(super) fn append(&mut self, write: impl Fn(&mut Line<'_>) -> Result<(), Full>) {
        loop {
            let mut line = self.line(self.len);
            let (outcome, end) = (write(&mut line), line.end);
            match outcome {
                Ok(()) => return self.end_at(end),
                Err(Full) => self.grow(self.len),
            }
        }
    }
}

impl Line<'_> {
    /// Where it ends so far, in bytes from the first line on.
    #[inline(always)]
    pub(super) fn end(&self) -> usize {
        self.end
    }

    /// The same line, handed on: a call that is given a pointer to this one would keep it out of
    /// registers everywhere.
    #[inline(always)]
    pub(super) fn handed_on(&mut self) -> Line<'_> {
        Line { bytes: self.bytes, end: self.end }
    }

    /// Takes the line back from where it was handed on to: it ends at `end`.
    #[inline(always)]
    pub(super) fn end_at(&mut self, end: usize) {
        self.end = end;
    }

    /// The bytes from `start` up to `end`.
    #[inline]
    pub(super) fn between(&self, start: usize, end: usize) -> &[u8] {
        self.bytes.get(start..end).unwrap_or_default()
    }

    /// The next bytes of the room.
    #[inline(always)]
    fn room<const N: usize>(&mut self) -> Result<&mut [u8; N], Full> {
        self.bytes.get_mut(self.end..).and_then(<[u8]>::first_chunk_mut).ok_or(Full)
    }

    #[inline(always)]
    pub(super) fn push(&mut self, byte: u8) -> Result<(), Full> {
        *self.room()? = [byte];
        self.end += 1;
        Ok(())
    }

    /// Appends a short text.
    #[inline(always)]
    pub(super) fn extend_short(&mut self, text: ShortRef<'_>) -> Result<(), Full> {
        *self.room()? = *text.block();
        self.end += text.len();
        Ok(())
    }

    /// Appends again the `len` bytes from `start` on.
    #[inline(always)]
    pub(super) fn repeat(&mut self, start: usize, len: usize) -> Result<(), Full> {
        let end = self.end + len;
        self.repeat_block(start)?;
        if len > REPEATED_BLOCK {
            let mut copied = REPEATED_BLOCK;
            while copied < len {
                self.end += REPEATED_BLOCK;
                self.repeat_block(start + copied)?;
                copied += REPEATED_BLOCK;
            }
        }
        self.end = end;
        Ok(())
    }

    /// Copies a block to the end.
    #[inline(always)]
    fn repeat_block(&mut self, start: usize) -> Result<(), Full> {
        let block: Option<&[u8; REPEATED_BLOCK]> =
            self.bytes.get(start..).and_then(<[u8]>::first_chunk);
        let block = *block.ok_or(Full)?;
        *self.room()? = block;
        Ok(())
    }

    /// Appends a piece.
    #[inline(always)]
    pub(super) fn extend(&mut self, piece: &[u8]) -> Result<(), Full> {
        if piece.len() > BLOCK {
            let end = extend_long(self.bytes, self.end, piece)?;
            self.end = end;
            return Ok(());
        }
        let room = self.room()?;
        // Two blocks that may overlap cover a piece of up to twice their size.
        let _is_copied = copy_ends::<16>(room, piece)
            || copy_ends::<8>(room, piece)
            || copy_ends::<4>(room, piece)
            || copy_ends::<2>(room, piece)
            || copy_ends::<1>(room, piece);
        self.end += piece.len();
        Ok(())
    }

    /// Appends a short text if no byte of it is unfit; else false, and nothing is appended.
    #[inline(always)]
    pub(super) fn extend_fit_block(
        &mut self,
        text: ShortRef<'_>,
        unfit: impl Fn(Chunk) -> Places,
    ) -> Result<bool, Full> {
        let room = self.room()?;
        let unfit_bits = |half: Option<&[u8; CHUNK_BYTES]>| {
            half.map_or(0, |half| unfit(Chunk::new(*half)).bits())
        };
        let mut bits = u64::from(unfit_bits(text.block().first_chunk()));
        if text.len() > CHUNK_BYTES {
            bits |= u64::from(unfit_bits(text.block().last_chunk())) << CHUNK_BYTES;
        }
        if bits & ((1 << text.len()) - 1) != 0 {
            return Ok(false);
        }
        *room = *text.block();
        self.end += text.len();
        Ok(true)
    }

    /// Appends a piece of 4 to 32 bytes if no byte of it is unfit; false, and nothing is appended,
    /// for any other. Both ends are looked at and copied while they are in registers.
    #[inline(always)]
    pub(super) fn extend_fit(
        &mut self,
        piece: &[u8],
        unfit: impl Fn(Chunk) -> Places,
    ) -> Result<bool, Full> {
        let room = self.room()?;
        let is_copied = copy_fit_ends::<16>(room, piece, &unfit)
            || copy_fit_ends::<8>(room, piece, &unfit)
            || copy_fit_ends::<4>(room, piece, &unfit);
        self.end += if is_copied { piece.len() } else { 0 };
        Ok(is_copied)
    }
}

/// Copies a piece of any length to `end`, and tells where it ends.
#[cold]
fn extend_long(bytes: &mut [u8], end: usize, piece: &[u8]) -> Result<usize, Full> {
    let room = bytes.get_mut(end..end + piece.len()).ok_or(Full)?;
    room.copy_from_slice(piece);
    Ok(end + piece.len())
}

/// Copies a piece of `N` to 2 `N` bytes; false for any other.
#[inline(always)]
fn copy_ends<const N: usize>(room: &mut [u8; BLOCK], piece: &[u8]) -> bool {
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
    room: &mut [u8; BLOCK],
    piece: &[u8],
    unfit: &impl Fn(Chunk) -> Places,
) -> bool {
    let (Some(first), Some(last)) = (piece.first_chunk::<N>(), piece.last_chunk::<N>()) else {
        return false;
    };
    let is_unfit = match N {
        CHUNK_BYTES => has(first, unfit) || has(last, unfit),
        _ => has(piece, unfit),
    };
    piece.len() <= 2 * N && !is_unfit && copy_ends::<N>(room, piece)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bytes::short::ShortText;

    #[test]
    fn pieces_of_any_size_are_appended_whole() {
        let source: Vec<u8> = (0..=u8::MAX).collect();
        for first in 0..70 {
            for second in 0..70 {
                let short = ShortText::new(&source[first..first + second % BLOCK]);
                let (repeated, repeated_len) = (first / 2, first + second / 2 - first / 2);
                let mut want = source[..first].to_vec();
                want.extend_from_slice(&source[100..100 + second]);
                want.extend_from_within(repeated..repeated + repeated_len);
                want.push(b'!');
                want.extend_from_slice(&source[first..first + second % BLOCK]);
                // Room that is too small is made again, whichever piece finds it so.
                let mut lines = Lines::new(vec![b'x'; first * 3]);
                lines.append(|line| {
                    line.extend(&source[..first])?;
                    line.extend(&source[100..100 + second])?;
                    line.repeat(repeated, repeated_len)?;
                    line.push(b'!')?;
                    line.extend_short(short.borrowed())?;
                    assert_eq!(line.between(first, line.end()), &want[first..]);
                    Ok(())
                });
                assert_eq!(lines.len(), want.len());
                // What is given up of the last line is overwritten.
                let kept = want.len() - second / 4;
                want.truncate(kept);
                want.extend_from_slice(b"more");
                lines.grow(kept);
                let mut line = lines.line(kept);
                line.extend(b"more").unwrap();
                let end = line.end();
                lines.end_at(end);
                assert_eq!(lines.into_bytes(), want);
            }
        }
    }
}
