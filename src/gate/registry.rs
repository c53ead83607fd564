//! The open connections: how many, which of them are idle, and how to end them.
//!
//! Where more are open than may be, because the bound was lowered, idle ones are closed at once,
//! the longest-idle first, and if that is not enough the others end behind their next answer, which
//! says so.

use super::Options;
use super::stream::Stream;
use crate::live::Live;
use crate::telemetry::Telemetry;
use std::collections::HashMap;
use std::net::Shutdown;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// All connections that are open.
#[derive(Debug)]
pub(super) struct Registry {
    options: Live<Options>,
    telemetry: Arc<Telemetry>,
    open: Mutex<Open>,
    has_changed: Condvar,
    is_closing: AtomicBool,
    /// More connections stay than may, and none of them was idle.
    is_crowded: AtomicBool,
}

#[derive(Debug, Default)]
struct Open {
    last_number: u64,
    connections: HashMap<u64, Entry>,
    /// How many of them are leaving.
    leaving_count: usize,
}

#[derive(Debug)]
struct Entry {
    stream: Arc<Stream>,
    /// Since when it waits for a request; none while it has one.
    idle_since: Option<Instant>,
    /// It is on its way out: not to be chosen again.
    is_leaving: bool,
}

/// A connection's place among the open ones; given up when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    registry: Arc<Registry>,
    number: u64,
}

