//! One foreign connection's bytes, TCP or Unix, shared by the thread that serves it and by who may
//! have to end it.

use crate::limits::KIB;
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
pub(super) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    /// Waits for a connection.
    pub(super) fn accept(&self) -> io::Result<Stream> {
        match self {
            Listener::Tcp(listener) => listener.accept().map(|(stream, _)| Stream::Tcp(stream)),
            Listener::Unix(listener) => listener.accept().map(|(stream, _)| Stream::Unix(stream)),
        }
    }

    /// Waits until a connection waits to be accepted, or the listener is shut.
    pub(super) fn wait(&self) -> io::Result<()> {
        const LONG: Duration = Duration::from_secs(3600);
        let descriptor = match self {
            Listener::Tcp(listener) => listener.as_fd(),
            Listener::Unix(listener) => listener.as_fd(),
        };
        while system::wait_readable(descriptor, LONG)? == Wait::TimedOut {}
        Ok(())
    }

    /// Makes `accept` return, in every thread, from now on.
    pub(super) fn shut(&self) -> io::Result<()> {
        match self {
            Listener::Tcp(listener) => system::shut_listener(listener),
            Listener::Unix(listener) => system::shut_listener(listener),
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

    /// Writes all of `bytes`, in pieces: the system returns from a large one only when it is taken
    /// whole, however slowly.
    ///
    /// # Errors
    /// As [`Stream::write_all`], and `TimedOut` when `deadline` comes before the last piece is
    /// taken.
    pub(super) fn write_until(&self, bytes: &[u8], deadline: Instant) -> io::Result<()> {
        const PIECE_BYTES: usize = 64 * KIB;
        let mut rest = bytes;
        while !rest.is_empty() {
            if Instant::now() >= deadline {
                return Err(io::Error::from(io::ErrorKind::TimedOut));
            }
            match self.write_now(rest.get(..PIECE_BYTES).unwrap_or(rest)) {
                Ok(0) => return Err(io::Error::from(io::ErrorKind::WriteZero)),
                Ok(count) => rest = rest.get(count..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn write_now(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => (&mut &*stream).write(bytes),
            Stream::Unix(stream) => (&mut &*stream).write(bytes),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_takes_its_answer_in_drops_is_given_up_at_the_deadline() {
        const ANSWER_BYTES: usize = 64 << 20;
        let (own, mut its) = UnixStream::pair().unwrap();
        let own = Stream::Unix(own);
        own.prepare(Duration::from_millis(200)).unwrap();
        let dripping = std::thread::spawn(move || {
            let mut drop = [0; 16];
            let mut taken = 0;
            while let Ok(count @ 1..) = its.read(&mut drop) {
                taken += count;
            }
            taken
        });
        let deadline = Instant::now() + Duration::from_millis(100);
        let error = own.write_until(&vec![0; ANSWER_BYTES], deadline).unwrap_err();
        assert!(matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock));
        drop(own);
        assert!(dripping.join().unwrap() < ANSWER_BYTES);
    }

    #[test]
    fn an_answer_comes_whole_before_its_deadline() {
        let (own, mut its) = UnixStream::pair().unwrap();
        let own = Stream::Unix(own);
        let answer: Vec<u8> = (0..1_000_000_u32).map(|number| number.to_le_bytes()[1]).collect();
        let reading = std::thread::spawn(move || {
            let mut read = Vec::new();
            its.read_to_end(&mut read).map(|_| read)
        });
        own.write_until(&answer, Instant::now() + Duration::from_secs(60)).unwrap();
        drop(own);
        assert!(reading.join().unwrap().unwrap() == answer);
    }
}
