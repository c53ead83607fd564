//! A block of which a store refuses something → the lines that it refuses; all else is delivered
//! (SPEC 3.2). Knows pushes and lines, nothing of HTTP.
//!
//! The block is cut into *parts*, and each part is offered by itself. A part that is refused is cut
//! in two: between two pushes as long as it has lines of several, then between two lines. A part
//! of one line that is refused is a refused line. Parts are offered in the order in which they were
//! made, so that all parts of one size come before smaller ones: where a block has more refused
//! lines than requests may be spent on, the room that is left is shared evenly.
//!
//! An example, with the pushes `ab`, `cd` of which the store refuses line `b`:
//! ```text
//! abcd refused → ab, cd      ab refused → a, b      cd taken      a taken      b refused: the end
//! ```
//!
//! A store may name lines that it refuses. They are offered by themselves and the rest by itself,
//! which finds a bad line among thousands with two requests more; a store that names every line of
//! a part has refused every line of it. Stores that take the good lines of a part and refuse the
//! others (InfluxDB) are no different here: a line that was taken already is taken again.
//!
//! Requests are bounded ([`REQUESTS_PER_BLOCK_MAX`]). Each part that is not offered yet has one of
//! them reserved; a refused part is cut only while two more are left, else its lines are refused
//! together. Parts that are too large (413) are cut in halves whatever was spent: nothing is wrong
//! with their lines.

use crate::limits::REQUESTS_PER_BLOCK_MAX;
use std::collections::VecDeque;
use std::ops::Range;

/// Lines that are offered together, by their indices in the block, ascending.
type Part = Vec<u32>;

/// One line of the block.
#[derive(Debug)]
struct BlockLine {
    /// Its bytes with the LF, in the block.
    bytes: Range<usize>,
    /// Which of the block's pushes it belongs to.
    push: u32,
}

/// A line that is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RefusedLine {
    /// Its bytes with the LF, in the block.
    pub(super) bytes: Range<usize>,
    /// Which of the block's pushes it belongs to, from 0.
    pub(super) push: usize,
    /// Which of the reasons given is its own.
    pub(super) reason: usize,
}

/// A block that is being taken apart.
#[derive(Debug)]
pub(super) struct TakeApart<W> {
    lines: Vec<BlockLine>,
    /// What is still to be offered; the first of them is.
    parts: VecDeque<Part>,
    requests_left: usize,
    /// The largest part that may be offered, in bytes.
    part_bytes_max: usize,
    refused: Vec<(u32, usize)>,
    reasons: Vec<W>,
}

impl<W> TakeApart<W> {
    /// Begins with the whole block: whole lines, of pushes that end where `push_ends` says. It is
    /// cut from the start where it is larger than `part_bytes_max`.
    pub(super) fn new(block: &[u8], push_ends: &[usize], part_bytes_max: usize) -> TakeApart<W> {
        let lines = lines(block, push_ends);
        let whole = (0..u32::try_from(lines.len()).unwrap_or(u32::MAX)).collect();
        let mut apart = TakeApart {
            lines,
            parts: VecDeque::new(),
            requests_left: REQUESTS_PER_BLOCK_MAX,
            part_bytes_max,
            refused: Vec::new(),
            reasons: Vec::new(),
        };
        apart.parts = apart.cut_to_size(whole);
        apart.requests_left = REQUESTS_PER_BLOCK_MAX.max(apart.parts.len());
        apart
    }

    /// The byte ranges of the block that are to be offered now, as one request; none when all is
    /// settled.
    pub(super) fn offered(&self) -> Option<Vec<Range<usize>>> {
        let part = self.parts.front()?;
        let mut ranges: Vec<Range<usize>> = Vec::new();
        for line in part.iter().filter_map(|line| self.lines.get(*line as usize)) {
            match ranges.last_mut() {
                Some(last) if last.end == line.bytes.start => last.end = line.bytes.end,
                _ => ranges.push(line.bytes.clone()),
            }
        }
        Some(ranges)
    }

    /// What was offered is taken.
    pub(super) fn taken(&mut self) {
        self.parts.pop_front();
        self.requests_left = self.requests_left.saturating_sub(1);
    }

