//! Which tags a line has, in which order, and what their keys are (SPEC 2.3).
//!
//! Of what has one name, one becomes the tag: the bound wins over the URL, the URL over the body,
//! and an added tag comes last. Renaming can also give two labels of the URL, or of the body, one
//! name: then the one that had it from the start wins, else the one whose old name is the first in
//! byte order, and the other is lost. A label without a value is as good as absent, but one of the
//! URL takes the body's away.
//!
//! ```text
//! bound     le
//! URL           job=j  zone=     ┐ each sorted by key, then merged: of one key the uppermost
//! body   a=1 le=2 m=3 zone=b     │ (zone: the URL has no value, and takes the body's away)
//! added     host=h               ┘
//! ─────────────────────────────
//! tags   a host job le m           from body 0, added 0, URL 0, the bound, body 2
//! ```
//!
//! What comes out, an [`Arrangement`], says where each tag is from, not what its value is. So it
//! serves all samples whose labels have the same names, and the same of them empty.

use super::clashes::free_keys;
use super::context::Context;
use super::key::{ChangedKey, TagKey};
use super::names::{FamilyNames, clean};
use super::url_tags::UrlTags;
use crate::bytes::chunk::is_same;
use crate::push::exposition::delta::Kept;
use crate::push::sample::{Label, Part};
use std::borrow::Cow;

/// Where a tag comes from, and its key where that is another than its name.
#[derive(Clone, Copy, Debug)]
pub(super) struct TagSlot {
    pub(super) source: TagSource,
    /// An index of [`Arrangement::other_keys`].
    pub(super) other_key: Option<usize>,
}

/// Where the value of a tag comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum TagSource {
    /// The URL label of that index.
    Group(usize),
    /// The body's label of that index.
    Label(usize),
    /// The number in `Part`.
    Bound,
    /// The tag of that index of `TagRules::add`.
    Added(usize),
}

impl TagSource {
    /// The index of the label that it is. A tag of the URL, or an added one, never changes within a
    /// push; the bound may change with every sample.
    pub(crate) fn label(self) -> Option<usize> {
        match self {
            TagSource::Label(index) => Some(index),
            TagSource::Group(_) | TagSource::Bound | TagSource::Added(_) => None,
        }
    }

    /// Whether all samples of a push have it with one value.
    pub(crate) fn is_constant(self) -> bool {
        matches!(self, TagSource::Group(_) | TagSource::Added(_))
    }
}

/// What of a sample decides how its tags are arranged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subject<'s> {
    pub(super) part: Part,
    pub(super) labels: &'s [Label<'s>],
}

/// What of a push does: the same for all its samples.
#[derive(Clone, Copy, Debug)]
pub(super) struct Given<'g> {
    pub(super) names: &'g FamilyNames,
    pub(super) url: &'g UrlTags,
    pub(super) context: &'g Context<'g>,
}

/// A label of the body.
#[derive(Clone, Copy, Debug)]
struct BodyTag<'s> {
    key: &'s str,
    index: usize,
    is_renamed: bool,
    is_empty: bool,
}

/// The tags of samples of one kind, and what they were arranged for: samples of a family stand
/// together and mostly have the same label names, and then their tags need not be arranged again.
#[derive(Debug, Default)]
pub(super) struct Arrangement {
    /// The tags, sorted by key.
    pub(super) order: Vec<TagSlot>,
    pub(super) other_keys: Vec<ChangedKey>,
    /// The labels of the URL that overrule one of the body, each with the index of that one.
    overruled: Vec<(usize, usize)>,
    /// How many of them had another value in the last sample.
    overruled_count: u64,
    /// Never the same for another arrangement.
    pub(super) number: u64,
    /// The body's labels by name: their indexes.
    sorted: Vec<usize>,
    /// The number of the family; 0 for none.
    family: u64,
    /// How long its keys are: see [`len_bit`].
    key_lens: u64,
    /// The names of the labels, one after the other.
    label_names: String,
    labels: Vec<KnownLabel>,
    /// How many labels and tags were looked at.
    #[cfg(test)]
    pub(super) steps: usize,
}

/// A label that an arrangement was made for.
#[derive(Clone, Copy, Debug)]
struct KnownLabel {
    /// Where its name ends in [`Arrangement::label_names`].
    name_end: usize,
    is_empty: bool,
}

impl Arrangement {
    /// Nothing is arranged.
    pub(super) fn clear(&mut self) {
        self.family = 0;
    }

