//! Blocks that the output took → the place that the cursor file stays before.
//!
//! A socket has taken a block when the system has, not when its reader has: after a break the sink
//! sends it again, from memory. The file of the cursor stays before what may be sent again, so that
//! an end of the process, whatever it is, loses nothing of it. An orderly end beside a connection
//! that works passes over it, as nothing says that it would have to be sent again.

use super::format::Position;
use crate::delivery::sink::Unsettled;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Blocks that are taken so soon after one another are held as one.
const JOINED_FOR: Duration = Duration::from_millis(100);

/// Blocks that the output took one after the other.
#[derive(Debug)]
struct HeldSpan {
    /// Where the first of them begins.
    from: Position,
    since: Instant,
    until: Instant,
}

/// What the output took and may have to send again, in the order of the spool.
#[derive(Debug, Default)]
pub(super) struct HeldBlocks {
    blocks: VecDeque<HeldSpan>,
}

impl HeldBlocks {
    /// The output took the block at `from` at `now`.
    pub(super) fn add(&mut self, from: Position, now: Instant) {
        match self.blocks.back_mut() {
            Some(last) if now.saturating_duration_since(last.since) < JOINED_FOR => {
                last.until = now;
            }
            _ => self.blocks.push_back(HeldSpan { from, since: now, until: now }),
        }
    }

    /// Lets go of what is settled.
    pub(super) fn settle(&mut self, unsettled: Unsettled) {
        while let Some(first) = self.blocks.front()
            && unsettled.since.is_none_or(|since| first.until < since)
        {
            self.blocks.pop_front();
        }
    }

    /// Where the first of it begins.
    pub(super) fn from(&self) -> Option<Position> {
        self.blocks.front().map(|block| block.from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_held_until_everything_up_to_it_is_settled() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let place = |sequence| Position { sequence, ..Position::default() };
        let unsettled = |since| Unsettled { since, is_in_doubt: false };
        let mut held = HeldBlocks::default();
        for (sequence, ms) in [(0, 0), (1, 99), (2, 100), (3, 500)] {
            held.add(place(sequence), at(ms));
        }
        // (unsettled since, held from)
        let cases = [(0, 0), (50, 0), (99, 0), (100, 2), (101, 3), (500, 3)];
        for (ms, from) in cases {
            held.settle(unsettled(Some(at(ms))));
            assert_eq!(held.from(), Some(place(from)), "unsettled since {ms} ms");
        }
        held.settle(unsettled(None));
        assert_eq!(held.from(), None);
    }
}
