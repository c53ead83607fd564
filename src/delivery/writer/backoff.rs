//! Failures of the output → how long to leave it alone.

use crate::delivery::sink::Pauses;
use crate::limits::RETRY_AFTER_MAX;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::time::Duration;

/// How long an output is left alone that its operator has to mend. No jitter: no crowd comes back
/// at once from mistakes that are made one by one.
const MISCONFIGURED_PAUSE: Duration = Duration::from_secs(30);
/// The part of a pause that may be taken off, in thousandths.
const JITTER_PERMILLE: u64 = 500;

/// The failures since the output last worked.
#[derive(Debug)]
pub(super) struct Backoff {
    pauses: Pauses,
    failures: u32,
}

impl Backoff {
    /// None yet.
    pub(super) fn new(pauses: Pauses) -> Backoff {
        Backoff { pauses, failures: 0 }
    }

    /// Whether the output has failed since it last worked.
    pub(super) fn is_failing(&self) -> bool {
        self.failures > 0
    }

    /// The output works; returns whether it failed before.
    pub(super) fn works(&mut self) -> bool {
        std::mem::take(&mut self.failures) > 0
    }

    /// A part of what is offered was taken: the pauses are short again, though the output has not
    /// come to work yet.
    pub(super) fn advances(&mut self) {
        self.failures = self.failures.min(1);
    }

    /// How long to wait after one more failure: twice as long as before, up to a bound, less a
    /// random part, so that many hosts do not come back to one consumer at once; but as long as the
    /// consumer asks for, within its own bound.
    pub(super) fn fails(&mut self, retry_after: Option<Duration>) -> Duration {
        let random = RandomState::new().hash_one(self.failures) % JITTER_PERMILLE;
        self.fails_with(retry_after, u32::try_from(random).unwrap_or_default())
    }

    fn fails_with(&mut self, retry_after: Option<Duration>, less_permille: u32) -> Duration {
        let doubled = self.pauses.first.saturating_mul(1 << self.failures.min(20));
        let pause = doubled.min(self.pauses.longest);
        self.failures = self.failures.saturating_add(1);
        let pause = pause - pause * less_permille / 1000;
        retry_after.map_or(pause, |asked| asked.min(RETRY_AFTER_MAX).max(pause))
    }

    /// How long to wait where the operator has to mend something.
    pub(super) fn is_misconfigured(&mut self) -> Duration {
        self.failures = self.failures.saturating_add(1);
        MISCONFIGURED_PAUSE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn pauses_begin_anew_once_a_part_is_taken_and_the_output_still_counts_as_failing() {
        let mut backoff = Backoff::new(Pauses { first: 100 * MS, longest: 30_000 * MS });
        for _ in 0..5 {
            backoff.fails_with(None, 0);
        }
        backoff.advances();
        assert!(backoff.is_failing());
        assert_eq!(backoff.fails_with(None, 0), 200 * MS);
        assert!(backoff.works());
        backoff.advances();
        assert!(!backoff.is_failing());
    }

    #[test]
    fn pauses_double_up_to_a_bound_and_begin_anew_once_the_output_works() {
        let mut backoff = Backoff::new(Pauses { first: 100 * MS, longest: 30_000 * MS });
        let pauses = |backoff: &mut Backoff, count| {
            (0..count).map(|_| backoff.fails_with(None, 0).as_millis()).collect::<Vec<_>>()
        };
        let want = [100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000];
        assert_eq!(pauses(&mut backoff, 11), want);
        assert_eq!(pauses(&mut backoff, 100)[99], 30_000, "however often");
        assert!(backoff.works() && !backoff.works());
        assert_eq!(pauses(&mut backoff, 1), [100]);
    }

    #[test]
    fn a_random_part_is_taken_off_but_no_more_than_half() {
        let mut backoff = Backoff::new(Pauses { first: 1000 * MS, longest: 1000 * MS });
        assert_eq!(backoff.fails_with(None, 250), 750 * MS);
        for _ in 0..100 {
            let pause = backoff.fails(None);
            assert!(pause > 500 * MS && pause <= 1000 * MS, "{pause:?}");
        }
    }

    #[test]
    fn what_the_consumer_asks_for_is_kept_to_within_five_minutes() {
        let mut backoff = Backoff::new(Pauses { first: 100 * MS, longest: 30_000 * MS });
        assert_eq!(backoff.fails_with(Some(7000 * MS), 0), 7000 * MS);
        assert_eq!(backoff.fails_with(Some(24 * 3_600_000 * MS), 0), 300_000 * MS);
        assert_eq!(backoff.fails_with(Some(Duration::ZERO), 0), 400 * MS, "never at once");
        assert_eq!(backoff.is_misconfigured(), 30_000 * MS);
    }
}
