//! What the process counts of itself → its own exposition, text format 0.0.4 (SPEC 1, `/metrics`).
//!
//! A [`Telemetry`] is made once and passed by reference. Every label set is bounded and known at
//! compile time: never a path, a peer or anything else that a pusher chooses. Counters are relaxed
//! atomics; the hot path adds to them once a push, not once a sample. What is counted is counted
//! before the answer that it belongs to, so whoever has an answer finds it in the next figures.

mod last_rejected;
mod number;
mod output;
mod page;
mod process;
mod reason;
mod render;
#[cfg(test)]
mod tests;

use last_rejected::LastRejected;
pub(crate) use last_rejected::RejectedLine;
use number::ANSWER_BOUNDS;
pub use number::{Counter, Gauge};
use output::OutputCounters;
use process::Process;
pub(crate) use process::resident_bytes;
pub(crate) use reason::{HandshakeOutcome, Reason, RejectReason};
use std::time::Duration;

/// The methods that are told apart; every other method counts as `other`.
const METHODS: [&str; 7] = ["DELETE", "GET", "HEAD", "OPTIONS", "POST", "PUT", "other"];

/// The statuses that pushline answers with, by SPEC 1. Any other would count as `other`, so that
/// none is lost.
const STATUSES: [u16; 15] =
    [200, 202, 400, 401, 403, 404, 405, 408, 413, 415, 422, 431, 500, 503, 505];

/// The formats of accepted pushes, as `sample::Format` names them.
const FORMATS: [&str; 3] = ["text", "openmetrics", "protobuf"];

/// The codings of accepted pushes, as `body::Coding` names them.
const CODINGS: [&str; 4] = ["identity", "gzip", "deflate", "snappy"];

/// Everything that the process counts of itself.
#[derive(Debug, Default)]
pub struct Telemetry {
    process: Process,
    /// By method and status, the last of them for other ones.
    answered: [[Counter; STATUSES.len() + 1]; METHODS.len()],
    answer_buckets: [Counter; ANSWER_BOUNDS.len()],
    answer_count: Counter,
    answer_time_us: Counter,
    accepted: [[Counter; CODINGS.len()]; FORMATS.len()],
    refused: [Counter; Reason::ALL.len()],
    rejected: [Counter; RejectReason::ALL.len()],
    /// The last lines that the consumer refused.
    pub(crate) last_rejected: LastRejected,
    handshakes: [Counter; HandshakeOutcome::ALL.len()],
    /// The earliest end of the chain that the listeners send, in seconds since 1970; 0 without one.
    pub(crate) tls_ends_s: Gauge,
    /// Bytes of the bodies of accepted pushes, as sent.
    pub body_bytes: Counter,
    /// Bytes of the bodies of accepted pushes, after decompression.
    pub decoded_bytes: Counter,
    /// Samples read from accepted pushes, the skipped ones included.
    pub(crate) samples_read: Counter,
    /// Samples of accepted pushes skipped because their value is NaN or infinite (SPEC 2.2).
    pub(crate) skipped_not_finite: Counter,
    /// Samples of accepted pushes skipped because their `le` or `quantile` is NaN (SPEC 2.2).
    pub(crate) skipped_bound_nan: Counter,
    /// Samples that the filters of their input leave out.
    pub(crate) skipped_filtered: Counter,
    /// Labels of written samples that the URL overruled with another value (SPEC 2.3).
    pub(crate) labels_overruled: Counter,
    /// Timestamps of written samples before 2000 or more than a day after their push.
    pub(crate) timestamps_implausible: Counter,
    /// Lines handed to the output.
    pub(crate) lines_written: Counter,
    /// Bytes handed to the output, those of a block that was begun anew once.
    pub(crate) bytes_written: Counter,
    /// Pushes that wait for the writer, the one in its hand included.
    pub(crate) queue_batches: Gauge,
    /// Bytes of those pushes.
    pub queue_bytes: Gauge,
    /// Whether the output takes pushes, 1 or 0: noted by who renders, as it depends on the clock.
    pub ready: Gauge,
    /// Bytes of the spool's segments.
    pub(crate) spool_bytes: Gauge,
    /// Lines that wait in the spool.
    pub(crate) spool_lines: Gauge,
    /// Those of them that are no longer on disk, as they were given up while they are offered.
    pub(crate) spool_memory_lines: Gauge,
    /// When the oldest of them was written, in milliseconds since 1970; 0 where none waits.
    pub(crate) spool_oldest_ms: Gauge,
    /// Since when lines have gone to the spool, in milliseconds since 1970; 0 while none do.
    pub(crate) spool_since_ms: Gauge,
    /// Lines that were written to the spool.
    pub(crate) spool_lines_total: Counter,
    /// Lines of the spool that were dropped because it was full.
    pub(crate) spool_dropped_full: Counter,
    /// Lines of the spool that were dropped because they were too old.
    pub(crate) spool_dropped_expired: Counter,
    /// Records of the spool that are lost to damage.
    pub(crate) spool_damaged_records: Counter,
    /// Times that the output took nothing for longer than `ack_timeout`, counted at their ends.
    pub(crate) writer_stalls: Counter,
    /// Times that the output worked again after it had failed.
    pub(crate) reconnects: Counter,
    /// What the output asked its store, and was answered.
    pub(crate) output: OutputCounters,
    /// Lines that were sent again after a connection broke.
    pub(crate) lines_resent: Counter,
    /// Bytes of bodies in hand, all connections together.
    pub(crate) buffered_bytes: Gauge,
    /// Connections open now.
    pub(crate) connections_open: Gauge,
    /// Connections accepted since the start.
    pub(crate) connections_accepted: Counter,
    /// Idle connections closed to make room for new ones.
    pub(crate) connections_evicted: Counter,
    /// Connections closed unserved: gone already, or not to be watched.
    pub(crate) connections_refused: Counter,
    /// Errors of `accept` that were survived.
    pub(crate) accept_errors: Counter,
    /// Workers that there are.
    pub workers: Gauge,
    /// Workers that serve a request now.
    pub workers_busy: Gauge,
    /// Panics of workers, each answered with 500.
    pub(crate) worker_panics: Counter,
    /// Times that these figures were handed to the output (`telemetry.emit_interval`).
    pub(crate) emitted: Counter,
    /// Times that they were due and the output was not ready for them.
    pub(crate) emissions_skipped: Counter,
}

