//! What an input asks besides SPEC 2: which metrics are kept, how measurements are called, which
//! tags are renamed, left out and added.
//!
//! The order of work is: filter by the metric's name, rename, drop, add. So a tag is dropped by its
//! new name, and an added one never. Everything here is empty unless the operator fills it, and is
//! asked once for a run of samples that are alike, never for each.

use super::pattern::Pattern;
use crate::push::sample::Label;
use std::collections::BTreeMap;

/// Which metrics are kept, by N of SPEC 2.1: the name of a histogram or summary with all its parts,
/// else the sample's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// One of them must match; where there is none, every name does.
    pub allow: Vec<Pattern>,
    /// None of them may match.
    pub deny: Vec<Pattern>,
}

impl Filter {
    pub(super) fn keeps(&self, family: &str) -> bool {
        let matches = |pattern: &Pattern| pattern.matches(family);
        (self.allow.is_empty() || self.allow.iter().any(matches)) && !self.deny.iter().any(matches)
    }
}

/// Names the measurement of all metrics with one prefix, as DataKit's collector for Prometheus
/// does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeasurementRule {
    /// What N begins with; not empty.
    pub prefix: String,
    /// The measurement; not empty.
    pub name: String,
}

impl MeasurementRule {
    /// Measurement and field of a family with the prefix. The field is the rest of the name, or all
    /// of it where nothing is left.
    pub(super) fn names<'n>(&'n self, family: &'n str) -> Option<(&'n str, &'n str)> {
        let rest = family.strip_prefix(&self.prefix)?;
        Some((&self.name, if rest.is_empty() { family } else { rest }))
    }
}

/// What becomes of labels before they are tags. The `le` of a typed bucket and the `quantile` of a
/// typed summary are not labels, and stay as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TagRules {
    /// New names of labels, of the URL and of the body, by their old ones; none is empty. Each
    /// label is renamed once.
    pub rename: BTreeMap<String, String>,
    /// Labels with such a name, which may be a new one, are not tags.
    pub drop: Vec<Pattern>,
    /// Tags of all lines that have none of that name; sorted by name, each name once, no value
    /// empty.
    pub add: Vec<Label<'static>>,
}

impl TagRules {
    /// Whether labels stay as they are.
    pub(super) fn is_empty(&self) -> bool {
        self.rename.is_empty() && self.drop.is_empty() && self.add.is_empty()
    }

    /// The name of a label from now on; none where it is dropped.
    pub(super) fn name<'n>(&'n self, old: &'n str) -> Option<&'n str> {
        let name = self.rename.get(old).map_or(old, String::as_str);
        (!self.drop.iter().any(|pattern| pattern.matches(name))).then_some(name)
    }
}
