//! Known slips: what a refused body looks like that is not an exposition at all, so that its pusher
//! is told the cure and not only the first byte that does not fit (SPEC 1.3).

use crate::push::sample::Format;

/// How much of a body is looked at, in bytes.
const BODY_BYTES_MAX: usize = 4096;

/// What to do about a refused body, where it looks like a known slip.
pub(super) fn of_body(body: &[u8], format: Format) -> Option<&'static str> {
    let start = body.get(..BODY_BYTES_MAX).unwrap_or(body);
    if start.starts_with(b"\x1f\x8b") {
        Some("the body is gzip: send Content-Encoding: gzip")
    } else if format == Format::Protobuf {
        None
    } else if is_utf16(start) {
        Some("the body is UTF-16: send UTF-8")
    } else if is_form(start) {
        Some("the body is a form: send the exposition itself, with curl --data-binary")
    } else if has_lost_newlines(start) {
        Some("its newlines are lost, as curl -d loses them: use --data-binary")
    } else {
        None
    }
}

/// What a timestamp is that is out of range.
pub(super) fn of_timestamp(format: Format) -> &'static str {
    match format {
        Format::OpenMetrics => "OpenMetrics counts seconds: is it in another unit?",
        Format::Text | Format::Protobuf => {
            "an integer is milliseconds: is it in microseconds or nanoseconds?"
        }
    }
}

/// A byte order mark of UTF-16, or text whose every second byte is zero.
fn is_utf16(start: &[u8]) -> bool {
    let pair = start.first_chunk::<4>();
    start.starts_with(b"\xff\xfe")
        || start.starts_with(b"\xfe\xff")
        || pair.is_some_and(|[a, b, c, d]| {
            (*a == 0) != (*b == 0)
                && (a, b) != (c, d)
                && (*a == 0) == (*c == 0)
                && (*b == 0) == (*d == 0)
        })
}

/// `name=value *( "&" name=value )`, with neither blanks nor braces before the first `=`.
fn is_form(start: &[u8]) -> bool {
    let first = start.trim_ascii().split(|byte| *byte == b'&').next().unwrap_or_default();
    let name_len = first.iter().position(|byte| *byte == b'=').unwrap_or_default();
    let is_name_byte = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-.%+".contains(byte);
    let name = first.get(..name_len).unwrap_or_default();
    !name.is_empty() && name.iter().all(is_name_byte) && !start.trim_ascii().contains(&b'\n')
}

/// One line that goes on where others would begin: a number or a TYPE word, and a name or a `#`
/// right after it.
fn has_lost_newlines(start: &[u8]) -> bool {
    let text = start.trim_ascii();
    if text.contains(&b'\n') {
        return false;
    }
    let words = text.split(|byte| *byte == b' ').map(<[u8]>::trim_ascii);
    let types: [&[u8]; 5] = [b"gauge", b"counter", b"histogram", b"summary", b"untyped"];
    words.into_iter().skip(1).any(|word| {
        let digits = word.iter().take_while(|byte| byte.is_ascii_digit() || **byte == b'.').count();
        let after_number = word.get(digits..).filter(|_| digits > 0);
        let after_type = types.iter().find_map(|name| word.strip_prefix(*name));
        let begins_line = |rest: &[u8]| {
            rest.first().is_some_and(|byte| byte.is_ascii_alphabetic() || b"_#".contains(byte))
        };
        let is_exponent =
            |rest: &[u8]| matches!(rest, [b'e' | b'E', b'+' | b'-' | b'0'..=b'9', ..]);
        // `0x10` is a hexadecimal number, and as such a mistake of its own.
        let is_hex = |rest: &[u8]| {
            digits == 1
                && matches!(rest, [b'x' | b'X', b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F', ..])
        };
        let is_comment = text.starts_with(b"#");
        after_number.is_some_and(|rest| {
            !is_comment && begins_line(rest) && !is_exponent(rest) && !is_hex(rest)
        }) || after_type.is_some_and(begins_line)
    })
}

#[cfg(test)]
mod tests {
    use super::super::{Error, read};
    use crate::push::sample::{Format, Names};

    fn told(body: &[u8], format: Format) -> String {
        let outcome = read(body, format, Names::Legacy, |_| Ok::<(), Error>(()));
        outcome.unwrap_err().describe(body, format)
    }

    #[test]
    fn a_known_slip_is_told_with_its_cure() {
        let utf16: Vec<u8> = "a_b 1".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let with_mark = [b"\xff\xfe", &*utf16].concat();
        for (body, format, want) in [
            (
                &b"\x1f\x8b\x08\x00"[..],
                Format::Text,
                "the body is gzip: send Content-Encoding: gzip",
            ),
            (
                b"\x1f\x8b\x08\x00",
                Format::Protobuf,
                "the body is gzip: send Content-Encoding: gzip",
            ),
            (&utf16, Format::Text, "the body is UTF-16: send UTF-8"),
            (&with_mark, Format::Text, "the body is UTF-16: send UTF-8"),
            (
                b"metric=a_b&value=1",
                Format::Text,
                "the body is a form: send the exposition itself, with curl --data-binary",
            ),
            (
                b"# TYPE a gaugea 1",
                Format::Text,
                "its newlines are lost, as curl -d loses them: use --data-binary",
            ),
            (
                b"a_b 1c_d{x=\"1\"} 2",
                Format::Text,
                "its newlines are lost, as curl -d loses them: use --data-binary",
            ),
            (
                b"a_b 1 1700000000000000000\n",
                Format::Text,
                "an integer is milliseconds: is it in microseconds or nanoseconds?",
            ),
            (
                b"a_b 1 1700000000000\n",
                Format::OpenMetrics,
                "OpenMetrics counts seconds: is it in another unit?",
            ),
        ] {
            let text = told(body, format);
            assert!(text.ends_with(&format!("; {want}")), "{text}");
            assert!(!text.contains('\n'), "{text}");
        }
        for body in [
            &b"a_b oops\n"[..],
            b"a_b 1e5x",
            b"a_b 0x10",
            b"a-b 1",
            b"a_b{x=\"1\"} x=1&y=2\n",
            b"9ab 1\n",
        ] {
            let text = told(body, Format::Text);
            assert!(!text.contains("; "), "{text}");
        }
    }
}
