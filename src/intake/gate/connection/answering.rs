//! The answer to a request, a worker's or the gate's own, and what becomes of the connection after
//! it.

use super::super::head::{self, Head, Persistence};
use super::super::read_buffer::READ_BYTES;
use super::super::refusal::Refusal;
use super::super::render;
use super::super::socket::Moved;
use super::super::wire::Flushed;
use super::state::{Abort, After, Connection, Need, OutgoingAnswer, State, Step, Turn};
use crate::intake::bridge::{Answer, AnswerLease, Method};
use crate::limits::{KEPT_BODY_BYTES_MAX, KIB};
use crate::push::route::Delivery;
use crate::system::now_ns;
use std::borrow::Cow;
use std::time::Duration;

/// How long a client may take nothing of its answer.
const WRITE_PATIENCE: Duration = Duration::from_secs(10);
/// How long, and how many bytes of an unread body, a refusal waits for the client to read it.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES_MAX: usize = 64 * 1024 * KIB;
/// Up to here a body is copied after its head: one write is cheaper than two.
const COPIED_BYTES_MAX: usize = 16 * KIB;
/// What a connection keeps of the buffer for heads between two requests, in bytes.
const KEPT_HEAD_BYTES_MAX: usize = KIB;

impl Connection {
    /// The answer of a worker has come.
    pub(crate) fn is_answered(&mut self, answer: Answer, turn: &mut Turn<'_>) {
        if !self.has_memory_for(&answer, turn) {
            let bytes_max = self.options.buffered_bytes_max;
            return self.refuse(&Refusal::OutOfMemory { bytes_max }, turn);
        }
        let must_end = turn.is_closing || self.is_leaving() || turn.seats.must_end(self.seat);
        let persistence = if must_end { Persistence::Close } else { self.head.persistence };
        let elapsed = turn.now.saturating_duration_since(self.since);
        turn.context.telemetry.answered(self.head.method.name(), answer.status, elapsed);
        if persistence == Persistence::Close {
            self.leave(After::Close, turn);
        }
        self.begin_answer(answer, persistence, turn);
    }

    /// The connection ends after its answer: one less of those that are too many.
    pub(super) fn leave(&mut self, after: After, turn: &mut Turn<'_>) {
        if !self.is_leaving() {
            turn.seats.ends(self.seat);
        }
        self.after = after;
    }

    /// Most answers are small. The lines of a dry run may be as many as the queue holds, a status
    /// has every group, and a client may be slow: more than an idle connection may keep is taken
    /// from the budget of the bodies in hand. What is borrowed takes no memory.
    fn has_memory_for(&mut self, answer: &Answer, turn: &Turn<'_>) -> bool {
        let is_held = matches!(answer.body, Cow::Owned(_));
        if answer.body.len() <= KEPT_BODY_BYTES_MAX || !is_held {
            return true;
        }
        let (budget, bytes_max) = (&turn.context.budget, self.options.buffered_bytes_max);
        self.answer.lease = AnswerLease::of(budget, answer.body.len(), bytes_max);
        self.answer.lease.is_some()
    }

    /// Answers instead of a worker; the connection is closed after that.
    pub(crate) fn refuse(&mut self, refusal: &Refusal, turn: &mut Turn<'_>) {
        let elapsed = turn.now.saturating_duration_since(self.since);
        self.note_start(turn);
        let Head { method, delivery, .. } = self.head;
        let telemetry = &turn.context.telemetry;
        telemetry.answered(method.name(), refusal.status(), elapsed);
        // No route is known here: each PUT and POST counts as a push, unless it is a dry run.
        if method.is_push() && delivery == Delivery::Output {
            telemetry.refused(refusal.reason());
        }
        turn.context.log.debug("request refused", &[("error", refusal)]);
        turn.context.status.turned_away(refusal.status(), refusal, now_ns());
        turn.bridge.give_back(std::mem::take(&mut self.request));
        self.leave(After::Linger, turn);
        self.begin_answer(refusal.answer(), Persistence::Close, turn);
    }

    /// Until a head is read, it is what the bytes begin with.
    fn note_start(&mut self, turn: &Turn<'_>) {
        if self.state == State::Head {
            let received = &self.received.bytes;
            let received = if received.is_empty() { turn.buffer.rest() } else { received };
            let (method, delivery) = head::start(received);
            self.head = Head { method, delivery, ..Head::default() };
        }
    }

