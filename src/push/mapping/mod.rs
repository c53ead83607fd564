//! Sample → point: names, tags, timestamp, what is skipped (SPEC 2.1 to 2.3).
//!
//! A [`Mapping`] serves one push. It decides which names and tags a line has and in which order;
//! how they are written is the business of `line`. Names are cleaned here, since only clean names
//! show what clashes; the order of work is split, clean, resolve clashes (SPEC 5). The rules of an
//! input (`rules`) come before all that, and cost nothing where there are none. What was worked out
//! for one sample serves those after it that are like it, and is handed on with each point
//! ([`Series::kept`]). Nothing is allocated for a sample unless its tags must be worked out and
//! there are rules for them, or one of their keys must change.

mod names;
mod pattern;
mod point;
mod rules;
mod selection;
mod tags;

use crate::push::sample::{Label, Part, Sample, Value};
use names::FamilyNames;
pub use pattern::Pattern;
use point::kind;
pub(crate) use point::{Point, Series, TagValue};
pub(crate) use rules::TagRules;
pub use rules::{Filter, MeasurementRule};
pub(crate) use tags::TagSource;
use tags::{Arrangement, Subject, bound_key};

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
pub struct MappingOptions {
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
pub(crate) struct Context<'p> {
    /// The options of its input.
    pub options: &'p MappingOptions,
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

/// What was written, and is perhaps not what its pusher means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Doubtful {
    /// Labels of samples that the URL overruled with another value: series that differ in nothing
    /// else become one.
    pub labels_overruled: u64,
    /// Timestamps before 2000 or more than a day after the push: as a rule they are in another
    /// unit.
    pub timestamps_implausible: u64,
}

/// Kinds of samples: a sample of each has other tags, or another field.
pub(crate) const KINDS: usize = 5;

/// What is used again from push to push.
#[derive(Debug, Default)]
pub(crate) struct Mapper {
    names: FamilyNames,
    arrangements: [Arrangement; KINDS],
    /// How many of the first labels are those of the last sample of each kind.
    kept: [usize; KINDS],
    /// The last number that was given to an arrangement.
    last_number: u64,
}

/// Maps the samples of one push, one after the other.
#[derive(Debug)]
pub(crate) struct Mapping<'p> {
    context: Context<'p>,
    mapper: &'p mut Mapper,
    run: Option<Run>,
    /// What had no line so far.
    pub skipped: Skipped,
    /// What is perhaps not as it is meant, so far.
    pub doubtful: Doubtful,
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
    /// The URL overrules labels of its samples.
    is_overruled: bool,
}

impl MappingOptions {
    /// Both names are cut from the metric's, and nothing else has a say in them.
    fn cuts_only(&self) -> bool {
        matches!(self.measurement, Measurement::Cut | Measurement::CutAndKeep)
            && self.measurement_rules.is_empty()
            && self.measurement_prefix.is_empty()
    }
}

impl Mapper {
    /// Begins a push.
    pub(crate) fn begin<'p>(&'p mut self, context: Context<'p>) -> Mapping<'p> {
        self.names.clear();
        self.arrangements.iter_mut().for_each(Arrangement::clear);
        let (skipped, doubtful) = Default::default();
        Mapping { context, mapper: self, run: None, skipped, doubtful }
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
    pub(crate) fn map<'m>(&'m mut self, sample: &'m Sample<'m>) -> Option<Point<'m>> {
        if let Some(reason) = self.reason_to_skip(sample) {
            *reason += 1;
            let over = self.run.take();
            self.mapper.note_kept(over, sample.kept);
            return None;
        }
        let (kept, has_tags_of_last) = match &mut self.run {
            // No run has empty labels, which are no tags, and none came to it.
            Some(run) if sample.is_alike && sample.has_last_family => {
                run.kept = run.kept.min(sample.kept);
                if run.is_overruled {
                    let arrangement = &self.mapper.arrangements[run.kind];
                    let count = arrangement.overruled_count(self.context.group, sample.labels);
                    self.doubtful.labels_overruled += count;
                }
                (sample.kept, run.is_plain && sample.kept == run.label_count)
            }
            // By parts, so that a sample that needs none stays in registers.
            _ => {
                let Sample { family, part, labels, kept, is_alike, .. } = *sample;
                self.begin_run(family, part, labels, kept, is_alike)?
            }
        };
        let timestamp_ns = match sample.timestamp_ns {
            Some(own) if self.honors(own) => own,
            _ => self.context.received_ns,
        };
        let Sample { labels, part, .. } = *sample;
        let series = Series { mapping: self, labels, kept, part };
        Some(Point { series, has_tags_of_last, value: sample.value, timestamp_ns })
    }

    /// Whether a sample's own time counts. One that is not plausible counts too, and is noted.
    #[inline(never)]
    fn honors(&mut self, timestamp_ns: i64) -> bool {
        const YEAR_2000_NS: i64 = 946_684_800_000_000_000;
        const DAY_NS: i64 = 86_400_000_000_000;
        let is_honored = self.context.options.timestamps == Timestamps::Honor && timestamp_ns > 0;
        let latest_ns = self.context.received_ns.saturating_add(DAY_NS);
        if is_honored && !(YEAR_2000_NS..=latest_ns).contains(&timestamp_ns) {
            self.doubtful.timestamps_implausible += 1;
        }
        is_honored
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

    /// Goes on with the run for another family, where all else is alike: false where it cannot.
    fn take_family(
        &mut self,
        family: &str,
        part: Part,
        labels: &[Label<'_>],
        kept_of_last: usize,
    ) -> bool {
        let (Some(run), Mapper { names, arrangements, .. }) = (&mut self.run, &mut *self.mapper)
        else {
            return false;
        };
        names.set(family, &self.context);
        let is_right = names.is_kept
            && arrangements[run.kind].take_over(names, &self.context, Subject { part, labels });
        if is_right {
            run.family = names.number;
            run.kept = run.kept.min(kept_of_last);
            if run.is_overruled {
                let count = arrangements[run.kind].overruled_count(self.context.group, labels);
                self.doubtful.labels_overruled += count;
            }
        }
        is_right
    }

    /// Begins a run with a sample: how many labels are those of the last sample of its kind, and
    /// whether all tags are those of the last point. None where the sample is filtered out, which
    /// is counted: then there is no run, and the next sample is asked about again.
    #[inline(never)]
    fn begin_run(
        &mut self,
        family: &str,
        part: Part,
        labels: &[Label<'_>],
        kept_of_last: usize,
        is_alike: bool,
    ) -> Option<(usize, bool)> {
        if is_alike && self.take_family(family, part, labels, kept_of_last) {
            return Some((kept_of_last, false));
        }
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
        let is_overruled = !arrangement.overruled.is_empty();
        if is_overruled {
            let count = arrangement.overruled_count(self.context.group, labels);
            self.doubtful.labels_overruled += count;
        }
        let run = Run {
            kind,
            family: names.number,
            kept: usize::MAX,
            label_count: labels.len(),
            is_plain: bound_key(part).is_none() && arrangement.renamed.is_empty() && !is_overruled,
            is_overruled,
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
        Some((kept, has_tags_of_last))
    }
}

#[cfg(test)]
mod tests;
