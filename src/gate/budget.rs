//! The memory for bodies in hand, all connections together: reserved before it is taken.

use crate::telemetry::Telemetry;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes that all bodies together may take.
#[derive(Debug)]
pub(super) struct Budget {
    bytes_max: usize,
    taken: AtomicUsize,
    telemetry: Arc<Telemetry>,
}

impl Budget {
    pub(super) fn new(bytes_max: usize, telemetry: Arc<Telemetry>) -> Budget {
        Budget { bytes_max, taken: AtomicUsize::new(0), telemetry }
    }

    /// The bound, in bytes.
    pub(super) fn bytes_max(&self) -> usize {
        self.bytes_max
    }

    fn try_take(&self, bytes: usize) -> bool {
        let fits = |taken: usize| taken.checked_add(bytes).filter(|sum| *sum <= self.bytes_max);
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok()
    }
}

/// One body's part of the budget; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Lease {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Lease {
    pub(super) fn new(budget: Arc<Budget>) -> Lease {
        Lease { budget, bytes: 0 }
    }

    /// Makes the lease cover `bytes`; false where the budget has no room for them.
    pub(super) fn cover(&mut self, bytes: usize) -> bool {
        let more = bytes.saturating_sub(self.bytes);
        let fits = self.budget.try_take(more);
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
        let budget = Arc::new(Budget::new(100, Arc::new(Telemetry::new())));
        let mut one = Lease::new(Arc::clone(&budget));
        let mut other = Lease::new(Arc::clone(&budget));
        assert!(one.cover(60));
        assert!(one.cover(50), "less than it has");
        assert!(!other.cover(41));
        assert!(other.cover(40));
        drop(one);
        assert!(other.cover(100));
        assert!(!other.cover(usize::MAX));
    }
}
