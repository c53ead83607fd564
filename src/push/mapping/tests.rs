use super::names::{RESERVED_KEYS, clean};
use super::tags::{TagSource, bound_key};
use super::*;
use crate::push::exposition::delta::{Delta, Kept, Likeness};
use crate::push::sample::{Label, Part, Sample, Value};
use crate::testing::random::Random;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::mem::Discriminant;

/// The labels of the URL or of the body, renamed and dropped as plainly as can be.
fn plain_labels(rules: &TagRules, labels: &[Label<'_>]) -> BTreeMap<String, String> {
    let is_renamed =
        |label: &&Label<'_>| rules.rename.get(&*label.name).is_some_and(|new| *new != label.name);
    let (mut renamed, stay): (Vec<_>, Vec<_>) = labels.iter().partition(is_renamed);
    renamed.sort_by(|a, b| b.name.cmp(&a.name));
    // Each takes the name from those before it, unless it has no value.
    let mut merged: BTreeMap<String, String> = BTreeMap::new();
    for label in renamed.into_iter().chain(stay) {
        let name = rules.rename.get(&*label.name).map_or(&*label.name, |new| new);
        let value = merged.entry(name.to_owned()).or_default();
        if !label.value.is_empty() {
            *value = label.value.to_string();
        }
    }
    merged.retain(|name, _| !rules.drop.iter().any(|pattern| pattern.matches(name)));
    merged
}

/// The tags of a sample, worked out as plainly as can be.
fn plain_tags(
    rules: &TagRules,
    [group, labels]: [&[Label<'_>]; 2],
    bound: Option<&str>,
    field: &str,
) -> BTreeMap<String, String> {
    let mut labels = labels.to_vec();
    labels.retain(|label| bound != Some(&*label.name));
    let mut merged = plain_labels(rules, &labels);
    merged.extend(plain_labels(rules, group));
    if let Some(bound) = bound {
        merged.insert(bound.to_owned(), "bound".to_owned());
    }
    merged.retain(|_, value| !value.is_empty());
    for label in &rules.add {
        merged.entry(label.name.to_string()).or_insert_with(|| label.value.to_string());
    }
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
        let value = ["", "1", "2"][random.below(3)].into();
        if !labels.iter().any(|known| known.name == name) {
            labels.push(Label { name, value });
        }
    }
    labels
}

fn tags_of(point: &Point<'_>, group: &[Label<'_>]) -> Vec<(String, String)> {
    let text = |value| match value {
        TagValue::Group(index) => group[index].value.to_string(),
        TagValue::Text(text) => text.to_string(),
        TagValue::Bound(_) => "bound".to_owned(),
    };
    let key = |key: TagKey<'_>| format!("{}{}", key.text, "_".repeat(key.underscores));
    point.series.tags().map(|tag| (key(tag.key), text(tag.value))).collect()
}

/// What samples of one shape have in common: kind of part, names of labels.
type Shape = (Discriminant<Part>, Vec<Cow<'static, str>>);

/// When the pushes are received.
const NOW_NS: i64 = 1_700_000_000_000_000_000;
const DAY_NS: i64 = 86_400_000_000_000;

/// Samples that have much in common with the one before, as those of a push have.
struct Samples {
    random: Random,
    labels: Vec<Label<'static>>,
    part: Part,
    family: &'static str,
    /// The labels of the sample before.
    before: Vec<Label<'static>>,
    last_shape: Option<Shape>,
    last_family: Option<&'static str>,
}

impl Samples {
    fn new(random: Random) -> Samples {
        let (labels, before) = (Vec::new(), Vec::new());
        let (part, family) = (Part::Whole, "m_c");
        Samples { random, labels, part, family, before, last_shape: None, last_family: None }
    }

    /// Begins a push; its URL has these labels.
    fn begin(&mut self) -> Vec<Label<'static>> {
        let mut group = pick(&mut self.random, 4);
        group.sort_by(|a, b| a.name.cmp(&b.name));
        self.labels = pick(&mut self.random, 8);
        // Names that nothing clashes with, so that the tags of many samples are those before.
        if self.random.below(3) == 0 {
            let is_tame = |label: &Label<'_>| matches!(&*label.name, "a" | "b" | "job" | "le");
            group.retain(is_tame);
            self.labels.retain(is_tame);
        }
        (self.part, self.family) = (Part::Whole, "m_c");
        (self.before, self.last_shape, self.last_family) = (Vec::new(), None, None);
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
            label.value = ["", "1", "2", "3"][random.below(4)].into();
        }
        if random.below(3) == 0 {
            self.family = ["m_c", "m_time", "x_c"][random.below(3)];
            self.part = [Part::Bucket(1.0), Part::Whole][random.below(2)];
        } else if random.below(2) == 0 {
            self.part = [Part::Sum, Part::Count][random.below(2)];
        }
    }

    /// The next sample. What its delta says of the one before is true, but not always all of it.
    fn next(&mut self) -> (Sample<'_>, Delta) {
        self.change();
        let Samples { random, labels, part, family, before, last_shape, last_family } = self;
        let value = Value::Number([1.0, f64::NAN][random.below(8) / 7]);
        let kept = labels.iter().zip(&*before).take_while(|(now, before)| now == before).count();
        let kept = if random.below(4) == 0 { random.below(kept + 1) } else { kept };
        let has_values = labels.iter().zip(&*before).all(|(now, before)| {
            now == before || !now.value.is_empty() && !before.value.is_empty()
        });
        before.clone_from(labels);
        let names = labels.iter().map(|label| label.name.clone()).collect();
        let shape = Some((std::mem::discriminant(part), names));
        let is_alike = shape == *last_shape && has_values && random.below(4) > 0;
        *last_shape = shape;
        let has_last_family = *last_family == Some(*family) && random.below(16) > 0;
        *last_family = Some(*family);
        let times = [0, 1, 946_684_799_999_999_999, 946_684_800_000_000_000, NOW_NS + DAY_NS];
        let times = times.map(Some).into_iter().chain([Some(NOW_NS + DAY_NS + 1), None, None]);
        let timestamp_ns = times.collect::<Vec<_>>()[random.below(8)];
        let likeness = match (is_alike, has_last_family) {
            (true, true) => Likeness::Family,
            (true, false) => Likeness::Shape,
            (false, _) => Likeness::Unknown,
        };
        let (family, part) = (*family, *part);
        let sample = Sample { family, part, labels, value, timestamp_ns };
        (sample, Delta { kept: Kept::first(kept), likeness })
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
        if point.is_of_last_series {
            self.same_tags += 1;
            assert_eq!(Some(&now), self.last.as_ref());
        }
        let (last_number, last) = &self.last_of_kind[point.series.kind()];
        if *last_number == point.series.number() {
            for ((now, last), tag) in now.1.iter().zip(last).zip(point.series.tags()) {
                let changed = changed(&point.series, tag.source);
                assert_eq!(now.0, last.0);
                assert!(changed.map_or(now == last, |changed| changed == tag.value));
                self.in_common += usize::from(changed.is_none());
            }
            assert_eq!(now.1.len(), last.len());
        }
        self.last_of_kind[point.series.kind()] = (point.series.number(), now.1.clone());
        self.last = Some(now);
    }
}