impl Registry {
    pub(super) fn new(options: Live<Options>, telemetry: Arc<Telemetry>) -> Registry {
        Registry {
            options,
            telemetry,
            open: Mutex::default(),
            has_changed: Condvar::new(),
            is_closing: AtomicBool::new(false),
            is_crowded: AtomicBool::new(false),
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
        let mut is_late = false;
        while !self.is_closing() {
            let connections_max = self.options.read().connections_max;
            if open.connections.len() < connections_max {
                return;
            }
            // Who is slow to leave keeps nobody out: another one is closed then.
            let bound = if is_late { open.staying_count() } else { connections_max };
            self.evict_down_to(&mut open, bound.min(connections_max).saturating_sub(1));
            let (guard, timeout) = self
                .has_changed
                .wait_timeout(open, LOOK_EVERY)
                .unwrap_or_else(PoisonError::into_inner);
            open = guard;
            is_late = timeout.timed_out();
        }
    }

    /// Makes a new bound hold, be it lower or higher than the one before.
    pub(super) fn keep_bound(&self) {
        let connections_max = self.options.read().connections_max;
        let mut open = self.lock();
        self.evict_down_to(&mut open, connections_max);
        self.is_crowded.store(open.staying_count() > connections_max, Ordering::Relaxed);
        self.has_changed.notify_all();
    }

    fn evict_down_to(&self, open: &mut Open, count_max: usize) {
        let count = open.evict_down_to(count_max);
        self.telemetry.connections_evicted.add(count as u64);
    }

    /// Enters a connection; it begins idle.
    pub(super) fn enter(self: &Arc<Registry>, stream: &Arc<Stream>) -> Place {
        let mut open = self.lock();
        open.last_number += 1;
        let number = open.last_number;
        let idle_since = Some(Instant::now());
        let entry = Entry { stream: Arc::clone(stream), idle_since, is_leaving: false };
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
    /// How many will be open once those that are leaving have left.
    fn staying_count(&self) -> usize {
        self.connections.len() - self.leaving_count
    }

    /// Closes idle connections, the longest-idle first, until `count_max` stay or none is idle;
    /// returns how many it closed.
    fn evict_down_to(&mut self, count_max: usize) -> usize {
        let excess = self.staying_count().saturating_sub(count_max);
        if excess == 0 {
            return 0;
        }
        let is_idle = |entry: &&mut Entry| entry.idle_since.is_some() && !entry.is_leaving;
        let mut idle: Vec<_> = self.connections.values_mut().filter(is_idle).collect();
        if excess < idle.len() {
            idle.select_nth_unstable_by_key(excess, |entry| entry.idle_since);
            idle.truncate(excess);
        }
        for entry in &mut idle {
            entry.stream.shutdown(Shutdown::Both);
            entry.is_leaving = true;
        }
        let count = idle.len();
        self.leaving_count += count;
        count
    }

    /// Lets that one leave by itself.
    fn let_leave(&mut self, number: u64) {
        if let Some(entry) = self.connections.get_mut(&number)
            && !entry.is_leaving
        {
            entry.is_leaving = true;
            self.leaving_count += 1;
        }
    }

    fn remove(&mut self, number: u64) {
        let removed = self.connections.remove(&number);
        self.leaving_count -= usize::from(removed.is_some_and(|entry| entry.is_leaving));
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
        !self.must_end()
    }

    /// Whether the gate closes.
    pub(super) fn is_closing(&self) -> bool {
        self.registry.is_closing()
    }

    /// Whether the connection must end behind the answer in hand.
    pub(super) fn must_end(&self) -> bool {
        self.is_closing()
            || (self.registry.is_crowded.load(Ordering::Relaxed) && self.is_one_too_many())
    }

    /// Whether more connections stay than may; this one leaves then.
    fn is_one_too_many(&self) -> bool {
        let registry = &*self.registry;
        let connections_max = registry.options.read().connections_max;
        let mut open = registry.lock();
        let must_leave = open.staying_count() > connections_max;
        if must_leave {
            open.let_leave(self.number);
        }
        registry.is_crowded.store(open.staying_count() > connections_max, Ordering::Relaxed);
        must_leave
    }

    fn set(&self, idle_since: Option<Instant>) {
        if let Some(entry) = self.registry.lock().connections.get_mut(&self.number) {
            entry.idle_since = idle_since;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.registry.lock().remove(self.number);
        self.registry.has_changed.notify_all();
        self.registry.telemetry.connections_open.lower(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    fn options(connections_max: usize) -> Options {
        let timeout = Duration::from_secs(20);
        Options {
            listen: Vec::new(),
            connections_max,
            body_bytes_max: 1,
            buffered_bytes_max: 1,
            head_timeout: timeout,
            body_timeout: timeout,
            idle_timeout: timeout,
        }
    }

    /// Connections that entered one after the other, each idle, with the client's end.
    fn registry(connections_max: usize, count: usize) -> (Arc<Registry>, Vec<(Place, UnixStream)>) {
        let options = Live::new(options(connections_max));
        let registry = Arc::new(Registry::new(options, Arc::new(Telemetry::new())));
        let enter = |_| {
            let (ours, theirs) = UnixStream::pair().unwrap();
            let place = registry.enter(&Arc::new(Stream::Unix(ours)));
            theirs.set_nonblocking(true).unwrap();
            (place, theirs)
        };
        let places = (0..count).map(enter).collect();
        (registry, places)
    }

    /// The indices of those that were closed.
    fn closed(places: &mut [(Place, UnixStream)]) -> Vec<usize> {
        let is_closed = |client: &mut UnixStream| matches!(client.read(&mut [0]), Ok(0));
        let all = places.iter_mut().enumerate();
        all.filter_map(|(index, (_, client))| is_closed(client).then_some(index)).collect()
    }

    #[test]
    fn a_lowered_bound_closes_the_longest_idle_and_no_busy_one() {
        let (registry, mut places) = registry(10, 6);
        places[0].0.is_busy();
        assert!(places[1].0.is_idle(), "idle anew: it is the last in line");
        registry.options.replace(options(3));
        registry.keep_bound();
        assert_eq!(closed(&mut places), [2, 3, 4]);
        registry.keep_bound();
        assert_eq!(closed(&mut places), [2, 3, 4], "those on their way out count as gone");
        assert_eq!(registry.telemetry.connections_evicted.get(), 3);
        assert!(places.iter().all(|(place, _)| !place.must_end()), "three may stay");
    }

    #[test]
    fn where_none_is_idle_so_many_as_are_too_many_end_behind_their_answer() {
        let (registry, places) = registry(10, 5);
        places.iter().for_each(|(place, _)| place.is_busy());
        registry.options.replace(options(2));
        registry.keep_bound();
        let ended: Vec<_> = places.iter().map(|(place, _)| place.must_end()).collect();
        assert_eq!(ended, [true, true, true, false, false]);
        registry.options.replace(options(1));
        registry.keep_bound();
        registry.options.replace(options(2));
        registry.keep_bound();
        assert!(!places[4].0.must_end(), "raised again in time");
        registry.options.replace(options(1));
        registry.keep_bound();
        assert!(!places[4].0.is_idle(), "answered just before the bound was lowered");
        assert!(places[3].0.is_idle());
    }

    #[test]
    fn a_raised_bound_lets_in_who_waits_for_room() {
        let (registry, places) = registry(1, 1);
        places[0].0.is_busy();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| registry.wait_for_room());
            registry.options.replace(options(2));
            registry.keep_bound();
            waiting.join().unwrap();
        });
        assert_eq!(registry.telemetry.connections_evicted.get(), 0);
    }

    #[test]
    fn room_is_made_by_closing_the_longest_idle_and_who_is_slow_to_leave_keeps_nobody_out() {
        let (registry, mut places) = registry(4, 4);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| registry.wait_for_room());
            while closed(&mut places).len() < 2 {
                std::thread::yield_now();
            }
            assert_eq!(closed(&mut places)[..2], [0, 1]);
            drop(places.remove(1));
            waiting.join().unwrap();
        });
    }
}
