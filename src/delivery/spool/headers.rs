//! The headers of the last segment's records → where it ends.
//!
//! The first push of a process waits for this, and a segment has up to 8 MiB, or a push more. So
//! the lines are not read: a header has a checksum of its own, and says where the next one is. Only
//! those of the last record are checked, which may have been being written when the power went.
//! Damage to the lines of an earlier record is found and counted when their turn comes, as it is in
//! every other segment.
//!
//! Apart from such damage, what is found here is what [`examine`](super::recovery::examine) finds,
//! which reads everything and is asked wherever a header is not what it should be.

use super::format::{
    Position, RECORD_HEADER_BYTES, RecordHeader, SEGMENT_HEADER_BYTES, read_record_header,
};
use super::reading::read_through;
use super::recovery::Tail;
use std::io;

/// What is read at a time.
const PIECE_BYTES: usize = 64 << 10;
/// After a larger record only the next header is read: what follows it may be as large.
const SMALL_RECORD_BYTES: u64 = (PIECE_BYTES / 4) as u64;

/// Says how a segment of so many bytes ends, which begins at `start`; `read` reads at a place of
/// it. None where the headers do not tell: one is damaged, torn or missing, or the last record is.
pub(super) fn tail_of(
    read: impl Fn(&mut [u8], u64) -> io::Result<usize>,
    bytes: u64,
    start: Position,
) -> io::Result<Option<Tail>> {
    let mut pieces = Pieces { read, bytes, piece: Vec::new(), offset: 0 };
    let (mut at, mut next, mut last) = (SEGMENT_HEADER_BYTES as u64, start, None);
    let (mut last_bytes, mut newest_ms) = (0, None);
    while at < bytes {
        let piece_bytes =
            if last_bytes <= SMALL_RECORD_BYTES { PIECE_BYTES } else { RECORD_HEADER_BYTES };
        let found = read_record_header(pieces.get(at, piece_bytes)?);
        let Some(header) = found.filter(|header| header.sequence == next.sequence) else {
            return Ok(None);
        };
        next = next.after(&header.with(&[]));
        last_bytes = RECORD_HEADER_BYTES as u64 + header.line_bytes as u64;
        at += last_bytes;
        newest_ms = newest_ms.max(Some(header.time_ms));
        last = Some(header);
    }
    let is_whole = at == bytes && last.map_or(Ok(true), |header| pieces.end_with(header))?;
    let end = usize::try_from(bytes).ok().filter(|_| is_whole);
    Ok(end.map(|end| Tail::whole(end, next, newest_ms)))
}

/// A segment that is read in pieces.
struct Pieces<R> {
    read: R,
    /// Its length.
    bytes: u64,
    /// What was read last, and where that is.
    piece: Vec<u8>,
    offset: u64,
}

impl<R: Fn(&mut [u8], u64) -> io::Result<usize>> Pieces<R> {
    /// The bytes from `at` on: a header, where the segment has as many. Where they are not read
    /// yet, `piece_bytes` are.
    fn get(&mut self, at: u64, piece_bytes: usize) -> io::Result<&[u8]> {
        let end = self.offset + self.piece.len() as u64;
        if at < self.offset || at + RECORD_HEADER_BYTES as u64 > end {
            self.fill(at, piece_bytes)?;
        }
        // OK because `at` is in the piece.
        let from = usize::try_from(at - self.offset).unwrap_or_default();
        Ok(self.piece.get(from..).unwrap_or_default())
    }

    /// Whether the segment ends with the lines of this header.
    fn end_with(&mut self, mut header: RecordHeader) -> io::Result<bool> {
        let mut at = self.bytes - header.line_bytes as u64;
        while at < self.bytes {
            self.fill(at, PIECE_BYTES)?;
            if self.piece.is_empty() {
                return Ok(false);
            }
            header.add_lines(&self.piece);
            at += self.piece.len() as u64;
        }
        Ok(header.has_all_lines())
    }

