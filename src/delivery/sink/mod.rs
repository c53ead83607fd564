//! Bytes → one output: standard output, a file, a socket (SPEC 3).
//!
//! # The contract
//! The writer hands over *blocks*: whole batches, one behind the other. It calls [`Sink::begin`]
//! before the first byte of a block, [`Sink::write`] until all of it is taken, and [`Sink::finish`]
//! behind its last byte. A sink never waits longer than [`WAIT_MAX`] in one call, but where the
//! system leaves it no choice (a blocking pipe). What goes wrong is one of three troubles:
//! - [`Trouble::Blocked`]: nothing is lost, the same bytes may be offered again at once;
//! - [`Trouble::Broken`]: bytes of this block may be lost; the sink has put itself in order, and
//!   the writer begins the block anew after a pause;
//! - [`Trouble::Ended`]: nobody will ever read this output again.

mod file;
mod stdout;
mod stream;

use crate::observe::log::Log;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Where lines go (`output.target`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Target {
    /// `stdout`
    #[default]
    Stdout,
    /// `file:/path`
    File(PathBuf),
    /// `tcp://host:port`, looked up anew at each connect.
    Tcp(String),
    /// `unix:/path`
    Unix(PathBuf),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Stdout => f.write_str("stdout"),
            Target::File(path) => write!(f, "file:{}", path.display()),
            Target::Tcp(address) => write!(f, "tcp://{address}"),
            Target::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// When written lines count as written (`output.fsync`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Durability {
    /// When the write call has returned.
    #[default]
    Written,
    /// When the file has been synced besides.
    Synced,
}

/// The longest that a call of a sink waits.
pub(crate) const WAIT_MAX: Duration = Duration::from_millis(100);

/// What a sink cannot do.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// It takes nothing now.
    Blocked,
    /// It failed, and may work again.
    Broken(io::Error),
    /// It has ended for good.
    Ended(io::Error),
}

/// One output.
pub(crate) trait Sink: Send {
    /// A block begins: opens or connects what is not open.
    ///
    /// # Errors
    /// A [`Trouble`]; the block has not begun.
    fn begin(&mut self) -> Result<(), Trouble>;

    /// Takes some of `bytes`; returns how many, at least one.
    ///
    /// # Errors
    /// A [`Trouble`].
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Trouble>;

    /// A block of these bytes is taken whole: makes it as durable as was asked for.
    ///
    /// # Errors
    /// A [`Trouble`]; the block does not count as written.
    fn finish(&mut self, block: &[u8]) -> Result<(), Trouble>;

    /// Nothing is to be written: looks after the other end.
    ///
    /// # Errors
    /// A [`Trouble`].
    fn idle(&mut self) -> Result<(), Trouble>;

    /// Opens anew at the next block (SIGHUP).
    fn reopen(&mut self);
}

/// Why an output cannot be used at all.
#[derive(Debug)]
pub struct OpenError {
    target: Target,
    error: io::Error,
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot open the output {}: {}", self.target, self.error)
    }
}

impl std::error::Error for OpenError {}

/// Opens the output. A socket is not connected yet: service does not wait for its consumer.
///
/// # Errors
/// A file that cannot be opened, or a standard output that is closed.
pub(crate) fn open(
    target: &Target,
    durability: Durability,
    log: Arc<Log>,
) -> Result<Box<dyn Sink>, OpenError> {
    let error = |error| OpenError { target: target.clone(), error };
    Ok(match target {
        Target::Stdout => Box::new(stdout::Stdout::open().map_err(error)?),
        Target::File(path) => Box::new(file::File::open(path, durability).map_err(error)?),
        Target::Tcp(address) => {
            Box::new(stream::Socket::new(stream::Peer::Tcp(address.clone()), log))
        }
        Target::Unix(path) => {
            Box::new(stream::Socket::new(stream::Peer::Unix(PathBuf::from(Path::new(path))), log))
        }
    })
}

/// Sorts the error of a write on a descriptor that may be non-blocking.
fn trouble(error: io::Error) -> Trouble {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted | io::ErrorKind::TimedOut => {
            Trouble::Blocked
        }
        _ => Trouble::Broken(error),
    }
}
