//! The bytes of a spool: segments of records, and one cursor.
//!
//! # Format, version 1
//! All numbers are little-endian. A checksum is the CRC-32 of IEEE 802.3, the one of gzip and PNG,
//! which finds every damage of up to 32 neighbouring bits.
//!
//! A **segment** is a file named after its first record, in 20 digits, such as
//! `00000000000000000007.seg`. It is a header of 40 bytes, followed by records:
//! ```text
//! offset  bytes
//!      0      8  PLSEGMNT
//!      8      4  version: 1
//!     12      8  sequence number of its first record
//!     20      8  lines in all records before this one, since the spool began
//!     28      8  when its first record was written, in milliseconds since 1970
//!     36      4  checksum of the 36 bytes before
//! ```
//! A **record** is the lines of one push:
//! ```text
//! offset  bytes
//!      0      4  marker: ff 50 4c 52
//!      4      4  bytes of lines: n
//!      8      4  lines
//!     12      8  sequence number: that of the record before, plus one
//!     20      8  when it was written, in milliseconds since 1970; a clock that goes back does not
//!                make this less than in the record before
//!     28      4  checksum of the 24 bytes after the marker
//!     32      4  checksum of the same 24 bytes, followed by the lines
//!     36      n  the lines, each with its LF
//! ```
//! The **cursor** is the file `cursor`, 32 bytes: all records before its sequence number are
//! delivered, in whatever segments they are.
//! ```text
//! offset  bytes
//!      0      8  PLCURSOR
//!      8      4  version: 1
//!     12      8  sequence number of the next record to be delivered
//!     20      8  lines in all records before that one, since the spool began
//!     28      4  checksum of the 28 bytes before
//! ```
//!
//! A later version may change what follows the first 40 bytes of a segment, and the meaning of
//! records; it keeps the place of the version and of both checksums.
//!
//! # What this gives
//! - *Damage is found*: whatever a record says is covered by a checksum, its length too.
//! - *Damage is skipped*: lines are UTF-8, which has no byte `ff`, so the next marker after a
//!   damaged record is the next record, and no pusher can forge one.
//! - *Damage is counted*: sequence numbers have no gaps, so a gap says how many records are lost,
//!   be it within a segment, between two, or with a segment that is missing.
//! - *A torn tail is told from damage*: a record whose header is whole and whose lines end early
//!   was being written when the power went, and nobody was told that it is safe.
//! - *Lines are known without reading them*: the difference of two segments' headers is what the
//!   first one holds.
//!
//! # Example
//! The eighth record of a spool is the push of `a b=1 2`, at 1000 ms, and begins a segment. Then
//! `00000000000000000007.seg` has
//! ```text
//! 50 4c 53 45 47 4d 4e 54  01 00 00 00  07 00 00 00 00 00 00 00  PLSEGMNT, version 1, record 7
//! 0c 00 00 00 00 00 00 00  e8 03 00 00 00 00 00 00  cf 3f 56 84  twelve lines before, 1000 ms
//! ff 50 4c 52  08 00 00 00  01 00 00 00  07 00 00 00 00 00 00 00 8 bytes, 1 line, record 7
//! e8 03 00 00 00 00 00 00  e4 11 8f 88  42 11 6f 7f              1000 ms, both checksums
//! 61 20 62 3d 31 20 32 0a                                        a b=1 2
//! ```
//! and once it is delivered, the cursor says 8 and 13 lines.

use crc32fast::Hasher;

/// The version that is written. Segments of newer ones are kept for the pushline that wrote them.
pub(super) const VERSION: u32 = 1;
pub(super) const SEGMENT_HEADER_BYTES: usize = 40;
pub(super) const RECORD_HEADER_BYTES: usize = 36;
pub(super) const CURSOR_BYTES: usize = 32;

const SEGMENT_MAGIC: &[u8; 8] = b"PLSEGMNT";
const CURSOR_MAGIC: &[u8; 8] = b"PLCURSOR";
const MARKER: [u8; 4] = [0xff, b'P', b'L', b'R'];