/// The value of a tag that may have changed.
fn changed<'m>(series: &Series<'m>, source: TagSource) -> Option<TagValue<'m>> {
    match source {
        TagSource::Bound => series.bound().map(TagValue::Bound),
        _ => source
            .label()
            .filter(|index| !series.kept.has(*index))
            .map(|index| TagValue::Text(&series.labels[index].value)),
    }
}

/// Measurement and field of a family that is cut where no rule names it.
fn plain_names(options: &MappingOptions, family: &str) -> (String, String) {
    let mut rules = options.measurement_rules.iter();
    let rule = rules.find(|rule| family.starts_with(&rule.prefix));
    let (name, rest) = match rule {
        Some(rule) => (&*rule.name, family.split_at(rule.prefix.len()).1),
        None => family.split_once('_').unwrap(),
    };
    let field = if rest.is_empty() { family } else { rest };
    (format!("{}{name}", options.measurement_prefix), field.to_owned())
}

/// What was seen in some pushes.
#[derive(Default)]
struct Seen {
    points: usize,
    in_common: usize,
    same_tags: usize,
    filtered: u64,
    time_fields: usize,
    overruled: u64,
}

/// Maps one push of samples and holds every point to the plain way.
fn check_push(
    samples: &mut Samples,
    mapper: &mut Mapper,
    options: &MappingOptions,
    seen: &mut Seen,
) {
    let group = samples.begin();
    let context = Context { options, job: "j", group: &group, received_ns: NOW_NS };
    let mut mapping = mapper.begin(context);
    let (mut points, mut skipped) = (Points::default(), Skipped::default());
    let mut doubtful = Doubtful::default();
    for _ in 0..8 {
        let (sample, delta) = samples.next();
        let matches = |pattern: &Pattern| pattern.matches(sample.family);
        let Filter { allow, deny } = &options.filter;
        let is_kept = (allow.is_empty() || allow.iter().any(matches)) && !deny.iter().any(matches);
        let is_finite = matches!(sample.value, Value::Number(number) if number.is_finite());
        skipped.filtered += u64::from(!is_kept);
        skipped.not_finite += u64::from(is_kept && !is_finite);
        let point = mapping.map(&sample, delta);
        assert_eq!(point.is_some(), is_kept && is_finite, "{sample:?}");
        let Some(point) = point else { continue };
        let own = sample.timestamp_ns.filter(|time| *time > 0);
        assert_eq!(point.timestamp_ns, own.unwrap_or(NOW_NS));
        doubtful.timestamps_implausible += u64::from(
            own.is_some_and(|time| !(946_684_800_000_000_000..=NOW_NS + DAY_NS).contains(&time)),
        );
        let overrules = |label: &&Label<'_>| {
            let is_bound = bound_key(sample.part) == Some(&*label.name);
            let mut of_url = group.iter().filter(|of_url| of_url.name == label.name);
            !is_bound && !label.value.is_empty() && of_url.any(|url| url.value != label.value)
        };
        doubtful.labels_overruled += sample.labels.iter().filter(overrules).count() as u64;
        let (measurement, field) = plain_names(options, sample.family);
        assert_eq!((point.series.measurement(), point.series.field()), (&*measurement, &*field));
        let suffix = match sample.part {
            Part::Whole | Part::Quantile(_) if field == "time" => "_",
            Part::Whole | Part::Quantile(_) => "",
            Part::Bucket(_) => "_bucket",
            Part::Sum => "_sum",
            Part::Count => "_count",
        };
        assert_eq!(point.series.suffix(), suffix);
        seen.time_fields += usize::from(suffix == "_");
        let field = format!("{field}{suffix}");
        let labels = [&*group, sample.labels];
        let want = plain_tags(&options.tags, labels, bound_key(sample.part), &field);
        let tags = tags_of(&point, &group);
        let want: Vec<_> = want.into_iter().collect();
        assert_eq!(tags, want, "{options:?} {group:?} {sample:?}");
        points.check(sample.family, &point, tags);
        seen.points += 1;
    }
    assert_eq!(mapping.skipped, skipped);
    assert_eq!(mapping.doubtful, doubtful);
    seen.overruled += doubtful.labels_overruled;
    seen.filtered += skipped.filtered;
    seen.in_common += points.in_common;
    seen.same_tags += points.same_tags;
}

