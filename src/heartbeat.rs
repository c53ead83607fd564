//! Whether the workers get on with their work: each has a beat, a watchdog looks at all of them.
//!
//! A beat costs its worker two relaxed stores a request and no clock; the clock is the watchdog's,
//! who looks now and then and sees which beats have not changed since. Waiting for the output is
//! rest, not work: a consumer that takes nothing must never look like a defect of this process.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The beat of one worker, who alone changes it.
#[derive(Debug, Default)]
pub(crate) struct Beat(AtomicU64);

/// The lowest bit: the worker works.
const WORKS: u64 = 1;

impl Beat {
    /// The worker begins to work on something.
    pub(crate) fn work(&self) {
        let beat = self.0.load(Ordering::Relaxed);
        self.0.store(beat.wrapping_add(2) | WORKS, Ordering::Relaxed);
    }

    /// The worker has nothing to do: its last push may still wait for the output, but without it.
    pub(crate) fn rest(&self) {
        let beat = self.0.load(Ordering::Relaxed);
        self.0.store(beat & !WORKS, Ordering::Relaxed);
    }
}

/// The beats of all workers.
#[derive(Debug)]
pub(crate) struct Heartbeats(Vec<Arc<Beat>>);

impl Heartbeats {
    /// Of so many workers, all at rest.
    pub(crate) fn new(workers: usize) -> Heartbeats {
        Heartbeats((0..workers).map(|_| Arc::default()).collect())
    }

    /// One for each worker.
    pub(crate) fn beats(&self) -> &[Arc<Beat>] {
        &self.0
    }
}

/// Looks at heartbeats now and then, and keeps what it saw.
#[derive(Debug)]
pub(crate) struct Examiner {
    /// Each beat, and since when it has been as it is.
    seen: Vec<(u64, Instant)>,
    /// How long a worker may work on one request.
    work_max: Duration,
}

impl Examiner {
    /// Begins to look at `now`.
    pub(crate) fn new(heartbeats: &Heartbeats, work_max: Duration, now: Instant) -> Examiner {
        let seen = heartbeats.0.iter().map(|beat| (beat.0.load(Ordering::Relaxed), now)).collect();
        Examiner { seen, work_max }
    }

    /// How many workers have been at one and the same request for longer than they may.
    pub(crate) fn stuck(&mut self, heartbeats: &Heartbeats, now: Instant) -> usize {
        let mut count = 0;
        for (beat, seen) in heartbeats.0.iter().zip(&mut self.seen) {
            let value = beat.0.load(Ordering::Relaxed);
            if value != seen.0 {
                *seen = (value, now);
            }
            let unchanged_for = now.saturating_duration_since(seen.1);
            count += usize::from(value & WORKS == WORKS && unchanged_for > self.work_max);
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_works_on_one_request_for_too_long_is_stuck() {
        let heartbeats = Heartbeats::new(4);
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut examiner = Examiner::new(&heartbeats, Duration::from_secs(30), start);
        let beat = |worker: usize| &heartbeats.beats()[worker];
        // 0 never does anything, 1 hangs, 2 goes on to its next request, 3 waits for the output.
        for worker in 1..4 {
            beat(worker).work();
        }
        assert_eq!(examiner.stuck(&heartbeats, after(10)), 0);
        beat(2).rest();
        beat(2).work();
        beat(3).rest();
        assert_eq!(
            examiner.stuck(&heartbeats, after(40)),
            0,
            "30 s, and no more, since it was seen"
        );
        assert_eq!(examiner.stuck(&heartbeats, after(41)), 1, "the one that hangs");
        assert_eq!(
            examiner.stuck(&heartbeats, after(71)),
            2,
            "and the second one at its next request"
        );
        beat(1).rest();
        beat(2).work();
        assert_eq!(examiner.stuck(&heartbeats, after(72)), 0, "both have gone on");
    }
}
