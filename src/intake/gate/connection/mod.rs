//! One foreign connection: its requests, one after the other, each complete before a worker has it.
//!
//! A connection never waits. It goes as far as the bytes that are there take it, says what it needs
//! to go on, and is called again when that has come:
//!
//! ```text
//!        ┌──────────────────────────────────────────────────────────────┐
//! Idle ─▶ Head ─▶ Length | Chunked ─▶ Whole ─▶ [InLine] ─▶ Exchanging ─▶ Answering ┴▶ (closed)
//!           └────────────┴──────────────┴─▶ refused: Answering ─▶ Lingering ─▶ (closed)
//! ```
//!
//! Between two requests it holds no buffer of any size, so that thousands may be idle.

mod answer;
mod body;

use super::Options;
use super::budget::{Budget, Lease};
use super::chunked::Chunked;
use super::head::{self, Framing, Head, Method, Sender};
use super::input::Input;
use super::lanes::Request;
use super::refusal::Refusal;
use super::stream::{Moved, Stream};
use crate::current::Live;
use crate::intake::gate::auth::Auth;
use crate::limits::KIB;
use crate::observe::log::Log;
use crate::observe::telemetry::Telemetry;
use crate::status::Status;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What all connections share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) options: Live<Options>,
    pub(super) budget: Arc<Budget>,
    /// What a worker asks for.
    pub(super) key: String,
    pub(super) auth: Live<Auth>,
    pub(super) telemetry: Arc<Telemetry>,
    pub(super) status: Arc<Status>,
    pub(super) log: Arc<Log>,
}

/// How long a request may wait for a free lane to a worker.
const LANE_PATIENCE: Duration = Duration::from_secs(30);
/// What a connection keeps of its small buffers between two requests, in bytes.
const KEPT_BYTES_MAX: usize = KIB;

/// Where a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Between two requests.
    Idle,
    /// Within a head.
    Head,
    /// Within a body of so many bytes.
    Length(usize),
    /// Within a chunked body.
    Chunked(Chunked),
    /// With a whole request that has no lane yet.
    Whole,
    /// The same, in line for one.
    InLine,
    /// With a request at the workers.
    Exchanging,
    /// So many bytes of the answer are written.
    Answering(usize),
    /// Refused: so many bytes were dropped since.
    Lingering(usize),
}

/// What a connection needs to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// A change of its socket, the end of its time, or the answer of its lane.
    Change,
    /// Nothing but a turn: it has had more than its share of this one.
    Turn,
    /// A lane for its whole request.
    Lane,
    /// Nothing any more: it is to be closed.
    End,
}

/// One turn of the gate, and what its connections use in it.
#[derive(Debug)]
pub(super) struct Turn<'t> {
    pub(super) now: Instant,
    pub(super) shared: &'t Shared,
    pub(super) input: &'t mut Input,
    /// No further request is begun.
    pub(super) is_closing: bool,
    /// So many connections are to end behind their answer, because their bound was lowered.
    pub(super) excess: &'t mut usize,
}

/// What a step of a connection came to.
enum Step {
    /// The next one can be made.
    Next,
    /// Something must come first.
    Need(Need),
}

/// Why a request goes no further.
enum Stop {
    /// Its connection is over, and there is nobody to tell.
    Silent,
    Refused(Refusal),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Stop {
        Stop::Refused(refusal)
    }
}

impl From<io::Error> for Stop {
    /// A socket that is broken has nobody behind it.
    fn from(_: io::Error) -> Stop {
        Stop::Silent
    }
}

/// What becomes of a connection behind its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    Idle,
    Close,
    Linger,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Connection {
    stream: Stream,
    /// Those that the request in hand began with.
    options: Arc<Options>,
    state: State,
    /// When its patience ends, in whichever state it is.
    pub(super) deadline: Instant,
    /// When its request began, or when it became idle.
    since: Instant,
    /// There may be bytes to be read.
    is_readable: bool,
    /// The peer has ended its sending.
    is_ending: bool,
    /// Bytes that came and are not used yet, between two turns.
    received: Vec<u8>,
    head: Head,
    /// The head that goes to the worker.
    private: Vec<u8>,
    body: Vec<u8>,
    lease: Lease,
    pub(super) answer: Vec<u8>,
    /// When the client must have taken all of its answer.
    answer_ends: Instant,
    after: After,
}

