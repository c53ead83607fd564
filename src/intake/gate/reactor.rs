//! The thread of the gate: changes of sockets → connections that go on.
//!
//! It never waits but for a change of some socket, for a letter, or for the next deadline; so no
//! peer, slow or hostile, holds up another, and a connection costs memory but no thread. Each turn
//! takes the changes and the letters, lets the connections go on that they are for, accepts, and
//! sends the whole requests to the workers, all of them at once.

use super::admission::Admission;
use super::connection::{Connection, Need, Turn};
use super::context::GateContext;
use super::read_buffer::ReadBuffer;
use super::socket::{Listener, PeerSocket};
use crate::intake::bridge::{GateEnd, Letter};
use crate::system::{Interest, Readiness, Watch};
use std::collections::HashMap;
use std::io;
use std::time::{Duration, Instant};

/// The pause after an `accept` that failed: descriptors or memory may come back.
const FAILURE_PAUSE: Duration = Duration::from_millis(50);

/// Tokens: listeners have the first ones; connections have their numbers, and none is ever used
/// twice, so that what comes late for one never reaches another.
const BRIDGE: u64 = 1 << 20;
const MAILBOX: u64 = BRIDGE + 1;
const FIRST_CONNECTION: u64 = BRIDGE + 2;

/// A listening socket, and the connection that waits for room.
#[derive(Debug)]
struct Entrance {
    listener: Listener,
    /// There may be connections to accept.
    is_ready: bool,
    /// Accepted, but there is no room yet.
    lobby: Option<PeerSocket>,
}

/// Everything that the thread owns.
#[derive(Debug)]
pub(super) struct Reactor {
    context: GateContext,
    watch: Watch,
    entrances: Vec<Entrance>,
    bridge: GateEnd,
    bridge_interest: Interest,
    /// The letters that were taken last, emptied.
    letters: Vec<Letter>,
    connections: HashMap<u64, Connection>,
    last_number: u64,
    buffer: ReadBuffer,
    /// Connections that go on without a change.
    unfinished: Vec<u64>,
    admission: Admission,
    /// No deadline of a connection is before this.
    next_deadline: Option<Instant>,
    /// No `accept` before this.
    accept_again: Option<Instant>,
    /// The last `accept` failed, which is told once.
    has_failed: bool,
    /// More connections are open than may, none of them idle: so many end after their answer.
    excess: usize,
    /// When everything that is in hand is cut off, once the gate closes.
    closes_at: Option<Instant>,
}

