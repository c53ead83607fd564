//! Why the process cannot start, or ended badly, and with which exit status.

use crate::delivery::sink;
use crate::delivery::spool::UnusableSpool;
use crate::intake::gate::{self, ListenerTlsError, auth};
use std::fmt;
use std::io;
use std::time::Duration;

/// Why the process cannot start, or ended badly.
#[derive(Debug)]
pub enum Error {
    /// The gate could not open.
    Gate(gate::Error),
    /// The output could not be opened.
    Sink(sink::OpenError),
    /// The spool's folder cannot be used.
    Spool(UnusableSpool),
    /// The credentials cannot be used.
    Auth(auth::Error),
    /// The listeners cannot speak TLS.
    Tls(ListenerTlsError),
    /// The system gave no thread, descriptor or signal handler.
    System(io::Error),
    /// The output ended for good: the reader of standard output went away.
    OutputEnded(io::Error),
    /// `drain_timeout` passed before everything was written.
    Undrained {
        /// Batches that are not written.
        batch_count: u64,
        /// `output.drain_timeout`
        after: Duration,
    },
    /// A thread that must not end has ended.
    ThreadLost(&'static str),
    /// A second signal asked to end at once.
    Impatient,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Gate(error) => error.fmt(f),
            Error::Sink(error) => error.fmt(f),
            Error::Spool(error) => error.fmt(f),
            Error::Auth(error) => error.fmt(f),
            Error::Tls(error) => error.fmt(f),
            Error::System(error) => write!(f, "the system refuses what pushline needs: {error}"),
            Error::OutputEnded(error) => {
                write!(f, "the output has ended: its reader went away ({error})")
            }
            Error::Undrained { batch_count, after } => write!(
                f,
                "{batch_count} batches were not written within {} s (output.drain_timeout)",
                after.as_secs_f64()
            ),
            Error::ThreadLost(what) => write!(f, "{what}, which is a defect of pushline"),
            Error::Impatient => write!(f, "a second signal came before everything was written"),
        }
    }
}

impl std::error::Error for Error {}

impl Error {
    /// The exit status of the process: 2 where a mistake of the configuration keeps it from
    /// starting, so that a supervisor does not try again, else 1.
    #[must_use]
    pub fn exit_status(&self) -> u8 {
        match self {
            Error::Auth(_) | Error::Tls(_) => 2,
            // The other process may end.
            Error::Spool(error) if error.is_held() => 1,
            Error::Spool(_) => 2,
            Error::Gate(_)
            | Error::Sink(_)
            | Error::System(_)
            | Error::OutputEnded(_)
            | Error::Undrained { .. }
            | Error::ThreadLost(_)
            | Error::Impatient => 1,
        }
    }
}
