//! Prometheus text and OpenMetrics → samples (SPEC 1.3, 5).
//!
//! One reader for text 0.0.4, text 1.0.0 and OpenMetrics 1.0. The body is cut at its line feeds,
//! and each line is read from left to right, once:
//!
//! ```text
//! line     = blanks [ sample | comment ] blanks [ CR ]
//! comment  = "#" blanks "TYPE" blank blanks name blank blanks word | "#" blanks "EOF" | "#" any
//! sample   = series value [ blank timestamp ] [ blank exemplar ]
//! series   = name [ blanks labels ] | labels-with-name
//! labels   = "{" [ label *( "," label ) [ "," ] ] "}"
//! label    = ( name | quoted ) "=" quoted
//! exemplar = "#" labels blank value [ blank timestamp ]
//! ```
//!
//! Blanks (space and tab) may stand between any two of these. Nothing is copied but what must be
//! unescaped; a sample borrows from the body, and nothing is allocated for it.

mod cursor;

use super::name;
use super::number::{self, IntegerUnit, NumberError, TimestampError};
use super::types::{Kind, Resolved, Role, Types};
use super::{Error, ErrorKind};
use crate::sample::{Label, Names, Part, Sample, Value};
use cursor::{Cursor, excerpt};
use std::borrow::Cow;

/// Which of the two formats a body is in: they differ in what an integer timestamp counts and in
/// what may follow `# EOF`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Prometheus text format: milliseconds; `# EOF` is a comment.
    Text,
    /// OpenMetrics 1.0: seconds; only blank lines may follow `# EOF`.
    OpenMetrics,
}

/// Reads `body` and hands each sample to `each`, in the order of the body.
///
/// # Errors
/// The first mistake of the body, as an [`Error`] with its offset, or what `each` returns.
pub fn read<E: From<Error>>(
    body: &[u8],
    dialect: Dialect,
    names: Names,
    mut each: impl FnMut(&Sample<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let text = utf8(body)?;
    let mut reader = Reader {
        text,
        dialect,
        names,
        types: Types::default(),
        family: Cow::Borrowed(""),
        labels: Vec::new(),
        exemplar_labels: Vec::new(),
        resolved: (String::new(), Resolved { role: Role::Whole, family_len: 0 }),
        is_ended: false,
    };
    let mut start = if text.starts_with('\u{feff}') { 3 } else { 0 };
    while start < body.len() {
        let rest = body.get(start..).unwrap_or_default();
        let len = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        let line = rest.get(..len).unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let mut cursor = Cursor::new(line, start);
        cursor.skip_blanks();
        match cursor.peek() {
            None => {}
            Some(_) if reader.is_ended => return Err(cursor.error(ErrorKind::AfterEof).into()),
            Some(b'#') => reader.comment(&mut cursor)?,
            Some(_) => {
                let sample = reader.sample(&mut cursor)?;
                each(&sample)?;
            }
        }
        start += len + 1;
    }
    Ok(())
}

fn utf8(body: &[u8]) -> Result<&str, Error> {
    std::str::from_utf8(body).map_err(|error| Error::new(error.valid_up_to(), ErrorKind::NotUtf8))
}

/// What is known of the body so far, and scratch that is used again for each sample.
struct Reader<'a> {
    text: &'a str,
    dialect: Dialect,
    names: Names,
    types: Types<'a>,
    /// The family of the sample in hand.
    family: Cow<'a, str>,
    /// The labels of the sample in hand.
    labels: Vec<Label<'a>>,
    exemplar_labels: Vec<Label<'a>>,
    /// The last name that was looked up: the samples of a family stand together.
    resolved: (String, Resolved),
    /// `# EOF` of OpenMetrics was read.
    is_ended: bool,
}

