//! How a watchdog asks whether requests get to a worker: by the very way that they take, so that
//! the answer says that the gate goes on, that tiny_http hands requests over, and that a worker
//! takes them.

use super::mailbox::{Letter, Mailbox};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What a watchdog asks by.
#[derive(Clone, Debug)]
pub(crate) struct Probe {
    mailbox: Arc<Mailbox>,
    question: Arc<Question>,
}

#[derive(Debug, Default)]
struct Question {
    /// One is not answered yet: a second one is not asked then.
    is_open: Mutex<bool>,
    is_answered: Condvar,
}

impl Probe {
    pub(super) fn new(mailbox: Arc<Mailbox>) -> Probe {
        Probe { mailbox, question: Arc::default() }
    }

    /// Asks, or waits for the answer to the question before; whether it came within `patience`.
    pub(crate) fn ask(&self, patience: Duration) -> bool {
        let mut is_open = self.lock();
        if !*is_open {
            *is_open = true;
            self.mailbox.post(Letter::Probe);
        }
        let waited = self.question.is_answered.wait_timeout_while(is_open, patience, |open| *open);
        !*waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// A worker got the question.
    pub(super) fn is_answered(&self) {
        *self.lock() = false;
        self.question.is_answered.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        // A flag is never left half-changed, so a poisoned lock is as good as any.
        self.question.is_open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_that_is_not_answered_in_time_is_not_asked_twice() {
        let mailbox = Arc::new(Mailbox::new().unwrap());
        let probe = Probe::new(Arc::clone(&mailbox));
        let soon = Duration::from_millis(1);
        assert!(!probe.ask(soon) && !probe.ask(soon));
        let mut letters = Vec::new();
        mailbox.take(&mut letters);
        assert!(matches!(letters[..], [Letter::Probe]), "{letters:?}");
        probe.is_answered();
        let asking = std::thread::spawn({
            let probe = probe.clone();
            move || probe.ask(Duration::from_secs(30))
        });
        letters.clear();
        while letters.is_empty() {
            mailbox.take(&mut letters);
        }
        probe.is_answered();
        assert!(asking.join().unwrap());
    }
}
