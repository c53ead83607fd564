//! The process while it serves: what the main thread does with each event, until one ends it.

use super::error::Error;
use super::event::Event;
use super::signals::SignalRequest;
use super::surroundings::Load;
use crate::config::Config;
use crate::current::Current;
use crate::delivery::condition::Condition;
use crate::delivery::emitter::Emitter;
use crate::delivery::queue;
use crate::delivery::spool::SpoolFigures;
use crate::delivery::writer::WriterEnd;
use crate::intake::gate::Gate;
use crate::intake::gate::auth::Auth;
use crate::intake::worker::{InputSettings, Pending};
use crate::observe::log::Log;
use crate::observe::telemetry::Telemetry;
use crate::status::Status;
use crate::supervise::notify::Supervisor;
use crate::supervise::watchdog::Liveness;
use crate::system;
use crate::tls::TlsServer;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often the main thread looks whether the status that a supervisor shows is still true.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// What the end may take beyond `drain_timeout`: the writer may hang in a write for good.
pub(super) const DRAIN_PATIENCE: Duration = Duration::from_secs(1);

/// Everything that has to be ended in order.
pub(super) struct Running {
    pub(super) config: Config,
    pub(super) load: Load,
    pub(super) log: Arc<Log>,
    pub(super) telemetry: Arc<Telemetry>,
    pub(super) status: Arc<Status>,
    pub(super) queue: queue::QueueSender<Pending>,
    pub(super) writer: JoinHandle<WriterEnd>,
    pub(super) gate: Gate,
    pub(super) auth: Current<Auth>,
    pub(super) tls: Current<Option<TlsServer>>,
    pub(super) settings: Current<InputSettings>,
    /// Where own figures go to the output.
    pub(super) emitter: Option<Emitter>,
    pub(super) events: Sender<Event>,
    pub(super) inbox: Receiver<Event>,
    pub(super) supervisor: Supervisor,
    pub(super) liveness: Liveness,
}

impl Running {
    /// Waits for what ends the process, then ends it in order.
    pub(super) fn wait(mut self) -> Result<(), Error> {
        self.supervisor.ready(&self.status());
        loop {
            self.status.note(system::now_ns());
            match self.inbox.recv_timeout(LOOK_EVERY) {
                Ok(Event::Signal(SignalRequest::Reload)) => {
                    self.supervisor.reloading();
                    self.reload();
                    self.supervisor.ready(&self.status());
                }
                Ok(Event::Signal(SignalRequest::Stop)) => return self.drain(),
                Ok(Event::WriterEnded) => return Err(self.output_ended()),
                Ok(Event::ThreadLost(what)) => {
                    self.log.error("an essential thread is lost, ending", &[("thread", &what)]);
                    return self.drain().and(Err(Error::ThreadLost(what)));
                }
                Ok(Event::Watched(liveness)) => self.watched(liveness),
                Err(RecvTimeoutError::Timeout) => self.supervisor.status(&self.status()),
                // Neither comes before the end has begun.
                Ok(Event::Closed) | Err(RecvTimeoutError::Disconnected) => return self.drain(),
            }
        }
    }

    /// The supervisor hears of the workers only while they are well, through this loop.
    fn watched(&mut self, liveness: Liveness) {
        self.liveness = liveness;
        self.supervisor.status(&self.status());
        if liveness == Liveness::Good {
            self.supervisor.alive();
        }
    }

    /// How the process is, in one sentence that does not change while nothing does.
    fn status(&self) -> String {
        let output = &self.config.output.target;
        if self.liveness != Liveness::Good {
            return format!("{}, a restart is due", self.liveness);
        }
        match self.queue.state().look() {
            Condition::Flowing { .. } => format!("serving, lines go to {output}"),
            Condition::Spooling { because, .. } => {
                let waits = self.spool_sentence().unwrap_or_default();
                let why =
                    because.map_or(String::new(), |why| format!(": {}", why.in_short(output)));
                format!("serving, {waits}{why}")
            }
            Condition::NotReady(not_ready) => {
                format!("{}: pushes get 503", not_ready.in_short(output))
            }
        }
    }

    /// How the spool is, while lines go to it.
    fn spool_sentence(&self) -> Option<String> {
        let bytes_max = self.config.spool.options()?.bytes_max;
        let figures = SpoolFigures::read(&self.telemetry, bytes_max, system::now_ms());
        figures.sentence(&self.config.output.target)
    }

    /// Nothing more can be written: requests that have arrived are answered, those whose push was
    /// written with 200, and then the process ends.
    fn output_ended(mut self) -> Error {
        const PATIENCE: Duration = Duration::from_millis(500);
        self.supervisor.stopping(PATIENCE, "ending: the output has ended");
        self.gate.close(Instant::now() + PATIENCE);
        match self.writer.join() {
            Ok(WriterEnd::OutputEnded(error)) => Error::OutputEnded(error),
            Ok(WriterEnd::Panicked) => Error::ThreadLost("the writer panicked"),
            Ok(WriterEnd::Drained | WriterEnd::Undrained { .. }) | Err(_) => {
                Error::ThreadLost("the writer ended")
            }
        }
    }
}