#[test]
fn tags_are_merged_cleaned_and_freed_of_clashes_as_the_plain_way_does() {
    let mut samples = Samples::new(Random::new(0x9e37_79b9_7f4a_7c15));
    let (options, mut mapper, mut seen) =
        (MappingOptions::default(), Mapper::default(), Seen::default());
    for _ in 0..4000 {
        check_push(&mut samples, &mut mapper, &options, &mut seen);
    }
    let Seen { in_common, same_tags, filtered, time_fields, .. } = seen;
    assert!(in_common > 300 && same_tags > 10, "{in_common} {same_tags}");
    assert!(time_fields > 300, "only {time_fields} fields would be called time");
    assert!(seen.overruled > 1000, "only {} labels are overruled", seen.overruled);
    assert_eq!(filtered, 0);
}

/// Up to two of these patterns.
fn pick_patterns(random: &mut Random, patterns: &[&str]) -> Vec<Pattern> {
    let count = random.below(3);
    let picked = (0..count).map(|_| patterns[random.below(patterns.len())]);
    picked.map(|pattern| Pattern::new(pattern.to_owned())).collect()
}

/// Rules that meet the samples in every way.
fn pick_rules(random: &mut Random) -> MappingOptions {
    let rename = pick(random, 3).into_iter().zip(pick(random, 3));
    let rename = rename.map(|(old, new)| (old.name.into_owned(), new.name.into_owned())).collect();
    let mut add = pick(random, 3);
    add.retain(|label| !label.value.is_empty());
    add.sort_by(|a, b| a.name.cmp(&b.name));
    let rule = |(prefix, name): (&str, &str)| {
        let (prefix, name) = (prefix.to_owned(), name.to_owned());
        MeasurementRule { prefix, name }
    };
    let rules = [("m_c", "one"), ("m_", "all"), ("x", "rest"), ("z", "never")];
    MappingOptions {
        filter: Filter {
            allow: pick_patterns(random, &["m_*", "*_c", "m_time", "?_c", "*"]),
            deny: pick_patterns(random, &["x*", "m_time", "*z*", "?"]),
        },
        measurement_rules: rules.into_iter().skip(random.below(5)).map(rule).collect(),
        measurement_prefix: ["", "p_"][random.below(2)].to_owned(),
        tags: TagRules {
            rename,
            drop: pick_patterns(random, &["a", "?", "c*", "*_", "le", "time", "_field", "job"]),
            add,
        },
        ..MappingOptions::default()
    }
}

