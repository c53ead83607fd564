//! Sample → point: names, tags, timestamp, what is skipped (SPEC 2.1 to 2.3).
//!
//! A [`Mapping`] serves one push. It decides which names and tags a line has and in which order;
//! how they are written is the business of `line`. Names are cleaned here, since only clean names
//! show what clashes; the order of work is split, clean, resolve clashes (SPEC 5). The rules of an
//! input (`rules`) come before all that, and cost nothing where there are none. What was worked out
//! for one sample serves those after it that are like it, and is handed on with each point
//! ([`Point::changed`]). Nothing is allocated for a sample unless its tags must be worked out and
//! there are rules for them, or one of their keys must change.

mod arrangement;
mod names;
mod pattern;
mod rules;
mod selection;

use crate::sample::{Label, Part, Sample, Value};
pub use arrangement::Source;
use arrangement::{Arrangement, Subject, bound_key, suffix};
use names::FamilyNames;
pub use pattern::Pattern;
pub use rules::{Filter, MeasurementRule, TagRules};

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
    /// Which metrics are kept.
    pub filter: Filter,
    /// The first that fits names the measurement, and `measurement` where none does.
    pub measurement_rules: Vec<MeasurementRule>,
    /// Stands before the name of every measurement, wherever that comes from.
    pub measurement_prefix: String,
    /// What becomes of labels.
    pub tags: TagRules,
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
    /// The input's filter does not keep the metric, whatever else is to be said of the sample.
    pub filtered: u64,
}

/// Kinds of samples: a sample of each has other tags, or another field.
pub const KINDS: usize = 5;

/// One field of one series at one time.
#[derive(Clone, Copy, Debug)]
pub struct Point<'m> {
    names: &'m FamilyNames,
    arrangement: &'m Arrangement,
    context: &'m Context<'m>,
    labels: &'m [Label<'m>],
    /// So many of the labels are those of the last point of the same kind.
    kept: usize,
    /// What the sample was.
    pub part: Part,
    /// All its tags are those of the point before it, and so is the family.
    pub has_tags_of_last: bool,
    /// The value, finite.
    pub value: Value<'m>,
    /// Nanoseconds since the Unix epoch.
    pub timestamp_ns: i64,
}

/// A tag of a point.
#[derive(Clone, Copy, Debug)]
pub struct Tag<'m> {
    /// Clean, and never empty.
    pub key: &'m str,
    /// Never empty.
    pub value: TagValue<'m>,
    /// Where the value comes from.
    pub source: Source,
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

/// What is used again from push to push.
#[derive(Debug, Default)]
pub struct Mapper {
    names: FamilyNames,
    arrangements: [Arrangement; KINDS],
    /// How many of the first labels are those of the last sample of each kind.
    kept: [usize; KINDS],
    /// The last number that was given to an arrangement.
    last_number: u64,
}

/// Maps the samples of one push, one after the other.
#[derive(Debug)]
pub struct Mapping<'p> {
    context: Context<'p>,
    mapper: &'p mut Mapper,
    run: Option<Run>,
    /// What had no line so far.
    pub skipped: Skipped,
}

/// Samples that follow each other, are alike and have the same arrangement of tags.
#[derive(Clone, Copy, Debug)]
struct Run {
    kind: usize,
    family: u64,
    /// So many of the first labels did not change in it, but for its first sample.
    kept: usize,
    label_count: usize,
    /// Its tags are its labels and those of the URL, under their own names.
    is_plain: bool,
}

impl Options {
    /// Both names are cut from the metric's, and nothing else has a say in them.
    fn cuts_only(&self) -> bool {
        matches!(self.measurement, Measurement::Cut | Measurement::CutAndKeep)
            && self.measurement_rules.is_empty()
            && self.measurement_prefix.is_empty()
    }
}

impl Mapper {
    /// Begins a push.
    pub fn begin<'p>(&'p mut self, context: Context<'p>) -> Mapping<'p> {
        self.names.clear();
        self.arrangements.iter_mut().for_each(Arrangement::clear);
        Mapping { context, mapper: self, run: None, skipped: Skipped::default() }
    }

    /// Notes that all but so many of the first labels changed. What the samples of a run changed
    /// is noted when it is over, for every kind but its own.
    fn note_kept(&mut self, over: Option<Run>, kept: usize) {
        for (kind, known) in self.kept.iter_mut().enumerate() {
            match over {
                Some(run) if run.kind != kind => *known = (*known).min(run.kept),
                _ => {}
            }
            *known = (*known).min(kept);
        }
    }
}

