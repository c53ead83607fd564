//! The thread of the gate: changes of sockets → connections and lanes that go on.
//!
//! Nothing in it ever waits but for a change of some socket or for the next deadline; so no peer,
//! slow or hostile, holds up another, and a connection costs memory but no thread. Each turn takes
//! the changes, lets what changed go on, gives free lanes to whole requests in the order in which
//! they came, and accepts.

use super::connection::{Connection, Need, Shared, Turn};
use super::input::Input;
use super::lanes::Lanes;
use super::refusal::Refusal;
use super::stream::{Listener, Stream};
use crate::intake::bridge::{Answered, Answers};
use crate::system::{Change, Interest, Watch};
use std::collections::HashMap;
use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};

/// The pause after an `accept` that failed: descriptors or memory may come back.
const FAILURE_PAUSE: Duration = Duration::from_millis(50);

/// Tokens: lanes have their index, then listeners, then the bells; connections have the rest, and
/// none is ever used twice, so that what comes late for one never reaches another.
const FIRST_LISTENER: u64 = 1 << 20;
const BELL: u64 = 1 << 21;
const ANSWERS: u64 = BELL + 1;
const FIRST_CONNECTION: u64 = 1 << 22;

/// A listening socket, and the connection that waits for room.
#[derive(Debug)]
struct Door {
    listener: Listener,
    /// There may be connections to accept.
    is_ready: bool,
    /// Accepted, but there is no room yet.
    lobby: Option<Stream>,
}

/// What the gate is told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// More connections may be open than before, or fewer.
    KeepBound,
    /// Close; what is in hand has until then.
    Close(Instant),
}

/// How it is told.
#[derive(Debug)]
pub(super) struct Bell {
    /// A byte on it wakes the thread.
    pub(super) stream: UnixStream,
    pub(super) inbox: Receiver<Order>,
}

/// The way to the workers, and back.
#[derive(Debug)]
pub(super) struct Workers {
    pub(super) streams: Vec<UnixStream>,
    pub(super) answers: Arc<Answers>,
}

/// Everything that the thread owns.
#[derive(Debug)]
pub(super) struct Reactor {
    shared: Shared,
    watch: Watch,
    doors: Vec<Door>,
    bell: Bell,
    lanes: Lanes,
    answers: Arc<Answers>,
    /// Those that were taken last, emptied.
    taken: Vec<Answered>,
    connections: HashMap<u64, Connection>,
    last_number: u64,
    input: Input,
    /// Connections that go on without a change.
    tired: Vec<u64>,
    /// No deadline of a connection is before this.
    next_deadline: Option<Instant>,
    /// No `accept` before this.
    accept_again: Option<Instant>,
    /// The last `accept` failed, which is told once.
    has_failed: bool,
    /// More connections are open than may, none of them idle: so many end behind their answer.
    excess: usize,
    /// When everything that is in hand is cut off, once the gate closes.
    closes_at: Option<Instant>,
}

