//! A place in a text exposition, the walks from it over the bytes, and the errors that name it.
//!
//! Whoever looks beyond the end of the body sees LF, and every walk stops at LF at the latest: so
//! no walk needs a bound of its own. Every walk stops before an ASCII byte or at the end, so what
//! it went over is whole characters.

use super::super::{Error, ErrorKind};
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

    #[inline]
    pub(super) fn skip_blanks(&mut self) {
        while matches!(self.peek(), b' ' | b'\t') {
            self.at += 1;
        }
    }

    /// Takes a bare metric name, `[a-zA-Z_:][a-zA-Z0-9_:]*`; none is empty.
    #[inline]
    pub(super) fn metric_name(&mut self) -> &'a str {
        self.bare_name(NO_METRIC_NAME)
    }

    /// Takes a bare label name, `[a-zA-Z_][a-zA-Z0-9_]*`; none is empty.
    #[inline]
    pub(super) fn label_name(&mut self) -> &'a str {
        self.bare_name(NO_LABEL_NAME)
    }

    #[inline]
    fn bare_name(&mut self, end: Class) -> &'a str {
        let start = self.at;
        if !self.peek().is_ascii_digit() {
            self.walk(end);
        }
        self.since(start)
    }

    /// Walks to the next double quote, backslash or LF.
    #[inline]
    pub(super) fn skip_plain(&mut self) {
        self.walk(QUOTED_END);
    }

    /// Takes everything up to the next blank or the end of the line.
    #[inline]
    pub(super) fn token(&mut self) -> &'a str {
        let start = self.at;
        self.walk(TOKEN_END);
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

    /// Walks to the beginning of the next line.
    #[inline]
    pub(super) fn next_line(&mut self) {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        self.at += memchr::memchr(b'\n', rest).unwrap_or(rest.len()) + 1;
    }

    /// The rest of the line, without its end.
    fn rest_of_line(mut self) -> &'a str {
        let start = self.at;
        self.walk(LINE_END);
        self.step_before_cr();
        self.since(start)
    }

    fn step_before_cr(&mut self) {
        let before = self.at.saturating_sub(1);
        if self.byte(before) == b'\r' {
            self.at = before;
        }
    }

    /// Walks to the first byte of a class, which LF must be one of.
    #[inline]
    fn walk(&mut self, end: Class) {
        while CLASSES[usize::from(self.peek())] & end == 0 {
            self.at += 1;
        }
    }
}

/// A set of bytes: a bit of [`CLASSES`].
type Class = u8;
/// All but `[a-zA-Z0-9_:]`.
const NO_METRIC_NAME: Class = 1;
/// All but `[a-zA-Z0-9_]`.
const NO_LABEL_NAME: Class = 1 << 1;
/// Double quote, backslash, LF.
const QUOTED_END: Class = 1 << 2;
/// Blank, tab, LF.
const TOKEN_END: Class = 1 << 3;
/// LF.
const LINE_END: Class = 1 << 4;

/// The classes that each byte is in.
const CLASSES: [Class; 256] = {
    let mut table = [0; 256];
    let mut byte = u8::MAX;
    loop {
        table[byte as usize] = match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' => 0,
            b':' => NO_LABEL_NAME,
            b'"' | b'\\' => NO_METRIC_NAME | NO_LABEL_NAME | QUOTED_END,
            b' ' | b'\t' => NO_METRIC_NAME | NO_LABEL_NAME | TOKEN_END,
            b'\n' => NO_METRIC_NAME | NO_LABEL_NAME | QUOTED_END | TOKEN_END | LINE_END,
            _ => NO_METRIC_NAME | NO_LABEL_NAME,
        };
        if byte == 0 {
            break table;
        }
        byte -= 1;
    }
};

/// Errors: on failure only.
impl Cursor<'_> {
    #[cold]
    pub(super) fn error(&self, kind: ErrorKind) -> Error {
        Error::new(self.at, kind)
    }

    /// Something else was expected here than the word that stands here.
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

    /// The backslash here stands before something else than it may.
    #[cold]
    pub(super) fn no_escape(&self) -> Error {
        let found: String = self.rest_of_line().chars().take(2).collect();
        self.error(ErrorKind::Escape { found: found.into_bytes() })
    }
}
