//! How a connection goes on: from one state to the next, until it needs what is not there yet.

use super::super::chunked::Chunked;
use super::super::head::{self, Framing};
use super::super::probe;
use super::super::refusal::Refusal;
use super::super::seats::Seat;
use super::super::socket::Moved;
use super::handshake::is_hello;
use super::state::{Abort, After, Connection, Need, State, Step, Turn};
use crate::intake::bridge::Body;
use crate::limits::FREE_BODY_BYTES;
use crate::observe::telemetry::HandshakeOutcome;
use crate::system::now_ns;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// How long a request may wait for a free worker.
const WORKER_PATIENCE: Duration = Duration::from_secs(30);
/// The answer of a worker that has the request has no deadline: each push has its own in the queue.
const NO_DEADLINE: Duration = Duration::from_secs(24 * 3600);

impl Connection {
    /// Goes as far as it can.
    pub(crate) fn go_on(&mut self, turn: &mut Turn<'_>) -> Need {
        // What waits there is of an answer, or of a session.
        if self.wire.flush().is_err() {
            return Need::End;
        }
        turn.buffer.begin(&mut self.received.bytes);
        let need = loop {
            match self.step(turn) {
                Ok(Step::Next) => {}
                Ok(Step::Need(need)) => break need,
                Err(Abort::Silent) => break Need::End,
                Err(Abort::Refused(refusal)) => self.refuse(&refusal, turn),
            }
        };
        turn.buffer.end(&mut self.received.bytes);
        if self.has_memory_for_received(turn) { need } else { self.drop_received(turn) }
    }

    /// What is left for the next turn is mostly nothing, or a part of a head. More than that is
    /// requests that were sent ahead: they take memory as bodies do.
    fn has_memory_for_received(&mut self, turn: &Turn<'_>) -> bool {
        let (budget, bytes) = (&turn.context.budget, self.received.bytes.len());
        if bytes <= FREE_BODY_BYTES {
            self.received.release();
            return true;
        }
        self.received.begin(Arc::clone(budget), self.options.buffered_bytes_max);
        self.received.cover(bytes)
    }

    /// Requests that were sent ahead are not served: the connection ends after the answer in hand.
    fn drop_received(&mut self, turn: &mut Turn<'_>) -> Need {
        self.received.clear(0);
        if !matches!(self.state, State::Exchanging | State::Answering(_)) {
            return Need::End;
        }
        self.leave(After::Close, turn);
        Need::Change
    }

    fn step(&mut self, turn: &mut Turn<'_>) -> Result<Step, Abort> {
        match self.state {
            State::Idle | State::Handshake if self.wire.is_shaking_hands() => {
                self.shake_hands(turn)
            }
            State::Idle | State::Handshake => self.begin(turn),
            State::Head => self.read_head(turn),
            State::Length(length) => self.read_length(length, turn),
            State::Chunked(chunked) => self.read_chunked(chunked, turn),
            State::Exchanging => Ok(Step::Need(Need::Change)),
            State::Answering(written) => self.write_answer(written, turn),
            State::Lingering(dropped) => self.linger(dropped, turn),
        }
    }

    /// Its deadline has passed: what it needs then.
    pub(crate) fn expire(&mut self, turn: &mut Turn<'_>) -> Need {
        let options = &self.options;
        let refusal = match self.state {
            State::Head => Refusal::TimedOut { what: "request head", after: options.head_timeout },
            State::Length(_) | State::Chunked(_) => {
                Refusal::TimedOut { what: "body", after: options.body_timeout }
            }
            State::Exchanging if turn.bridge.withdraw(self.number) => Refusal::NoWorker,
            State::Exchanging => {
                self.deadline = turn.now + NO_DEADLINE;
                return Need::Change;
            }
            State::Handshake => {
                self.handshake_ends(HandshakeOutcome::TimedOut, turn);
                return Need::End;
            }
            State::Idle | State::Answering(_) | State::Lingering(_) => return Need::End,
        };
        self.refuse(&refusal, turn);
        self.go_on(turn)
    }

    /// Waits for the first byte of a request.
    fn begin(&mut self, turn: &mut Turn<'_>) -> Result<Step, Abort> {
        if turn.buffer.is_empty() {
            match self.fill(turn)? {
                Some(0) => return Ok(Step::Need(Need::End)),
                Some(_) => {}
                // It has had its share of this turn.
                None if self.is_readable => return Ok(Step::Need(Need::Turn)),
                None if turn.is_closing => return Ok(Step::Need(Need::End)),
                None => return Ok(Step::Need(Need::Change)),
            }
        }
        self.options = turn.context.options.read();
        self.request = turn.bridge.spare();
        self.is_new = false;
        self.since = turn.now;
        self.deadline = turn.now + self.options.head_timeout;
        self.state = State::Head;
        Ok(Step::Next)
    }

