//! One TCP connection to a store: everything has a deadline, and an answer is heard while the
//! request is still being sent.
//!
//! A store may answer before it has read the body (413, 401, 503), and then stop reading, or close.
//! A client that only writes would see a reset or a timeout and never the answer. So a send that
//! cannot go on looks whether the beginning of an answer is there, and what is left of the body is
//! dropped then: what follows is the answer, or the error that there is none. Such a connection is
//! not used again.
//!
//! A few bytes are held back until more are sent or an answer is waited for, so that the head and
//! the body of a request are one write: two would wake the store twice.

use crate::system::{self, Wait};
use std::io::{self, IoSlice, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// How often a send that is stuck looks for an answer.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What is held back at most, in bytes: the head of a request is smaller.
const HELD_BYTES_MAX: usize = 4096;

/// A connection.
#[derive(Debug)]
pub(super) struct StoreConnection {
    stream: TcpStream,
    /// The beginning of a request, which goes out with what follows.
    held: Vec<u8>,
    /// A part of a request was dropped.
    is_spent: bool,
}

impl StoreConnection {
    /// Connects to the first of these addresses that answers; `timeout` bounds all attempts.
    pub(super) fn connect(
        addresses: &[SocketAddr],
        timeout: Duration,
    ) -> io::Result<StoreConnection> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        let deadline = Instant::now() + timeout;
        for (at, address) in (0_u32..).zip(addresses) {
            let left = deadline.saturating_duration_since(Instant::now());
            // A host whose first address is dead must not use up the time of the others.
            let others = u32::try_from(addresses.len()).unwrap_or(u32::MAX) - at;
            let patience = (left / others).max(Duration::from_millis(1));
            match TcpStream::connect_timeout(address, patience) {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    stream.set_nonblocking(true)?;
                    let held = Vec::new();
                    return Ok(StoreConnection { stream, held, is_spent: false });
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Sends the bytes, or as many as the peer wants: once it has answered or is gone, the rest is
    /// dropped without an error. A few bytes wait for those that follow.
    pub(super) fn send(&mut self, bytes: &[u8], deadline: Instant) -> io::Result<()> {
        if self.held.len() + bytes.len() <= HELD_BYTES_MAX {
            self.held.extend_from_slice(bytes);
            return Ok(());
        }
        let mut held = std::mem::take(&mut self.held);
        let sent = self.send_both(&held, bytes, deadline);
        held.clear();
        self.held = held;
        sent
    }

    /// Sends one stretch of bytes after the other.
    fn send_both(&mut self, first: &[u8], second: &[u8], deadline: Instant) -> io::Result<()> {
        let (mut first, mut second) = (first, second);
        while !(self.is_spent || first.is_empty() && second.is_empty()) {
            match self.stream.write_vectored(&[IoSlice::new(first), IoSlice::new(second)]) {
                Ok(count) => {
                    let of_first = count.min(first.len());
                    first = first.get(of_first..).unwrap_or_default();
                    second = second.get(count - of_first..).unwrap_or_default();
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::Interrupted => {}
                    io::ErrorKind::WouldBlock => self.wait_for_room(deadline)?,
                    // The answer may have come before the end of the connection did.
                    io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => {
                        self.is_spent = true;
                    }
                    _ => return Err(error),
                },
            }
        }
        Ok(())
    }

    fn wait_for_room(&mut self, deadline: Instant) -> io::Result<()> {
        let left = left(deadline)?;
        if system::wait_writable(&self.stream, left.min(LOOK_EVERY))? == Wait::TimedOut {
            self.is_spent = self.hears_answer()?;
        }
        Ok(())
    }

    /// Whether the final answer begins here already, or the peer is gone. An interim answer
    /// (`HTTP/1.1 1…`) and what TLS sends between requests are neither.
    fn hears_answer(&self) -> io::Result<bool> {
        let mut start = [0; 10];
        match self.stream.peek(&mut start) {
            Ok(0) => Ok(true),
            Ok(count) => {
                let is_http = start.starts_with(b"HTTP/1.");
                Ok(is_http && count == start.len() && start.last() != Some(&b'1'))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether a part of a request was dropped.
    pub(super) fn is_spent(&self) -> bool {
        self.is_spent
    }

    /// Receives some bytes, once all is sent that was held back; 0 when the peer has closed.
    pub(super) fn receive(&mut self, buffer: &mut [u8], deadline: Instant) -> io::Result<usize> {
        let mut held = std::mem::take(&mut self.held);
        let sent = self.send_both(&held, &[], deadline);
        held.clear();
        self.held = held;
        sent?;
        loop {
            match self.stream.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    system::wait_readable(&self.stream, left(deadline)?)?;
                }
                done => return done,
            }
        }
    }

    /// Whether another request may be sent: the peer has neither closed nor said something that
    /// nobody asked for.
    pub(super) fn is_open(&self) -> bool {
        let mut byte = [0];
        let silent = |error: io::Error| error.kind() == io::ErrorKind::WouldBlock;
        !self.is_spent && self.stream.peek(&mut byte).is_err_and(silent)
    }
}

/// The time until the deadline.
fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::Error::from(io::ErrorKind::TimedOut)) } else { Ok(left) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    const LARGE: usize = 64 << 20;

    fn pair() -> (StoreConnection, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let wire = StoreConnection::connect(&[address], Duration::from_secs(10)).unwrap();
        (wire, listener.accept().unwrap().0)
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(30)
    }

    fn text(wire: &mut StoreConnection) -> String {
        let mut buffer = [0; 64];
        let count = wire.receive(&mut buffer, soon()).unwrap();
        String::from_utf8(buffer[..count].to_vec()).unwrap()
    }

    #[test]
    fn an_answer_that_comes_before_the_body_was_read_is_heard() {
        let (mut wire, mut peer) = pair();
        peer.write_all(b"HTTP/1.1 413 Too Large\r\n").unwrap();
        // The peer reads nothing: no buffer holds so much.
        wire.send(&vec![b'x'; LARGE], soon()).unwrap();
        assert_eq!(text(&mut wire), "HTTP/1.1 413 Too Large\r\n");
        assert!(!wire.is_open(), "a part of the body is missing");
    }

    #[test]
    fn a_head_goes_out_with_its_body_or_before_its_answer_is_waited_for() {
        let (mut wire, mut peer) = pair();
        wire.send(b"head ", soon()).unwrap();
        peer.set_nonblocking(true).unwrap();
        let early = peer.read(&mut [0; 8]).unwrap_err();
        assert_eq!(early.kind(), io::ErrorKind::WouldBlock, "it is held back");
        peer.set_nonblocking(false).unwrap();
        wire.send(&[b'x'; HELD_BYTES_MAX], soon()).unwrap();
        let mut all = vec![0; 5 + HELD_BYTES_MAX];
        peer.read_exact(&mut all).unwrap();
        assert!(all.starts_with(b"head xxx"));
        wire.send(b"no body", soon()).unwrap();
        let waiting = std::thread::spawn(move || text(&mut wire));
        let mut rest = [0; 7];
        peer.read_exact(&mut rest).unwrap();
        assert_eq!(&rest, b"no body");
        peer.write_all(b"answer").unwrap();
        assert_eq!(waiting.join().unwrap(), "answer");
    }

    #[test]
    fn an_answer_before_a_reset_is_heard() {
        let (mut wire, mut peer) = pair();
        peer.write_all(b"HTTP/1.1 401 Unauthorized\r\n").unwrap();
        wire.send(&vec![b'x'; 100_000], soon()).unwrap();
        // Bytes that were not read make this a reset.
        drop(peer);
        wire.send(&vec![b'x'; LARGE], soon()).unwrap();
        assert_eq!(text(&mut wire), "HTTP/1.1 401 Unauthorized\r\n");
    }

    #[test]
    fn an_interim_answer_does_not_end_the_body() {
        let (mut wire, mut peer) = pair();
        peer.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").unwrap();
        let reader = std::thread::spawn(move || {
            let mut count = 0;
            let mut chunk = vec![0; 1 << 20];
            while count < LARGE {
                count += peer.read(&mut chunk).unwrap();
            }
            peer
        });
        wire.send(&vec![b'x'; LARGE], soon()).unwrap();
        let mut peer = reader.join().unwrap();
        assert!(text(&mut wire).starts_with("HTTP/1.1 100"));
        assert!(wire.is_open());
        peer.write_all(b"?").unwrap();
        system::wait_readable(&wire.stream, Duration::from_secs(30)).unwrap();
        assert!(!wire.is_open(), "nobody asked for that");
    }

    #[test]
    fn a_peer_that_does_nothing_is_given_up_at_the_deadline() {
        let (mut wire, _peer) = pair();
        let deadline = Instant::now() + Duration::from_millis(20);
        let error = wire.receive(&mut [0; 8], deadline).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let error = wire.send(&vec![b'x'; LARGE], deadline).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn the_second_address_is_tried_when_the_first_refuses() {
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let open = listener.local_addr().unwrap();
        assert!(StoreConnection::connect(&[closed, open], Duration::from_secs(10)).is_ok());
        assert!(StoreConnection::connect(&[closed], Duration::from_secs(10)).is_err());
        assert!(StoreConnection::connect(&[], Duration::from_secs(10)).is_err());
    }
}
