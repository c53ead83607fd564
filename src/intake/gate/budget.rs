//! The memory for bodies in hand, all connections together: reserved before it is taken.
//!
//! The bound is that of each request: one that is lowered refuses new bodies, and those in hand go
//! on under the bound that they began with.

use crate::observe::telemetry::Telemetry;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes that all bodies together may take.
#[derive(Debug)]
pub(super) struct Budget {
    taken: AtomicUsize,
    telemetry: Arc<Telemetry>,
}

impl Budget {
    pub(super) fn new(telemetry: Arc<Telemetry>) -> Budget {
        Budget { taken: AtomicUsize::new(0), telemetry }
    }

    fn try_take(&self, bytes: usize, bytes_max: usize) -> bool {
        let fits = |taken: usize| taken.checked_add(bytes).filter(|sum| *sum <= bytes_max);
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok()
    }
}

/// One body's part of the budget; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Lease {
    budget: Arc<Budget>,
    /// What all bodies together may take for this one to grow.
    bytes_max: usize,
    bytes: usize,
}

impl Lease {
    pub(super) fn new(budget: Arc<Budget>, bytes_max: usize) -> Lease {
        Lease { budget, bytes_max, bytes: 0 }
    }

    /// Makes the lease cover `bytes`; false where the budget has no room for them.
    pub(super) fn cover(&mut self, bytes: usize) -> bool {
        let more = bytes.saturating_sub(self.bytes);
        let fits = more == 0 || self.budget.try_take(more, self.bytes_max);
        if fits {
            self.budget.telemetry.buffered_bytes.raise(more as u64);
            self.bytes += more;
        }
        fits
    }

    /// Gives all of it back.
    pub(super) fn give_back(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        self.budget.taken.fetch_sub(bytes, Ordering::Relaxed);
        self.budget.telemetry.buffered_bytes.lower(bytes as u64);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.give_back();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_comes_back() {
        let budget = Arc::new(Budget::new(Arc::new(Telemetry::new())));
        let mut one = Lease::new(Arc::clone(&budget), 100);
        let mut other = Lease::new(Arc::clone(&budget), 100);
        assert!(one.cover(60));
        assert!(one.cover(50), "less than it has");
        assert!(!other.cover(41));
        assert!(other.cover(40));
        drop(one);
        assert!(other.cover(100));
        assert!(!other.cover(usize::MAX));
    }

    #[test]
    fn a_lowered_bound_refuses_new_bodies_and_leaves_those_in_hand() {
        let budget = Arc::new(Budget::new(Arc::new(Telemetry::new())));
        let mut before = Lease::new(Arc::clone(&budget), 100);
        assert!(before.cover(60));
        let mut after = Lease::new(Arc::clone(&budget), 50);
        assert!(!after.cover(1));
        assert!(after.cover(0), "nothing is always there");
        assert!(before.cover(90));
        drop(before);
        assert!(after.cover(50) && !after.cover(51));
        let mut raised = Lease::new(Arc::clone(&budget), 200);
        assert!(raised.cover(150) && !raised.cover(151));
    }
}
