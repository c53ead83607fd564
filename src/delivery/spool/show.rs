//! A spool's folder → what an operator sees of it, beside a running server too: nothing is locked,
//! changed or waited for, and a segment that the server removes meanwhile is delivered, not lost.

use super::folder::Folder;
use super::format::{BAD_SUFFIX, NEWER_SUFFIX, Record, SEGMENT_HEADER_BYTES};
use super::recovery::{Ending, Next, Recovered, Segment, arrange, examine, next, recover};
use crate::observe::log::Rfc3339;
use std::fmt;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

/// What is in a spool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overview {
    dir: PathBuf,
    segments: Vec<SegmentOverview>,
    /// Lines that wait.
    lines: u64,
    /// When the first and the last record that wait were written, in milliseconds since 1970.
    times_ms: Option<(u64, u64)>,
    /// Records that are missing or damaged.
    lost_records: u64,
    /// Files that are kept for their damage, or would be at the next start.
    kept: Vec<String>,
    /// Segments of a newer pushline.
    newer: Vec<String>,
    /// Bytes at the end that are no whole record.
    half_bytes: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct SegmentOverview {
    name: String,
    bytes: u64,
    /// Lines of it that wait.
    lines: u64,
    /// When its first record was written.
    time_ms: u64,
    is_damaged: bool,
}

/// Why a spool cannot be shown.
#[derive(Debug)]
pub enum ShowError {
    /// Its folder or a file in it cannot be read.
    Unreadable(PathBuf, io::Error),
    /// Whoever reads does not take the lines.
    Untaken(io::Error),
}

impl fmt::Display for ShowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ShowError::Unreadable(dir, error) => {
                write!(f, "cannot read the spool {}: {error}", dir.display())
            }
            ShowError::Untaken(error) => write!(f, "standard output takes no more: {error}"),
        }
    }
}

impl std::error::Error for ShowError {}

impl fmt::Display for Overview {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.segments.is_empty() {
            let [name, bytes, lines, time] = ["segment", "bytes", "lines", "written from"];
            writeln!(f, "{name:24} {bytes:>11} {lines:>9}  {time}")?;
        }
        for segment in &self.segments {
            let SegmentOverview { name, bytes, lines, time_ms, .. } = segment;
            let note = segment.note();
            writeln!(f, "{name:24} {bytes:>11} {lines:>9}  {}{note}", Rfc3339::of_ms(*time_ms))?;
        }
        let bytes: u64 = self.segments.iter().map(|segment| segment.bytes).sum();
        let (dir, count, lines) = (self.dir.display(), self.segments.len(), self.lines);
        writeln!(f, "{dir}: {lines} lines wait, in {count} segments of {bytes} bytes")?;
        if let Some((oldest, newest)) = self.times_ms {
            let (oldest, newest) = (Rfc3339::of_ms(oldest), Rfc3339::of_ms(newest));
            writeln!(f, "written from {oldest} to {newest}")?;
        }
        if self.lost_records > 0 {
            writeln!(f, "damage: {} records are missing or damaged", self.lost_records)?;
        } else if self.is_damaged() {
            let count = self.segments.iter().filter(|segment| segment.is_damaged).count();
            writeln!(f, "damage: {count} segments are damaged, no waiting record is missing")?;
        }
        if self.half_bytes > 0 {
            let bytes = self.half_bytes;
            writeln!(
                f,
                "half a record at the end, {bytes} bytes, as a write, a crash or a cut copy leaves it"
            )?;
        }
        for name in &self.kept {
            writeln!(f, "kept for its damage: {name}")?;
        }
        for name in &self.newer {
            writeln!(f, "written by a newer pushline, not read: {name}")?;
        }
        if !self.is_damaged() && self.kept.is_empty() {
            writeln!(f, "damage: none")?;
        }
        Ok(())
    }
}

impl Overview {
    /// Whether a record is missing or damaged, or the header of a segment is. What is kept for an
    /// earlier damage was counted then.
    #[must_use]
    pub fn is_damaged(&self) -> bool {
        self.lost_records > 0 || self.segments.iter().any(|segment| segment.is_damaged)
    }
}

/// Looks at a folder.
///
/// # Errors
/// [`ShowError::Unreadable`]
pub fn list(dir: &Path) -> Result<Overview, ShowError> {
    let mut overview = Overview { dir: dir.to_owned(), ..Overview::default() };
    let found = walk(dir, |record, segment| {
        let lines = u64::from(record.line_count);
        overview.lines += lines;
        let oldest = overview.times_ms.map_or(record.time_ms, |(oldest, _)| oldest);
        overview.times_ms = Some((oldest, record.time_ms));
        match overview.segments.last_mut() {
            Some(last) if last.name == segment.name => last.lines += lines,
            _ => overview.segments.push(SegmentOverview::of(segment, lines)),
        }
        Ok(())
    })?;
    for segment in &found.segments {
        match overview.segments.iter_mut().find(|shown| shown.name == segment.name) {
            // Damage may have shown after its first record.
            Some(shown) => shown.is_damaged = segment.is_damaged,
            // Those without a waiting line are shown too: they take room until they are removed.
            None => overview.segments.push(SegmentOverview::of(segment, 0)),
        }
    }
    overview.segments.sort_by(|one, other| one.name.cmp(&other.name));
    overview.lost_records = found.lost_records;
    (overview.kept, overview.newer) = (found.kept, found.newer);
    overview.half_bytes = found.half_bytes;
    Ok(overview)
}

