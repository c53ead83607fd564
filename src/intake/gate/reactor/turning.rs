//! The turns of the gate: what changed goes on, and what has had its share waits for the next one.

use super::super::connection::{Connection, Need, Turn};
use super::super::read_buffer::Share;
use super::state::{BRIDGE, FIRST_CONNECTION, MAILBOX, Reactor};
use crate::intake::bridge::Letter;
use crate::system::{Interest, Readiness};
use std::io;
use std::time::{Duration, Instant};

/// What connections that have had their share may take of a turn together: a change of another one
/// waits no longer than that.
const UNFINISHED_TIME_MAX: Duration = Duration::from_millis(2);

/// What handshakes may take of a turn together, but for the last one that is begun: the rest of
/// them waits, and nobody else waits for them for longer.
const HANDSHAKES_TIME_MAX: Duration = Duration::from_millis(2);

impl Reactor {
    /// Serves until the gate is closed; returns how many connections had to be cut off then.
    ///
    /// # Errors
    /// The system refuses to wait, or the bridge broke.
    pub(crate) fn run(mut self) -> io::Result<usize> {
        let (mut changes, beat) = (Vec::new(), self.bridge.beat());
        loop {
            let patience = self.patience();
            beat.rest();
            self.watch.wait(patience, &mut changes)?;
            beat.work();
            let now = Instant::now();
            let waiting = self.unfinished.len() + self.handshakes.len();
            let is_alone = changes.len() + waiting <= 1;
            self.buffer.set_share(if is_alone { Share::ManyReads } else { Share::OneRead });
            for change in &changes {
                self.take(*change, now)?;
            }
            self.read_letters(now);
            self.finish(now);
            self.shake_hands(now);
            self.admit(now);
            // Before others are let in: what has passed its deadline makes room for them.
            if self.next_deadline.is_some_and(|deadline| deadline <= now) {
                self.expire(now);
            }
            self.accept(now);
            self.flush()?;
            if let Some(deadline) = self.closes_at
                && (self.connections.is_empty() || deadline <= now)
            {
                let telemetry = &self.context.telemetry;
                telemetry.connections_open.lower(self.connections.len() as u64);
                return Ok(self.connections.len());
            }
        }
    }

    /// Sends the requests of this turn to the workers.
    ///
    /// # Errors
    /// The bridge broke.
    fn flush(&mut self) -> io::Result<()> {
        // What is left is sent when the bridge takes bytes again. That is watched for only then:
        // the system tells it whenever tiny_http has read something.
        let interest = if self.bridge.flush()? { Interest::Readable } else { Interest::Both };
        if interest != self.bridge_interest
            && let Some(descriptor) = self.bridge.descriptor()
        {
            self.watch.set(descriptor, BRIDGE, interest)?;
            self.bridge_interest = interest;
        }
        Ok(())
    }

    /// How long there is nothing to do but for a change.
    fn patience(&self) -> Option<Duration> {
        let is_waiting = !self.unfinished.is_empty() || !self.handshakes.is_empty();
        if is_waiting || self.may_accept() || !self.bridge.mailbox().may_sleep() {
            return Some(Duration::ZERO);
        }
        let admits_at = self.admission.next_deadline();
        let next = [self.next_deadline, self.accept_again, self.closes_at, admits_at];
        let next = next.into_iter().flatten();
        next.min().map(|next| next.saturating_duration_since(Instant::now()))
    }

    /// # Errors
    /// The bridge broke.
    fn take(&mut self, change: Readiness, now: Instant) -> io::Result<()> {
        match change.token {
            // What waits there is taken in each turn.
            MAILBOX => {}
            BRIDGE if change.is_readable => {
                return Err(io::Error::other("tiny_http answered, or went away"));
            }
            BRIDGE => {}
            token if token >= FIRST_CONNECTION => {
                let Some(connection) = self.connections.get_mut(&token) else { return Ok(()) };
                if change.is_readable {
                    connection.note_readable(change.is_ending);
                }
                // One that has had its share of a turn goes on in its order.
                if !connection.waits_for_turn {
                    self.drive(token, now);
                }
            }
            token => {
                let index = usize::try_from(token).unwrap_or(usize::MAX);
                if let Some(entrance) = self.entrances.get_mut(index) {
                    entrance.is_ready = true;
                }
            }
        }
        Ok(())
    }

    /// Lets a connection go on, and gives it what it needs.
    pub(super) fn drive(&mut self, number: u64, now: Instant) {
        self.with(number, now, Connection::go_on);
    }

