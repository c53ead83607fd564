//! What the operator asks of the queue.

use std::time::Duration;

/// When a push is answered with 200 (`output.ack`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Acknowledge {
    /// After the output has taken the whole push.
    #[default]
    Written,
    /// After the push is in the queue.
    Queued,
}

/// What the operator asks of the queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueOptions {
    /// Memory that lines may hold while they wait, in bytes (`output.queue_bytes`).
    pub bytes_max: usize,
    /// When a push is acknowledged.
    pub(crate) acknowledge: Acknowledge,
    /// How long a push may wait for its acknowledgement (`output.ack_timeout`).
    pub ack_timeout: Duration,
}
