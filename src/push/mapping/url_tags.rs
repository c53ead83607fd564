//! The labels of a URL, under the rules of the input → the tags that they may be, once a push.
//!
//! A sample costs what it has, not what its URL has: labels of the URL without a value, dropped
//! ones and those that another one overrules are sorted out here, and never looked at again.

use super::context::Context;
use crate::push::sample::Label;
use std::ops::Range;

/// The tags of a URL, sorted by key, no key twice.
#[derive(Debug, Default)]
pub(super) struct UrlTags {
    /// Their keys, one after the other, and those that are only taken away.
    text: String,
    tags: Vec<UrlTag>,
    /// The keys of labels without a value, which take the body's labels of that name away; sorted.
    taken_away: Vec<Range<usize>>,
}

/// A label of the URL that is a tag, unless the bound has its key.
#[derive(Clone, Debug)]
struct UrlTag {
    key: Range<usize>,
    /// An index of [`Context::group`].
    index: usize,
    is_renamed: bool,
}

impl UrlTags {
    /// Works out those of a push.
    pub(super) fn set(&mut self, context: &Context<'_>) {
        self.text.clear();
        self.tags.clear();
        self.taken_away.clear();
        let rules = &context.options.tags;
        if rules.is_empty() {
            for (index, label) in context.group.iter().enumerate() {
                self.push(&label.name, index, label);
            }
            return;
        }
        let mut candidates = Vec::new();
        // OK to allocate, since it is once a push, and only where there are rules.
        for (index, label) in context.group.iter().enumerate() {
            if let Some(key) = rules.name(&label.name) {
                // Of those with one key the first wins: one with a value, under its own name.
                let rank = (label.value.is_empty(), key != label.name, &*label.name);
                candidates.push(((key, rank), index));
            }
        }
        candidates.sort_unstable();
        candidates.dedup_by(|next, first| next.0.0 == first.0.0);
        for ((key, _), index) in candidates {
            if let Some(label) = context.group.get(index) {
                self.push(key, index, label);
            }
        }
    }

    fn push(&mut self, key: &str, index: usize, label: &Label<'_>) {
        let start = self.text.len();
        self.text.push_str(key);
        let range = start..self.text.len();
        if label.value.is_empty() {
            self.taken_away.push(range);
        } else {
            self.tags.push(UrlTag { key: range, index, is_renamed: key != label.name });
        }
    }

    /// Key and index of each tag, and whether the key is not the name of its label.
    pub(super) fn tags(&self) -> impl Iterator<Item = (&str, usize, bool)> {
        self.tags.iter().map(|tag| (self.key(&tag.key), tag.index, tag.is_renamed))
    }

    /// Whether a label of the body with this key is no tag, since the URL has it without a value.
    pub(super) fn takes_away(&self, key: &str) -> bool {
        self.taken_away.binary_search_by(|range| self.key(range).cmp(key)).is_ok()
    }

    fn key(&self, range: &Range<usize>) -> &str {
        self.text.get(range.clone()).unwrap_or_default()
    }
}
