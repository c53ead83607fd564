//! Point → bytes: escaping and numbers (SPEC 2.3, 2.4).
//!
//! ```text
//! line = measurement *( "," key "=" value ) blank field "=" number [ "," field "=" number ]
//!        blank timestamp LF
//! ```
//!
//! An [`Encoder`] belongs to a worker and writes the lines of one push after the other into a
//! buffer that crosses to the output as it is. URL labels are escaped once a push. `_sum` and
//! `_count` of one series share a line: the second finds that its head is, to the byte, the head of
//! the line before it, and is appended to that line instead.

mod number;

use crate::mapping::{Point, TagValue};
use crate::sample::{Label, Part, Value};
use std::fmt;

/// The lines of one push would take more than they may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong {
    /// What they may take, in bytes.
    pub bytes_max: usize,
}

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TooLong { bytes_max } = self;
        write!(
            f,
            "the lines of this push take more than the {bytes_max} bytes of output.queue_bytes"
        )
    }
}

/// Writes the lines of one push.
#[derive(Debug, Default)]
pub struct Encoder {
    lines: Vec<u8>,
    line_count: u32,
    bytes_max: usize,
    /// The values of the URL labels, escaped, one behind the other.
    group: Vec<u8>,
    /// Where each of them ends in `group`.
    group_ends: Vec<usize>,
    /// Blank, timestamp and LF of the line before: most lines of a push share their time.
    time: Vec<u8>,
    time_ns: i64,
    /// The line before, where a point of the same series may join it.
    open: Option<OpenLine>,
}

/// A line with the `_sum` or the `_count` of a series.
#[derive(Clone, Copy, Debug)]
struct OpenLine {
    start: usize,
    head_len: usize,
    /// Where its field ends and its timestamp begins.
    field_end: usize,
    family: u64,
    part: Part,
    timestamp_ns: i64,
}

