//! What a connection is made of, and the states that it goes through.

use super::super::admission::Admission;
use super::super::chunked::Chunked;
use super::super::context::GateContext;
use super::super::head::Head;
use super::super::notices::Notices;
use super::super::options::GateOptions;
use super::super::read_buffer::ReadBuffer;
use super::super::refusal::Refusal;
use super::super::seats::{Seat, Seats};
use super::super::wire::PeerWire;
use crate::intake::bridge::{AnswerLease, Body, GateEnd, Request};
use std::borrow::Cow;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Between two requests, or before anything came.
    Idle,
    /// Within the handshake of TLS.
    Handshake,
    /// Within a head.
    Head,
    /// Within a body of so many bytes.
    Length(usize),
    /// Within a chunked body.
    Chunked(Chunked),
    /// With a request at the workers.
    Exchanging,
    /// So many bytes of the answer are written.
    Answering(usize),
    /// Refused: so many bytes were dropped since.
    Lingering(usize),
}

/// What a connection does, in the order in which they make room for another one: the first loses
/// least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum EvictionRank {
    /// Nothing: it is between two requests, or was refused.
    Ended,
    /// Its request is not whole.
    Unfinished,
    /// Its client does not read its answer.
    Unread,
}

/// How long a client may take nothing of its answer while others need its place.
const UNREAD_PATIENCE: Duration = Duration::from_secs(1);

/// What a connection needs to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// A change of its socket, its deadline, or the answer to its request.
    Change,
    /// Nothing but a turn: it has had its share of this one.
    Turn,
    /// To go on with its handshake, when it is its turn among those that do.
    Handshake,
    /// To be admitted with a large body of so many bytes: others come first.
    Admission(usize),
    /// A place, as it is a newcomer with a whole head.
    Seat,
    /// Nothing any more: it is to be closed.
    End,
}

/// One turn of the gate, and what its connections use in it.
#[derive(Debug)]
pub(crate) struct Turn<'t> {
    pub(crate) now: Instant,
    pub(crate) context: &'t GateContext,
    pub(crate) buffer: &'t mut ReadBuffer,
    pub(crate) bridge: &'t mut GateEnd,
    pub(crate) admission: &'t mut Admission,
    pub(crate) seats: &'t mut Seats,
    pub(crate) notices: &'t mut Notices,
    /// It is the connection's turn among those that shake hands.
    pub(crate) may_shake_hands: bool,
    /// No further request is begun.
    pub(crate) is_closing: bool,
}

/// What a step of a connection came to.
pub(super) enum Step {
    /// The next one can be made.
    Next,
    /// Something must come first.
    Need(Need),
}

/// Why a request goes no further.
pub(super) enum Abort {
    /// Its connection has ended, and there is nobody to tell.
    Silent,
    Refused(Refusal),
}

impl From<Refusal> for Abort {
    fn from(refusal: Refusal) -> Abort {
        Abort::Refused(refusal)
    }
}

impl From<io::Error> for Abort {
    /// Nobody reads an answer on a socket that is broken.
    fn from(_: io::Error) -> Abort {
        Abort::Silent
    }
}

/// What becomes of a connection after its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    Idle,
    Close,
    Linger,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Connection {
    /// What the gate and the bridge know it by.
    pub(super) number: u64,
    pub(super) wire: PeerWire,
    /// The name in the certificate of its client.
    pub(super) client: Option<Arc<str>>,
    /// Its handshake is done, and no request has begun.
    pub(super) is_new: bool,
    pub(crate) seat: Seat,
    /// It has had its share of a turn, and goes on in one of the next ones.
    pub(crate) waits_for_turn: bool,
    /// Those that the request in hand began with.
    pub(super) options: Arc<GateOptions>,
    pub(super) state: State,
    /// When its patience ends, in whichever state it is.
    pub(crate) deadline: Instant,
    /// When its request began, or when it became idle.
    pub(super) since: Instant,
    /// There may be bytes to be read.
    pub(super) is_readable: bool,
    /// The peer has ended its sending.
    pub(super) is_ending: bool,
    /// Bytes that came and are not used yet, between two turns: counted as a body is.
    pub(super) received: Body,
    pub(super) head: Head,
    /// What a worker is to get, as soon as the body is whole.
    pub(super) request: Request,
    /// What its large body was admitted with, until it is answered; 0 without.
    pub(super) admitted: usize,
    pub(super) answer: OutgoingAnswer,
    /// When the client must have taken all of its answer.
    pub(super) answer_ends: Instant,
    /// When it last took some of it.
    pub(super) taken_at: Instant,
    pub(super) after: After,
}

/// The bytes of an answer.
#[derive(Debug, Default)]
pub(super) struct OutgoingAnswer {
    /// The head, with the body where that is small.
    pub(super) head: Vec<u8>,
    /// A large body, which is not copied.
    pub(super) body: Cow<'static, [u8]>,
    /// What a large body takes of the budget.
    pub(super) lease: Option<AnswerLease>,
}

impl Connection {
    /// A newcomer, unless it is given another place.
    pub(crate) fn new(
        number: u64,
        wire: PeerWire,
        now: Instant,
        context: &GateContext,
    ) -> Connection {
        let options = context.options.read();
        Connection {
            number,
            wire,
            client: None,
            is_new: false,
            seat: Seat::Newcomer,
            waits_for_turn: false,
            state: State::Idle,
            deadline: now + options.idle_timeout,
            since: now,
            is_readable: true,
            is_ending: false,
            received: Body::default(),
            head: Head::default(),
            request: Request::default(),
            admitted: 0,
            options,
            answer: OutgoingAnswer::default(),
            answer_ends: now,
            taken_at: now,
            after: After::Idle,
        }
    }

    /// What it does, and since when; none while its request is at the workers, or its client takes
    /// its answer.
    pub(crate) fn rank(&self, now: Instant) -> Option<(EvictionRank, Instant)> {
        match self.state {
            // Its head is about to come, or has come and is not read yet.
            State::Idle if self.is_new || self.waits_for_turn => {
                Some((EvictionRank::Unfinished, self.since))
            }
            State::Idle | State::Lingering(_) => Some((EvictionRank::Ended, self.since)),
            State::Handshake | State::Head | State::Length(_) | State::Chunked(_) => {
                Some((EvictionRank::Unfinished, self.since))
            }
            State::Answering(_) if now >= self.taken_at + UNREAD_PATIENCE => {
                Some((EvictionRank::Unread, self.taken_at))
            }
            State::Answering(_) | State::Exchanging => None,
        }
    }

    /// Since when it waits for a request; none while it has one.
    pub(crate) fn idle_since(&self) -> Option<Instant> {
        matches!(self.state, State::Idle | State::Handshake).then_some(self.since)
    }

    /// Whether an answer can be given to what came of its request.
    pub(crate) fn is_within_request(&self) -> bool {
        matches!(self.state, State::Head | State::Length(_) | State::Chunked(_))
    }

    /// Its request is at the workers.
    pub(crate) fn is_exchanging(&self) -> bool {
        self.state == State::Exchanging
    }

    /// Whether it ends after its answer.
    pub(crate) fn is_leaving(&self) -> bool {
        self.after != After::Idle
    }

    /// Its socket may have bytes.
    pub(crate) fn note_readable(&mut self, is_ending: bool) {
        self.is_readable = true;
        self.is_ending |= is_ending;
    }
}
