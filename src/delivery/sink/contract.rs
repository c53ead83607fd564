//! What the writer, or the deliverer of a spool, may expect of every output.
//!
//! # The contract
//! A sink is offered *blocks*, one at a time: [`Sink::offer`] is called with the same block again
//! and again until it is taken (some of its lines refused or not) or the output has ended. So a
//! sink may keep its place in the block between two calls; no other block comes in between, and a
//! block that is given up is the last one.
//!
//! - A call returns within [`WAIT_MAX`] or so, unless the system leaves no choice. One request of a
//!   blocking client is such a case: its own timeout bounds it. A sink that needs longer answers
//!   [`Trouble::Blocked`] and goes on in the next call.
//! - It tells [`Progress`] how far it has got, so that a slow output is not taken for a stuck one.
//! - It neither pauses after a failure nor logs that it keeps failing: how long to wait, what to
//!   log and what to answer a pusher is decided by who offers the block.
//! - Lines that the consumer refuses are counted, logged and kept by the sink itself, before it
//!   answers [`Taken::AllBut`].

use super::block::Block;
use super::outcome::{Taken, Trouble};
use super::progress::Progress;
use crate::limits::JOINED_BYTES_MAX;
use std::time::{Duration, Instant};

/// The longest that a call of a sink waits, but where the system leaves it no choice.
pub(crate) const WAIT_MAX: Duration = Duration::from_millis(100);

/// How pushes are gathered into a block for a sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gathering {
    /// A block takes more pushes while it is smaller than this. A single push may be larger.
    pub(crate) bytes_max: usize,
    /// How long a smaller block waits for more.
    pub(crate) linger: Duration,
}

impl Default for Gathering {
    /// What a descriptor takes in one call, at once.
    fn default() -> Gathering {
        Gathering { bytes_max: JOINED_BYTES_MAX, linger: Duration::ZERO }
    }
}

/// How long a failing output is left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pauses {
    /// After the first failure; each further pause is twice as long.
    pub(crate) first: Duration,
    /// The bound of that.
    pub(crate) longest: Duration,
}

impl Default for Pauses {
    /// For a consumer that is near, and that costs little to ask.
    fn default() -> Pauses {
        Pauses { first: Duration::from_millis(50), longest: Duration::from_secs(2) }
    }
}

/// What of the blocks that a sink took may still have to be sent again. A spool keeps it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Unsettled {
    /// What was taken before is settled; none: everything is.
    pub(crate) since: Option<Instant>,
    /// It has to be sent again: the consumer refuses something of it, or its connection broke.
    pub(crate) is_in_doubt: bool,
}

/// One output.
pub(crate) trait Sink: Send {
    /// Takes a block, or goes on taking it.
    ///
    /// # Errors
    /// A [`Trouble`]: the same block is to be offered again, unless the output has ended.
    fn offer(&mut self, block: &Block, progress: &mut Progress) -> Result<Taken, Trouble>;

    /// Nothing waits: looks after the other end.
    ///
    /// # Errors
    /// A [`Trouble`].
    fn idle(&mut self) -> Result<(), Trouble>;

    /// Opens anew, and reads again what it needs for that, at the next block (SIGHUP).
    fn reopen(&mut self);

    /// Whether it can only be done with the block that it was offered last once there are other
    /// lines in it, too. It may then be offered a larger block that begins with the same lines.
    fn wants_more(&self) -> bool {
        false
    }

    /// What may still have to be sent again.
    fn unsettled(&self) -> Unsettled {
        Unsettled::default()
    }

    /// How blocks are made for it.
    fn gathering(&self) -> Gathering {
        Gathering::default()
    }

    /// How long it is left alone after a failure.
    fn pauses(&self) -> Pauses {
        Pauses::default()
    }
}