impl<'a> Reader<'a> {
    /// `"#" blanks "TYPE" …`, `"#" blanks "EOF"` or any other comment.
    fn comment(&mut self, cursor: &mut Cursor<'a>) -> Result<(), Error> {
        cursor.at += 1;
        cursor.skip_blanks();
        match cursor.token() {
            b"TYPE" => self.type_line(cursor),
            b"EOF" => {
                cursor.skip_blanks();
                self.is_ended = self.dialect == Dialect::OpenMetrics && cursor.peek().is_none();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// `name blank blanks word`; without a name or a word it is a comment.
    fn type_line(&mut self, cursor: &mut Cursor<'a>) -> Result<(), Error> {
        cursor.skip_blanks();
        let name_at = cursor.at;
        let family = match cursor.peek() {
            None => return Ok(()),
            Some(b'"') => self.quoted(cursor)?,
            Some(_) => Cow::Borrowed(self.slice(cursor.start + name_at, cursor.token().len())),
        };
        let is_quoted = cursor.line.get(name_at) == Some(&b'"');
        cursor.skip_blanks();
        let word_at = cursor.at;
        let word = cursor.token();
        if word.is_empty() {
            return Ok(());
        }
        if is_quoted {
            name::check_metric(&family, self.names)
                .map_err(|kind| cursor.error_at(name_at, kind))?;
        } else if name::metric_name_len(family.as_bytes()) != family.len() {
            return Err(cursor.unexpected_at(name_at, "a metric name"));
        }
        let kind = Kind::of_word(word).ok_or_else(|| {
            cursor.error_at(word_at, ErrorKind::TypeWord { found: excerpt(word) })
        })?;
        cursor.skip_blanks();
        cursor.expect_end("the end of the line")?;
        self.types.declare(family, kind);
        self.resolved.0.clear();
        Ok(())
    }

    /// `series value [ blank timestamp ] [ blank exemplar ]`
    fn sample(&mut self, cursor: &mut Cursor<'a>) -> Result<Sample<'_>, Error> {
        let name = self.series(cursor)?;
        let value = self.value(cursor)?;
        cursor.skip_blanks();
        let timestamp_ns = match cursor.peek() {
            None | Some(b'#') => None,
            Some(_) => Some(self.timestamp(cursor)?),
        };
        cursor.skip_blanks();
        if cursor.peek() == Some(b'#') {
            self.exemplar(cursor)?;
        }
        cursor.expect_end("the end of the line or an exemplar")?;
        let part = self.part(name, cursor)?;
        Ok(Sample { family: &self.family, part, labels: &self.labels, value, timestamp_ns })
    }

    /// `name [ blanks labels ] | labels-with-name`: the name, and the labels in `self.labels`.
    fn series(&mut self, cursor: &mut Cursor<'a>) -> Result<Cow<'a, str>, Error> {
        let mut labels = std::mem::take(&mut self.labels);
        labels.clear();
        let name = self.name_and_labels(cursor, &mut labels);
        self.labels = labels;
        name
    }

    fn name_and_labels(
        &self,
        cursor: &mut Cursor<'a>,
        labels: &mut Vec<Label<'a>>,
    ) -> Result<Cow<'a, str>, Error> {
        const EXPECTED: &str = "a metric name, before the braces or quoted first in them";
        if cursor.peek() == Some(b'{') {
            let braces_at = cursor.at;
            let name = self.labels(cursor, Braces::WithName, labels)?;
            return name.ok_or_else(|| cursor.unexpected_at(braces_at, EXPECTED));
        }
        let len = name::metric_name_len(cursor.rest());
        if len == 0 {
            return Err(cursor.unexpected("a metric name"));
        }
        let name = self.slice(cursor.start + cursor.at, len);
        cursor.at += len;
        match cursor.peek() {
            None | Some(b' ' | b'\t' | b'{') => cursor.skip_blanks(),
            Some(_) => return Err(cursor.unexpected("a blank or { behind the metric name")),
        }
        if cursor.peek() == Some(b'{') {
            self.labels(cursor, Braces::LabelsOnly, labels)?;
        }
        Ok(Cow::Borrowed(name))
    }

    /// `"{" [ label *( "," label ) [ "," ] ] "}"`, and the quoted name in them, if there is one.
    fn labels(
        &self,
        cursor: &mut Cursor<'a>,
        braces: Braces,
        labels: &mut Vec<Label<'a>>,
    ) -> Result<Option<Cow<'a, str>>, Error> {
        cursor.at += 1;
        let mut metric_name = None;
        loop {
            cursor.skip_blanks();
            let at = cursor.at;
            match cursor.peek() {
                Some(b'}') => break,
                Some(b'"') => {
                    let name = self.quoted(cursor)?;
                    cursor.skip_blanks();
                    if cursor.peek() == Some(b'=') || braces == Braces::Exemplar {
                        name::check_label(&name, self.names)
                            .map_err(|kind| cursor.error_at(at, kind))?;
                        labels.push(Label { name, value: self.label_value(cursor)? });
                    } else if braces == Braces::WithName
                        && labels.is_empty()
                        && metric_name.is_none()
                    {
                        name::check_metric(&name, self.names)
                            .map_err(|kind| cursor.error_at(at, kind))?;
                        metric_name = Some(name);
                    } else {
                        return Err(cursor.error_at(at, ErrorKind::MisplacedName));
                    }
                }
                _ => {
                    let name = Cow::Borrowed(self.label_name(cursor)?);
                    labels.push(Label { name, value: self.label_value(cursor)? });
                }
            }
            cursor.skip_blanks();
            match cursor.peek() {
                Some(b',') => cursor.at += 1,
                Some(b'}') => {}
                _ => return Err(cursor.unexpected("a comma or } behind the label")),
            }
        }
        cursor.at += 1;
        name::check_unique(labels).map_err(|kind| cursor.error(kind))?;
        Ok(metric_name)
    }

    fn label_name(&self, cursor: &mut Cursor<'a>) -> Result<&'a str, Error> {
        let len = name::label_name_len(cursor.rest());
        if len == 0 {
            return Err(cursor.unexpected("a label name or }"));
        }
        let name = self.slice(cursor.start + cursor.at, len);
        if name == name::RESERVED_LABEL {
            return Err(cursor.error(ErrorKind::ReservedLabel));
        }
        cursor.at += len;
        Ok(name)
    }

    /// `blanks "=" blanks quoted`
    fn label_value(&self, cursor: &mut Cursor<'a>) -> Result<Cow<'a, str>, Error> {
        cursor.skip_blanks();
        if cursor.peek() != Some(b'=') {
            return Err(cursor.unexpected("= behind the label name"));
        }
        cursor.at += 1;
        cursor.skip_blanks();
        if cursor.peek() != Some(b'"') {
            return Err(cursor.unexpected("a quoted label value"));
        }
        self.quoted(cursor)
    }

    /// A text in double quotes; owned only if it has escapes.
    fn quoted(&self, cursor: &mut Cursor<'a>) -> Result<Cow<'a, str>, Error> {
        let opening_at = cursor.at;
        let inner = cursor.line.get(opening_at + 1..).unwrap_or_default();
        let is_special = |byte: &u8| matches!(byte, b'"' | b'\\');
        match inner.iter().position(is_special) {
            Some(len) if inner.get(len) == Some(&b'"') => {
                cursor.at += len + 2;
                Ok(Cow::Borrowed(self.slice(cursor.start + opening_at + 1, len)))
            }
            Some(_) => self.unescaped(cursor).map(Cow::Owned),
            None => Err(cursor.unclosed(opening_at)),
        }
    }

    /// The same with escapes: `\\`, `\"` and `\n`.
    fn unescaped(&self, cursor: &mut Cursor<'a>) -> Result<String, Error> {
        let opening_at = cursor.at;
        let mut text = String::new();
        let mut run_at = opening_at + 1;
        cursor.at = run_at;
        loop {
            let run = self.slice(cursor.start + run_at, cursor.at - run_at);
            match cursor.peek() {
                None => return Err(cursor.unclosed(opening_at)),
                Some(b'"') => {
                    text.push_str(run);
                    cursor.at += 1;
                    return Ok(text);
                }
                Some(b'\\') => {
                    text.push_str(run);
                    text.push(cursor.escape()?);
                    cursor.at += 2;
                    run_at = cursor.at;
                }
                Some(_) => cursor.at += 1,
            }
        }
    }

    fn value(&self, cursor: &mut Cursor<'a>) -> Result<Value<'a>, Error> {
        cursor.skip_blanks();
        let at = cursor.at;
        let token = cursor.token();
        if token.is_empty() {
            return Err(cursor.unexpected("a value"));
        }
        number::value(self.slice(cursor.start + at, token.len()))
            .map_err(|error| cursor.error_at(at, number_kind(error, "value", token)))
    }

    fn timestamp(&self, cursor: &mut Cursor<'a>) -> Result<i64, Error> {
        let at = cursor.at;
        let token = cursor.token();
        let unit = match self.dialect {
            Dialect::Text => IntegerUnit::Milliseconds,
            Dialect::OpenMetrics => IntegerUnit::Seconds,
        };
        number::timestamp_ns(self.slice(cursor.start + at, token.len()), unit).map_err(|error| {
            let found = excerpt(token);
            let kind = match error {
                TimestampError::Malformed => ErrorKind::Timestamp { found },
                TimestampError::OutOfRange => ErrorKind::TimestampRange { found },
            };
            cursor.error_at(at, kind)
        })
    }

    /// `"#" labels blank value [ blank timestamp ]`: checked and dropped.
    fn exemplar(&mut self, cursor: &mut Cursor<'a>) -> Result<(), Error> {
        cursor.at += 1;
        cursor.skip_blanks();
        if cursor.peek() != Some(b'{') {
            return Err(cursor.unexpected("the labels of an exemplar"));
        }
        let mut labels = std::mem::take(&mut self.exemplar_labels);
        labels.clear();
        let outcome = self.labels(cursor, Braces::Exemplar, &mut labels);
        self.exemplar_labels = labels;
        outcome?;
        self.value(cursor)?;
        cursor.skip_blanks();
        if cursor.peek().is_some() {
            self.timestamp(cursor)?;
        }
        cursor.skip_blanks();
        Ok(())
    }

    /// What the sample is within its family; takes `le` or `quantile` out of the labels.
    fn part(&mut self, name: Cow<'a, str>, cursor: &Cursor<'a>) -> Result<Part, Error> {
        let resolved = self.resolve(&name);
        let part = match resolved.role {
            Role::Whole => Part::Whole,
            Role::Sum => Part::Sum,
            Role::Count => Part::Count,
            Role::Bucket => self.bound("le", cursor)?.map_or(Part::Whole, Part::Bucket),
            Role::Quantile => self.bound("quantile", cursor)?.map_or(Part::Whole, Part::Quantile),
        };
        let family_len = if part == Part::Whole { name.len() } else { resolved.family_len };
        self.family = match name {
            Cow::Borrowed(name) => Cow::Borrowed(name.get(..family_len).unwrap_or(name)),
            Cow::Owned(mut name) => {
                name.truncate(family_len);
                Cow::Owned(name)
            }
        };
        Ok(part)
    }

    /// The samples of a family stand together, so the last answer mostly holds again.
    fn resolve(&mut self, name: &str) -> Resolved {
        if self.resolved.0 != name {
            self.resolved.0.clear();
            self.resolved.0.push_str(name);
            self.resolved.1 = self.types.resolve(name);
        }
        self.resolved.1
    }

    /// The number in the label `label_name`, which is taken out; none where there is no such label.
    fn bound(
        &mut self,
        label_name: &'static str,
        cursor: &Cursor<'a>,
    ) -> Result<Option<f64>, Error> {
        let Some(index) = self.labels.iter().position(|label| label.name == label_name) else {
            return Ok(None);
        };
        let label = self.labels.remove(index);
        number::float(&label.value).map(Some).map_err(|error| {
            let text = label.value.as_bytes();
            let at = cursor.find(label_name.as_bytes());
            cursor.error_at(at, number_kind(error, label_name, text))
        })
    }

    /// OK because both ends stand beside ASCII bytes, which are whole characters.
    #[inline]
    fn slice(&self, start: usize, len: usize) -> &'a str {
        self.text.get(start..start + len).unwrap_or_default()
    }
}

/// Whose braces are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Braces {
    /// A sample's, and its name stands in them.
    WithName,
    /// A sample's, and its name stands before them.
    LabelsOnly,
    /// An exemplar's.
    Exemplar,
}

fn number_kind(error: NumberError, what: &'static str, text: &[u8]) -> ErrorKind {
    let found = excerpt(text);
    match error {
        NumberError::Malformed => ErrorKind::Number { what, found },
        NumberError::TooLarge => ErrorKind::NumberTooLarge { what, found },
    }
}
