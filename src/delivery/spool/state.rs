//! What is known of the records of a spool.

use super::format::Position;
use super::recovery::Segment;
use crate::system::Moment;
use std::collections::VecDeque;

/// Some records, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RecordSpan {
    pub(super) from: Position,
    pub(super) to: Position,
}

/// Why lines are given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dropped {
    /// There was no room for newer ones.
    Full,
    /// They are older than `spool.max_age`.
    Expired,
}

/// Records that the output is being offered, from memory: it may take them though they are given up
/// meanwhile, so whether those lines are dropped shows later.
#[derive(Clone, Copy, Debug)]
pub(super) struct OfferedRecords {
    span: RecordSpan,
    /// The first of them was written at this time or later.
    oldest_ms: Option<u64>,
    /// Lines of them that are given up, and why the last of these are.
    given_up: Option<(Dropped, u64)>,
}

/// Lines that are given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LinesGivenUp {
    /// Nobody has them any more.
    pub(super) dropped: u64,
    /// The output is being offered them: they are in memory only.
    pub(super) offered: u64,
}

/// What is known of the records.
#[derive(Debug, Default)]
pub(super) struct LedgerState {
    /// In the order of their records; the last one may be written to.
    pub(super) segments: VecDeque<Segment>,
    /// Everything before it is delivered, or given up.
    pub(super) cursor: Position,
    /// What the output took and may have to send again begins here, before the cursor; the cursor
    /// file stays before it.
    pub(super) held_from: Option<Position>,
    /// It has to be sent again, as far as is known.
    pub(super) is_in_doubt: bool,
    /// What the output is being offered.
    pub(super) offered: Option<OfferedRecords>,
    /// Where the next record goes.
    pub(super) next: Position,
    /// The newest time in the last segment.
    pub(super) newest_ms: Option<u64>,
    /// The record at the cursor was written at this time or later.
    pub(super) oldest_ms: Option<u64>,
    /// The appender is writing to the last segment.
    pub(super) is_appending: bool,
    /// When the first of the waiting records came, or the spool was first used.
    pub(super) filled_at: Option<Moment>,
}

impl LedgerState {
    pub(super) fn is_empty(&self) -> bool {
        self.cursor.sequence >= self.next.sequence
    }

    /// The time of a record that is written now: at least that of the one before it. A clock that
    /// went back, as that of a device without a clock chip does at its start, must not make lines
    /// look older than those that were pushed before them.
    pub(super) fn time_ms(&self, now_ms: u64) -> u64 {
        let newest_ms = self.newest_ms.filter(|_| !self.segments.is_empty());
        newest_ms.map_or(now_ms, |newest_ms| newest_ms.max(now_ms))
    }

    /// The time by which records are too old: that of the system's clock, but not later than it can
    /// be by that since the first of them came. A device without a clock chip is told the time when
    /// its uplink is back, which must not make lines of seconds ago too old.
    pub(super) fn time_for_age_ms(&mut self, now: Moment) -> u64 {
        let filled_at = *self.filled_at.get_or_insert(now);
        let passed_ms = now.uptime_ms.saturating_sub(filled_at.uptime_ms);
        now.unix_ms.min(filled_at.unix_ms.saturating_add(passed_ms))
    }

    /// No record of the segment at `index` is newer than this. The times of records never go back,
    /// except where a spool was emptied in between.
    pub(super) fn newest_ms_of(&self, index: usize) -> Option<u64> {
        let own_ms = self.segments.get(index).map(|segment| segment.time_ms);
        let next_ms = self.segments.get(index + 1).map(|after| after.time_ms);
        own_ms.max(next_ms.or(self.newest_ms))
    }

    /// How many records wait.
    pub(super) fn waiting(&self) -> u64 {
        self.next.sequence.saturating_sub(self.cursor.sequence)
    }

    /// Everything before it is delivered for good, or given up: what the cursor file says.
    pub(super) fn settled(&self) -> Position {
        self.held_from.filter(|held| held.sequence < self.cursor.sequence).unwrap_or(self.cursor)
    }

    /// What is held begins at `from`: never before the place where it began until now, as that may
    /// be given up meanwhile.
    pub(super) fn hold(&mut self, from: Option<Position>) {
        let later = |from: Position| match self.held_from {
            Some(before) if before.sequence > from.sequence => before,
            _ => from,
        };
        self.held_from = from.map(later);
    }

    /// The index of the first segment that is there only because the output may have to be sent
    /// again what it took of it.
    pub(super) fn held_index(&self) -> Option<usize> {
        let settled = self.settled();
        let index = self.segment_at(settled.sequence).unwrap_or(0);
        let end = self.end_of(index);
        let is_held = index < self.segments.len()
            && settled.sequence < end.sequence
            && end.sequence <= self.cursor.sequence;
        is_held.then_some(index)
    }

