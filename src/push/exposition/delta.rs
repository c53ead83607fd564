//! The delta: what a sample has in common with the one before it. The speed of the whole path rests
//! on this one idea.
//!
//! Exporters write series in runs, and most series differ from the one before in a few bytes. What
//! is the same is neither read, nor mapped, nor written a second time. Each stage takes its share
//! of that, and all of them speak of it in the terms of this file.
//!
//! # An example
//!
//! ```text
//! 1  node_cpu_seconds_total{cpu="0",mode="idle"} 71
//! 2  node_cpu_seconds_total{cpu="0",mode="user"} 9
//! 3  node_cpu_seconds_total{cpu="1",mode="user"} 8
//! 4  node_cpu_guest_seconds_total{cpu="1",mode="user"} 0
//! ```
//!
//! 1. Nothing is known, and everything is worked out.
//! 2. One label is kept, and the likeness is [`Likeness::Family`]: only the text `user` is read,
//!    the tags have the order that is known, and the line is a copy of line 1 up to that value.
//! 3. No label is kept, since only labels from the first on count: both values are read and
//!    written. The likeness is `Family` again, so the rest is as in 2.
//! 4. Two labels are kept, and the likeness is [`Likeness::Shape`]: the name is read and cut, and
//!    the tags are copied whole from line 3.
//!
//! # What holds
//!
//! - A delta speaks of the sample and of the one that its reader handed over before it, whatever
//!   the stages made of that one: a sample without a line is a sample before the next one, too.
//! - **To say less is always allowed.** [`Delta::UNKNOWN`] is true of any sample. So a reader need
//!   not look closely, a comparison may stop early, and a test may compare each sample with the
//!   same one read alone.
//! - Both parts of a delta are ordered by how much they say. So what holds over several samples in
//!   a row is the least that each of them says ([`Kept::and`], [`Delta::and`]).
//! - A label without a value is not a tag (SPEC 2.3). So a likeness promises that a label whose
//!   value changed has one now and had one before: then a sample has the tags of the one before,
//!   key by key.
//!
//! # Who says it, and who asks
//!
//! The readers say it: `text/series` compares bytes with those of the line before,
//! `protobuf/labels` compares messages. `mapping` asks whether the names and the order of tags that
//! it knows still hold, and hands on with each point what is kept since the last point with the
//! same tags. `line` asks which values of tags it may copy from that point's line.

/// How many of the first labels are, name and value, those of the sample before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Kept(usize);

/// What else is as it was. Each variant says what those before it say, and more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Likeness {
    /// Nothing is known.
    Unknown,
    /// The kind of its part, and the names of its labels in their order; and no label whose value
    /// changed is, or was, empty.
    Shape,
    /// The metric family.
    Family,
}

/// What a sample has in common with the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Delta {
    pub(crate) kept: Kept,
    pub(crate) likeness: Likeness,
}

impl Kept {
    /// No label is known to be kept.
    pub(crate) const NONE: Kept = Kept(0);
    /// No label has changed yet.
    pub(crate) const ALL: Kept = Kept(usize::MAX);

    /// The first `count` labels.
    #[inline(always)]
    pub(crate) fn first(count: usize) -> Kept {
        Kept(count)
    }

    /// How many labels are kept of a sample that has `count`.
    #[inline(always)]
    pub(crate) fn of(self, count: usize) -> usize {
        self.0.min(count)
    }

    /// Whether the label at this index is kept.
    #[inline(always)]
    pub(crate) fn has(self, index: usize) -> bool {
        index < self.0
    }

    /// What both keep: what is kept over two samples in a row.
    #[inline(always)]
    pub(crate) fn and(self, other: Kept) -> Kept {
        Kept(self.0.min(other.0))
    }
}

impl Delta {
    /// Nothing is known: the first sample of a body, and always allowed.
    pub(crate) const UNKNOWN: Delta = Delta { kept: Kept::NONE, likeness: Likeness::Unknown };
    /// Nothing has changed yet.
    pub(super) const SAME: Delta = Delta { kept: Kept::ALL, likeness: Likeness::Family };

    /// The same said of two samples in a row, each of the one before it.
    #[inline(always)]
    pub(super) fn and(self, other: Delta) -> Delta {
        let kept = self.kept.and(other.kept);
        Delta { kept, likeness: self.likeness.min(other.likeness) }
    }

    /// The same, but no more of the likeness than this.
    #[inline(always)]
    pub(super) fn at_most(self, likeness: Likeness) -> Delta {
        Delta { likeness: self.likeness.min(likeness), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_deltas_in_a_row_say_the_least_that_each_says() {
        let delta = |kept, likeness| Delta { kept: Kept::first(kept), likeness };
        let (shape, family) = (Likeness::Shape, Likeness::Family);
        assert_eq!(delta(2, shape).and(delta(1, family)), delta(1, shape));
        assert_eq!(delta(2, shape).and(Delta::SAME), delta(2, shape));
        assert_eq!(delta(2, shape).and(Delta::UNKNOWN), Delta::UNKNOWN);
        assert_eq!(delta(2, family).at_most(shape), delta(2, shape));
        assert_eq!(delta(2, shape).at_most(family), delta(2, shape));
    }

    #[test]
    fn labels_are_kept_from_the_first_on() {
        let kept = Kept::first(2).and(Kept::ALL);
        assert!(kept.has(0) && kept.has(1) && !kept.has(2));
        assert_eq!((kept.of(1), kept.of(5)), (1, 2));
        assert!(!Kept::NONE.has(0) && !Kept::ALL.has(usize::MAX));
    }
}
