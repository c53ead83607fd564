//! Asks the workers, again and again, whether they answer → tells the main loop, which tells the
//! supervisor.
//!
//! The watchdog must tell the truth, so a sign of life is given only when all of this holds:
//! - a request was answered that takes the way of every other one: the gate sends it, tiny_http
//!   hands it on, and a worker takes it;
//! - not all workers are stuck: one is, when it has been at a single request for longer than the
//!   supervisor's time; a push that waits for the output is in no worker's hand;
//! - the main loop is alive, as the sign is its to pass on.
//!
//! The writer is not asked: what holds it is its consumer, and no restart of this process mends
//! that. An essential thread that ends is told elsewhere, at once.

use crate::heartbeat::{Examiner, Heartbeats};
use crate::intake::bridge::Probe;
use crate::observe::log::Log;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// How the workers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Health {
    /// They answer.
    Good,
    /// The question was not answered in time.
    NoAnswer,
    /// So many workers are stuck that no push is served.
    Stuck {
        /// How many.
        workers: usize,
    },
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Health::Good => f.write_str("the workers answer"),
            Health::NoAnswer => f.write_str("no worker answers"),
            Health::Stuck { workers } => write!(f, "{workers} workers are stuck"),
        }
    }
}

/// Asks twice within each `period`, from a thread of its own, and tells what it found.
///
/// # Errors
/// The system has no thread for it.
pub(crate) fn spawn(
    probe: Probe,
    heartbeats: Arc<Heartbeats>,
    period: Duration,
    log: Arc<Log>,
    tell: impl Fn(Health) + Send + 'static,
) -> io::Result<()> {
    let examiner = Examiner::new(&heartbeats, period, Instant::now());
    let mut watchdog = Watchdog { probe, heartbeats, examiner, health: Health::Good, log };
    // A time of zero is none to wait for.
    let interval = (period / 2).max(Duration::from_millis(1));
    thread::Builder::new().name("watchdog".to_owned()).spawn(move || {
        loop {
            thread::sleep(interval);
            let health = watchdog.ask(interval);
            // Told first: the log may be what hangs.
            tell(health);
            watchdog.note(health);
        }
    })?;
    Ok(())
}

struct Watchdog {
    probe: Probe,
    heartbeats: Arc<Heartbeats>,
    examiner: Examiner,
    /// As it was last time.
    health: Health,
    log: Arc<Log>,
}

impl Watchdog {
    fn ask(&mut self, patience: Duration) -> Health {
        let stuck = self.examiner.stuck(&self.heartbeats, Instant::now());
        if stuck > 0 && stuck >= self.heartbeats.beats().len() {
            return Health::Stuck { workers: stuck };
        }
        if self.probe.ask(patience) { Health::Good } else { Health::NoAnswer }
    }

    fn note(&mut self, health: Health) {
        match (self.health == Health::Good, health == Health::Good) {
            (true, false) => {
                self.log.error("the watchdog is not told any more", &[("why", &health)]);
            }
            (false, true) => self.log.info("the watchdog is told again", &[("why", &health)]),
            _ => {}
        }
        self.health = health;
    }
}