    /// Something in what was offered is refused; `named` are the lines that the store says it
    /// refuses, counted within the part.
    pub(super) fn refused(&mut self, named: &[usize], reason: W) {
        let may_cut = self.may_cut();
        self.requests_left = self.requests_left.saturating_sub(1);
        let Some(part) = self.parts.pop_front() else { return };
        let named: Part = named.iter().filter_map(|at| part.get(*at).copied()).collect();
        if part.len() == 1 || named.len() >= part.len() || !may_cut {
            let reason = self.add_reason(reason);
            self.refused.extend(part.into_iter().map(|line| (line, reason)));
            return;
        }
        let (first, second) = match named.is_empty() {
            true => self.cut(part),
            false => part.into_iter().partition(|line| named.binary_search(line).is_err()),
        };
        self.parts.extend([first, second]);
    }

    /// What was offered is too large; a line alone is refused for it.
    pub(super) fn too_large(&mut self, reason: W) {
        let Some(part) = self.parts.pop_front() else { return };
        if part.len() == 1 {
            let reason = self.add_reason(reason);
            self.refused.extend(part.into_iter().map(|line| (line, reason)));
            return;
        }
        let (first, second) = self.cut(part.clone());
        self.part_bytes_max = self.bytes(&first).max(self.bytes(&second));
        // The others would be too large as well, and what is cut keeps its place.
        let mut parts = self.cut_to_size(part);
        for other in std::mem::take(&mut self.parts) {
            parts.extend(self.cut_to_size(other));
        }
        self.requests_left = self.requests_left.max(parts.len());
        self.parts = parts;
    }

    /// Bytes of the lines that are settled: taken or refused.
    pub(super) fn settled_bytes(&self) -> usize {
        let left: usize = self.parts.iter().map(|part| self.bytes(part)).sum();
        self.lines.last().map_or(0, |line| line.bytes.end) - left
    }

    /// The largest part that may be offered, in bytes.
    pub(super) fn part_bytes_max(&self) -> usize {
        self.part_bytes_max
    }

    /// The refused lines in the order of the block, and the reasons that they name.
    pub(super) fn finish(mut self) -> (Vec<RefusedLine>, Vec<W>) {
        self.refused.sort_unstable();
        let lines = self.refused.iter().filter_map(|(line, reason)| {
            let line = self.lines.get(*line as usize)?;
            let (bytes, push) = (line.bytes.clone(), line.push as usize);
            Some(RefusedLine { bytes, push, reason: *reason })
        });
        (lines.collect(), self.reasons)
    }

    fn add_reason(&mut self, reason: W) -> usize {
        self.reasons.push(reason);
        self.reasons.len() - 1
    }

    /// Whether both halves of the first part could be offered, besides all other parts.
    fn may_cut(&self) -> bool {
        self.requests_left > self.parts.len() + 1
    }

    fn bytes(&self, part: &[u32]) -> usize {
        let lines = part.iter().filter_map(|line| self.lines.get(*line as usize));
        lines.map(|line| line.bytes.len()).sum()
    }

    /// Cuts a part until each has at most `part_bytes_max` bytes or is a line alone.
    fn cut_to_size(&self, part: Part) -> VecDeque<Part> {
        let mut small = VecDeque::new();
        let mut left = vec![part];
        while let Some(part) = left.pop() {
            if part.len() > 1 && self.bytes(&part) > self.part_bytes_max {
                let (first, second) = self.cut(part);
                left.extend([second, first]);
            } else if !part.is_empty() {
                small.push_back(part);
            }
        }
        small
    }

    /// Cuts a part of several lines in two: between two pushes if it can be, and as near to the
    /// middle of its bytes as can be.
    fn cut(&self, mut part: Part) -> (Part, Part) {
        let half = self.bytes(&part) / 2;
        let push = |at: usize| {
            let line = part.get(at).and_then(|line| self.lines.get(*line as usize));
            line.map_or(0, |line| line.push)
        };
        let has_pushes = push(0) != push(part.len() - 1);
        let (mut best, mut distance, mut bytes) = (part.len() / 2, usize::MAX, 0);
        for at in 1..part.len() {
            bytes += part.get(at - 1).map_or(0, |line| self.bytes(&[*line]));
            let is_edge = !has_pushes || push(at - 1) != push(at);
            if is_edge && bytes.abs_diff(half) < distance {
                (best, distance) = (at, bytes.abs_diff(half));
            }
        }
        let second = part.split_off(best);
        (part, second)
    }
}