    /// Does something with a connection, and gives it what it needs then.
    pub(super) fn with(
        &mut self,
        number: u64,
        now: Instant,
        act: impl FnOnce(&mut Connection, &mut Turn<'_>) -> Need,
    ) {
        let is_closing = self.closes_at.is_some();
        let may_shake_hands = self.may_shake_hands;
        let Reactor { connections, context, buffer, bridge, admission, seats, notices, .. } = self;
        let Some(connection) = connections.get_mut(&number) else { return };
        let mut turn = Turn {
            now,
            context,
            buffer,
            bridge,
            admission,
            seats,
            notices,
            may_shake_hands,
            is_closing,
        };
        let need = act(connection, &mut turn);
        let deadline = connection.deadline;
        match need {
            Need::End => return self.close_connection(number),
            Need::Turn => {
                if !std::mem::replace(&mut connection.waits_for_turn, true) {
                    self.unfinished.push_back(number);
                }
            }
            Need::Handshake => {
                if !std::mem::replace(&mut connection.waits_for_turn, true) {
                    self.handshakes.push_back(number);
                }
            }
            Need::Seat => return self.seat(number, now),
            Need::Admission(bytes) => self.admission.wait(number, bytes, now),
            Need::Change => {}
        }
        self.next_deadline = Some(self.next_deadline.map_or(deadline, |next| next.min(deadline)));
    }

    /// Lets large bodies go on that waited for others.
    fn admit(&mut self, now: Instant) {
        while let Some((number, bytes)) = self.admission.admit_next(now) {
            let connection = self.connections.get_mut(&number);
            let unused = connection.map_or(bytes, |connection| connection.is_admitted(bytes));
            self.admission.release(unused);
            self.drive(number, now);
        }
    }

    /// Takes the answers of the workers, and what others ask of the gate.
    fn read_letters(&mut self, now: Instant) {
        let mut letters = std::mem::take(&mut self.letters);
        self.bridge.mailbox().take(&mut letters);
        for letter in letters.drain(..) {
            match letter {
                Letter::Answer { number, answer } => {
                    self.with(number, now, |connection, turn| {
                        if connection.is_exchanging() {
                            connection.is_answered(answer, turn);
                        }
                        connection.go_on(turn)
                    });
                }
                Letter::KeepBound => self.keep_bound(now),
                Letter::Close { deadline } => self.begin_to_close(deadline, now),
                Letter::Probe => self.bridge.send_probe(),
                Letter::ProbeAnswered => self.bridge.probe_is_answered(),
            }
        }
        self.letters = letters;
    }

    /// Lets those go on that have had their share of the turn before, in their order.
    fn finish(&mut self, now: Instant) {
        let begun = Instant::now();
        for _ in 0..self.unfinished.len() {
            let Some(number) = self.unfinished.pop_front() else { return };
            if let Some(connection) = self.connections.get_mut(&number) {
                connection.waits_for_turn = false;
            }
            self.drive(number, now);
            if begun.elapsed() > UNFINISHED_TIME_MAX {
                return;
            }
        }
    }

    /// Lets those go on with their handshake that wait for it, in their order, as far as that has a
    /// share of this turn.
    fn shake_hands(&mut self, now: Instant) {
        let begun = Instant::now();
        for _ in 0..self.handshakes.len() {
            let Some(number) = self.handshakes.pop_front() else { return };
            if let Some(connection) = self.connections.get_mut(&number) {
                connection.waits_for_turn = false;
            }
            self.may_shake_hands = true;
            self.drive(number, now);
            self.may_shake_hands = false;
            if begun.elapsed() > HANDSHAKES_TIME_MAX {
                return;
            }
        }
    }

    /// Connections whose deadline has passed end as their state says.
    fn expire(&mut self, now: Instant) {
        let is_over = |(_, connection): &(&u64, &Connection)| connection.deadline <= now;
        let over: Vec<u64> = self.connections.iter().filter(is_over).map(|(n, _)| *n).collect();
        for number in over {
            self.with(number, now, Connection::expire);
        }
        self.next_deadline = self.connections.values().map(|connection| connection.deadline).min();
    }

    /// Nothing is accepted any more, what is idle ends, and what is in hand has until the deadline.
    fn begin_to_close(&mut self, deadline: Instant, now: Instant) {
        self.closes_at = Some(deadline);
        self.entrances.clear();
        let is_idle = |(_, connection): &(&u64, &Connection)| connection.idle_since().is_some();
        let idle: Vec<u64> = self.connections.iter().filter(is_idle).map(|(n, _)| *n).collect();
        for number in idle {
            if let Some(connection) = self.connections.get_mut(&number) {
                // What came before the order is in hand, if nobody has looked at it yet.
                connection.note_readable(false);
            }
            self.drive(number, now);
        }
    }
}
