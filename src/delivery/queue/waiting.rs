//! What waits for the writer: batches in the queue and their replies, and batches that have no room
//! in it yet.

use super::batch::Batch;
use super::options::Acknowledge;
use std::collections::VecDeque;
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
    /// Pushes that have no room yet, in the order in which they came.
    pub(super) outside: VecDeque<WaitingPush<R>>,
    /// The cost of those, in bytes.
    pub(super) outside_bytes: usize,
}

/// A push that is to enter the queue.
#[derive(Debug)]
pub(super) struct WaitingPush<R> {
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

    /// Lets a push enter.
    pub(super) fn enter(&mut self, push: WaitingPush<R>) -> Entered<R> {
        let WaitingPush { mut batch, reply, deadline, acknowledge } = push;
        self.bytes += batch.cost;
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

    /// Has a push wait for room; it comes back where too many bytes wait already.
    pub(super) fn wait(
        &mut self,
        push: WaitingPush<R>,
        bytes_max: usize,
    ) -> Option<WaitingPush<R>> {
        let bytes = self.outside_bytes.saturating_add(push.batch.cost);
        if !self.outside.is_empty() && bytes > bytes_max {
            return Some(push);
        }
        self.outside_bytes = bytes;
        self.outside.push_back(push);
        None
    }

    /// Takes the first push that waits for room.
    pub(super) fn take_outside(&mut self) -> Option<WaitingPush<R>> {
        let push = self.outside.pop_front()?;
        self.outside_bytes -= push.batch.cost;
        Some(push)
    }

    /// Lets the first push that waits enter, where there is room for it.
    pub(super) fn enter_next(&mut self, bytes_max: usize) -> Option<Entered<R>> {
        let cost = self.outside.front()?.batch.cost;
        if !self.has_room(cost, bytes_max) {
            return None;
        }
        let push = self.take_outside()?;
        Some(self.enter(push))
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

    /// The first reply that has waited too long. Its batch may be written all the same.
    pub(super) fn take_late(&mut self, now: Instant) -> Option<R> {
        match self.replies.front() {
            Some(Some((deadline, _))) if *deadline <= now => self.take(self.first_number),
            _ => None,
        }
    }

    /// The first push that had no room in time.
    pub(super) fn take_late_outside(&mut self, now: Instant) -> Option<WaitingPush<R>> {
        self.outside.front().filter(|push| push.deadline <= now)?;
        self.take_outside()
    }

    pub(super) fn first_deadline(&self) -> Option<Instant> {
        let reply = self.replies.front().and_then(Option::as_ref).map(|(deadline, _)| *deadline);
        let outside = self.outside.front().map(|push| push.deadline);
        reply.into_iter().chain(outside).min()
    }
}
