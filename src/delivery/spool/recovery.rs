//! The content of a folder → what is valid in it, what is damaged, and where to go on.
//!
//! Two pure steps, so that every damage can be tested without a disk. [`arrange`] looks at names,
//! lengths and the first bytes of all files, and puts the segments in order. [`recover`] looks at
//! the last segment, the only one that can have been written to when the process or the machine
//! ended, and at the cursor. The other segments are read when their turn comes: a start takes the
//! same time however much waits. Of the last one, too, the headers are enough while they are whole
//! (see `headers`); [`examine`] reads all of it.
//!
//! Nothing stops a start. What is wrong costs what is damaged and no more:
//! - a segment goes by its header, whatever its name is; where the header is damaged, by its first
//!   record, and where no record is readable either, it is set aside;
//! - of two segments that begin with the same record, one is set aside, and so is a file that is
//!   larger than a segment can be; other files are none of ours;
//! - a segment that a newer pushline wrote is kept under another name, for as long as the operator
//!   leaves it there: in its place, a new segment might get its name or its numbers;
//! - a cursor that is missing, damaged, or after all records is of another day: all is delivered
//!   again, which is safe, as a line carries its time. While the very first segment is there, none
//!   is expected: it is written once something is delivered.

use super::format::{
    Position, Record, RecordRead, SEGMENT_HEADER_BYTES, Unreadable, next_record, read_cursor,
    read_record, read_segment_header, sequence_of,
};
use crate::limits::SPOOL_READ_BYTES_MAX;

/// A file as [`arrange`] sees it.
#[derive(Clone, Debug)]
pub(super) struct FileStart {
    pub(super) name: String,
    /// Its length, in bytes.
    pub(super) bytes: u64,
    /// Its first bytes: as many as a header has, and all of them where the header is damaged.
    pub(super) head: Vec<u8>,
}

/// A segment of the spool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) name: String,
    /// Its length, in bytes.
    pub(super) bytes: u64,
    /// Where its first record is; `lines` is a guess where the header is damaged.
    pub(super) start: Position,
    /// When its first record was written.
    pub(super) time_ms: u64,
    /// It is kept when it has been delivered.
    pub(super) is_damaged: bool,
}

/// The files of a folder, by what becomes of them.
#[derive(Debug, Default)]
pub(super) struct ArrangedFiles {
    /// In the order of their records.
    pub(super) segments: Vec<Segment>,
    /// Segments that are not read: doubled ones, too large ones, and those without any readable
    /// record.
    pub(super) set_aside: Vec<String>,
    /// The sequence numbers in the names of those of them that are too large, or without any
    /// readable record.
    pub(super) unreadable: Vec<u64>,
    /// Segments of a newer version.
    pub(super) newer: Vec<String>,
    /// Segments that end before their first record begins.
    pub(super) empty: Vec<String>,
}

/// Puts the files of a folder in order.
pub(super) fn arrange(mut files: Vec<FileStart>) -> ArrangedFiles {
    files.sort_by(|one, other| one.name.cmp(&other.name));
    let mut arrangement = ArrangedFiles::default();
    for file in files {
        let Some(sequence) = sequence_of(&file.name) else { continue };
        if file.bytes < SEGMENT_HEADER_BYTES as u64 {
            arrangement.empty.push(file.name);
            continue;
        }
        let header = read_segment_header(&file.head);
        let first = match header {
            Err(Unreadable::Newer) => {
                arrangement.newer.push(file.name);
                continue;
            }
            _ if file.bytes > SPOOL_READ_BYTES_MAX => None,
            Ok(header) => Some((header.start, header.time_ms)),
            Err(_) => first_record(&file.head),
        };
        let Some((start, time_ms)) = first else {
            arrangement.set_aside.push(file.name);
            arrangement.unreadable.push(sequence);
            continue;
        };
        let (name, bytes, is_damaged) = (file.name, file.bytes, header.is_err());
        arrangement.segments.push(Segment { name, bytes, start, time_ms, is_damaged });
    }
    // Of doubled segments the whole one comes first, then the one that has its own name.
    let rank = |segment: &Segment| {
        let has_own_name = sequence_of(&segment.name) == Some(segment.start.sequence);
        (segment.start.sequence, segment.is_damaged, !has_own_name)
    };
    arrangement.segments.sort_by_key(rank);
    let ArrangedFiles { segments, set_aside, .. } = &mut arrangement;
    segments.dedup_by(|later, first| {
        let is_double = later.start.sequence == first.start.sequence;
        if is_double {
            set_aside.push(std::mem::take(&mut later.name));
        }
        is_double
    });
    let mut lines = 0;
    for segment in segments {
        lines = segment.start.lines.max(lines);
        segment.start.lines = lines;
    }
    arrangement
}

/// Where the first readable record of a segment is, and when it was written.
fn first_record(segment: &[u8]) -> Option<(Position, u64)> {
    match next(segment, SEGMENT_HEADER_BYTES) {
        Next::Record(record, _) => {
            Some((Position { sequence: record.sequence, lines: 0 }, record.time_ms))
        }
        Next::End(_) => None,
    }
}

/// How a segment ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// With a record.
    Whole,
    /// With a record that was being written, which nobody was told is safe.
    Torn,
    /// With bytes that were a record.
    Damaged,
}

