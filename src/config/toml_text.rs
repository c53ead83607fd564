//! Texts, lists and tables → TOML 1.0 on one line.

/// A basic string (TOML 1.0, "String").
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for char in text.chars() {
        match char {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            control if control.is_control() => {
                quoted.push_str(&format!("\\u{:04X}", u32::from(control)));
            }
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

/// An array (TOML 1.0, "Array") of values that are TOML already.
pub(super) fn list(values: impl IntoIterator<Item = String>) -> String {
    let values: Vec<_> = values.into_iter().collect();
    format!("[{}]", values.join(", "))
}

/// An inline table (TOML 1.0, "Inline Table") of texts.
pub(super) fn table<'t>(pairs: impl IntoIterator<Item = (&'t str, &'t str)>) -> String {
    let pair = |(name, text)| format!("{} = {}", quoted(name), quoted(text));
    let pairs: Vec<_> = pairs.into_iter().map(pair).collect();
    format!("{{{}}}", pairs.join(", "))
}
