//! What `scripts/bench` measures in Rust; the script starts servers around it and prints the table.
//!
//! ```text
//! families ─▶ text, protobuf ─▶ body ─▶ pushline, yardsticks, other parsers ─▶ figures
//!    └──────▶ lines: what must come out, made without reading a body ─▶ confirmed before measuring
//! ```
//!
//! Figures leave as `name value` lines on standard output. Whatever is timed in-process is timed in
//! interleaved rounds by the CPU time of its thread, so that a busy machine disturbs all alike.

pub mod body;
pub mod conversion;
pub mod drain;
pub mod families;
pub mod figures;
pub mod hostile;
pub mod lines;
pub mod load;
pub mod model;
pub mod parsers;
pub mod protobuf;
pub mod request;
pub mod rounds;
pub mod start;
pub mod store;
pub mod text;
pub mod worst;
pub mod yardstick;
