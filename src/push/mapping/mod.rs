//! Sample → point: names, tags, timestamp, what is skipped (SPEC 2.1 to 2.3).
//!
//! `mapper` decides for each sample what of the sample before it still holds, and asks the others
//! for the rest: `names` cuts and cleans names, `url_tags` and `tags` decide which tags a line has
//! and in which order, `clashes` keeps their keys apart, `rules` says what an input asks besides.
//! `point` is what comes out; how it is written is the business of `line`.
//!
//! Names are cleaned here, since only clean names show what clashes. The order of work is split,
//! clean, resolve clashes (SPEC 5), after the rules.

mod clashes;
mod context;
mod key;
mod known;
mod mapper;
mod names;
mod options;
mod pattern;
mod point;
mod rules;
mod tags;
mod url_tags;

#[cfg(test)]
mod tests;

pub(crate) use context::Context;
pub(crate) use key::TagKey;
pub(crate) use known::{KINDS, Known};
pub use mapper::{Doubtful, Skipped};
pub(crate) use mapper::{Mapper, Mapping};
pub use options::{MappingOptions, Measurement, Timestamps};
pub use pattern::Pattern;
pub(crate) use point::{Point, Series, TagValue};
pub(crate) use rules::TagRules;
pub use rules::{Filter, MeasurementRule};