    fn read_head(&mut self, turn: &mut Turn<'_>) -> Result<Step, Abort> {
        if self.wire.is_plain_by_mistake() {
            return Err(self.spoke_without_tls(turn).into());
        }
        if is_hello(turn.buffer.rest()) && !self.wire.is_sealed() {
            return Err(self.spoke_tls(turn).into());
        }
        if let Some(head) = head::read(turn.buffer.rest(), &mut self.request)? {
            self.head = head;
            return self.begin_body(turn);
        }
        match self.fill(turn)? {
            Some(0) => Ok(Step::Need(Need::End)),
            Some(_) => Ok(Step::Next),
            None => Ok(self.awaits_bytes()),
        }
    }

    fn begin_body(&mut self, turn: &mut Turn<'_>) -> Result<Step, Abort> {
        let (head, auth) = (&self.head, turn.context.auth.read());
        let credentials =
            head.authorization.clone().and_then(|range| turn.buffer.rest().get(range));
        let secrets = auth.of(&self.request.target);
        if head.probe.is_none() && !secrets.admit(credentials) {
            return Err(Refusal::Unauthorized { challenges: secrets.challenges() }.into());
        }
        if head.probe.is_none() && self.seat == Seat::Newcomer {
            // Its head is read once more, then.
            return Ok(Step::Need(Need::Seat));
        }
        let bytes_max = self.options.body_bytes_max;
        if matches!(head.framing, Framing::Length(length) if length > bytes_max) {
            return Err(Refusal::BodyTooLarge { bytes_max }.into());
        }
        turn.buffer.consume(head.len);
        if head.framing == Framing::Length(0) {
            return Ok(self.send_request(turn));
        }
        if head.expects_continue && turn.buffer.is_empty() {
            // OK because a socket of which nothing is unread yet takes a line.
            self.wire.write(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        self.deadline = turn.now + self.options.body_timeout;
        let budget = Arc::clone(&turn.context.budget);
        self.request.body.begin(budget, self.options.buffered_bytes_max);
        self.state = match head.framing {
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::Chunked(Chunked::Size),
        };
        Ok(Step::Next)
    }

    /// The request is whole: a worker gets it, with its body where it is a push, unless the gate
    /// answers it.
    pub(super) fn send_request(&mut self, turn: &mut Turn<'_>) -> Step {
        if let Some(probe) = self.head.probe {
            turn.bridge.give_back(std::mem::take(&mut self.request));
            self.is_answered(probe::answer(probe, &turn.context.status), turn);
            return Step::Next;
        }
        let mut request = std::mem::take(&mut self.request);
        if !request.method.is_push() {
            request.body = Body::default();
        }
        request.client.clone_from(&self.client);
        request.received_ns = now_ns();
        turn.bridge.send(self.number, request);
        self.state = State::Exchanging;
        self.deadline = turn.now + WORKER_PATIENCE;
        Step::Need(Need::Change)
    }

    /// Takes more bytes from the client: how many, 0 at the end; none where there are none now, or
    /// where it has had its share of this turn.
    pub(super) fn fill(&mut self, turn: &mut Turn<'_>) -> io::Result<Option<usize>> {
        if !self.may_read(turn) {
            return Ok(None);
        }
        let room = turn.buffer.room();
        match turn.buffer.fill(&mut self.wire)? {
            Moved::Nothing => {
                self.is_readable = false;
                Ok(None)
            }
            Moved::Framing => {
                self.note_read(0, room);
                Ok(None)
            }
            Moved::Bytes(count) => {
                self.note_read(count, room);
                Ok(Some(count))
            }
        }
    }

    pub(super) fn may_read(&self, turn: &mut Turn<'_>) -> bool {
        self.is_readable && turn.buffer.take_share()
    }

    /// Notes whether there may be more to read. There is once the peer has stopped sending: the end
    /// is still to be read.
    pub(super) fn note_read(&mut self, count: usize, room: usize) {
        self.is_readable = self.wire.may_have_more(count, room) || self.is_ending;
    }

    /// Bytes must come first; where they may be there already, a turn must.
    pub(super) fn awaits_bytes(&self) -> Step {
        Step::Need(if self.is_readable { Need::Turn } else { Need::Change })
    }
}
