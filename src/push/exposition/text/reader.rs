//! A text body → samples (SPEC 1.3, 5).
//!
//! It goes over the body from left to right, once; no line is cut out before it is read, since LF
//! ends whatever is read.
//!
//! ```text
//! body     = [ BOM ] line *( ( LF | CR LF ) line ) [ CR ]
//! line     = blanks [ sample | comment ] blanks
//! comment  = "#" blanks "TYPE" blank type | "#" blanks "EOF" | "#" any
//! type     = ( name | quoted ) blanks word
//! sample   = series value [ blank timestamp ] [ blank exemplar ]
//! exemplar = "#" labels value [ blank timestamp ]
//! ```
//!
//! Blanks (space and tab) may stand between any two of these. Only what must be unescaped is
//! copied; a sample borrows from the body, and nothing is allocated for it. What two samples in a
//! row have in common is not read again (see `delta`, and `pairs` for how it is found).

use super::super::delta::{Delta, Likeness};
use super::super::error::{BYTE_ORDER_MARK, BodyPlace, Error, ErrorKind};
use super::super::number::{self, IntegerUnit, NumberError, Read, TimestampError};
use super::super::types::{Resolved, Role, Types};
use super::bound_reader::BoundReader;
use super::cursor::{Cursor, excerpt};
use super::dialect::Dialect;
use super::pairs::{PairMemory, PairReader};
use super::quoted::UnknownEscape;
use super::series::SeriesReader;
use crate::bytes::chunk::is_same;
use crate::bytes::short::{ShortRef, ShortText};
use crate::push::sample::{Names, Part, Sample, Value};
use std::borrow::Cow;

/// Reads one body after the other. It keeps their memory and the bounds that they have, not their
/// bytes.
#[derive(Debug, Default)]
pub struct TextReader {
    pairs: PairMemory,
    bounds: BoundReader,
    /// Where the last reading ended that its receiver stopped: after the line of a sample.
    stopped_at: usize,
}

impl TextReader {
    /// Reads `body` and hands each sample to `each`, in the order of the body, with what it has in
    /// common with the one before.
    ///
    /// # Errors
    /// The first mistake of the body, as an [`Error`] with its offset, or what `each` returns.
    #[inline(always)]
    pub(crate) fn read<E: From<Error>>(
        &mut self,
        body: &[u8],
        dialect: Dialect,
        names: Names,
        mut each: impl FnMut(&Sample<'_>, Delta) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut reading = Reading::new(body, dialect, names, &mut self.bounds)?;
        reading.series.move_in(&mut self.pairs);
        while reading.find_sample()? {
            if let Err(stop) = reading.sample(&mut each) {
                self.stopped_at = reading.cursor.at();
                return Err(stop);
            }
        }
        self.pairs = reading.series.move_out();
        Ok(())
    }

    /// Where the line of the sample begins at which its receiver stopped the reading of `body`.
    pub(crate) fn place_of_last_sample(&self, body: &[u8]) -> BodyPlace {
        let before = body.get(..self.stopped_at).unwrap_or(body);
        let line = before.strip_suffix(b"\n").unwrap_or(before);
        let offset = line.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        BodyPlace { offset, family: None }
    }
}

/// A body that is being read: how far, and what the lines so far mean for those that follow.
pub(super) struct Reading<'a> {
    pub(super) cursor: Cursor<'a>,
    pub(super) series: SeriesReader<'a>,
    pub(super) dialect: Dialect,
    pub(super) types: Types<'a>,
    /// The name of the last sample, and what it means.
    name: Cow<'a, str>,
    resolved: Resolved,
    /// The part of that name that names the family.
    family: Cow<'a, str>,
    bounds: &'a mut BoundReader,
    /// The index of the label with the bound in the last sample that has one.
    bound_index: usize,
    /// The canonical form of the last value that is not in the body as it is.
    canonical: ShortText,
    /// Reads the labels of exemplars.
    exemplar: PairReader<'a>,
    /// `# EOF` of OpenMetrics was read.
    pub(super) is_ended: bool,
}