impl Mapping<'_> {
    /// The point of a sample; none where line protocol cannot say it, which is counted.
    #[inline(always)]
    pub fn map<'m>(&'m mut self, sample: &'m Sample<'m>) -> Option<Point<'m>> {
        if let Some(reason) = self.reason_to_skip(sample) {
            *reason += 1;
            let over = self.run.take();
            self.mapper.note_kept(over, sample.kept);
            return None;
        }
        let (kind, kept, has_tags_of_last) = match &mut self.run {
            // No run has empty labels, which are no tags, and none came to it.
            Some(run) if sample.is_alike => {
                run.kept = run.kept.min(sample.kept);
                (run.kind, sample.kept, run.is_plain && sample.kept == run.label_count)
            }
            // By parts, so that a sample that needs none stays in registers.
            _ => self.begin_run(sample.family, sample.part, sample.labels, sample.kept)?,
        };
        let timestamp_ns = match (self.context.options.timestamps, sample.timestamp_ns) {
            (Timestamps::Honor, Some(own)) if own > 0 => own,
            _ => self.context.received_ns,
        };
        let Mapper { names, arrangements, .. } = &*self.mapper;
        Some(Point {
            names,
            arrangement: &arrangements[kind],
            context: &self.context,
            labels: sample.labels,
            kept,
            part: sample.part,
            has_tags_of_last,
            value: sample.value,
            timestamp_ns,
        })
    }

    /// Where samples are counted that have no line as this one.
    #[inline(always)]
    fn reason_to_skip(&mut self, sample: &Sample<'_>) -> Option<&mut u64> {
        let Mapping { skipped, context, .. } = self;
        let reason = match (sample.part, sample.value) {
            (Part::Bucket(bound) | Part::Quantile(bound), _) if bound.is_nan() => {
                &mut skipped.bound_nan
            }
            (_, Value::Number(number)) if !number.is_finite() => &mut skipped.not_finite,
            _ => return None,
        };
        let is_kept = context.options.filter.keeps(sample.family);
        Some(if is_kept { reason } else { &mut skipped.filtered })
    }

    /// Begins a run with a sample: its kind, how many labels are those of the last sample of this
    /// kind, and whether all tags are those of the last point. None where the sample is filtered
    /// out, which is counted: then there is no run, and the next sample is asked about again.
    #[inline(never)]
    fn begin_run(
        &mut self,
        family: &str,
        part: Part,
        labels: &[Label<'_>],
        kept_of_last: usize,
    ) -> Option<(usize, usize, bool)> {
        let kind = kind(part);
        let last = self.run.take();
        self.mapper.note_kept(last, kept_of_last);
        let Mapper { names, arrangements, kept, last_number } = &mut *self.mapper;
        names.set(family, &self.context);
        if !names.is_kept {
            self.skipped.filtered += 1;
            return None;
        }
        let kept = std::mem::replace(&mut kept[kind], usize::MAX);
        let arrangement = &mut arrangements[kind];
        let subject = Subject { part, labels };
        let is_known =
            arrangement.holds(labels, kept) && arrangement.take_over(names, &self.context, subject);
        if !is_known {
            *last_number += 1;
            arrangement.arrange(*last_number, names, &self.context, subject);
        }
        let run = Run {
            kind,
            family: names.number,
            kept: usize::MAX,
            label_count: labels.len(),
            is_plain: bound_key(part).is_none() && arrangement.renamed.is_empty(),
        };
        if arrangement.is_lasting() {
            self.run = Some(run);
        }
        let has_tags_of_last = last.is_some_and(|last| {
            run.is_plain
                && last.is_plain
                && last.family == run.family
                && last.label_count == kept_of_last
                && run.label_count == kept_of_last
        });
        Some((kind, kept, has_tags_of_last))
    }
}

#[inline]
fn kind(part: Part) -> usize {
    match part {
        Part::Whole => 0,
        Part::Bucket(_) => 1,
        Part::Quantile(_) => 2,
        Part::Sum => 3,
        Part::Count => 4,
    }
}

impl<'m> Point<'m> {
    /// Clean, and never empty.
    pub fn measurement(&self) -> &'m str {
        &self.names.measurement
    }

    /// Clean; the field's key is this and the suffix.
    pub fn field(&self) -> &'m str {
        &self.names.field
    }

    /// `_bucket`, `_sum`, `_count` or nothing.
    pub fn suffix(&self) -> &'static str {
        suffix(self.part)
    }

    /// The same for all points of one family that follow each other.
    pub fn family(&self) -> u64 {
        self.names.number
    }

    /// The kind of its sample, below [`KINDS`].
    #[inline(always)]
    pub fn kind(&self) -> usize {
        kind(self.part)
    }

    /// Points of one kind with one number have the same keys of tags from the same sources: what
    /// was worked out for one holds for the next, but for the values that
    /// [`changed`](Point::changed) tells, and for the names of another [`family`](Point::family).
    /// Never 0, and never used again by the same mapper.
    #[inline(always)]
    pub fn number(&self) -> u64 {
        self.arrangement.number
    }

    /// The tags, sorted by key in byte order, no key twice.
    pub fn tags(&self) -> impl Iterator<Item = Tag<'m>> {
        let Point { arrangement, context, labels, part, .. } = *self;
        arrangement.order.iter().filter_map(move |entry| {
            let source = entry.source;
            let (key, value) = match source {
                Source::Group(index) => (&*context.group.get(index)?.name, TagValue::Group(index)),
                Source::Label(index) => {
                    let label = labels.get(index)?;
                    (&*label.name, TagValue::Text(&label.value))
                }
                Source::Bound => (bound_key(part)?, TagValue::Bound(bound(part)?)),
                Source::Added(index) => {
                    let tag = context.options.tags.add.get(index)?;
                    (&*tag.name, TagValue::Text(&tag.value))
                }
            };
            let key = match entry.renamed {
                Some(index) => arrangement.renamed.get(index)?,
                None => key,
            };
            Some(Tag { key, value, source })
        })
    }

    /// So many of the first labels are those of the last point of the same kind and number.
    #[inline(always)]
    pub fn kept(&self) -> usize {
        self.kept
    }

    /// The value of the tag from that source, where it may differ from that of the last point of
    /// the same kind and number.
    #[inline(always)]
    pub fn changed(&self, source: Source) -> Option<TagValue<'m>> {
        match source {
            Source::Label(index) if index >= self.kept => {
                self.labels.get(index).map(|label| TagValue::Text(&label.value))
            }
            Source::Bound => bound(self.part).map(TagValue::Bound),
            Source::Label(_) | Source::Group(_) | Source::Added(_) => None,
        }
    }
}

fn bound(part: Part) -> Option<f64> {
    match part {
        Part::Bucket(bound) | Part::Quantile(bound) => Some(bound),
        Part::Whole | Part::Sum | Part::Count => None,
    }
}

#[cfg(test)]
mod tests;