/// Writes all lines that wait; returns how many records are missing or damaged.
///
/// # Errors
/// See [`ShowError`].
pub fn print(dir: &Path, to: &mut dyn Write) -> Result<u64, ShowError> {
    let found = walk(dir, |record, _| to.write_all(record.lines))?;
    to.flush().map_err(ShowError::Untaken)?;
    Ok(found.lost_records)
}

impl SegmentOverview {
    fn of(segment: &Segment, lines: u64) -> SegmentOverview {
        let (name, bytes, time_ms) = (segment.name.clone(), segment.bytes, segment.time_ms);
        SegmentOverview { name, bytes, lines, time_ms, is_damaged: segment.is_damaged }
    }

    fn note(&self) -> &'static str {
        match (self.is_damaged, self.lines) {
            (true, _) => ", damaged",
            (false, 0) => ", delivered",
            (false, _) => "",
        }
    }
}

/// What a walk has found.
#[derive(Default)]
struct Walked {
    segments: Vec<Segment>,
    lost_records: u64,
    kept: Vec<String>,
    newer: Vec<String>,
    half_bytes: u64,
}

/// Visits each record that waits, in order.
fn walk(
    dir: &Path,
    mut visit: impl FnMut(&Record<'_>, &Segment) -> io::Result<()>,
) -> Result<Walked, ShowError> {
    let unreadable = |error| ShowError::Unreadable(dir.to_owned(), error);
    let folder = Folder::look(dir);
    let NextStart { recovered, kept, newer, half_bytes } = look(&folder).map_err(unreadable)?;
    let mut segments = recovered.segments;
    let (mut at, mut lost_records) = (Some(recovered.cursor), recovered.lost_records);
    let starts = segments.iter().skip(1).map(|segment| segment.start.sequence);
    let ends: Vec<u64> = starts.chain([u64::MAX]).collect();
    for (segment, end) in segments.iter_mut().zip(ends) {
        let Some(bytes) = read(&folder, &segment.name).map_err(unreadable)? else {
            // It is delivered: what follows it is no gap.
            at = None;
            continue;
        };
        let mut expected = at.unwrap_or(segment.start);
        let mut offset = SEGMENT_HEADER_BYTES;
        while let Next::Record(record, after) = next(&bytes, offset) {
            offset = after;
            if record.sequence >= end {
                // Left of a write that failed: the next segment has that record.
                continue;
            }
            if record.sequence >= expected.sequence {
                let lost = record.sequence - expected.sequence;
                lost_records += lost;
                segment.is_damaged |= lost > 0;
                visit(&record, segment).map_err(ShowError::Untaken)?;
            }
            expected = expected.after(&record);
        }
        if end != u64::MAX && expected.sequence < end {
            lost_records += end - expected.sequence;
            segment.is_damaged = true;
            expected.sequence = end;
        }
        at = Some(expected);
    }
    let end = at.map_or(recovered.next.sequence, |at| at.sequence);
    lost_records += recovered.next.sequence.saturating_sub(end);
    Ok(Walked { segments, lost_records, kept, newer, half_bytes })
}

/// What the next start would find, and the names of what it would not read.
struct NextStart {
    recovered: Recovered,
    /// For its damage.
    kept: Vec<String>,
    /// As a newer pushline wrote it.
    newer: Vec<String>,
    /// Bytes after the last whole record.
    half_bytes: u64,
}

fn look(folder: &Folder) -> io::Result<NextStart> {
    let arrangement = arrange(folder.file_starts()?);
    // After the segments: whatever the server delivers meanwhile is before this cursor.
    let cursor = folder.read_cursor()?;
    let last = arrangement.segments.last();
    let bytes = last.map_or(Ok(None), |last| read(folder, &last.name))?;
    let tail = last.zip(bytes.as_deref()).map(|(last, bytes)| examine(bytes, last.start));
    let half_bytes = match (tail, bytes) {
        (Some(tail), Some(bytes)) if tail.ending == Ending::Torn => bytes.len() - tail.end,
        _ => 0,
    };
    let mut kept = folder.kept(BAD_SUFFIX)?;
    kept.extend(arrangement.set_aside);
    let mut newer = folder.kept(NEWER_SUFFIX)?;
    newer.extend(arrangement.newer);
    let recovered = recover(arrangement.segments, tail, cursor.as_deref(), &arrangement.unreadable);
    Ok(NextStart { recovered, kept, newer, half_bytes: half_bytes as u64 })
}

/// A segment's bytes; none where it has been removed, or is emptied for that.
fn read(folder: &Folder, name: &str) -> io::Result<Option<Vec<u8>>> {
    match folder.read(name) {
        Ok(bytes) => Ok(Some(bytes).filter(|bytes| !bytes.is_empty())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
