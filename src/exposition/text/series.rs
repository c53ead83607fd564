//! What a sample is called: names, quoted texts and labels of the text formats (SPEC 1.3, 5).
//!
//! ```text
//! series  = name [ blanks labels ] | "{" quoted [ "," ] "}" | "{" quoted "," pairs "}"
//! labels  = "{" pairs "}"
//! pairs   = [ pair *( "," pair ) [ "," ] ]
//! pair    = ( name | quoted ) "=" quoted
//! quoted  = DQUOTE *( plain | "\\" | "\" DQUOTE | "\n" ) DQUOTE
//! ```
//!
//! Blanks may stand between any two of these, but not within names and quoted texts.

use super::super::name;
use super::super::{Error, ErrorKind};
use super::cursor::Cursor;
use crate::sample::{Label, Names};
use std::borrow::Cow;

/// Reads what a sample is called.
#[derive(Clone, Copy, Debug)]
pub(super) struct SeriesReader<'a> {
    pub(super) cursor: Cursor<'a>,
    names: Names,
    /// Where the pairs that were read last begin.
    pairs: Cursor<'a>,
}

impl<'a> SeriesReader<'a> {
    /// Reads from `cursor` on.
    pub(super) fn new(cursor: Cursor<'a>, names: Names) -> SeriesReader<'a> {
        SeriesReader { cursor, names, pairs: cursor }
    }

    /// Which names are allowed where they are quoted.
    pub(super) fn names(&self) -> Names {
        self.names
    }

    /// The name, and the labels, which are added to `labels`.
    pub(super) fn series(&mut self, labels: &mut Vec<Label<'a>>) -> Result<Cow<'a, str>, Error> {
        if self.cursor.peek() == b'{' {
            return self.series_in_braces(labels);
        }
        let name = self.cursor.metric_name();
        if name.is_empty() {
            return Err(self.cursor.unexpected("a metric name"));
        }
        match self.cursor.peek() {
            b'{' => {}
            b' ' | b'\t' => self.cursor.skip_blanks(),
            _ if self.cursor.is_at_line_end() => {}
            _ => return Err(self.cursor.unexpected("a blank or { behind the metric name")),
        }
        if self.cursor.peek() == b'{' {
            self.cursor.advance();
            self.pairs(labels)?;
        }
        Ok(Cow::Borrowed(name))
    }

    fn series_in_braces(&mut self, labels: &mut Vec<Label<'a>>) -> Result<Cow<'a, str>, Error> {
        let brace = self.cursor;
        self.cursor.advance();
        self.cursor.skip_blanks();
        let start = self.cursor;
        let name = match self.cursor.peek() {
            b'"' => self.quoted()?,
            _ => Cow::Borrowed(""),
        };
        self.cursor.skip_blanks();
        if self.cursor.at() == start.at() || self.cursor.peek() == b'=' {
            const EXPECTED: &str = "a metric name, before the braces or quoted first in them";
            return Err(brace.unexpected(EXPECTED));
        }
        name::check_metric(&name, self.names).map_err(|kind| start.error(kind))?;
        match self.separator()? {
            Separator::Comma => self.pairs(labels)?,
            Separator::Brace => {}
        }
        Ok(name)
    }

    /// `pairs "}"`, behind their opening brace. They are added to `labels`.
    pub(super) fn pairs(&mut self, labels: &mut Vec<Label<'a>>) -> Result<(), Error> {
        let first = labels.len();
        self.pairs = self.cursor;
        loop {
            self.cursor.skip_blanks();
            if self.cursor.peek() == b'}' {
                self.cursor.advance();
                break;
            }
            labels.push(self.pair()?);
            if self.separator()? == Separator::Brace {
                break;
            }
        }
        match name::duplicate(labels.get(first..).unwrap_or_default()) {
            None => Ok(()),
            Some((index, kind)) => Err(self.pair_at(index).error(kind)),
        }
    }

    /// Where the pair `index` of those that were read last begins.
    pub(super) fn pair_at(&self, index: usize) -> Cursor<'a> {
        let mut again = SeriesReader { cursor: self.pairs, ..*self };
        for _ in 0..index {
            again.cursor.skip_blanks();
            // OK because these pairs have been read before.
            if again.pair().and_then(|_| again.separator()).is_err() {
                break;
            }
        }
        again.cursor.skip_blanks();
        again.cursor
    }

    /// What ends a pair or a name in braces.
    #[inline(always)]
    fn separator(&mut self) -> Result<Separator, Error> {
        self.cursor.skip_blanks();
        let separator = match self.cursor.peek() {
            b',' => Separator::Comma,
            b'}' => Separator::Brace,
            _ => return Err(self.cursor.unexpected("a comma or } behind the label")),
        };
        self.cursor.advance();
        Ok(separator)
    }

    #[inline(always)]
    fn pair(&mut self) -> Result<Label<'a>, Error> {
        let name = match self.cursor.peek() {
            b'"' => self.quoted_label_name()?,
            _ => Cow::Borrowed(self.bare_label_name()?),
        };
        self.cursor.skip_blanks();
        if self.cursor.peek() != b'=' {
            return Err(self.cursor.unexpected("= behind the label name"));
        }
        self.cursor.advance();
        self.cursor.skip_blanks();
        if self.cursor.peek() != b'"' {
            return Err(self.cursor.unexpected("a quoted label value"));
        }
        Ok(Label { name, value: self.quoted()? })
    }

    #[inline(always)]
    fn bare_label_name(&mut self) -> Result<&'a str, Error> {
        let start = self.cursor;
        match self.cursor.label_name() {
            "" => Err(start.unexpected("a label name or }")),
            name::RESERVED_LABEL => Err(start.error(ErrorKind::ReservedLabel)),
            name => Ok(name),
        }
    }

