//! Pushes → records on disk: the writer's end of a spool.
//!
//! All pushes that are handed over together are written with one call and synced with one
//! `fdatasync`; once [`Appender::append`] returns, those that it took survive a loss of power. A
//! failure takes nothing back and leaves nothing half: what was written of a failed call is cut off
//! again, and where that fails too, the segment is left as it is and the next one goes on. Its
//! records have the numbers of those that were left, which whoever reads passes over for that.

use super::folder::UnusableSpool;
use super::format::{
    Position, RECORD_HEADER_BYTES, Record, SEGMENT_HEADER_BYTES, SegmentHeader, segment_name,
    write_record, write_segment_header,
};
use super::ledger::{Ledger, has_no_room};
use super::options::WhenFull;
use super::recovery::Segment;
use super::state::RecordSpan;
use crate::limits::{KEPT_BUFFER_BYTES_MAX, SPOOL_READ_BYTES_MAX};
use crate::system::Moment;
use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::Arc;

/// Why a push is not in the spool.
#[derive(Debug)]
pub(crate) enum AppendError {
    /// It has no room.
    Full {
        /// `spool.max_bytes`
        bytes_max: u64,
        /// Some of it has lines that the output took, and may have to be sent again.
        is_held: bool,
    },
    /// It would not have room in an empty one either.
    TooLarge {
        /// What it takes.
        bytes: u64,
        /// `spool.max_bytes`
        bytes_max: u64,
    },
    /// It takes so many bytes, more than are read at once.
    Unreadable { bytes: u64 },
    /// The disk does not take it.
    Disk(io::Error),
    /// The folder was removed and cannot be made again.
    Lost(UnusableSpool),
}

impl fmt::Display for AppendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AppendError::Full { bytes_max, is_held } => {
                let held =
                    if *is_held { ", also with lines that may have to be sent again" } else { "" };
                write!(f, "the spool is full{held} ({bytes_max} bytes, spool.max_bytes)")
            }
            AppendError::TooLarge { bytes, bytes_max } => {
                write!(f, "the spool has no place for {bytes} bytes at once ")?;
                write!(f, "({bytes_max}, spool.max_bytes)")
            }
            AppendError::Unreadable { bytes } => {
                write!(f, "the spool has no place for {bytes} bytes at once ")?;
                write!(f, "({SPOOL_READ_BYTES_MAX} for one push)")
            }
            AppendError::Disk(error) => write!(f, "the spool cannot be written: {error}"),
            AppendError::Lost(error) => error.fmt(f),
        }
    }
}

/// The lines of one push.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PushLines<'a> {
    /// Whole lines, each with its LF.
    pub(crate) lines: &'a [u8],
    /// How many.
    pub(crate) line_count: u32,
}

/// What became of pushes.
#[derive(Debug)]
pub(crate) struct Appended {
    /// How many of them are safe, from the first one on.
    pub(crate) count: usize,
    /// Where their records are.
    pub(crate) span: RecordSpan,
    /// Why the rest is not.
    pub(crate) failure: Option<AppendError>,
}

/// The writer's end of a spool.
#[derive(Debug)]
pub(crate) struct Appender {
    ledger: Arc<Ledger>,
    /// The segment that is written to.
    active: Option<Active>,
    /// The records of one call.
    buffer: Vec<u8>,
}

#[derive(Debug)]
struct Active {
    file: File,
    segment: Segment,
    /// It has no record yet, and nobody knows of it.
    is_new: bool,
}

impl Appender {
    /// Goes on in `last`, the name of the segment that may be written on.
    pub(super) fn new(ledger: Arc<Ledger>, last: Option<String>) -> Appender {
        let active = last.and_then(|name| {
            let segment = ledger.state().segments.back()?.clone();
            let file = ledger.open_to_append(&name).ok()?;
            Some(Active { file, segment, is_new: false })
        });
        Appender { ledger, active, buffer: Vec::new() }
    }

    /// Looks after the folder: drops what is too old, writes the cursor, removes what is delivered.
    /// To be called about once a second; writes nothing where nothing has changed.
    ///
    /// # Errors
    /// What the system says: it is tried again.
    pub(crate) fn tidy(&self, now: Moment) -> io::Result<()> {
        self.ledger.drop_expired(now);
        self.ledger.persist_when_due(now)
    }

