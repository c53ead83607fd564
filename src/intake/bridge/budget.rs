//! The memory of bodies and of large answers, all connections together: covered before it is taken,
//! and given back when it is dropped, wherever that is.
//!
//! - All of it is at most `bytes_max` (`server.max_buffered_bytes`), and answers at most a half of
//!   that: clients that read no answers leave room for bodies.
//! - The first [`FREE_BODY_BYTES`] of each body are not taken from it. Connections bound those, so
//!   a small push always has room, whatever large ones hold.
//!
//! The bound is that of each request: one that is lowered refuses new bodies, and those in hand go
//! on under the bound that they began with.

use crate::limits::{FREE_BODY_BYTES, KEPT_BODY_BYTES_MAX};
use crate::observe::telemetry::Telemetry;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What all bodies and answers together have taken, in bytes.
#[derive(Debug)]
pub(crate) struct Budget {
    taken: AtomicUsize,
    /// The part of it that answers have.
    taken_by_answers: AtomicUsize,
    telemetry: Arc<Telemetry>,
}

impl Budget {
    pub(crate) fn new(telemetry: Arc<Telemetry>) -> Budget {
        let (taken, taken_by_answers) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Budget { taken, taken_by_answers, telemetry }
    }
}

/// Adds to a count, unless it would be above its bound.
fn try_add(count: &AtomicUsize, bytes: usize, bytes_max: usize) -> bool {
    let fits = |taken: usize| taken.checked_add(bytes).filter(|sum| *sum <= bytes_max);
    count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok()
}

/// A body, and its part of the budget for as long as it exists.
#[derive(Debug, Default)]
pub(crate) struct Body {
    /// What came of it.
    pub(crate) bytes: Vec<u8>,
    /// None: an empty body needs no memory.
    lease: Option<BodyLease>,
}

/// The part of the budget that a body has.
#[derive(Debug)]
struct BodyLease {
    budget: Arc<Budget>,
    /// What all bodies together may take for this one to grow.
    bytes_max: usize,
    /// What is covered, the free bytes included.
    covered: usize,
}

impl BodyLease {
    /// What is taken from the budget for so many covered bytes.
    fn taken(covered: usize) -> usize {
        covered.saturating_sub(FREE_BODY_BYTES)
    }

    fn cover(&mut self, bytes: usize) -> bool {
        let more = BodyLease::taken(bytes).saturating_sub(BodyLease::taken(self.covered));
        let fits = more == 0 || try_add(&self.budget.taken, more, self.bytes_max);
        if fits && bytes > self.covered {
            self.budget.telemetry.buffered_bytes.raise((bytes - self.covered) as u64);
            self.covered = bytes;
        }
        fits
    }
}

impl Drop for BodyLease {
    fn drop(&mut self) {
        self.budget.taken.fetch_sub(BodyLease::taken(self.covered), Ordering::Relaxed);
        self.budget.telemetry.buffered_bytes.lower(self.covered as u64);
    }
}

impl Body {
    /// Has what it holds counted from here on.
    pub(crate) fn begin(&mut self, budget: Arc<Budget>, bytes_max: usize) {
        self.lease = Some(BodyLease { budget, bytes_max, covered: 0 });
    }

    /// Whether there is memory for `bytes` bytes in all; it is covered from here on.
    pub(crate) fn cover(&mut self, bytes: usize) -> bool {
        bytes == 0 || self.lease.as_mut().is_some_and(|lease| lease.cover(bytes))
    }

    /// Takes nothing of the budget any more.
    pub(crate) fn release(&mut self) {
        self.lease = None;
    }

    /// Its buffer, if that is larger than a request may keep: another large body may have it.
    pub(crate) fn take_large(&mut self) -> Option<Vec<u8>> {
        let is_large = self.bytes.capacity() > KEPT_BODY_BYTES_MAX;
        is_large.then(|| std::mem::take(&mut self.bytes))
    }

    /// Has the bytes that came in another buffer, an empty one, from here on.
    pub(crate) fn move_into(&mut self, mut buffer: Vec<u8>) {
        buffer.extend_from_slice(&self.bytes);
        self.bytes = buffer;
    }

