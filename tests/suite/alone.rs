//! Pushes of many similar lines against a plain way: each line converted as if it stood alone.
//!
//! A fast path takes over what two lines in a row have in common: names, labels, the arrangement
//! of tags, whole heads. The plain way has nothing to take over: each line is a push of its own,
//! after the comments that came before it. Both must give the same lines, byte for byte, the same
//! counts, and for a bad line the same message.
//!
//! ```text
//! DIFFERENTIAL_CASES=5000000 cargo test --release --test suite alone
//! ```

use crate::lines;
use crate::random::Random;
use crate::similar::Lines;
use pushline::push::exposition;
use pushline::push::mapping::{
    self, Filter, Measurement, MeasurementRule, Pattern, Skipped, Timestamps,
};
use pushline::push::route::{self, Group, Route};
use pushline::push::sample::{Format, Label, Names, Part};
use pushline::push::{Converted, Error, Input, PushHeaders, PushLimits, Pusher};

const NOW: i64 = 1_764_000_000_123_456_789;
/// How many bodies a normal run compares.
const CASES: u64 = 8_000;
/// Odd, so that no number times it is 0 but 0.
const SEED: u64 = 0x9e37_79b9_7f4a_7c15;
const OPTIONS: PushLimits =
    PushLimits { decoded_bytes_max: 1 << 24, line_bytes_max: 1 << 16, lines_bytes_max: 1 << 24 };

/// What a push is besides its body.
#[derive(Debug)]
struct Setting {
    input: Input,
    group: Group,
    format: Format,
    fresh: Fresh,
}

/// When the plain way takes a pusher that has seen nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fresh {
    /// For each line: nothing at all is known then, but making pushers takes nearly all the time.
    EachLine,
    EachBody,
}

impl Setting {
    fn pick(random: &mut Random) -> Setting {
        const PATHS: [&[u8]; 5] = [
            b"/metrics/job/web",
            b"/metrics/job/a%20b/zone/eu",
            b"/metrics/job/j/cpu/x%2Cy/le/9",
            b"/metrics/job/j/device//mode/idle",
            b"/metrics/job/j/a/1/b/2/time/3/count/4",
        ];
        let mut input = Input::default();
        input.mapping.measurement = match random.below(5) {
            0 => Measurement::CutAndKeep,
            1 => Measurement::Job,
            2 => Measurement::Fixed("fixed name".to_owned()),
            _ => Measurement::Cut,
        };
        input.mapping.timestamps = [Timestamps::Honor, Timestamps::Ignore][random.below(4) / 3];
        if random.below(4) == 0 {
            pick_rules(random, &mut input.mapping);
        }
        input.endpoint.names = [Names::Legacy, Names::Utf8][random.below(2)];
        let endpoints = [input.endpoint.clone()];
        let path = PATHS[random.below(PATHS.len())];
        let Ok(Route::Push { group, .. }) = route::route("POST", path, &endpoints) else {
            panic!("{} is no push", path.escape_ascii())
        };
        let format = [Format::Text, Format::OpenMetrics][random.below(3) / 2];
        let fresh = if random.below(32) == 0 { Fresh::EachLine } else { Fresh::EachBody };
        Setting { input, group, format, fresh }
    }

    fn convert(&self, pusher: &mut Pusher, body: &[u8]) -> Result<Converted, Error> {
        let content_type = match self.format {
            Format::Text => None,
            Format::OpenMetrics => Some("application/openmetrics-text"),
            Format::Protobuf => Some("application/vnd.google.protobuf"),
        };
        let head = PushHeaders {
            group: &self.group,
            content_type,
            content_encoding: None,
            received_ns: NOW,
        };
        pusher.convert(&self.input, head, body, Vec::new())
    }
}