impl Reactor {
    /// Has everything watched.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn new(
        context: GateContext,
        listeners: Vec<Listener>,
        bridge: GateEnd,
    ) -> io::Result<Reactor> {
        let watch = Watch::new()?;
        if let Some(descriptor) = bridge.descriptor() {
            watch.add(descriptor, BRIDGE, Interest::Readable)?;
        }
        watch.add(&**bridge.mailbox(), MAILBOX, Interest::Readable)?;
        let mut entrances = Vec::new();
        for (listener, token) in listeners.into_iter().zip(0..) {
            listener.prepare()?;
            watch.add(&listener, token, Interest::Readable)?;
            entrances.push(Entrance { listener, is_ready: true, lobby: None });
        }
        Ok(Reactor {
            context,
            watch,
            entrances,
            bridge,
            bridge_interest: Interest::Readable,
            letters: Vec::new(),
            connections: HashMap::new(),
            last_number: FIRST_CONNECTION,
            buffer: ReadBuffer::new(),
            unfinished: Vec::new(),
            admission: Admission::default(),
            next_deadline: None,
            accept_again: None,
            has_failed: false,
            excess: 0,
            closes_at: None,
        })
    }

    /// Serves until the gate is closed; returns how many connections had to be cut off then.
    ///
    /// # Errors
    /// The system refuses to wait, or the bridge broke.
    pub(super) fn run(mut self) -> io::Result<usize> {
        let mut changes = Vec::new();
        loop {
            self.watch.wait(self.patience(), &mut changes)?;
            let now = Instant::now();
            for change in &changes {
                self.take(*change, now)?;
            }
            self.read_letters(now);
            for number in std::mem::take(&mut self.unfinished) {
                self.drive(number, now);
            }
            self.admit(now);
            self.accept(now);
            if self.next_deadline.is_some_and(|deadline| deadline <= now) {
                self.expire(now);
            }
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
        if !self.unfinished.is_empty() || !self.bridge.mailbox().may_sleep() {
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
                if let Some(connection) = self.connections.get_mut(&token)
                    && change.is_readable
                {
                    connection.note_readable(change.is_ending);
                }
                self.drive(token, now);
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
    fn drive(&mut self, number: u64, now: Instant) {
        self.with(number, now, Connection::go_on);
    }

    /// Does something with a connection, and gives it what it needs then.
    fn with(
        &mut self,
        number: u64,
        now: Instant,
        act: impl FnOnce(&mut Connection, &mut Turn<'_>) -> Need,
    ) {
        let Reactor { connections, context, buffer, bridge, admission, closes_at, excess, .. } =
            self;
        let Some(connection) = connections.get_mut(&number) else { return };
        let is_closing = closes_at.is_some();
        let mut turn = Turn { now, context, buffer, bridge, admission, is_closing, excess };
        let need = act(connection, &mut turn);
        let deadline = connection.deadline;
        match need {
            Need::End => return self.close_connection(number),
            Need::Turn => self.unfinished.push(number),
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
                Letter::KeepBound => self.keep_bound(),
                Letter::Close { deadline } => self.begin_to_close(deadline, now),
                Letter::Probe => self.bridge.send_probe(),
                Letter::ProbeAnswered => self.bridge.probe_is_answered(),
            }
        }
        self.letters = letters;
    }

    fn close_connection(&mut self, number: u64) {
        if let Some(mut connection) = self.connections.remove(&number) {
            self.admission.release(connection.take_admitted());
            self.context.telemetry.connections_open.lower(1);
            if !connection.is_leaving() {
                self.excess = self.excess.saturating_sub(1);
            }
        }
    }

    /// Those whose time is over end as their state says.
    fn expire(&mut self, now: Instant) {
        let is_over = |(_, connection): &(&u64, &Connection)| connection.deadline <= now;
        let over: Vec<u64> = self.connections.iter().filter(is_over).map(|(n, _)| *n).collect();
        for number in over {
            self.with(number, now, Connection::expire);
        }
        self.next_deadline = self.connections.values().map(|connection| connection.deadline).min();
    }

    /// Makes a new bound hold: idle connections beyond it are closed, the longest-idle first, and
    /// where those are not enough, others end after their next answer.
    fn keep_bound(&mut self) {
        let connections_max = self.context.options.read().connections_max;
        while self.connections.len() > connections_max && self.evict() {}
        self.excess = self.connections.len().saturating_sub(connections_max);
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

    /// Lets new connections in.
    fn accept(&mut self, now: Instant) {
        if self.accept_again.is_some_and(|again| now < again) {
            return;
        }
        self.accept_again = None;
        for index in 0..self.entrances.len() {
            while let Some(stream) = self.knock(index, now) {
                if self.has_room() {
                    self.enter(stream, now);
                } else if let Some(entrance) = self.entrances.get_mut(index) {
                    entrance.lobby = Some(stream);
                    break;
                }
            }
        }
    }

    /// The next connection of a listener.
    fn knock(&mut self, index: usize, now: Instant) -> Option<PeerSocket> {
        let entrance = self.entrances.get_mut(index)?;
        if let Some(stream) = entrance.lobby.take() {
            return Some(stream);
        }
        if !entrance.is_ready {
            return None;
        }
        match entrance.listener.accept() {
            Ok(None) => {
                entrance.is_ready = false;
                None
            }
            Ok(stream) => stream,
            Err(error) => {
                self.context.telemetry.accept_errors.increment();
                if !self.has_failed {
                    self.context.log.warn("cannot accept, trying again", &[("error", &error)]);
                }
                self.has_failed = true;
                self.accept_again = Some(now + FAILURE_PAUSE);
                None
            }
        }
    }

    /// Whether one more may enter: the longest-idle one makes room where there is none.
    fn has_room(&mut self) -> bool {
        self.connections.len() < self.context.options.read().connections_max || self.evict()
    }

    /// Closes the connection that has been idle for longest; false where none is idle.
    fn evict(&mut self) -> bool {
        let idle = self.connections.iter().filter_map(|(n, c)| Some((c.idle_since()?, *n)));
        let Some((_, longest)) = idle.min() else { return false };
        self.context.telemetry.connections_evicted.increment();
        self.close_connection(longest);
        true
    }

    fn enter(&mut self, socket: PeerSocket, now: Instant) {
        self.has_failed = false;
        self.last_number += 1;
        let number = self.last_number;
        if let Err(error) = self.watch.add(&socket, number, Interest::Both) {
            self.context.telemetry.connections_refused.increment();
            self.context.log.warn("a connection cannot be watched", &[("error", &error)]);
            return;
        }
        let connection = Connection::new(number, socket, now, &self.context);
        self.connections.insert(number, connection);
        self.context.telemetry.connections_open.raise(1);
        self.context.telemetry.connections_accepted.increment();
        self.drive(number, now);
    }
}