/// The end of a segment's name.
const SEGMENT_SUFFIX: &str = ".seg";
/// What is added to the name of a segment that is kept for its damage.
pub(super) const BAD_SUFFIX: &str = ".bad";
/// What is added to the name of a segment that a newer pushline wrote.
pub(super) const NEWER_SUFFIX: &str = ".newer";
/// The name of the cursor.
pub(super) const CURSOR_NAME: &str = "cursor";
/// The name of a cursor that is being written.
pub(super) const NEW_CURSOR_NAME: &str = "cursor.new";

/// A place between two records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Position {
    /// The sequence number of the next record.
    pub(super) sequence: u64,
    /// Lines in all records before it.
    pub(super) lines: u64,
}

impl Position {
    /// After `record`, which is at this position, or later where records before it are lost. One
    /// from before it changes nothing.
    pub(super) fn after(self, record: &Record<'_>) -> Position {
        if record.sequence < self.sequence {
            return self;
        }
        Position {
            sequence: record.sequence.saturating_add(1),
            lines: self.lines.saturating_add(u64::from(record.line_count)),
        }
    }
}

/// What the header of a segment says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    /// Where its first record is.
    pub(super) start: Position,
    /// When its first record was written.
    pub(super) time_ms: u64,
}

/// One record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record<'a> {
    pub(super) sequence: u64,
    pub(super) time_ms: u64,
    pub(super) line_count: u32,
    /// Whole lines.
    pub(super) lines: &'a [u8],
}

/// Why bytes are not a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// Fewer bytes than a header has.
    Short,
    /// A checksum or a magic is wrong.
    Damaged,
    /// Written by a pushline that is newer than this one.
    Newer,
}

/// The name of the segment whose first record has this sequence number.
pub(super) fn segment_name(sequence: u64) -> String {
    format!("{sequence:020}{SEGMENT_SUFFIX}")
}

/// The sequence number in a segment's name; none where the file is no segment.
pub(super) fn sequence_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(SEGMENT_SUFFIX)?;
    let is_name = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| is_name)
}

/// Appends a segment's header.
pub(super) fn write_segment_header(header: SegmentHeader, to: &mut Vec<u8>) {
    let from = to.len();
    to.extend_from_slice(SEGMENT_MAGIC);
    to.extend_from_slice(&VERSION.to_le_bytes());
    to.extend_from_slice(&header.start.sequence.to_le_bytes());
    to.extend_from_slice(&header.start.lines.to_le_bytes());
    to.extend_from_slice(&header.time_ms.to_le_bytes());
    write_checksum(from, to);
}

/// Reads the header at the start of a segment.
pub(super) fn read_segment_header(bytes: &[u8]) -> Result<SegmentHeader, Unreadable> {
    let bytes = checked(bytes, SEGMENT_HEADER_BYTES, SEGMENT_MAGIC)?;
    let start = Position { sequence: u64_at(bytes, 12), lines: u64_at(bytes, 20) };
    Ok(SegmentHeader { start, time_ms: u64_at(bytes, 28) })
}

/// The bytes of a cursor.
pub(super) fn write_cursor(position: Position) -> Vec<u8> {
    let mut to = Vec::with_capacity(CURSOR_BYTES);
    to.extend_from_slice(CURSOR_MAGIC);
    to.extend_from_slice(&VERSION.to_le_bytes());
    to.extend_from_slice(&position.sequence.to_le_bytes());
    to.extend_from_slice(&position.lines.to_le_bytes());
    write_checksum(0, &mut to);
    to
}

/// Reads a cursor.
pub(super) fn read_cursor(bytes: &[u8]) -> Result<Position, Unreadable> {
    let bytes = checked(bytes, CURSOR_BYTES, CURSOR_MAGIC)?;
    Ok(Position { sequence: u64_at(bytes, 12), lines: u64_at(bytes, 20) })
}

