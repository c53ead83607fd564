//! What every room may report to: the log and the figures.

pub mod log;
pub mod telemetry;
