//! Which large bodies are read now, and which wait.
//!
//! Read all at once, large bodies would only wait in memory for the workers and the output; unread,
//! they wait at their clients. So a body beyond [`UNADMITTED_BODY_BYTES_MAX`] is read on only once
//! it is admitted: while the pushes that were admitted, and are not answered yet, come to at most
//! [`ADMITTED_BYTES_MAX`], or after [`PATIENCE`], since those may be of slow or hostile clients.
//! Small bodies never wait. This is a matter of order: what bounds memory is the budget.

use crate::limits::{ADMITTED_BYTES_MAX, UNADMITTED_BODY_BYTES_MAX};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How long a large body has to wait for others at most.
const PATIENCE: Duration = Duration::from_secs(1);

/// Large bodies that were admitted, and those that wait.
#[derive(Debug, Default)]
pub(super) struct Admission {
    /// The sizes of those that were admitted, together.
    bytes: usize,
    /// Those that wait, in the order in which they came.
    waiting: VecDeque<WaitingBody>,
}

#[derive(Debug)]
struct WaitingBody {
    since: Instant,
    /// The number of its connection.
    connection: u64,
    /// Its size, as far as that is known.
    bytes: usize,
}

impl Admission {
    /// Whether a body needs to be admitted, of which so many bytes came.
    pub(super) fn is_needed(came: usize) -> bool {
        came >= UNADMITTED_BODY_BYTES_MAX
    }

    /// Admits a body of so many bytes, if none waits and it has room; it is to be released.
    pub(super) fn admit(&mut self, bytes: usize) -> bool {
        let is_admitted = self.waiting.is_empty() && self.has_room(bytes);
        if is_admitted {
            self.bytes += bytes;
        }
        is_admitted
    }

    /// Has a connection wait until its body of so many bytes is admitted.
    pub(super) fn wait(&mut self, connection: u64, bytes: usize, now: Instant) {
        self.waiting.push_back(WaitingBody { since: now, connection, bytes });
    }

    /// Admits the body that has waited for longest, if it has room or has waited for long enough:
    /// its connection and its size. It is to be released, also where the connection has ended.
    pub(super) fn admit_next(&mut self, now: Instant) -> Option<(u64, usize)> {
        let WaitingBody { since, connection, bytes } = *self.waiting.front()?;
        if !self.has_room(bytes) && now < since + PATIENCE {
            return None;
        }
        self.waiting.pop_front();
        self.bytes += bytes;
        Some((connection, bytes))
    }

    /// A push that was admitted with so many bytes is answered, or its connection has ended.
    pub(super) fn release(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    /// When the next one has waited for long enough.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.waiting.front().map(|waiting| waiting.since + PATIENCE)
    }

    /// A body that is larger than all may be together has room alone.
    fn has_room(&self, bytes: usize) -> bool {
        self.bytes == 0 || self.bytes.saturating_add(bytes) <= ADMITTED_BYTES_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_bodies_are_admitted_in_order_as_there_is_room_or_patience_ends() {
        let mut admission = Admission::default();
        let start = Instant::now();
        assert!(!Admission::is_needed(UNADMITTED_BODY_BYTES_MAX - 1));
        assert!(admission.admit(ADMITTED_BYTES_MAX * 3), "larger than all may be, and alone");
        assert!(!admission.admit(1));
        admission.wait(1, ADMITTED_BYTES_MAX, start);
        admission.wait(2, 1, start + PATIENCE / 2);
        assert_eq!(admission.admit_next(start), None);
        admission.release(ADMITTED_BYTES_MAX * 3);
        assert!(!admission.admit(1), "others came first");
        assert_eq!(admission.admit_next(start), Some((1, ADMITTED_BYTES_MAX)));
        assert_eq!(admission.admit_next(start + PATIENCE), None);
        let due = admission.next_deadline().unwrap();
        assert_eq!(admission.admit_next(due), Some((2, 1)), "it has waited for long enough");
        assert_eq!(admission.next_deadline(), None);
        admission.release(ADMITTED_BYTES_MAX + 1);
        assert!(admission.admit(1));
    }
}
