//! The body of a request: its bytes → [`Connection::body`], under the budget for all bodies.

use super::super::chunked::{Chunked, Piece};
use super::super::input::READ_BYTES;
use super::super::refusal::Refusal;
use super::super::stream::Moved;
use super::{Connection, State, Step, Stop, Turn};

impl Connection {
    /// A body of so many bytes.
    pub(super) fn read_length(&mut self, length: usize, turn: &mut Turn<'_>) -> Result<Step, Stop> {
        let came = turn.input.rest().len().min(length - self.body.len());
        self.reserve(self.body.len() + came)?;
        self.body.extend_from_slice(turn.input.rest().get(..came).unwrap_or_default());
        turn.input.consume(came);
        let at = self.body.len();
        if at == length {
            return Ok(self.has_request(turn));
        }
        // Doubled as bytes arrive, whatever was announced; never more than the lease covers.
        let end = length.min(at + at.max(READ_BYTES));
        self.reserve(end)?;
        self.body.reserve_exact(end - at);
        if !self.may_read(turn) {
            return Ok(self.awaits_bytes());
        }
        let room = self.body.capacity() - at;
        // Nobody may be there to read a refusal, but a broken connection is a push that was lost.
        match self.stream.read(&mut self.body).map_err(|_| self.cut_short())? {
            Moved::Nothing => {
                self.is_readable = false;
                Ok(self.awaits_bytes())
            }
            Moved::Bytes(0) => Err(self.cut_short()),
            Moved::Bytes(count) => {
                self.note_read(count, room);
                // What came behind the body is the next request's.
                turn.input.put_back(self.body.get(length..).unwrap_or_default());
                self.body.truncate(length);
                Ok(Step::Next)
            }
        }
    }

    /// One piece of a chunked body.
    pub(super) fn read_chunked(
        &mut self,
        mut chunked: Chunked,
        turn: &mut Turn<'_>,
    ) -> Result<Step, Stop> {
        let bytes_max = self.options.body_bytes_max;
        let piece = chunked.step(turn.input.rest()).map_err(Refusal::Malformed)?;
        self.state = State::Chunked(chunked);
        match piece {
            Piece::Framing(len) => turn.input.consume(len),
            Piece::Data(len) if self.body.len() + len > bytes_max => {
                return Err(Refusal::BodyTooLarge { bytes_max }.into());
            }
            Piece::Data(len) => {
                self.reserve(self.body.len() + len)?;
                self.body.extend_from_slice(turn.input.rest().get(..len).unwrap_or_default());
                turn.input.consume(len);
            }
            Piece::Incomplete if chunked == Chunked::Done => return Ok(self.has_request(turn)),
            Piece::Incomplete => match self.fill(turn).map_err(|_| self.cut_short())? {
                Some(0) => return Err(self.cut_short()),
                Some(_) => {}
                None => return Ok(self.awaits_bytes()),
            },
        }
        Ok(Step::Next)
    }

    fn reserve(&mut self, bytes: usize) -> Result<(), Stop> {
        let bytes_max = self.options.buffered_bytes_max;
        if self.lease.cover(bytes) {
            Ok(())
        } else {
            Err(Refusal::OutOfMemory { bytes_max }.into())
        }
    }

    fn cut_short(&self) -> Stop {
        Refusal::CutShort { received: self.body.len() }.into()
    }
}
