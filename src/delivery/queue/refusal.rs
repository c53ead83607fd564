//! Why a push is answered with 503.

use crate::observe::telemetry::Reason;
use std::fmt;
use std::time::Duration;

/// Why a push is answered with 503.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The output has taken nothing for longer than `ack_timeout`; the push was not accepted.
    Stalled {
        /// For how long.
        for_time: Duration,
    },
    /// There was no room in the queue within `ack_timeout`; the push was not accepted.
    Full {
        /// The bound, in bytes.
        bytes_max: usize,
    },
    /// The push was accepted, but not written within `ack_timeout`; it may be written.
    TimedOut {
        /// `ack_timeout`
        after: Duration,
    },
    /// The process is shutting down.
    ShuttingDown,
    /// The output has ended for good.
    OutputEnded,
}

impl Refusal {
    /// How it is counted.
    pub(crate) fn reason(&self) -> Reason {
        match self {
            Refusal::Stalled { .. } => Reason::Stalled,
            Refusal::Full { .. } => Reason::QueueFull,
            Refusal::TimedOut { .. } => Reason::AckTimedOut,
            Refusal::ShuttingDown => Reason::ShuttingDown,
            Refusal::OutputEnded => Reason::OutputEnded,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Stalled { for_time } => {
                write!(f, "the output has taken nothing for {:.1} s, ", for_time.as_secs_f64())?;
                write!(f, "this push was not written")
            }
            Refusal::Full { bytes_max } => {
                write!(f, "the queue is full ({bytes_max} bytes, output.queue_bytes), ")?;
                write!(f, "this push was not written")
            }
            Refusal::TimedOut { after } => {
                write!(
                    f,
                    "the output did not take this push within {:.1} s ",
                    after.as_secs_f64()
                )?;
                write!(f, "(output.ack_timeout), it may be written")
            }
            Refusal::ShuttingDown => write!(f, "shutting down, this push was not written"),
            Refusal::OutputEnded => write!(f, "the output has ended, this push was not written"),
        }
    }
}

impl std::error::Error for Refusal {}
