//! Sample and delta → point: what of the sample before still holds.
//!
//! What was worked out for one sample serves those after it that are like it. Most samples belong
//! to a [`Run`]: names and tags are the known ones, and only values differ. Where a run ends, the
//! next may have the arrangement of tags that an earlier one of its kind had, as the buckets of a
//! histogram have in series after series:
//!
//! ```text
//! h_bucket{a="1",le="1"}    run of buckets: tags are arranged for the kind `bucket`
//! h_bucket{a="1",le="2"}    the run goes on
//! h_sum{a="1"}              a run of sums: tags are arranged for the kind `sum`
//! h_bucket{a="2",le="1"}    another run of buckets, with the arrangement of the first: of its labels
//!                           none is kept since the last bucket
//! ```
//!
//! So of each kind it is noted what is kept since its last sample ([`Kept::and`]), and that is
//! handed on with each point. Nothing is allocated for a sample unless its tags must be worked out
//! and there are rules for them, or one of their keys must change.

use super::context::Context;
use super::known::{Known, Memory, kind};
use super::options::Timestamps;
use super::point::{Point, Series};
use super::tags::{Arrangement, Given, Subject, bound_key};
use crate::push::exposition::delta::{Delta, Kept, Likeness};
use crate::push::sample::{Label, Part, Sample, Value};

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

/// Maps one push after the other.
#[derive(Debug, Default)]
pub(crate) struct Mapper(Memory);

/// Earlier times are not plausible.
const YEAR_2000_NS: i64 = 946_684_800_000_000_000;
/// How much later than the push a plausible time may be.
const DAY_NS: i64 = 86_400_000_000_000;

/// Maps the samples of one push, one after the other.
#[derive(Debug)]
pub(crate) struct Mapping<'p> {
    known: Known<'p>,
    run: Option<Run>,
    /// What had no line so far.
    pub skipped: Skipped,
    /// What is perhaps not as it is meant, so far.
    pub doubtful: Doubtful,
}

/// Samples in a row that are alike and have the same arrangement of tags.
#[derive(Clone, Copy, Debug)]
struct Run {
    kind: usize,
    family: u64,
    /// What is kept of the labels of its first sample.
    kept: Kept,
    label_count: usize,
    /// Its tags are its labels and those of the URL, under their own names.
    is_plain: bool,
    /// The URL overrules labels of its samples.
    is_overruled: bool,
}

impl Mapper {
    /// Begins a push.
    pub(crate) fn begin<'p>(&'p mut self, context: Context<'p>) -> Mapping<'p> {
        let Mapper(memory) = self;
        memory.names.clear();
        memory.url.set(&context);
        memory.arrangements.iter_mut().for_each(Arrangement::clear);
        let (skipped, doubtful) = Default::default();
        Mapping { known: Known { context, memory }, run: None, skipped, doubtful }
    }
}

impl Memory {
    /// Notes a sample that keeps so much of the one before, and the run that it ends: what that
    /// changed counts for every kind but its own, which knew it sample by sample.
    fn note_kept(&mut self, ended: Option<Run>, kept: Kept) {
        for (kind, known) in self.kept.iter_mut().enumerate() {
            match ended {
                Some(run) if run.kind != kind => *known = known.and(run.kept),
                _ => {}
            }
            *known = known.and(kept);
        }
    }
}

