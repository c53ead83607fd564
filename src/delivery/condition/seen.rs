//! What is seen of the output and of the spool, for those who only look.

use super::not_ready::NotReady;
use std::sync::Arc;
use std::time::Duration;

/// How things are, at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    /// The output takes lines, or nothing waits for it.
    Flowing {
        /// For how long it has taken nothing though something waits; zero where nothing does.
        waited: Duration,
    },
    /// Lines go to the spool.
    Spooling {
        /// For how long.
        for_time: Duration,
        /// What is wrong with the output, as long as it is known.
        because: Option<NotReady>,
    },
    /// Pushes cannot be delivered.
    NotReady(NotReady),
}

/// What is wrong with an output that fails, from its first failure on, ready or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OutputFailure {
    /// What is wrong, in the consumer's words.
    pub(crate) words: Arc<str>,
    /// For how long.
    pub(crate) for_time: Duration,
    /// When it is tried again; zero while it is being tried.
    pub(crate) next_try: Duration,
}

/// What a spool says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SpoolCondition {
    /// There is none.
    Absent,
    /// It is empty: lines go straight to the output.
    Empty,
    /// It takes lines.
    Spooling,
    /// It takes no more.
    Full {
        /// What bounds it.
        words: Arc<str>,
    },
}

impl SpoolCondition {
    /// Whether lines wait in it.
    pub(super) fn is_used(&self) -> bool {
        matches!(self, SpoolCondition::Spooling | SpoolCondition::Full { .. })
    }
}