/// What is next in a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next<'a> {
    /// A record and the place after it; what is damaged before it is skipped.
    Record(Record<'a>, usize),
    /// No record is left.
    End(Ending),
}

/// The next record at `at` or after it.
pub(super) fn next(segment: &[u8], at: usize) -> Next<'_> {
    let ending = match read_record(segment, at) {
        RecordRead::Record(record, after) => return Next::Record(record, after),
        RecordRead::End => return Next::End(Ending::Whole),
        RecordRead::Torn => Ending::Torn,
        RecordRead::Damaged => Ending::Damaged,
    };
    let found = next_record(segment, at).map(|place| read_record(segment, place));
    match found {
        Some(RecordRead::Record(record, after)) => Next::Record(record, after),
        _ => Next::End(ending),
    }
}

/// What the last segment says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tail {
    /// The place after its last record.
    pub(super) end: usize,
    pub(super) ending: Ending,
    /// Where the next record goes, by all that is known: beyond a damaged one.
    next: Position,
    /// The newest time of its records, which may not be that of the last one: a clock may go back.
    pub(super) newest_ms: Option<u64>,
    /// A record in it is damaged.
    pub(super) is_damaged: bool,
}

impl Tail {
    /// Of a segment that ends with a record, as all that was read of it says.
    pub(super) fn whole(end: usize, next: Position, newest_ms: Option<u64>) -> Tail {
        Tail { end, ending: Ending::Whole, next, newest_ms, is_damaged: false }
    }
}

/// Reads the last segment, which begins at `start`.
pub(super) fn examine(segment: &[u8], start: Position) -> Tail {
    let (mut next_position, mut end) = (start, SEGMENT_HEADER_BYTES);
    let (mut newest_ms, mut is_damaged) = (None, false);
    loop {
        match next(segment, end) {
            Next::Record(record, after) => {
                is_damaged |= record.sequence > next_position.sequence;
                next_position = next_position.after(&record);
                (end, newest_ms) = (after, newest_ms.max(Some(record.time_ms)));
            }
            Next::End(ending) => {
                if ending == Ending::Damaged {
                    is_damaged = true;
                    next_position.sequence = next_position.sequence.saturating_add(1);
                }
                return Tail { end, ending, next: next_position, newest_ms, is_damaged };
            }
        }
    }
}

/// Where to go on.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Recovered {
    /// In the order of their records.
    pub(super) segments: Vec<Segment>,
    /// Where delivery goes on.
    pub(super) cursor: Position,
    /// Where the next record goes.
    pub(super) next: Position,
    /// The newest time in the last segment, where that is known.
    pub(super) newest_ms: Option<u64>,
    /// Records that should be there, before the first segment or after the last: one for each of
    /// those segments of which nothing can be read, where nothing says how many they had.
    pub(super) lost_records: u64,
    /// What the cursor is worth.
    pub(super) trust: Trust,
}

/// What a cursor is worth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Trust {
    /// It agrees with the segments, or there is none, as nothing was delivered yet.
    #[default]
    Agrees,
    /// There is none, though the spool has had segments before those that are there.
    Missing,
    /// It cannot be read.
    Damaged,
    /// It is after all records.
    TooNew,
}

/// Says where to go on; `tail` is of the last segment.
pub(super) fn recover(
    mut segments: Vec<Segment>,
    tail: Option<Tail>,
    cursor: Option<&[u8]>,
    unreadable: &[u64],
) -> Recovered {
    let cursor = cursor.map(read_cursor);
    let (Some(first), Some(tail)) = (segments.first(), tail) else {
        // An unreadable cursor without a segment: nothing waits, so any number will do.
        let position = cursor.and_then(Result::ok).unwrap_or_default();
        let lost_records = unreadable.len() as u64;
        let (cursor, next) = (position, position);
        return Recovered { cursor, next, lost_records, ..Recovered::default() };
    };
    let (start, next) = (first.start, tail.next);
    let (cursor, trust, lost_records) = match cursor {
        // Nothing was removed yet, so there may never have been one; either way all is delivered.
        None if start.sequence == 0 => (start, Trust::Agrees, 0),
        None => (start, Trust::Missing, 0),
        Some(Err(_)) => (start, Trust::Damaged, 0),
        Some(Ok(cursor)) if cursor.sequence > next.sequence => (start, Trust::TooNew, 0),
        Some(Ok(cursor)) if cursor.sequence < start.sequence => {
            (start, Trust::Agrees, start.sequence - cursor.sequence)
        }
        Some(Ok(cursor)) => (cursor, Trust::Agrees, 0),
    };
    if let Some(last) = segments.last_mut() {
        last.is_damaged |= tail.is_damaged;
    }
    let next = Position { lines: next.lines.max(cursor.lines), ..next };
    let is_cursor_unknown = matches!(trust, Trust::Missing | Trust::Damaged);
    // A file of another name than the next segment would have was none of this spool.
    let has_lost_end = unreadable.contains(&next.sequence);
    let is_lost = |sequence: &&u64| {
        is_cursor_unknown && **sequence < start.sequence
            || has_lost_end && **sequence >= next.sequence
    };
    let lost_records = lost_records + unreadable.iter().filter(is_lost).count() as u64;
    Recovered { segments, cursor, next, newest_ms: tail.newest_ms, lost_records, trust }
}