#[test]
fn samples_are_filtered_and_tags_renamed_dropped_and_added_as_the_plain_way_does() {
    let mut samples = Samples::new(Random::new(0xd1b5_4a32_d192_ed03));
    let mut random = Random::new(0x8cb9_2ba7_2f3d_8dd7);
    let (mut mapper, mut seen) = (Mapper::default(), Seen::default());
    for _ in 0..8000 {
        let options = pick_rules(&mut random);
        check_push(&mut samples, &mut mapper, &options, &mut seen);
    }
    let Seen { points, in_common, same_tags, filtered, .. } = seen;
    assert!(points > 10_000 && filtered > 10_000, "{points} {filtered}");
    assert!(in_common > 600 && same_tags > 10, "{in_common} {same_tags}");
}

/// The tags of a sample under rules, as a line would have them.
fn tags_under(rules: TagRules, part: Part, url: &str, body: &str) -> String {
    let labels = |text: &str| -> Vec<Label<'static>> {
        let pairs = text.split_whitespace().map(|pair| pair.split_once('=').unwrap());
        let label = |(name, value): (&str, &str)| Label {
            name: Cow::Owned(name.to_owned()),
            value: value.to_owned().into(),
        };
        pairs.map(label).collect()
    };
    let (group, labels) = (labels(url), labels(body));
    let options = MappingOptions { tags: rules, ..MappingOptions::default() };
    let mut mapper = Mapper::default();
    let context = Context { options: &options, job: "j", group: &group, received_ns: 7 };
    let mut mapping = mapper.begin(context);
    let sample = Sample {
        family: "m_f",
        part,
        labels: &labels,
        value: Value::Number(1.0),
        timestamp_ns: None,
    };
    let tags = tags_of(&mapping.map(&sample, Delta::UNKNOWN).unwrap(), &group);
    let tags: Vec<_> = tags.iter().map(|(key, value)| format!("{key}={value}")).collect();
    tags.join(" ")
}

