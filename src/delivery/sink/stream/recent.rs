//! The pushes that were written last, for as long and as many as may be sent again: bounded in time
//! (`output.replay`) and in bytes, whatever the size of a push.

use crate::delivery::sink::block::Block;
use crate::limits::{KIB, REPLAY_BYTES};
use std::collections::VecDeque;
use std::ops::Range;
use std::time::{Duration, Instant};

/// Small blocks are joined up to so many bytes, so that many small pushes do not cost an allocation
/// each.
const JOINED_BYTES_MAX: usize = 64 * KIB;
/// A chunk takes pushes for this part of the whole time, since it is dropped as a whole.
const CHUNKS_PER_REPLAY: u32 = 50;

/// Pushes that were written at about the same time.
#[derive(Debug)]
pub(super) struct RecentChunk {
    pub(super) bytes: Vec<u8>,
    /// Where each push ends, and how many lines it is.
    ends: Vec<(usize, u32)>,
    /// When the first of them was written.
    pub(super) since: Instant,
}

impl RecentChunk {
    /// Each push: its bytes in the chunk, and how many lines they are.
    pub(super) fn pushes(&self) -> impl Iterator<Item = (Range<usize>, u32)> + '_ {
        let starts = std::iter::once(0).chain(self.ends.iter().map(|(end, _)| *end));
        starts.zip(&self.ends).map(|(start, (end, lines))| (start..*end, *lines))
    }

    /// These pushes alone, as ranges of its bytes that follow each other; as old as all of it.
    pub(super) fn part(&self, pushes: &[(Range<usize>, u32)]) -> RecentChunk {
        let mut part = RecentChunk { bytes: Vec::new(), ends: Vec::new(), since: self.since };
        for (range, line_count) in pushes {
            part.append(self.bytes.get(range.clone()).unwrap_or_default(), *line_count);
        }
        part
    }

    pub(super) fn line_count(&self) -> u64 {
        self.ends.iter().map(|(_, lines)| u64::from(*lines)).sum()
    }

    fn append(&mut self, push: &[u8], line_count: u32) {
        self.bytes.extend_from_slice(push);
        self.ends.push((self.bytes.len(), line_count));
    }
}

/// The pushes that were written last.
#[derive(Debug)]
pub(super) struct Recent {
    chunks: VecDeque<RecentChunk>,
    bytes: usize,
    keep_for: Duration,
}

impl Recent {
    /// None yet; they are kept for so long.
    pub(super) fn new(keep_for: Duration) -> Recent {
        Recent { chunks: VecDeque::new(), bytes: 0, keep_for }
    }

    /// Keeps what was written just now, but for pushes that are larger than all that may be kept.
    pub(super) fn keep(&mut self, block: &Block, now: Instant) {
        self.add(block, now);
        self.forget(now);
    }

    /// The same, and lets go of nothing: what is sent again must stay whole until all of it is.
    pub(super) fn add(&mut self, block: &Block, now: Instant) {
        if self.keep_for.is_zero() {
            return;
        }
        for (range, line_count) in block.pushes() {
            let push = block.slice(range);
            if push.len() > REPLAY_BYTES {
                // What came before it has no place in front of a gap.
                self.chunks.clear();
                self.bytes = 0;
                continue;
            }
            let span = self.keep_for / CHUNKS_PER_REPLAY;
            match self.chunks.back_mut() {
                Some(last)
                    if last.bytes.len() + push.len() <= JOINED_BYTES_MAX
                        && now.saturating_duration_since(last.since) <= span =>
                {
                    last.append(push, line_count);
                }
                _ => {
                    let mut chunk = RecentChunk { bytes: Vec::new(), ends: Vec::new(), since: now };
                    chunk.append(push, line_count);
                    self.chunks.push_back(chunk);
                }
            }
            self.bytes += push.len();
        }
    }

    /// Takes a part back of what was taken out; it is as old as it was.
    pub(super) fn put_back(&mut self, chunk: RecentChunk) {
        self.bytes += chunk.bytes.len();
        self.chunks.push_back(chunk);
    }

    /// Lets go of what is too old, or too much.
    pub(super) fn forget(&mut self, now: Instant) {
        while let Some(first) = self.chunks.front()
            && (self.bytes > REPLAY_BYTES
                || now.saturating_duration_since(first.since) > self.keep_for)
        {
            self.bytes -= first.bytes.len();
            self.chunks.pop_front();
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// When the first of them was written.
    pub(super) fn since(&self) -> Option<Instant> {
        self.chunks.front().map(|chunk| chunk.since)
    }

    pub(super) fn chunk(&self, index: usize) -> Option<&RecentChunk> {
        self.chunks.get(index)
    }

    /// Takes all of them out.
    pub(super) fn take(&mut self) -> VecDeque<RecentChunk> {
        self.bytes = 0;
        std::mem::take(&mut self.chunks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::MIB;

    fn block(len: usize) -> Block {
        let mut block = Block::default();
        block.append(&vec![b'x'; len], 1);
        block
    }

    fn held(recent: &Recent) -> usize {
        let held = recent.chunks.iter().map(|chunk| chunk.bytes.len()).sum();
        assert_eq!(held, recent.bytes());
        held
    }

    #[test]
    fn what_is_kept_is_bounded_in_bytes_whatever_the_size_of_a_push() {
        let now = Instant::now();
        let mut recent = Recent::new(Duration::from_secs(5));
        for _ in 0..100 {
            recent.keep(&block(MIB), now);
        }
        assert_eq!(held(&recent), REPLAY_BYTES);
        // One push of 38 MiB was kept for good.
        recent.keep(&block(38 * MIB), now);
        assert_eq!(held(&recent), 0);
        recent.keep(&block(200), now);
        assert_eq!(held(&recent), 200);
    }

    #[test]
    fn what_is_kept_is_bounded_in_time_and_no_chunk_spans_much_of_it() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let mut recent = Recent::new(Duration::from_secs(5));
        for ms in 0..10_000 {
            recent.keep(&block(10), at(ms));
        }
        assert!((4_800..=5_001).contains(&(held(&recent) / 10)), "{}", held(&recent) / 10);
        recent.forget(at(12_000));
        assert!((2_800..=3_001).contains(&(held(&recent) / 10)), "{}", held(&recent) / 10);
        recent.forget(at(60_000));
        assert_eq!(held(&recent), 0, "an idle output holds nothing");
        let mut none = Recent::new(Duration::ZERO);
        none.keep(&block(10), start);
        assert_eq!(held(&none), 0);
    }
}
