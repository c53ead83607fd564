//! Figures, noted every second → their course over the last ten minutes, and rates (SPEC 1,
//! status).
//!
//! A ring of one note a second, at most [`STATUS_NOTES_MAX`] of them. Whoever notes may be late or
//! early (the machine slept, a signal came first): each note has its own time, and a rate is the
//! difference of two notes divided by the time between them. A figure that grows is shown as how
//! much it grew in each step of the course, one that goes up and down as its value at the end of
//! the step.

use crate::json::Json;
use crate::limits::STATUS_NOTES_MAX;
use std::collections::VecDeque;

/// What is noted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    /// Pushes answered with 200.
    pub(crate) pushes: u64,
    /// Pushes answered with an error.
    pub(crate) refused: u64,
    /// Lines that the output took.
    pub(crate) lines: u64,
    /// Lines that wait.
    pub(crate) spool_lines: u64,
}

/// The figures of the last ten minutes.
#[derive(Debug, Default)]
pub(super) struct History {
    notes: VecDeque<(u64, Figures)>,
}

/// The steps of the course.
const STEPS: u64 = 60;
/// One of them, in milliseconds: all together are the time that the ring covers.
const STEP_MS: u64 = 10_000;

/// What rates are told over: the name in the report, and milliseconds.
const WINDOWS: [(&str, u64); 3] = [("1s", 1_000), ("1min", 60_000), ("10min", 600_000)];

impl History {
    /// Notes the figures of that moment, unless the last note is younger than a second.
    pub(super) fn note(&mut self, now_ms: u64, figures: Figures) {
        // A clock that went back would make times that never come again: begin anew.
        if self.notes.back().is_some_and(|(last_ms, _)| now_ms < *last_ms) {
            self.notes.clear();
        }
        // Whoever notes wakes a little early now and then.
        if self.notes.back().is_some_and(|(last_ms, _)| now_ms - last_ms < 900) {
            return;
        }
        if self.notes.len() == STATUS_NOTES_MAX {
            self.notes.pop_front();
        }
        self.notes.push_back((now_ms, figures));
    }

    /// Writes the rates of what grows, and the course of each figure.
    pub(super) fn report(&self, json: &mut Json, now_ms: u64, now: Figures) {
        type Of = fn(&Figures) -> u64;
        let growing: [(&str, Of); 3] = [
            ("pushes", |figures| figures.pushes),
            ("refused", |figures| figures.refused),
            ("lines", |figures| figures.lines),
        ];
        json.key("per_second").object(|json| {
            for (name, of) in growing {
                json.key(name).object(|json| {
                    for (window, window_ms) in WINDOWS {
                        let rate = self.rate((now_ms, of(&now)), window_ms, of);
                        json.key(window);
                        match rate {
                            Some(per_ks) => {
                                json.raw(&format!("{}.{:03}", per_ks / 1000, per_ks % 1000))
                            }
                            None => json.null(),
                        }
                    }
                });
            }
        });
        json.key("history").object(|json| {
            json.key("step_ms").number(STEP_MS);
            for (name, of) in growing {
                json.key(name).array(|json| {
                    let ends: Vec<_> =
                        self.ends(now_ms, now).map(|end| end.map(|it| of(&it))).collect();
                    for pair in ends.windows(2) {
                        let [before, after] = pair else { continue };
                        json.number_or_null(before.zip(*after).map(|(a, b)| b.saturating_sub(a)));
                    }
                });
            }
            json.key("spool_lines").array(|json| {
                let ends = self.ends(now_ms, now).skip(1);
                ends.for_each(|end| json.number_or_null(end.map(|it| it.spool_lines)));
            });
        });
    }

