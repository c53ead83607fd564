//! Whether the essential threads get on with their work: each has a beat, a watchdog looks at them.
//!
//! A beat costs its thread two relaxed stores each time and no clock; the clock is the watchdog's,
//! which looks now and then and sees which beats have not changed since. A thread says which of
//! three things it does:
//! - it works, and must be done with that in the time that the supervisor allows;
//! - it idles, and looks again on its own at least every [`IDLE_MAX`];
//! - it rests: it waits for somebody else for as long as that takes. A consumer that takes nothing
//!   must never look like a defect of this process.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The longest wait of a thread that idles.
pub(crate) const IDLE_MAX: Duration = Duration::from_secs(1);
/// How long a thread that idles may seem to have stopped, so that a busy machine does not look like
/// a defect.
const IDLE_PATIENCE: Duration = Duration::from_secs(4);

/// The beat of one thread, which alone changes it. At rest to begin with.
#[derive(Debug, Default)]
pub(crate) struct Beat(AtomicU64);

/// The lowest bits of a beat: what the thread does. The others count.
const STATE: u64 = 0b11;
const WORKS: u64 = 1;
const IDLES: u64 = 2;
const COUNT: u64 = 4;

impl Beat {
    /// The thread begins to work on something.
    pub(crate) fn work(&self) {
        self.turn_to(WORKS);
    }

    /// The thread waits, for [`IDLE_MAX`] at most.
    pub(crate) fn idle(&self) {
        self.turn_to(IDLES);
    }

    /// The thread waits for somebody else.
    pub(crate) fn rest(&self) {
        self.turn_to(0);
    }

    fn turn_to(&self, state: u64) {
        let count = self.0.load(Ordering::Relaxed) & !STATE;
        self.0.store(count.wrapping_add(COUNT) | state, Ordering::Relaxed);
    }
}

/// The beats of all essential threads.
#[derive(Debug, Default)]
pub(crate) struct Heartbeats {
    workers: Vec<Arc<Beat>>,
    others: Vec<(&'static str, Arc<Beat>)>,
}

impl Heartbeats {
    /// Of so many workers, all at rest.
    pub(crate) fn new(workers: usize) -> Heartbeats {
        let workers = (0..workers).map(|_| Arc::default()).collect();
        Heartbeats { workers, others: Vec::new() }
    }

    /// Adds another thread, by the name that an operator reads.
    pub(crate) fn add(&mut self, name: &'static str, beat: Arc<Beat>) {
        self.others.push((name, beat));
    }

    /// One for each worker.
    pub(crate) fn workers(&self) -> &[Arc<Beat>] {
        &self.workers
    }
}

/// Looks at heartbeats now and then, and keeps what it saw.
#[derive(Debug)]
pub(crate) struct Examiner {
    workers: Vec<Seen>,
    others: Vec<Seen>,
    /// How long a thread may work on one thing.
    work_max: Duration,
}

/// A beat, and since when it has been as it is.
#[derive(Clone, Copy, Debug)]
struct Seen {
    value: u64,
    since: Instant,
}

impl Seen {
    fn begin(beat: &Beat, now: Instant) -> Seen {
        Seen { value: beat.0.load(Ordering::Relaxed), since: now }
    }

    fn is_stuck(&mut self, beat: &Beat, work_max: Duration, now: Instant) -> bool {
        let value = beat.0.load(Ordering::Relaxed);
        if value != self.value {
            *self = Seen { value, since: now };
        }
        let unchanged_for = now.saturating_duration_since(self.since);
        match value & STATE {
            WORKS => unchanged_for > work_max,
            IDLES => unchanged_for > work_max.max(IDLE_PATIENCE),
            _ => false,
        }
    }
}

impl Examiner {
    /// Begins to look at `now`.
    pub(crate) fn new(heartbeats: &Heartbeats, work_max: Duration, now: Instant) -> Examiner {
        let workers = heartbeats.workers.iter().map(|beat| Seen::begin(beat, now)).collect();
        let others = heartbeats.others.iter().map(|(_, beat)| Seen::begin(beat, now)).collect();
        Examiner { workers, others, work_max }
    }

    /// How many workers have been at one and the same request for longer than they may.
    pub(crate) fn stuck_workers(&mut self, heartbeats: &Heartbeats, now: Instant) -> usize {
        let (work_max, seen) = (self.work_max, &mut self.workers);
        let pairs = heartbeats.workers.iter().zip(seen);
        pairs.filter_map(|(beat, seen)| seen.is_stuck(beat, work_max, now).then_some(())).count()
    }

    /// The first other thread that does not get on.
    pub(crate) fn stuck_thread(
        &mut self,
        heartbeats: &Heartbeats,
        now: Instant,
    ) -> Option<&'static str> {
        let (work_max, seen) = (self.work_max, &mut self.others);
        let pairs = heartbeats.others.iter().zip(seen);
        // All are looked at, so that each is known since when it has been as it is.
        let stuck = pairs
            .filter_map(|((name, beat), seen)| seen.is_stuck(beat, work_max, now).then_some(*name));
        stuck.fold(None, |first, name| first.or(Some(name)))
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
        let mut stuck = |seconds| examiner.stuck_workers(&heartbeats, after(seconds));
        let beat = |worker: usize| &heartbeats.workers()[worker];
        // 0 never does anything, 1 hangs, 2 goes on to its next request, 3 waits for the output.
        for worker in 1..4 {
            beat(worker).work();
        }
        assert_eq!(stuck(10), 0);
        beat(2).rest();
        beat(2).work();
        beat(3).rest();
        assert_eq!(stuck(40), 0, "30 s, and no more, since it was seen");
        assert_eq!(stuck(41), 1, "the one that hangs");
        assert_eq!(stuck(71), 2, "and the second one at its next request");
        beat(1).rest();
        beat(2).work();
        assert_eq!(stuck(72), 0, "both have gone on");
    }

    #[test]
    fn an_essential_thread_that_idles_must_look_again() {
        let (mut heartbeats, beat) = (Heartbeats::new(0), Arc::new(Beat::default()));
        heartbeats.add("writer", Arc::clone(&beat));
        let start = Instant::now();
        let mut examiner = Examiner::new(&heartbeats, Duration::from_millis(100), start);
        let mut stuck = |ms| examiner.stuck_thread(&heartbeats, start + Duration::from_millis(ms));
        beat.idle();
        assert_eq!(stuck(0), None);
        assert_eq!(stuck(4_000), None);
        assert_eq!(stuck(4_001), Some("writer"));
        beat.idle();
        assert_eq!(stuck(4_002), None, "it has looked again");
        beat.rest();
        assert_eq!(stuck(4_003), None);
        assert_eq!(stuck(1_000_000), None, "whatever it waits for takes its time");
        beat.work();
        assert_eq!(stuck(1_000_001), None);
        assert_eq!(stuck(1_000_102), Some("writer"));
    }
}
