//! Batches on their way to the writer, bounded in bytes, and their acknowledgements (SPEC 3).

use std::time::Duration;

/// When a push is answered with 200 (`output.ack`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Acknowledge {
    /// After the output's write call has returned for the whole push.
    #[default]
    Written,
    /// After the push stands in the queue.
    Queued,
}

/// What the operator asks of the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Lines that may wait, in bytes (`output.queue_bytes`).
    pub bytes_max: usize,
    /// When a push is acknowledged.
    pub acknowledge: Acknowledge,
    /// How long a push may wait for its acknowledgement (`output.ack_timeout`).
    pub ack_timeout: Duration,
}

/// The lines of one push.
#[derive(Debug)]
pub struct Batch {
    /// Whole lines, each with its LF.
    pub lines: Vec<u8>,
    /// How many lines.
    pub point_count: u32,
}
