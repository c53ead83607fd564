//! Names and tag values as line protocol writes them (SPEC 2.3, 2.4).

use super::buffer::{Full, Line};
use crate::bytes::chunk::{self, Chunk, Places};
use crate::bytes::text::Text;
use crate::push::mapping::TagKey;

/// The name of a field: `,`, `=` and space are escaped.
pub(super) fn push_field_name(line: &mut Line<'_>, name: &str) -> Result<(), Full> {
    push_escaped(line, name, b'=')
}

/// The key of a tag, escaped in the same way.
pub(super) fn push_key(line: &mut Line<'_>, key: TagKey<'_>) -> Result<(), Full> {
    push_escaped(line, key.text, b'=')?;
    let mut rest = key.underscores;
    while rest > 0 {
        let count = rest.min(UNDERSCORES.len());
        line.extend(UNDERSCORES.get(..count).unwrap_or_default())?;
        rest -= count;
    }
    Ok(())
}

const UNDERSCORES: &[u8] = &[b'_'; 32];

/// A measurement: `,` and space are escaped.
pub(super) fn push_measurement(line: &mut Line<'_>, name: &str) -> Result<(), Full> {
    push_escaped(line, name, b',')
}

/// `,`, space and one more byte are escaped.
#[inline(always)]
fn push_escaped(line: &mut Line<'_>, text: &str, more: u8) -> Result<(), Full> {
    let bytes = text.as_bytes();
    let unfit = |chunk: Chunk| chunk.equal(b',') | chunk.equal(b' ') | chunk.equal(more);
    if line.extend_fit(bytes, unfit)? {
        return Ok(());
    }
    if !chunk::has(bytes, unfit) {
        return line.extend(bytes);
    }
    for byte in bytes {
        if matches!(byte, b',' | b' ') || *byte == more {
            line.push(b'\\')?;
        }
        line.push(*byte)?;
    }
    Ok(())
}

/// The bytes that a tag value cannot have as they are.
fn is_special(byte: u8) -> bool {
    matches!(byte, 0..=b' ' | b',' | b'=' | b'\\' | 0x7f)
}

/// The same bytes of a chunk.
#[inline]
fn specials(chunk: Chunk) -> Places {
    let separators = chunk.equal(b',') | chunk.equal(b'=') | chunk.equal(b'\\');
    separators | chunk.within(0, b' ') | chunk.equal(0x7f)
}

/// The value of a tag (SPEC 2.3): control characters become a space; a backslash before `,`, `=`,
/// space, `"`, `\` or the end becomes `/`, since consumers would take it for an escape; then `,`,
/// `=` and space are escaped.
#[inline(always)]
pub(super) fn push_tag_value(line: &mut Line<'_>, value: &Text<'_>) -> Result<(), Full> {
    if let Some(block) = value.block()
        && line.extend_fit_block(block, specials)?
    {
        return Ok(());
    }
    let end = push_other_tag_value(line.handed_on(), value)?;
    line.end_at(end);
    Ok(())
}

/// One that is long, has something to escape, or is at the end of the body: where the line ends
/// then.
#[inline(never)]
fn push_other_tag_value(mut line: Line<'_>, value: &str) -> Result<usize, Full> {
    if line.extend_fit(value.as_bytes(), specials)? {
        return Ok(line.end());
    }
    let mut bytes = value.as_bytes();
    while let Some(at) = bytes.iter().position(|byte| is_special(*byte)) {
        let (plain, special) = bytes.split_at(at);
        line.extend(plain)?;
        if let [byte, rest @ ..] = special {
            push_special(&mut line, *byte, rest.first().copied())?;
            bytes = rest;
        }
    }
    line.extend(bytes)?;
    Ok(line.end())
}

fn push_special(line: &mut Line<'_>, byte: u8, next: Option<u8>) -> Result<(), Full> {
    match byte {
        b',' | b'=' => line.extend(&[b'\\', byte]),
        b'\\' if next.is_none_or(|next| next == b'"' || is_special(next)) => line.push(b'/'),
        b'\\' => line.push(b'\\'),
        _ => line.extend(b"\\ "),
    }
}

#[cfg(test)]
mod tests {
    use super::super::buffer::Lines;
    use super::*;

    fn tag_value(text: &str) -> String {
        let mut out = Lines::default();
        out.append(|line| push_tag_value(line, &text.into()));
        String::from_utf8(out.into_bytes()).unwrap()
    }

    #[test]
    fn tag_values_are_cleaned_then_escaped() {
        for (text, want) in [
            ("plain", "plain"),
            ("a b,c=d", r"a\ b\,c\=d"),
            ("a\nb\u{7f}", r"a\ b\ "),
            (r"a\b", r"a\b"),
            (r"a\", "a/"),
            (r"a\\", "a//"),
            (r"x\\y", r"x/\y"),
            (r"x\,y", r"x/\,y"),
            ("x\\\ny", r"x/\ y"),
            (r#"x\"y"#, r#"x/"y"#),
            ("日本\u{80}", "日本\u{80}"),
            ("", ""),
        ] {
            assert_eq!(tag_value(text), want, "{text:?}");
        }
    }

    #[test]
    fn every_special_byte_is_seen_in_a_chunk() {
        for byte in 0..=u8::MAX {
            assert_eq!(specials(Chunk::new([byte; 16])).is_any(), is_special(byte));
        }
    }

    #[test]
    fn keys_are_escaped() {
        let mut out = Lines::default();
        out.append(|line| push_field_name(line, "a b,c=d"));
        out.append(|line| push_key(line, TagKey { text: "a=", underscores: 70 }));
        let want = [br"a\ b\,c\=da\=".to_vec(), vec![b'_'; 70]].concat();
        assert_eq!(out.into_bytes(), want);
    }
}
