//! Connections → pushes → answers.
//!
//! ```text
//! stranger ─▶ gate: a whole, bounded, allowed request ─▶ bridge ─▶ worker: its lines ─▶ delivery
//!    ▲         │                                            │                              │
//!    └─ bytes ─┴───────────── a typed answer ◀──────────────┴─ at once, or once delivered ─┘
//! ```
//!
//! The gate alone knows sockets and HTTP, a worker alone knows pushes, and neither knows the other:
//! a request and an answer of the bridge are all that they share. The bridge hands each request to
//! whichever worker is free, by tiny_http.

pub mod bridge;
pub mod gate;
pub mod worker;