impl Telemetry {
    /// All zero.
    pub fn new() -> Telemetry {
        Telemetry::default()
    }

    /// Counts one answer and the time that it took.
    pub fn answered(&self, method: &str, status: u16, time: Duration) {
        let row = METHODS.iter().position(|known| *known == method).unwrap_or(METHODS.len() - 1);
        let column = STATUSES.iter().position(|known| *known == status).unwrap_or(STATUSES.len());
        if let Some(counter) = self.answered.get(row).and_then(|row| row.get(column)) {
            counter.increment();
        }
        let time_us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let bucket = ANSWER_BOUNDS.iter().position(|(bound, _)| time_us <= *bound);
        if let Some(counter) = bucket.and_then(|bucket| self.answer_buckets.get(bucket)) {
            counter.increment();
        }
        self.answer_count.increment();
        self.answer_time_us.add(time_us);
    }

    /// Counts one push that was accepted, by the names of its format and its coding.
    pub fn accepted(&self, format: &str, coding: &str) {
        let row = FORMATS.iter().position(|known| *known == format);
        let column = CODINGS.iter().position(|known| *known == coding);
        let row = row.and_then(|row| self.accepted.get(row));
        if let Some(counter) = row.zip(column).and_then(|(row, column)| row.get(column)) {
            counter.increment();
        }
    }

    /// Counts one push that was refused.
    pub(crate) fn refused(&self, reason: Reason) {
        if let Some(counter) = self.refused.get(reason as usize) {
            counter.increment();
        }
    }

    /// Counts one handshake.
    pub(crate) fn shook_hands(&self, outcome: HandshakeOutcome) {
        if let Some(counter) = self.handshakes.get(outcome as usize) {
            counter.increment();
        }
    }

    /// Counts lines that the consumer refused for good.
    pub(crate) fn rejected(&self, reason: RejectReason, lines: u64) {
        if let Some(counter) = self.rejected.get(reason as usize) {
            counter.add(lines);
        }
    }

    /// How many lines the consumer refused for good.
    pub(crate) fn rejected_lines(&self) -> u64 {
        self.rejected.iter().map(Counter::get).sum()
    }
}
