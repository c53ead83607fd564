//! What is known at a sample: the names of its family, and the tags of samples of its kind.

use super::context::Context;
use super::names::FamilyNames;
use super::tags::Arrangement;
use super::url_tags::UrlTags;
use crate::push::exposition::delta::Kept;
use crate::push::sample::Part;

/// Kinds of samples: a sample of each has other tags, or another field.
pub(crate) const KINDS: usize = 5;

/// The kind of samples with such a part, below [`KINDS`].
#[inline(always)]
pub(super) fn kind(part: Part) -> usize {
    match part {
        Part::Whole => 0,
        Part::Bucket(_) => 1,
        Part::Quantile(_) => 2,
        Part::Sum => 3,
        Part::Count => 4,
    }
}

/// What was worked out for the samples of a push so far. Its memory is used again from push to
/// push.
#[derive(Debug, Default)]
pub(super) struct Memory {
    pub(super) names: FamilyNames,
    pub(super) url: UrlTags,
    pub(super) arrangements: [Arrangement; KINDS],
    /// What is kept of the labels of the last sample of each kind.
    pub(super) kept: [Kept; KINDS],
    /// The last number that was given to an arrangement.
    pub(super) last_number: u64,
}

/// The push, and what was worked out for its samples.
#[derive(Debug)]
pub(crate) struct Known<'p> {
    pub(super) context: Context<'p>,
    pub(super) memory: &'p mut Memory,
}
