//! Foreign connections → complete, bounded, well-formed requests.

use std::path::PathBuf;
use std::time::Duration;

/// One place to listen (`server.listen`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// `host:port`; port 0 lets the system choose.
    Tcp(String),
    /// `unix:/path`
    Unix(PathBuf),
}

/// What the operator asks of the gate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Where it listens, unless a supervisor hands sockets over.
    pub listen: Vec<Listen>,
    /// Connections at once, all listeners together (`server.max_connections`).
    pub connections_max: usize,
    /// The body of one request as sent, in bytes (`server.max_body_bytes`).
    pub body_bytes_max: usize,
    /// Bodies in hand, all connections together, in bytes (`server.max_buffered_bytes`).
    pub buffered_bytes_max: usize,
    /// From a request's first byte to the end of its head (`server.head_timeout`).
    pub head_timeout: Duration,
    /// From the end of its head to the end of its body (`server.body_timeout`).
    pub body_timeout: Duration,
    /// Between two requests of one connection (`server.idle_timeout`).
    pub idle_timeout: Duration,
}
