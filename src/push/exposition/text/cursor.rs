//! A place in a text exposition, the walks from it over the bytes, and the errors that name it.
//!
//! Whoever looks beyond the end of the body sees LF, and every walk stops at LF at the latest: so
//! no walk needs a bound of its own. Every walk stops before an ASCII byte or at the end, so what
//! it went over is whole characters.

use super::super::error::{Error, ErrorKind};
use crate::bytes::chunk::{CHUNK_BYTES, Chunk, Places};
use crate::limits::QUOTED_BYTES_MAX;

/// A copy of found text: one byte more than a message quotes, so that it shows the cut.
pub(super) fn excerpt(found: &str) -> Vec<u8> {
    let found = found.as_bytes();
    found.get(..=QUOTED_BYTES_MAX).unwrap_or(found).to_vec()
}

/// A place in a body.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    /// The place `at`, between two characters.
    pub(super) fn new(text: &'a str, at: usize) -> Cursor<'a> {
        Cursor { text, at }
    }

    /// The place `at` of the same body, between two characters.
    #[inline(always)]
    pub(super) fn moved_to(&self, at: usize) -> Cursor<'a> {
        Cursor { at, ..*self }
    }

    /// Goes to the place `at`, between two characters.
    #[inline(always)]
    pub(super) fn move_to(&mut self, at: usize) {
        self.at = at;
    }

    /// Bytes of the body before this place.
    #[inline]
    pub(super) fn at(&self) -> usize {
        self.at
    }

    #[inline]
    pub(super) fn is_at_end(&self) -> bool {
        self.at >= self.text.len()
    }

    #[inline]
    pub(super) fn peek(&self) -> u8 {
        self.byte(self.at)
    }

    #[inline]
    fn byte(&self, at: usize) -> u8 {
        self.text.as_bytes().get(at).copied().unwrap_or(b'\n')
    }

    /// What was walked over since `start`.
    #[inline]
    pub(super) fn since(&self, start: usize) -> &'a str {
        // OK because every walk stops between characters.
        self.text.get(start..self.at).unwrap_or_default()
    }

    /// Steps over one byte that was peeked at: ASCII, and not the LF beyond the end.
    #[inline]
    pub(super) fn advance(&mut self) {
        self.at += 1;
    }

    /// Steps over `count` bytes that were compared or looked at: whole characters of the body.
    #[inline]
    pub(super) fn skip(&mut self, count: usize) {
        self.at += count;
    }

    /// How many bytes from here on are those from `earlier` on: `len_max` at most, and not counted
    /// to the last one near the end of the body.
    #[inline(always)]
    pub(super) fn same_as(&self, earlier: usize, len_max: usize) -> usize {
        let bytes = self.text.as_bytes();
        let (Some(old), Some(new)) = (bytes.get(earlier..), bytes.get(self.at..)) else {
            return 0;
        };
        let mut same = 0;
        for (old, new) in old.as_chunks().0.iter().zip(new.as_chunks().0) {
            if let Some(place) = Chunk::new(*old).differing(Chunk::new(*new)).first() {
                same += place;
                break;
            }
            same += CHUNK_BYTES;
            if same >= len_max {
                break;
            }
        }
        same.min(len_max)
    }

    /// The next bytes; none where the body ends among them.
    #[inline]
    pub(super) fn ahead<const N: usize>(&self) -> Option<[u8; N]> {
        self.text.as_bytes().get(self.at..)?.first_chunk().copied()
    }

    /// The same in place.
    #[inline(always)]
    pub(super) fn block_ahead<const N: usize>(&self) -> Option<&'a [u8; N]> {
        self.text.as_bytes().get(self.at..)?.first_chunk()
    }

    #[inline]
    pub(super) fn skip_blanks(&mut self) {
        while matches!(self.peek(), b' ' | b'\t') {
            self.at += 1;
        }
    }

    /// Takes a bare metric name, `[a-zA-Z_:][a-zA-Z0-9_:]*`; none is empty.
    #[inline]
    pub(super) fn metric_name(&mut self) -> &'a str {
        self.bare_name(ends_metric_name)
    }

    /// Goes over the rest of such a name, after the part that is known.
    #[inline]
    pub(super) fn rest_of_metric_name(&mut self) {
        self.walk(ends_metric_name);
    }

    /// Takes a bare label name, `[a-zA-Z_][a-zA-Z0-9_]*`; none is empty.
    #[inline]
    pub(super) fn label_name(&mut self) -> &'a str {
        self.bare_name(|chunk| !(chunk.letters() | chunk.within(b'0', b'9') | chunk.equal(b'_')))
    }

    #[inline(always)]
    fn bare_name(&mut self, ends: impl Fn(Chunk) -> Places) -> &'a str {
        let start = self.at;
        if !self.peek().is_ascii_digit() {
            self.walk(ends);
        }
        self.since(start)
    }

    /// Walks to the next double quote, backslash or LF.
    #[inline]
    pub(super) fn skip_plain(&mut self) {
        self.walk(|chunk| chunk.equal(b'"') | chunk.equal(b'\\') | chunk.equal(b'\n'));
    }

    /// Bytes of the quoted text without escapes whose opening quote is here; none where it is
    /// another.
    #[inline(always)]
    pub(super) fn plain_quoted_len(&self) -> Option<usize> {
        let start = self.at + 1;
        let mut end = self.moved_to(start);
        end.skip_plain();
        (end.peek() == b'"').then(|| end.at - start)
    }

    /// The body from here on.
    #[inline(always)]
    pub(super) fn rest(&self) -> &'a str {
        // OK because every walk stops between characters.
        self.text.get(self.at..).unwrap_or_default()
    }

    /// Takes everything up to the next blank or the end of the line.
    #[inline]
    pub(super) fn token(&mut self) -> &'a str {
        let start = self.at;
        self.walk(|chunk| chunk.equal(b' ') | chunk.equal(b'\t') | chunk.equal(b'\n'));
        if self.peek() == b'\n' {
            self.step_before_cr();
        }
        self.since(start)
    }

    /// Whether the line ends here: before LF, before CR LF, or where the body ends.
    #[inline]
    pub(super) fn is_at_line_end(&self) -> bool {
        match self.peek() {
            b'\n' => true,
            b'\r' => self.byte(self.at + 1) == b'\n',
            _ => false,
        }
    }

    /// Steps over the end of the line, which is here.
    #[inline]
    pub(super) fn step_over_line_end(&mut self) {
        self.at += if self.peek() == b'\r' { 2 } else { 1 };
    }

    /// Walks to the beginning of the next line.
    #[inline]
    pub(super) fn next_line(&mut self) {
        self.walk(|chunk| chunk.equal(b'\n'));
        self.at += 1;
    }

    /// The rest of the line, without its end.
    fn rest_of_line(mut self) -> &'a str {
        let start = self.at;
        self.walk(|chunk| chunk.equal(b'\n'));
        self.step_before_cr();
        self.since(start)
    }

    fn step_before_cr(&mut self) {
        let before = self.at.saturating_sub(1);
        if self.byte(before) == b'\r' {
            self.at = before;
        }
    }

    /// Walks to the first byte for which `ends` has all bits set. It must have them for LF.
    #[inline(always)]
    fn walk(&mut self, ends: impl Fn(Chunk) -> Places) {
        loop {
            let Some(chunk) = self.ahead() else {
                self.at = walk_last(self.text, self.at, &ends);
                return;
            };
            if let Some(place) = ends(Chunk::new(chunk)).first() {
                self.at += place;
                return;
            }
            self.at += CHUNK_BYTES;
        }
    }
}

