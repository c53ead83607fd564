//! pushline: Prometheus Pushgateway protocol in, InfluxDB line protocol out.
//!
//! ```text
//! client ─▶ gate ─▶ tiny_http ─▶ worker:  route ─▶ body ─▶ exposition ─▶ mapping ─▶ line
//!                                                                                     │ queue
//! client ◀─ gate ◀─────────────── answered ◀───────────────────── writer ◀────────────┘
//!                                                                   └─▶ sink
//! ```
//!
//! Data flows one way, left to right. A stage knows its input type and its output type and no other
//! stage; only [`push`] composes them. A push is encoded into its worker's own buffer, and only a
//! whole, valid push becomes a [`queue::Batch`]: a push is all or nothing, batches never
//! interleave, and what crosses the queue is finished lines. [`convert`] composes nothing anew: it
//! gives [`push`] a body from a file and prints its lines.
//!
//! The modules stand in the order of that flow. A module may import only those above it; a test
//! (`tests/suite/tidy.rs`) reads the `use` lines and holds this.

// What every room may use.
#[cfg(test)]
mod alone;
pub mod chunk;
pub mod cycle;
pub mod json;
pub mod limits;
pub mod live;
pub mod log;
pub mod pulse;
#[cfg(test)]
mod random;
pub mod sample;
pub mod short;
pub mod system;
pub mod telemetry;

// The way of a push, from bytes to lines.
pub mod body;
pub mod exposition;
pub mod mapping;
pub mod route;

pub mod line;

pub mod push;

// A push without a server.
pub mod convert;

// From lines to the output.
pub mod queue;

pub mod sink;

pub mod writer;

// What an operator sees of all of it.
pub mod status;

// The front: connections, requests, signals, and who watches over the process.
pub mod auth;
pub mod emitter;
pub mod gate;
pub mod server;
pub mod shutdown;
pub mod supervisor;
pub mod watchdog;

// What the operator says.
pub mod cli;
pub mod config;

pub mod app;