    /// Growth per second over the window, in thousandths; none before there are two notes of it.
    fn rate(&self, now: (u64, u64), window_ms: u64, of: fn(&Figures) -> u64) -> Option<u64> {
        let (now_ms, value) = now;
        let from = now_ms.saturating_sub(window_ms);
        // The youngest note that is old enough, or the oldest where none is.
        let at = self.notes.partition_point(|(time_ms, _)| *time_ms <= from).saturating_sub(1);
        let (time_ms, figures) = self.notes.get(at)?;
        let elapsed_ms = now_ms.checked_sub(*time_ms).filter(|elapsed_ms| *elapsed_ms > 0)?;
        let growth = u128::from(value.saturating_sub(of(figures)));
        u64::try_from(growth * 1_000_000 / u128::from(elapsed_ms)).ok()
    }

    /// The figures at the beginning of the course and at the end of each step, the oldest first;
    /// none before the first note. Steps end at whole multiples, so that a course moves but never
    /// wobbles.
    fn ends(&self, now_ms: u64, now: Figures) -> impl Iterator<Item = Option<Figures>> {
        let last = now_ms / STEP_MS;
        (last.saturating_sub(STEPS - 1)..=last + 1).map(move |step| {
            let end_ms = step * STEP_MS;
            if end_ms > now_ms {
                return Some(now);
            }
            let at = self.notes.partition_point(|(time_ms, _)| *time_ms <= end_ms);
            at.checked_sub(1).and_then(|at| self.notes.get(at)).map(|(_, figures)| *figures)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn figures(pushes: u64) -> Figures {
        Figures { pushes, refused: 0, lines: 2 * pushes, spool_lines: pushes % 7 }
    }

    fn report(history: &History, now_ms: u64, now: Figures) -> Value {
        let mut json = Json::default();
        json.object(|json| history.report(json, now_ms, now));
        serde_json::from_str(&json.into_text()).unwrap()
    }

    #[test]
    fn rates_are_growth_by_time_over_each_window() {
        let mut history = History::default();
        assert_eq!(report(&history, 0, figures(0))["per_second"]["pushes"]["1s"], Value::Null);
        // Two pushes a second for ten minutes, then ten a second for half a minute.
        let pushes_at = |second: u64| 2 * second + 8 * second.saturating_sub(600);
        for second in 0..630 {
            history.note(second * 1000, figures(pushes_at(second)));
        }
        let report = report(&history, 630_000, figures(pushes_at(630)));
        assert_eq!(report["per_second"]["pushes"]["1s"], 10.0);
        assert_eq!(report["per_second"]["pushes"]["1min"], 6.0);
        assert_eq!(report["per_second"]["pushes"]["10min"], 2.4);
        assert_eq!(report["per_second"]["lines"]["1s"], 20.0);
        assert_eq!(report["per_second"]["refused"]["10min"], 0.0);
    }

    #[test]
    fn the_course_has_a_number_for_each_step_and_none_before_the_start() {
        let mut history = History::default();
        for second in 100..=160 {
            history.note(second * 1000, figures(second));
        }
        let report = report(&history, 165_000, figures(163));
        let pushes = report["history"]["pushes"].as_array().unwrap();
        assert_eq!(pushes.len() as u64, STEPS.min(165_000 / STEP_MS + 1));
        let known: Vec<_> = pushes.iter().filter_map(Value::as_u64).collect();
        assert_eq!(known, [10, 10, 10, 10, 10, 10, 3]);
        assert!(pushes[..pushes.len() - 7].iter().all(Value::is_null), "{pushes:?}");
        let spool = report["history"]["spool_lines"].as_array().unwrap();
        assert_eq!(spool.last(), Some(&Value::from(163 % 7)));
        assert_eq!(report["history"]["step_ms"], STEP_MS);
    }

    #[test]
    fn notes_are_bounded_and_a_clock_that_goes_back_begins_anew() {
        let mut history = History::default();
        for second in 0..3 * STATUS_NOTES_MAX as u64 {
            history.note(second * 1000, figures(second));
            history.note(second * 1000 + 20, figures(second));
        }
        assert_eq!(history.notes.len(), STATUS_NOTES_MAX);
        history.note(5_000, figures(9));
        assert_eq!(history.notes, [(5_000, figures(9))]);
        assert_eq!(report(&history, 4_000, figures(9))["per_second"]["pushes"]["1s"], Value::Null);
    }
}
