//! The labels of a URL (SPEC 1.1): split, decoded, checked, and each name once.

use crate::bytes::base64::decode_base64;
use crate::bytes::hex::hex_pair;
use crate::observe::telemetry::Reason;
use crate::push::sample::{Label, Names, Quoted};
use std::borrow::Cow;
use std::fmt;
use std::io::Write as _;

/// The labels of a URL: sorted by name in byte order, each name once, the job among them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    job: String,
    labels: Vec<Label<'static>>,
}

impl Group {
    /// The job, never empty.
    pub fn job(&self) -> &str {
        &self.job
    }

    /// All labels. An empty value is one that the URL gives: it removes the body's label.
    pub fn labels(&self) -> &[Label<'static>] {
        &self.labels
    }
}

/// What is wrong with the labels of a URL; always 400.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// A `%` that two hexadecimal digits do not follow.
    Percent {
        /// The part of the path.
        part: Vec<u8>,
    },
    /// A part that is not UTF-8 once decoded.
    NotUtf8 {
        /// The part of the path.
        part: Vec<u8>,
    },
    /// A value that is not base64.
    Base64 {
        /// The label's name.
        name: String,
        /// The value as sent.
        value: String,
    },
    /// A label name that the input does not allow.
    Name {
        /// The name.
        name: String,
        /// What the input allows.
        names: Names,
    },
    /// A label name that begins with `__`.
    ReservedName {
        /// The name.
        name: String,
    },
    /// The job is empty.
    EmptyJob,
    /// A label without a value.
    NoValue {
        /// The label's name, as sent.
        name: Vec<u8>,
    },
}

impl Error {
    /// How it is counted: as one reason, whatever is wrong with the labels.
    pub(crate) fn reason(&self) -> Reason {
        Reason::Url
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Percent { part } => {
                write!(f, "URL part {}: % must be followed by two hexadecimal digits", Quoted(part))
            }
            Error::NotUtf8 { part } => {
                write!(f, "URL part {}: must be UTF-8 once decoded", Quoted(part))
            }
            Error::Base64 { name, value } => {
                let (name, value) = (Quoted(name.as_bytes()), Quoted(value.as_bytes()));
                write!(f, "URL label {name}: {value} is not base64, URL-safe or standard")
            }
            Error::Name { name, names } => {
                let allowed = match names {
                    Names::Legacy => "[a-zA-Z_][a-zA-Z0-9_]* (or any name with utf8_names = true)",
                    Names::Utf8 => "not empty",
                };
                write!(f, "URL label {}: a label name must be {allowed}", Quoted(name.as_bytes()))
            }
            Error::ReservedName { name } => {
                let name = Quoted(name.as_bytes());
                write!(f, "URL label {name}: a label name must not begin with __")
            }
            Error::EmptyJob => write!(f, "URL: the job must not be empty"),
            Error::NoValue { name } => {
                let name = Quoted(name);
                write!(
                    f,
                    "URL label {name}: has no value, expected /<label>/<value> pairs after the job"
                )
            }
        }
    }
}

impl std::error::Error for Error {}

/// The group of a push that has no URL: what a URL with this job and these labels would give. They
/// are written into the path of one, percent-encoded, and read from there, so that the rules stand
/// only once.
///
/// # Errors
/// Those of the labels of a URL.
pub fn group(job: &[u8], labels: &[(Vec<u8>, Vec<u8>)], names: Names) -> Result<Group, Error> {
    let mut parts = Vec::new();
    encode(job, &mut parts);
    for part in labels.iter().flat_map(|(name, value)| [name, value]) {
        parts.push(b'/');
        encode(part, &mut parts);
    }
    read_group(&parts, Encoding::Plain, names)
}

/// Percent-encodes one part of a path: every byte but letters, digits and `_`.
fn encode(part: &[u8], path: &mut Vec<u8>) {
    for byte in part {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' => path.push(*byte),
            // OK because writing to a Vec never fails.
            _ => drop(write!(path, "%{byte:02X}")),
        }
    }
}

/// How the value of a label is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Plain,
    Base64,
}