    /// Writes the cursor, for the end of the process.
    ///
    /// # Errors
    /// What the system says: the next start delivers some lines again.
    pub(crate) fn close(&self) -> io::Result<()> {
        self.ledger.close()
    }

    /// How many pushes wait.
    pub(crate) fn waiting(&self) -> u64 {
        self.ledger.state().waiting()
    }

    /// Whether a push that was refused may be taken now.
    pub(crate) fn may_have_room(&self) -> bool {
        let bytes_max = self.ledger.options.bytes_max;
        let is_below = self.ledger.state().bytes() < bytes_max - bytes_max / 16;
        is_below && self.ledger.takes_a_cursor()
    }

    /// Writes and syncs pushes, in their order, as many as there is room for.
    pub(crate) fn append(&mut self, pushes: &[PushLines<'_>], now: Moment) -> Appended {
        let from = self.ledger.state().next;
        let mut count = 0;
        let failure = loop {
            let Some(rest) = pushes.get(count..).filter(|rest| !rest.is_empty()) else {
                break None;
            };
            match self.append_some(rest, now) {
                Ok(taken) => count += taken,
                Err(error) => break Some(error),
            }
        };
        let to = self.ledger.state().next;
        self.buffer.clear();
        self.buffer.shrink_to(KEPT_BUFFER_BYTES_MAX);
        Appended { count, span: RecordSpan { from, to }, failure }
    }

    /// The same for pushes that the output is being offered meanwhile, from memory.
    pub(crate) fn append_offered(&mut self, pushes: &[PushLines<'_>], now: Moment) -> Appended {
        // Before the append: to make room for the last of them, the first may be given up.
        let from = self.ledger.state().next;
        let lines = pushes.iter().map(|push| u64::from(push.line_count)).sum::<u64>();
        let sequence = from.sequence + pushes.len() as u64;
        let to = Position { sequence, lines: from.lines + lines };
        self.ledger.offer(RecordSpan { from, to });
        let appended = self.append(pushes, now);
        let mut state = self.ledger.state();
        let time_ms = state.time_ms(now.unix_ms);
        state.note_appended(appended.span.to, time_ms);
        drop(state);
        appended
    }

    /// Writes at least one push, or says why not.
    fn append_some(&mut self, pushes: &[PushLines<'_>], now: Moment) -> Result<usize, AppendError> {
        if !self.ledger.is_cursor_written() {
            self.ledger.persist().map_err(AppendError::Disk)?;
        }
        // Each further try is paid for: a segment dropped, or one that was given up for a new one.
        let mut has_looked_again = false;
        loop {
            let room = self.make_room(pushes, now)?;
            let error = match self.write(pushes, room, now) {
                Ok(count) => return Ok(count),
                Err(error) => error,
            };
            let was_new = self.take_back(&error);
            match error.kind() {
                // Somebody has removed files.
                ErrorKind::NotFound if !has_looked_again => {
                    has_looked_again = true;
                    self.ledger.look_again().map_err(AppendError::Lost)?;
                }
                // There is a bound on the size of one file: a new one may have room.
                ErrorKind::FileTooLarge if !was_new => {}
                _ if has_no_room(&error) && self.drop_oldest()? => {}
                _ => return Err(AppendError::Disk(error)),
            }
        }
    }

    /// Sees to it that at least the first push fits; returns how many bytes do.
    fn make_room(&mut self, pushes: &[PushLines<'_>], now: Moment) -> Result<u64, AppendError> {
        let bytes_max = self.ledger.options.bytes_max;
        let first = pushes.first().map_or(0, |push| record_bytes(push));
        let needed = first + SEGMENT_HEADER_BYTES as u64;
        if needed > SPOOL_READ_BYTES_MAX {
            return Err(AppendError::Unreadable { bytes: needed });
        }
        if needed > bytes_max {
            return Err(AppendError::TooLarge { bytes: needed, bytes_max });
        }
        let room = |ledger: &Ledger| bytes_max.saturating_sub(ledger.state().bytes());
        if room(&self.ledger) < needed {
            // What is delivered may be removed earlier than it would be.
            self.ledger.drop_expired(now);
            self.ledger.persist().map_err(AppendError::Disk)?;
        }
        while room(&self.ledger) < needed && self.drop_oldest()? {}
        if room(&self.ledger) < needed {
            // What waited may have been delivered since it was looked at.
            self.ledger.persist().map_err(AppendError::Disk)?;
        }
        let room = room(&self.ledger);
        if room < needed {
            let is_held = self.ledger.state().held_index().is_some();
            return Err(AppendError::Full { bytes_max, is_held });
        }
        Ok(room - SEGMENT_HEADER_BYTES as u64)
    }

    /// Drops the oldest segment, where that is asked for; returns whether there was one.
    fn drop_oldest(&mut self) -> Result<bool, AppendError> {
        match self.ledger.options.when_full {
            WhenFull::Refuse => Ok(false),
            WhenFull::DropOldest => self.ledger.drop_oldest().map_err(AppendError::Disk),
        }
    }

    /// Writes as many pushes as fit into `room`, and syncs them.
    fn write(&mut self, pushes: &[PushLines<'_>], room: u64, now: Moment) -> io::Result<usize> {
        let time_ms = self.ledger.state().time_ms(now.unix_ms);
        self.choose_segment(time_ms)?;
        let Some(active) = &mut self.active else { return Err(ErrorKind::NotFound.into()) };
        let mut next = self.ledger.state().next;
        let mut count = 0;
        self.buffer.clear();
        if active.is_new {
            let header = SegmentHeader { start: next, time_ms };
            write_segment_header(header, &mut self.buffer);
        }
        for push in pushes {
            if count > 0 && self.buffer.len() as u64 + record_bytes(push) > room {
                break;
            }
            let (sequence, line_count) = (next.sequence, push.line_count);
            let record = Record { sequence, time_ms, line_count, lines: push.lines };
            write_record(record, &mut self.buffer);
            next = next.after(&record);
            count += 1;
        }
        active.file.write_all_at(&self.buffer, active.segment.bytes)?;
        active.file.sync_data()?;
        if active.is_new {
            self.ledger.sync_names()?;
        }
        if active.file.metadata()?.nlink() == 0 || self.ledger.is_folder_lost() {
            return Err(ErrorKind::NotFound.into());
        }
        active.segment.bytes += self.buffer.len() as u64;
        let mut state = self.ledger.state();
        let lines = next.lines.saturating_sub(state.next.lines);
        self.ledger.telemetry.spool_lines_total.add(lines);
        if active.is_new {
            state.segments.push_back(active.segment.clone());
        } else if let Some(last) = state.segments.back_mut() {
            last.bytes = active.segment.bytes;
        }
        active.is_new = false;
        state.is_appending = false;
        self.ledger.added(&mut state, next, time_ms, now);
        Ok(count)
    }

    /// Goes on with the segment that is written to, unless it is full, old, or removed.
    fn choose_segment(&mut self, time_ms: u64) -> io::Result<()> {
        let mut state = self.ledger.state();
        let is_usable = self.active.as_ref().is_some_and(|active| {
            let segment = &active.segment;
            let age_ms = time_ms.saturating_sub(segment.time_ms);
            let is_there = state.segments.back().is_some_and(|last| last.name == segment.name);
            is_there
                && segment.bytes < self.ledger.segment_bytes()
                && age_ms <= self.ledger.segment_ms_max()
        });
        // Nobody removes the segment from here on, though all that is known to be in it may be
        // delivered.
        state.is_appending = is_usable;
        let start = state.next;
        drop(state);
        if is_usable {
            return Ok(());
        }
        let name = segment_name(start.sequence);
        let file = self.ledger.create(&name)?;
        let segment = Segment { name, bytes: 0, start, time_ms, is_damaged: false };
        self.active = Some(Active { file, segment, is_new: true });
        Ok(())
    }

    /// Takes back what a failed call may have written; returns whether its segment was new.
    fn take_back(&mut self, error: &io::Error) -> bool {
        self.ledger.state().is_appending = false;
        let Some(active) = self.active.take() else { return false };
        if active.is_new {
            self.ledger.discard(&active.segment.name);
            return true;
        }
        // A disk that was full may go on with the segment. After any other error, of a sync above
        // all, a new one is safer: nobody knows what the system still has of this one's end.
        let is_as_before = active.file.set_len(active.segment.bytes).is_ok();
        if is_as_before && has_no_room(error) {
            self.active = Some(active);
        }
        false
    }
}

fn record_bytes(push: &PushLines<'_>) -> u64 {
    (RECORD_HEADER_BYTES + push.lines.len()) as u64
}
