//! How long the output has been away, and how much waits for it: what the state of the output says
//! of the spool, and what is told, once at the beginning, at every tenfold, and at the end.

use crate::delivery::condition::{OutputState, SpoolCondition};
use crate::observe::log::Log;
use crate::observe::telemetry::Telemetry;
use crate::system;
use std::sync::Arc;
use std::time::Instant;

/// The first number of waiting lines that is worth a word.
const FIRST_TOLD_LINES: u64 = 1000;

/// Why lines go to the spool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SpoolsBecause {
    /// The output has not taken a block in time, or is known not to take it.
    OutputIsSlow,
    /// An earlier run has left lines there, which come first.
    OthersWait,
}

/// An outage of the output, or none.
#[derive(Debug)]
pub(super) struct Outage {
    state: Arc<OutputState>,
    telemetry: Arc<Telemetry>,
    log: Arc<Log>,
    current: Option<OngoingOutage>,
}

#[derive(Debug)]
struct OngoingOutage {
    since: Instant,
    /// Lines that the output had taken before it.
    written_before: u64,
    /// Lines that had been dropped from it before.
    dropped_before: u64,
    /// Records that had been lost to damage before.
    damaged_before: u64,
    /// When more lines wait than this, it is told.
    next_told: u64,
    /// The spool takes nothing more.
    is_full: bool,
}

impl Outage {
    pub(super) fn new(state: Arc<OutputState>, telemetry: Arc<Telemetry>, log: Arc<Log>) -> Outage {
        Outage { state, telemetry, log, current: None }
    }

    /// Lines go to the spool from here on.
    pub(super) fn begins(&mut self, why: SpoolsBecause) {
        let written_before = self.telemetry.lines_written.get();
        let dropped_before = self.lines_dropped();
        let damaged_before = self.telemetry.spool_damaged_records.get();
        self.telemetry.spool_since_ms.set(system::now_ms());
        let (since, next_told) = (Instant::now(), FIRST_TOLD_LINES);
        self.current = Some(OngoingOutage {
            since,
            written_before,
            dropped_before,
            damaged_before,
            next_told,
            is_full: false,
        });
        self.state.spool(SpoolCondition::Spooling);
        match why {
            SpoolsBecause::OutputIsSlow => {
                self.log.warn("the output does not take lines in time, they go to the spool", &[]);
            }
            SpoolsBecause::OthersWait => {
                self.log.info("new lines go to the spool, behind those of an earlier run", &[]);
            }
        }
    }

    /// Whether the spool took nothing more when it was last asked.
    pub(super) fn is_full(&self) -> bool {
        self.current.as_ref().is_some_and(|current| current.is_full)
    }

    /// The spool takes nothing more.
    pub(super) fn fills(&mut self, words: &Arc<str>) {
        let Some(current) = &mut self.current else { return };
        if !std::mem::replace(&mut current.is_full, true) {
            self.log.error("the spool takes nothing more, pushes get 503", &[("error", words)]);
        }
        self.state.spool(SpoolCondition::Full { words: Arc::clone(words) });
    }

    /// The spool takes lines, or would.
    pub(super) fn has_room(&mut self) {
        let Some(current) = &mut self.current else { return };
        if std::mem::take(&mut current.is_full) {
            self.log.info("the spool takes pushes again", &[]);
            self.state.spool(SpoolCondition::Spooling);
        }
    }

    /// Lines were added.
    pub(super) fn grows(&mut self) {
        let Some(current) = &mut self.current else { return };
        let lines = self.telemetry.spool_lines.get();
        if lines < current.next_told {
            return;
        }
        while current.next_told <= lines {
            current.next_told = current.next_told.saturating_mul(10);
        }
        let (bytes, seconds) =
            (self.telemetry.spool_bytes.get(), current.since.elapsed().as_secs());
        self.log.warn(
            "lines wait in the spool",
            &[("lines", &lines), ("bytes", &bytes), ("for_s", &seconds)],
        );
    }

    /// The spool is empty.
    pub(super) fn ends(&mut self) {
        self.has_room();
        let Some(current) = self.current.take() else { return };
        self.telemetry.spool_since_ms.set(0);
        self.state.spool(SpoolCondition::Empty);
        let lines = self.telemetry.lines_written.get() - current.written_before;
        let dropped = self.lines_dropped() - current.dropped_before;
        let damaged = self.telemetry.spool_damaged_records.get() - current.damaged_before;
        let seconds = current.since.elapsed().as_secs_f64();
        self.log.info(
            "the spool is empty, lines go straight to the output",
            &[
                ("lines", &lines),
                ("dropped", &dropped),
                ("damaged_records", &damaged),
                ("after_s", &format_args!("{seconds:.1}")),
            ],
        );
    }

    /// Lines that were given up, in all outages.
    fn lines_dropped(&self) -> u64 {
        self.telemetry.spool_dropped_full.get() + self.telemetry.spool_dropped_expired.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::log::{Level, LogFormat};
    use crate::testing::child_process;
    use std::time::Duration;

    #[test]
    fn the_end_of_an_outage_tells_how_many_lines_came_through_it() {
        let name = "delivery::writer::outage::tests::\
                    the_end_of_an_outage_tells_how_many_lines_came_through_it";
        if let Some(told) = child_process::stderr_of(name) {
            let ends: Vec<&str> =
                told.lines().filter(|line| line.contains("the spool is empty")).collect();
            let [first, second] = ends.as_slice() else { panic!("{told}") };
            assert!(first.contains(" lines=4 dropped=3 damaged_records=1 "), "{first}");
            assert!(second.contains(" lines=2 dropped=0 damaged_records=0 "), "{second}");
            return;
        }
        let telemetry = Arc::new(Telemetry::new());
        let state = Arc::new(OutputState::new(Duration::ZERO, Arc::clone(&telemetry)));
        let log = Arc::new(Log::new(Level::Info, LogFormat::Logfmt));
        let mut outage = Outage::new(state, Arc::clone(&telemetry), log);
        telemetry.lines_written.add(7);
        // (lines that the output takes, that are dropped as it is full, as they expire; records)
        for (written, full, expired, damaged) in [(4, 1, 2, 1), (2, 0, 0, 0)] {
            outage.begins(SpoolsBecause::OutputIsSlow);
            telemetry.lines_written.add(written);
            telemetry.spool_dropped_full.add(full);
            telemetry.spool_dropped_expired.add(expired);
            telemetry.spool_damaged_records.add(damaged);
            outage.ends();
        }
    }
}