/// `job *( "/" name "/" value ) [ "/" ]`, where the trailing slash is right after the job, or the
/// empty value of the last label.
pub(super) fn read_group(parts: &[u8], encoding: Encoding, names: Names) -> Result<Group, Error> {
    let mut parts = parts.split(|byte| *byte == b'/');
    let job = read_value("job", parts.next().unwrap_or_default(), encoding)?;
    if job.is_empty() {
        return Err(Error::EmptyJob);
    }
    let mut labels = Vec::new();
    while let Some(name) = parts.next() {
        let Some(value) = parts.next() else {
            if name.is_empty() && labels.is_empty() {
                break;
            }
            return Err(Error::NoValue { name: name.to_vec() });
        };
        labels.push(read_label(name, value, names)?);
    }
    labels.push(Label { name: Cow::Borrowed("job"), value: job.clone().into() });
    // The sort keeps the order of equal names, so the last of them, which wins, is last.
    labels.sort_by(|a, b| a.name.cmp(&b.name));
    labels.reverse();
    labels.dedup_by(|earlier, later| earlier.name == later.name);
    labels.reverse();
    Ok(Group { job, labels })
}

fn read_label(name: &[u8], value: &[u8], names: Names) -> Result<Label<'static>, Error> {
    let name = decode(name)?;
    let (name, encoding) = match name.strip_suffix("@base64") {
        Some(name) => (name, Encoding::Base64),
        None => (&*name, Encoding::Plain),
    };
    let name = check_name(name, names)?;
    let value = read_value(&name, value, encoding)?;
    Ok(Label { name: Cow::Owned(name), value: value.into() })
}

fn check_name(name: &str, names: Names) -> Result<String, Error> {
    let name = match names {
        Names::Legacy => name.to_owned(),
        Names::Utf8 => unescape_name(name).unwrap_or_else(|| name.to_owned()),
    };
    let is_start = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    let is_legacy = name.bytes().next().is_some_and(is_start)
        && name.bytes().all(|byte| is_start(byte) || byte.is_ascii_digit());
    let is_allowed = is_legacy || (names == Names::Utf8 && !name.is_empty());
    if !is_allowed {
        return Err(Error::Name { name, names });
    }
    if name.starts_with("__") {
        return Err(Error::ReservedName { name });
    }
    Ok(name)
}

fn read_value(name: &str, value: &[u8], encoding: Encoding) -> Result<String, Error> {
    let text = decode(value)?;
    match encoding {
        Encoding::Plain => Ok(text.into_owned()),
        Encoding::Base64 => {
            let error =
                || Error::Base64 { name: name.to_owned(), value: text.clone().into_owned() };
            let bytes = decode_base64(&text).ok_or_else(error)?;
            String::from_utf8(bytes).map_err(|_| Error::NotUtf8 { part: value.to_vec() })
        }
    }
}

/// Percent-decodes one part of the path (RFC 3986, section 2.1); `+` is a plus.
fn decode(part: &[u8]) -> Result<Cow<'_, str>, Error> {
    let error = || Error::NotUtf8 { part: part.to_vec() };
    if !part.contains(&b'%') {
        return std::str::from_utf8(part).map(Cow::Borrowed).map_err(|_| error());
    }
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part;
    while let [byte, after @ ..] = rest {
        if *byte == b'%' {
            let (value, after) = hex_pair(after).ok_or(Error::Percent { part: part.to_vec() })?;
            bytes.push(value);
            rest = after;
        } else {
            bytes.push(*byte);
            rest = after;
        }
    }
    String::from_utf8(bytes).map(Cow::Owned).map_err(|_| error())
}

/// Prometheus' `U__` escaping undone (prometheus/common, `model.UnescapeName`, scheme `values`):
/// `__` is `_`, `_<hex>_` the character of that number. None where the name is not escaped, or not
/// well.
fn unescape_name(name: &str) -> Option<String> {
    // The largest code point has six digits.
    const HEX_DIGITS_MAX: usize = 6;
    let mut rest = name.strip_prefix("U__")?;
    let mut text = String::with_capacity(rest.len());
    while let Some(at) = rest.find('_') {
        let (plain, after) = rest.split_at_checked(at)?;
        text.push_str(plain);
        let after = after.strip_prefix('_')?;
        if let Some(after) = after.strip_prefix('_') {
            text.push('_');
            rest = after;
            continue;
        }
        let (hex, after) = after.split_once('_')?;
        let is_hex = !hex.is_empty()
            && hex.len() <= HEX_DIGITS_MAX
            && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
        let code = is_hex.then(|| u32::from_str_radix(hex, 16).ok())??;
        text.push(char::from_u32(code)?);
        rest = after;
    }
    text.push_str(rest);
    Some(text)
}