impl Reactor {
    /// Has everything watched.
    pub(super) fn new(
        shared: Shared,
        listeners: Vec<Listener>,
        workers: Workers,
        bell: Bell,
    ) -> io::Result<Reactor> {
        let watch = Watch::new()?;
        let Workers { streams, answers } = workers;
        let lanes = Lanes::new(streams, &watch)?;
        watch.add(answers.bell(), ANSWERS, Interest::Readable)?;
        let mut doors = Vec::new();
        for (listener, token) in listeners.into_iter().zip(FIRST_LISTENER..) {
            listener.prepare()?;
            watch.add(&listener, token, Interest::Readable)?;
            doors.push(Door { listener, is_ready: true, lobby: None });
        }
        bell.stream.set_nonblocking(true)?;
        watch.add(&bell.stream, BELL, Interest::Readable)?;
        Ok(Reactor {
            shared,
            watch,
            doors,
            bell,
            lanes,
            answers,
            taken: Vec::new(),
            connections: HashMap::new(),
            last_number: FIRST_CONNECTION,
            input: Input::new(),
            tired: Vec::new(),
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
    /// The system refuses to wait.
    pub(super) fn run(mut self) -> io::Result<usize> {
        let mut changes = Vec::new();
        loop {
            self.watch.wait(self.patience(), &mut changes)?;
            let now = Instant::now();
            for change in &changes {
                self.take(*change, now)?;
            }
            for number in std::mem::take(&mut self.tired) {
                self.drive(number, now);
            }
            self.accept(now);
            if self.next_deadline.is_some_and(|deadline| deadline <= now) {
                self.expire(now);
            }
            if let Some(deadline) = self.closes_at
                && (self.connections.is_empty() || deadline <= now)
            {
                let telemetry = &self.shared.telemetry;
                telemetry.connections_open.lower(self.connections.len() as u64);
                return Ok(self.connections.len());
            }
        }
    }

    /// How long there is nothing to do but for a change.
    fn patience(&self) -> Option<Duration> {
        if !self.tired.is_empty() {
            return Some(Duration::ZERO);
        }
        let next = [self.next_deadline, self.accept_again, self.closes_at].into_iter().flatten();
        next.min().map(|next| next.saturating_duration_since(Instant::now()))
    }

    fn take(&mut self, change: Change, now: Instant) -> io::Result<()> {
        match change.token {
            BELL => self.ring(now),
            ANSWERS => self.relay(now),
            token if token >= FIRST_CONNECTION => {
                if let Some(connection) = self.connections.get_mut(&token)
                    && change.is_readable
                {
                    connection.note_readable(change.is_ending);
                }
                self.drive(token, now);
            }
            token if token >= FIRST_LISTENER => {
                let index = usize::try_from(token - FIRST_LISTENER).unwrap_or(usize::MAX);
                if let Some(door) = self.doors.get_mut(index) {
                    door.is_ready = true;
                }
            }
            lane => {
                let index = usize::try_from(lane).unwrap_or(usize::MAX);
                return self.drive_lane(index, change.is_readable, now);
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
        let Reactor { connections, shared, input, lanes, watch, closes_at, excess, .. } = self;
        let Some(connection) = connections.get_mut(&number) else { return };
        let mut turn = Turn { now, shared, input, is_closing: closes_at.is_some(), excess };
        let mut need = act(connection, &mut turn);
        if need == Need::Lane {
            need = if lanes.is_free_for(connection.method(), number) {
                exchange(lanes, watch, (number, connection), &mut turn)
            } else {
                connection.is_in_line();
                Need::Change
            };
        }
        let deadline = connection.deadline;
        match need {
            Need::End => return self.close_connection(number),
            Need::Turn => self.tired.push(number),
            Need::Change | Need::Lane => {}
        }
        self.next_deadline = Some(self.next_deadline.map_or(deadline, |next| next.min(deadline)));
    }

    /// Lets a lane go on that was full.
    ///
    /// # Errors
    /// It broke, which is a defect: no request can be trusted to it.
    fn drive_lane(&mut self, index: usize, is_readable: bool, now: Instant) -> io::Result<()> {
        if is_readable {
            let bytes = self.lanes.clear(index)?;
            // tiny_http answers by itself for a worker that was lost with its request.
            self.shared.log.error("an answer came the wrong way", &[("bytes", &bytes)]);
        }
        self.lanes.go_on(index, &self.watch)?;
        while let Some(number) = self.lanes.next_in_line() {
            self.give_lane(number, now);
        }
        Ok(())
    }

    /// Sends the request of a connection whose turn has come.
    fn give_lane(&mut self, number: u64, now: Instant) {
        let Reactor { connections, shared, input, lanes, watch, closes_at, excess, .. } = self;
        let Some(connection) = connections.get_mut(&number).filter(|it| it.leaves_line()) else {
            return;
        };
        let mut turn = Turn { now, shared, input, is_closing: closes_at.is_some(), excess };
        if exchange(lanes, watch, (number, connection), &mut turn) == Need::End {
            self.close_connection(number);
        }
    }

    /// Relays the answers of the workers.
    fn relay(&mut self, now: Instant) {
        let mut taken = std::mem::take(&mut self.taken);
        self.answers.take(&mut taken);
        for Answered { connection: number, text } in taken.drain(..) {
            self.with(number, now, |connection, turn| {
                if connection.is_exchanging() {
                    connection.answer.clear();
                    connection.answer.extend_from_slice(text.as_bytes());
                    connection.is_answered(turn);
                }
                connection.go_on(turn)
            });
        }
        self.taken = taken;
    }

    fn close_connection(&mut self, number: u64) {
        if let Some(connection) = self.connections.remove(&number) {
            self.shared.telemetry.connections_open.lower(1);
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

    fn ring(&mut self, now: Instant) {
        let mut bytes = [0; 16];
        while matches!(self.bell.stream.read(&mut bytes), Ok(1..)) {}
        loop {
            match self.bell.inbox.try_recv() {
                Ok(Order::KeepBound) => self.keep_bound(),
                Ok(Order::Close(deadline)) => self.begin_to_close(deadline, now),
                Err(TryRecvError::Empty) => return,
                // Whoever could close it is gone: so is the process.
                Err(TryRecvError::Disconnected) => return self.begin_to_close(now, now),
            }
        }
    }

    /// Makes a new bound hold: idle connections beyond it are closed, the longest-idle first, and
    /// where those are not enough, others end behind their next answer.
    fn keep_bound(&mut self) {
        let connections_max = self.shared.options.read().connections_max;
        while self.connections.len() > connections_max && self.evict() {}
        self.excess = self.connections.len().saturating_sub(connections_max);
    }

    /// Nothing is accepted any more, what is idle ends, and what is in hand has until the deadline.
    fn begin_to_close(&mut self, deadline: Instant, now: Instant) {
        self.closes_at = Some(deadline);
        self.doors.clear();
        let is_idle = |(_, connection): &(&u64, &Connection)| connection.idle_since().is_some();
        let idle: Vec<u64> = self.connections.iter().filter(is_idle).map(|(n, _)| *n).collect();
        for number in idle {
            if let Some(connection) = self.connections.get_mut(&number) {
                // What came before the bell is in hand, if nobody has looked at it yet.
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
        for index in 0..self.doors.len() {
            while let Some(stream) = self.knock(index, now) {
                if self.has_room() {
                    self.enter(stream, now);
                } else if let Some(door) = self.doors.get_mut(index) {
                    door.lobby = Some(stream);
                    break;
                }
            }
        }
    }

    /// The next connection of a listener.
    fn knock(&mut self, index: usize, now: Instant) -> Option<Stream> {
        let door = self.doors.get_mut(index)?;
        if let Some(stream) = door.lobby.take() {
            return Some(stream);
        }
        if !door.is_ready {
            return None;
        }
        match door.listener.accept() {
            Ok(None) => {
                door.is_ready = false;
                None
            }
            Ok(stream) => stream,
            Err(error) => {
                self.shared.telemetry.accept_errors.increment();
                if !self.has_failed {
                    self.shared.log.warn("cannot accept, trying again", &[("error", &error)]);
                }
                self.has_failed = true;
                self.accept_again = Some(now + FAILURE_PAUSE);
                None
            }
        }
    }

    /// Whether one more may enter: the longest-idle one makes room where there is none.
    fn has_room(&mut self) -> bool {
        self.connections.len() < self.shared.options.read().connections_max || self.evict()
    }

    /// Closes the connection that has been idle for longest; false where none is idle.
    fn evict(&mut self) -> bool {
        let idle = self.connections.iter().filter_map(|(n, c)| Some((c.idle_since()?, *n)));
        let Some((_, longest)) = idle.min() else { return false };
        self.shared.telemetry.connections_evicted.increment();
        self.close_connection(longest);
        true
    }

    fn enter(&mut self, stream: Stream, now: Instant) {
        self.has_failed = false;
        self.last_number += 1;
        let number = self.last_number;
        if let Err(error) = self.watch.add(&stream, number, Interest::Both) {
            self.shared.telemetry.connections_refused.increment();
            self.shared.log.warn("a connection cannot be watched", &[("error", &error)]);
            return;
        }
        let connection = Connection::new(stream, now, &self.shared);
        self.connections.insert(number, connection);
        self.shared.telemetry.connections_open.raise(1);
        self.shared.telemetry.connections_accepted.increment();
        self.drive(number, now);
    }
}

/// Sends a whole request over a lane that is free; what its connection needs then.
fn exchange(
    lanes: &mut Lanes,
    watch: &Watch,
    (number, connection): (u64, &mut Connection),
    turn: &mut Turn<'_>,
) -> Need {
    match lanes.send(connection.request(number, turn.shared), watch) {
        Ok(()) => {
            connection.is_sent(turn);
            Need::Change
        }
        Err(error) => {
            turn.shared.log.error("a private connection broke", &[("error", &error)]);
            connection.refuse(&Refusal::NoAnswer, turn);
            connection.go_on(turn)
        }
    }
}
