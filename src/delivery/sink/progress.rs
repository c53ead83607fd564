//! How far the block in hand has got: what tells a slow output from one that takes nothing.
//!
//! Only bytes beyond the furthest one of this block count as progress. A disk that takes the first
//! half of a block again and again, or a reader that resets each connection, takes nothing.

use crate::delivery::condition::OutputState;
use std::sync::Arc;

/// The progress of one block.
#[derive(Debug)]
pub(crate) struct Progress {
    state: Arc<OutputState>,
    furthest: usize,
}

impl Progress {
    /// Of no block yet; `state` is told of every advance.
    pub(crate) fn new(state: Arc<OutputState>) -> Progress {
        Progress { state, furthest: 0 }
    }

    /// Another block is offered from here on.
    pub(crate) fn begin(&mut self) {
        self.furthest = 0;
    }

    /// How far the block has got.
    pub(crate) fn furthest(&self) -> usize {
        self.furthest
    }

    /// The output has taken so many bytes of the block, counted from its start. Told again after a
    /// break, they count only where they go beyond what was told before.
    pub(crate) fn reached(&mut self, bytes: usize) {
        if bytes > self.furthest {
            self.furthest = bytes;
            self.state.advances();
        }
    }
}
