//! What the process gets from outside besides its configuration.

use super::greeting::Greeting;
use super::signals::SignalHandlers;
use crate::config::{self, Config};
use crate::observe::log::Log;
use crate::supervise::notify::Supervisor;
use std::fmt;
use std::sync::Arc;

/// Reads the configuration from where it came from (SIGHUP).
pub type Load = Box<dyn Fn() -> Result<Config, config::Error>>;

/// What the process gets from outside besides its configuration.
pub struct Surroundings {
    /// The configuration that follows.
    pub load: Load,
    /// Who is told of each step.
    pub supervisor: Supervisor,
    /// Where events go.
    pub log: Arc<Log>,
    /// What catches signals since the process began.
    pub signals: SignalHandlers,
    /// Whether a person looks on.
    pub greeting: Greeting,
}

impl fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Surroundings").finish_non_exhaustive()
    }
}
