//! What a push is besides its samples.

use super::options::MappingOptions;
use crate::push::sample::Label;

/// The options of its input, what its URL says, and its time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Context<'p> {
    /// The options of its input.
    pub options: &'p MappingOptions,
    /// The job in its URL.
    pub job: &'p str,
    /// The labels in its URL, the job included, sorted by name, each name once. One with an empty
    /// value removes the body's label of that name.
    pub group: &'p [Label<'static>],
    /// When it was received, in nanoseconds since the Unix epoch.
    pub received_ns: i64,
}
