//! Quoted texts: the values of labels, and names that are quoted (SPEC 1.3, 5).

use super::super::Error;
use super::cursor::Cursor;
use crate::push::sample::Text;

/// A quoted text whose opening quote is there, and the place behind it; owned only if it has
/// escapes.
#[inline(always)]
pub(super) fn quoted_value<'a>(opening: Cursor<'a>) -> Result<(Text<'a>, usize), Error> {
    let start = opening.at() + 1;
    match opening.plain_quoted_len() {
        Some(len) => {
            let rest = opening.moved_to(start).rest();
            Ok((Text::Within { rest, len }, start + len + 1))
        }
        None => escaped_quoted(opening).map(|(text, behind)| (Text::Owned(text), behind)),
    }
}

/// A quoted text with escapes, and the place behind it.
#[cold]
fn escaped_quoted(opening: Cursor<'_>) -> Result<(String, usize), Error> {
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
            b'\\' => text.push(escape(&mut cursor)?),
            _ => return Err(opening.unclosed()),
        }
    }
}

fn escape(cursor: &mut Cursor<'_>) -> Result<char, Error> {
    let backslash = *cursor;
    cursor.advance();
    let character = match cursor.peek() {
        b'\\' => '\\',
        b'"' => '"',
        b'n' => '\n',
        _ => return Err(backslash.no_escape()),
    };
    cursor.advance();
    Ok(character)
}
