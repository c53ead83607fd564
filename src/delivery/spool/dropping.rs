//! What is given up of a spool, as it is full or too old, and counted.
//!
//! It is given up from the oldest on. What the output is being offered meanwhile may still arrive,
//! so it is dropped only once the output is done with it, and stays on the disk until then, unless
//! newer lines need its room.

use super::ledger::{Ledger, millis};
use super::state::{Dropped, RecordSpan};
use std::io;

impl Ledger {
    /// Gives up the oldest segment that has waiting lines; returns whether there was one.
    pub(super) fn drop_oldest(&self) -> io::Result<bool> {
        if !self.give_up_first(Dropped::Full) {
            return Ok(false);
        }
        self.persist()?;
        Ok(true)
    }

    /// Gives up the segments that only have lines that are too old.
    pub(super) fn drop_expired(&self, now_ms: u64) {
        let Some(age_max) = self.options.age_max.map(millis) else { return };
        let is_expired = |time_ms: u64| time_ms.saturating_add(age_max) < now_ms;
        loop {
            let newest = {
                let state = self.state();
                match state.segment_at(state.cursor.sequence) {
                    Some(index) if !state.is_empty() => state.newest_ms_of(index),
                    _ => return,
                }
            };
            if !newest.is_some_and(is_expired) || !self.give_up_first(Dropped::Expired) {
                return;
            }
        }
    }

    fn give_up_first(&self, why: Dropped) -> bool {
        let mut state = self.state();
        if why == Dropped::Full && state.give_up_held() {
            return true;
        }
        let Some(index) = state.segment_at(state.cursor.sequence) else { return false };
        if state.is_empty() {
            return false;
        }
        let to = state.end_of(index);
        let oldest_ms = state.segments.get(index + 1).map(|after| after.time_ms);
        state.oldest_ms = oldest_ms.or(state.oldest_ms);
        let lines = state.give_up(why, to);
        self.show(&state);
        drop(state);
        self.count_dropped(why, lines);
        if why == Dropped::Full {
            self.release_offered();
        }
        true
    }

    /// Room is needed more than what the output is being offered and was given up; returns whether
    /// there is something of that.
    pub(super) fn release_offered(&self) -> bool {
        let lines = self.state().release_offered();
        if lines > 0 {
            let what = "the spool is full: lines on their way to the output are in memory only";
            self.log.warn(what, &[("lines", &lines)]);
        }
        lines > 0
    }

    /// The output is offered these records from here on, unless they were given up before that;
    /// returns whether it is.
    pub(super) fn offer(&self, span: RecordSpan) -> bool {
        self.state().offer(span)
    }

    /// The output took what it was offered, or refused it for good.
    pub(super) fn offer_was_taken(&self) {
        // Lines that arrived are not dropped, whatever became of them on the disk.
        let mut state = self.state();
        if state.end_offer().is_some() {
            self.show(&state);
        }
    }

    /// The output is not offered any more what it was offered: what was given up of that is
    /// dropped.
    pub(super) fn offer_was_withdrawn(&self) {
        let mut state = self.state();
        let given_up = state.end_offer();
        if let Some((why, lines)) = given_up {
            self.show(&state);
            drop(state);
            self.count_dropped(why, lines);
        }
    }

    /// Counts lines that are given up, and tells of them.
    pub(super) fn count_dropped(&self, why: Dropped, lines: u64) {
        let (counter, message) = match why {
            Dropped::Full => (
                &self.telemetry.spool_dropped_full,
                "the spool is full, its oldest lines are dropped",
            ),
            Dropped::Expired => (
                &self.telemetry.spool_dropped_expired,
                "lines in the spool are older than spool.max_age and are dropped",
            ),
        };
        counter.add(lines);
        if lines > 0 {
            self.log.warn(message, &[("lines", &lines)]);
        }
    }
}
