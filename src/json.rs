//! Values → JSON text (RFC 8259): the log and the status write it, nobody reads it here.
//!
//! The only place that quotes a string. Whatever text comes, what leaves is a valid string without
//! a control character or a line separator in it.
//!
//! What writes a value is not inlined: the status has some hundred calls, and would hold a copy
//! each.

use std::fmt::Write as _;

/// What becomes of `<`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Markup {
    /// It stays: the text goes to a terminal or a log.
    Kept,
    /// It is escaped: the text may stand inside of HTML, and must not end it.
    Escaped,
}

/// Appends a string in its quotes (RFC 8259, section 7). U+2028 and U+2029 are escaped besides:
/// they end a line for many a reader of lines.
pub(crate) fn quoted(text: &mut String, value: &str, markup: Markup) {
    text.push('"');
    for char in value.chars() {
        match char {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            '<' if markup == Markup::Kept => text.push('<'),
            '<' | '\u{2028}' | '\u{2029}' => escape(text, char),
            control if control.is_control() => escape(text, control),
            other => text.push(other),
        }
    }
    text.push('"');
}

/// `\u` and four digits: what is escaped is always below U+10000.
fn escape(text: &mut String, char: char) {
    // OK because writing to a String never fails.
    write!(text, "\\u{:04x}", u32::from(char)).ok();
}

/// One JSON text in the making. Keys and values are written in their order, commas come by
/// themselves.
#[derive(Debug, Default)]
pub(crate) struct Json {
    text: String,
}

impl Json {
    /// The text so far.
    pub(crate) fn into_text(self) -> String {
        self.text
    }

    /// The key of the next value.
    #[inline(never)]
    pub(crate) fn key(&mut self, key: &str) -> &mut Json {
        self.text(key);
        self.text.push(':');
        self
    }

    /// A string.
    #[inline(never)]
    pub(crate) fn text(&mut self, value: &str) {
        self.separate();
        quoted(&mut self.text, value, Markup::Escaped);
    }

    /// A number. Readers that know only doubles read it exactly up to 2^53.
    #[inline(never)]
    pub(crate) fn number(&mut self, value: u64) {
        self.separate();
        // OK because writing to a String never fails.
        write!(self.text, "{value}").ok();
    }

    /// A number, or null.
    pub(crate) fn number_or_null(&mut self, value: Option<u64>) {
        match value {
            Some(value) => self.number(value),
            None => self.null(),
        }
    }

    /// Null.
    pub(crate) fn null(&mut self) {
        self.raw("null");
    }

    /// A value that is JSON already.
    #[inline(never)]
    pub(crate) fn raw(&mut self, json: &str) {
        self.separate();
        self.text.push_str(json);
    }

    /// An object, whose members `fill` writes.
    pub(crate) fn object(&mut self, fill: impl FnOnce(&mut Json)) {
        self.raw("{");
        fill(self);
        self.text.push('}');
    }

    /// An array, whose elements `fill` writes.
    pub(crate) fn array(&mut self, fill: impl FnOnce(&mut Json)) {
        self.raw("[");
        fill(self);
        self.text.push(']');
    }

    /// A comma after whatever came before, unless that opens something: no whole value ends so,
    /// as a string ends in its quote.
    fn separate(&mut self) {
        if !self.text.is_empty() && !self.text.ends_with(['{', '[', ':']) {
            self.text.push(',');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn any_string_reads_back_as_it_was() {
        let all: String = (0..=0x2100).filter_map(char::from_u32).collect();
        let hostile = "</script><img src=x onerror=alert(1)>\"\\\u{2028}\u{202e}\u{10ffff}\u{0}";
        for value in ["", "plain", hostile, &all] {
            for markup in [Markup::Kept, Markup::Escaped] {
                let mut text = String::new();
                quoted(&mut text, value, markup);
                assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), json!(value));
                let is_clean =
                    |char: char| !char.is_control() && !matches!(char, '\u{2028}' | '\u{2029}');
                assert!(text.chars().all(is_clean), "{text}");
                assert_eq!(text.contains('<'), markup == Markup::Kept && value.contains('<'));
            }
        }
    }

    #[test]
    fn objects_and_arrays_nest_with_their_commas() {
        let mut json = Json::default();
        json.object(|json| {
            json.key("empty").object(|_| {});
            json.key("brace").text("{");
            json.key("list").array(|json| {
                json.number(1);
                json.array(|_| {});
                json.object(|json| json.key("last:").number_or_null(None));
                json.text("[");
            });
            json.key("max").number_or_null(Some(u64::MAX));
        });
        let text = json.into_text();
        let want = json!({
            "empty": {}, "brace": "{", "list": [1, [], { "last:": null }, "["], "max": u64::MAX
        });
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), want, "{text}");
    }
}