impl<'a> Reading<'a> {
    fn new(
        body: &'a [u8],
        dialect: Dialect,
        names: Names,
        bounds: &'a mut BoundReader,
    ) -> Result<Reading<'a>, Error> {
        let text = utf8(body)?;
        let start = if body.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
        let unknown_escape = match dialect {
            Dialect::Text => UnknownEscape::Refuse,
            Dialect::OpenMetrics => UnknownEscape::Keep,
        };
        Ok(Reading {
            cursor: Cursor::new(text, start),
            series: SeriesReader::new(names, unknown_escape),
            dialect,
            types: Types::default(),
            name: Cow::Borrowed(""),
            resolved: Resolved { role: Role::Whole, family_len: 0 },
            family: Cow::Borrowed(""),
            bounds,
            bound_index: usize::MAX,
            canonical: ShortText::default(),
            exemplar: PairReader::new(names, unknown_escape),
            is_ended: false,
        })
    }

    /// Goes on to the next sample, over comments and blank lines; false at the end of the body.
    #[inline(always)]
    fn find_sample(&mut self) -> Result<bool, Error> {
        match self.cursor.peek() {
            b'a'..=b'z' | b'A'..=b'Z' | b'_' if !self.is_ended => Ok(true),
            _ => self.find_sample_after_others(),
        }
    }

    /// `*( blanks [ comment ] blanks line-end ) blanks`
    #[inline(never)]
    fn find_sample_after_others(&mut self) -> Result<bool, Error> {
        while !self.cursor.is_at_end() {
            self.cursor.skip_blanks();
            match self.cursor.peek() {
                _ if self.cursor.is_at_line_end() => {}
                _ if self.is_ended => return Err(self.cursor.error(ErrorKind::AfterEof)),
                b'#' if self.cursor.ahead() == Some(*b"# HELP ") => {}
                b'#' if self.usual_type_line() => continue,
                b'#' => self.comment()?,
                _ => return Ok(true),
            }
            self.cursor.next_line();
        }
        Ok(false)
    }

    /// `series value [ blank timestamp ] [ blank exemplar ] blanks`, and the end of the line.
    #[inline(always)]
    fn sample<E: From<Error>>(
        &mut self,
        each: &mut impl FnMut(&Sample<'_>, Delta) -> Result<(), E>,
    ) -> Result<(), E> {
        let series = self.series.read(&mut self.cursor)?;
        let mut delta = series.delta;
        if let Some(name) = series.name {
            delta = delta.at_most(self.take_name(name));
        }
        let part = self.part(delta.likeness)?;
        let value = self.value()?;
        let mut timestamp_ns = None;
        if self.cursor.peek() == b'\n' {
            self.cursor.advance();
        } else {
            timestamp_ns = self.rest_of_sample()?;
        }
        let value = match value {
            Found::InBody(text) => Value::Canonical(text),
            Found::Moved => Value::Canonical(self.canonical.borrowed()),
            Found::Number(number) => Value::Number(number),
        };
        let labels = self.series.labels();
        // A bucket without a bound is not a part of its family.
        let is_lone = self.resolved.role == Role::Bucket && part == Part::Whole;
        let family = if is_lone { &self.name } else { &self.family };
        each(&Sample { family, part, labels, value, timestamp_ns }, delta)
    }

    /// Takes another name: the likeness that it leaves at most. Whether the labels have the bound
    /// decides with the role which kind of part the sample is, and they are compared already.
    #[inline(always)]
    fn take_name(&mut self, name: Cow<'a, str>) -> Likeness {
        let resolved = self.types.resolve(&name);
        let is_alike = resolved.role == self.resolved.role && !self.name.is_empty();
        self.resolved = resolved;
        // OK because the name of a part begins with that of its family.
        let len = resolved.family_len;
        self.family = match &name {
            Cow::Borrowed(name) => Cow::Borrowed(name.get(..len).unwrap_or(name)),
            Cow::Owned(name) => Cow::Owned(name.get(..len).unwrap_or(name).to_owned()),
        };
        self.name = name;
        if is_alike { Likeness::Shape } else { Likeness::Unknown }
    }

    /// `[ blank timestamp ] [ blank exemplar ] blanks`, and the end of the line: the time.
    fn rest_of_sample(&mut self) -> Result<Option<i64>, Error> {
        let timestamp_ns = self.timestamp()?;
        if self.cursor.peek() == b'#' {
            self.exemplar()?;
        }
        self.expect_line_end("the end of the line or an exemplar")?;
        self.cursor.step_over_line_end();
        Ok(timestamp_ns)
    }

    /// What the sample is, once its labels are known.
    #[inline(always)]
    fn part(&mut self, likeness: Likeness) -> Result<Part, Error> {
        Ok(match self.resolved.role {
            Role::Whole => Part::Whole,
            Role::Sum => Part::Sum,
            Role::Count => Part::Count,
            Role::Bucket => self.bound("le", likeness)?.map_or(Part::Whole, Part::Bucket),
            Role::Quantile => self.bound("quantile", likeness)?.map_or(Part::Whole, Part::Quantile),
        })
    }

    /// The number in the label `name`; none where there is no such label. It is where it was in a
    /// sample of the same family with labels of the same names.
    #[inline(always)]
    fn bound(&mut self, name: &'static str, likeness: Likeness) -> Result<Option<f64>, Error> {
        if likeness != Likeness::Family {
            self.bound_index = self.find_label(name);
        }
        let Some(label) = self.series.labels().get(self.bound_index) else {
            return Ok(None);
        };
        match self.bounds.read(&label.value) {
            Ok(bound) => Ok(Some(bound)),
            Err(error) => Err(self.wrong_bound(self.bound_index, error, name)),
        }
    }

    /// The index of a label; beyond all of them where there is none.
    #[inline(never)]
    fn find_label(&self, name: &str) -> usize {
        let labels = self.series.labels();
        labels.iter().rposition(|label| is_same(&label.name, name)).unwrap_or(usize::MAX)
    }

    #[cold]
    fn wrong_bound(&self, index: usize, error: NumberError, name: &'static str) -> Error {
        let text = self.series.labels().get(index).map_or("", |label| &label.value);
        self.series.pairs.pair_at(self.cursor, index).error(number_kind(error, name, text))
    }

    #[inline(always)]
    fn value(&mut self) -> Result<Found<'a>, Error> {
        let mut start = self.cursor;
        start.advance();
        // As a rule there is one blank.
        if self.cursor.peek() == b' '
            && let Some(block) = start.block_ahead()
        {
            match number::plain(block) {
                Ok(plain) => {
                    self.cursor.move_to(start.at() + plain.len);
                    return Ok(Found::InBody(ShortRef::of_block(block, plain.canonical_len)));
                }
                Err(digits_end) => {
                    let len = number::scientific(block, digits_end, &mut self.canonical);
                    if let Some(len) = len {
                        self.cursor.move_to(start.at() + len);
                        return Ok(Found::Moved);
                    }
                }
            }
        }
        self.other_value()
    }

    /// A value that needs a closer look.
    #[cold]
    #[inline(never)]
    fn other_value(&mut self) -> Result<Found<'a>, Error> {
        self.cursor.skip_blanks();
        let start = self.cursor;
        let token = self.cursor.token();
        if token.is_empty() {
            return Err(start.unexpected("a value"));
        }
        match number::value(token) {
            Ok(Read::Canonical(text)) => {
                self.canonical = text;
                Ok(Found::Moved)
            }
            Ok(Read::Number(number)) => Ok(Found::Number(number)),
            Err(error) => Err(start.error(number_kind(error, "value", token))),
        }
    }

    /// The time before the exemplar or the end of the line, if there is one; and the blanks.
    fn timestamp(&mut self) -> Result<Option<i64>, Error> {
        self.cursor.skip_blanks();
        let start = self.cursor;
        if start.is_at_line_end() || start.peek() == b'#' {
            return Ok(None);
        }
        let token = self.cursor.token();
        self.cursor.skip_blanks();
        let unit = match self.dialect {
            Dialect::Text => IntegerUnit::Milliseconds,
            Dialect::OpenMetrics => IntegerUnit::Seconds,
        };
        number::timestamp_ns(token, unit).map(Some).map_err(|error| {
            let found = excerpt(token);
            start.error(match error {
                TimestampError::Malformed => ErrorKind::Timestamp { found },
                TimestampError::OutOfRange => ErrorKind::TimestampRange { found },
            })
        })
    }

    /// `"#" labels value [ blank timestamp ]`: checked and dropped.
    #[cold]
    fn exemplar(&mut self) -> Result<(), Error> {
        self.cursor.advance();
        self.cursor.skip_blanks();
        if self.cursor.peek() != b'{' {
            return Err(self.cursor.unexpected("the labels of an exemplar"));
        }
        self.cursor.advance();
        self.exemplar.read_anew(&mut self.cursor)?;
        // The value of the sample is there until its line ends.
        let canonical = self.canonical;
        self.value()?;
        self.canonical = canonical;
        self.timestamp()?;
        Ok(())
    }

    #[inline]
    pub(super) fn expect_line_end(&mut self, expected: &'static str) -> Result<(), Error> {
        self.cursor.skip_blanks();
        if self.cursor.is_at_line_end() {
            return Ok(());
        }
        Err(self.cursor.unexpected(expected))
    }
}

/// The body as text. The crate simdutf8 is fast, and std knows where the mistake is.
fn utf8(body: &[u8]) -> Result<&str, Error> {
    simdutf8::basic::from_utf8(body).or_else(|_| {
        std::str::from_utf8(body)
            .map_err(|error| Error::new(error.valid_up_to(), ErrorKind::NotUtf8))
    })
}

/// A value, and where its canonical form is.
#[derive(Clone, Copy, Debug)]
enum Found<'a> {
    /// In the body.
    InBody(ShortRef<'a>),
    /// In `Reading::canonical`.
    Moved,
    /// Nowhere yet.
    Number(f64),
}

fn number_kind(error: NumberError, what: &'static str, text: &str) -> ErrorKind {
    let found = excerpt(text);
    match error {
        NumberError::Malformed => ErrorKind::Number { what, found },
        NumberError::TooLarge => ErrorKind::NumberTooLarge { what, found },
    }
}
