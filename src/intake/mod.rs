//! Connections → pushes → answers: the gate, the bridge, the workers.

pub mod bridge;
pub mod gate;
pub mod worker;
