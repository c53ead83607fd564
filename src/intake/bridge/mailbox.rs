//! Answers on their way back to the gate, past tiny_http, which has no part in them: through its
//! sockets, an answer would cost three calls of the system and wake a thread for nothing.

use crate::system::Bell;
use std::borrow::Cow;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A whole answer, and the connection of the gate that it is for.
#[derive(Debug, PartialEq, Eq)]
pub struct Answered {
    /// The number that came with the request.
    pub connection: u64,
    /// Head and body.
    pub text: Cow<'static, str>,
}

/// Where answers wait for the gate. There is one at most for each connection of it.
#[derive(Debug)]
pub struct Answers {
    waiting: Mutex<Vec<Answered>>,
    bell: Bell,
}

impl Answers {
    /// None waits.
    ///
    /// # Errors
    /// The system has no descriptor for the bell.
    pub fn new() -> io::Result<Answers> {
        Ok(Answers { waiting: Mutex::default(), bell: Bell::new()? })
    }

    /// Puts an answer there. Only the first one rings: the gate takes all that wait.
    pub fn post(&self, connection: u64, text: Cow<'static, str>) {
        let mut waiting = self.lock();
        waiting.push(Answered { connection, text });
        let is_first = waiting.len() == 1;
        drop(waiting);
        if is_first {
            self.bell.ring();
        }
    }

    /// Takes all that wait into `answers`, which is empty.
    pub fn take(&self, answers: &mut Vec<Answered>) {
        self.bell.silence();
        std::mem::swap(&mut *self.lock(), answers);
    }

    /// What rings when an answer waits.
    pub(crate) fn bell(&self) -> &Bell {
        &self.bell
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Answered>> {
        // A list is never left half-changed, so a poisoned lock is as good as any.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
