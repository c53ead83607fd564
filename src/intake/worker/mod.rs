//! Requests → pushes → answers: the workers.
//!
//! ```text
//! bridge ─▶ pool: a thread ─▶ serving: route ─▶ push ─▶ lines ─▶ queue ─▶ pending ─▶ answer
//!                                └──▶ whatever is no push, or is refused ──────────▶ answer
//! ```

mod known_urls;
mod pending;
mod pool;
mod records;
mod service;
mod serving;
mod settings;

use crate::heartbeat::Heartbeats;
use crate::intake::bridge::WorkerEnd;
use pool::Pool;
use serving::Worker;
use std::io;
use std::sync::Arc;

pub(crate) use pending::Pending;
pub use records::Records;
pub use service::Service;
pub use settings::InputSettings;

/// Starts a worker for each beat. `on_lost` is called by one that ends, which none does by itself.
///
/// # Errors
/// The system has no thread.
pub(crate) fn start(
    end: WorkerEnd,
    heartbeats: Arc<Heartbeats>,
    service: Service,
    on_lost: impl Fn(&'static str) + Clone + Send + 'static,
) -> io::Result<()> {
    let telemetry = Arc::clone(&service.records.telemetry);
    let service = Arc::new(service);
    let pool = Pool { end, heartbeats, telemetry };
    pool.start(|| Worker::new(Arc::clone(&service)), on_lost)
}