/// Which metrics are kept, and what becomes of names and tags: some of it.
fn pick_rules(random: &mut Random, options: &mut mapping::MappingOptions) {
    let pattern = |text: &str| Pattern::new(text.to_owned());
    if random.below(2) == 0 {
        let deny = ["*count*", "h", "time_*", "node_*"][random.below(4)];
        options.filter =
            Filter { allow: vec![pattern("*_*"), pattern("h")], deny: vec![pattern(deny)] };
    }
    if random.below(2) == 0 {
        let rule = |prefix: &str, name: &str| MeasurementRule {
            prefix: prefix.to_owned(),
            name: name.to_owned(),
        };
        options.measurement_rules = vec![rule("node_cpu_", "cpu"), rule("h", "all h")];
        options.measurement_prefix = "p ".to_owned();
    }
    if random.below(2) == 0 {
        let rename = [("a", "b"), ("b", "job"), ("cpu", "le"), ("mode", "seconds_total")];
        let own = |(old, new): (&str, &str)| (old.to_owned(), new.to_owned());
        options.tags.rename = rename.into_iter().map(own).collect();
    }
    if random.below(2) == 0 {
        options.tags.drop = vec![pattern("zo?e"), pattern("d*")];
    }
    if random.below(2) == 0 {
        let label = |name: &'static str| Label { name: name.into(), value: "added, x".into() };
        options.tags.add = vec![label("a"), label("host"), label("zone")];
    }
}

/// What comes of a body, in whichever way.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    /// The lines; in the plain way, those before a mistake too.
    lines: String,
    line_count: u32,
    sample_count: u64,
    skipped: Skipped,
    error: Option<String>,
}

impl Outcome {
    fn of(converted: Result<Converted, Error>) -> Outcome {
        match converted {
            Ok(Converted { lines, line_count, sample_count, skipped, .. }) => {
                let lines = String::from_utf8(lines).unwrap();
                Outcome { lines, line_count, sample_count, skipped, error: None }
            }
            Err(error) => {
                let error = Some(without_cure(&error.to_string()).to_owned());
                Outcome { error, ..Outcome::default() }
            }
        }
    }
}

impl Outcome {
    /// Gives each field a line of its own.
    fn take_apart(&mut self) {
        let fields = lines::read(self.lines.as_bytes());
        self.lines = fields.iter().map(|field| field.with_now(None) + "\n").collect();
        self.line_count = 0;
    }
}

/// A field that came of one line, and what it was.
struct Field {
    family: String,
    part: Part,
    /// Measurement and tags.
    head: String,
    /// Key and value.
    field: String,
    time: String,
}

/// Converts each line alone, and joins what is next to each other as SPEC 2.2 says. Besides
/// the outcome it tells how many lines were read before a mistake.
fn plainly(setting: &Setting, body: &[u8]) -> (Outcome, usize) {
    let mut outcome = Outcome::default();
    let mut fields = Vec::new();
    let mut comments: Vec<u8> = Vec::new();
    let mut pusher = Pusher::new(OPTIONS);
    let mut read = 0;
    for line in body.split_inclusive(|byte| *byte == b'\n') {
        let alone = [&comments, line].concat();
        if setting.fresh == Fresh::EachLine {
            pusher = Pusher::new(OPTIONS);
        }
        match setting.convert(&mut pusher, &alone) {
            Ok(converted) => {
                outcome.sample_count += converted.sample_count;
                outcome.skipped.not_finite += converted.skipped.not_finite;
                outcome.skipped.bound_nan += converted.skipped.bound_nan;
                outcome.skipped.filtered += converted.skipped.filtered;
                fields.extend(field(setting, &alone, &converted.lines));
            }
            Err(error) => {
                let message = error.to_string();
                outcome.error = Some(moved_to_line(without_cure(&message), read + 1));
                break;
            }
        }
        // An empty line takes the place of a first line that is no comment: a mark of byte order
        // is one in the first line only.
        comments.extend_from_slice(if is_comment(line) { line } else { b"\n" });
        read += 1;
    }
    (outcome.lines, outcome.line_count) = joined(&fields);
    (outcome, read)
}