    /// Whether it has the labels of a sample of this kind, of which `kept` are those of the last
    /// one.
    #[inline(always)]
    pub(super) fn holds(&self, labels: &[Label<'_>], kept: Kept) -> bool {
        let kept = kept.of(labels.len());
        let mut start = match kept {
            0 => 0,
            count => self.labels.get(count - 1).map_or(0, |known| known.name_end),
        };
        self.family != 0
            && self.labels.len() == labels.len()
            && self.labels.iter().zip(labels).skip(kept).all(|(known, label)| {
                let name = self.label_names.get(start..known.name_end);
                start = known.name_end;
                name.is_some_and(|name| is_same(name, &label.name))
                    && label.value.is_empty() == known.is_empty
            })
    }

    /// Takes it over for a family, and tells whether it is right for that one too: keys that were
    /// changed may have been changed for the field of the family before, and none of those that
    /// stayed may be the field now.
    pub(super) fn take_over(
        &mut self,
        names: &FamilyNames,
        context: &Context<'_>,
        subject: Subject<'_>,
    ) -> bool {
        if self.family == names.number {
            return true;
        }
        let suffix = names.suffix(subject.part);
        let field_len = names.field().len() + suffix.len();
        let has_no_key_of_its_len = self.key_lens & len_bit(field_len) == 0;
        let is_free =
            |slot: &TagSlot| !names.is_field(name_of(slot.source, context, subject), suffix);
        let is_right =
            self.other_keys.is_empty() && (has_no_key_of_its_len || self.order.iter().all(is_free));
        if is_right {
            self.family = names.number;
        }
        is_right
    }

    /// Whether the URL overrules labels of its samples.
    pub(super) fn is_overruled(&self) -> bool {
        !self.overruled.is_empty()
    }

    /// How many labels of a sample the URL overrules with another value; `kept` are those of the
    /// last sample of its kind.
    #[cold]
    pub(super) fn count_overruled(
        &mut self,
        kept: Kept,
        group: &[Label<'_>],
        labels: &[Label<'_>],
    ) -> u64 {
        if kept.of(labels.len()) < labels.len() {
            let is_other = |(in_url, in_body): &&(usize, usize)| {
                let label = labels.get(*in_body).filter(|label| !label.value.is_empty());
                label.zip(group.get(*in_url)).is_some_and(|(label, by)| label.value != by.value)
            };
            self.overruled_count = self.overruled.iter().filter(is_other).count() as u64;
        }
        self.overruled_count
    }

    /// Works out the tags of a sample.
    pub(super) fn arrange(&mut self, number: u64, given: Given<'_>, subject: Subject<'_>) {
        self.number = number;
        self.note(given.names.number, given.context.group, subject);
        self.order.clear();
        self.other_keys.clear();
        self.key_lens = 0;
        let rules = &given.context.options.tags;
        let must_change = if rules.is_empty() {
            let mut sorted = std::mem::take(&mut self.sorted);
            sort_labels(&mut sorted, subject.labels);
            let body = sorted.iter().filter_map(|index| {
                let (index, label) = (*index, subject.labels.get(*index)?);
                let (key, is_empty) = (&*label.name, label.value.is_empty());
                Some(BodyTag { key, index, is_renamed: false, is_empty })
            });
            let must_change = self.merge(body, given, subject.part);
            self.sorted = sorted;
            must_change
        } else {
            let body = by_rules(given.context, subject);
            self.merge(body.into_iter(), given, subject.part)
        };
        if must_change {
            self.change_keys(given, subject);
        }
    }

    /// Notes what it is made for.
    fn note(&mut self, family: u64, group: &[Label<'_>], subject: Subject<'_>) {
        self.family = family;
        self.label_names.clear();
        self.labels.clear();
        self.overruled.clear();
        let bound = bound_key(subject.part);
        for (index, label) in subject.labels.iter().enumerate() {
            self.label_names.push_str(&label.name);
            let (name_end, is_empty) = (self.label_names.len(), label.value.is_empty());
            self.labels.push(KnownLabel { name_end, is_empty });
            // By their own names. What else a rule does to them is meant.
            if bound != Some(&*label.name)
                && let Ok(in_url) = group.binary_search_by(|known| known.name.cmp(&label.name))
            {
                self.overruled.push((in_url, index));
            }
        }
        #[cfg(test)]
        {
            self.steps += subject.labels.len();
        }
    }

    /// Merges the labels of URL and body and the added tags in the order of their keys. Tells
    /// whether one of the keys must change.
    fn merge<'s>(
        &mut self,
        body: impl Iterator<Item = BodyTag<'s>>,
        given: Given<'_>,
        part: Part,
    ) -> bool {
        let Given { names, url, context } = given;
        let (bound, suffix) = (bound_key(part), names.suffix(part));
        let (mut of_url, mut of_body) = (url.tags().peekable(), body.peekable());
        let mut added = context.options.tags.add.iter().enumerate().peekable();
        let mut bound_waits = bound;
        let mut must_change = false;
        loop {
            let of_push =
                first(of_url.peek().map(|(key, ..)| *key), of_body.peek().map(|tag| tag.key));
            let of_options = first(added.peek().map(|(_, label)| &*label.name), bound_waits);
            let Some(key) = first(of_push, of_options) else { break };
            let from_url = of_url.next_if(|(url_key, ..)| *url_key == key);
            let from_body = of_body.next_if(|tag| tag.key == key);
            let from_added = added.next_if(|(_, label)| label.name == key);
            let from_body = from_body.filter(|tag| !tag.is_empty);
            let (source, is_renamed) = if bound == Some(key) {
                bound_waits = None;
                (TagSource::Bound, false)
            } else if let Some((_, index, is_renamed)) = from_url {
                (TagSource::Group(index), is_renamed)
            } else if let Some(tag) = from_body.filter(|_| !url.takes_away(key)) {
                (TagSource::Label(tag.index), tag.is_renamed)
            } else if let Some((index, _)) = from_added {
                (TagSource::Added(index), false)
            } else {
                continue;
            };
            must_change |= names.is_taken(key, suffix) || matches!(clean(key), Cow::Owned(_));
            self.key_lens |= len_bit(key.len());
            let other_key = is_renamed.then_some(self.other_keys.len());
            if is_renamed {
                self.other_keys.push(ChangedKey { text: key.to_owned(), underscores: 0 });
            }
            self.order.push(TagSlot { source, other_key });
        }
        #[cfg(test)]
        {
            self.steps += self.order.len();
        }
        must_change
    }

    /// Gives each tag a clean key of its own (see `clashes`), and sorts them again.
    fn change_keys(&mut self, given: Given<'_>, subject: Subject<'_>) {
        let Given { names, context, .. } = given;
        let (order, other_keys) = (&mut self.order, &mut self.other_keys);
        // The keys that rules gave are whole texts up to here.
        let keys: Vec<&str> = order
            .iter()
            .map(|slot| match slot.other_key.and_then(|index| other_keys.get(index)) {
                Some(key) => &*key.text,
                None => name_of(slot.source, context, subject),
            })
            .collect();
        let changed = free_keys(&keys, names, names.suffix(subject.part));
        for (index, key) in changed {
            if let Some(slot) = order.get_mut(index) {
                slot.other_key = Some(other_keys.len());
            }
            other_keys.push(key);
        }
        let other_keys = &self.other_keys;
        let key = |slot: &TagSlot| match slot.other_key.and_then(|index| other_keys.get(index)) {
            Some(key) => key.borrowed(),
            None => TagKey::of(name_of(slot.source, context, subject)),
        };
        order.sort_by(|one, two| key(one).cmp(key(two)));
    }
}

/// What a tag from there is called before its key changes.
fn name_of<'n>(source: TagSource, context: &'n Context<'_>, subject: Subject<'n>) -> &'n str {
    match source {
        TagSource::Group(index) => context.group.get(index).map_or("", |label| &label.name),
        TagSource::Label(index) => subject.labels.get(index).map_or("", |label| &label.name),
        TagSource::Bound => bound_key(subject.part).unwrap_or_default(),
        TagSource::Added(index) => {
            context.options.tags.add.get(index).map_or("", |label| &label.name)
        }
    }
}

/// The lesser of two keys in byte order, or the only one.
fn first<'k>(one: Option<&'k str>, other: Option<&'k str>) -> Option<&'k str> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        _ => one.or(other),
    }
}

