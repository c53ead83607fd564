//! A value that is replaced while the process runs (SIGHUP), and those who read it.
//!
//! A reader takes a snapshot and keeps it for as long as its work needs: one request sees the
//! settings that it began with, all of them old or all of them new. A snapshot costs a lock that is
//! hardly ever contended and a count, some 40 ns; the lock is held for no longer than that, so
//! neither a slow reader nor a slow writer makes anybody wait.

use std::sync::{Arc, PoisonError, RwLock};

/// A shared place for a value. Its clones are the same place.
#[derive(Debug)]
pub struct Current<T>(Arc<RwLock<Arc<T>>>);

impl<T> Clone for Current<T> {
    fn clone(&self) -> Current<T> {
        Current(Arc::clone(&self.0))
    }
}

impl<T> Current<T> {
    /// A place that holds `value`.
    pub fn new(value: T) -> Current<T> {
        Current(Arc::new(RwLock::new(Arc::new(value))))
    }

    /// The value of now; it stays as it is for whoever holds it.
    pub fn read(&self) -> Arc<T> {
        // A pointer is never left half-changed, so a poisoned lock is as good as any.
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts `value` in its place: every reading that begins from here on sees it.
    pub fn replace(&self, value: T) {
        let mut place = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let old = std::mem::replace(&mut *place, Arc::new(value));
        drop(place);
        // After the lock: to drop a large value takes time, and readers need not wait for it.
        drop(old);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    #[test]
    fn a_snapshot_stays_and_every_clone_sees_the_new_value() {
        let current = Current::new(1);
        let (other, before) = (current.clone(), current.read());
        current.replace(2);
        assert_eq!((*before, *current.read(), *other.read()), (1, 2, 2));
    }

    #[test]
    fn a_value_is_dropped_with_its_last_reader() {
        let value = Arc::new(());
        let current = Current::new(Arc::clone(&value));
        let snapshot = current.read();
        current.replace(Arc::default());
        assert_eq!(Arc::strong_count(&value), 2, "one reader is left");
        drop(snapshot);
        assert_eq!(Arc::strong_count(&value), 1);
    }

    #[test]
    fn readers_see_whole_values_in_the_order_of_their_replacement() {
        const LAST: u64 = 20_000;
        let current = Current::new([0; 8]);
        let has_seen_last = AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let mut last = 0;
                    while last < LAST {
                        let now = current.read();
                        assert!(now.iter().all(|part| *part == now[0]), "torn: {now:?}");
                        assert!(now[0] >= last, "{} after {last}", now[0]);
                        last = now[0];
                    }
                    has_seen_last.store(true, Ordering::Relaxed);
                });
            }
            (1..=LAST).for_each(|number| current.replace([number; 8]));
        });
        assert!(has_seen_last.into_inner());
    }

    #[test]
    fn a_reader_that_panics_spoils_nothing() {
        let current = Current::new(1);
        let other = current.clone();
        let outcome = thread::spawn(move || {
            let _guard = other.0.write().unwrap();
            panic!("with the lock in hand");
        });
        assert!(outcome.join().is_err());
        current.replace(2);
        assert_eq!(*current.read(), 2);
    }
}
