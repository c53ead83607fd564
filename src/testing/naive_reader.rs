//! The naive twin of the text reader: the same grammar, written again as plainly as can be, one
//! character at a time, with everything copied. Slow, and only there to be compared with.

use crate::push::exposition::text::Dialect;
use crate::push::sample::{Names, Part, Sample, Value};
use std::collections::{BTreeMap, BTreeSet};

/// A sample that owns everything, with doubles as bits, so that samples can be compared.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Plain {
    pub(crate) family: String,
    pub(crate) part: &'static str,
    pub(crate) bound: u64,
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) value: u64,
    pub(crate) timestamp_ns: Option<i64>,
}

impl Plain {
    pub(crate) fn of(sample: &Sample<'_>) -> Plain {
        let (part, bound) = match sample.part {
            Part::Whole => ("whole", 0.0),
            Part::Bucket(bound) => ("bucket", bound),
            Part::Quantile(bound) => ("quantile", bound),
            Part::Sum => ("sum", 0.0),
            Part::Count => ("count", 0.0),
        };
        let value = match sample.value {
            Value::Canonical(text) => {
                let text = std::str::from_utf8(text.as_bytes()).unwrap_or_default();
                let number: f64 = text.parse().unwrap_or(f64::NAN);
                // std prints the shortest digits in plain notation, as SPEC 2.4 does in this range.
                let is_plain = number == 0.0 || (1e-7..1e21).contains(&number.abs());
                assert!(is_plain && text == number.to_string(), "{text} is not canonical");
                number
            }
            Value::Number(number) => number,
        };
        let bound_name = match sample.part {
            Part::Bucket(_) => "le",
            Part::Quantile(_) => "quantile",
            Part::Whole | Part::Sum | Part::Count => "",
        };
        let label = |label: &crate::push::sample::Label<'_>| {
            (label.name.to_string(), label.value.to_string())
        };
        let labels = sample.labels.iter().filter(|label| label.name != bound_name);
        Plain {
            family: sample.family.to_owned(),
            part,
            bound: bits(bound),
            labels: labels.map(label).collect(),
            value: bits(value),
            timestamp_ns: sample.timestamp_ns,
        }
    }
}

fn bits(number: f64) -> u64 {
    if number.is_nan() { f64::NAN.to_bits() } else { number.to_bits() }
}

/// All samples of a body, or none where it must be refused.
pub(crate) fn read(body: &[u8], dialect: Dialect, names: Names) -> Option<Vec<Plain>> {
    let text = String::from_utf8(body.to_vec()).ok()?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let mut twin = Twin { dialect, names, types: BTreeMap::new() };
    let mut samples = Vec::new();
    let mut is_ended = false;
    for line in text.split('\n') {
        let line = line.strip_suffix('\r').unwrap_or(line);
        let line = line.trim_matches([' ', '\t']);
        if line.is_empty() {
            continue;
        }
        if is_ended {
            return None;
        }
        if let Some(comment) = line.strip_prefix('#') {
            is_ended = twin.comment(comment)?;
        } else {
            samples.push(twin.sample(line)?);
        }
    }
    Some(samples)
}

struct Twin {
    dialect: Dialect,
    names: Names,
    types: BTreeMap<String, String>,
}

/// What is left of a line.
struct Rest {
    chars: Vec<char>,
}

impl Rest {
    fn new(text: &str) -> Rest {
        Rest { chars: text.chars().rev().collect() }
    }

    fn skip(&mut self) {
        while matches!(self.chars.last(), Some(' ' | '\t')) {
            self.chars.pop();
        }
    }

    fn peek(&self) -> Option<char> {
        self.chars.last().copied()
    }

    fn expect(&mut self, char: char) -> Option<()> {
        self.skip();
        (self.chars.pop()? == char).then_some(())
    }

    fn while_char(&mut self, is_it: impl Fn(char) -> bool) -> String {
        let mut text = String::new();
        while let Some(char) = self.peek().filter(|char| is_it(*char)) {
            text.push(char);
            self.chars.pop();
        }
        text
    }

    fn word(&mut self) -> String {
        self.skip();
        self.while_char(|char| char != ' ' && char != '\t')
    }