    fn fill(&mut self, at: u64, bytes_max: usize) -> io::Result<()> {
        let left = usize::try_from(self.bytes - at).unwrap_or(usize::MAX);
        self.piece.resize(left.min(bytes_max), 0);
        let count = read_through(&self.read, &mut self.piece, at)?;
        self.piece.truncate(count);
        self.offset = at;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::format::RecordRead;
    use super::super::format::{
        Record, SegmentHeader, read_record, write_record, write_segment_header,
    };
    use super::super::recovery::examine;
    use super::*;
    use std::cell::Cell;

    const START: Position = Position { sequence: 7, lines: 12 };

    /// A segment with a record of each of these lengths.
    fn segment(lengths: &[usize]) -> Vec<u8> {
        let mut segment = Vec::new();
        write_segment_header(SegmentHeader { start: START, time_ms: 1 }, &mut segment);
        for (sequence, length) in (START.sequence..).zip(lengths) {
            let lines = vec![b'x'; *length];
            let record = Record { sequence, time_ms: sequence, line_count: 2, lines: &lines };
            write_record(record, &mut segment);
        }
        segment
    }

    /// What the headers tell of a segment, and how many bytes of it were read for that.
    fn tail(segment: &[u8]) -> (Option<Tail>, usize) {
        let read_bytes = Cell::new(0);
        let read = |buffer: &mut [u8], offset: u64| {
            let rest = &segment[usize::try_from(offset).unwrap()..];
            // As few as a system may give.
            let count = rest.len().min(buffer.len()).min(10_000);
            buffer[..count].copy_from_slice(&rest[..count]);
            read_bytes.set(read_bytes.get() + count);
            Ok(count)
        };
        let tail = tail_of(read, segment.len() as u64, START).unwrap();
        (tail, read_bytes.get())
    }

    #[test]
    fn headers_tell_what_the_whole_segment_tells() {
        let small = [1, 100, 0, 1000].repeat(200);
        let mixed = [[5; 40].as_slice(), &[PIECE_BYTES, 3 * PIECE_BYTES + 1], &[5; 40]].concat();
        let edges: Vec<usize> = (PIECE_BYTES - 80..PIECE_BYTES + 80).step_by(7).collect();
        for lengths in [&[], [0].as_slice(), &small, &mixed, &edges, &[300_000]] {
            let segment = segment(lengths);
            let (tail, read_bytes) = tail(&segment);
            assert_eq!(tail, Some(examine(&segment, START)), "{lengths:?}");
            assert!(read_bytes <= segment.len() + PIECE_BYTES, "{read_bytes} of {lengths:?}");
        }
    }

    #[test]
    fn of_large_records_the_lines_are_not_read() {
        let segment = segment(&[100_000; 80]);
        let (tail, read_bytes) = tail(&segment);
        assert_eq!(tail, Some(examine(&segment, START)));
        assert!(read_bytes < PIECE_BYTES + 80 * RECORD_HEADER_BYTES + 100_000, "{read_bytes}");
    }

    #[test]
    fn no_truncation_passes_unless_it_is_between_two_records() {
        let segment = segment(&[20, 0, 30]);
        for len in SEGMENT_HEADER_BYTES..segment.len() {
            let cut = &segment[..len];
            let mut at = SEGMENT_HEADER_BYTES;
            while let RecordRead::Record(_, after) = read_record(cut, at) {
                at = after;
            }
            let want = (at == len).then(|| examine(cut, START));
            assert_eq!(tail(cut).0, want, "cut at {len}");
        }
    }

    #[test]
    fn no_flipped_bit_passes_but_one_in_lines_that_are_read_later() {
        let segment = segment(&[20, 10, 30]);
        let unharmed = tail(&segment).0;
        let second = SEGMENT_HEADER_BYTES + RECORD_HEADER_BYTES + 20;
        let third = second + RECORD_HEADER_BYTES + 10;
        let is_later =
            |at: usize| (third - 10..third).contains(&at) || (second - 20..second).contains(&at);
        for bit in 8 * SEGMENT_HEADER_BYTES..8 * segment.len() {
            let mut harmed = segment.clone();
            harmed[bit / 8] ^= 1 << (bit % 8);
            let want = if is_later(bit / 8) { unharmed } else { None };
            // The checksum of a header that is not the last one is that of its lines.
            let of_lines = [SEGMENT_HEADER_BYTES + 32, second + 32];
            let is_of_lines = of_lines.iter().any(|from| (*from..from + 4).contains(&(bit / 8)));
            let want = if is_of_lines { unharmed } else { want };
            assert_eq!(tail(&harmed).0, want, "bit {bit}");
        }
    }

    #[test]
    fn a_missing_record_and_zeros_are_left_to_a_closer_look() {
        let whole = segment(&[20, 10, 30]);
        let second = SEGMENT_HEADER_BYTES + RECORD_HEADER_BYTES + 20;
        let third = second + RECORD_HEADER_BYTES + 10;
        let without_second = [&whole[..second], &whole[third..]].concat();
        let with_zeros = [&whole, [0; 100].as_slice()].concat();
        let twice = [&whole, &whole[third..]].concat();
        for harmed in [without_second, with_zeros, twice] {
            assert_eq!(tail(&harmed).0, None);
        }
    }
}