/// What ends a bare metric name. In ASCII the colon is next to the digits.
#[inline]
fn ends_metric_name(chunk: Chunk) -> Places {
    !(chunk.letters() | chunk.within(b'0', b':') | chunk.equal(b'_'))
}

/// [`Cursor::walk`] over the last bytes of the body, after which LF is seen: where it ends.
#[cold]
#[inline(never)]
fn walk_last(text: &str, at: usize, ends: impl Fn(Chunk) -> Places) -> usize {
    let mut chunk = [b'\n'; CHUNK_BYTES];
    let rest = text.as_bytes().get(at..).unwrap_or_default();
    for (byte, last) in chunk.iter_mut().zip(rest) {
        *byte = *last;
    }
    at + ends(Chunk::new(chunk)).first().unwrap_or(CHUNK_BYTES)
}

/// Errors: on failure only.
impl Cursor<'_> {
    #[cold]
    pub(super) fn error(&self, kind: ErrorKind) -> Error {
        Error::new(self.at, kind)
    }

    /// Something else was expected here than the word that is here.
    #[cold]
    pub(super) fn unexpected(&self, expected: &'static str) -> Error {
        let mut end = *self;
        let found = match end.token() {
            "" => self.rest_of_line(),
            word => word,
        };
        self.error(ErrorKind::Unexpected { expected, found: excerpt(found) })
    }

    /// The quote that opens here is not closed.
    #[cold]
    pub(super) fn unclosed(&self) -> Error {
        self.error(ErrorKind::Unclosed { found: excerpt(self.rest_of_line()) })
    }

    /// The backslash here is followed by something that it may not escape.
    #[cold]
    pub(super) fn no_escape(&self) -> Error {
        let found: String = self.rest_of_line().chars().take(2).collect();
        self.error(ErrorKind::Escape { found: found.into_bytes() })
    }
}
