use super::names::{RESERVED_KEYS, clean};
use super::*;
use crate::random::Random;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::mem::Discriminant;

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
        "a", "b", "job", "le", "le_", "time", "time_", "c", "c_", "c__", "c_sum", "_field", "x\"",
        "x_", "#z",
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
    point.tags().map(|tag| (tag.key.to_owned(), text(tag.value))).collect()
}

/// What samples that are alike have in common: family, kind of part, names of labels.
type Likeness = (&'static str, Discriminant<Part>, Vec<Cow<'static, str>>);

/// Samples that have much in common with the one before, as those of a push have.
struct Samples {
    random: Random,
    labels: Vec<Label<'static>>,
    part: Part,
    family: &'static str,
    /// The labels of the sample before.
    before: Vec<Label<'static>>,
    /// What the sample before has to have in common with one that is like it.
    alike: Option<Likeness>,
}

impl Samples {
    fn new(random: Random) -> Samples {
        let (labels, before) = (Vec::new(), Vec::new());
        Samples { random, labels, part: Part::Whole, family: "m_c", before, alike: None }
    }

    /// Begins a push; its URL has these labels.
    fn begin(&mut self) -> Vec<Label<'static>> {
        let mut group = pick(&mut self.random, 4);
        group.sort_by(|a, b| a.name.cmp(&b.name));
        self.labels = pick(&mut self.random, 8);
        (self.part, self.family) = (Part::Whole, "m_c");
        (self.before, self.alike) = (Vec::new(), None);
        group
    }

    /// Changes some of what the next sample has.
    fn change(&mut self) {
        let random = &mut self.random;
        if random.below(4) == 0 {
            self.labels = pick(random, 8);
        }
        // The same names, but from some label on other values, empty ones among them.
        let changed_from = random.below(16);
        for label in self.labels.iter_mut().skip(changed_from) {
            label.value = Cow::Borrowed(["", "1", "2", "3"][random.below(4)]);
        }
        if random.below(3) == 0 {
            self.family = ["m_c", "m_time", "x_c"][random.below(3)];
            self.part = [Part::Bucket(1.0), Part::Whole][random.below(2)];
        } else if random.below(2) == 0 {
            self.part = [Part::Sum, Part::Count][random.below(2)];
        }
    }

    /// The next sample. What it says of the one before is true, but not always all of it.
    fn next(&mut self) -> Sample<'_> {
        self.change();
        let Samples { random, labels, part, family, before, alike } = self;
        let value = Value::Number([1.0, f64::NAN][random.below(8) / 7]);
        let kept = labels.iter().zip(&*before).take_while(|(now, before)| now == before).count();
        let kept = if random.below(4) == 0 { random.below(kept + 1) } else { kept };
        before.clone_from(labels);
        let names = labels.iter().map(|label| label.name.clone()).collect();
        let now = Some((*family, std::mem::discriminant(part), names));
        let is_alike = now == *alike && random.below(4) > 0;
        *alike = now;
        let (family, part) = (*family, *part);
        Sample { family, part, labels, kept, is_alike, value, timestamp_ns: None }
    }
}

/// Points of one push, each held to what it says of the ones before it.
#[derive(Default)]
struct Points {
    /// Of each kind: its number and its tags.
    last_of_kind: [(u64, Vec<(String, String)>); KINDS],
    last: Option<(String, Vec<(String, String)>)>,
    /// Tags that were said not to have changed.
    in_common: usize,
    /// Points that were said to have the tags of the one before.
    same_tags: usize,
}

impl Points {
    fn check(&mut self, family: &str, point: &Point<'_>, tags: Vec<(String, String)>) {
        let now = (family.to_owned(), tags);
        if point.has_tags_of_last {
            self.same_tags += 1;
            assert_eq!(Some(&now), self.last.as_ref());
        }
        let (last_number, last) = &self.last_of_kind[point.kind()];
        if *last_number == point.number() {
            for ((now, last), tag) in now.1.iter().zip(last).zip(point.tags()) {
                let changed = point.changed(tag.source);
                assert_eq!(now.0, last.0);
                assert!(changed.map_or(now == last, |changed| changed == tag.value));
                self.in_common += usize::from(changed.is_none());
            }
            assert_eq!(now.1.len(), last.len());
        }
        self.last_of_kind[point.kind()] = (point.number(), now.1.clone());
        self.last = Some(now);
    }
}

#[test]
fn tags_are_merged_cleaned_and_freed_of_clashes_as_the_plain_way_does() {
    let mut samples = Samples::new(Random::new(0x9e37_79b9_7f4a_7c15));
    let options = Options::default();
    let mut mapper = Mapper::default();
    let (mut in_common, mut same_tags) = (0, 0);
    for _ in 0..4000 {
        let group = samples.begin();
        let context = Context { options: &options, job: "j", group: &group, received_ns: 1 };
        let mut mapping = mapper.begin(context);
        let mut points = Points::default();
        for _ in 0..8 {
            let sample = samples.next();
            let Some(point) = mapping.map(&sample) else { continue };
            let field = format!("{}{}", point.field(), point.suffix());
            let want = plain_tags(&group, sample.labels, bound_key(sample.part), &field);
            let tags = tags_of(&point, &group);
            assert_eq!(tags, want.into_iter().collect::<Vec<_>>(), "{group:?} {sample:?}");
            points.check(sample.family, &point, tags);
        }
        in_common += points.in_common;
        same_tags += points.same_tags;
    }
    assert!(in_common > 300 && same_tags > 10, "{in_common} {same_tags}");
}

#[test]
fn what_line_protocol_cannot_say_is_skipped_and_counted() {
    let options = Options::default();
    let mut mapper = Mapper::default();
    let context = Context { options: &options, job: "j", group: &[], received_ns: 7 };
    let mut mapping = mapper.begin(context);
    let sample = |part, value, timestamp_ns| Sample {
        family: "a_b",
        part,
        labels: &[],
        kept: 0,
        is_alike: false,
        value: Value::Number(value),
        timestamp_ns,
    };
    assert!(mapping.map(&sample(Part::Whole, f64::NAN, None)).is_none());
    assert!(mapping.map(&sample(Part::Sum, f64::INFINITY, None)).is_none());
    assert!(mapping.map(&sample(Part::Quantile(f64::NAN), 1.0, None)).is_none());
    assert_eq!(mapping.skipped, Skipped { not_finite: 2, bound_nan: 1 });
    for (own, want) in [(None, 7), (Some(0), 7), (Some(-1), 7), (Some(5), 5)] {
        assert_eq!(mapping.map(&sample(Part::Whole, 1.0, own)).unwrap().timestamp_ns, want);
    }
}
