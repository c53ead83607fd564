//! Names and tag values as line protocol writes them (SPEC 2.3, 2.4).

use super::lines::Lines;
use crate::chunk::{self, Chunk, Places};

/// A key of a tag or a field: `,`, `=` and space are escaped.
pub(super) fn push_key(out: &mut Lines, key: &str) {
    push_escaped(out, key, b'=');
}

/// A measurement: `,` and space are escaped.
pub(super) fn push_measurement(out: &mut Lines, name: &str) {
    push_escaped(out, name, b',');
}

/// `,`, space and one more byte are escaped.
fn push_escaped(out: &mut Lines, text: &str, more: u8) {
    let bytes = text.as_bytes();
    let unfit = |chunk: Chunk| chunk.equal(b',') | chunk.equal(b' ') | chunk.equal(more);
    if out.extend_fit(bytes, unfit) {
        return;
    }
    if !chunk::has(bytes, unfit) {
        return out.extend(bytes);
    }
    for byte in bytes {
        if matches!(byte, b',' | b' ') || *byte == more {
            out.push(b'\\');
        }
        out.push(*byte);
    }
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
pub(super) fn push_tag_value(out: &mut Lines, value: &str) {
    if out.extend_fit(value.as_bytes(), specials) {
        return;
    }
    if chunk::has(value.as_bytes(), specials) {
        push_special_tag_value(out, value);
    } else {
        out.extend(value.as_bytes());
    }
}

#[cold]
fn push_special_tag_value(out: &mut Lines, value: &str) {
    let mut bytes = value.as_bytes();
    while let Some(at) = bytes.iter().position(|byte| is_special(*byte)) {
        let (plain, special) = bytes.split_at(at);
        out.extend(plain);
        if let [byte, rest @ ..] = special {
            push_special(out, *byte, rest.first().copied());
            bytes = rest;
        }
    }
    out.extend(bytes);
}

fn push_special(out: &mut Lines, byte: u8, next: Option<u8>) {
    match byte {
        b',' | b'=' => out.extend(&[b'\\', byte]),
        b'\\' if next.is_none_or(|next| next == b'"' || is_special(next)) => out.push(b'/'),
        b'\\' => out.push(b'\\'),
        _ => out.extend(b"\\ "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag_value(text: &str) -> String {
        let mut out = Lines::default();
        push_tag_value(&mut out, text);
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
        push_key(&mut out, "a b,c=d");
        assert_eq!(out.into_bytes(), br"a\ b\,c\=d");
    }
}
