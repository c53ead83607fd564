//! Sample → point: names, tags, timestamp, what is skipped (SPEC 2.1 to 2.3).
//!
//! A [`Mapper`] serves one push. It decides which names and tags a line has and in which order; how
//! they are written is the business of `line`. Names are cleaned here, since only clean names show
//! what clashes; the order of work is split, clean, resolve clashes (SPEC 5). Nothing is allocated
//! for a sample unless one of its tag keys must change.

use crate::sample::{Label, Part, Sample, Value};
use std::borrow::Cow;
use std::collections::HashSet;

/// Whether a sample's own timestamp is used (SPEC 2.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Timestamps {
    /// A sample's own time when it is above 0, else the time of the push.
    #[default]
    Honor,
    /// Always the time of the push.
    Ignore,
}

/// Which name the measurement gets (SPEC 2.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Measurement {
    /// Cut from the metric's name; the field is the rest of it.
    #[default]
    Cut,
    /// Cut from the metric's name; the field keeps the whole name (`keep_exist_metric_name`).
    CutAndKeep,
    /// The job of the push (`job_as_measurement`).
    Job,
    /// Always this one (`measurement_name`).
    Fixed(String),
}

/// What an input asks of its mapping.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Where the measurement's name comes from.
    pub measurement: Measurement,
    /// Whose time counts.
    pub timestamps: Timestamps,
}

/// What a push is besides its samples.
#[derive(Clone, Copy, Debug)]
pub struct Context<'p> {
    /// The options of its input.
    pub options: &'p Options,
    /// The job in its URL.
    pub job: &'p str,
    /// The labels in its URL, the job included, sorted by name, each name once. One with an empty
    /// value removes the body's label of that name.
    pub group: &'p [Label<'static>],
    /// When it was received, in nanoseconds since the Unix epoch.
    pub received_ns: i64,
}

/// Samples that have no line, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Skipped {
    /// The value is NaN or infinite.
    pub not_finite: u64,
    /// `le` or `quantile` is NaN.
    pub bound_nan: u64,
}

/// One field of one series at one time.
#[derive(Clone, Copy, Debug)]
pub struct Point<'m> {
    /// Clean, and never empty.
    pub measurement: &'m str,
    /// Clean; the field's key is this and `suffix`.
    pub field: &'m str,
    /// `_bucket`, `_sum`, `_count` or nothing.
    pub suffix: &'static str,
    /// The same for all points of one family that follow each other.
    pub family: u64,
    /// What the sample was.
    pub part: Part,
    /// The tags.
    pub tags: Tags<'m>,
    /// The value, finite.
    pub value: Value<'m>,
    /// Nanoseconds since the Unix epoch.
    pub timestamp_ns: i64,
}

/// The tags of a point, sorted by key in byte order, no key twice, no value empty.
#[derive(Clone, Copy, Debug)]
pub struct Tags<'m> {
    order: &'m [Entry],
    renamed: &'m [String],
    group: &'m [Label<'static>],
    labels: &'m [Label<'m>],
    part: Part,
}

/// The value of a tag.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TagValue<'m> {
    /// The value of the URL label at this index of [`Context::group`].
    Group(usize),
    /// Any text that is not empty.
    Text(&'m str),
    /// A number, to be written in the one canonical form of SPEC 2.2.
    Bound(f64),
}

/// Where a tag comes from, and its key where that changed.
#[derive(Clone, Copy, Debug)]
struct Entry {
    source: Source,
    /// An index of `renamed`.
    renamed: Option<usize>,
}

#[derive(Clone, Copy, Debug)]
enum Source {
    Group(usize),
    Label(usize),
    Bound,
}

/// Keys that consumers keep for themselves (SPEC 2.3).
const RESERVED_KEYS: [&str; 3] = ["_field", "_measurement", "time"];

/// Maps the samples of one push, one after the other.
#[derive(Debug)]
pub struct Mapper<'p> {
    context: Context<'p>,
    names: FamilyNames,
    /// The body's labels by name: indexes of the sample's labels.
    sorted: Vec<usize>,
    order: Vec<Entry>,
    renamed: Vec<String>,
    /// What `order` and `renamed` were worked out for.
    shape: Shape,
    /// What had no line so far.
    pub skipped: Skipped,
}