    fn quoted(&mut self, dialect: Dialect) -> Option<String> {
        self.expect('"')?;
        let mut text = String::new();
        loop {
            match self.chars.pop()? {
                '"' => return Some(text),
                '\\' => match self.chars.pop()? {
                    '\\' => text.push('\\'),
                    '"' => text.push('"'),
                    'n' => text.push('\n'),
                    other if dialect == Dialect::OpenMetrics => text.extend(['\\', other]),
                    _ => return None,
                },
                other => text.push(other),
            }
        }
    }
}

impl Twin {
    /// Whether it is the end mark of OpenMetrics.
    fn comment(&mut self, comment: &str) -> Option<bool> {
        let mut rest = Rest::new(comment);
        match rest.word().as_str() {
            "EOF" => {
                rest.skip();
                return Some(self.dialect == Dialect::OpenMetrics && rest.chars.is_empty());
            }
            "TYPE" => {}
            _ => return Some(false),
        }
        rest.skip();
        let is_quoted = rest.peek() == Some('"');
        let name = if is_quoted { rest.quoted(self.dialect)? } else { rest.word() };
        let kind = rest.word().to_ascii_lowercase();
        if (name.is_empty() && !is_quoted) || kind.is_empty() {
            return Some(false);
        }
        if !(self.is_name(&name, true)
            || is_quoted && self.names == Names::Utf8 && !name.is_empty())
        {
            return None;
        }
        let kinds = "counter gauge histogram summary untyped unknown info stateset gaugehistogram \
                     gauge_histogram";
        if !kinds.split(' ').any(|known| known == kind) || !rest.word().is_empty() {
            return None;
        }
        self.types.insert(name, kind);
        Some(false)
    }

    fn is_name(&self, name: &str, may_have_colons: bool) -> bool {
        let is_start = |char: char| {
            char.is_ascii_alphabetic() || char == '_' || (char == ':' && may_have_colons)
        };
        name.starts_with(is_start)
            && name.chars().all(|char| is_start(char) || char.is_ascii_digit())
    }

    fn sample(&self, line: &str) -> Option<Plain> {
        let mut rest = Rest::new(line);
        let mut name = None;
        if rest.peek() != Some('{') {
            let found =
                rest.while_char(|char| char.is_ascii_alphanumeric() || char == '_' || char == ':');
            if !self.is_name(&found, true) || !matches!(rest.peek(), Some(' ' | '\t' | '{')) {
                return None;
            }
            name = Some(found);
        }
        rest.skip();
        let mut labels = Vec::new();
        if rest.peek() == Some('{') {
            let quoted = self.labels(&mut rest, &mut labels, name.is_none())?;
            name = name.or(quoted);
        }
        let name = name?;
        let value = number(&rest.word())?;
        let mut word = String::new();
        rest.skip();
        if rest.peek() != Some('#') {
            word = rest.word();
        }
        let timestamp_ns = if word.is_empty() { None } else { Some(self.time(&word)?) };
        rest.skip();
        if rest.peek() == Some('#') {
            self.exemplar(&mut rest)?;
        }
        rest.skip();
        rest.chars.is_empty().then_some(())?;
        self.plain(name, labels, value, timestamp_ns)
    }

    fn labels(
        &self,
        rest: &mut Rest,
        labels: &mut Vec<(String, String)>,
        may_name: bool,
    ) -> Option<Option<String>> {
        rest.expect('{')?;
        let mut metric_name = None;
        loop {
            rest.skip();
            if rest.peek()? == '}' {
                rest.chars.pop();
                break;
            }
            let is_quoted = rest.peek()? == '"';
            let name = if is_quoted {
                rest.quoted(self.dialect)?
            } else {
                rest.while_char(|char| char.is_ascii_alphanumeric() || char == '_')
            };
            rest.skip();
            let is_utf8 = is_quoted && self.names == Names::Utf8 && !name.is_empty();
            if is_quoted && rest.peek()? != '=' {
                let may_name = may_name && metric_name.is_none();
                if !may_name || !(self.is_name(&name, true) || is_utf8) {
                    return None;
                }
                metric_name = Some(name);
            } else {
                if name == "__name__" || !(self.is_name(&name, false) || is_utf8) {
                    return None;
                }
                rest.expect('=')?;
                rest.skip();
                labels.push((name, rest.quoted(self.dialect)?));
            }
            rest.skip();
            match rest.peek()? {
                ',' => {
                    rest.chars.pop();
                }
                '}' => {}
                _ => return None,
            }
        }
        let unique: BTreeSet<_> = labels.iter().map(|(name, _)| name).collect();
        (unique.len() == labels.len()).then_some(metric_name)
    }

