//! A reader that closes at something → which push that is: a search that ends (SPEC 3.3).
//!
//! A stream reader says nothing: it hangs up. When it has done so three times without taking
//! anything new, what it hangs up at is among the pushes that were sent since, or wait to be. They
//! are offered in groups, on a connection of which nothing else is outstanding. A group that the
//! reader has been sent, and has not closed at for [`HELD_FOR`], is taken. One at which it closes
//! is halved; a single push is tried a second time, on a fresh connection that has proven to stay
//! open while nothing is sent, so that a reader that is down, or a proxy without one, is never
//! blamed on a push. Where it closes again, the push is refused.
//!
//! Groups, as to offer each push alone would take 0.2 s a push; small ones, as a reader must have
//! read all of a group within that time.
//!
//! ```text
//! [a b c d] closes → [a b] taken, [c d] closes → [c] taken, [d] closes, [d] closes: refused
//! ```

use super::recent::RecentChunk;
use crate::delivery::sink::block::Block;
use crate::limits::KIB;
use std::collections::VecDeque;
use std::ops::Range;
use std::time::{Duration, Instant};

/// A reader that has not closed for so long has taken what it was sent.
pub(super) const HELD_FOR: Duration = Duration::from_millis(200);
/// A group of more than one push is not larger.
const GROUP_BYTES_MAX: usize = 64 * KIB;
/// Closes at a single push before it is refused.
const CLOSES_MAX: u32 = 2;

/// Where pushes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SuspectPlace {
    /// In the chunk of that number: written before, and acknowledged.
    Recent(usize),
    /// In the block in hand.
    Block,
}

/// Pushes that are offered together, one after the other in their chunk or block.
#[derive(Debug)]
struct SuspectGroup {
    place: SuspectPlace,
    pushes: Vec<(Range<usize>, u32)>,
    /// How often the reader closed at it.
    closes: u32,
}

impl SuspectGroup {
    fn range(&self) -> Range<usize> {
        let start = self.pushes.first().map_or(0, |(push, _)| push.start);
        let end = self.pushes.last().map_or(0, |(push, _)| push.end);
        start..end
    }
}

/// A push that the reader refuses.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum RefusedPush {
    /// One that was acknowledged before: its lines.
    Recent(Vec<u8>),
    /// These bytes of the block in hand.
    InBlock(Range<usize>),
}

/// The pushes among which the reader closes at one.
#[derive(Debug)]
pub(super) struct Suspects {
    /// When the first of them was written.
    since: Instant,
    chunks: Vec<RecentChunk>,
    groups: VecDeque<SuspectGroup>,
    has_block: bool,
    /// The reader has closed a connection since they were made.
    has_closed: bool,
    /// What of the block was refused.
    refused: Vec<Range<usize>>,
}

impl Suspects {
    /// These, and the block that is offered next.
    pub(super) fn new(chunks: VecDeque<RecentChunk>) -> Suspects {
        let chunks: Vec<_> = chunks.into();
        let mut groups = VecDeque::new();
        for (index, chunk) in chunks.iter().enumerate() {
            group(SuspectPlace::Recent(index), chunk.pushes(), &mut groups);
        }
        let since = chunks.first().map_or_else(Instant::now, |chunk| chunk.since);
        Suspects { since, chunks, groups, has_block: false, has_closed: false, refused: Vec::new() }
    }

    /// When the first of them was written.
    pub(super) fn since(&self) -> Instant {
        self.since
    }

    /// The block in hand comes last; told again, it is there already.
    pub(super) fn add(&mut self, block: &Block) {
        if !std::mem::replace(&mut self.has_block, true) {
            group(SuspectPlace::Block, block.pushes(), &mut self.groups);
        }
    }

    /// What to offer next; none where all is taken or refused.
    pub(super) fn current<'s>(&'s self, block: Option<&'s Block>) -> Option<&'s [u8]> {
        let group = self.groups.front()?;
        Some(match group.place {
            SuspectPlace::Recent(index) => {
                let chunk = self.chunks.get(index);
                chunk.and_then(|chunk| chunk.bytes.get(group.range())).unwrap_or_default()
            }
            SuspectPlace::Block => {
                block.map(|block| block.slice(group.range())).unwrap_or_default()
            }
        })
    }

    /// Whether the reader has to prove first that it stays while nothing is sent: the verdict on a
    /// push depends on it.
    pub(super) fn needs_proof(&self) -> bool {
        self.groups.front().is_some_and(|group| group.closes > 0)
    }

    /// The reader has taken what is current; returns it where it was written before.
    pub(super) fn taken(&mut self) -> Option<RecentChunk> {
        let group = self.groups.pop_front()?;
        match group.place {
            SuspectPlace::Recent(index) => Some(self.chunks.get(index)?.part(&group.pushes)),
            SuspectPlace::Block => None,
        }
    }

    /// A connection was closed, at whatever: what was taken on it may be lost.
    pub(super) fn lost(&mut self) {
        self.has_closed = true;
    }

    /// Whether one was.
    pub(super) fn has_closed(&self) -> bool {
        self.has_closed
    }

    /// The pushes of the block in hand that the reader has taken, where it was offered any; those
    /// that are left out were refused.
    pub(super) fn taken_of(&self, block: &Block) -> Block {
        let mut taken = Block::default();
        for (range, line_count) in block.pushes() {
            if self.has_block && !self.refused.contains(&range) {
                taken.append(block.slice(range), line_count);
            }
        }
        taken
    }

