//! One foreign connection's bytes, TCP or Unix, shared by the thread that serves it and by who may
//! have to end it.

use crate::system::{self, Wait};
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::{Duration, Instant};

/// A connected socket.
#[derive(Debug)]
pub(super) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// A listening socket.
#[derive(Debug)]
pub(super) struct Listener {
    socket: Socket,
    owner: Owner,
}

#[derive(Debug)]
pub(super) enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// Whose a listening socket is.
#[derive(Debug)]
enum Owner {
    /// Ours: it is shut at the end, so that later clients are refused at once.
    Us,
    /// A supervisor's, who goes on listening when this process ends. To shut it would shut it for
    /// everybody, so only our waiting is ended: `bell` becomes readable once `rope` is shut.
    Supervisor { bell: UnixStream, rope: UnixStream },
}

impl Listener {
    /// A socket of our own.
    pub(super) fn own(socket: Socket) -> Listener {
        Listener { socket, owner: Owner::Us }
    }

    /// A socket that is a supervisor's.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn handed_over(socket: Socket) -> io::Result<Listener> {
        // Another process may take the connection that we were woken for: `accept` must not wait.
        match &socket {
            Socket::Tcp(listener) => listener.set_nonblocking(true)?,
            Socket::Unix(listener) => listener.set_nonblocking(true)?,
        }
        let (bell, rope) = UnixStream::pair()?;
        Ok(Listener { socket, owner: Owner::Supervisor { bell, rope } })
    }

    /// Takes a connection. `WouldBlock` is no failure: somebody else has taken it.
    pub(super) fn accept(&self) -> io::Result<Stream> {
        match &self.socket {
            Socket::Tcp(listener) => listener.accept().map(|(stream, _)| Stream::Tcp(stream)),
            Socket::Unix(listener) => listener.accept().map(|(stream, _)| Stream::Unix(stream)),
        }
    }

    /// Waits until a connection waits to be accepted, or the listener is shut.
    pub(super) fn wait(&self) -> io::Result<()> {
        const LONG: Duration = Duration::from_secs(3600);
        let wait = || match &self.owner {
            Owner::Us => system::wait_readable(self.descriptor(), LONG),
            Owner::Supervisor { bell, .. } => {
                system::wait_either_readable(self.descriptor(), bell, LONG)
            }
        };
        while wait()? == Wait::TimedOut {}
        Ok(())
    }

    /// Makes `wait` return, in every thread, from now on; nothing is to be accepted then.
    pub(super) fn shut(&self) -> io::Result<()> {
        match &self.owner {
            Owner::Us => system::shut_listener(self.descriptor()),
            Owner::Supervisor { rope, .. } => rope.shutdown(Shutdown::Both),
        }
    }

    fn descriptor(&self) -> BorrowedFd<'_> {
        match &self.socket {
            Socket::Tcp(listener) => listener.as_fd(),
            Socket::Unix(listener) => listener.as_fd(),
        }
    }
}

impl Stream {
    /// Sets up a new connection: an answer leaves at once, and a client that never reads its
    /// answers is given up after `write_timeout`.
    pub(super) fn prepare(&self, write_timeout: Duration) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => {
                stream.set_nonblocking(false)?;
                stream.set_nodelay(true)?;
                stream.set_write_timeout(Some(write_timeout))
            }
            Stream::Unix(stream) => {
                stream.set_nonblocking(false)?;
                stream.set_write_timeout(Some(write_timeout))
            }
        }
    }

    /// Reads what there is, at least one byte unless it is the end.
    ///
    /// # Errors
    /// `TimedOut` when `deadline` comes first.
    pub(super) fn read(&self, buffer: &mut [u8], deadline: Instant) -> io::Result<usize> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::Error::from(io::ErrorKind::TimedOut));
            }
            if system::wait_readable(self.descriptor(), left)? == Wait::Ready {
                match self.read_now(buffer) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    outcome => return outcome,
                }
            }
        }
    }

    fn read_now(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => (&mut &*stream).read(buffer),
            Stream::Unix(stream) => (&mut &*stream).read(buffer),
        }
    }

    /// Writes all of `bytes`.
    ///
    /// # Errors
    /// What the system says, `WouldBlock` when the client takes nothing for too long.
    pub(super) fn write_all(&self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => (&mut &*stream).write_all(bytes),
            Stream::Unix(stream) => (&mut &*stream).write_all(bytes),
        }
    }

    /// Ends one direction or both.
    pub(super) fn shutdown(&self, how: Shutdown) {
        let ended = match self {
            Stream::Tcp(stream) => stream.shutdown(how),
            Stream::Unix(stream) => stream.shutdown(how),
        };
        if ended.is_err() {
            // OK because the peer was faster.
        }
    }

    fn descriptor(&self) -> BorrowedFd<'_> {
        match self {
            Stream::Tcp(stream) => stream.as_fd(),
            Stream::Unix(stream) => stream.as_fd(),
        }
    }
}
