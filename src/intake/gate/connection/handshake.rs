//! The handshake of TLS: before the first request, and in its order among all that shake hands.
//!
//! It counts as a head that is not whole: it has `server.head_timeout` from its first byte, and
//! makes room for others as such a head does. Its cryptography takes longer than anything else that
//! the gate does, so it never goes on at once, but when its connection's turn has come (`reactor`).

use super::super::notices::Notice;
use super::super::refusal::Refusal;
use super::super::socket::Moved;
use super::super::wire::session_error;
use super::state::{Abort, Connection, Need, State, Step, Turn};
use crate::observe::log::Field;
use crate::observe::telemetry::HandshakeOutcome;
use crate::system;
use crate::tls::SessionFault;
use std::fmt::Display;
use std::io;
use std::sync::Arc;

impl Connection {
    /// One read of the handshake.
    pub(super) fn shake_hands(&mut self, turn: &mut Turn<'_>) -> Result<Step, Abort> {
        if !self.is_readable {
            let need = if turn.is_closing { Need::End } else { Need::Change };
            return Ok(Step::Need(need));
        }
        if !turn.may_shake_hands || !turn.buffer.take_share() {
            return Ok(Step::Need(Need::Handshake));
        }
        let room = turn.buffer.room();
        match turn.buffer.fill(&mut self.wire) {
            Ok(Moved::Nothing) => self.is_readable = false,
            Ok(Moved::Bytes(0)) if self.wire.is_shaking_hands() => {
                // A check of the port that sends nothing is no handshake.
                if self.state == State::Handshake {
                    self.handshake_ends(HandshakeOutcome::Abandoned, turn);
                }
                return Ok(Step::Need(Need::End));
            }
            Ok(Moved::Bytes(_) | Moved::Framing) => {
                self.note_read(0, room);
                self.begin_handshake(turn);
                if !self.wire.is_shaking_hands() {
                    self.end_handshake(turn)?;
                }
            }
            Err(error) => {
                self.handshake_failed(&error, turn);
                return Ok(Step::Need(Need::End));
            }
        }
        Ok(Step::Next)
    }

    /// Its first bytes have come.
    fn begin_handshake(&mut self, turn: &Turn<'_>) {
        if self.state == State::Idle {
            self.options = turn.context.options.read();
            self.since = turn.now;
            self.deadline = turn.now + self.options.head_timeout;
            self.state = State::Handshake;
        }
    }

    /// The handshake is done, or there is none.
    ///
    /// # Errors
    /// The certificate of the client has ended since the session that it goes on from.
    fn end_handshake(&mut self, turn: &mut Turn<'_>) -> Result<(), Abort> {
        self.state = State::Idle;
        self.is_new = true;
        self.deadline = turn.now + self.options.idle_timeout;
        let Some(session) = self.wire.session() else { return Ok(()) };
        let now_s = system::now_s();
        if session.client_ends_s().is_some_and(|ends_s| ends_s < now_s) {
            self.handshake_ends(HandshakeOutcome::BadCertificate, turn);
            return Err(Abort::Silent);
        }
        self.client = session.client_name().map(Arc::from);
        let is_resumed = session.is_resumed();
        let outcome =
            if is_resumed { HandshakeOutcome::Resumed } else { HandshakeOutcome::Completed };
        self.handshake_ends(outcome, turn);
        Ok(())
    }

    fn handshake_failed(&mut self, error: &io::Error, turn: &mut Turn<'_>) {
        let outcome = match session_error(error).map(|error| error.fault) {
            Some(SessionFault::NoCertificate) => HandshakeOutcome::NoCertificate,
            Some(SessionFault::Certificate) => HandshakeOutcome::BadCertificate,
            Some(SessionFault::Incompatible) => HandshakeOutcome::Incompatible,
            Some(SessionFault::Alert) => HandshakeOutcome::Alert,
            Some(SessionFault::Malformed) => HandshakeOutcome::Malformed,
            None => HandshakeOutcome::Abandoned,
        };
        self.handshake_ends(outcome, turn);
        if outcome != HandshakeOutcome::Abandoned {
            self.tell(Notice::HandshakeFailed, error, turn);
        }
    }

    /// Tells of its peer and why.
    fn tell(&self, notice: Notice, error: &dyn Display, turn: &mut Turn<'_>) {
        let peer = self.wire.peer();
        let fields: [Field<'_>; 2] = [("peer", &peer), ("error", error)];
        turn.notices.tell(notice, &turn.context.log, turn.now, &fields);
    }

    /// It is closed before a request, as others need its place.
    pub(crate) fn makes_room(&self, turn: &Turn<'_>) {
        if self.wire.is_shaking_hands() {
            self.handshake_ends(HandshakeOutcome::Evicted, turn);
        }
    }

    /// It is closed: the client of a session is told.
    pub(crate) fn take_leave(&mut self) {
        self.wire.take_leave();
    }

    /// Counts what became of it.
    pub(super) fn handshake_ends(&self, outcome: HandshakeOutcome, turn: &Turn<'_>) {
        turn.context.telemetry.shook_hands(outcome);
    }

    /// A request came without TLS.
    pub(super) fn spoke_without_tls(&mut self, turn: &mut Turn<'_>) -> Refusal {
        self.handshake_ends(HandshakeOutcome::PlainHttp, turn);
        let refusal = Refusal::PlainToTls;
        self.tell(Notice::PlainToTls, &refusal, turn);
        refusal
    }

    /// A hello of TLS came where none is spoken.
    pub(super) fn spoke_tls(&mut self, turn: &mut Turn<'_>) -> Refusal {
        let refusal = Refusal::TlsToPlain;
        self.tell(Notice::TlsToPlain, &refusal, turn);
        refusal
    }
}

/// Whether bytes begin as a TLS record of a handshake (RFC 8446, section 5.1). No request does.
pub(super) fn is_hello(bytes: &[u8]) -> bool {
    bytes.first() == Some(&0x16)
}
