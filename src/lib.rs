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
//! whole, valid push becomes a batch of the queue ([`delivery`]): a push is all or nothing, batches
//! never interleave, and what crosses the queue is finished lines.
//!
//! - [`intake`]: how requests come in and answers go out. The gate reads complete, bounded
//!   requests from foreign connections; tiny_http hands each to a free worker.
//! - [`push`]: how bytes become lines.
//! - [`delivery`]: how lines reach a consumer: queue, writer, and one sink.
//! - [`app`] wires these rooms, [`config`] tells them what the operator wants, [`status`] shows
//!   what they do, [`supervise`] tells a supervisor that they are well, [`observe`] is what all of
//!   them report to.
//!
//! The modules below are in the order of their imports: a module may import only those above it. A
//! test (`tests/suite/tidy.rs`) reads the `use` lines and holds this.

// The ground: what every room may use.
pub mod current;
pub mod heartbeat;
pub mod json;
pub mod limits;
pub mod system;
mod tls;

pub mod bytes;
pub mod observe;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod testing;

// The way of a push: how bytes become lines, how lines reach a consumer.
pub mod push;

pub mod delivery;

// What the operator sees, and how requests come in.
pub mod status;

pub mod intake;

// What the operator says, and what a supervisor is told.
pub mod config;
pub mod supervise;

pub mod app;