    /// A client may take as long for its answer as for its body: slower, it would hold the memory
    /// of a large one.
    fn begin_answer(&mut self, answer: Answer, persistence: Persistence, turn: &mut Turn<'_>) {
        turn.admission.release(self.take_admitted());
        let OutgoingAnswer { head, body, .. } = &mut self.answer;
        head.clear();
        render::head(&answer, persistence, head);
        *body = if self.head.method == Method::Head { Cow::Borrowed(b"") } else { answer.body };
        if body.len() <= COPIED_BYTES_MAX {
            head.extend_from_slice(body);
            *body = Cow::Borrowed(b"");
        }
        self.answer_ends = turn.now + self.options.body_timeout;
        self.taken_at = turn.now;
        self.deadline = self.answer_ends.min(turn.now + WRITE_PATIENCE);
        self.state = State::Answering(0);
    }

    /// Writes what the client takes.
    pub(super) fn write_answer(
        &mut self,
        written: usize,
        turn: &mut Turn<'_>,
    ) -> Result<Step, Abort> {
        let OutgoingAnswer { head, body, .. } = &self.answer;
        let rest = match written.checked_sub(head.len()) {
            Some(written) => body.get(written..),
            None => head.get(written..),
        };
        match rest {
            Some(rest) if !rest.is_empty() => match self.wire.write(rest)? {
                Moved::Nothing | Moved::Framing => Ok(Step::Need(Need::Change)),
                Moved::Bytes(count) => {
                    self.note_taken(turn);
                    self.state = State::Answering(written + count);
                    // A client that reads as fast as this writes takes its turns with others.
                    let is_large = count > READ_BYTES && turn.buffer.is_shared();
                    Ok(if is_large { Step::Need(Need::Turn) } else { Step::Next })
                }
            },
            _ => match self.wire.flush()? {
                Flushed::All => Ok(self.end_answer(turn)),
                Flushed::Some => {
                    self.note_taken(turn);
                    Ok(Step::Need(Need::Change))
                }
                Flushed::Nothing => Ok(Step::Need(Need::Change)),
            },
        }
    }

    /// The client takes its answer: it has more time for the rest.
    fn note_taken(&mut self, turn: &Turn<'_>) {
        self.deadline = self.answer_ends.min(turn.now + WRITE_PATIENCE);
        self.taken_at = turn.now;
    }

    fn end_answer(&mut self, turn: &mut Turn<'_>) -> Step {
        let OutgoingAnswer { head, body, lease } = &mut self.answer;
        head.clear();
        head.shrink_to(KEPT_HEAD_BYTES_MAX);
        *body = Cow::Borrowed(b"");
        *lease = None;
        // A connection that is closed with unread bytes is reset, and the client might never see
        // its answer.
        let is_all_read = turn.buffer.is_empty() && !self.is_readable;
        match self.after {
            After::Idle => {
                self.since = turn.now;
                self.deadline = turn.now + turn.context.options.read().idle_timeout;
                self.state = State::Idle;
                // Requests that were sent ahead take their turns with those of others.
                let is_ahead = !turn.buffer.is_empty() && turn.buffer.is_shared();
                if is_ahead { Step::Need(Need::Turn) } else { Step::Next }
            }
            After::Close if is_all_read => Step::Need(Need::End),
            After::Close | After::Linger => {
                self.wire.end_writing();
                self.deadline = turn.now + LINGER;
                self.state = State::Lingering(0);
                Step::Next
            }
        }
    }

    /// Drops what the client still sends, for a little while.
    pub(super) fn linger(&mut self, dropped: usize, turn: &mut Turn<'_>) -> Result<Step, Abort> {
        let dropped = dropped + turn.buffer.rest().len();
        turn.buffer.clear();
        self.state = State::Lingering(dropped);
        match self.fill(turn)? {
            Some(1..) if dropped < LINGER_BYTES_MAX => Ok(Step::Next),
            Some(_) => Ok(Step::Need(Need::End)),
            None => Ok(self.awaits_bytes()),
        }
    }
}