impl Mapping<'_> {
    /// The point of a sample with this delta; none where line protocol cannot say it, which is
    /// counted.
    #[inline(always)]
    pub(crate) fn map<'m>(&'m mut self, sample: &'m Sample<'m>, delta: Delta) -> Option<Point<'m>> {
        if let Some(reason) = self.reason_to_skip(sample) {
            *reason += 1;
            let ended = self.run.take();
            self.known.memory.note_kept(ended, delta.kept);
            return None;
        }
        let (kept, is_of_last_series) = match &mut self.run {
            Some(run) if delta.likeness == Likeness::Family => {
                run.kept = run.kept.and(delta.kept);
                if run.is_overruled {
                    let arrangement = &mut self.known.memory.arrangements[run.kind];
                    let group = self.known.context.group;
                    let count = arrangement.count_overruled(delta.kept, group, sample.labels);
                    self.doubtful.labels_overruled += count;
                }
                (delta.kept, run.is_plain && delta.kept == Kept::first(run.label_count))
            }
            // By parts, so that a sample that needs none stays in registers.
            _ => {
                let Sample { family, part, labels, .. } = *sample;
                self.begin_run(family, part, labels, delta)?
            }
        };
        let timestamp_ns = match sample.timestamp_ns {
            Some(own) if self.honors(own) => own,
            _ => self.known.context.received_ns,
        };
        let Sample { labels, part, .. } = *sample;
        let series = Series { known: &self.known, labels, kept, part };
        Some(Point { series, is_of_last_series, value: sample.value, timestamp_ns })
    }

    /// How many labels and tags were looked at so far.
    #[cfg(test)]
    pub(super) fn steps(&self) -> usize {
        self.known.memory.arrangements.iter().map(|arrangement| arrangement.steps).sum()
    }

    /// Whether a sample's own time counts. One that is not plausible counts too, and is noted.
    #[inline(never)]
    fn honors(&mut self, timestamp_ns: i64) -> bool {
        let context = &self.known.context;
        let is_honored = context.options.timestamps == Timestamps::Honor && timestamp_ns > 0;
        let latest_ns = context.received_ns.saturating_add(DAY_NS);
        if is_honored && !(YEAR_2000_NS..=latest_ns).contains(&timestamp_ns) {
            self.doubtful.timestamps_implausible += 1;
        }
        is_honored
    }

    /// The counter of samples that have no line for the same reason as this one; none where it has
    /// one.
    #[inline(always)]
    fn reason_to_skip(&mut self, sample: &Sample<'_>) -> Option<&mut u64> {
        let Mapping { skipped, known, .. } = self;
        let reason = match (sample.part, sample.value) {
            (Part::Bucket(bound) | Part::Quantile(bound), _) if bound.is_nan() => {
                &mut skipped.bound_nan
            }
            (_, Value::Number(number)) if !number.is_finite() => &mut skipped.not_finite,
            _ => return None,
        };
        let is_kept = known.context.options.filter.keeps(sample.family);
        Some(if is_kept { reason } else { &mut skipped.filtered })
    }

    /// Goes on with the run for another family, where all else is alike: false where it cannot.
    fn take_family(&mut self, family: &str, subject: Subject<'_>, kept: Kept) -> bool {
        let Known { context, memory } = &mut self.known;
        let (Some(run), Memory { names, arrangements, .. }) = (&mut self.run, &mut **memory) else {
            return false;
        };
        names.set(family, context);
        let is_right = names.is_kept && arrangements[run.kind].take_over(names, context, subject);
        if is_right {
            run.family = names.number;
            run.kept = run.kept.and(kept);
            if run.is_overruled {
                let (group, labels) = (context.group, subject.labels);
                self.doubtful.labels_overruled +=
                    arrangements[run.kind].count_overruled(kept, group, labels);
            }
        }
        is_right
    }

    /// Begins a run with a sample: what is kept of the labels of the last sample of its kind, and
    /// whether its series is that of the last point. None where the sample is filtered out, which
    /// is counted: then there is no run, and the next sample is asked about again.
    #[inline(never)]
    fn begin_run(
        &mut self,
        family: &str,
        part: Part,
        labels: &[Label<'_>],
        delta: Delta,
    ) -> Option<(Kept, bool)> {
        let subject = Subject { part, labels };
        if delta.likeness >= Likeness::Shape && self.take_family(family, subject, delta.kept) {
            return Some((delta.kept, false));
        }
        let kind = kind(part);
        let last = self.run.take();
        let Known { context, memory } = &mut self.known;
        memory.note_kept(last, delta.kept);
        let Memory { names, url, arrangements, kept, last_number } = &mut **memory;
        names.set(family, context);
        if !names.is_kept {
            self.skipped.filtered += 1;
            return None;
        }
        let kept = std::mem::replace(&mut kept[kind], Kept::ALL);
        let arrangement = &mut arrangements[kind];
        let is_known =
            arrangement.holds(labels, kept) && arrangement.take_over(names, context, subject);
        if !is_known {
            *last_number += 1;
            arrangement.arrange(*last_number, Given { names, url, context }, subject);
        }
        let is_overruled = arrangement.is_overruled();
        if is_overruled {
            let known = if is_known { kept } else { Kept::NONE };
            self.doubtful.labels_overruled +=
                arrangement.count_overruled(known, context.group, labels);
        }
        let run = Run {
            kind,
            family: names.number,
            kept: Kept::ALL,
            label_count: labels.len(),
            is_plain: bound_key(part).is_none()
                && arrangement.other_keys.is_empty()
                && !is_overruled,
            is_overruled,
        };
        self.run = Some(run);
        let keeps_all = delta.kept == Kept::first(labels.len());
        let is_of_last_series = last.is_some_and(|last| {
            run.is_plain
                && last.is_plain
                && last.family == run.family
                && last.label_count == run.label_count
                && keeps_all
        });
        Some((kept, is_of_last_series))
    }
}
