//! Which tags a line has, in which order, and what their keys are (SPEC 2.3).

use super::context::Context;
use super::names::{FamilyNames, clean};
use crate::bytes::chunk::is_same;
use crate::push::exposition::delta::Kept;
use crate::push::sample::{Label, Part};
use std::borrow::Cow;
use std::collections::HashSet;

/// Where a tag comes from, and its key where that changed.
#[derive(Clone, Copy, Debug)]
pub(super) struct TagSlot {
    pub(super) source: TagSource,
    /// An index of `renamed`.
    pub(super) renamed: Option<usize>,
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

/// The tags of samples of one kind, and what they were arranged for: samples of a family stand
/// together and mostly have the same label names, and then their tags need not be arranged again.
#[derive(Debug, Default)]
pub(super) struct Arrangement {
    /// The tags in order.
    pub(super) order: Vec<TagSlot>,
    pub(super) renamed: Vec<String>,
    /// The labels of the URL that overrule one of the body, each with the index of that one.
    pub(super) overruled: Vec<(usize, usize)>,
    /// Never the same for another arrangement.
    pub(super) number: u64,
    /// The body's labels by name: their indexes.
    sorted: Vec<usize>,
    /// The number of the family; 0 for none.
    family: u64,
    /// How long its keys are: see [`len_bit`].
    key_lens: u64,
    /// The names of the labels, one behind the other, and where each ends.
    label_names: String,
    ends: Vec<usize>,
}

impl Arrangement {
    /// Nothing is arranged.
    pub(super) fn clear(&mut self) {
        self.family = 0;
    }

    /// Whether it is right for more samples than the one that it was made for.
    pub(super) fn is_lasting(&self) -> bool {
        self.family != 0
    }

