//! The way of request numbers through tiny_http. The only file that names it.
//!
//! The workers pull requests from tiny_http: each request of the gate is a head of its own on the
//! connection below, tiny_http reads it, and the worker that `recv()` wakes learns from it the
//! number of the request that it is to take. The body, the headers and the answer go other ways
//! (`transit`, `mailbox`): tiny_http trusts its peers, and what it does not see it cannot get
//! wrong.
//!
//! **Nobody but the gate is ever connected to it.** tiny_http accepts whoever connects to its
//! listener, and an abstract socket has no permissions, so the proof must hold before tiny_http has
//! the listener:
//! 1. the listener is made with room for one connection that is not accepted yet;
//! 2. the gate's own connection is made. It succeeds only where that room is free, and nobody
//!    accepts, so from here on the one connection is ours. A second attempt must fail for lack of
//!    room: a system that lets it in gives no proof, and no start;
//! 3. the listener is shut: from here on each attempt to connect is refused, also one that waits;
//! 4. tiny_http gets the listener, accepts the one connection, and finds it shut.
//!
//! tiny_http accepts on a thread of its own, which ends where no descriptor is left for it. So a
//! first number goes the whole way before anybody else may take descriptors.
//!
//! Where somebody else was first in 2, all of it begins anew under another name. Each head carries
//! 128 random bits as well, which have nothing to do with the name; one without them is not heeded.
//!
//! The `Server` is never dropped: it panics on an abstract listener.

use super::heads::Heads;
use crate::system;
use std::fmt;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often somebody else may be the first to connect.
const ATTEMPTS_MAX: u32 = 1000;
/// The number that goes first, and belongs to no request.
const FIRST: u64 = u64::MAX;
/// How long it may take, on a machine that does much else.
const FIRST_TAKES_MAX: Duration = Duration::from_secs(30);
/// How long to wait for it before looking whether tiny_http has hung up.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Where the gate sends numbers.
#[derive(Debug)]
pub(super) struct LaneEntry {
    stream: UnixStream,
    heads: Heads,
}

/// Where workers receive them.
#[derive(Clone)]
pub(super) struct LaneExit {
    server: Arc<tiny_http::Server>,
    /// The request target of every head begins with it.
    key: Arc<str>,
}

impl fmt::Debug for LaneExit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LaneExit").finish_non_exhaustive()
    }
}

/// Makes the way.
///
/// # Errors
/// What the system says: no descriptor, no thread; or others were always the first to connect; or
/// tiny_http does not accept.
pub(super) fn open() -> io::Result<(LaneEntry, LaneExit)> {
    let (listener, stream) = sole_connection()?;
    stream.set_nonblocking(true)?;
    let server = tiny_http::Server::from_listener(listener, None).map_err(io::Error::other)?;
    let server = Arc::new(server);
    std::mem::forget(Arc::clone(&server));
    let key = format!("/{:032x}/", u128::from_ne_bytes(system::random()?));
    let heads = Heads::new(&key);
    let mut entry = LaneEntry { stream, heads };
    let exit = LaneExit { server, key: key.into() };
    prove(&mut entry, &exit)?;
    Ok((entry, exit))
}

/// A shut listener with one connection to accept, and the other end of that.
fn sole_connection() -> io::Result<(UnixListener, UnixStream)> {
    for _ in 0..ATTEMPTS_MAX {
        let name = u128::from_ne_bytes(system::random()?);
        let name = format!("pushline-{name:032x}");
        let listener = system::listen_for_one(name.as_bytes())?;
        if let Some(stream) = connect_alone(name.as_bytes())? {
            system::shut_listener(&listener)?;
            return Ok((listener, stream));
        }
    }
    Err(io::Error::other("somebody else always connects first to the private socket"))
}