fn lines(block: &[u8], push_ends: &[usize]) -> Vec<BlockLine> {
    let (mut lines, mut start, mut push) = (Vec::new(), 0, 0);
    for line in block.split_inclusive(|byte| *byte == b'\n') {
        while push_ends.get(push).is_some_and(|end| *end <= start) {
            push += 1;
        }
        let bytes = start..start + line.len();
        start = bytes.end;
        lines.push(BlockLine { bytes, push: u32::try_from(push).unwrap_or(u32::MAX) });
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// How a store treats a request that has lines it refuses.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Manner {
        /// Takes nothing of it (DataKit).
        Whole,
        /// Takes the others (InfluxDB 1).
        Partial,
        /// Takes nothing, and names the first (QuestDB).
        NamesFirst,
        /// Takes the others, and names all that it refuses (InfluxDB 3).
        NamesAll,
        /// Names a line that is fine.
        NamesWrong,
    }

    const MANNERS: [Manner; 5] =
        [Manner::Whole, Manner::Partial, Manner::NamesFirst, Manner::NamesAll, Manner::NamesWrong];

    /// A block whose lines are numbers, with the ends of its pushes.
    fn block(pushes: &[usize]) -> (Vec<u8>, Vec<usize>) {
        let (mut bytes, mut ends, mut number) = (Vec::new(), Vec::new(), 0);
        for lines in pushes {
            for _ in 0..*lines {
                bytes.extend(format!("{number}\n").bytes());
                number += 1;
            }
            ends.push(bytes.len());
        }
        (bytes, ends)
    }

    fn number(line: &[u8]) -> usize {
        std::str::from_utf8(line).unwrap().trim_end().parse().unwrap()
    }

    struct Store<'s> {
        bad: &'s BTreeSet<usize>,
        manner: Manner,
        bytes_max: usize,
        /// Each line that was taken, as often as it was.
        taken: Vec<usize>,
        requests: usize,
    }

    impl Store<'_> {
        /// Delivers a block; returns the numbers of the lines that are refused.
        fn deliver(&mut self, block: &[u8], push_ends: &[usize]) -> Vec<RefusedLine> {
            let mut apart = TakeApart::new(block, push_ends, usize::MAX);
            while let Some(ranges) = apart.offered() {
                self.requests += 1;
                assert!(self.requests < 10_000, "it has no end");
                let body: Vec<u8> =
                    ranges.iter().flat_map(|it| block[it.clone()].to_vec()).collect();
                let lines: Vec<usize> =
                    body.split_inclusive(|byte| *byte == b'\n').map(number).collect();
                if body.len() > self.bytes_max {
                    apart.too_large(());
                    continue;
                }
                let is_bad = |at: &usize| self.bad.contains(&lines[*at]);
                let bad: Vec<usize> = (0..lines.len()).filter(is_bad).collect();
                if bad.is_empty() {
                    self.taken.extend(&lines);
                    apart.taken();
                    continue;
                }
                if matches!(self.manner, Manner::Partial | Manner::NamesAll) {
                    self.taken.extend(lines.iter().filter(|line| !self.bad.contains(line)));
                }
                let named = match self.manner {
                    Manner::Whole | Manner::Partial => vec![],
                    Manner::NamesFirst => vec![bad[0]],
                    Manner::NamesAll => bad,
                    Manner::NamesWrong => vec![(bad[0] + 1) % lines.len(), 999],
                };
                apart.refused(&named, ());
            }
            apart.finish().0
        }
    }

    /// Delivers a block to a store; checks what must hold whatever is refused.
    fn check(pushes: &[usize], bad: &BTreeSet<usize>, manner: Manner, bytes_max: usize) -> usize {
        let (bytes, ends) = block(pushes);
        let mut store = Store { bad, manner, bytes_max, taken: Vec::new(), requests: 0 };
        let refused = store.deliver(&bytes, &ends);
        let name = format!("{pushes:?} {bad:?} {manner:?} {bytes_max}");
        let numbers: Vec<usize> =
            refused.iter().map(|line| number(&bytes[line.bytes.clone()])).collect();
        assert!(numbers.is_sorted_by(|a, b| a < b), "{name}: none is refused twice: {numbers:?}");
        let refused_set: BTreeSet<usize> = numbers.iter().copied().collect();
        let taken: BTreeSet<usize> = store.taken.iter().copied().collect();
        let all: BTreeSet<usize> = (0..pushes.iter().sum()).collect();
        assert_eq!(&taken | &refused_set, all, "{name}: every line is delivered or refused");
        assert!(bad.is_subset(&refused_set), "{name}: a bad line is refused");
        for line in &refused {
            let start = line.push.checked_sub(1).map_or(0, |before| ends[before]);
            assert!((start..ends[line.push]).contains(&line.bytes.start), "{name}: its push");
        }
        assert_eq!(refused_set, *bad, "{name}: a good line is not refused");
        store.requests
    }

    #[test]
    fn every_subset_of_refused_lines_is_found_and_all_else_is_delivered() {
        let mut count = 0;
        for pushes in [&[1][..], &[3], &[1, 1], &[2, 3], &[1, 4, 2], &[3, 1, 1, 3], &[8]] {
            let lines: usize = pushes.iter().sum();
            for subset in 0..1_usize << lines {
                let bad = (0..lines).filter(|line| subset >> line & 1 == 1).collect();
                for manner in MANNERS {
                    for bytes_max in [usize::MAX, 7, 2] {
                        let requests = check(pushes, &bad, manner, bytes_max);
                        assert!(requests <= REQUESTS_PER_BLOCK_MAX);
                        count += 1;
                    }
                }
            }
        }
        assert!(count > 10_000, "{count}");
    }

    #[test]
    fn a_bad_line_among_thousands_costs_few_requests() {
        let bad = BTreeSet::from([6_789]);
        for (manner, requests_max) in [
            (Manner::Whole, 29),
            (Manner::Partial, 29),
            (Manner::NamesFirst, 3),
            (Manner::NamesAll, 3),
        ] {
            let requests = check(&[10_000], &bad, manner, usize::MAX);
            assert!(requests <= requests_max, "{manner:?}: {requests}");
        }
        // A hundred of them, each named: one request for all of them, and one for the rest.
        let bad = (0..100).map(|number| number * 90).collect();
        assert_eq!(check(&[5_000, 5_000], &bad, Manner::NamesAll, usize::MAX), 3);
    }

    #[test]
    fn a_block_is_taken_apart_between_pushes_first() {
        let (bytes, ends) = block(&[6, 2]);
        let mut apart = TakeApart::new(&bytes, &ends, usize::MAX);
        let mut offered = Vec::new();
        while let Some(ranges) = apart.offered() {
            let text = ranges.iter().map(|range| String::from_utf8_lossy(&bytes[range.clone()]));
            let text = text.collect::<String>().replace('\n', "");
            match text.contains('7') {
                true => apart.refused(&[], ()),
                false => apart.taken(),
            }
            offered.push(text);
        }
        assert_eq!(offered, ["01234567", "012345", "67", "6", "7"]);
    }

    #[test]
    fn requests_are_bounded_and_what_is_still_together_is_refused_together() {
        let (bytes, ends) = block(&[1_000]);
        let bad = (0..1_000).filter(|number| number % 7 == 0).collect();
        let mut store = Store {
            bad: &bad,
            manner: Manner::Whole,
            bytes_max: usize::MAX,
            taken: vec![],
            requests: 0,
        };
        let refused = store.deliver(&bytes, &ends);
        assert_eq!(store.requests + 1, REQUESTS_PER_BLOCK_MAX);
        assert_eq!(refused.len() + store.taken.len(), 1_000, "every line once");
        assert!(store.taken.iter().all(|line| !bad.contains(line)));
    }

    #[test]
    fn what_is_too_large_is_cut_however_many_requests_that_takes() {
        let (bytes, ends) = block(&[1_000, 1_000]);
        let bad = BTreeSet::new();
        let mut store =
            Store { bad: &bad, manner: Manner::Whole, bytes_max: 50, taken: vec![], requests: 0 };
        assert!(store.deliver(&bytes, &ends).is_empty());
        store.taken.sort_unstable();
        assert_eq!(store.taken, (0..2_000).collect::<Vec<_>>(), "each once");
        assert!(store.requests > REQUESTS_PER_BLOCK_MAX);
    }

    #[test]
    fn the_size_that_a_store_takes_is_learned() {
        let (bytes, ends) = block(&[100]);
        let mut apart = TakeApart::new(&bytes, &ends, usize::MAX);
        apart.too_large(());
        assert_eq!(apart.part_bytes_max(), 146, "the larger half of 290 bytes in whole lines");
        let next = TakeApart::<()>::new(&bytes, &ends, apart.part_bytes_max());
        let first: usize = next.offered().unwrap().iter().map(Range::len).sum();
        assert!(first <= 146, "the next block begins with it");
    }
}