/// The message without what a known slip adds to it: that looks at the whole body.
fn without_cure(message: &str) -> &str {
    let cures = ["; the body is", "; its newlines are"];
    let end = cures.iter().find_map(|cure| message.find(cure)).unwrap_or(message.len());
    &message[..end]
}

fn is_comment(line: &[u8]) -> bool {
    let line = line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(line);
    line.trim_ascii_start().starts_with(b"#")
}

/// The same message for a mistake that is in another line.
fn moved_to_line(message: &str, number: usize) -> String {
    let place = message.strip_prefix("line ").and_then(|rest| rest.split_once(", "));
    let (_, rest) = place.unwrap_or_else(|| panic!("no line in {message:?}"));
    format!("line {number}, {rest}")
}

/// The field of a body with one sample; none where that has no line.
fn field(setting: &Setting, body: &[u8], written: &[u8]) -> Option<Field> {
    let line = std::str::from_utf8(written).unwrap().strip_suffix('\n')?;
    let [head, field, time] = lines::split(line, ' ')[..] else { panic!("{line:?}") };
    let may_join = field.contains("_sum=") || field.contains("_count=");
    let (family, part) = match may_join.then(|| family_and_part(setting, body)) {
        Some(found) => found,
        None => (String::new(), Part::Whole),
    };
    let [head, field, time] = [head, field, time].map(str::to_owned);
    Some(Field { family, part, head, field, time })
}

/// What the one sample of a body is.
fn family_and_part(setting: &Setting, body: &[u8]) -> (String, Part) {
    let mut found = Vec::new();
    exposition::read(body, setting.format, setting.input.endpoint.names, |sample| {
        found.push((sample.family.to_owned(), sample.part));
        Ok::<_, exposition::Error>(())
    })
    .unwrap();
    assert_eq!(found.len(), 1, "{}", body.escape_ascii());
    found.remove(0)
}

/// The lines, and how many: `_sum` and `_count` of one series that follow each other share one.
/// What has no line does not stand between them.
fn joined(fields: &[Field]) -> (String, u32) {
    let (mut lines, mut line_count) = (String::new(), 0);
    let mut rest = fields;
    while let [first, after @ ..] = rest {
        let Field { head, field, time, .. } = first;
        rest = after;
        line_count += 1;
        match after {
            [second, after @ ..] if are_pair(first, second) => {
                lines.push_str(&format!("{head} {field},{} {time}\n", second.field));
                rest = after;
            }
            _ => lines.push_str(&format!("{head} {field} {time}\n")),
        }
    }
    (lines, line_count)
}

fn are_pair(first: &Field, second: &Field) -> bool {
    let are_parts =
        matches!((first.part, second.part), (Part::Sum, Part::Count) | (Part::Count, Part::Sum));
    are_parts
        && first.family == second.family
        && first.head == second.head
        && first.time == second.time
}

/// Both ways: none where they agree, else what each found.
fn difference(setting: &Setting, pusher: &mut Pusher, body: &[u8]) -> Option<String> {
    let mut fast = Outcome::of(setting.convert(pusher, body));
    if std::str::from_utf8(body).is_err() {
        // The body is looked at as a whole before any of its lines.
        return fast.error.is_none().then(|| "a body that is not UTF-8 was taken".to_owned());
    }
    let (mut plain, read) = plainly(setting, body);
    if plain.error.is_some() {
        let before: Vec<u8> =
            body.split_inclusive(|byte| *byte == b'\n').take(read).flatten().copied().collect();
        if let Some(difference) = difference(setting, pusher, &before) {
            return Some(difference);
        }
        plain = Outcome { error: plain.error, ..Outcome::default() };
    }
    if setting.input.mapping.filter != Filter::default() {
        // Whether what is filtered out is between `_sum` and `_count` is not laid down.
        fast.take_apart();
        plain.take_apart();
    }
    (fast != plain).then(|| format!("together {fast:#?}\nalone {plain:#?}"))
}