/// Everything that the order and the keys of tags depend on. The samples of a family stand together
/// and mostly have the same label names: then their tags need not be arranged again.
#[derive(Debug, Default)]
struct Shape {
    /// The number of the family; 0 for none.
    family: u64,
    suffix: &'static str,
    bound: Option<&'static str>,
    /// The names of the labels, one behind the other, and where each ends.
    label_names: String,
    ends: Vec<usize>,
}

/// The names of the family in hand.
#[derive(Debug, Default)]
struct FamilyNames {
    family: String,
    measurement: String,
    field: String,
    number: u64,
}

impl<'p> Mapper<'p> {
    /// A mapper for one push.
    pub fn new(context: Context<'p>) -> Mapper<'p> {
        Mapper {
            context,
            names: FamilyNames::default(),
            sorted: Vec::new(),
            order: Vec::new(),
            renamed: Vec::new(),
            shape: Shape::default(),
            skipped: Skipped::default(),
        }
    }

    /// The point of a sample; none where line protocol cannot say it, which is counted.
    pub fn map<'m>(&'m mut self, sample: &Sample<'m>) -> Option<Point<'m>> {
        if matches!(sample.part, Part::Bucket(bound) | Part::Quantile(bound) if bound.is_nan()) {
            self.skipped.bound_nan += 1;
            return None;
        }
        if matches!(sample.value, Value::Number(number) if !number.is_finite()) {
            self.skipped.not_finite += 1;
            return None;
        }
        self.names.set(sample.family, &self.context);
        let suffix = suffix(sample.part);
        self.arrange(sample, suffix);
        Some(Point {
            measurement: &self.names.measurement,
            field: &self.names.field,
            suffix,
            family: self.names.number,
            part: sample.part,
            tags: Tags {
                order: &self.order,
                renamed: &self.renamed,
                group: self.context.group,
                labels: sample.labels,
                part: sample.part,
            },
            value: sample.value,
            timestamp_ns: self.timestamp_ns(sample),
        })
    }

    fn timestamp_ns(&self, sample: &Sample<'_>) -> i64 {
        match (self.context.options.timestamps, sample.timestamp_ns) {
            (Timestamps::Honor, Some(own)) if own > 0 => own,
            _ => self.context.received_ns,
        }
    }

    /// Merges the labels of URL and body in the order of their keys; leaves out what is empty or
    /// overruled: the bound wins over the URL, the URL over the body.
    fn arrange(&mut self, sample: &Sample<'_>, suffix: &'static str) {
        let (group, labels) = (self.context.group, sample.labels);
        let bound = bound_key(sample.part);
        if self.shape.holds(self.names.number, suffix, bound, labels) {
            return;
        }
        self.shape.set(self.names.number, suffix, bound, labels);
        self.order.clear();
        self.renamed.clear();
        self.sorted.clear();
        self.sorted.extend(0..labels.len());
        let name_of = |index: &usize| labels.get(*index).map(|label| &*label.name);
        self.sorted.sort_unstable_by(|a, b| name_of(a).cmp(&name_of(b)));
        let mut bound_waits = bound;
        let mut of_group = group.iter().enumerate().peekable();
        let mut of_body =
            self.sorted.iter().filter_map(|at| Some((*at, labels.get(*at)?))).peekable();
        let mut must_rename = false;
        loop {
            let group_name = of_group.peek().map(|(_, label)| &*label.name);
            let body_name = of_body.peek().map(|(_, label)| &*label.name);
            let Some(key) = [group_name, body_name, bound_waits].into_iter().flatten().min() else {
                break;
            };
            let from_body = of_body.next_if(|(_, label)| label.name == key);
            let from_group = of_group.next_if(|(_, label)| label.name == key);
            let source = if bound == Some(key) {
                bound_waits = None;
                Some(Source::Bound)
            } else if let Some((index, label)) = from_group {
                (!label.value.is_empty()).then_some(Source::Group(index))
            } else {
                from_body
                    .filter(|(_, label)| !label.value.is_empty())
                    .map(|(index, _)| Source::Label(index))
            };
            if let Some(source) = source {
                must_rename |=
                    self.names.is_taken(key, suffix) || matches!(clean(key), Cow::Owned(_));
                self.order.push(Entry { source, renamed: None });
            }
        }
        if must_rename {
            self.rename(labels, bound, suffix);
        }
    }

    /// Gives every tag a clean key of its own: `_` is appended to a key that is reserved, that is
    /// the line's field, or that another tag has, again while it still clashes. Keys that are clean
    /// and free stay as they are.
    fn rename(&mut self, labels: &[Label<'_>], bound: Option<&str>, suffix: &str) {
        let group = self.context.group;
        let key_of = |source: Source| match source {
            Source::Group(index) => group.get(index).map_or("", |label| &label.name),
            Source::Label(index) => labels.get(index).map_or("", |label| &label.name),
            Source::Bound => bound.unwrap_or_default(),
        };
        let stays =
            |key: &str| !self.names.is_taken(key, suffix) && matches!(clean(key), Cow::Borrowed(_));
        let mut keys: HashSet<Cow<'_, str>> = self
            .order
            .iter()
            .map(|entry| key_of(entry.source))
            .filter(|key| stays(key))
            .map(Cow::Borrowed)
            .collect();
        for entry in &mut self.order {
            let key = key_of(entry.source);
            if stays(key) {
                continue;
            }
            let mut free = clean(key).into_owned();
            while self.names.is_taken(&free, suffix) || keys.contains(&*free) {
                free.push('_');
            }
            keys.insert(Cow::Owned(free.clone()));
            entry.renamed = Some(self.renamed.len());
            self.renamed.push(free);
        }
        let renamed = &self.renamed;
        let final_key = |entry: &Entry| match entry.renamed {
            Some(index) => renamed.get(index).map_or("", String::as_str),
            None => key_of(entry.source),
        };
        self.order.sort_unstable_by(|a, b| final_key(a).cmp(final_key(b)));
    }
}

impl Shape {
    /// Whether a sample has this shape. A label without a value is no tag: with one, nothing holds.
    fn holds(&self, family: u64, suffix: &str, bound: Option<&str>, labels: &[Label<'_>]) -> bool {
        let mut start = 0;
        self.family == family
            && self.suffix == suffix
            && self.bound == bound
            && self.ends.len() == labels.len()
            && self.ends.iter().zip(labels).all(|(end, label)| {
                let name = self.label_names.get(start..*end);
                start = *end;
                name == Some(&*label.name) && !label.value.is_empty()
            })
    }

    fn set(
        &mut self,
        family: u64,
        suffix: &'static str,
        bound: Option<&'static str>,
        labels: &[Label<'_>],
    ) {
        let has_empty = labels.iter().any(|label| label.value.is_empty());
        self.family = if has_empty { 0 } else { family };
        self.suffix = suffix;
        self.bound = bound;
        self.label_names.clear();
        self.ends.clear();
        for label in labels {
            self.label_names.push_str(&label.name);
            self.ends.push(self.label_names.len());
        }
    }
}

impl FamilyNames {
    /// Splits and cleans the name of a family, once while its samples follow each other.
    fn set(&mut self, family: &str, context: &Context<'_>) {
        if self.number > 0 && self.family == family {
            return;
        }
        let (measurement, field) = match &context.options.measurement {
            Measurement::Fixed(name) => (name.as_str(), family),
            Measurement::Job => (context.job, family),
            Measurement::Cut => (cut(family).measurement, cut(family).field),
            Measurement::CutAndKeep => (cut(family).measurement, cut(family).kept),
        };
        replace(&mut self.measurement, &clean(measurement));
        replace(&mut self.field, &clean(field));
        replace(&mut self.family, family);
        self.number += 1;
    }

    /// Whether no tag may have this key: it is reserved, or the field's.
    fn is_taken(&self, key: &str, suffix: &str) -> bool {
        key.strip_suffix(suffix) == Some(&self.field) || RESERVED_KEYS.contains(&key)
    }
}

fn replace(text: &mut String, by: &str) {
    text.clear();
    text.push_str(by);
}

fn suffix(part: Part) -> &'static str {
    match part {
        Part::Whole | Part::Quantile(_) => "",
        Part::Bucket(_) => "_bucket",
        Part::Sum => "_sum",
        Part::Count => "_count",
    }
}

fn bound_key(part: Part) -> Option<&'static str> {
    match part {
        Part::Bucket(_) => Some("le"),
        Part::Quantile(_) => Some("quantile"),
        Part::Whole | Part::Sum | Part::Count => None,
    }
}

/// The names that SPEC 2.1, 3 cuts from a metric's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cut<'n> {
    measurement: &'n str,
    field: &'n str,
    /// The field where the whole name is kept.
    kept: &'n str,
}

fn cut(name: &str) -> Cut<'_> {
    let name = name.trim_start_matches('_');
    let one = |name| Cut { measurement: name, field: name, kept: name };
    match name.split_once('_') {
        _ if name.is_empty() => one("unknown"),
        None => one(name),
        Some((measurement, "")) => one(measurement),
        Some((measurement, field)) => Cut { measurement, field, kept: name },
    }
}

