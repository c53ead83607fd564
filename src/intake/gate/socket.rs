//! Foreign sockets, TCP or Unix. No call on them ever waits.

use crate::system::{self, Wait};
use std::io::{self, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

/// A connected socket.
#[derive(Debug)]
pub(super) enum PeerSocket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// A listening socket.
#[derive(Debug)]
pub(super) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// What became of a call that does not wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moved {
    /// So many bytes.
    Bytes(usize),
    /// Nothing now; the watch tells when to come again.
    Nothing,
    /// Some bytes, and none of them for the reader: a part of a record of TLS, or a message of it.
    Framing,
}

impl Listener {
    /// From here on `accept` does not wait.
    pub(super) fn prepare(&self) -> io::Result<()> {
        match self {
            Listener::Tcp(listener) => listener.set_nonblocking(true),
            Listener::Unix(listener) => listener.set_nonblocking(true),
        }
    }

    /// The next connection, set up so that an answer leaves at once; none where none waits.
    pub(super) fn accept(&self) -> io::Result<Option<PeerSocket>> {
        let accepted = match self {
            Listener::Tcp(listener) => listener.accept().map(|(stream, _)| PeerSocket::Tcp(stream)),
            Listener::Unix(listener) => {
                listener.accept().map(|(stream, _)| PeerSocket::Unix(stream))
            }
        };
        match accepted {
            Ok(stream) => stream.prepare().map(|()| Some(stream)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            // Where no descriptor is left the system fails before it looks for a connection.
            Err(error) if system::is_out_of_descriptors(&error) && !self.has_waiting() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether a connection waits, as far as the system knows.
    fn has_waiting(&self) -> bool {
        !matches!(system::wait_readable(self, Duration::ZERO), Ok(Wait::TimedOut))
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Listener::Tcp(listener) => listener.as_fd(),
            Listener::Unix(listener) => listener.as_fd(),
        }
    }
}

impl PeerSocket {
    fn prepare(&self) -> io::Result<()> {
        match self {
            PeerSocket::Tcp(stream) => {
                stream.set_nonblocking(true)?;
                stream.set_nodelay(true)
            }
            PeerSocket::Unix(stream) => stream.set_nonblocking(true),
        }
    }

    /// Its address, for messages.
    pub(super) fn peer(&self) -> String {
        match self {
            PeerSocket::Tcp(stream) => {
                stream.peer_addr().map_or("gone".to_owned(), |address| address.to_string())
            }
            PeerSocket::Unix(_) => "unix".to_owned(),
        }
    }

    /// Reads into the spare capacity of `buffer`, which must have some; 0 bytes are the end.
    pub(super) fn read(&self, buffer: &mut Vec<u8>) -> io::Result<Moved> {
        moved(|| system::read_spare(self, buffer))
    }

    /// Writes as much of `bytes` as the system takes now.
    pub(super) fn write(&self, bytes: &[u8]) -> io::Result<Moved> {
        moved(|| match self {
            PeerSocket::Tcp(stream) => (&mut &*stream).write(bytes),
            PeerSocket::Unix(stream) => (&mut &*stream).write(bytes),
        })
    }

    /// Says that nothing more will be written.
    pub(super) fn end_writing(&self) {
        let ended = match self {
            PeerSocket::Tcp(stream) => stream.shutdown(Shutdown::Write),
            PeerSocket::Unix(stream) => stream.shutdown(Shutdown::Write),
        };
        if ended.is_err() {
            // OK because the peer was faster.
        }
    }
}

impl AsFd for PeerSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            PeerSocket::Tcp(stream) => stream.as_fd(),
            PeerSocket::Unix(stream) => stream.as_fd(),
        }
    }
}

/// Tells what a call moved; it is made again where a signal came between.
fn moved(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<Moved> {
    loop {
        match call() {
            Ok(count) => return Ok(Moved::Bytes(count)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Moved::Nothing),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
