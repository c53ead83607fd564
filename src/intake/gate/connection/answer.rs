//! The answer to a request, a worker's or the gate's own, and what becomes of the connection behind
//! it.

use super::super::head::{Method, Persistence};
use super::super::lanes;
use super::super::refusal::Refusal;
use super::super::stream::Moved;
use super::{After, Connection, KEPT_BYTES_MAX, Need, State, Step, Stop, Turn};
use crate::limits::{KEPT_BODY_BYTES_MAX, KIB};
use crate::system::now_ns;
use std::time::Duration;

/// How long a client may take nothing of its answer.
const WRITE_PATIENCE: Duration = Duration::from_secs(10);
/// How long, and how many bytes of an unread body, a refusal waits for the client to read it.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES_MAX: usize = 64 * 1024 * KIB;

impl Connection {
    /// The answer of the worker is in `answer`: it is relayed.
    pub(in super::super) fn is_answered(&mut self, turn: &mut Turn<'_>) {
        self.lease.give_back();
        let must_end = turn.is_closing || *turn.excess > 0;
        if !self.has_memory_for_answer() {
            self.answer = Vec::new();
            let bytes_max = self.options.buffered_bytes_max;
            return self.refuse(&Refusal::OutOfMemory { bytes_max }, turn);
        }
        let persistence = if must_end { Persistence::Close } else { self.head.persistence };
        let line: &[u8] = match persistence {
            Persistence::KeepAlive => b"",
            Persistence::KeepAliveTold => b"Connection: keep-alive\r\n",
            Persistence::Close => b"Connection: close\r\n",
        };
        if !line.is_empty()
            && let Some(head_len) = lanes::head_len(&self.answer)
        {
            let end = head_len - 2;
            self.answer.splice(end..end, line.iter().copied());
        }
        let status = self.answer.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok());
        let status = status.and_then(|digits| digits.parse().ok()).unwrap_or_default();
        let elapsed = turn.now.saturating_duration_since(self.since);
        turn.shared.telemetry.answered(self.head.method.name(), status, elapsed);
        if persistence == Persistence::Close {
            self.leave(After::Close, turn);
        }
        self.begin_answer(turn);
    }

    /// The connection ends behind its answer: one less of those that are too many.
    fn leave(&mut self, after: After, turn: &mut Turn<'_>) {
        if !self.is_leaving() {
            *turn.excess = turn.excess.saturating_sub(1);
        }
        self.after = after;
    }

    /// Whether it ends behind its answer.
    pub(in super::super) fn is_leaving(&self) -> bool {
        self.after != After::Idle
    }

    /// What the workers say of themselves is small. The lines of a dry run may be as many as the
    /// queue holds, and their client may be slow: more than an idle connection may keep is taken
    /// from the budget of the bodies in hand.
    fn has_memory_for_answer(&mut self) -> bool {
        let length = self.answer.len();
        let is_small = length <= KEPT_BODY_BYTES_MAX || !self.head.method.is_push();
        is_small || self.lease.cover(length)
    }

    /// Answers instead of a worker; the connection is closed behind that.
    pub(in super::super) fn refuse(&mut self, refusal: &Refusal, turn: &mut Turn<'_>) {
        let elapsed = turn.now.saturating_duration_since(self.since);
        // Until a head is read, the method is what the bytes begin with.
        let method = match self.state {
            State::Head if self.received.is_empty() => Method::at_start(turn.input.rest()),
            State::Head => Method::at_start(&self.received),
            _ => self.head.method,
        };
        let telemetry = &turn.shared.telemetry;
        telemetry.answered(method.name(), refusal.status(), elapsed);
        // No route is known here: each PUT and POST counts as a push.
        if method.is_push() {
            telemetry.refused(refusal.reason());
        }
        turn.shared.log.debug("request refused", &[("error", refusal)]);
        turn.shared.status.turned_away(refusal.status(), refusal, now_ns());
        self.lease.give_back();
        self.body = Vec::new();
        self.answer.clear();
        self.answer.extend_from_slice(refusal.render().as_bytes());
        self.leave(After::Linger, turn);
        self.begin_answer(turn);
    }

    /// A client may take as long for its answer as for its body: slower, it would hold the memory
    /// of a large one.
    fn begin_answer(&mut self, turn: &Turn<'_>) {
        self.answer_ends = turn.now + self.options.body_timeout;
        self.deadline = self.answer_ends.min(turn.now + WRITE_PATIENCE);
        self.state = State::Answering(0);
    }

    /// Writes what the client takes.
    pub(super) fn write_answer(
        &mut self,
        written: usize,
        turn: &mut Turn<'_>,
    ) -> Result<Step, Stop> {
        match self.answer.get(written..) {
            Some(rest) if !rest.is_empty() => match self.stream.write(rest)? {
                Moved::Nothing => Ok(Step::Need(Need::Change)),
                Moved::Bytes(count) => {
                    self.deadline = self.answer_ends.min(turn.now + WRITE_PATIENCE);
                    self.state = State::Answering(written + count);
                    Ok(Step::Next)
                }
            },
            _ => Ok(self.end_answer(turn)),
        }
    }

    fn end_answer(&mut self, turn: &mut Turn<'_>) -> Step {
        self.answer.clear();
        self.answer.shrink_to(KEPT_BYTES_MAX);
        self.lease.give_back();
        // A connection that is closed with unread bytes is reset, and the client might never see
        // its answer.
        let is_all_read = turn.input.is_empty() && !self.is_readable;
        match self.after {
            After::Idle => {
                self.since = turn.now;
                self.deadline = turn.now + turn.shared.options.read().idle_timeout;
                self.state = State::Idle;
                Step::Next
            }
            After::Close if is_all_read => Step::Need(Need::End),
            After::Close | After::Linger => {
                self.stream.end_writing();
                self.deadline = turn.now + LINGER;
                self.state = State::Lingering(0);
                Step::Next
            }
        }
    }

    /// Drops what the client still sends, for a little while.
    pub(super) fn linger(&mut self, dropped: usize, turn: &mut Turn<'_>) -> Result<Step, Stop> {
        let dropped = dropped + turn.input.rest().len();
        turn.input.clear();
        self.state = State::Lingering(dropped);
        match self.fill(turn)? {
            Some(1..) if dropped < LINGER_BYTES_MAX => Ok(Step::Next),
            Some(_) => Ok(Step::Need(Need::End)),
            None => Ok(self.awaits_bytes()),
        }
    }
}
