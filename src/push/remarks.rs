//! A converted push → what a person who looks at its lines should know: samples without a line,
//! what is perhaps not meant, and lines of which a store keeps one (SPEC 2.3).
//!
//! Only dry runs and `pushline convert` ask, so nothing here is on the way of a push. Which lines
//! are one point is found by a hash of measurement, tags, field key and time, in 16 bytes a field;
//! two that differ have one hash in less than one of a million of the largest pushes. Why they are
//! one point, the samples tell that they were written for: whoever composes the stages reads the
//! body again for those few.

use super::mapping::{Doubtful, Skipped};
use super::sample::{Format, Label, Part, Quoted, Sample};
use crate::bytes::chunk;
use crate::limits::REMARKS_MAX;
use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

/// Two lines with a field of one point. They count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SamePoint {
    pub(super) second: u32,
    pub(super) first: u32,
}

/// The sample that a field of a line was written for.
#[derive(Clone, Debug)]
pub(super) struct WrittenSample {
    /// The key of the field.
    pub(super) field: String,
    /// The name of the sample.
    pub(super) name: String,
    /// Its labels, sorted.
    pub(super) labels: Vec<(String, String)>,
}

impl WrittenSample {
    pub(super) fn new(field: String, sample: &Sample<'_>) -> WrittenSample {
        let suffix = match sample.part {
            Part::Whole | Part::Quantile(_) => "",
            Part::Bucket(_) => "_bucket",
            Part::Sum => "_sum",
            Part::Count => "_count",
        };
        let pair = |label: &Label<'_>| (label.name.to_string(), label.value.to_string());
        let mut labels: Vec<_> = sample.labels.iter().map(pair).collect();
        labels.sort();
        WrittenSample { field, name: [sample.family, suffix].concat(), labels }
    }
}

/// What was written to the lines of pairs, by the number of the line.
pub(super) type SamplesByLine = HashMap<u32, Vec<WrittenSample>>;

/// What the counts of a push tell.
pub(super) fn of_counts(
    sample_count: u64,
    skipped: Skipped,
    doubtful: Doubtful,
    format: Format,
) -> Vec<String> {
    let Doubtful { labels_overruled, timestamps_implausible } = doubtful;
    let mut remarks = Vec::new();
    remarks.extend(of_skipped(sample_count, skipped));
    if timestamps_implausible > 0 {
        let unit = match format {
            Format::Text | Format::Protobuf => "an integer is milliseconds here, not seconds",
            Format::OpenMetrics => "a timestamp is seconds here",
        };
        let what = counted(timestamps_implausible, "timestamp");
        remarks.push(format!("{what} before 2000 or more than a day ahead: {unit}"));
    }
    if labels_overruled > 0 {
        let what = counted(labels_overruled, "label");
        remarks.push(format!("{what} overruled by the URL, which has another value"));
    }
    remarks
}

/// What a body without a sample is told that is nothing but one comment.
pub(super) fn of_body(body: &[u8], sample_count: u64) -> Option<String> {
    let what = "the body has no samples, it is one comment: were its newlines lost? \
                curl needs --data-binary";
    let text = body.trim_ascii();
    let is_one_comment = text.starts_with(b"#") && !text.contains(&b'\n');
    let holds_another = text.iter().filter(|byte| **byte == b'#').count() > 1;
    (sample_count == 0 && is_one_comment && holds_another).then(|| what.to_owned())
}

fn counted(count: u64, noun: &str) -> String {
    if count == 1 { format!("1 {noun} is") } else { format!("{count} {noun}s are") }
}

/// The samples without a line, by reason.
fn of_skipped(sample_count: u64, skipped: Skipped) -> Option<String> {
    let Skipped { not_finite, bound_nan, filtered } = skipped;
    let reasons = [
        (not_finite, "NaN or infinite"),
        (bound_nan, "with a NaN le or quantile"),
        (filtered, "filtered"),
    ];
    let reasons = reasons.iter().filter(|(count, _)| *count > 0);
    let reasons: Vec<_> = reasons.map(|(count, reason)| format!("{count} {reason}")).collect();
    let count = not_finite + bound_nan + filtered;
    let what = format!("{count} of {sample_count} samples skipped: {}", reasons.join(", "));
    (count > 0).then_some(what)
}

/// The pairs of lines that a store takes for one point, each line with the first of its point, and
/// how many more there are than [`REMARKS_MAX`].
pub(super) fn same_points(lines: &[u8]) -> (Vec<SamePoint>, usize) {
    let hashes = RandomState::new();
    let mut fields: Vec<(u64, u32)> = Vec::new();
    let mut rest = lines;
    for number in 1.. {
        let Some(len) = chunk::find(rest, |chunk| chunk.equal(b'\n')) else { break };
        let (line, after) = rest.split_at(len);
        rest = after.get(1..).unwrap_or_default();
        let Some((series, values, time)) = parts(line) else { continue };
        for field in split(values, b',') {
            let key = split(field, b'=').next();
            fields.push((hashes.hash_one((series, key, time)), number));
        }
    }
    fields.sort_unstable();
    let mut pairs = Vec::new();
    for of_one_point in fields.chunk_by(|one, next| one.0 == next.0) {
        if let [(_, first), others @ ..] = of_one_point {
            pairs.extend(
                others.iter().map(|(_, second)| SamePoint { first: *first, second: *second }),
            );
        }
    }
    pairs.sort_unstable();
    pairs.dedup();
    let more = pairs.len().saturating_sub(REMARKS_MAX);
    pairs.truncate(REMARKS_MAX);
    (pairs, more)
}