/// The indexes of labels in the order of their names.
fn sort_labels(sorted: &mut Vec<usize>, labels: &[Label<'_>]) {
    sorted.clear();
    sorted.extend(0..labels.len());
    let name = |index: &usize| labels.get(*index).map(|label| &*label.name);
    sorted.sort_unstable_by(|one, two| name(one).cmp(&name(two)));
}

/// The body's labels under the rules of the input, sorted by key, no key twice. One with the name
/// of the bound is the text of that, and no label.
fn by_rules<'s>(context: &'s Context<'_>, subject: Subject<'s>) -> Vec<BodyTag<'s>> {
    let bound = bound_key(subject.part);
    let labels = subject.labels.iter().enumerate();
    let of = |(index, label): (usize, &'s Label<'s>)| {
        let key = context.options.tags.name(&label.name)?;
        let (is_renamed, is_empty) = (key != label.name, label.value.is_empty());
        Some((BodyTag { key, index, is_renamed, is_empty }, &*label.name))
    };
    let mut tags: Vec<_> =
        labels.filter(|(_, label)| bound != Some(&*label.name)).filter_map(of).collect();
    // Of those with one key the first wins: one with a value, under its own name.
    tags.sort_unstable_by_key(|(tag, old_name)| (tag.key, tag.is_empty, tag.is_renamed, *old_name));
    tags.dedup_by(|next, first| next.0.key == first.0.key);
    tags.into_iter().map(|(tag, _)| tag).collect()
}

/// A bit for the length of a key. Most fields are longer than all keys, and need not be compared.
fn len_bit(len: usize) -> u64 {
    1 << len.min(63)
}

/// The key of the tag that holds the bound.
pub(super) fn bound_key(part: Part) -> Option<&'static str> {
    match part {
        Part::Bucket(_) => Some("le"),
        Part::Quantile(_) => Some("quantile"),
        Part::Whole | Part::Sum | Part::Count => None,
    }
}