    /// Lets go of that segment, where that is right by the time of its newest record; returns how
    /// many lines are in memory only from here on.
    pub(super) fn give_up_held(&mut self, is_right: impl Fn(Option<u64>) -> bool) -> Option<u64> {
        let index = self.held_index().filter(|index| is_right(self.newest_ms_of(*index)))?;
        let (from, to) = (self.settled(), self.end_of(index));
        self.hold(Some(to));
        Some(to.lines.saturating_sub(from.lines))
    }

    /// The output is offered these records from here on, unless they were given up before that;
    /// returns whether it is.
    pub(super) fn offer(&mut self, span: RecordSpan) -> bool {
        let is_there = self.cursor.sequence <= span.from.sequence;
        let offered = OfferedRecords { span, oldest_ms: self.oldest_ms, given_up: None };
        self.offered = is_there.then_some(offered);
        is_there
    }

    /// Of what the output is offered, only the records before `to` came into the spool, at
    /// `time_ms` or later.
    pub(super) fn note_appended(&mut self, to: Position, time_ms: u64) {
        if let Some(OfferedRecords { span, oldest_ms, .. }) = &mut self.offered {
            (span.to, *oldest_ms) = (to, oldest_ms.or(Some(time_ms)));
        }
    }

    /// The output is done with what it was offered; returns the lines of that which were given up
    /// meanwhile.
    pub(super) fn end_offer(&mut self) -> Option<(Dropped, u64)> {
        self.offered.take()?.given_up
    }

    /// Gives up what is before `to`.
    pub(super) fn give_up(&mut self, why: Dropped, to: Position) -> LinesGivenUp {
        let (from, to_lines) = (self.cursor.lines, to.lines);
        self.move_cursor(to);
        let lines = to_lines.saturating_sub(from);
        let Some(OfferedRecords { span, given_up, .. }) = &mut self.offered else {
            return LinesGivenUp { dropped: lines, offered: 0 };
        };
        let offered = span.to.lines.min(to_lines).saturating_sub(span.from.lines.max(from));
        if offered > 0 {
            let before = given_up.map_or(0, |(_, lines)| lines);
            *given_up = Some((why, before + offered));
        }
        LinesGivenUp { dropped: lines.saturating_sub(offered), offered }
    }

    /// Lines that are given up and still offered: they are in memory only.
    pub(super) fn offered_lines_given_up(&self) -> u64 {
        let given_up = self.offered.and_then(|offered| offered.given_up);
        given_up.map_or(0, |(_, lines)| lines)
    }

    /// Lines that wait, on the disk or in memory only.
    pub(super) fn lines(&self) -> u64 {
        let waiting = self.next.lines.saturating_sub(self.cursor.lines);
        let waiting = if self.is_empty() { 0 } else { waiting };
        waiting + self.offered_lines_given_up()
    }

    /// A time before which none of these lines was written.
    pub(super) fn lines_oldest_ms(&self) -> Option<u64> {
        let offered = self.offered.filter(|offered| offered.given_up.is_some());
        offered.and_then(|offered| offered.oldest_ms).or(self.oldest_ms)
    }

    pub(super) fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    /// Where the segment at `index` ends.
    pub(super) fn end_of(&self, index: usize) -> Position {
        self.segments.get(index + 1).map_or(self.next, |after| after.start)
    }

    /// The index of the segment that has the record at `sequence`.
    fn segment_at(&self, sequence: u64) -> Option<usize> {
        self.segments.iter().rposition(|segment| segment.start.sequence <= sequence)
    }

    /// The index of the first segment that has waiting records, or should.
    pub(super) fn waiting_index(&self) -> Option<usize> {
        let index = match self.segment_at(self.cursor.sequence) {
            Some(index) if self.end_of(index).sequence > self.cursor.sequence => index,
            Some(index) => index + 1,
            None => 0,
        };
        Some(index).filter(|index| *index < self.segments.len())
    }

    /// The name and the length of that segment.
    pub(super) fn waiting_segment(&self) -> Option<(String, u64)> {
        let segment = self.segments.get(self.waiting_index()?)?;
        Some((segment.name.clone(), segment.bytes))
    }

    /// Moves the cursor forward, never back.
    pub(super) fn move_cursor(&mut self, to: Position) {
        if to.sequence >= self.cursor.sequence {
            self.cursor = to;
        }
        // Lines of lost records were not counted on the way here.
        let start = self.segments.iter().find(|one| one.start.sequence == self.cursor.sequence);
        self.cursor.lines = start.map_or(self.cursor.lines, |segment| segment.start.lines);
        if self.is_empty() {
            // Nothing waits, so nothing that is lost may be counted as waiting.
            (self.cursor, self.oldest_ms) = (self.next, None);
        }
    }
}