/// The same for any body; `choice`, which is not the greatest number, chooses the rest of the push.
///
/// # Panics
/// With what each way found, where they differ.
pub(crate) fn assert_alone(choice: u64, body: &[u8]) {
    let setting = Setting::pick(&mut Random::new((choice + 1).wrapping_mul(SEED)));
    let found = difference(&setting, &mut Pusher::new(OPTIONS), body);
    assert_eq!(found, None, "{setting:?}\n{}", body.escape_ascii());
}

/// Takes away what does not matter to a difference: the least that still differs in a pusher that
/// has seen nothing before, where that shows it.
fn least(setting: &Setting, mut lines: Lines) -> Lines {
    let differs =
        |lines: &Lines| difference(setting, &mut Pusher::new(OPTIONS), &lines.concat()).is_some();
    let mut at = 0;
    while at < lines.len() {
        let mut fewer = lines.clone();
        fewer.remove(at);
        if differs(&fewer) {
            lines = fewer;
        } else {
            at += 1;
        }
    }
    lines
}

/// What a run compared, so that it is known to have compared something.
#[derive(Debug, Default)]
struct Tally {
    accepted: u64,
    refused: u64,
    lines: u64,
    joined: u64,
    skipped: u64,
}

impl Tally {
    fn count(&mut self, outcome: &Outcome) {
        self.refused += u64::from(outcome.error.is_some());
        self.accepted += u64::from(outcome.error.is_none());
        self.lines += u64::from(outcome.line_count);
        let Skipped { not_finite, bound_nan, filtered } = outcome.skipped;
        let skipped = not_finite + bound_nan + filtered;
        self.skipped += skipped;
        self.joined += outcome.sample_count - skipped - u64::from(outcome.line_count);
    }
}

fn case_count() -> u64 {
    match std::env::var("DIFFERENTIAL_CASES") {
        Ok(count) => count.parse().unwrap(),
        Err(_) => CASES,
    }
}

#[test]
fn similar_lines_become_what_each_becomes_alone() {
    let case_count = case_count();
    let mut tally = Tally::default();
    // One worker converts all of them, as it would.
    let mut pusher = Pusher::new(OPTIONS);
    for case in 1..=case_count {
        let mut random = Random::new(case.wrapping_mul(SEED));
        let setting = Setting::pick(&mut random);
        let mut lines = crate::similar::exposition(&mut random);
        crate::similar::damage(&mut random, &mut lines);
        let body = lines.concat();
        if let Some(found) = difference(&setting, &mut pusher, &body) {
            let least = least(&setting, lines).concat();
            let least_found = difference(&setting, &mut Pusher::new(OPTIONS), &least);
            panic!(
                "case {case}: {setting:?}\n{}\n{}\nof\n{}\n{found}",
                String::from_utf8_lossy(&least),
                least_found.unwrap_or_default(),
                String::from_utf8_lossy(&body),
            );
        }
        tally.count(&Outcome::of(setting.convert(&mut pusher, &body)));
    }
    println!("{case_count} bodies: {tally:?}");
    let Tally { accepted, refused, lines, joined, skipped } = tally;
    assert!(accepted > case_count / 2 && refused > case_count / 10);
    assert!(lines > 5 * case_count && joined > case_count / 3 && skipped > case_count);
}

#[test]
fn golden_bodies_become_what_each_of_their_lines_becomes_alone() {
    let mut count = 0;
    for case in crate::vectors::all().iter().filter(|case| case.body.len() < 20_000) {
        let is_text = !case.header("content-type").unwrap_or_default().contains("protobuf");
        if is_text && case.header("content-encoding").is_none() {
            count += 1;
            assert_alone(count, &case.body);
        }
    }
    assert!(count > 300, "only {count} bodies are text");
}