/// A name as line protocol may have it (SPEC 2.4): control characters, `"` and `\` become `_`, a
/// leading `#` gets a `_` before it.
fn clean(name: &str) -> Cow<'_, str> {
    let is_unfit = |byte: u8| matches!(byte, 0..0x20 | 0x7f | b'"' | b'\\');
    if !name.starts_with('#') && !name.bytes().any(is_unfit) {
        return Cow::Borrowed(name);
    }
    let mut clean = String::with_capacity(name.len() + 1);
    if name.starts_with('#') {
        clean.push('_');
    }
    let unfit = |char: char| u8::try_from(char).is_ok_and(is_unfit);
    clean.extend(name.chars().map(|char| if unfit(char) { '_' } else { char }));
    Cow::Owned(clean)
}

impl<'m> Tags<'m> {
    /// Keys (clean, unescaped) and values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&'m str, TagValue<'m>)> {
        let Tags { order, renamed, group, labels, part } = *self;
        order.iter().filter_map(move |entry| {
            let (key, value) = match entry.source {
                Source::Group(index) => (&*group.get(index)?.name, TagValue::Group(index)),
                Source::Label(index) => {
                    let label = labels.get(index)?;
                    (&*label.name, TagValue::Text(&label.value))
                }
                Source::Bound => match part {
                    Part::Bucket(bound) => ("le", TagValue::Bound(bound)),
                    Part::Quantile(bound) => ("quantile", TagValue::Bound(bound)),
                    Part::Whole | Part::Sum | Part::Count => return None,
                },
            };
            let key = match entry.renamed {
                Some(index) => renamed.get(index)?.as_str(),
                None => key,
            };
            Some((key, value))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;
    use std::collections::BTreeMap;

    #[test]
    fn names_are_cut_at_their_first_underscore() {
        for (name, measurement, field, kept) in [
            ("disk_free_bytes", "disk", "free_bytes", "disk_free_bytes"),
            ("up", "up", "up", "up"),
            ("x", "x", "x", "x"),
            ("_x", "x", "x", "x"),
            ("x_", "x", "x", "x"),
            ("ab__", "ab", "_", "ab__"),
            ("ab__c", "ab", "_c", "ab__c"),
            ("__ab_c_", "ab", "c_", "ab_c_"),
            ("job:ab:rate5m", "job:ab:rate5m", "job:ab:rate5m", "job:ab:rate5m"),
            ("", "unknown", "unknown", "unknown"),
            ("___", "unknown", "unknown", "unknown"),
        ] {
            assert_eq!(cut(name), Cut { measurement, field, kept }, "{name}");
        }
    }

    #[test]
    fn names_are_clean() {
        for (name, want) in [
            ("plain", "plain"),
            ("#x", "_#x"),
            ("x#", "x#"),
            ("a\"b\\c\n\u{7f}", "a_b_c__"),
            ("日本", "日本"),
            ("a,b c=d", "a,b c=d"),
        ] {
            assert_eq!(clean(name), want);
        }
    }

    /// The tags of a sample, worked out as plainly as can be.
    fn plain_tags(
        group: &[Label<'_>],
        labels: &[Label<'_>],
        bound: Option<&str>,
        field: &str,
    ) -> BTreeMap<String, String> {
        let mut merged: BTreeMap<String, String> = BTreeMap::new();
        for label in labels.iter().chain(group) {
            merged.insert(label.name.to_string(), label.value.to_string());
        }
        if let Some(bound) = bound {
            merged.insert(bound.to_owned(), "bound".to_owned());
        }
        merged.retain(|_, value| !value.is_empty());
        let is_taken = |key: &str| key == field || RESERVED_KEYS.contains(&key);
        let (stay, change): (Vec<_>, Vec<_>) =
            merged.into_iter().partition(|(key, _)| !is_taken(key) && clean(key) == *key);
        let mut tags: BTreeMap<String, String> = stay.into_iter().collect();
        for (key, value) in change {
            let mut key = clean(&key).into_owned();
            while is_taken(&key) || tags.contains_key(&key) {
                key.push('_');
            }
            tags.insert(key, value);
        }
        tags
    }

    /// Up to so many labels, with names that clash in every way.
    fn pick(random: &mut Random, count: usize) -> Vec<Label<'static>> {
        const NAMES: [&str; 15] = [
            "a", "b", "job", "le", "le_", "time", "time_", "c", "c_", "c__", "c_sum", "_field",
            "x\"", "x_", "#z",
        ];
        let mut labels: Vec<Label<'static>> = Vec::new();
        for _ in 0..count {
            let name = Cow::Borrowed(NAMES[random.below(NAMES.len())]);
            let value = Cow::Borrowed(["", "1", "2"][random.below(3)]);
            if !labels.iter().any(|known| known.name == name) {
                labels.push(Label { name, value });
            }
        }
        labels
    }

    fn tags_of(point: &Point<'_>, group: &[Label<'_>]) -> Vec<(String, String)> {
        let text = |value| match value {
            TagValue::Group(index) => group[index].value.to_string(),
            TagValue::Text(text) => text.to_owned(),
            TagValue::Bound(_) => "bound".to_owned(),
        };
        point.tags.iter().map(|(key, value)| (key.to_owned(), text(value))).collect()
    }

    #[test]
    fn tags_are_merged_cleaned_and_freed_of_clashes_as_the_plain_way_does() {
        let mut random = Random::new(0x9e37_79b9_7f4a_7c15);
        let options = Options::default();
        for _ in 0..4000 {
            let mut group = pick(&mut random, 4);
            group.sort_by(|a, b| a.name.cmp(&b.name));
            let context = Context { options: &options, job: "j", group: &group, received_ns: 1 };
            let mut mapper = Mapper::new(context);
            let mut labels = pick(&mut random, 8);
            for _ in 0..8 {
                match random.below(3) {
                    0 => labels = pick(&mut random, 8),
                    // The same names with other values, empty ones among them.
                    _ => labels.iter_mut().for_each(|label| {
                        label.value = Cow::Borrowed(["", "1", "2", "3"][random.below(4)]);
                    }),
                }
                let part = [Part::Bucket(1.0), Part::Whole, Part::Sum][random.below(3)];
                let family = ["m_c", "m_time", "x_c"][random.below(3)];
                let value = Value::Number(1.0);
                let sample = Sample { family, part, labels: &labels, value, timestamp_ns: None };
                let point = mapper.map(&sample).unwrap();
                let field = format!("{}{}", point.field, point.suffix);
                let want = plain_tags(&group, &labels, bound_key(part), &field);
                let want: Vec<_> = want.into_iter().collect();
                assert_eq!(tags_of(&point, &group), want, "{group:?} {labels:?}");
            }
        }
    }

    #[test]
    fn what_line_protocol_cannot_say_is_skipped_and_counted() {
        let options = Options::default();
        let mut mapper =
            Mapper::new(Context { options: &options, job: "j", group: &[], received_ns: 7 });
        let sample = |part, value, timestamp_ns| Sample {
            family: "a_b",
            part,
            labels: &[],
            value: Value::Number(value),
            timestamp_ns,
        };
        assert!(mapper.map(&sample(Part::Whole, f64::NAN, None)).is_none());
        assert!(mapper.map(&sample(Part::Sum, f64::INFINITY, None)).is_none());
        assert!(mapper.map(&sample(Part::Quantile(f64::NAN), 1.0, None)).is_none());
        assert_eq!(mapper.skipped, Skipped { not_finite: 2, bound_nan: 1 });
        for (own, want) in [(None, 7), (Some(0), 7), (Some(-1), 7), (Some(5), 5)] {
            assert_eq!(mapper.map(&sample(Part::Whole, 1.0, own)).unwrap().timestamp_ns, want);
        }
    }
}