/// Appends one record.
pub(super) fn write_record(record: Record<'_>, to: &mut Vec<u8>) {
    let from = to.len() + MARKER.len();
    // OK because whoever appends refuses lines that are larger than a segment may be
    // (`SPOOL_READ_BYTES_MAX`).
    let bytes = u32::try_from(record.lines.len()).unwrap_or(u32::MAX);
    to.extend_from_slice(&MARKER);
    to.extend_from_slice(&bytes.to_le_bytes());
    to.extend_from_slice(&record.line_count.to_le_bytes());
    to.extend_from_slice(&record.sequence.to_le_bytes());
    to.extend_from_slice(&record.time_ms.to_le_bytes());
    let mut hasher = Hasher::new();
    hasher.update(to.get(from..).unwrap_or_default());
    to.extend_from_slice(&hasher.clone().finalize().to_le_bytes());
    hasher.update(record.lines);
    to.extend_from_slice(&hasher.finalize().to_le_bytes());
    to.extend_from_slice(record.lines);
}

/// What is at one place of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RecordRead<'a> {
    /// A record, and the place after it.
    Record(Record<'a>, usize),
    /// Nothing: the segment ends here.
    End,
    /// A record that ends early.
    Torn,
    /// Bytes that are not a record.
    Damaged,
}

/// Reads what is at `at`.
pub(super) fn read_record(segment: &[u8], at: usize) -> RecordRead<'_> {
    let bytes = segment.get(at..).unwrap_or_default();
    if bytes.is_empty() {
        return RecordRead::End;
    }
    let Some((header, rest)) = bytes.split_at_checked(RECORD_HEADER_BYTES) else {
        return RecordRead::Torn;
    };
    let Some(mut header) = read_record_header(header) else {
        // A power loss may leave a file longer than what was written into it.
        let is_unwritten = bytes.iter().all(|byte| *byte == 0);
        return if is_unwritten { RecordRead::Torn } else { RecordRead::Damaged };
    };
    let Some(lines) = rest.get(..header.line_bytes) else {
        return RecordRead::Torn;
    };
    header.add_lines(lines);
    if !header.has_all_lines() {
        return RecordRead::Damaged;
    }
    RecordRead::Record(header.with(lines), at + RECORD_HEADER_BYTES + header.line_bytes)
}

/// What the header of a record says, and a check of the lines that follow it.
#[derive(Clone, Debug)]
pub(super) struct RecordHeader {
    pub(super) sequence: u64,
    pub(super) time_ms: u64,
    pub(super) line_count: u32,
    /// How many bytes of lines follow.
    pub(super) line_bytes: usize,
    /// The checksum of the header and of the lines that were added.
    hasher: Hasher,
    /// The checksum of the header and of all lines, as it was written.
    checksum: u32,
}

/// Reads the header that these bytes begin with; none where they do not begin with one.
pub(super) fn read_record_header(bytes: &[u8]) -> Option<RecordHeader> {
    let header = bytes.get(..RECORD_HEADER_BYTES)?;
    let mut hasher = Hasher::new();
    hasher.update(header.get(MARKER.len()..28)?);
    if !header.starts_with(&MARKER) || u32_at(header, 28) != hasher.clone().finalize() {
        return None;
    }
    Some(RecordHeader {
        sequence: u64_at(header, 12),
        time_ms: u64_at(header, 20),
        line_count: u32_at(header, 8),
        line_bytes: u32_at(header, 4) as usize,
        hasher,
        checksum: u32_at(header, 32),
    })
}

impl RecordHeader {
    /// The record that has these lines.
    pub(super) fn with<'a>(&self, lines: &'a [u8]) -> Record<'a> {
        let RecordHeader { sequence, time_ms, line_count, .. } = *self;
        Record { sequence, time_ms, line_count, lines }
    }

    /// The next bytes of its lines.
    pub(super) fn add_lines(&mut self, piece: &[u8]) {
        self.hasher.update(piece);
    }

    /// Whether the lines that were added are all of those that were written.
    pub(super) fn has_all_lines(&self) -> bool {
        self.hasher.clone().finalize() == self.checksum
    }
}