    /// Drops what it has, and keeps a buffer of at most `kept_bytes_max` bytes.
    pub(crate) fn clear(&mut self, kept_bytes_max: usize) {
        self.bytes.clear();
        if self.bytes.capacity() > kept_bytes_max {
            self.bytes = Vec::new();
        }
        self.lease = None;
    }
}

/// The part of the budget that a large answer has.
#[derive(Debug)]
pub(crate) struct AnswerLease {
    budget: Arc<Budget>,
    bytes: usize,
}

impl AnswerLease {
    /// Covers an answer; none where there is no room for it.
    pub(crate) fn of(budget: &Arc<Budget>, bytes: usize, bytes_max: usize) -> Option<AnswerLease> {
        if !try_add(&budget.taken_by_answers, bytes, bytes_max / 2) {
            return None;
        }
        if !try_add(&budget.taken, bytes, bytes_max) {
            budget.taken_by_answers.fetch_sub(bytes, Ordering::Relaxed);
            return None;
        }
        budget.telemetry.buffered_bytes.raise(bytes as u64);
        Some(AnswerLease { budget: Arc::clone(budget), bytes })
    }
}

impl Drop for AnswerLease {
    fn drop(&mut self) {
        self.budget.taken.fetch_sub(self.bytes, Ordering::Relaxed);
        self.budget.taken_by_answers.fetch_sub(self.bytes, Ordering::Relaxed);
        self.budget.telemetry.buffered_bytes.lower(self.bytes as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget() -> Arc<Budget> {
        Arc::new(Budget::new(Arc::new(Telemetry::new())))
    }

    fn body(budget: &Arc<Budget>, bytes_max: usize) -> Body {
        let mut body = Body::default();
        body.begin(Arc::clone(budget), bytes_max);
        body
    }

    /// So many bytes of the budget, and the free ones.
    fn beyond_free(bytes: usize) -> usize {
        FREE_BODY_BYTES + bytes
    }

    #[test]
    fn what_is_taken_comes_back() {
        let budget = budget();
        let (mut one, mut other) = (body(&budget, 100), body(&budget, 100));
        assert!(one.cover(beyond_free(60)));
        assert!(one.cover(beyond_free(50)), "less than it has");
        assert!(!other.cover(beyond_free(41)));
        assert!(other.cover(beyond_free(40)));
        let held = 2 * FREE_BODY_BYTES as u64 + 100;
        assert_eq!(budget.telemetry.buffered_bytes.get(), held);
        drop(one);
        assert!(other.cover(beyond_free(100)));
        assert!(!other.cover(usize::MAX));
        drop(other);
        assert_eq!(budget.telemetry.buffered_bytes.get(), 0);
    }

    #[test]
    fn a_lowered_bound_refuses_new_bodies_and_leaves_those_in_hand() {
        let budget = budget();
        let mut before = body(&budget, 100);
        assert!(before.cover(beyond_free(60)));
        let mut after = body(&budget, 50);
        assert!(!after.cover(beyond_free(1)));
        assert!(before.cover(beyond_free(90)));
        drop(before);
        assert!(after.cover(beyond_free(50)) && !after.cover(beyond_free(51)));
        let mut raised = body(&budget, 200);
        assert!(raised.cover(beyond_free(150)) && !raised.cover(beyond_free(151)));
    }

    #[test]
    fn a_small_body_has_room_whatever_large_ones_and_answers_hold() {
        let budget = budget();
        let answer = AnswerLease::of(&budget, 50, 100).unwrap();
        assert!(AnswerLease::of(&budget, 1, 100).is_none(), "answers have at most a half");
        let mut large = body(&budget, 100);
        assert!(large.cover(beyond_free(50)) && !large.cover(beyond_free(51)));
        let mut small = body(&budget, 100);
        assert!(small.cover(FREE_BODY_BYTES) && !small.cover(beyond_free(1)));
        drop(answer);
        assert!(large.cover(beyond_free(100)));
    }
}
