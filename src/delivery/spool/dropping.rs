//! What is given up of a spool, as it is full or too old, and counted.
//!
//! It is given up from the oldest on, and what the output is being offered meanwhile is no
//! exception: in an outage that is always the oldest. Its lines may still arrive, from memory, so
//! they count as dropped only once the output is done with them and has not taken them.

use super::ledger::{Ledger, millis};
use super::state::{Dropped, LinesGivenUp, RecordSpan};
use crate::system::Moment;
use std::io;

impl Ledger {
    /// Makes room: removes the first segment, where the output took all of it and may have to be
    /// sent it again, or else gives up the oldest one that has waiting lines; returns whether there
    /// was one. Nothing is given up where the disk would not let go of it.
    pub(super) fn drop_oldest(&self) -> io::Result<bool> {
        self.check_disk()?;
        if !self.give_up_held(|_| true) && !self.give_up_first(Dropped::Full, |_| true) {
            return Ok(false);
        }
        self.persist()?;
        Ok(true)
    }

    /// Gives up the segments that only have lines that are too old, also those that the output may
    /// have to be sent again: while its reader is away, these would keep all others.
    pub(super) fn drop_expired(&self, now: Moment) {
        let Some(age_max) = self.options.age_max.map(millis) else { return };
        let now_ms = self.state().time_for_age_ms(now);
        let is_expired = |time_ms: u64| time_ms.saturating_add(age_max) < now_ms;
        while self.give_up_first(Dropped::Expired, |newest_ms| newest_ms.is_some_and(is_expired)) {}
        while self.give_up_held(|newest_ms| newest_ms.is_some_and(is_expired)) {}
    }

    /// Gives up the first segment that is there only as the output may have to be sent it again,
    /// where that is right by the time of its newest record; returns whether it did.
    fn give_up_held(&self, is_right: impl Fn(Option<u64>) -> bool) -> bool {
        let lines = self.state().give_up_held(is_right);
        self.tell_memory_only(lines.unwrap_or_default());
        lines.is_some()
    }

    /// Gives up the first segment that has waiting lines, where that is right by the time of its
    /// newest record; returns whether it did.
    fn give_up_first(&self, why: Dropped, is_right: impl Fn(Option<u64>) -> bool) -> bool {
        let mut state = self.state();
        let waiting = state.waiting_index().filter(|_| !state.is_empty());
        let Some(index) = waiting.filter(|index| is_right(state.newest_ms_of(*index))) else {
            return false;
        };
        let to = state.end_of(index);
        let oldest_ms = state.segments.get(index + 1).map(|after| after.time_ms);
        state.oldest_ms = oldest_ms.or(state.oldest_ms);
        let LinesGivenUp { dropped, offered } = state.give_up(why, to);
        self.show(&state);
        drop(state);
        self.count_dropped(why, dropped);
        self.tell_memory_only(offered);
        true
    }

    fn tell_memory_only(&self, lines: u64) {
        if lines > 0 {
            let what = "lines on their way to the output are given up in the spool";
            self.log.warn(what, &[("lines", &lines), ("note", &"they are in memory only")]);
        }
    }

    /// The output is offered these records from here on, and none of before, unless they were given
    /// up before that; returns whether it is.
    pub(super) fn offer(&self, span: RecordSpan) -> bool {
        self.offer_was_withdrawn();
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

    /// The output did not take what it was offered, and is not offered it any more: what was given
    /// up of that is dropped.
    pub(super) fn offer_was_withdrawn(&self) {
        let mut state = self.state();
        if let Some((why, lines)) = state.end_offer() {
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
