//! The last pushes of a group → a strip of them, the interval at which it usually pushes, and by
//! how much it is late.
//!
//! Batch jobs are what pushes here, and the push that does not come is the one to look at. A group
//! is late when it has been silent for more than three times its usual interval (the median of its
//! last ones) and for more than one and a half times the longest of them: a job that pushes three
//! times in a row every night is not late at noon. Fewer than three intervals say nothing.
//!
//! ```text
//! pushes at   0 h   24 h   48 h   72 h   73 h              now: 168 h
//! intervals      24     24     24     1     → usual 24 h, longest 24 h
//! silent for 95 h > 72 h and > 36 h         → late by 71 h
//! ```

use crate::limits::STATUS_RECENT_MAX;
use std::time::Duration;

/// Fewer intervals do not make a habit.
const INTERVALS_MIN: usize = 3;
/// Silence up to here is never late: the clock of a page is not that exact.
const SILENCE_MIN: Duration = Duration::from_secs(10);

/// One push: when it came, and the status that it was answered with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) time_ms: u64,
    pub(super) status: u16,
}

/// The last pushes of a group, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Pace {
    marks: [Mark; STATUS_RECENT_MAX],
    count: usize,
}

impl Pace {
    /// Adds a push; the oldest makes room for it.
    pub(super) fn note(&mut self, mark: Mark) {
        if self.count == STATUS_RECENT_MAX {
            self.marks.rotate_left(1);
            self.count -= 1;
        }
        if let Some(free) = self.marks.get_mut(self.count) {
            *free = mark;
            self.count += 1;
        }
    }

    /// The last pushes, the oldest first.
    pub(super) fn marks(&self) -> &[Mark] {
        self.marks.get(..self.count).unwrap_or_default()
    }

    /// Whether the last push was refused.
    pub(super) fn is_failing(&self) -> bool {
        self.marks().last().is_some_and(|mark| mark.status != 200)
    }

    /// The usual time between two pushes, in milliseconds; none where there were too few.
    pub(super) fn interval_ms(&self) -> Option<u64> {
        self.intervals().map(|intervals| intervals.median)
    }

    /// How late the next push is, in milliseconds; none where it is not.
    pub(super) fn late_ms(&self, now_ms: u64) -> Option<u64> {
        let Intervals { median, longest } = self.intervals()?;
        let silent_ms = now_ms.saturating_sub(self.marks().last()?.time_ms);
        let patience_ms = (3 * median).max(longest + longest / 2).max(to_ms(SILENCE_MIN));
        (silent_ms > patience_ms).then(|| silent_ms - median)
    }

    fn intervals(&self) -> Option<Intervals> {
        let mut intervals_ms = [0; STATUS_RECENT_MAX];
        let mut count = 0;
        let pairs = self.marks().iter().zip(self.marks().iter().skip(1));
        for (interval_ms, (before, after)) in intervals_ms.iter_mut().zip(pairs) {
            *interval_ms = after.time_ms.saturating_sub(before.time_ms);
            count += 1;
        }
        let sorted = intervals_ms.get_mut(..count).filter(|known| known.len() >= INTERVALS_MIN)?;
        sorted.sort_unstable();
        Some(Intervals { median: *sorted.get(count / 2)?, longest: *sorted.last()? })
    }
}

/// What the intervals between the last pushes come to, in milliseconds.
struct Intervals {
    median: u64,
    longest: u64,
}

fn to_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: u64 = 3_600_000;

    fn pace(hours: &[u64]) -> Pace {
        let mut pace = Pace::default();
        hours.iter().for_each(|hour| pace.note(Mark { time_ms: hour * HOUR_MS, status: 200 }));
        pace
    }

    #[test]
    fn a_group_is_late_when_it_has_missed_its_usual_interval_by_far() {
        for (name, hours, now, usual, late) in [
            ("nothing came yet", &[][..], 100, None, None),
            ("two intervals are not a habit", &[0, 1, 2], 100, None, None),
            ("every hour, in time", &[0, 1, 2, 3], 4, Some(1), None),
            ("every hour, not yet by far", &[0, 1, 2, 3], 6, Some(1), None),
            ("every hour, late", &[0, 1, 2, 3], 7, Some(1), Some(3)),
            ("the worked example", &[0, 24, 48, 72, 73], 168, Some(24), Some(71)),
            ("three in a row every night, at noon", &[0, 0, 0, 24, 24, 24], 36, Some(0), None),
            (
                "three in a row every night, two nights later",
                &[0, 0, 0, 24, 24, 24],
                61,
                Some(0),
                Some(37),
            ),
            ("the clock went back", &[9, 1, 2, 3], 2, Some(1), None),
        ] {
            let pace = pace(hours);
            assert_eq!(pace.interval_ms(), usual.map(|hours| hours * HOUR_MS), "{name}");
            assert_eq!(
                pace.late_ms(now * HOUR_MS),
                late.map(|hours: u64| hours * HOUR_MS),
                "{name}"
            );
        }
    }

    #[test]
    fn seconds_are_never_late() {
        let mut pace = Pace::default();
        (0..5).for_each(|second| pace.note(Mark { time_ms: second * 1000, status: 200 }));
        assert_eq!(pace.late_ms(14_000), None);
        assert_eq!(pace.late_ms(14_001), Some(9_001));
    }

    #[test]
    fn the_last_pushes_are_kept_and_the_last_one_decides_whether_it_fails() {
        let mut pace = pace(&[]);
        assert!(!pace.is_failing());
        for number in 0..STATUS_RECENT_MAX + 3 {
            let status = if number % 2 == 0 { 400 } else { 200 };
            pace.note(Mark { time_ms: number as u64, status });
            assert_eq!(pace.is_failing(), status == 400);
        }
        let times: Vec<_> = pace.marks().iter().map(|mark| mark.time_ms).collect();
        assert_eq!(times, (3..STATUS_RECENT_MAX as u64 + 3).collect::<Vec<_>>());
    }
}
