//! What is known of the records of a spool.

use super::format::Position;
use super::recovery::Segment;
use std::collections::VecDeque;

/// What is known of the records.
#[derive(Debug, Default)]
pub(super) struct LedgerState {
    /// In the order of their records; the last one may be written to.
    pub(super) segments: VecDeque<Segment>,
    /// Everything before it is delivered, or given up.
    pub(super) cursor: Position,
    /// Where the next record goes.
    pub(super) next: Position,
    /// When the last record was written.
    pub(super) newest_ms: Option<u64>,
    /// A record from when the record at the cursor was not written before.
    pub(super) oldest_ms: Option<u64>,
    /// The appender is writing to the last segment.
    pub(super) is_appending: bool,
}

impl LedgerState {
    pub(super) fn is_empty(&self) -> bool {
        self.cursor.sequence >= self.next.sequence
    }

    /// How many records wait.
    pub(super) fn waiting(&self) -> u64 {
        self.next.sequence.saturating_sub(self.cursor.sequence)
    }

    pub(super) fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    /// Where the segment at `index` ends.
    pub(super) fn end_of(&self, index: usize) -> Position {
        self.segments.get(index + 1).map_or(self.next, |after| after.start)
    }

    /// The index of the segment that has the record at `sequence`.
    pub(super) fn segment_at(&self, sequence: u64) -> Option<usize> {
        self.segments.iter().rposition(|segment| segment.start.sequence <= sequence)
    }

    /// The name and the length of the first segment that has waiting records, or should.
    pub(super) fn waiting_segment(&self) -> Option<(String, u64)> {
        let index = match self.segment_at(self.cursor.sequence) {
            Some(index) if self.end_of(index).sequence > self.cursor.sequence => index,
            Some(index) => index + 1,
            None => 0,
        };
        self.segments.get(index).map(|segment| (segment.name.clone(), segment.bytes))
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