#[test]
fn who_wins_where_rules_give_two_labels_one_name() {
    let (whole, bucket) = (Part::Whole, Part::Bucket(1.0));
    for (rename, drop, add, part, url, body, want) in [
        ("a=b", "", "", whole, "", "a=1", "b=1"),
        ("a=b", "", "", whole, "a=1", "", "b=1"),
        // The URL wins over the body, the own name over a new one, the first old name over others.
        ("a=b", "", "", whole, "a=1", "b=2", "b=1"),
        ("a=b", "", "", whole, "b=1", "a=2", "b=1"),
        ("a=b", "", "", whole, "", "a=1 b=2", "b=2"),
        ("a=b", "", "", whole, "a=1 b=2", "", "b=2"),
        ("x=n y=n", "", "", whole, "", "y=1 x=2", "n=2"),
        // Without a value a label is as good as absent, but that of a URL takes the body's away.
        ("a=b", "", "", whole, "", "a=1 b=", "b=1"),
        ("a=b", "", "", whole, "", "a= b=2", "b=2"),
        ("a=b", "", "", whole, "a=1 b=", "", "b=1"),
        ("a=b", "", "", whole, "a=", "b=2", ""),
        // A label is renamed once.
        ("a=b b=a", "", "", whole, "", "a=1 b=2", "a=2 b=1"),
        ("a=b b=c", "", "", whole, "", "a=1", "b=1"),
        // It is dropped by its new name.
        ("a=b", "a", "", whole, "", "a=1 c=3", "b=1 c=3"),
        ("a=b", "b", "", whole, "", "a=1 c=3", "c=3"),
        ("", "j*", "", whole, "job=j", "c=3 jar=1", "c=3"),
        // An added tag comes last, and is never dropped.
        ("", "", "a=9", whole, "", "a=1", "a=1"),
        ("", "", "a=9", whole, "a=1", "", "a=1"),
        ("x=a", "", "a=9", whole, "", "x=1", "a=1"),
        ("", "", "a=9", whole, "a=", "a=1", "a=9"),
        ("", "", "a=9", whole, "", "a=", "a=9"),
        ("", "a", "a=9", whole, "", "a=1", "a=9"),
        ("", "*", "a=9", whole, "job=j", "b=1", "a=9"),
        // New and added keys are cleaned and freed of clashes like all others.
        ("a=time", "", "f=9", whole, "", "a=1", "f_=9 time_=1"),
        ("a=x\"y", "", "", whole, "", "a=1 x_y=2", "x_y=2 x_y_=1"),
        // The bound is no label, but a label of that name is one where there is no bound.
        ("le=b", "le", "le=9", bucket, "", "le=1 c=3", "c=3 le=bound"),
        ("le=b", "", "", bucket, "le=u", "le=1", "b=u le=bound"),
        ("c=le", "", "", bucket, "", "c=3 le=1", "le=bound"),
        ("le=b", "", "", whole, "", "le=1", "b=1"),
        ("", "le", "", whole, "", "le=1 c=3", "c=3"),
        ("", "le", "", Part::Sum, "", "le=1 c=3", "c=3"),
    ] {
        let pairs =
            |text: &'static str| text.split_whitespace().map(|pair| pair.split_once('=').unwrap());
        let label = |(name, value): (_, &'static str)| Label {
            name: Cow::Borrowed(name),
            value: value.into(),
        };
        let rules = TagRules {
            rename: pairs(rename).map(|(old, new)| (old.to_owned(), new.to_owned())).collect(),
            drop: drop.split_whitespace().map(|text| Pattern::new(text.to_owned())).collect(),
            add: pairs(add).map(label).collect(),
        };
        assert_eq!(tags_under(rules.clone(), part, url, body), want, "{rules:?} {url} {body}");
    }
}