impl Encoder {
    /// Begins a push: its lines are written into `lines`, which is cleared, and may take
    /// `bytes_max` bytes. `group` are the labels of its URL.
    pub fn begin(&mut self, mut lines: Vec<u8>, bytes_max: usize, group: &[Label<'_>]) {
        lines.clear();
        self.lines = lines;
        self.line_count = 0;
        self.bytes_max = bytes_max;
        self.group.clear();
        self.group_ends.clear();
        self.open = None;
        for label in group {
            push_tag_value(&mut self.group, &label.value);
            self.group_ends.push(self.group.len());
        }
    }

    /// Writes one point.
    ///
    /// # Errors
    /// [`TooLong`] when the lines would take more than they may.
    pub fn push(&mut self, point: &Point<'_>) -> Result<(), TooLong> {
        let start = self.lines.len();
        self.push_head(point);
        let head_len = self.lines.len() - start;
        if !self.join(point, start) {
            self.lines.push(b' ');
            self.push_field(point);
            self.open = matches!(point.part, Part::Sum | Part::Count).then_some(OpenLine {
                start,
                head_len,
                field_end: self.lines.len(),
                family: point.family,
                part: point.part,
                timestamp_ns: point.timestamp_ns,
            });
            self.push_time(point);
            self.line_count = self.line_count.saturating_add(1);
        }
        if self.lines.len() > self.bytes_max {
            return Err(TooLong { bytes_max: self.bytes_max });
        }
        Ok(())
    }

    /// Ends a push: its lines and how many they are.
    pub fn finish(&mut self) -> (Vec<u8>, u32) {
        (std::mem::take(&mut self.lines), self.line_count)
    }

    /// Appends the field to the line before, whose head and time are the same. The head in hand
    /// begins at `start`.
    fn join(&mut self, point: &Point<'_>, start: usize) -> bool {
        let Some(open) = self.open.take() else { return false };
        let are_pair =
            matches!((open.part, point.part), (Part::Sum, Part::Count) | (Part::Count, Part::Sum));
        let open_head = self.lines.get(open.start..open.start + open.head_len);
        let is_same_series = open.family == point.family
            && open.timestamp_ns == point.timestamp_ns
            && open_head == self.lines.get(start..);
        if !are_pair || !is_same_series {
            return false;
        }
        self.lines.truncate(open.field_end);
        self.lines.push(b',');
        self.push_field(point);
        self.push_time(point);
        true
    }

    /// `measurement *( "," key "=" value )`
    fn push_head(&mut self, point: &Point<'_>) {
        push_escaped(&mut self.lines, point.measurement, |byte| matches!(byte, b',' | b' '));
        for (key, value) in point.tags.iter() {
            self.lines.push(b',');
            push_key(&mut self.lines, key);
            self.lines.push(b'=');
            match value {
                TagValue::Group(index) => {
                    let end = self.group_ends.get(index).copied().unwrap_or_default();
                    let before = index.checked_sub(1).and_then(|index| self.group_ends.get(index));
                    let value = self.group.get(before.copied().unwrap_or_default()..end);
                    self.lines.extend_from_slice(value.unwrap_or_default());
                }
                TagValue::Text(text) => push_tag_value(&mut self.lines, text),
                TagValue::Bound(bound) => number::push_bound(&mut self.lines, bound),
            }
        }
    }

    /// `field "=" number`
    fn push_field(&mut self, point: &Point<'_>) {
        push_key(&mut self.lines, point.field);
        self.lines.extend_from_slice(point.suffix.as_bytes());
        self.lines.push(b'=');
        match point.value {
            Value::Canonical(text) => self.lines.extend_from_slice(text.as_bytes()),
            Value::Number(number) => number::push_value(&mut self.lines, number),
        }
    }

    /// `blank timestamp LF`
    fn push_time(&mut self, point: &Point<'_>) {
        if self.time.is_empty() || self.time_ns != point.timestamp_ns {
            self.time_ns = point.timestamp_ns;
            self.time.clear();
            self.time.push(b' ');
            number::push_integer(&mut self.time, point.timestamp_ns);
            self.time.push(b'\n');
        }
        self.lines.extend_from_slice(&self.time);
    }
}

/// A key of a tag or a field: `,`, `=` and space are escaped.
fn push_key(out: &mut Vec<u8>, key: &str) {
    push_escaped(out, key, |byte| matches!(byte, b',' | b'=' | b' '));
}

fn push_escaped(out: &mut Vec<u8>, text: &str, must_escape: impl Fn(u8) -> bool) {
    let bytes = text.as_bytes();
    if !bytes.iter().any(|byte| must_escape(*byte)) {
        return out.extend_from_slice(bytes);
    }
    for byte in bytes {
        if must_escape(*byte) {
            out.push(b'\\');
        }
        out.push(*byte);
    }
}

/// The bytes that a tag value cannot have as they are.
fn is_special(byte: u8) -> bool {
    matches!(byte, 0..=b' ' | b',' | b'=' | b'\\' | 0x7f)
}

/// The value of a tag (SPEC 2.3): control characters become a space; a backslash before `,`, `=`,
/// space, `"`, `\` or the end becomes `/`, since consumers would take it for an escape; then `,`,
/// `=` and space are escaped.
fn push_tag_value(out: &mut Vec<u8>, value: &str) {
    let mut bytes = value.as_bytes();
    while let Some(at) = bytes.iter().position(|byte| is_special(*byte)) {
        let (plain, special) = bytes.split_at(at);
        out.extend_from_slice(plain);
        if let [byte, rest @ ..] = special {
            push_special(out, *byte, rest.first().copied());
            bytes = rest;
        }
    }
    out.extend_from_slice(bytes);
}

fn push_special(out: &mut Vec<u8>, byte: u8, next: Option<u8>) {
    match byte {
        b',' | b'=' => out.extend_from_slice(&[b'\\', byte]),
        b'\\' if next.is_none_or(|next| next == b'"' || is_special(next)) => out.push(b'/'),
        b'\\' => out.push(b'\\'),
        _ => out.extend_from_slice(b"\\ "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag_value(text: &str) -> String {
        let mut out = Vec::new();
        push_tag_value(&mut out, text);
        String::from_utf8(out).unwrap()
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
    fn keys_are_escaped() {
        let mut out = Vec::new();
        push_key(&mut out, "a b,c=d");
        assert_eq!(out, br"a\ b\,c\=d");
    }
}
