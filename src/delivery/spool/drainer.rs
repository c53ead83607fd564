//! Records on disk → blocks of lines: the deliverer's end of a spool.
//!
//! Records are read in their order from the cursor on, in pieces of a file, each once. What is
//! damaged is skipped: the gap in the sequence numbers says how many records that were.

use super::format::{Position, Record, RecordRead, SEGMENT_HEADER_BYTES, read_record};
use super::held::HeldBlocks;
use super::ledger::{Ledger, millis};
use super::reading::{is_damage, read_through};
use super::recovery::{Next, next};
use super::state::{Dropped, RecordSpan};
use crate::delivery::sink::{Block, Unsettled};
use crate::limits::{KEPT_BUFFER_BYTES_MAX, SPOOL_READ_BYTES_MAX};
use crate::system::Moment;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Instant;

/// Pushes that wait.
#[derive(Debug, Default)]
pub(crate) struct Drained {
    /// The lines of each push.
    pub(crate) block: Block,
    /// The place after them.
    to: Position,
    /// When the last of them was written.
    time_ms: Option<u64>,
    /// Lines before that place that are too old, and are not in the block.
    expired: u64,
    /// Records before it that are damaged.
    lost: u64,
}

/// The deliverer's end of a spool.
#[derive(Debug)]
pub(crate) struct Drainer {
    ledger: Arc<Ledger>,
    /// What the output took and may have to send again.
    held: HeldBlocks,
    reading: Option<OpenSegment>,
    /// A piece of the segment.
    buffer: Vec<u8>,
}

/// A place in an open segment.
#[derive(Debug)]
struct OpenSegment {
    file: File,
    name: String,
    /// The record that is at `offset`, or later where records are lost.
    at: Position,
    offset: u64,
}

impl Drainer {
    pub(super) fn new(ledger: Arc<Ledger>) -> Drainer {
        Drainer { ledger, held: HeldBlocks::default(), reading: None, buffer: Vec::new() }
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.ledger.state().is_empty()
    }

    /// How many pushes wait, and those that are lost among them.
    pub(crate) fn waiting(&self) -> u64 {
        self.ledger.state().waiting()
    }

    /// Takes the next pushes, whole ones of up to `bytes_max` together, or one that is larger.
    /// They come again until they are [`delivered`](Drainer::delivered). Returns whether there are
    /// some.
    ///
    /// # Errors
    /// What the system says: nothing is lost, and the next call tries again.
    pub(crate) fn take(
        &mut self,
        bytes_max: usize,
        now: Moment,
        drained: &mut Drained,
    ) -> io::Result<bool> {
        self.ledger.offer_was_withdrawn();
        loop {
            drained.clear();
            let Some(segment_bytes) = self.find()? else { return Ok(false) };
            let Some(from) = self.reading.as_ref().map(|reading| reading.at) else {
                return Ok(false);
            };
            let is_at_end = self.read(bytes_max, segment_bytes, now, drained)?;
            if !self.ledger.offer(RecordSpan { from, to: drained.to }) {
                // They were given up, and counted, while they were read.
                continue;
            }
            if !drained.block.bytes().is_empty() {
                return Ok(true);
            }
            // Nothing to deliver: records that are too old, or the end of a damaged segment.
            self.advance(drained);
            self.ledger.offer_was_taken();
            if is_at_end {
                self.end_segment(segment_bytes);
            }
        }
    }

    /// The output took these pushes, or refused them for good.
    /// Some of what it took may have to be sent again.
    pub(crate) fn delivered(&mut self, drained: &Drained, unsettled: Unsettled) {
        self.hold();
        self.advance(drained);
        // Last: until the cursor is past them, they may be given up.
        self.ledger.offer_was_taken();
        self.settle(unsettled);
    }

    /// Goes on after what was read, and counts what was skipped in it: only now, as what the output
    /// does not take is read again.
    fn advance(&self, drained: &Drained) {
        self.ledger.advance(drained.to, drained.time_ms);
        self.ledger.count_dropped(Dropped::Expired, drained.expired);
        self.ledger.count_lost(drained.lost);
    }

    /// Writes the cursor, unless that was done within the last second: soon after a start it makes
    /// a process that is killed again and again go on nevertheless.
    ///
    /// # Errors
    /// What the system says: it is tried again.
    pub(crate) fn persist_when_due(&self) -> io::Result<()> {
        self.ledger.persist_when_due(Moment::now())
    }

    /// The pushes of these records were delivered on another way, before any other of the spool.
    pub(crate) fn pass_over(&mut self, span: RecordSpan, unsettled: Unsettled) {
        if self.ledger.state().cursor.sequence >= span.from.sequence {
            self.hold();
            self.ledger.advance(span.to, None);
            self.settle(unsettled);
        }
        self.ledger.offer_was_taken();
    }

    /// Something is taken by the output from the cursor on, which may have to be sent again.
    fn hold(&mut self) {
        let cursor = self.ledger.state().cursor;
        self.held.add(cursor, Instant::now());
        self.ledger.hold(self.held.from(), true);
    }

    /// The output is about to be offered something: what it took before may turn out to be lost.
    pub(crate) fn begins_offer(&self) {
        if self.held.from().is_some() {
            self.ledger.hold(self.held.from(), true);
        }
    }

    /// What the output took may have to be sent again so far.
    pub(crate) fn settle(&mut self, unsettled: Unsettled) {
        if self.held.from().is_some() {
            self.held.settle(unsettled);
            self.ledger.hold(self.held.from(), unsettled.is_in_doubt);
        }
    }

