//! What is wrong with an exposition, and where.
//!
//! Only the byte offset is known on the hot path; line and column are counted when the error is
//! told. The words stand in [`fmt::Display`] of [`ErrorKind`], nowhere else.

use super::slip;
use crate::push::sample::{Format, Quoted};
use std::fmt;

/// Why an exposition is refused. It is boxed, so that what could fail and did not stays small.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error(Box<Detail>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Detail {
    kind: ErrorKind,
    place: BodyPlace,
}

/// A place in a body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct BodyPlace {
    /// An offset into the decoded body, in bytes.
    pub(crate) offset: usize,
    /// The metric family there, where the format tells.
    pub(crate) family: Option<String>,
}

impl BodyPlace {
    /// One line for the pusher: the place in `body`, and what is wrong there.
    pub(crate) fn describe(&self, body: &[u8], format: Format, what: &dyn fmt::Display) -> String {
        let BodyPlace { offset, family } = self;
        match format {
            Format::Text | Format::OpenMetrics => {
                let (line, column) = line_and_column(body, *offset);
                format!("line {line}, column {column}: {what}")
            }
            Format::Protobuf => match family {
                Some(family) => {
                    let family = Quoted(family.as_bytes());
                    format!("byte {offset}, metric family {family}: {what}")
                }
                None => format!("byte {offset}: {what}"),
            },
        }
    }
}

/// What is wrong. Found bytes are a copy of a short piece of the body.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The body is not UTF-8 (SPEC 1.3).
    NotUtf8,
    /// The grammar asks for something else here.
    Unexpected {
        /// What the grammar allows here.
        expected: &'static str,
        /// What is here; empty at the end of the line.
        found: Vec<u8>,
    },
    /// A quoted name that only `utf8_names` allows.
    NeedsUtf8Names {
        /// The name, unescaped.
        name: String,
    },
    /// A quoted name, or a name in protobuf, without a character in it.
    EmptyName,
    /// `__name__` as a label.
    ReservedLabel,
    /// One label twice in one sample.
    DuplicateLabel {
        /// Its name.
        name: String,
    },
    /// A second metric name in one pair of braces, or one beside a name before them.
    MisplacedName,
    /// A quote that is not closed in its line.
    Unclosed {
        /// The quote and what follows it.
        found: Vec<u8>,
    },
    /// A backslash before something else than `\`, `"` or `n`.
    Escape {
        /// The backslash and what follows it.
        found: Vec<u8>,
    },
    /// Not a decimal float, `NaN` or an infinity.
    Number {
        /// Which number: value, `le`, `quantile`, exemplar value.
        what: &'static str,
        /// Its text.
        found: Vec<u8>,
    },
    /// A decimal beyond the largest double.
    NumberTooLarge {
        /// Which number.
        what: &'static str,
        /// Its text.
        found: Vec<u8>,
    },
    /// Not a timestamp.
    Timestamp {
        /// Its text.
        found: Vec<u8>,
    },
    /// A timestamp that does not fit int64 nanoseconds.
    TimestampRange {
        /// Its text.
        found: Vec<u8>,
    },
    /// A TYPE that neither format knows.
    TypeWord {
        /// The word.
        found: Vec<u8>,
    },
    /// Protobuf: bytes that are not a message.
    Wire {
        /// What is wrong with them.
        what: &'static str,
    },
    /// Protobuf: a metric with a value of another type than its family's.
    ValueOfOtherType,
    /// Protobuf: a metric without a value.
    NoValue,
    /// Protobuf: a native histogram that contradicts itself.
    Native {
        /// What is wrong with it.
        what: &'static str,
    },
    /// Something after `# EOF` of an OpenMetrics exposition.
    AfterEof,
}

impl Error {
    /// An error at `offset`.
    #[cold]
    pub fn new(offset: usize, kind: ErrorKind) -> Error {
        Error(Box::new(Detail { kind, place: BodyPlace { offset, family: None } }))
    }