    #[cold]
    fn quoted_label_name(&mut self) -> Result<Cow<'a, str>, Error> {
        let start = self.cursor;
        let name = self.quoted()?;
        self.cursor.skip_blanks();
        if self.cursor.peek() != b'=' {
            return Err(start.error(ErrorKind::MisplacedName));
        }
        name::check_label(&name, self.names).map_err(|kind| start.error(kind))?;
        Ok(name)
    }

    /// A quoted text, whose opening quote is here; owned only if it has escapes.
    #[inline(always)]
    pub(super) fn quoted(&mut self) -> Result<Cow<'a, str>, Error> {
        let opening = self.cursor;
        self.cursor.advance();
        let start = self.cursor.at();
        self.cursor.skip_plain();
        let plain = self.cursor.since(start);
        if self.cursor.peek() != b'"' {
            return self.unescaped(opening, plain).map(Cow::Owned);
        }
        self.cursor.advance();
        Ok(Cow::Borrowed(plain))
    }

    /// The same from its first escape on, behind the `plain` text before that.
    #[cold]
    fn unescaped(&mut self, opening: Cursor<'a>, plain: &str) -> Result<String, Error> {
        let mut text = plain.to_owned();
        loop {
            match self.cursor.peek() {
                b'"' => {
                    self.cursor.advance();
                    return Ok(text);
                }
                b'\\' => text.push(self.escape()?),
                _ => return Err(opening.unclosed()),
            }
            let start = self.cursor.at();
            self.cursor.skip_plain();
            text.push_str(self.cursor.since(start));
        }
    }

    fn escape(&mut self) -> Result<char, Error> {
        let backslash = self.cursor;
        self.cursor.advance();
        let character = match self.cursor.peek() {
            b'\\' => '\\',
            b'"' => '"',
            b'n' => '\n',
            _ => return Err(backslash.no_escape()),
        };
        self.cursor.advance();
        Ok(character)
    }
}

/// What stands behind a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Separator {
    /// Another pair may follow, or the closing brace.
    Comma,
    /// The closing brace.
    Brace,
}
