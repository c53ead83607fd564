//! Interleaved timing: every subject once a round, so that what disturbs the machine disturbs all.
//!
//! Time is the CPU time of this thread: what others take of a shared core does not count.

use rustix::time::{ClockId, clock_gettime};
use std::time::{Duration, Instant};

/// What is timed.
pub struct Subject<'a> {
    run: Box<dyn FnMut() + 'a>,
    runs_per_round: u32,
    /// Seconds of one run, one entry a round.
    seconds: Vec<f64>,
}

impl std::fmt::Debug for Subject<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subject").field("rounds", &self.seconds.len()).finish_non_exhaustive()
    }
}

impl<'a> Subject<'a> {
    /// A subject whose run is long enough to be timed alone.
    pub fn new(run: impl FnMut() + 'a) -> Subject<'a> {
        Subject::repeated(1, run)
    }

    /// A subject that runs so many times a round.
    pub fn repeated(runs_per_round: u32, run: impl FnMut() + 'a) -> Subject<'a> {
        Subject { run: Box::new(run), runs_per_round, seconds: Vec::new() }
    }

    fn time(&mut self) {
        let start = cpu_time();
        for _ in 0..self.runs_per_round {
            (self.run)();
        }
        let seconds = (cpu_time() - start).as_secs_f64();
        self.seconds.push(seconds / f64::from(self.runs_per_round));
    }

    /// The median of the seconds that one run took.
    pub fn median_s(&self) -> f64 {
        median(self.seconds.clone())
    }

    /// The median of the ratios of both in the same round.
    pub fn median_ratio_to(&self, other: &Subject<'_>) -> f64 {
        median(self.seconds.iter().zip(&other.seconds).map(|(own, other)| own / other).collect())
    }
}

/// Runs the subjects in turn for about that long: a round to warm up, and at least five that count.
pub fn interleave(subjects: &mut [Subject<'_>], duration: Duration) {
    let time_all = |subjects: &mut [Subject<'_>]| subjects.iter_mut().for_each(Subject::time);
    time_all(subjects);
    subjects.iter_mut().for_each(|subject| subject.seconds.clear());
    let start = Instant::now();
    let mut rounds = 0;
    while rounds < 5 || start.elapsed() < duration {
        time_all(subjects);
        rounds += 1;
    }
}

fn cpu_time() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    // OK because a CPU time is never negative.
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or_default())
}

/// The middle one; NaN of none.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
