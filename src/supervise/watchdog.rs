//! Looks, again and again, whether the essential threads get on → tells the main loop, which tells
//! the supervisor.
//!
//! The watchdog must tell the truth, so a sign of life is given only when all of this holds:
//! - a request was answered that takes the way of every other one: the gate sends it, tiny_http
//!   hands it on, and a worker takes it;
//! - not all workers are stuck: one is, when it has been at a single request for longer than the
//!   supervisor's time; a push that waits for the output is in no worker's hand;
//! - the gate, the writer and the warden beat. What holds the writer is mostly its consumer, which
//!   no restart of this process mends: it says so, and then nothing is asked of it;
//! - the main loop is alive, as the sign is its to pass on.
//!
//! An essential thread that ends is told elsewhere, at once.

use crate::heartbeat::{Examiner, Heartbeats};
use crate::intake::bridge::Probe;
use crate::observe::log::Log;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// Whether the essential threads get on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Liveness {
    /// They do.
    Good,
    /// The question was not answered in time.
    NoAnswer,
    /// So many workers are stuck that no push is served.
    Stuck {
        /// How many.
        workers: usize,
    },
    /// Another thread does not get on.
    Hangs {
        /// Which.
        thread: &'static str,
    },
}

impl fmt::Display for Liveness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Liveness::Good => f.write_str("all threads get on"),
            Liveness::NoAnswer => f.write_str("no worker answers"),
            Liveness::Hangs { thread } => write!(f, "the {thread} hangs"),
            Liveness::Stuck { workers } => write!(f, "{workers} workers are stuck"),
        }
    }
}

/// Who looks.
#[derive(Debug)]
pub(crate) struct Watchdog {
    probe: Probe,
    heartbeats: Arc<Heartbeats>,
    examiner: Examiner,
    /// What the supervisor asked for.
    period: Duration,
    /// As it was last time.
    liveness: Liveness,
    log: Arc<Log>,
}

impl Watchdog {
    /// One that begins to look now.
    pub(crate) fn new(
        probe: Probe,
        heartbeats: Arc<Heartbeats>,
        period: Duration,
        log: Arc<Log>,
    ) -> Watchdog {
        let examiner = Examiner::new(&heartbeats, period, Instant::now());
        Watchdog { probe, heartbeats, examiner, period, liveness: Liveness::Good, log }
    }

    /// Looks twice within each period, from a thread of its own, and tells what it found.
    ///
    /// # Errors
    /// The system has no thread for it.
    pub(crate) fn start(mut self, tell: impl Fn(Liveness) + Send + 'static) -> io::Result<()> {
        // A time of zero is none to wait for.
        let interval = (self.period / 2).max(Duration::from_millis(1));
        thread::Builder::new().name("watchdog".to_owned()).spawn(move || {
            loop {
                thread::sleep(interval);
                let liveness = self.ask(interval);
                // Told first: the log may be what hangs.
                tell(liveness);
                self.note(liveness);
            }
        })?;
        Ok(())
    }

    fn ask(&mut self, patience: Duration) -> Liveness {
        let now = Instant::now();
        let workers = self.examiner.stuck_workers(&self.heartbeats, now);
        if let Some(thread) = self.examiner.stuck_thread(&self.heartbeats, now) {
            return Liveness::Hangs { thread };
        }
        if workers > 0 && workers >= self.heartbeats.workers().len() {
            return Liveness::Stuck { workers };
        }
        if self.probe.ask(patience) { Liveness::Good } else { Liveness::NoAnswer }
    }

    fn note(&mut self, liveness: Liveness) {
        match (self.liveness == Liveness::Good, liveness == Liveness::Good) {
            (true, false) => {
                self.log.error("the watchdog is not told any more", &[("why", &liveness)]);
            }
            (false, true) => self.log.info("the watchdog is told again", &[("why", &liveness)]),
            _ => {}
        }
        self.liveness = liveness;
    }
}