    /// Whether it has the labels of a sample of this kind, of which `kept` are those of the last
    /// one. A label without a value is no tag: with one, nothing has them.
    #[inline(always)]
    pub(super) fn holds(&self, labels: &[Label<'_>], kept: Kept) -> bool {
        let kept = kept.of(labels.len());
        let mut start = match kept {
            0 => 0,
            count => self.ends.get(count - 1).copied().unwrap_or_default(),
        };
        self.is_lasting()
            && self.ends.len() == labels.len()
            && self.ends.iter().zip(labels).skip(kept).all(|(end, label)| {
                let name = self.label_names.get(start..*end);
                start = *end;
                name.is_some_and(|name| is_same(name, &label.name)) && !label.value.is_empty()
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
        let (group, Subject { part, labels }) = (context.group, subject);
        let suffix = names.suffix(part);
        let field_len = names.field().len() + suffix.len();
        let is_free = |entry: &TagSlot| {
            let key = match entry.source {
                TagSource::Group(index) => group.get(index).map(|label| &*label.name),
                TagSource::Label(index) => labels.get(index).map(|label| &*label.name),
                TagSource::Bound => bound_key(part),
                TagSource::Added(index) => {
                    context.options.tags.add.get(index).map(|tag| &*tag.name)
                }
            };
            key.is_some_and(|key| !names.is_field(key, suffix))
        };
        let has_no_key_of_its_len = self.key_lens & len_bit(field_len) == 0;
        let is_right =
            self.renamed.is_empty() && (has_no_key_of_its_len || self.order.iter().all(is_free));
        if is_right {
            self.family = names.number;
        }
        is_right
    }

    /// How many labels of a sample the URL overrules with another value.
    #[cold]
    pub(super) fn overruled_count(&self, group: &[Label<'_>], labels: &[Label<'_>]) -> u64 {
        let is_other = |(in_url, in_body): &&(usize, usize)| {
            let label = labels.get(*in_body).filter(|label| !label.value.is_empty());
            label.zip(group.get(*in_url)).is_some_and(|(label, by)| label.value != by.value)
        };
        self.overruled.iter().filter(is_other).count() as u64
    }

    fn note(&mut self, family: u64, labels: &[Label<'_>]) {
        let has_empty = labels.iter().any(|label| label.value.is_empty());
        self.family = if has_empty { 0 } else { family };
        self.label_names.clear();
        self.ends.clear();
        for label in labels {
            self.label_names.push_str(&label.name);
            self.ends.push(self.label_names.len());
        }
    }

    /// Merges the labels of URL and body in the order of their keys; leaves out what is empty or
    /// overruled: the bound wins over the URL, the URL over the body.
    pub(super) fn arrange(
        &mut self,
        number: u64,
        names: &FamilyNames,
        context: &Context<'_>,
        subject: Subject<'_>,
    ) {
        let (group, Subject { part, labels }) = (context.group, subject);
        let (bound, suffix) = (bound_key(part), names.suffix(part));
        self.number = number;
        self.note(names.number, labels);
        self.order.clear();
        self.renamed.clear();
        self.overruled.clear();
        self.key_lens = 0;
        if !context.options.tags.is_empty() {
            return self.arrange_by_rules(names, context, subject);
        }
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
                Some(TagSource::Bound)
            } else if let Some((index, label)) = from_group {
                self.overruled.extend(from_body.map(|(in_body, _)| (index, in_body)));
                (!label.value.is_empty()).then_some(TagSource::Group(index))
            } else {
                from_body
                    .filter(|(_, label)| !label.value.is_empty())
                    .map(|(index, _)| TagSource::Label(index))
            };
            if let Some(source) = source {
                must_rename |= names.is_taken(key, suffix) || matches!(clean(key), Cow::Owned(_));
                self.key_lens |= len_bit(key.len());
                self.order.push(TagSlot { source, renamed: None });
            }
        }
        if must_rename {
            self.rename(names, context, subject);
        }
    }

    /// The same for an input with rules for its tags.
    fn arrange_by_rules(
        &mut self,
        names: &FamilyNames,
        context: &Context<'_>,
        subject: Subject<'_>,
    ) {
        // Any.
        self.key_lens = u64::MAX;
        // By their own names. What else a rule does to them is meant.
        for (in_body, label) in subject.labels.iter().enumerate() {
            let in_url = context.group.binary_search_by(|known| known.name.cmp(&label.name));
            let is_bound = bound_key(subject.part) == Some(&*label.name);
            let in_url = in_url.ok().filter(|_| !is_bound);
            self.overruled.extend(in_url.map(|in_url| (in_url, in_body)));
        }
        for tag in select(context, subject) {
            let renamed = tag.is_renamed.then_some(self.renamed.len());
            if tag.is_renamed {
                self.renamed.push(tag.key.to_owned());
            }
            self.order.push(TagSlot { source: tag.source, renamed });
        }
        self.rename(names, context, subject);
    }

    /// Gives every tag a clean key of its own: `_` is appended to a key that is reserved, that is
    /// the line's field, or that another tag has, again while it still clashes. Keys that are clean
    /// and free stay as they are.
    fn rename(&mut self, names: &FamilyNames, context: &Context<'_>, subject: Subject<'_>) {
        let (bound, suffix) = (bound_key(subject.part), names.suffix(subject.part));
        let name_of = |source: TagSource| match source {
            TagSource::Group(index) => context.group.get(index).map_or("", |label| &label.name),
            TagSource::Label(index) => subject.labels.get(index).map_or("", |label| &label.name),
            TagSource::Bound => bound.unwrap_or_default(),
            TagSource::Added(index) => {
                context.options.tags.add.get(index).map_or("", |label| &label.name)
            }
        };
        // The new names that rules gave; what is found here comes behind them.
        let (given, mut found) = (std::mem::take(&mut self.renamed), Vec::new());
        let key_of = |entry: &TagSlot| match entry.renamed {
            Some(index) => given.get(index).map_or("", String::as_str),
            None => name_of(entry.source),
        };
        let stays =
            |key: &str| !names.is_taken(key, suffix) && matches!(clean(key), Cow::Borrowed(_));
        let mut keys: HashSet<Cow<'_, str>> =
            self.order.iter().map(key_of).filter(|key| stays(key)).map(Cow::Borrowed).collect();
        for entry in &mut self.order {
            let key = key_of(entry);
            if stays(key) {
                continue;
            }
            let mut free = clean(key).into_owned();
            while names.is_taken(&free, suffix) || keys.contains(&*free) {
                free.push('_');
            }
            keys.insert(Cow::Owned(free.clone()));
            entry.renamed = Some(given.len() + found.len());
            found.push(free);
        }
        self.renamed = given;
        self.renamed.append(&mut found);
        let renamed = &self.renamed;
        let final_key = |entry: &TagSlot| match entry.renamed {
            Some(index) => renamed.get(index).map_or("", String::as_str),
            None => name_of(entry.source),
        };
        self.order.sort_unstable_by(|a, b| final_key(a).cmp(final_key(b)));
    }
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

/// A tag that a line has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Selected<'a> {
    pub(super) key: &'a str,
    pub(super) source: TagSource,
    /// The key is not what its source calls it.
    pub(super) is_renamed: bool,
}

/// Who wins, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Bound,
    Group,
    Label,
    Added,
}

/// A tag that a line may have.
#[derive(Clone, Copy, Debug)]
struct Candidate<'a> {
    tag: Selected<'a>,
    rank: Rank,
    is_empty: bool,
    old_name: &'a str,
}

/// The tags of a line, sorted by key, no key twice.
pub(super) fn select<'a>(context: &Context<'a>, subject: Subject<'a>) -> Vec<Selected<'a>> {
    let mut candidates = candidates(context, subject);
    candidates.sort_unstable_by_key(|candidate| {
        let Candidate { tag, rank, is_empty, old_name } = *candidate;
        (tag.key, rank, is_empty, tag.is_renamed, old_name)
    });
    let of_one_key = candidates.chunk_by(|one, next| one.tag.key == next.tag.key);
    of_one_key.filter_map(winner).map(|winner| winner.tag).collect()
}

fn candidates<'a>(context: &Context<'a>, subject: Subject<'a>) -> Vec<Candidate<'a>> {
    let rules = &context.options.tags;
    let of = |label: &'a Label<'_>, rank, source| {
        let key = rules.name(&label.name)?;
        let tag = Selected { key, source, is_renamed: key != label.name };
        Some(Candidate { tag, rank, is_empty: label.value.is_empty(), old_name: &label.name })
    };
    let unchanged = |key, rank, source| {
        let tag = Selected { key, source, is_renamed: false };
        Candidate { tag, rank, is_empty: false, old_name: key }
    };
    let bound = bound_key(subject.part);
    let group = context.group.iter().enumerate();
    let group = group.filter_map(|(at, label)| of(label, Rank::Group, TagSource::Group(at)));
    // The body's label of that name is the text of the bound.
    let labels = subject.labels.iter().enumerate();
    let labels = labels
        .filter(|(_, label)| bound != Some(&*label.name))
        .filter_map(|(at, label)| of(label, Rank::Label, TagSource::Label(at)));
    let added = rules.add.iter().enumerate();
    let added = added.map(|(at, label)| unchanged(&*label.name, Rank::Added, TagSource::Added(at)));
    let bound = bound.map(|key| unchanged(key, Rank::Bound, TagSource::Bound));
    bound.into_iter().chain(group).chain(labels).chain(added).collect()
}

/// The first one of a key, or the last, which may be an added one, where that has no value.
fn winner<'c, 'a>(of_one_key: &'c [Candidate<'a>]) -> Option<&'c Candidate<'a>> {
    let (first, last) = (of_one_key.first(), of_one_key.last());
    first.filter(|first| !first.is_empty).or_else(|| last.filter(|last| last.rank == Rank::Added))
}
