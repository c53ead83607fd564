//! Bytes → one output: standard output, a file, a socket (SPEC 3).

use std::path::PathBuf;

/// Where lines go (`output.target`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Target {
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

/// When written lines count as written (`output.fsync`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// When the write call has returned.
    #[default]
    Written,
    /// When the file has been synced besides.
    Synced,
}
