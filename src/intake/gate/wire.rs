//! A foreign socket, plain or under TLS, as a connection reads and writes it: no call ever
//! waits.
//!
//! Under TLS, bytes come sealed. They are read into one buffer of the gate, which all connections
//! use in turn, and what they hold goes where the connection wants it; only a part of a record is
//! kept by the session itself. What is written is sealed record by record, and no more than one
//! record waits for the client to take it.

use super::socket::{Moved, PeerSocket};
use crate::tls::{ServerSession, SessionError, TlsServer};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};

/// One connection's way to its client.
#[derive(Debug)]
pub(super) enum PeerWire {
    Plain(PeerSocket),
    Sealed(Box<SealedSocket>),
}

/// What became of bytes that wait to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flushed {
    /// None waits any more.
    All,
    /// Some are sent, and some wait.
    Some,
    /// All wait.
    Nothing,
}

/// A socket that speaks TLS.
#[derive(Debug)]
pub(super) struct SealedSocket {
    socket: PeerSocket,
    session: ServerSession,
    /// What the first byte that came says.
    begins: Begins,
    /// The socket may have more than was read of it.
    has_more: bool,
    /// The session has failed: nothing more is read or written.
    is_broken: bool,
}

/// What a client begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Begins {
    Unknown,
    Tls,
    /// A request without TLS, which is passed on as it is.
    PlainHttp,
}

impl PeerWire {
    /// TCP is sealed where there is a server for it; a Unix socket is of this host. None where the
    /// system has no random bytes for a session.
    pub(super) fn of(socket: PeerSocket, server: Option<&TlsServer>) -> Option<PeerWire> {
        let (PeerSocket::Tcp(_), Some(server)) = (&socket, server) else {
            return Some(PeerWire::Plain(socket));
        };
        let session = server.session()?;
        let (begins, has_more, is_broken) = (Begins::Unknown, true, false);
        let sealed = SealedSocket { socket, session, begins, has_more, is_broken };
        Some(PeerWire::Sealed(Box::new(sealed)))
    }

    /// Who is at the other end.
    pub(super) fn peer(&self) -> String {
        match self {
            PeerWire::Plain(socket) => socket.peer(),
            PeerWire::Sealed(sealed) => sealed.socket.peer(),
        }
    }

    /// Whether bytes are sealed: those of a body are not read into its own buffer then.
    pub(super) fn is_sealed(&self) -> bool {
        matches!(self, PeerWire::Sealed(_))
    }

    /// The session, once its handshake is done.
    pub(super) fn session(&self) -> Option<&ServerSession> {
        match self {
            PeerWire::Sealed(sealed) if !sealed.session.is_shaking_hands() => Some(&sealed.session),
            _ => None,
        }
    }

    /// Whether requests must wait for the end of a handshake.
    pub(super) fn is_shaking_hands(&self) -> bool {
        matches!(self, PeerWire::Sealed(sealed)
            if sealed.begins != Begins::PlainHttp && sealed.session.is_shaking_hands())
    }

    /// Whether the client began a request without TLS. It is read and answered as it came.
    pub(super) fn is_plain_by_mistake(&self) -> bool {
        matches!(self, PeerWire::Sealed(sealed) if sealed.begins == Begins::PlainHttp)
    }

    /// Reads into the spare capacity of `opened`, which must have some; 0 bytes are the end. Under
    /// TLS, `opened` must have room for what `sealed` takes, which is used for nothing else.
    pub(super) fn read(&mut self, sealed: &mut Vec<u8>, opened: &mut Vec<u8>) -> io::Result<Moved> {
        match self {
            PeerWire::Plain(socket) => socket.read(opened),
            PeerWire::Sealed(socket) => socket.read(sealed, opened),
        }
    }

    /// Whether there may be more to be read after a read that gave `count` bytes of `room`. A plain
    /// socket that gave less than there was room for has no more now.
    pub(super) fn may_have_more(&mut self, count: usize, room: usize) -> bool {
        match self {
            PeerWire::Plain(_) => count == room,
            PeerWire::Sealed(sealed) => sealed.may_have_more(),
        }
    }

