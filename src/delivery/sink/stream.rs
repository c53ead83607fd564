//! Bytes → a TCP or Unix stream socket: connected, and connected again.
//!
//! A write that has returned says that the system has the bytes, not that the consumer has them:
//! when a consumer dies, what stood in the socket buffers of both sides is lost though it was
//! acknowledged. So the last bytes written are kept, as many as those buffers can hold, and after a
//! reconnect they are sent again before anything else. Points may arrive twice then; they are the
//! same points, with the same timestamps. What is not covered is what a consumer had read and not
//! yet kept: that is its own loss.
//!
//! The consumer's answers, if it sends any, are read and dropped, so that they never fill up.

use super::block::Block;
use super::contract::{Sink, WAIT_MAX};
use super::outcome::{Taken, Trouble};
use super::progress::Progress;
use crate::limits::{KIB, REPLAY_BYTES};
use crate::observe::log::Log;
use crate::push::sample::Quoted;
use crate::system;
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How long one attempt to connect to one address may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// What the system may keep of unsent bytes: bounds what must be kept for a replay.
const SEND_BUFFER_BYTES: usize = 256 * KIB;

/// Who is connected to.
#[derive(Clone, Debug)]
pub(super) enum Peer {
    /// `host:port`, looked up anew at each connect.
    Tcp(String),
    /// The path of a socket.
    Unix(PathBuf),
}

#[derive(Debug)]
enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// A stream socket.
#[derive(Debug)]
pub(super) struct Socket {
    peer: Peer,
    log: Arc<Log>,
    stream: Option<Stream>,
    recent: Recent,
    /// How far `recent` has been sent again; none when it need not be.
    replay: Option<Place>,
    /// Bytes of the block in hand that this connection has taken.
    written: usize,
}

/// A place in the recent blocks.
#[derive(Debug, Default)]
struct Place {
    block: usize,
    at: usize,
}

/// The last blocks that were written, whole.
#[derive(Debug, Default)]
struct Recent {
    blocks: VecDeque<Vec<u8>>,
    bytes: usize,
}

impl Recent {
    fn keep(&mut self, block: &[u8]) {
        // Small blocks are joined, so that many small pushes do not cost an allocation each.
        const JOINED_BYTES: usize = 64 * KIB;
        match self.blocks.back_mut() {
            Some(last) if last.len() + block.len() <= JOINED_BYTES => last.extend_from_slice(block),
            _ => self.blocks.push_back(block.to_vec()),
        }
        self.bytes += block.len();
        while let Some(first) = self.blocks.front()
            && self.bytes - first.len() >= REPLAY_BYTES
        {
            self.bytes -= first.len();
            self.blocks.pop_front();
        }
    }
}

impl Socket {
    /// Not connected yet.
    pub(super) fn new(peer: Peer, log: Arc<Log>) -> Socket {
        Socket { peer, log, stream: None, recent: Recent::default(), replay: None, written: 0 }
    }

    /// Connects where that is needed, and sends again what the consumer before may not have read.
    fn advance(&mut self) -> Result<(), Trouble> {
        if self.stream.is_none() {
            self.stream = Some(self.peer.connect()?);
            self.replay = Some(Place::default());
            let replayed = self.recent.bytes;
            self.log.info("connected to the output", &[("replayed_bytes", &replayed)]);
        }
        while let Some(place) = &mut self.replay {
            let Some(block) = self.recent.blocks.get(place.block) else {
                self.replay = None;
                break;
            };
            let rest = block.get(place.at..).unwrap_or_default();
            if rest.is_empty() {
                *place = Place { block: place.block + 1, at: 0 };
                continue;
            }
            match self.stream.as_mut().map_or(Ok(0), |stream| stream.write(rest)) {
                Ok(count) => place.at += count,
                Err(error) => return Err(self.broken(error)),
            }
        }
        Ok(())
    }

    /// Takes what the consumer says; an error or its end breaks the connection.
    fn listen(&mut self) -> io::Result<()> {
        let Some(stream) = &mut self.stream else { return Ok(()) };
        let mut answer = [0; 512];
        while system::wait_readable(stream.descriptor(), Duration::ZERO)? == system::Wait::Ready {
            match stream.read(&mut answer)? {
                0 => return Err(io::Error::from(io::ErrorKind::ConnectionReset)),
                count => {
                    let text = answer.get(..count).unwrap_or_default();
                    self.log.debug("the consumer says", &[("text", &Quoted(text))]);
                }
            }
        }
        Ok(())
    }

    fn broken(&mut self, error: io::Error) -> Trouble {
        let trouble = Trouble::from(error);
        if !matches!(trouble, Trouble::Blocked) {
            self.stream = None;
            self.written = 0;
        }
        trouble
    }
}

impl Peer {
    fn connect(&self) -> io::Result<Stream> {
        let stream = match self {
            Peer::Tcp(address) => Stream::Tcp(connect_tcp(address)?),
            Peer::Unix(path) => Stream::Unix(UnixStream::connect(path)?),
        };
        system::set_send_buffer(stream.descriptor(), SEND_BUFFER_BYTES)?;
        match &stream {
            Stream::Tcp(tcp) => {
                tcp.set_nodelay(true)?;
                tcp.set_write_timeout(Some(WAIT_MAX))?;
            }
            Stream::Unix(unix) => unix.set_write_timeout(Some(WAIT_MAX))?,
        }
        Ok(stream)
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

impl Stream {
    fn descriptor(&self) -> BorrowedFd<'_> {
        match self {
            Stream::Tcp(stream) => stream.as_fd(),
            Stream::Unix(stream) => stream.as_fd(),
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.read(buffer),
            Stream::Unix(stream) => stream.read(buffer),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.write(bytes),
            Stream::Unix(stream) => stream.write(bytes),
        }
    }
}

impl Socket {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Trouble> {
        let Some(stream) = &mut self.stream else { return Err(Trouble::Blocked) };
        match stream.write(bytes) {
            Ok(0) => Err(Trouble::Blocked),
            Ok(count) => Ok(count),
            Err(error) => Err(self.broken(error)),
        }
    }
}

impl Sink for Socket {
    fn offer(&mut self, block: &Block, progress: &mut Progress) -> Result<Taken, Trouble> {
        if self.written == 0 {
            self.idle()?;
        }
        let rest = block.slice(self.written..block.bytes().len());
        self.written += self.write(rest)?;
        if self.written < block.bytes().len() {
            progress.reached(self.written);
            return Err(Trouble::Blocked);
        }
        self.recent.keep(block.bytes());
        self.written = 0;
        Ok(Taken::All)
    }

    fn idle(&mut self) -> Result<(), Trouble> {
        self.advance()?;
        self.listen().map_err(|error| self.broken(error))
    }

    fn reopen(&mut self) {}
}
