//! Everything that other threads tell the gate, in one place and with one way to wake it.

use super::answer::Answer;
use crate::system::Waker;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// What the gate is told.
#[derive(Debug)]
pub(crate) enum Letter {
    /// The answer to the request of a connection.
    Answer {
        /// The number that the request was sent with.
        number: u64,
        /// What it is answered.
        answer: Answer,
    },
    /// The bound on connections may have changed.
    KeepBound,
    /// Close; what is in hand has until `deadline`.
    Close {
        /// The latest end.
        deadline: Instant,
    },
    /// The watchdog asks whether a request gets to a worker.
    Probe,
    /// A worker got the watchdog's request.
    ProbeAnswered,
}

/// What waits for the gate: at most one answer for each of its connections, and what the main
/// thread and the watchdog ask of it.
#[derive(Debug)]
pub(crate) struct Mailbox {
    inbox: Mutex<Inbox>,
    waker: Waker,
}

#[derive(Debug, Default)]
struct Inbox {
    letters: Vec<Letter>,
    /// The gate sleeps, or is about to: the next letter must wake it.
    is_asleep: bool,
}

impl Mailbox {
    /// # Errors
    /// The system has no descriptor for the waker.
    pub(crate) fn new() -> io::Result<Mailbox> {
        Ok(Mailbox { inbox: Mutex::default(), waker: Waker::new()? })
    }

    /// Leaves a letter, and wakes the gate where it sleeps.
    pub(crate) fn post(&self, letter: Letter) {
        let mut inbox = self.lock();
        inbox.letters.push(letter);
        let must_wake = std::mem::take(&mut inbox.is_asleep);
        drop(inbox);
        if must_wake {
            self.waker.wake();
        }
    }

    /// Takes all letters into `letters`, which is empty.
    pub(crate) fn take(&self, letters: &mut Vec<Letter>) {
        let mut inbox = self.lock();
        inbox.is_asleep = false;
        std::mem::swap(&mut inbox.letters, letters);
    }

    /// Whether the gate may go to sleep: no letter waits. From here on the next one wakes it.
    pub(crate) fn may_sleep(&self) -> bool {
        let mut inbox = self.lock();
        inbox.is_asleep = inbox.letters.is_empty();
        inbox.is_asleep
    }

    fn lock(&self) -> MutexGuard<'_, Inbox> {
        // A list is never left half-changed, so a poisoned lock is as good as any.
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsFd for Mailbox {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.waker.as_fd()
    }
}