#[test]
fn what_line_protocol_cannot_say_is_skipped_and_counted() {
    let options = MappingOptions::default();
    let mut mapper = Mapper::default();
    let context = Context { options: &options, job: "j", group: &[], received_ns: 7 };
    let mut mapping = mapper.begin(context);
    let sample = |part, value, timestamp_ns| Sample {
        family: "a_b",
        part,
        labels: &[],
        value: Value::Number(value),
        timestamp_ns,
    };
    assert!(mapping.map(&sample(Part::Whole, f64::NAN, None), Delta::UNKNOWN).is_none());
    assert!(mapping.map(&sample(Part::Sum, f64::INFINITY, None), Delta::UNKNOWN).is_none());
    assert!(mapping.map(&sample(Part::Quantile(f64::NAN), 1.0, None), Delta::UNKNOWN).is_none());
    assert_eq!(mapping.skipped, Skipped { not_finite: 2, bound_nan: 1, filtered: 0 });
    for (own, want) in [(None, 7), (Some(0), 7), (Some(-1), 7), (Some(5), 5)] {
        assert_eq!(
            mapping.map(&sample(Part::Whole, 1.0, own), Delta::UNKNOWN).unwrap().timestamp_ns,
            want
        );
    }
}

/// How many labels and tags were looked at for so many samples with these labels by turns, under a
/// URL with 3,718 labels that have this value.
fn steps(rules: TagRules, url_value: &'static str, turns: &[&str]) -> usize {
    const SAMPLES: usize = 1_000;
    let label =
        |name: String, value: &'static str| Label { name: name.into(), value: value.into() };
    let mut group: Vec<_> =
        (0..3_718).map(|number| label(format!("u{number}"), url_value)).collect();
    group.sort_by(|one, two| one.name.cmp(&two.name));
    let options = MappingOptions { tags: rules, ..MappingOptions::default() };
    let mut mapper = Mapper::default();
    let context = Context { options: &options, job: "j", group: &group, received_ns: 7 };
    let mut mapping = mapper.begin(context);
    for number in 0..SAMPLES {
        let (name, value) = turns[number % turns.len()].split_once('=').unwrap();
        let labels = [Label { name: name.into(), value: value.to_owned().into() }];
        let (value, timestamp_ns) = (Value::Number(1.0), None);
        let sample =
            Sample { family: "m_f", part: Part::Whole, labels: &labels, value, timestamp_ns };
        assert!(mapping.map(&sample, Delta::UNKNOWN).is_some());
    }
    mapping.steps()
}

#[test]
fn a_sample_costs_what_it_has_and_not_what_its_url_has() {
    let drop = |pattern: &str| TagRules {
        drop: vec![Pattern::new(pattern.to_owned())],
        ..TagRules::default()
    };
    for (rules, url_value, turns) in [
        (TagRules::default(), "", &["b="][..]),
        (TagRules::default(), "", &["b=1", "b="]),
        (TagRules::default(), "", &["b=1", "c=1"]),
        (TagRules::default(), "", &["u1=1", "u2=1"]),
        (drop("u*"), "1", &["b="]),
        (drop("u*"), "1", &["b=1", "c=1"]),
    ] {
        let steps = steps(rules.clone(), url_value, turns);
        assert!(steps <= 3_000, "{steps} steps for 1,000 samples: {rules:?} {turns:?}");
    }
    // Tags that are written count.
    assert!(steps(TagRules::default(), "1", &["b=1", "c=1"]) > 3_000_000);
}