    fn exemplar(&self, rest: &mut Rest) -> Option<()> {
        rest.expect('#')?;
        rest.skip();
        let mut labels = Vec::new();
        self.labels(rest, &mut labels, false)?;
        number(&rest.word())?;
        let word = rest.word();
        if word.is_empty() { Some(()) } else { self.time(&word).map(|_| ()) }
    }

    fn plain(
        &self,
        name: String,
        mut labels: Vec<(String, String)>,
        value: f64,
        timestamp_ns: Option<i64>,
    ) -> Option<Plain> {
        let mut plain = Plain {
            family: name.clone(),
            part: "whole",
            bound: bits(0.0),
            labels: Vec::new(),
            value: bits(value),
            timestamp_ns,
        };
        let own = self.types.get(&name).map(String::as_str);
        let mut bound_label = None;
        if own == Some("summary") {
            bound_label = Some(("quantile", "quantile", name.clone()));
        } else if own.is_none() {
            for (suffix, part) in [
                ("_bucket", "bucket"),
                ("_sum", "sum"),
                ("_count", "count"),
                ("_gsum", "sum"),
                ("_gcount", "count"),
            ] {
                let Some(family) = name.strip_suffix(suffix) else { continue };
                let kind = self.types.get(family).map_or("", String::as_str);
                let is_gauge = kind.starts_with("gauge") && kind.ends_with("histogram");
                let has_part = match suffix {
                    "_bucket" => kind == "histogram" || is_gauge,
                    "_sum" | "_count" => kind == "histogram" || kind == "summary" || is_gauge,
                    _ => is_gauge,
                };
                if has_part && part == "bucket" {
                    bound_label = Some(("le", "bucket", family.to_owned()));
                } else if has_part {
                    plain.family = family.to_owned();
                    plain.part = part;
                }
            }
        }
        if let Some((label, part, family)) = bound_label
            && let Some(at) = labels.iter().position(|(name, _)| name == label)
        {
            plain.bound = bits(number(&labels.remove(at).1)?);
            plain.part = part;
            plain.family = family;
        }
        plain.labels = labels;
        Some(plain)
    }

    /// Nanoseconds of a decimal, digit by digit.
    fn time(&self, word: &str) -> Option<i64> {
        number(word).filter(|number| number.is_finite() || word.contains(['e', 'E']))?;
        let lower = word.to_ascii_lowercase();
        let (decimal, exponent) = lower.split_once('e').unwrap_or((&lower, "0"));
        let is_integer = !decimal.contains('.') && !lower.contains('e');
        let is_negative = decimal.starts_with('-');
        let decimal = decimal.trim_start_matches(['+', '-']);
        let (whole, fraction) = decimal.split_once('.').unwrap_or((decimal, ""));
        let digits: String = [whole, fraction].concat();
        let shift: i64 =
            exponent.parse::<i64>().unwrap_or(if exponent.starts_with('-') { -9999 } else { 9999 });
        let unit = if is_integer && self.dialect == Dialect::Text { 6 } else { 9 };
        let point = whole.len() as i64 + shift.clamp(-9999, 9999) + unit;
        // Everything before the point is nanoseconds; the digit after it rounds.
        let digit = |at: i64| {
            usize::try_from(at)
                .ok()
                .and_then(|at| digits.as_bytes().get(at))
                .map_or(0, |d| i128::from(d - b'0'))
        };
        if digits.bytes().all(|digit| digit == b'0') {
            return Some(0);
        }
        let first = digits.bytes().position(|digit| digit != b'0')? as i64;
        if point - first > 25 {
            return None;
        }
        let mut nanos = 0_i128;
        for at in first..point {
            nanos = nanos * 10 + digit(at);
        }
        nanos += i128::from(digit(point) >= 5 && point >= 0);
        i64::try_from(if is_negative { -nanos } else { nanos }).ok()
    }
}

/// A value: what std reads, less what SPEC does not allow.
fn number(word: &str) -> Option<f64> {
    let lower = word.to_ascii_lowercase();
    let unsigned = lower.strip_prefix(['+', '-']).unwrap_or(&lower);
    if matches!(unsigned, "inf" | "infinity") || lower == "nan" {
        return lower.parse().ok();
    }
    if !unsigned.starts_with(|char: char| char.is_ascii_digit() || char == '.') {
        return None;
    }
    lower.parse().ok().filter(|number: &f64| number.is_finite())
}
