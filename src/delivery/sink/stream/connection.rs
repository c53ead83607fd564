//! One connection to a TCP or Unix stream socket.

use crate::delivery::sink::contract::WAIT_MAX;
use crate::limits::KIB;
use crate::system::{self, Wait};
use std::fmt;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

/// How long one attempt to connect to one address may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// What the system may keep of unsent bytes: bounds what must be kept for a replay.
const SEND_BUFFER_BYTES: usize = 256 * KIB;

/// Who is connected to.
#[derive(Clone, Debug)]
pub(crate) enum Peer {
    /// `host:port`, looked up anew at each connect.
    Tcp(String),
    /// The path of a socket.
    Unix(PathBuf),
}

#[derive(Debug)]
enum PeerStream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// A connection.
#[derive(Debug)]
pub(super) struct PeerConnection {
    stream: PeerStream,
}

/// A text that the reader sent, for the log.
pub(super) struct Said([u8; 512], usize);

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said = self.0.get(..self.1).unwrap_or_default();
        crate::push::sample::Quoted(said).fmt(f)
    }
}

impl PeerConnection {
    /// Connects.
    pub(super) fn open(peer: &Peer) -> io::Result<PeerConnection> {
        let stream = match peer {
            Peer::Tcp(address) => PeerStream::Tcp(connect_tcp(address)?),
            Peer::Unix(path) => PeerStream::Unix(UnixStream::connect(path)?),
        };
        let connection = PeerConnection { stream };
        system::set_send_buffer(connection.descriptor(), SEND_BUFFER_BYTES)?;
        match &connection.stream {
            PeerStream::Tcp(tcp) => {
                tcp.set_nodelay(true)?;
                tcp.set_write_timeout(Some(WAIT_MAX))?;
            }
            PeerStream::Unix(unix) => unix.set_write_timeout(Some(WAIT_MAX))?,
        }
        Ok(connection)
    }

    /// Takes some bytes, waiting for room for a while.
    ///
    /// # Errors
    /// What the system says; the reader closed, or there is no room.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.stream {
            PeerStream::Tcp(stream) => stream.write(bytes),
            PeerStream::Unix(stream) => stream.write(bytes),
        }
    }

    /// Waits until the reader says something or closes, and tells `heard` what it says, so that
    /// its answers never fill up.
    ///
    /// # Errors
    /// The reader has closed, or what else the system says.
    pub(super) fn listen(&mut self, patience: Duration, heard: impl Fn(&Said)) -> io::Result<()> {
        let mut patience = patience;
        while system::wait_readable(self.descriptor(), patience)? == Wait::Ready {
            let mut answer = [0; 512];
            let count = match &mut self.stream {
                PeerStream::Tcp(stream) => stream.read(&mut answer)?,
                PeerStream::Unix(stream) => stream.read(&mut answer)?,
            };
            if count == 0 {
                let why = "the reader closed the connection";
                return Err(io::Error::new(io::ErrorKind::ConnectionReset, why));
            }
            heard(&Said(answer, count));
            patience = Duration::ZERO;
        }
        Ok(())
    }

    fn descriptor(&self) -> BorrowedFd<'_> {
        match &self.stream {
            PeerStream::Tcp(stream) => stream.as_fd(),
            PeerStream::Unix(stream) => stream.as_fd(),
        }
    }
}

/// Tries every address that the name has now.
fn connect_tcp(address: &str) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}
