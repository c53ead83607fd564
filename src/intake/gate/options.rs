//! What the operator asks of the gate.

use super::listen::Listen;
use std::time::Duration;

/// What the operator asks of the gate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GateOptions {
    /// Where it listens, unless a supervisor hands sockets over.
    pub(crate) listen: Vec<Listen>,
    /// Connections at once, all listeners together (`server.max_connections`).
    pub(crate) connections_max: usize,
    /// The body of one request as sent, in bytes (`server.max_body_bytes`).
    pub body_bytes_max: usize,
    /// Bodies in hand, all connections together, in bytes (`server.max_buffered_bytes`).
    pub(crate) buffered_bytes_max: usize,
    /// From a request's first byte to the end of its head (`server.head_timeout`).
    pub(crate) head_timeout: Duration,
    /// From the end of its head to the end of its body (`server.body_timeout`).
    pub body_timeout: Duration,
    /// Between two requests of one connection (`server.idle_timeout`).
    pub(crate) idle_timeout: Duration,
}
