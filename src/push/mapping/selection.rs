//! Labels and the rules of an input → which tags a line has, before their keys are cleaned.
//!
//! Of what has one name, one becomes the tag, as SPEC 2.3 has it: the bound wins over the URL, the
//! URL over the body. Renaming can also give two labels of the URL, or of the body, one name: then
//! the one that had it from the start wins, else the one whose old name is the first in byte order,
//! and the other is lost. A label without a value is as good as absent, but for one of the URL,
//! which takes the body's away. An added tag comes last.

use super::Context;
use super::tags::Subject;
use super::tags::{TagSource, bound_key};
use crate::push::sample::Label;

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
