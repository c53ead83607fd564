//! Quoted texts: the values of labels, and names that are quoted (SPEC 1.3, 5).
//!
//! ```text
//! quoted = DQUOTE *( plain | "\\" | "\" DQUOTE | "\n" ) DQUOTE
//! ```

use super::super::error::Error;
use super::cursor::Cursor;
use crate::bytes::text::Text;
use std::borrow::Cow;

/// What becomes of a backslash before anything but `\`, `"` and `n`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UnknownEscape {
    /// It is an error, as in the Prometheus text format.
    Refuse,
    /// It stays as it is, as OpenMetrics' grammar has it: `escaped-char = ( BS normal-char )`.
    Keep,
}

/// A quoted text whose opening quote is there, and the place after it; owned only if it has
/// escapes.
#[inline(always)]
pub(super) fn quoted_value<'a>(
    opening: Cursor<'a>,
    unknown: UnknownEscape,
) -> Result<(Text<'a>, usize), Error> {
    let start = opening.at() + 1;
    match opening.plain_quoted_len() {
        Some(len) => Ok((Text::within(opening.moved_to(start).rest(), len), start + len + 1)),
        None => escaped_quoted(opening, unknown).map(|(text, after)| (text.into(), after)),
    }
}

/// A quoted name whose opening quote is here, and steps over it; owned only if it has escapes.
pub(super) fn quoted_name<'a>(
    cursor: &mut Cursor<'a>,
    unknown: UnknownEscape,
) -> Result<Cow<'a, str>, Error> {
    let opening = *cursor;
    match opening.plain_quoted_len() {
        Some(len) => {
            cursor.move_to(opening.at() + 1 + len);
            let name = cursor.since(opening.at() + 1);
            cursor.advance();
            Ok(Cow::Borrowed(name))
        }
        None => {
            let (name, after) = escaped_quoted(opening, unknown)?;
            cursor.move_to(after);
            Ok(Cow::Owned(name))
        }
    }
}

/// A quoted text with escapes, and the place after it.
#[cold]
fn escaped_quoted(opening: Cursor<'_>, unknown: UnknownEscape) -> Result<(String, usize), Error> {
    let mut cursor = opening;
    cursor.advance();
    let mut text = String::new();
    loop {
        let start = cursor.at();
        cursor.skip_plain();
        text.push_str(cursor.since(start));
        match cursor.peek() {
            b'"' => {
                cursor.advance();
                return Ok((text, cursor.at()));
            }
            b'\\' => text.push(escape(&mut cursor, unknown)?),
            _ => return Err(opening.unclosed()),
        }
    }
}

/// The character of the escape here, and steps over it; over the backslash alone where it is kept.
fn escape(cursor: &mut Cursor<'_>, unknown: UnknownEscape) -> Result<char, Error> {
    let backslash = *cursor;
    cursor.advance();
    let character = match cursor.peek() {
        b'\\' => '\\',
        b'"' => '"',
        b'n' => '\n',
        _ if unknown == UnknownEscape::Keep => return Ok('\\'),
        _ => return Err(backslash.no_escape()),
    };
    cursor.advance();
    Ok(character)
}