    /// The same in a metric family, where the format tells.
    #[must_use]
    pub(crate) fn in_family(mut self, family: &str) -> Error {
        self.0.place.family = Some(family.to_owned());
        self
    }

    /// What is wrong.
    pub fn kind(&self) -> &ErrorKind {
        &self.0.kind
    }

    /// Where, as an offset into the decoded body, in bytes.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn offset(&self) -> usize {
        self.0.place.offset
    }

    /// One line for the pusher: what is wrong, where in `body`, what is allowed.
    pub fn describe(&self, body: &[u8], format: Format) -> String {
        let Detail { kind, place } = &*self.0;
        let text = place.describe(body, format, kind);
        let cure = match kind {
            ErrorKind::TimestampRange { .. } => Some(slip::of_timestamp(format)),
            _ => slip::of_body(body, format),
        };
        match cure {
            Some(cure) => format!("{text}; {cure}"),
            None => text,
        }
    }
}

/// U+FEFF in UTF-8, which some editors put before a text and show nothing of.
pub(super) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Both count from 1; the column counts characters, so that an editor agrees.
fn line_and_column(body: &[u8], offset: usize) -> (usize, usize) {
    let before = body.get(..offset).unwrap_or(body);
    let before = before.strip_prefix(BYTE_ORDER_MARK).unwrap_or(before);
    let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let is_first_of_character = |byte: &&u8| **byte & 0xC0 != 0x80;
    let characters = before.get(line_start..).unwrap_or_default();
    (line, characters.iter().filter(is_first_of_character).count() + 1)
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ErrorKind::NotUtf8 => write!(f, "the body is not UTF-8 from here on"),
            ErrorKind::Unexpected { expected, found } if found.is_empty() => {
                write!(f, "expected {expected}, found the end of the line")
            }
            ErrorKind::Unexpected { expected, found } => {
                write!(f, "expected {expected}, found {}", Quoted(found))
            }
            ErrorKind::NeedsUtf8Names { name } => {
                write!(f, "the name {} needs utf8_names = true", Quoted(name.as_bytes()))
            }
            ErrorKind::EmptyName => write!(f, "a name must not be empty"),
            ErrorKind::ReservedLabel => write!(f, "__name__ must not be a label"),
            ErrorKind::DuplicateLabel { name } => {
                write!(f, "the label {} appears twice in this sample", Quoted(name.as_bytes()))
            }
            ErrorKind::MisplacedName => {
                write!(f, "a metric name comes once: before the braces, or quoted in them")
            }
            ErrorKind::Unclosed { found } => {
                write!(f, "the quote {} is not closed in its line", Quoted(found))
            }
            ErrorKind::Escape { found } => {
                let found = Quoted(found);
                write!(f, "{found} is not an escape, allowed are \\\\ \\\" and \\n; ")?;
                write!(f, "write a backslash as \\\\")
            }
            ErrorKind::Number { what, found } => {
                let found = Quoted(found);
                write!(f, "the {what} {found} is not a decimal number, NaN, +Inf or -Inf")
            }
            ErrorKind::NumberTooLarge { what, found } => {
                write!(f, "the {what} {} is too large for a double", Quoted(found))
            }
            ErrorKind::Timestamp { found } => {
                let found = Quoted(found);
                write!(
                    f,
                    "the timestamp {found} is not a decimal number of milliseconds or seconds"
                )
            }
            ErrorKind::TimestampRange { found } => {
                write!(f, "the timestamp {} is outside of 1677 to 2262", Quoted(found))
            }
            ErrorKind::TypeWord { found } => write!(
                f,
                "unknown type {}, allowed are counter, gauge, histogram, summary, untyped, unknown, \
                 info, stateset and gaugehistogram",
                Quoted(found)
            ),
            ErrorKind::Wire { what } | ErrorKind::Native { what } => f.write_str(what),
            ErrorKind::ValueOfOtherType => {
                write!(f, "a metric has a value of another type than its family's")
            }
            ErrorKind::NoValue => write!(f, "a metric has no value of its family's type"),
            ErrorKind::AfterEof => write!(f, "nothing may follow # EOF"),
        }
    }
}
