//! What waits for the writer: bytes, workers without room, and the replies to pushers.

use super::{Refusal, Reply, Shared};
use std::collections::VecDeque;
use std::sync::{Arc, PoisonError};
use std::time::Instant;

/// What waits for the writer.
#[derive(Debug)]
pub(super) struct Waiting<R> {
    /// The cost of all batches, in bytes.
    pub(super) bytes: usize,
    /// Workers that wait for room.
    pub(super) workers: usize,
    /// Replies in the order of their numbers; one that was answered left its place empty.
    pub(super) replies: VecDeque<Option<(Instant, R)>>,
    /// The number of the first of them.
    first_number: u64,
}

impl<R> Default for Waiting<R> {
    fn default() -> Waiting<R> {
        Waiting { bytes: 0, workers: 0, replies: VecDeque::new(), first_number: 0 }
    }
}

impl<R> Waiting<R> {
    /// Puts a reply at the end; its number.
    pub(super) fn put(&mut self, deadline: Instant, reply: R) -> u64 {
        let number = self.first_number + self.replies.len() as u64;
        self.replies.push_back(Some((deadline, reply)));
        number
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

    /// The first reply whose time is over.
    fn take_late(&mut self, now: Instant) -> Option<R> {
        match self.replies.front() {
            Some(Some((deadline, _))) if *deadline <= now => self.take(self.first_number),
            _ => None,
        }
    }

    fn first_deadline(&self) -> Option<Instant> {
        self.replies.front()?.as_ref().map(|(deadline, _)| *deadline)
    }
}

/// Answers the replies that have waited too long.
#[derive(Debug)]
pub struct Warden<R> {
    pub(super) shared: Arc<Shared<R>>,
}

impl<R: Reply> Warden<R> {
    /// Answers with 503 whatever has waited for `ack_timeout`, as long as the process lives.
    ///
    /// It need not be told of new replies: the time of each is over `ack_timeout` after it came, and
    /// that is as long as the warden waits at most.
    pub fn run(self) {
        let mut waiting = self.shared.lock();
        loop {
            let now = Instant::now();
            let after = self.shared.flow.options.read().ack_timeout;
            if let Some(reply) = waiting.take_late(now) {
                drop(waiting);
                reply.answer(Err(Refusal::TimedOut { after }));
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
