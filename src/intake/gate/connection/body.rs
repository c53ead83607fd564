//! The body of a request, as it comes, under the budget for all bodies.
//!
//! Memory is covered as bytes come, never by what is announced: at most [`GROWTH`] times of what
//! came, or a spare buffer of up to [`GROWTH`] times of that.

use super::super::admission::Admission;
use super::super::chunked::{Chunked, Piece};
use super::super::refusal::Refusal;
use super::super::socket::Moved;
use super::state::{Abort, Connection, Need, State, Step, Turn};
use crate::limits::{KEPT_BODY_BYTES_MAX, KIB};

/// A body is given room for so many times of the bytes that came.
const GROWTH: usize = 4;
/// Below this a body is read through the buffer of the gate, which takes no memory of its own for
/// bytes that may never come.
const DIRECT_BYTES_MIN: usize = 16 * KIB;

impl Connection {
    /// A body of so many bytes.
    pub(super) fn read_length(
        &mut self,
        length: usize,
        turn: &mut Turn<'_>,
    ) -> Result<Step, Abort> {
        let came = turn.buffer.rest().len().min(length - self.request.body.bytes.len());
        self.take(came, length, turn)?;
        let at = self.request.body.bytes.len();
        if at == length {
            return Ok(self.send_request(turn));
        }
        if self.must_wait(length, turn) {
            return Ok(Step::Need(Need::Admission(length)));
        }
        // What a record holds may be more than the body has room for.
        if at < DIRECT_BYTES_MIN || self.wire.is_sealed() {
            return self.read_more(turn);
        }
        self.grow(at, length, turn)?;
        if !self.may_read(turn) {
            return Ok(self.awaits_bytes());
        }
        let bytes = &mut self.request.body.bytes;
        let room = bytes.capacity() - at;
        // Nobody may be there to read a refusal, but a broken connection is a push that was lost.
        match self.wire.read(&mut Vec::new(), bytes) {
            Err(_) | Ok(Moved::Bytes(0)) => Err(self.cut_short()),
            Ok(Moved::Nothing | Moved::Framing) => {
                self.is_readable = false;
                Ok(self.awaits_bytes())
            }
            Ok(Moved::Bytes(count)) => {
                // What came after the body is the next request's.
                turn.buffer.put_back(bytes.get(length..).unwrap_or_default());
                bytes.truncate(length);
                self.note_read(count, room);
                Ok(Step::Next)
            }
        }
    }

    /// One piece of a chunked body.
    pub(super) fn read_chunked(
        &mut self,
        mut chunked: Chunked,
        turn: &mut Turn<'_>,
    ) -> Result<Step, Abort> {
        let bytes_max = self.options.body_bytes_max;
        let at = self.request.body.bytes.len();
        let piece = chunked.step(turn.buffer.rest()).map_err(Refusal::Malformed)?;
        self.state = State::Chunked(chunked);
        match piece {
            Piece::Framing(len) => turn.buffer.consume(len),
            Piece::Data(len) if at + len > bytes_max => {
                return Err(Refusal::BodyTooLarge { bytes_max }.into());
            }
            Piece::Data(len) => self.take(len, bytes_max, turn)?,
            Piece::Incomplete if chunked == Chunked::Done => return Ok(self.send_request(turn)),
            // How long it becomes is not known: it is admitted with as much again as it has.
            Piece::Incomplete if self.must_wait(at * 2, turn) => {
                return Ok(Step::Need(Need::Admission(at * 2)));
            }
            Piece::Incomplete => return self.read_more(turn),
        }
        Ok(Step::Next)
    }

    /// Its large body, which waited, is admitted with so many bytes. What it does not need any more
    /// is returned.
    pub(crate) fn is_admitted(&mut self, bytes: usize) -> usize {
        let needs_it = matches!(self.state, State::Length(_) | State::Chunked(_));
        if !needs_it || self.admitted > 0 {
            return bytes;
        }
        self.admitted = bytes;
        0
    }

    /// What its large body is admitted with, to be released.
    pub(crate) fn take_admitted(&mut self) -> usize {
        std::mem::take(&mut self.admitted)
    }

    /// Whether the body, which becomes one of so many bytes, must wait before it is read on.
    fn must_wait(&mut self, bytes: usize, turn: &mut Turn<'_>) -> bool {
        if self.admitted > 0 || !Admission::is_needed(self.request.body.bytes.len()) {
            return false;
        }
        if turn.admission.admit(bytes) {
            self.admitted = bytes;
        }
        self.admitted == 0
    }

    /// Takes more of the body into the buffer of the gate.
    fn read_more(&mut self, turn: &mut Turn<'_>) -> Result<Step, Abort> {
        match self.fill(turn).map_err(|_| self.cut_short())? {
            Some(0) => Err(self.cut_short()),
            Some(_) => Ok(Step::Next),
            None => Ok(self.awaits_bytes()),
        }
    }

    /// Moves so many of the bytes that came into the body, which is of at most `bytes_max` bytes.
    fn take(&mut self, len: usize, bytes_max: usize, turn: &mut Turn<'_>) -> Result<(), Abort> {
        let at = self.request.body.bytes.len();
        if self.request.body.bytes.capacity() < at + len {
            self.grow(at + len, bytes_max, turn)?;
        } else {
            // A buffer that is used again is covered as it fills.
            self.cover(at + len)?;
        }
        let came = turn.buffer.rest().get(..len).unwrap_or_default();
        self.request.body.bytes.extend_from_slice(came);
        turn.buffer.consume(len);
        Ok(())
    }

    /// Has room for more than the `bytes` bytes that came.
    fn grow(&mut self, bytes: usize, bytes_max: usize, turn: &Turn<'_>) -> Result<(), Abort> {
        let body = &self.request.body.bytes;
        let has_room = body.capacity() > body.len() && body.capacity() >= bytes;
        let end =
            bytes_max.min(if has_room { body.capacity() } else { bytes.saturating_mul(GROWTH) });
        if !has_room
            && end > KEPT_BODY_BYTES_MAX
            && let Some(spare) = turn.bridge.spare_body(end..=end.saturating_mul(GROWTH))
            && self.request.body.cover(spare.capacity())
        {
            self.request.body.move_into(spare);
            return Ok(());
        }
        self.cover(end)?;
        let body = &mut self.request.body.bytes;
        body.reserve_exact(end - body.len());
        Ok(())
    }

    fn cover(&mut self, bytes: usize) -> Result<(), Abort> {
        let bytes_max = self.options.buffered_bytes_max;
        if self.request.body.cover(bytes) {
            Ok(())
        } else {
            Err(Refusal::OutOfMemory { bytes_max }.into())
        }
    }

    fn cut_short(&self) -> Abort {
        Refusal::CutShort { received: self.request.body.bytes.len() }.into()
    }
}
