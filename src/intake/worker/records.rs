//! Where the outcome of a push is noted.

use crate::observe::telemetry::Telemetry;
use crate::status::Status;
use std::sync::Arc;

/// Who is told of each push.
#[derive(Clone, Debug)]
pub struct Records {
    /// What is counted.
    pub telemetry: Arc<Telemetry>,
    /// What the status page shows.
    pub status: Arc<Status>,
}
