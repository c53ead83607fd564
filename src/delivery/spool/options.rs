//! What the operator asks of a spool.

use std::path::PathBuf;
use std::time::Duration;

/// What happens to new lines when there is no room for them (`spool.full`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum WhenFull {
    /// They are refused.
    #[default]
    Refuse,
    /// The oldest ones are dropped.
    DropOldest,
}

/// What the operator asks of the spool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SpoolOptions {
    /// The folder (`spool.dir`).
    pub(crate) dir: PathBuf,
    /// All segments together, in bytes (`spool.max_bytes`).
    pub(crate) bytes_max: u64,
    /// Older lines are dropped (`spool.max_age`); none where there is no bound.
    pub(crate) age_max: Option<Duration>,
    /// How long a block may wait for the output before it is spooled (`spool.after`).
    pub(crate) after: Duration,
    /// What happens when it is full.
    pub(crate) when_full: WhenFull,
}
