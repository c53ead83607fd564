//! A strict reader of the lines that pushline writes (SPEC 2.3, 2.4; `tests/golden/README.md`, "How
//! lines are compared"). It shares nothing with the writer, and refuses what the page does not allow.

/// One field of one line.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Field {
    /// `measurement,tags field=value`, escaped as it is in the line.
    pub(crate) text: String,
    /// Nanoseconds.
    pub(crate) time: i64,
}

impl Field {
    /// As the golden vectors write it, where `now` is the time of the push.
    pub(crate) fn with_now(&self, now: Option<i64>) -> String {
        if Some(self.time) == now {
            format!("{} NOW", self.text)
        } else {
            format!("{} {}", self.text, self.time)
        }
    }
}

/// Takes whole output apart into single fields, in order.
///
/// # Panics
/// With the line, where it is not as SPEC says.
pub(crate) fn read(output: &[u8]) -> Vec<Field> {
    let text = std::str::from_utf8(output).expect("the output is UTF-8");
    assert!(text.is_empty() || text.ends_with('\n'), "the last line has no LF: {text:?}");
    text.split_terminator('\n').flat_map(read_line).collect()
}

fn read_line(line: &str) -> Vec<Field> {
    try_read_line(line).unwrap_or_else(|what| panic!("{what} in {line:?}"))
}

fn try_read_line(line: &str) -> Result<Vec<Field>, String> {
    if let Some(control) = line.chars().find(|char| (*char as u32) < 0x20 || *char == '\u{7f}') {
        return Err(format!("control character {control:?}"));
    }
    let [head, fields, time] = split(line, ' ')[..] else {
        return Err("not three parts between single blanks".to_owned());
    };
    let head_parts = split(head, ',');
    let (measurement, tags) = head_parts.split_first().ok_or("no measurement")?;
    check_name(measurement, &[',', ' '])?;
    let mut tag_keys = Vec::new();
    for tag in tags {
        let [key, value] = split(tag, '=')[..] else { return Err(format!("bad tag {tag:?}")) };
        check_name(key, &[',', '=', ' '])?;
        check_tag_value(value)?;
        tag_keys.push(unescape(key));
    }
    if !tag_keys.is_sorted_by(|a, b| a.as_bytes() < b.as_bytes()) {
        return Err(format!("tags not sorted, or one twice: {tag_keys:?}"));
    }
    let is_positive_integer = !time.starts_with('0') && time.bytes().all(|b| b.is_ascii_digit());
    let time: i64 = time.parse().map_err(|error| format!("timestamp {time:?}: {error}"))?;
    if !is_positive_integer {
        return Err(format!("timestamp {time}"));
    }
    let mut found = Vec::new();
    let mut field_keys = Vec::new();
    for field in split(fields, ',') {
        let [key, value] = split(field, '=')[..] else {
            return Err(format!("bad field {field:?}"));
        };
        check_name(key, &[',', '=', ' '])?;
        if key == "time" {
            return Err("a field called time".to_owned());
        }
        check_number(value)?;
        field_keys.push(unescape(key));
        found.push(Field { text: format!("{head} {key}={value}"), time });
    }
    let reserved = ["time", "_field", "_measurement"].map(str::to_owned);
    if let Some(clash) =
        tag_keys.iter().find(|key| field_keys.contains(key) || reserved.contains(key))
    {
        return Err(format!("tag key {clash:?} clashes"));
    }
    field_keys.sort();
    if field_keys.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err("a field twice".to_owned());
    }
    Ok(found)
}

/// Splits at `separator` where no backslash is before it.
pub(crate) fn split(text: &str, separator: char) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut start = 0;
    let mut before = ' ';
    for (at, char) in text.char_indices() {
        if char == separator && before != '\\' {
            parts.push(&text[start..at]);
            start = at + char.len_utf8();
        }
        before = char;
    }
    parts.push(&text[start..]);
    parts
}

fn unescape(name: &str) -> String {
    name.replace("\\,", ",").replace("\\=", "=").replace("\\ ", " ")
}

fn check_name(name: &str, escaped: &[char]) -> Result<(), String> {
    if name.is_empty() || name.starts_with('#') || name.contains('"') {
        return Err(format!("bad name {name:?}"));
    }
    check_escapes(name, |next| next.is_some_and(|next| escaped.contains(&next)))
}

fn check_tag_value(value: &str) -> Result<(), String> {
    if value.is_empty() {
        return Err("empty tag value".to_owned());
    }
    // Any other backslash stays, but never before these or at the end.
    check_escapes(value, |next| next.is_some_and(|next| !['"', '\\'].contains(&next)))?;
    let mut before = ' ';
    for char in value.chars() {
        if [',', '=', ' '].contains(&char) && before != '\\' {
            return Err(format!("bare {char:?} in the tag value {value:?}"));
        }
        before = char;
    }
    Ok(())
}

fn check_escapes(text: &str, may_follow: impl Fn(Option<char>) -> bool) -> Result<(), String> {
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        if char == '\\' && !may_follow(chars.peek().copied()) {
            return Err(format!("bad backslash in {text:?}"));
        }
    }
    Ok(())
}

/// Canonical to the letter: std prints the shortest digits in both notations.
fn check_number(text: &str) -> Result<(), String> {
    let number: f64 = text.parse().map_err(|error| format!("value {text:?}: {error}"))?;
    let is_plain = number == 0.0 || (1e-7..1e21).contains(&number.abs());
    let want = if is_plain { format!("{number}") } else { format!("{number:e}") };
    // Where two shortest texts are equally near, either is canonical.
    let is_as_short = text.len() == want.len() && text.contains('e') == want.contains('e');
    let is_clean = !text.starts_with(['+', '.']) && !text.ends_with('.') && !text.contains('E');
    if number.is_finite() && (want == text || is_as_short && is_clean) {
        Ok(())
    } else {
        Err(format!("value {text:?} is not canonical, {want:?} is"))
    }
}

#[test]
fn a_good_line_comes_apart_into_its_fields() {
    let line = b"a\\ b,k\\,=v\\=\\ x\\y f_sum=1.5,f_count=2 1700000000123000000\n";
    let fields = read(line);
    let texts: Vec<_> = fields.iter().map(|field| field.with_now(None)).collect();
    assert_eq!(
        texts,
        [
            "a\\ b,k\\,=v\\=\\ x\\y f_sum=1.5 1700000000123000000",
            "a\\ b,k\\,=v\\=\\ x\\y f_count=2 1700000000123000000",
        ]
    );
}

#[test]
fn what_the_page_does_not_allow_is_refused() {
    for line in [
        "m f=1",
        "m  f=1 1",
        "m f=1 0",
        "m f=1 -5",
        "m f=1 1.5",
        "m f=1i 1",
        "m f=1.0 1",
        "m f=+1 1",
        "m f=1e5 1",
        "m f=NaN 1",
        "m,b=1,a=2 f=1 1",
        "m,a=1,a=2 f=1 1",
        "m,a= f=1 1",
        "m,a=x\\ f=1 1",
        "m,a=x\\\"y f=1 1",
        "m,a=x\\\\y f=1 1",
        "m,f=x f=1 1",
        "m,time=x f=1 1",
        "m time=1 1",
        "m,a\\b=x f=1 1",
        "m\"x f=1 1",
        "#m f=1 1",
        "m,a=x\ty f=1 1",
        "m f=1,f=2 1",
        "m f=1,=2 1",
        ",a=x f=1 1",
        "m,a=x=y f=1 1",
    ] {
        assert!(try_read_line(line).is_err(), "{line:?} was accepted");
    }
}
