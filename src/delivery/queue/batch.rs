//! The lines of one push on their way, and the way back to its pusher.

use super::undelivered::Undelivered;
use std::fmt;
use std::time::Instant;

/// The way back to a pusher.
pub trait Reply: Send + fmt::Debug + 'static {
    /// Answers: the push is acknowledged, or why it is not. Only after [`Undelivered::TimedOut`]
    /// may it be written all the same.
    fn answer(self, outcome: Result<(), Undelivered>);
}

impl Reply for () {
    /// No pusher waits for this batch.
    fn answer(self, _: Result<(), Undelivered>) {}
}

/// What a batch holds in memory besides its lines and its reply, in bytes: itself, its place in
/// the channel, and what an allocator adds to an allocation.
const BATCH_OVERHEAD_BYTES: usize = 128;

/// Whose lines a batch has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// A push, whose pusher has to be answered.
    Push,
    /// Our own figures, which nobody waits for.
    Own,
}

/// The lines of one push, on their way.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(super) origin: Origin,
    /// Whole lines, each with its LF.
    pub lines: Vec<u8>,
    /// How many lines.
    pub line_count: u32,
    /// The memory that it holds, in bytes: noted when it comes, so that exactly that is given back.
    pub(super) cost: usize,
    /// The number of its reply, and until when that may wait; none where it was acknowledged
    /// already.
    pub(super) reply: Option<(u64, Instant)>,
}

impl Batch {
    /// Of a push whose reply holds so many bytes.
    pub(crate) fn of_push(lines: Vec<u8>, line_count: u32, reply_bytes: usize) -> Batch {
        let cost =
            lines.capacity().saturating_add(reply_bytes).saturating_add(BATCH_OVERHEAD_BYTES);
        Batch { origin: Origin::Push, lines, line_count, cost, reply: None }
    }

    /// Of our own figures.
    pub(super) fn own(lines: Vec<u8>, line_count: u32) -> Batch {
        // OK because there is one of them at most, of a size that we know.
        Batch { origin: Origin::Own, lines, line_count, cost: 0, reply: None }
    }

    /// Whether a pusher waits for it, or was told that it will be delivered.
    pub(crate) fn is_push(&self) -> bool {
        self.origin == Origin::Push
    }

    /// Whether its pusher was told that it will be delivered.
    pub(crate) fn is_acknowledged(&self) -> bool {
        self.is_push() && self.reply.is_none()
    }
}

/// What the writer is told.
#[derive(Debug)]
pub(crate) enum WriterOrder {
    /// Deliver this.
    Deliver(Batch),
    /// Look at the [state](crate::delivery::condition::OutputState) of the output: the queue is
    /// closed, or the output is to be opened anew.
    LookUp,
}
