//! Whole requests → a worker; its answer → the gate. All that the two know of each other.
//!
//! ```text
//!        ┌─ number ─▶ lane: a head through tiny_http ─▶ number ─┐
//! gate ──┤                                                      ├─▶ worker
//!   ▲    └─ request ─▶ transit: moved, not copied ──▶ request ──┘      │
//!   └───────────── answer ◀─ mailbox ◀─ answer ◀───────────────────────┘
//! ```
//!
//! tiny_http hands requests to whichever worker is free, and that is all it does: it sees a head of
//! some sixty bytes for each (`lane`). No byte of a body crosses a socket, so the way never blocks,
//! and the memory of a body is counted once (`budget`).

mod answer;
mod budget;
#[cfg(pushline_without_tiny_http)]
mod direct;
mod ends;
#[cfg(not(pushline_without_tiny_http))]
mod heads;
#[cfg(not(pushline_without_tiny_http))]
mod lane;
mod mailbox;
mod probe;
mod request;
mod spare_bodies;
mod transit;

pub use answer::Answer;
pub(crate) use budget::{AnswerLease, Body, Budget};
pub use ends::{GateEnd, WorkerEnd};
pub(crate) use ends::{ReplyTo, open};
pub(crate) use mailbox::{Letter, Mailbox};
pub(crate) use probe::Probe;
pub use request::{Method, Request};
