//! What the mapping makes of a sample: a field of a series at a time.

use super::context::Context;
use super::key::TagKey;
use super::known::{Known, kind};
use super::names::FamilyNames;
use super::tags::{Arrangement, TagSource, bound_key};
use crate::bytes::text::Text;
use crate::push::exposition::delta::Kept;
use crate::push::sample::{Label, Part, Value};

/// One field of one series at one time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Point<'m> {
    /// What it belongs to.
    pub series: Series<'m>,
    /// Measurement and tags are those of the point before.
    pub(crate) is_of_last_series: bool,
    /// The value, finite.
    pub value: Value<'m>,
    /// Nanoseconds since the Unix epoch.
    pub(crate) timestamp_ns: i64,
}

/// A measurement with its tags, and the field in it.
///
/// What is off the common path is handed its parts, not a pointer to it: so they stay in registers
/// on the common one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Series<'m> {
    /// What its names and tags are taken from.
    pub known: &'m Known<'m>,
    /// The labels of the sample.
    pub labels: &'m [Label<'m>],
    /// What is kept of the labels of the last series of the same kind and number.
    pub kept: Kept,
    /// What the sample was.
    pub part: Part,
}

/// A tag of a series.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tag<'m> {
    /// No other tag has it.
    pub key: TagKey<'m>,
    /// Never empty.
    pub value: TagValue<'m>,
    /// Where the value comes from.
    pub source: TagSource,
}

/// The value of a tag.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum TagValue<'m> {
    /// The value of the URL label at this index of [`Context::group`].
    Group(usize),
    /// Any text that is not empty.
    Text(&'m Text<'m>),
    /// A number, to be written in the one canonical form of SPEC 2.2.
    Bound(f64),
}

fn bound(part: Part) -> Option<f64> {
    match part {
        Part::Bucket(bound) | Part::Quantile(bound) => Some(bound),
        Part::Whole | Part::Sum | Part::Count => None,
    }
}

impl<'m> Series<'m> {
    #[inline(always)]
    fn names(&self) -> &'m FamilyNames {
        &self.known.memory.names
    }

    #[inline(always)]
    fn arrangement(&self) -> &'m Arrangement {
        &self.known.memory.arrangements[self.kind()]
    }

    fn context(&self) -> &'m Context<'m> {
        &self.known.context
    }

    /// Clean, and never empty.
    #[must_use]
    pub(crate) fn measurement(&self) -> &'m str {
        self.names().measurement()
    }

    /// Clean; the field's key is this and the suffix.
    #[must_use]
    pub(crate) fn field(&self) -> &'m str {
        self.names().field()
    }

    /// `_bucket`, `_sum`, `_count`, nothing, or `_` where the key would be `time`.
    #[must_use]
    pub(crate) fn suffix(&self) -> &'static str {
        self.names().suffix(self.part)
    }

    /// The same for all series of one family that follow each other.
    #[inline(always)]
    #[must_use]
    pub(crate) fn family(&self) -> u64 {
        self.names().number
    }

    /// The kind of its samples, below [`KINDS`](super::KINDS).
    #[inline(always)]
    #[must_use]
    pub(crate) fn kind(&self) -> usize {
        kind(self.part)
    }

    /// Series of one kind with one number have the same keys of tags from the same sources: what
    /// was worked out for one holds for the next, but for the values of labels that are not
    /// [`kept`](Series::kept), for the [`bound`](Series::bound), and for the names of another
    /// [`family`](Series::family). Never 0, and never used again by the same mapper.
    #[inline(always)]
    #[must_use]
    pub(crate) fn number(&self) -> u64 {
        self.arrangement().number
    }

    /// The tags, sorted by key in byte order, no key twice.
    pub(crate) fn tags(&self) -> impl Iterator<Item = Tag<'m>> {
        let (arrangement, context) = (self.arrangement(), self.context());
        let Series { labels, part, .. } = *self;
        arrangement.order.iter().filter_map(move |slot| {
            let source = slot.source;
            let (key, value) = match source {
                TagSource::Group(index) => {
                    (&*context.group.get(index)?.name, TagValue::Group(index))
                }
                TagSource::Label(index) => {
                    let label = labels.get(index)?;
                    (&*label.name, TagValue::Text(&label.value))
                }
                TagSource::Bound => (bound_key(part)?, TagValue::Bound(bound(part)?)),
                TagSource::Added(index) => {
                    let tag = context.options.tags.add.get(index)?;
                    (&*tag.name, TagValue::Text(&tag.value))
                }
            };
            let key = match slot.other_key {
                Some(index) => arrangement.other_keys.get(index)?.borrowed(),
                None => TagKey::of(key),
            };
            Some(Tag { key, value, source })
        })
    }

    /// The value of the tag from [`TagSource::Bound`].
    #[inline(always)]
    #[must_use]
    pub(crate) fn bound(&self) -> Option<f64> {
        bound(self.part)
    }
}
