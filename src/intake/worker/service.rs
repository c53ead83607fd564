//! What the workers share: what they serve by, and whom they tell of it.

use super::pending::Pending;
use super::records::Records;
use super::settings::InputSettings;
use crate::current::Current;
use crate::delivery::queue;
use crate::observe::log::Log;
use std::sync::Arc;

/// What the workers share.
#[derive(Debug)]
pub struct Service {
    /// By which settings; each request keeps those that it began with.
    pub settings: Current<InputSettings>,
    /// Where lines go.
    pub(crate) queue: queue::QueueSender<Pending>,
    /// Who is told of each push.
    pub records: Records,
    /// Where events go.
    pub log: Arc<Log>,
}
