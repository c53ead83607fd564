//! A place in one line of a text exposition, and the errors that name it.

use super::super::{Error, ErrorKind};
use crate::limits::QUOTED_BYTES_MAX;

/// A copy of found bytes: one more than a message quotes, so that it shows the cut.
pub(super) fn excerpt(found: &[u8]) -> Vec<u8> {
    found.get(..=QUOTED_BYTES_MAX).unwrap_or(found).to_vec()
}

/// A place in one line.
#[derive(Debug)]
pub(super) struct Cursor<'a> {
    /// The line, without its LF and one CR before it.
    pub(super) line: &'a [u8],
    /// Where the line starts in the body.
    pub(super) start: usize,
    /// Where the cursor stands in the line; never beyond its end.
    pub(super) at: usize,
}

impl<'a> Cursor<'a> {
    /// Stands at the start of a line.
    pub(super) fn new(line: &'a [u8], start: usize) -> Cursor<'a> {
        Cursor { line, start, at: 0 }
    }

    /// The byte under the cursor; none at the end of the line.
    #[inline]
    pub(super) fn peek(&self) -> Option<u8> {
        self.line.get(self.at).copied()
    }

    #[inline]
    pub(super) fn rest(&self) -> &'a [u8] {
        self.line.get(self.at..).unwrap_or_default()
    }

    #[inline]
    pub(super) fn skip_blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t')) {
            self.at += 1;
        }
    }

    /// Takes everything up to the next blank.
    #[inline]
    pub(super) fn token(&mut self) -> &'a [u8] {
        let token = word(self.rest());
        self.at += token.len();
        token
    }

    /// The character that the escape under the cursor stands for.
    pub(super) fn escape(&self) -> Result<char, Error> {
        match self.line.get(self.at + 1) {
            Some(b'\\') => Ok('\\'),
            Some(b'"') => Ok('"'),
            Some(b'n') => Ok('\n'),
            _ => {
                let found = self.rest().get(..2).unwrap_or(self.rest()).to_vec();
                Err(self.error(ErrorKind::Escape { found }))
            }
        }
    }

    pub(super) fn expect_end(&self, expected: &'static str) -> Result<(), Error> {
        if self.at == self.line.len() { Ok(()) } else { Err(self.unexpected(expected)) }
    }

    /// Where `text` stands in the line; on failure only.
    pub(super) fn find(&self, text: &[u8]) -> usize {
        self.line.windows(text.len()).position(|window| window == text).unwrap_or(0)
    }

    pub(super) fn error(&self, kind: ErrorKind) -> Error {
        self.error_at(self.at, kind)
    }

    pub(super) fn error_at(&self, at: usize, kind: ErrorKind) -> Error {
        Error::new(self.start + at, kind)
    }

    pub(super) fn unexpected(&self, expected: &'static str) -> Error {
        self.unexpected_at(self.at, expected)
    }

    pub(super) fn unexpected_at(&self, at: usize, expected: &'static str) -> Error {
        let rest = self.line.get(at..).unwrap_or_default();
        let found = match word(rest) {
            [] => excerpt(rest),
            word => excerpt(word),
        };
        self.error_at(at, ErrorKind::Unexpected { expected, found })
    }

    pub(super) fn unclosed(&self, opening_at: usize) -> Error {
        let found = excerpt(self.line.get(opening_at..).unwrap_or_default());
        self.error_at(opening_at, ErrorKind::Unclosed { found })
    }
}

/// Everything up to the first blank.
#[inline]
fn word(text: &[u8]) -> &[u8] {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    text.get(..text.iter().position(is_blank).unwrap_or(text.len())).unwrap_or_default()
}
