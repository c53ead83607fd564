//! What waits for the writer: batches in the queue and their replies, and batches that have no room
//! in it yet.

use super::{Acknowledge, Batch, Reply, Shared, Undelivered};
use std::collections::VecDeque;
use std::sync::{Arc, PoisonError};
use std::time::Instant;

/// What waits for the writer.
#[derive(Debug)]
pub(super) struct Waiting<R> {
    /// The cost of all batches in the queue, in bytes.
    pub(super) bytes: usize,
    /// Replies in the order of their numbers; one that was answered left its place empty.
    pub(super) replies: VecDeque<Option<(Instant, R)>>,
    /// The number of the first of them.
    first_number: u64,
    /// Batches that have no room yet, in the order in which they came.
    pub(super) outside: VecDeque<Outside<R>>,
    /// The cost of those, in bytes.
    pub(super) outside_bytes: usize,
}

/// A batch that is to enter the queue.
#[derive(Debug)]
pub(super) struct Outside<R> {
    pub(super) batch: Batch,
    pub(super) reply: R,
    pub(super) deadline: Instant,
    pub(super) acknowledge: Acknowledge,
}

/// A batch that has entered, and its reply where that is to be answered now.
pub(super) type Entered<R> = (Batch, Option<R>);

impl<R> Default for Waiting<R> {
    fn default() -> Waiting<R> {
        Waiting {
            bytes: 0,
            replies: VecDeque::new(),
            first_number: 0,
            outside: VecDeque::new(),
            outside_bytes: 0,
        }
    }
}

impl<R> Waiting<R> {
    /// Whether a batch of that cost has room. One that alone is larger than the queue may have an
    /// empty one.
    pub(super) fn has_room(&self, cost: usize, bytes_max: usize) -> bool {
        self.bytes == 0 || self.bytes.saturating_add(cost) <= bytes_max
    }

    /// Lets a batch enter.
    pub(super) fn enter(&mut self, outside: Outside<R>) -> Entered<R> {
        let Outside { mut batch, reply, deadline, acknowledge } = outside;
        self.bytes += batch.cost();
        match acknowledge {
            Acknowledge::Queued => (batch, Some(reply)),
            Acknowledge::Written => {
                let number = self.first_number + self.replies.len() as u64;
                self.replies.push_back(Some((deadline, reply)));
                batch.reply = Some((number, deadline));
                (batch, None)
            }
        }
    }

    /// Has a batch wait for room; it comes back where too many bytes wait already.
    pub(super) fn wait(&mut self, outside: Outside<R>, bytes_max: usize) -> Option<Outside<R>> {
        let bytes = self.outside_bytes.saturating_add(outside.batch.cost());
        if !self.outside.is_empty() && bytes > bytes_max {
            return Some(outside);
        }
        self.outside_bytes = bytes;
        self.outside.push_back(outside);
        None
    }

    /// Takes the first batch that waits for room.
    pub(super) fn take_outside(&mut self) -> Option<Outside<R>> {
        let outside = self.outside.pop_front()?;
        self.outside_bytes -= outside.batch.cost();
        Some(outside)
    }

    /// Lets the first batch that waits enter, where there is room for it.
    pub(super) fn enter_next(&mut self, bytes_max: usize) -> Option<Entered<R>> {
        let cost = self.outside.front()?.batch.cost();
        if !self.has_room(cost, bytes_max) {
            return None;
        }
        let outside = self.take_outside()?;
        Some(self.enter(outside))
    }

    /// The reply of that number, unless it was answered.
    pub(super) fn take(&mut self, number: u64) -> Option<R> {
        let index = usize::try_from(number.checked_sub(self.first_number)?).ok()?;
        let (_, reply) = self.replies.get_mut(index)?.take()?;
        while let Some(None) = self.replies.front() {
            self.replies.pop_front();
            self.first_number += 1;
        }
        Some(reply)
    }

    /// The first reply whose time is over. Its batch may be written all the same.
    fn take_late(&mut self, now: Instant) -> Option<R> {
        match self.replies.front() {
            Some(Some((deadline, _))) if *deadline <= now => self.take(self.first_number),
            _ => None,
        }
    }

    /// The first batch that had no room in time.
    fn take_late_outside(&mut self, now: Instant) -> Option<Outside<R>> {
        self.outside.front().filter(|outside| outside.deadline <= now)?;
        self.take_outside()
    }

    fn first_deadline(&self) -> Option<Instant> {
        let reply = self.replies.front().and_then(Option::as_ref).map(|(deadline, _)| *deadline);
        let outside = self.outside.front().map(|outside| outside.deadline);
        reply.into_iter().chain(outside).min()
    }
}

/// Answers the replies that have waited too long.
#[derive(Debug)]
pub(crate) struct Warden<R> {
    pub(super) shared: Arc<Shared<R>>,
}

impl<R: Reply> Warden<R> {
    /// Answers with 503 whatever has waited for `ack_timeout`, as long as the process lives.
    ///
    /// It need not be told of new replies: the time of each is over `ack_timeout` after it came,
    /// and that is as long as the warden waits at most.
    pub(crate) fn run(self) {
        let mut waiting = self.shared.lock();
        loop {
            let now = Instant::now();
            let after = self.shared.flow.options.read().ack_timeout;
            if let Some(reply) = waiting.take_late(now) {
                drop(waiting);
                reply.answer(Err(Undelivered::TimedOut { after }));
                waiting = self.shared.lock();
                continue;
            }
            if let Some(outside) = waiting.take_late_outside(now) {
                drop(waiting);
                self.shared.refuse_full(outside);
                waiting = self.shared.lock();
                continue;
            }
            let next = waiting.first_deadline().unwrap_or(now + after);
            let patience = next.saturating_duration_since(now).min(after);
            let waited = self.shared.look_again.wait_timeout(waiting, patience);
            waiting = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
