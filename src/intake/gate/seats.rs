//! Who has a seat when there are more connections than `server.max_connections`.
//!
//! A newcomer is accepted in any case, for it may be a probe, or bring a push, while those that
//! hold the seats bring nothing:
//! - while there are seats, or an idle connection makes room, it is a *regular* one at once;
//! - else it is a *newcomer* in one of [`EXTRA_CONNECTIONS_MAX`] seats beyond the bound. Where
//!   those are taken too, the newcomer that has been here for longest without a whole head makes
//!   room. A probe is answered right there;
//! - with a whole head it becomes regular, and takes the seat of the oldest request that is not
//!   whole, or of a client that does not read its answer;
//! - where every regular one has its request at the workers, it is served all the same, as an
//!   *extra*, but for the last [`PROBE_SEATS`] seats: they are kept for those that follow, so
//!   that there is always one to be accepted into.

use crate::limits::{EXTRA_CONNECTIONS_MAX, PROBE_SEATS};

/// The seat of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seat {
    /// Within the bound.
    Regular,
    /// Beyond it, with nothing whole yet.
    Newcomer,
    /// Beyond it, with a request that is served.
    Extra,
}

/// How many seats of each kind are taken.
#[derive(Debug, Default)]
pub(crate) struct Seats {
    regular: usize,
    newcomers: usize,
    extras: usize,
    /// So many regular ones are to end after their answer, because their bound was lowered.
    excess: usize,
}

impl Seats {
    fn count(&mut self, seat: Seat) -> &mut usize {
        match seat {
            Seat::Regular => &mut self.regular,
            Seat::Newcomer => &mut self.newcomers,
            Seat::Extra => &mut self.extras,
        }
    }

    /// A connection takes a seat.
    pub(crate) fn take(&mut self, seat: Seat) {
        *self.count(seat) += 1;
    }

    /// A connection leaves its seat.
    pub(crate) fn leave(&mut self, seat: Seat) {
        let count = self.count(seat);
        *count = count.saturating_sub(1);
    }

    /// Whether a regular seat is free.
    pub(crate) fn has_regular(&self, connections_max: usize) -> bool {
        self.regular < connections_max
    }

    /// Whether one more newcomer may be.
    pub(crate) fn has_newcomer(&self) -> bool {
        self.newcomers + self.extras < EXTRA_CONNECTIONS_MAX
    }

    /// Whether one more newcomer may become an extra.
    pub(crate) fn has_extra(&self) -> bool {
        self.extras < EXTRA_CONNECTIONS_MAX - PROBE_SEATS
    }

    /// The bound may have been lowered: what is beyond it ends with its next answers.
    pub(crate) fn keep_bound(&mut self, connections_max: usize) {
        self.excess = self.regular.saturating_sub(connections_max);
    }

    /// Whether a connection in that seat is to end after its answer.
    pub(crate) fn must_end(&self, seat: Seat) -> bool {
        self.excess > 0 || seat != Seat::Regular
    }

    /// A connection in that seat ends, now or after its answer.
    pub(crate) fn ends(&mut self, seat: Seat) {
        if seat == Seat::Regular {
            self.excess = self.excess.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_places_are_left_for_those_that_follow_whatever_is_served() {
        let mut seats = Seats::default();
        for _ in 0..3 {
            assert!(seats.has_regular(3));
            seats.take(Seat::Regular);
        }
        assert!(!seats.has_regular(3));
        let mut extras = 0;
        while seats.has_extra() {
            assert!(seats.has_newcomer());
            seats.take(Seat::Newcomer);
            seats.leave(Seat::Newcomer);
            seats.take(Seat::Extra);
            extras += 1;
        }
        assert_eq!(extras, EXTRA_CONNECTIONS_MAX - PROBE_SEATS);
        for _ in 0..PROBE_SEATS {
            assert!(seats.has_newcomer());
            seats.take(Seat::Newcomer);
        }
        assert!(!seats.has_newcomer(), "one of those makes room");
    }

    #[test]
    fn what_is_beyond_a_lowered_bound_ends_with_its_answers() {
        let mut seats = Seats::default();
        (0..5).for_each(|_| seats.take(Seat::Regular));
        assert!(!seats.must_end(Seat::Regular) && seats.must_end(Seat::Newcomer));
        seats.keep_bound(3);
        for _ in 0..2 {
            assert!(seats.must_end(Seat::Regular));
            seats.ends(Seat::Regular);
        }
        assert!(!seats.must_end(Seat::Regular));
    }
}
