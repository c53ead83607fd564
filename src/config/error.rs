//! What is wrong with a configuration: where, which key, what was found, what is allowed.

use super::allowed::Allowed;
use super::meant::Meant;
use super::units::{duration_text, size_text};
use crate::delivery::sink::Target;
use crate::intake::gate::Listen;
use crate::push::sample::Quoted;
use std::fmt;
use std::io;
use std::time::Duration;

/// Where a value was found, in the order in which mistakes are told.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Location {
    /// In a file; line and column from 1.
    File { path: String, line: usize, column: usize },
    /// In the environment.
    Environment,
    /// On the command line.
    CommandLine,
    /// Not in one place: values that are right by themselves do not fit together.
    Whole,
}

/// One mistake.
#[derive(Debug)]
pub(super) struct Mistake {
    pub(super) location: Location,
    pub(super) what: MistakeKind,
}

/// What a mistake is.
#[derive(Debug)]
pub(super) enum MistakeKind {
    /// The file cannot be read.
    Unreadable { path: String, error: io::Error },
    /// The file is not TOML; the words are the parser's.
    Syntax(String),
    /// A key or a table that does not exist.
    Unknown { key: String, meant: Meant },
    /// A value that is of the wrong type, or impossible.
    Value { key: String, found: String, allowed: Allowed },
    /// Values that exclude each other.
    Conflict(Conflict),
}

/// Values that exclude each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Conflict {
    /// Two inputs with one `route_prefix`.
    SamePrefix(String),
    /// One address of `server.listen` twice.
    SameAddress(Listen),
    /// `server.max_body_bytes` is above `server.max_buffered_bytes`.
    BodyAboveBuffered { body_bytes_max: usize, buffered_bytes_max: usize },
    /// `output.fsync` with a target that is not a file.
    FsyncWithoutFile(Target),
    /// `spool.dir` with a target that cannot be away.
    SpoolWithoutNetwork(Target),
    /// `spool.after` is not below `output.ack_timeout`.
    SpoolAfterTimeout { after: Duration, ack_timeout: Duration },
    /// `output.http.linger` is not below `output.ack_timeout`.
    LingerAboveTimeout { linger: Duration, ack_timeout: Duration },
}

/// Why a configuration is refused: every mistake that was found, one a line.
#[derive(Debug)]
pub struct Error(pub(super) Vec<Mistake>);

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, mistake) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{mistake}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.location {
            Location::File { path, line, column } => write!(f, "{path}:{line}:{column}: ")?,
            Location::Environment => f.write_str("environment: ")?,
            Location::CommandLine => f.write_str("command line: ")?,
            Location::Whole => {}
        }
        match &self.what {
            MistakeKind::Unreadable { path, error } => write!(f, "{path}: cannot be read: {error}"),
            MistakeKind::Syntax(message) => f.write_str(message),
            MistakeKind::Unknown { key, meant } => {
                write!(f, "{} is not known, {meant}", Quoted(key.as_bytes()))
            }
            MistakeKind::Value { key, found, allowed } => {
                write!(f, "{key} is {found}, must be {allowed}")
            }
            MistakeKind::Conflict(conflict) => conflict.fmt(f),
        }
    }
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Conflict::SamePrefix(prefix) => write!(
                f,
                "two inputs have the route_prefix \"{prefix}\", each must have one of its own"
            ),
            Conflict::SameAddress(listen) => {
                write!(f, "server.listen has \"{listen}\" twice, each address is bound once")
            }
            Conflict::BodyAboveBuffered { body_bytes_max, buffered_bytes_max } => write!(
                f,
                "server.max_body_bytes is \"{}\", must not be above server.max_buffered_bytes (\"{}\")",
                size_text(*body_bytes_max as u64),
                size_text(*buffered_bytes_max as u64)
            ),
            Conflict::FsyncWithoutFile(target) => {
                write!(f, "output.fsync is true, which only a file can do, not {target}")
            }
            Conflict::SpoolWithoutNetwork(target) => {
                write!(f, "spool.dir is set, which needs an output that may be away for a while ")?;
                let why = match target {
                    Target::File(_) => "a file is on a disk itself",
                    _ => "without its reader the process ends",
                };
                write!(f, "(http, https, tcp or unix), not {target}: {why}")
            }
            Conflict::SpoolAfterTimeout { after, ack_timeout } => write!(
                f,
                "spool.after is \"{}\", must be below output.ack_timeout (\"{}\")",
                duration_text(*after),
                duration_text(*ack_timeout)
            ),
            Conflict::LingerAboveTimeout { linger, ack_timeout } => write!(
                f,
                "output.http.linger is \"{}\", must be below output.ack_timeout (\"{}\"): a push \
                 that comes alone would be answered 503 before it is sent",
                duration_text(*linger),
                duration_text(*ack_timeout)
            ),
        }
    }
}
