//! The open connections: how many, which of them are idle, and how to end them.

use super::stream::Stream;
use crate::telemetry::Telemetry;
use std::collections::HashMap;
use std::net::Shutdown;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// All connections that are open.
#[derive(Debug)]
pub(super) struct Registry {
    connections_max: usize,
    telemetry: Arc<Telemetry>,
    open: Mutex<Open>,
    has_changed: Condvar,
    is_closing: AtomicBool,
}

#[derive(Debug, Default)]
struct Open {
    last_number: u64,
    connections: HashMap<u64, Entry>,
}

#[derive(Debug)]
struct Entry {
    stream: Arc<Stream>,
    /// Since when it waits for a request; none while it has one.
    idle_since: Option<Instant>,
}

/// A connection's place among the open ones; given up when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    registry: Arc<Registry>,
    number: u64,
}

impl Registry {
    pub(super) fn new(connections_max: usize, telemetry: Arc<Telemetry>) -> Registry {
        Registry {
            connections_max,
            telemetry,
            open: Mutex::default(),
            has_changed: Condvar::new(),
            is_closing: AtomicBool::new(false),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        // Each change is one insertion, removal or store: a poisoned lock is as good as any.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether no further requests are taken.
    pub(super) fn is_closing(&self) -> bool {
        self.is_closing.load(Ordering::Acquire)
    }

    /// Waits until there is room for one more, closing the longest-idle connection where there is
    /// none, or until the gate closes.
    pub(super) fn wait_for_room(&self) {
        const LOOK_EVERY: Duration = Duration::from_millis(100);
        let mut open = self.lock();
        let mut has_evicted = false;
        while open.connections.len() >= self.connections_max && !self.is_closing() {
            if !has_evicted {
                has_evicted = open.evict_longest_idle();
                self.telemetry.connections_evicted.add(u64::from(has_evicted));
            }
            let (guard, timeout) = self
                .has_changed
                .wait_timeout(open, LOOK_EVERY)
                .unwrap_or_else(PoisonError::into_inner);
            open = guard;
            has_evicted &= !timeout.timed_out();
        }
    }

    /// Enters a connection; it begins idle.
    pub(super) fn enter(self: &Arc<Registry>, stream: &Arc<Stream>) -> Place {
        let mut open = self.lock();
        open.last_number += 1;
        let number = open.last_number;
        let entry = Entry { stream: Arc::clone(stream), idle_since: Some(Instant::now()) };
        open.connections.insert(number, entry);
        self.telemetry.connections_open.raise(1);
        self.telemetry.connections_accepted.increment();
        Place { registry: Arc::clone(self), number }
    }

    /// From here on no connection and no further request is taken.
    pub(super) fn stop_taking(&self) {
        self.is_closing.store(true, Ordering::Release);
    }

    /// Ends all connections in order: idle ones at once, the others behind their answer, and all of
    /// them at `deadline`. Returns how many had to be cut off then.
    pub(super) fn close(&self, deadline: Instant) -> usize {
        self.stop_taking();
        let mut open = self.lock();
        for entry in open.connections.values().filter(|entry| entry.idle_since.is_some()) {
            entry.stream.shutdown(Shutdown::Read);
        }
        while !open.connections.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            open =
                self.has_changed.wait_timeout(open, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        for entry in open.connections.values() {
            entry.stream.shutdown(Shutdown::Both);
        }
        open.connections.len()
    }
}

impl Open {
    fn evict_longest_idle(&mut self) -> bool {
        let idle = self.connections.values_mut().filter(|entry| entry.idle_since.is_some());
        let Some(longest) = idle.min_by_key(|entry| entry.idle_since) else { return false };
        longest.stream.shutdown(Shutdown::Both);
        // It is on its way out: not to be chosen again.
        longest.idle_since = None;
        true
    }
}

impl Place {
    /// A request has begun.
    pub(super) fn is_busy(&self) {
        self.set(None);
    }

    /// The last request is answered; false where the connection must end now.
    pub(super) fn is_idle(&self) -> bool {
        self.set(Some(Instant::now()));
        !self.registry.is_closing()
    }

    /// Whether the connection must end behind the answer in hand.
    pub(super) fn is_closing(&self) -> bool {
        self.registry.is_closing()
    }

    fn set(&self, idle_since: Option<Instant>) {
        if let Some(entry) = self.registry.lock().connections.get_mut(&self.number) {
            entry.idle_since = idle_since;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.registry.lock().connections.remove(&self.number);
        self.registry.has_changed.notify_all();
        self.registry.telemetry.connections_open.lower(1);
    }
}