/// Takes the only room of a listener; none where somebody else has it.
fn connect_alone(name: &[u8]) -> io::Result<Option<UnixStream>> {
    let is_full = |error: &io::Error| error.kind() == io::ErrorKind::WouldBlock;
    let stream = match system::connect_now(name) {
        Ok(stream) => stream,
        Err(error) if is_full(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    match system::connect_now(name) {
        Err(error) if is_full(&error) => Ok(Some(stream)),
        Err(error) => Err(error),
        Ok(_) => {
            Err(io::Error::other("the system lets more connections wait than it was asked to"))
        }
    }
}

/// Sends a first number all the way.
fn prove(entry: &mut LaneEntry, exit: &LaneExit) -> io::Result<()> {
    entry.push(FIRST);
    entry.flush()?;
    let deadline = Instant::now() + FIRST_TAKES_MAX;
    while !exit.has_received_first()? {
        if entry.is_hung_up() || deadline < Instant::now() {
            return Err(io::Error::other("tiny_http does not take its one connection"));
        }
    }
    Ok(())
}

impl LaneEntry {
    /// Has a number sent with the next [`LaneEntry::flush`].
    pub(super) fn push(&mut self, number: u64) {
        self.heads.push(number);
    }

    /// Sends what waits, as far as the connection takes it now; false where some is left, which
    /// waits until the connection takes bytes again.
    ///
    /// # Errors
    /// The connection broke, which is a defect.
    pub(super) fn flush(&mut self) -> io::Result<bool> {
        self.heads.write_to(&mut &self.stream)
    }

    /// Whether tiny_http has hung up. It never sends a byte, so there is nothing to read before.
    fn is_hung_up(&self) -> bool {
        let read = (&self.stream).read(&mut [0]);
        !read.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    /// What to watch.
    pub(super) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.stream.as_fd())
    }
}

impl LaneExit {
    /// The next number.
    pub(super) fn receive(&self) -> u64 {
        loop {
            // The one error is that of the listener that was shut.
            let Ok(request) = self.server.recv() else { continue };
            if let Some(number) = self.number_of(request) {
                return number;
            }
        }
    }

    /// Whether [`FIRST`] arrives within [`LOOK_EVERY`].
    fn has_received_first(&self) -> io::Result<bool> {
        match self.server.recv_timeout(LOOK_EVERY) {
            Ok(request) => Ok(request.and_then(|it| self.number_of(it)) == Some(FIRST)),
            // That of the listener that was shut: tiny_http has accepted before.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The number that a head carries; none without the key.
    fn number_of(&self, request: tiny_http::Request) -> Option<u64> {
        let number = request.url().strip_prefix(&*self.key).and_then(|it| it.parse().ok());
        // Dropped with it, tiny_http would write an answer of its own.
        drop(request.into_writer());
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn name(text: &str) -> Vec<u8> {
        format!("pushline-test-{}-{text}", std::process::id()).into_bytes()
    }

    #[test]
    fn whoever_connects_first_is_never_taken_for_the_gate() {
        let name = name("first");
        let listener = system::listen_for_one(&name).unwrap();
        let stranger = system::connect_now(&name).unwrap();
        assert!(connect_alone(&name).unwrap().is_none());
        // To be gone again does not make room: the connection still waits to be accepted.
        drop(stranger);
        assert!(connect_alone(&name).unwrap().is_none());
        drop(listener);
    }

    #[test]
    fn nobody_connects_after_the_gate_at_any_moment_of_the_start() {
        let name = name("second");
        let listener = system::listen_for_one(&name).unwrap();
        let stream = connect_alone(&name).unwrap().unwrap();
        let refused = |name: &[u8]| system::connect_now(name).unwrap_err().kind();
        assert_eq!(refused(&name), io::ErrorKind::WouldBlock, "before it is shut");
        system::shut_listener(&listener).unwrap();
        assert_eq!(refused(&name), io::ErrorKind::ConnectionRefused, "before tiny_http has it");
        let accepted = listener.accept().unwrap().0;
        assert_eq!(refused(&name), io::ErrorKind::ConnectionRefused, "afterwards");
        (&stream).write_all(b"x").unwrap();
        drop(stream);
        assert_eq!(io::read_to_string(accepted).unwrap(), "x", "what is accepted is ours");
        assert_eq!(listener.accept().unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn a_head_without_the_key_is_not_heeded_whatever_it_claims() {
        let (mut entry, exit) = open().unwrap();
        for forged in [
            "GET /7 HTTP/1.1\r\n\r\n",
            "POST /0/7 HTTP/1.1\r\nContent-Length: 99999999999999\r\n\r\n",
        ] {
            (&entry.stream).write_all(forged.as_bytes()).unwrap();
            if forged.starts_with("POST") {
                // What follows is its body, as it claims.
                break;
            }
            entry.push(8);
            assert!(entry.flush().unwrap());
            assert_eq!(exit.receive(), 8);
        }
    }

    #[test]
    fn numbers_arrive_in_order_however_many_are_sent_at_once() {
        let (mut entry, exit) = open().unwrap();
        let count = 20_000;
        let sender = std::thread::spawn(move || {
            (0..count).for_each(|number| entry.push(number));
            while !entry.flush().unwrap() {
                std::thread::yield_now();
            }
        });
        assert!((0..count).all(|number| exit.receive() == number));
        sender.join().unwrap();
    }
}