    /// The reader has closed at what is current; returns the push where that is the verdict on one.
    pub(super) fn closed(&mut self) -> Option<RefusedPush> {
        self.lost();
        let mut group = self.groups.pop_front()?;
        if group.pushes.len() > 1 {
            let second = group.pushes.split_off(group.pushes.len() / 2);
            let second = SuspectGroup { place: group.place, pushes: second, closes: 0 };
            self.groups.push_front(second);
            self.groups.push_front(group);
            return None;
        }
        group.closes += 1;
        if group.closes < CLOSES_MAX {
            self.groups.push_front(group);
            return None;
        }
        let range = group.range();
        Some(match group.place {
            SuspectPlace::Recent(index) => {
                let chunk = self.chunks.get(index);
                let lines = chunk.and_then(|chunk| chunk.bytes.get(range)).unwrap_or_default();
                RefusedPush::Recent(lines.to_vec())
            }
            SuspectPlace::Block => {
                self.refused.push(range.clone());
                RefusedPush::InBlock(range)
            }
        })
    }

    /// What of the block was refused, in ascending order.
    pub(super) fn into_refused(self) -> Vec<Range<usize>> {
        self.refused
    }
}

/// Makes groups of pushes, in order.
fn group(
    place: SuspectPlace,
    pushes: impl Iterator<Item = (Range<usize>, u32)>,
    groups: &mut VecDeque<SuspectGroup>,
) {
    for (push, lines) in pushes {
        match groups.back_mut() {
            Some(group)
                if group.place == place && push.end - group.range().start <= GROUP_BYTES_MAX =>
            {
                group.pushes.push((push, lines));
            }
            _ => {
                groups.push_back(SuspectGroup { place, pushes: vec![(push, lines)], closes: 0 });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::sink::stream::recent::Recent;

    /// A reader that closes at every push in `bad` and takes every other one; what it has taken
    /// and what was refused, as numbers of pushes.
    fn search(recent: &[Block], block: &Block, is_bad: impl Fn(u8) -> bool) -> (Vec<u8>, Vec<u8>) {
        let mut kept = Recent::new(Duration::from_secs(5));
        recent.iter().for_each(|block| kept.keep(block, Instant::now()));
        let mut suspects = Suspects::new(kept.take());
        let (mut taken, mut refused) = (Vec::new(), Vec::new());
        suspects.add(block);
        suspects.add(block);
        let mut steps = 0;
        while let Some(bytes) = suspects.current(Some(block)) {
            steps += 1;
            assert!(steps < 2000, "the search does not end");
            let numbers: Vec<u8> = bytes
                .split(|byte| *byte == b'\n')
                .filter_map(|line| line.first().copied())
                .collect();
            assert!(!numbers.is_empty());
            if numbers.iter().any(|number| is_bad(*number)) {
                match suspects.closed() {
                    Some(RefusedPush::Recent(lines)) => refused.push(lines[0]),
                    Some(RefusedPush::InBlock(range)) => refused.push(block.slice(range)[0]),
                    None => {}
                }
            } else {
                taken.extend(numbers);
                suspects.taken();
            }
        }
        let in_block = suspects.into_refused();
        assert!(in_block.windows(2).all(|pair| pair[0].end <= pair[1].start));
        (taken, refused)
    }

    /// A block of pushes of one line each, whose first byte is the number.
    fn block(numbers: std::ops::Range<u8>, len: usize) -> Block {
        let mut block = Block::default();
        for number in numbers {
            let mut line = vec![number; len];
            line.push(b'\n');
            block.append(&line, 1);
        }
        block
    }

    #[test]
    fn every_push_is_taken_or_refused_whichever_of_them_the_reader_closes_at() {
        let recent = [block(100..102, 5), block(102..104, 5)];
        let in_hand = block(104..108, 5);
        for bad in 0_u32..256 {
            let is_bad = |number: u8| bad & (1 << (number - 100)) != 0;
            let (taken, refused) = search(&recent, &in_hand, is_bad);
            let all = 100..108_u8;
            assert_eq!(taken, all.clone().filter(|it| !is_bad(*it)).collect::<Vec<_>>());
            assert_eq!(refused, all.filter(|it| is_bad(*it)).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_group_is_small_unless_it_is_one_push() {
        let mut suspects = Suspects::new(VecDeque::new());
        let in_hand = block(100..110, 30_000);
        suspects.add(&in_hand);
        assert_eq!(suspects.current(Some(&in_hand)).unwrap().len(), 2 * 30_001);
        let mut suspects = Suspects::new(VecDeque::new());
        let large = block(100..101, 300_000);
        suspects.add(&large);
        assert_eq!(suspects.current(Some(&large)).unwrap().len(), 300_001);
    }

    #[test]
    fn only_a_push_that_stands_accused_needs_a_reader_that_proved_to_stay() {
        let mut suspects = Suspects::new(VecDeque::new());
        suspects.add(&block(100..102, 5));
        assert!(!suspects.needs_proof());
        assert_eq!(suspects.closed(), None);
        assert!(!suspects.needs_proof(), "a half");
        assert_eq!(suspects.closed(), None);
        assert!(suspects.needs_proof());
        assert_eq!(suspects.closed(), Some(RefusedPush::InBlock(0..6)));
        assert!(!suspects.needs_proof(), "the other half");
    }
}