/// Measurement with tags, fields, and time of a line. They are looked for from its end, since most
/// of a line is its tags; neither fields nor time have a bare blank.
fn parts(line: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let is_blank = |byte: &u8| *byte == b' ';
    let time_start = line.iter().rposition(is_blank)?;
    let (before, time) = line.split_at(time_start);
    let mut fields_start = before.iter().rposition(is_blank)?;
    while fields_start > 0 && before.get(fields_start - 1) == Some(&b'\\') {
        fields_start = before.get(..fields_start)?.iter().rposition(is_blank)?;
    }
    let (series, fields) = before.split_at(fields_start);
    Some((series, fields.get(1..)?, time))
}

/// The parts between separators that no backslash escapes.
fn split(text: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let mut is_escaped = false;
    text.split(move |byte| {
        let was_escaped = std::mem::replace(&mut is_escaped, *byte == b'\\');
        *byte == separator && !was_escaped
    })
}

/// Tells of two lines that are one point, and why, where their samples tell. `group` are the labels
/// of the URL, sorted.
pub(super) fn of_same_point(
    pair: SamePoint,
    samples: &SamplesByLine,
    group: &[Label<'static>],
) -> String {
    let SamePoint { first, second } = pair;
    let reason = reason(pair, samples, group).unwrap_or_default();
    format!(
        "lines {first} and {second} are one point: same measurement, tags, field and time{reason}"
    )
}

fn reason(pair: SamePoint, samples: &SamplesByLine, group: &[Label<'static>]) -> Option<String> {
    let first = samples.get(&pair.first)?;
    let mut second = samples.get(&pair.second)?.iter();
    let (first, second) = second.find_map(|second| {
        Some((first.iter().find(|first| first.field == second.field)?, second))
    })?;
    if first.name != second.name {
        let (first, second) = (Quoted(first.name.as_bytes()), Quoted(second.name.as_bytes()));
        return Some(format!("; the names {first} and {second} are cut alike"));
    }
    if first.labels == second.labels {
        return Some("; the body has this sample twice".to_owned());
    }
    let is_of_url = |name: &str| group.binary_search_by(|label| (*label.name).cmp(name)).is_ok();
    let differs = |(name, _): &&(String, String)| {
        let value = |sample: &WrittenSample| {
            sample.labels.iter().find(|label| label.0 == *name).map(|label| label.1.clone())
        };
        is_of_url(name) && value(first) != value(second)
    };
    let (name, _) = first.labels.iter().chain(&second.labels).find(differs)?;
    Some(format!("; the URL overrules their label {}", Quoted(name.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(lines: &str) -> Vec<(u32, u32)> {
        let (pairs, more) = same_points(lines.as_bytes());
        assert_eq!(more, 0);
        pairs.iter().map(|pair| (pair.first, pair.second)).collect()
    }

    #[test]
    fn lines_with_one_series_field_and_time_are_one_point() {
        for (lines, want) in [
            ("", &[][..]),
            ("m f=1 1\n", &[]),
            ("m f=1 1\nm f=2 1\n", &[(1, 2)]),
            ("m f=1 1\nm f=1 2\n", &[]),
            ("m f=1 1\nm g=1 1\n", &[]),
            ("m,a=1 f=1 1\nm,a=2 f=1 1\n", &[]),
            ("m f=1 1\nx f=1 1\nm f=2 1\nm f=3 1\n", &[(1, 3), (1, 4)]),
            ("s s_sum=1,s_count=2 1\ns s_count=3 1\n", &[(1, 2)]),
            ("s s_sum=1,s_count=2 1\ns s_sum=1,s_count=2 1\n", &[(1, 2)]),
            ("m,a=x\\ y f=1 1\nm,a=x\\ y f=2 1\nm,a=x\\ z f=2 1\n", &[(1, 2)]),
            ("m f\\,g=1 1\nm f=1 1\nm f\\==1 1\nm f\\ =1 1\n", &[]),
            // The last backslash of a value does not escape what follows its separator.
            ("m,a=x\\y,b=1 f=1 1\nm,a=x\\y,b=2 f=1 1\n", &[]),
        ] {
            assert_eq!(pairs(lines), want, "{lines:?}");
        }
    }

    #[test]
    fn pairs_are_told_up_to_a_bound_and_the_rest_is_counted() {
        let lines = "m f=1 1\n".repeat(REMARKS_MAX + 6);
        let (pairs, more) = same_points(lines.as_bytes());
        assert_eq!((pairs.len(), more), (REMARKS_MAX, 5));
        assert_eq!(pairs[1], SamePoint { first: 1, second: 3 });
    }
}