    /// Opens the segment of the cursor, and finds the place in it; returns its length, or nothing
    /// where nothing waits.
    fn find(&mut self) -> io::Result<Option<u64>> {
        loop {
            let (cursor, name, bytes) = {
                let mut state = self.ledger.state();
                if state.is_empty() {
                    self.reading = None;
                    return Ok(None);
                }
                let cursor = state.cursor;
                let Some((name, bytes)) = state.waiting_segment() else {
                    let (lost, next) = (state.next.sequence - cursor.sequence, state.next);
                    state.move_cursor(next);
                    drop(state);
                    self.ledger.count_lost(lost);
                    continue;
                };
                (cursor, name, bytes)
            };
            let is_there = self
                .reading
                .as_ref()
                .is_some_and(|one| one.name == name && one.at.sequence == cursor.sequence);
            if is_there {
                return Ok(Some(bytes));
            }
            match self.ledger.open_to_read(&name) {
                Ok(file) => {
                    let offset = SEGMENT_HEADER_BYTES as u64;
                    self.reading = Some(OpenSegment { file, name, at: cursor, offset });
                    return Ok(Some(bytes));
                }
                Err(error) if error.kind() == ErrorKind::NotFound || is_damage(&error) => {
                    self.ledger.forget(&name);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads the next records of the segment; returns whether none is left in it.
    fn read(
        &mut self,
        bytes_max: usize,
        segment_bytes: u64,
        now: Moment,
        drained: &mut Drained,
    ) -> io::Result<bool> {
        let Some(reading) = &mut self.reading else { return Ok(true) };
        let end = self.ledger.end_of(&reading.name);
        let left = segment_bytes.saturating_sub(reading.offset);
        // OK because 32 bits count that bound, which is one on memory.
        let left = usize::try_from(left.min(SPOOL_READ_BYTES_MAX)).unwrap_or_default();
        let age_max_ms = self.ledger.options.age_max.map_or(u64::MAX, millis);
        let oldest_ms = self.ledger.state().time_for_age_ms(now).saturating_sub(age_max_ms);
        let mut walk = Walk { bytes_max, oldest_ms, end, to: reading.at, lost: 0, expired: 0 };
        let mut read_bytes = 0;
        // A piece that begins with a large record, or with damage, says nothing without the rest.
        for piece in [left.min(bytes_max), left] {
            self.buffer.resize(piece, 0);
            let file = &reading.file;
            let read = |buffer: &mut [u8], offset| file.read_at(buffer, offset);
            let count = read_through(read, &mut self.buffer, reading.offset)?;
            self.buffer.get_mut(count..).unwrap_or_default().fill(0);
            read_bytes = walk.go(&self.buffer, piece == left, drained);
            if read_bytes > 0 {
                break;
            }
        }
        reading.offset += read_bytes as u64;
        (reading.at, drained.to) = (walk.to, walk.to);
        (drained.expired, drained.lost) = (walk.expired, walk.lost);
        self.buffer.shrink_to(KEPT_BUFFER_BYTES_MAX);
        if walk.lost > 0 {
            self.ledger.note_damage(&reading.name);
        }
        Ok(read_bytes == left)
    }

    /// The segment has no more records: goes to where the next one begins, unless this one has
    /// grown meanwhile.
    fn end_segment(&mut self, segment_bytes: u64) {
        let Some(reading) = &self.reading else { return };
        let left = self.ledger.leave(&reading.name, segment_bytes, reading.at);
        let Some(end) = left else { return };
        let lost = end.sequence.saturating_sub(reading.at.sequence);
        if lost > 0 {
            self.ledger.note_damage(&reading.name);
            self.ledger.count_lost(lost);
        }
        self.reading = None;
    }
}

/// A walk over the records of a piece.
struct Walk {
    bytes_max: usize,
    /// Records from before are too old.
    oldest_ms: u64,
    /// The sequence number with which the next segment begins. A record of that number in this one
    /// is left of a write that failed, and of which nobody was told that it is safe: it must not
    /// pass for the one in the next segment.
    end: u64,
    /// The place after what was walked over.
    to: Position,
    /// Records that should have been there.
    lost: u64,
    /// Lines that are too old.
    expired: u64,
}

impl Walk {
    /// Takes records from the start of `piece`, as many as there is room for; returns the bytes
    /// walked over. Where the rest of the segment is in the piece, damage is skipped, else the walk
    /// ends before it.
    fn go(&mut self, piece: &[u8], has_rest: bool, drained: &mut Drained) -> usize {
        let mut at = 0;
        loop {
            let found = match read_record(piece, at) {
                RecordRead::Torn | RecordRead::Damaged if has_rest => next(piece, at),
                RecordRead::Torn | RecordRead::Damaged | RecordRead::End => return at,
                RecordRead::Record(record, after) => Next::Record(record, after),
            };
            let Next::Record(record, after) = found else { return piece.len() };
            if record.sequence >= self.end {
                at = after;
                continue;
            }
            if record.sequence >= self.to.sequence {
                let bytes = drained.block.bytes().len() + record.lines.len();
                if bytes > self.bytes_max && !drained.block.bytes().is_empty() {
                    return at;
                }
                self.take(&record, drained);
            }
            at = after;
        }
    }

    fn take(&mut self, record: &Record<'_>, drained: &mut Drained) {
        self.lost += record.sequence - self.to.sequence;
        self.to = self.to.after(record);
        drained.time_ms = Some(record.time_ms);
        if record.time_ms < self.oldest_ms {
            self.expired += u64::from(record.line_count);
            return;
        }
        drained.block.append(record.lines, record.line_count);
    }
}

impl Drained {
    fn clear(&mut self) {
        self.block.clear();
        (self.to, self.time_ms) = (Position::default(), None);
        (self.expired, self.lost) = (0, 0);
    }
}