/// The place of the first whole record after `at`, whatever is between.
pub(super) fn next_record(segment: &[u8], at: usize) -> Option<usize> {
    let rest = segment.get(at + 1..)?;
    let markers = rest.windows(MARKER.len()).enumerate().filter(|(_, bytes)| *bytes == MARKER);
    let mut places = markers.map(|(place, _)| at + 1 + place);
    places.find(|place| matches!(read_record(segment, *place), RecordRead::Record(..)))
}

fn write_checksum(from: usize, to: &mut Vec<u8>) {
    let checksum = crc32fast::hash(to.get(from..).unwrap_or_default());
    to.extend_from_slice(&checksum.to_le_bytes());
}

/// The first `len` bytes, once their magic, checksum and version are known to be good.
fn checked<'a>(bytes: &'a [u8], len: usize, magic: &[u8]) -> Result<&'a [u8], Unreadable> {
    let bytes = bytes.get(..len).ok_or(Unreadable::Short)?;
    let (body, _) = bytes.split_at_checked(len - 4).ok_or(Unreadable::Short)?;
    if !body.starts_with(magic) {
        return Err(Unreadable::Damaged);
    }
    match (u32_at(body, 8), u32_at(bytes, len - 4) == crc32fast::hash(body)) {
        (1..=VERSION, true) => Ok(bytes),
        (0, _) | (_, false) => Err(Unreadable::Damaged),
        (_, true) => Err(Unreadable::Newer),
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let number = bytes.get(at..).and_then(|bytes| bytes.first_chunk());
    number.map_or(0, |number| u32::from_le_bytes(*number))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let number = bytes.get(at..).and_then(|bytes| bytes.first_chunk());
    number.map_or(0, |number| u64::from_le_bytes(*number))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_example_of_the_essay_is_what_is_written() {
        let mut segment = Vec::new();
        let start = Position { sequence: 7, lines: 12 };
        write_segment_header(SegmentHeader { start, time_ms: 1000 }, &mut segment);
        let record = Record { sequence: 7, time_ms: 1000, line_count: 1, lines: b"a b=1 2\n" };
        write_record(record, &mut segment);
        // The example, without its words: groups of two hexadecimal digits.
        let essay = include_str!("format.rs").split("# Example").nth(1).unwrap();
        let example = essay.split("```").nth(1).unwrap();
        let is_byte = |word: &&str| word.len() == 2 && u8::from_str_radix(word, 16).is_ok();
        let bytes: Vec<&str> = example.split_whitespace().filter(is_byte).collect();
        assert_eq!(hex(&segment), bytes.join(" "));
        assert_eq!(segment_name(7), "00000000000000000007.seg");
        assert_eq!(read_record(&segment, 40), RecordRead::Record(record, segment.len()));
        assert_eq!(read_segment_header(&segment), Ok(SegmentHeader { start, time_ms: 1000 }));
    }

    #[test]
    fn a_cursor_is_read_as_it_was_written_and_a_newer_one_is_told() {
        let position = Position { sequence: 8, lines: 13 };
        let bytes = write_cursor(position);
        assert_eq!(read_cursor(&bytes), Ok(position));
        assert_eq!(read_cursor(&bytes[..31]), Err(Unreadable::Short));
        let mut newer = bytes.clone();
        newer[8] = 2;
        assert_eq!(read_cursor(&newer), Err(Unreadable::Damaged));
        let checksum = crc32fast::hash(&newer[..28]);
        newer[28..].copy_from_slice(&checksum.to_le_bytes());
        assert_eq!(read_cursor(&newer), Err(Unreadable::Newer));
    }

    #[test]
    fn only_twenty_digits_name_a_segment() {
        for (name, want) in [
            ("00000000000000000000.seg", Some(0)),
            ("18446744073709551615.seg", Some(u64::MAX)),
            ("18446744073709551616.seg", None),
            ("0000000000000000007.seg", None),
            ("+0000000000000000007.seg", None),
            ("00000000000000000007.seg.bad", None),
            ("cursor", None),
        ] {
            assert_eq!(sequence_of(name), want, "{name}");
        }
    }
}