impl Connection {
    pub(super) fn new(stream: Stream, now: Instant, shared: &Shared) -> Connection {
        let options = shared.options.read();
        Connection {
            stream,
            state: State::Idle,
            deadline: now + options.idle_timeout,
            since: now,
            is_readable: true,
            is_ending: false,
            received: Vec::new(),
            head: Head::default(),
            private: Vec::new(),
            body: Vec::new(),
            lease: Lease::new(Arc::clone(&shared.budget), options.buffered_bytes_max),
            options,
            answer: Vec::new(),
            answer_ends: now,
            after: After::Idle,
        }
    }

    /// Since when it waits for a request; none while it has one.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        (self.state == State::Idle).then_some(self.since)
    }

    /// Its request is at the workers.
    pub(super) fn is_exchanging(&self) -> bool {
        self.state == State::Exchanging
    }

    /// The method of the request in hand.
    pub(super) fn method(&self) -> Method {
        self.head.method
    }

    /// Its request stands in line for a lane.
    pub(super) fn is_in_line(&mut self) {
        self.state = State::InLine;
    }

    /// Its turn has come; false where it no longer stands in line.
    pub(super) fn leaves_line(&self) -> bool {
        self.state == State::InLine
    }

    /// Its socket may have bytes.
    pub(super) fn note_readable(&mut self, is_ending: bool) {
        self.is_readable = true;
        self.is_ending |= is_ending;
    }

    /// Goes as far as it can.
    pub(super) fn go_on(&mut self, turn: &mut Turn<'_>) -> Need {
        turn.input.begin(&mut self.received);
        let need = loop {
            match self.step(turn) {
                Ok(Step::Next) => {}
                Ok(Step::Need(need)) => break need,
                Err(Stop::Silent) => break Need::End,
                Err(Stop::Refused(refusal)) => self.refuse(&refusal, turn),
            }
        };
        turn.input.end(&mut self.received);
        need
    }

    fn step(&mut self, turn: &mut Turn<'_>) -> Result<Step, Stop> {
        match self.state {
            State::Idle => self.begin(turn),
            State::Head => self.read_head(turn),
            State::Length(length) => self.read_length(length, turn),
            State::Chunked(chunked) => self.read_chunked(chunked, turn),
            State::Whole => Ok(Step::Need(Need::Lane)),
            State::InLine | State::Exchanging => Ok(Step::Need(Need::Change)),
            State::Answering(written) => self.write_answer(written, turn),
            State::Lingering(dropped) => self.linger(dropped, turn),
        }
    }

    /// Its time is over: what it needs then.
    pub(super) fn expire(&mut self, turn: &mut Turn<'_>) -> Need {
        let options = &self.options;
        let refusal = match self.state {
            State::Head => Refusal::TimedOut { what: "request head", after: options.head_timeout },
            State::Length(_) | State::Chunked(_) => {
                Refusal::TimedOut { what: "body", after: options.body_timeout }
            }
            State::Whole | State::InLine => Refusal::NoWorker,
            State::Idle | State::Exchanging | State::Answering(_) | State::Lingering(_) => {
                return Need::End;
            }
        };
        self.refuse(&refusal, turn);
        self.go_on(turn)
    }

    /// Waits for the first byte of a request.
    fn begin(&mut self, turn: &mut Turn<'_>) -> Result<Step, Stop> {
        if turn.input.is_empty() {
            match self.fill(turn)? {
                Some(0) => return Ok(Step::Need(Need::End)),
                Some(_) => {}
                None if turn.is_closing => return Ok(Step::Need(Need::End)),
                None => return Ok(Step::Need(Need::Change)),
            }
        }
        self.options = turn.shared.options.read();
        self.since = turn.now;
        self.deadline = turn.now + self.options.head_timeout;
        self.state = State::Head;
        Ok(Step::Next)
    }

    fn read_head(&mut self, turn: &mut Turn<'_>) -> Result<Step, Stop> {
        if let Some(head) = head::read(turn.input.rest(), &mut self.private)? {
            self.head = head;
            return self.begin_body(turn);
        }
        match self.fill(turn)? {
            Some(0) => Ok(Step::Need(Need::End)),
            Some(_) => Ok(Step::Next),
            None => Ok(self.awaits_bytes()),
        }
    }

    fn begin_body(&mut self, turn: &mut Turn<'_>) -> Result<Step, Stop> {
        let (head, auth) = (&self.head, turn.shared.auth.read());
        let credentials = head.authorization.clone().and_then(|range| turn.input.rest().get(range));
        if !head.is_probe && !auth.admits(credentials) {
            return Err(Refusal::Unauthorized { challenges: auth.challenges() }.into());
        }
        let bytes_max = self.options.body_bytes_max;
        if matches!(head.framing, Framing::Length(length) if length > bytes_max) {
            return Err(Refusal::BodyTooLarge { bytes_max }.into());
        }
        turn.input.consume(head.len);
        let has_body = head.framing != Framing::Length(0);
        if has_body && head.expects_continue && turn.input.is_empty() {
            // OK because a socket of which nothing is unread yet takes a line.
            self.stream.write(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        self.deadline = turn.now + self.options.body_timeout;
        self.lease = Lease::new(Arc::clone(&turn.shared.budget), self.options.buffered_bytes_max);
        self.body = turn.input.spare();
        self.state = match head.framing {
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::Chunked(Chunked::Size),
        };
        Ok(Step::Next)
    }

    /// The request is whole: from here on only a worker is missing.
    fn has_request(&mut self, turn: &Turn<'_>) -> Step {
        self.deadline = turn.now + LANE_PATIENCE;
        self.state = State::Whole;
        Step::Next
    }

    /// What a lane is to send: the head anew, and the body where it is a push.
    pub(super) fn request(&mut self, number: u64, shared: &Shared) -> Request<'_> {
        let method = self.head.method;
        if !method.is_push() {
            self.body.clear();
        }
        let sender = Sender { key: &shared.key, number };
        head::write_end(&mut self.private, sender, self.body.len());
        Request { method, head: &self.private, body: &mut self.body }
    }

    /// The request is on its way to the workers. The answer of a worker has no deadline: each push
    /// has its own in the queue.
    pub(super) fn is_sent(&mut self, turn: &mut Turn<'_>) {
        const LONG: Duration = Duration::from_secs(24 * 3600);
        self.state = State::Exchanging;
        self.deadline = turn.now + LONG;
        self.private.clear();
        self.private.shrink_to(KEPT_BYTES_MAX);
        turn.input.give_back(std::mem::take(&mut self.body));
    }

    /// Takes more bytes from the client: how many, 0 at the end; none where there are none now, or
    /// where it has had its share of this turn.
    fn fill(&mut self, turn: &mut Turn<'_>) -> io::Result<Option<usize>> {
        if !self.may_read(turn) {
            return Ok(None);
        }
        let room = turn.input.room();
        match turn.input.fill(&self.stream)? {
            Moved::Nothing => {
                self.is_readable = false;
                Ok(None)
            }
            Moved::Bytes(count) => {
                self.note_read(count, room);
                Ok(Some(count))
            }
        }
    }

    fn may_read(&self, turn: &mut Turn<'_>) -> bool {
        self.is_readable && turn.input.take_share()
    }

    /// A stream that gave less than there was room for has no more now, unless its end is near.
    fn note_read(&mut self, count: usize, room: usize) {
        self.is_readable = count == room || self.is_ending;
    }

    /// Bytes must come first; where they may be there already, a turn must.
    fn awaits_bytes(&self) -> Step {
        Step::Need(if self.is_readable { Need::Turn } else { Need::Change })
    }
}
