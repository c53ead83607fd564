//! New connections, and those that make room for them (`seats`).

use super::super::connection::{Connection, EvictionRank, Need};
use super::super::notices::Notice;
use super::super::refusal::Refusal;
use super::super::seats::Seat;
use super::super::socket::PeerSocket;
use super::super::wire::PeerWire;
use super::state::Reactor;
use crate::system::{self, Interest};
use std::time::{Duration, Instant};

/// The pause after an `accept` that failed: descriptors or memory may come back.
const FAILURE_PAUSE: Duration = Duration::from_millis(50);
/// Connections that one turn accepts: then those that are here go on.
const ACCEPTS_MAX: usize = 64;

impl Reactor {
    /// Lets new connections in.
    pub(super) fn accept(&mut self, now: Instant) {
        if self.accept_again.is_some_and(|again| now < again) {
            return;
        }
        self.accept_again = None;
        let mut accepts = 0;
        for index in 0..self.entrances.len() {
            while accepts < ACCEPTS_MAX
                && let Some(socket) = self.next_connection(index, now)
            {
                accepts += 1;
                self.enter(socket, now);
            }
        }
    }

    /// Whether there may be more to accept at once.
    pub(super) fn may_accept(&self) -> bool {
        self.accept_again.is_none() && self.entrances.iter().any(|entrance| entrance.is_ready)
    }

    /// The next connection of a listener. Where no descriptor is left for it, an idle connection
    /// makes room, as at `max_connections`.
    fn next_connection(&mut self, index: usize, now: Instant) -> Option<PeerSocket> {
        let mut has_made_room = false;
        loop {
            let entrance = self.entrances.get_mut(index).filter(|entrance| entrance.is_ready)?;
            let error = match entrance.listener.accept() {
                Ok(None) => {
                    entrance.is_ready = false;
                    return None;
                }
                Ok(socket) => return socket,
                Err(error) => error,
            };
            self.context.telemetry.accept_errors.increment();
            let (notice, log) = (Notice::CannotAccept, &self.context.log);
            self.notices.tell(notice, log, now, &[("error", &error)]);
            let may_make_room = system::is_out_of_descriptors(&error) && !has_made_room;
            if !may_make_room || !self.evict(Seat::Regular, EvictionRank::Ended, now) {
                self.accept_again = Some(now + FAILURE_PAUSE);
                return None;
            }
            has_made_room = true;
        }
    }

    fn enter(&mut self, socket: PeerSocket, now: Instant) {
        self.last_number += 1;
        let number = self.last_number;
        if let Err(error) = self.watch.add(&socket, number, Interest::Both) {
            self.context.telemetry.connections_refused.increment();
            self.context.log.warn("a connection cannot be watched", &[("error", &error)]);
            return;
        }
        let tls = self.context.tls.read();
        let Some(wire) = PeerWire::of(socket, (*tls).as_ref()) else {
            self.context.telemetry.connections_refused.increment();
            self.context.log.warn("the system has no random bytes for a session", &[]);
            return;
        };
        let seat = self.free_seat(now);
        self.seats.take(seat);
        let mut connection = Connection::new(number, wire, now, &self.context);
        connection.seat = seat;
        self.connections.insert(number, connection);
        self.context.telemetry.connections_open.raise(1);
        self.context.telemetry.connections_accepted.increment();
        self.drive(number, now);
    }

    /// A seat for a new connection: there always is one.
    fn free_seat(&mut self, now: Instant) -> Seat {
        let connections_max = self.context.options.read().connections_max;
        if self.seats.has_regular(connections_max)
            || self.evict(Seat::Regular, EvictionRank::Ended, now)
        {
            return Seat::Regular;
        }
        if !self.seats.has_newcomer() {
            self.evict(Seat::Newcomer, EvictionRank::Unread, now);
        }
        Seat::Newcomer
    }

    /// A newcomer has a whole head: its request is served in a regular seat, or as an extra.
    pub(super) fn seat(&mut self, number: u64, now: Instant) {
        let connections_max = self.context.options.read().connections_max;
        let seat = if self.seats.has_regular(connections_max)
            || self.evict(Seat::Regular, EvictionRank::Unread, now)
        {
            Seat::Regular
        } else if self.seats.has_extra() {
            Seat::Extra
        } else {
            let refusal = Refusal::Crowded { connections_max };
            return self.with(number, now, |connection, turn| {
                connection.refuse(&refusal, turn);
                connection.go_on(turn)
            });
        };
        if let Some(connection) = self.connections.get_mut(&number) {
            self.seats.leave(connection.seat);
            self.seats.take(seat);
            connection.seat = seat;
        }
        self.drive(number, now);
    }

    /// Closes the connection that does least in seats of that kind, and of those the one that has
    /// done so for longest; false where all do more than `rank`.
    pub(super) fn evict(&mut self, seat: Seat, rank: EvictionRank, now: Instant) -> bool {
        let here = self.connections.iter().filter(|(_, connection)| connection.seat == seat);
        let ranked = here.filter_map(|(number, connection)| {
            let (found, since) = connection.rank(now)?;
            (found <= rank).then_some((found, since, *number))
        });
        let Some((found, _, number)) = ranked.min() else { return false };
        self.context.telemetry.connections_evicted.increment();
        if found == EvictionRank::Unfinished {
            let connections_max = self.context.options.read().connections_max;
            self.with(number, now, |connection, turn| {
                if !connection.is_within_request() {
                    connection.makes_room(turn);
                    return Need::End;
                }
                connection.refuse(&Refusal::Crowded { connections_max }, turn);
                connection.go_on(turn)
            });
        }
        self.close_connection(number);
        true
    }

    /// Makes a new bound hold: idle connections beyond it are closed, the longest-idle first, and
    /// where those are not enough, others end after their next answer.
    pub(super) fn keep_bound(&mut self, now: Instant) {
        let connections_max = self.context.options.read().connections_max;
        let is_beyond = |reactor: &Reactor| !reactor.seats.has_regular(connections_max + 1);
        while is_beyond(self) && self.evict(Seat::Regular, EvictionRank::Ended, now) {}
        self.seats.keep_bound(connections_max);
    }

    pub(super) fn close_connection(&mut self, number: u64) {
        if let Some(mut connection) = self.connections.remove(&number) {
            self.admission.release(connection.take_admitted());
            connection.take_leave();
            self.context.telemetry.connections_open.lower(1);
            self.seats.leave(connection.seat);
            if !connection.is_leaving() {
                self.seats.ends(connection.seat);
            }
        }
    }
}
