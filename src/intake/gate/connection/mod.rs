//! One foreign connection: its requests, one after the other, each complete before a worker has it.
//!
//! A connection never waits. It goes as far as the bytes that are there take it, says what it needs
//! to go on, and is called again when that has come:
//!
//! ```text
//!        ┌────────────────────────────────────────────────────────┐
//! Idle ─▶ Head ─▶ Length | Chunked ─▶ Exchanging ─▶ Answering ────┴▶ (closed)
//!           └────────────┴─▶ refused: Answering ─▶ Lingering ─▶ (closed)
//! ```
//!
//! Under TLS, `Idle ─▶ Handshake ─▶ Idle` comes before that, once.
//!
//! Between two requests it holds no buffer of any size, so that thousands may be idle.

mod answering;
mod body;
mod driving;
mod handshake;
mod state;

pub(super) use state::{Connection, EvictionRank, Need, Turn};
