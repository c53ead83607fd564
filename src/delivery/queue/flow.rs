//! Whether lines flow: what decides at once whether a push may be accepted, and what shows it.

use super::{QueueOptions, Undelivered};
use crate::current::Live;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

const OPEN: u8 = 0;
const CLOSED: u8 = 1;
const ENDED: u8 = 2;

/// How lines flow: whether a push would be accepted now.
#[derive(Debug)]
pub(crate) struct Flow {
    pub(super) options: Live<QueueOptions>,
    started: Instant,
    /// [`OPEN`], [`CLOSED`] or [`ENDED`].
    state: AtomicU8,
    /// Since when the output has taken nothing though it should, in microseconds after `started`,
    /// plus one; 0 while it flows.
    stuck_since: AtomicU64,
}

impl Flow {
    pub(super) fn new(options: QueueOptions) -> Flow {
        Flow {
            options: Live::new(options),
            started: Instant::now(),
            state: AtomicU8::new(OPEN),
            stuck_since: AtomicU64::new(0),
        }
    }

    /// Nothing more is accepted.
    pub(super) fn close(&self) {
        self.state.store(CLOSED, Ordering::Release);
    }

    /// The output has ended for good.
    pub(super) fn end(&self) {
        self.state.store(ENDED, Ordering::Release);
    }

    /// The output should take bytes from here on: unless it flows, it is stuck.
    pub(super) fn is_trying(&self) {
        let now = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX - 1);
        let (relaxed, since) = (Ordering::Relaxed, now + 1);
        if self.stuck_since.compare_exchange(0, since, relaxed, relaxed).is_err() {
            // OK because it has been trying since before.
        }
    }

    /// The output took bytes of the block in hand that it had not taken before.
    pub(crate) fn advances(&self) {
        self.is_flowing();
        self.is_trying();
    }

    /// The output took bytes, or has nothing to take; returns whether it was stalled.
    pub(super) fn is_flowing(&self) -> bool {
        let was_stalled = self.stuck_for() > self.options.read().ack_timeout;
        self.stuck_since.store(0, Ordering::Relaxed);
        was_stalled
    }

    /// For how long the output has taken nothing though it should; zero while it flows.
    pub(crate) fn stuck_for(&self) -> Duration {
        match self.stuck_since.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            since => {
                let since = Duration::from_micros(since - 1);
                self.started.elapsed().saturating_sub(since)
            }
        }
    }

    /// Whether a push would be accepted now (`/-/ready`).
    ///
    /// # Errors
    /// Why it would not.
    pub(crate) fn ready(&self) -> Result<(), Undelivered> {
        match self.state.load(Ordering::Acquire) {
            OPEN => {}
            CLOSED => return Err(Undelivered::ShuttingDown),
            _ => return Err(Undelivered::OutputEnded),
        }
        let for_time = self.stuck_for();
        if for_time > self.options.read().ack_timeout {
            return Err(Undelivered::Stalled { for_time });
        }
        Ok(())
    }
}
