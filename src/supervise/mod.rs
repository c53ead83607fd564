//! What a supervisor is told, and what it watches.

pub mod notify;
pub mod watchdog;
