//! Where lines go, as the configuration says it, and why an output cannot be opened.

use super::http::{HttpOptions, StoreUrl};
use super::rejected::RejectedOptions;
use std::fmt;
use std::io;
use std::path::PathBuf;
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
    /// `http://…` or `https://…`
    Http(StoreUrl),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Stdout => f.write_str("stdout"),
            Target::File(path) => write!(f, "file:{}", path.display()),
            Target::Tcp(address) => write!(f, "tcp://{address}"),
            Target::Unix(path) => write!(f, "unix:{}", path.display()),
            Target::Http(url) => url.fmt(f),
        }
    }
}

/// When written lines count as written (`output.fsync`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Durability {
    /// When the write call has returned.
    #[default]
    Written,
    /// When the file has been synced as well.
    Synced,
}

/// What the operator asks of an output.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SinkOptions {
    /// Where lines go.
    pub(crate) target: Target,
    /// When lines in a file count as written.
    pub(crate) durability: Durability,
    /// How a store is reached over HTTP.
    pub(crate) http: HttpOptions,
    /// What becomes of lines that the consumer refuses.
    pub(crate) rejected: RejectedOptions,
    /// For how long after a write to a socket lines are sent again after a break
    /// (`output.replay`).
    pub(crate) replay: Duration,
}

/// Why an output cannot be used at all.
#[derive(Debug)]
pub struct OpenError {
    pub(super) target: Target,
    pub(super) error: io::Error,
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot open the output {}: {}", self.target, self.error)
    }
}

impl std::error::Error for OpenError {}