    /// Writes as much of `bytes` as is taken now. 0 bytes: what was written before has moved on.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<Moved> {
        match self {
            PeerWire::Plain(socket) => socket.write(bytes),
            PeerWire::Sealed(sealed) => sealed.write(bytes),
        }
    }

    /// Sends what waits.
    pub(super) fn flush(&mut self) -> io::Result<Flushed> {
        match self {
            PeerWire::Plain(_) => Ok(Flushed::All),
            PeerWire::Sealed(sealed) => sealed.flush(),
        }
    }

    /// Says that nothing more will be written.
    pub(super) fn end_writing(&mut self) {
        self.take_leave();
        match self {
            PeerWire::Plain(socket) => socket.end_writing(),
            PeerWire::Sealed(sealed) => sealed.socket.end_writing(),
        }
    }

    /// Tells the client of a session that its connection is closed in order.
    pub(super) fn take_leave(&mut self) {
        let PeerWire::Sealed(sealed) = self else { return };
        if sealed.begins == Begins::Tls && !sealed.session.is_shaking_hands() {
            sealed.session.end();
            if sealed.flush().is_err() {
                // OK because the client was faster.
            }
        }
    }
}

impl AsFd for PeerWire {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            PeerWire::Plain(socket) => socket.as_fd(),
            PeerWire::Sealed(sealed) => sealed.socket.as_fd(),
        }
    }
}

impl SealedSocket {
    fn read(&mut self, sealed: &mut Vec<u8>, opened: &mut Vec<u8>) -> io::Result<Moved> {
        if self.begins == Begins::PlainHttp {
            self.has_more = true;
            return self.socket.read(opened);
        }
        match self.session.open(opened) {
            0 if self.is_broken => return Err(io::ErrorKind::BrokenPipe.into()),
            0 if self.session.has_ended() => return Ok(Moved::Bytes(0)),
            0 => {}
            count => return Ok(Moved::Bytes(count)),
        }
        sealed.clear();
        match self.socket.read(sealed)? {
            Moved::Bytes(count) if count > 0 => {
                self.has_more = count == sealed.capacity();
                self.open(sealed, opened)
            }
            moved => {
                self.has_more = moved != Moved::Nothing;
                Ok(moved)
            }
        }
    }

    /// What bytes hold that came.
    fn open(&mut self, sealed: &[u8], opened: &mut Vec<u8>) -> io::Result<Moved> {
        if self.begins == Begins::Unknown {
            self.begins = Begins::of(sealed);
            if self.begins == Begins::PlainHttp {
                opened.extend_from_slice(sealed);
                return Ok(Moved::Bytes(sealed.len()));
            }
        }
        let before = opened.len();
        let received = self.session.receive(sealed, opened);
        let flushed = self.flush();
        if let Err(error) = received {
            self.is_broken = true;
            return Err(io::Error::other(error));
        }
        flushed?;
        Ok(match opened.len() - before {
            0 if self.session.has_ended() => Moved::Bytes(0),
            0 => Moved::Framing,
            count => Moved::Bytes(count),
        })
    }

    fn may_have_more(&mut self) -> bool {
        self.has_more || self.session.has_opened() || self.session.has_ended()
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<Moved> {
        if self.begins == Begins::PlainHttp {
            return self.socket.write(bytes);
        }
        if self.is_broken {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        match self.flush()? {
            Flushed::Nothing => Ok(Moved::Nothing),
            Flushed::Some => Ok(Moved::Bytes(0)),
            Flushed::All => {
                let taken = self.session.seal(bytes);
                self.flush()?;
                Ok(Moved::Bytes(taken))
            }
        }
    }

    fn flush(&mut self) -> io::Result<Flushed> {
        let mut has_sent = false;
        while self.session.has_sealed() {
            match self.session.send(&mut Unwaiting(&self.socket)) {
                Ok(_) => has_sent = true,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(if has_sent { Flushed::Some } else { Flushed::Nothing });
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Flushed::All)
    }
}

impl Begins {
    /// A record of TLS begins with its type, below 32; a request with the letters of its method, or
    /// an empty line.
    fn of(bytes: &[u8]) -> Begins {
        match bytes.first() {
            Some(b'a'..=b'z' | b'A'..=b'Z' | b'\r' | b'\n') => Begins::PlainHttp,
            _ => Begins::Tls,
        }
    }
}

/// Why the session of a connection failed, where an error of its wire says so.
pub(super) fn session_error(error: &io::Error) -> Option<&SessionError> {
    error.get_ref()?.downcast_ref()
}

/// A socket as rustls writes to it.
struct Unwaiting<'s>(&'s PeerSocket);

impl Write for Unwaiting<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.0.write(bytes)? {
            Moved::Bytes(count) => Ok(count),
            Moved::Nothing | Moved::Framing => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
