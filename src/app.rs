//! Wires everything, owns the threads, keeps the order of shutdown.
//!
//! The order: accept no more, answer what is in hand, close the queue, let the writer write what
//! stands in it, end. All of it within `drain_timeout`.

use crate::auth::{self, Auth};
use crate::config::Config;
use crate::gate::{self, Gate, Links, Listeners};
use crate::log::Log;
use crate::queue;
use crate::server::{self, Service};
use crate::shutdown::{self, Request};
use crate::sink;
use crate::status::{Setup, Status};
use crate::system;
use crate::telemetry::Telemetry;
use crate::writer::{self, Outcome};
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Why the process cannot start, or ended badly.
#[derive(Debug)]
pub enum Error {
    /// The gate could not open.
    Gate(gate::Error),
    /// The output could not be opened.
    Sink(sink::OpenError),
    /// The credentials cannot be used.
    Auth(auth::Error),
    /// The system gave no thread, descriptor or signal handler.
    System(io::Error),
    /// The output ended for good: the reader of standard output went away.
    OutputEnded(io::Error),
    /// The time to drain was over before everything was written.
    Undrained {
        /// Batches that are not written.
        batch_count: u64,
        /// `output.drain_timeout`
        after: Duration,
    },
    /// A thread that must not end has ended.
    ThreadLost(&'static str),
    /// A second signal asked to end at once.
    Impatient,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Gate(error) => error.fmt(f),
            Error::Sink(error) => error.fmt(f),
            Error::Auth(error) => error.fmt(f),
            Error::System(error) => write!(f, "the system refuses what pushline needs: {error}"),
            Error::OutputEnded(error) => {
                write!(f, "the output has ended: its reader went away ({error})")
            }
            Error::Undrained { batch_count, after } => write!(
                f,
                "{batch_count} batches were not written within {} s (output.drain_timeout)",
                after.as_secs_f64()
            ),
            Error::ThreadLost(what) => write!(f, "{what}, which is a defect of pushline"),
            Error::Impatient => write!(f, "a second signal came before everything was written"),
        }
    }
}

impl std::error::Error for Error {}

/// What the main thread waits for.
#[derive(Debug)]
enum Event {
    Signal(Request),
    ThreadLost(&'static str),
    WriterEnded,
}

/// Serves until a signal or a failure ends it.
///
/// # Errors
/// Why it could not start, or why its end is no good one.
pub fn run(config: Config, log: Arc<Log>) -> Result<(), Error> {
    let telemetry = Arc::new(Telemetry::new());
    let (events, inbox) = mpsc::channel();
    if let Err(error) = system::raise_descriptor_limit() {
        log.warn("the limit of descriptors stays as it is", &[("error", &error)]);
    }
    let auth = Arc::new(Auth::open(config.server.auth_file.as_deref()).map_err(Error::Auth)?);
    let listeners = Listeners::open(&config.server.gate.listen).map_err(Error::Gate)?;
    let sink = sink::open(&config.output.target, config.output.durability, Arc::clone(&log))
        .map_err(Error::Sink)?;
    let (queue, receiver) = queue::channel(config.output.queue, Arc::clone(&telemetry));
    let ended = events.clone();
    let writer =
        writer::spawn(receiver, sink, Arc::clone(&telemetry), Arc::clone(&log), move |_| {
            tell(&ended, Event::WriterEnded);
        })
        .map_err(Error::System)?;
    let lost = events.clone();
    let on_lost = move |what| tell(&lost, Event::ThreadLost(what));
    // One worker more than can push: it answers probes while all pushes wait for the output.
    let workers = config.workers() + 1;
    let addresses: Vec<String> = listeners.addresses().map(str::to_owned).collect();
    let setup = Setup {
        started_ns: server::now_ns(),
        listen: addresses.clone(),
        target: config.output.target.to_string(),
        workers,
        telemetry: Arc::clone(&telemetry),
        queue: queue.clone(),
    };
    let status = Arc::new(Status::new(setup, config.facts()));
    let service = Service {
        inputs: config.inputs(),
        push: config.push(),
        queue: queue.clone(),
        telemetry: Arc::clone(&telemetry),
        status: Arc::clone(&status),
        log: Arc::clone(&log),
    };
    let private = server::start(workers, service, on_lost.clone());
    let private = private.map_err(Error::System)?;
    let signalled = events;
    shutdown::listen(move |request| tell(&signalled, Event::Signal(request)))
        .map_err(Error::System)?;
    let links = Links {
        private,
        auth: Arc::clone(&auth),
        telemetry: Arc::clone(&telemetry),
        status: Arc::clone(&status),
        log: Arc::clone(&log),
    };
    let gate = Gate::open(listeners, config.server.gate.clone(), links, on_lost);
    let gate = gate.map_err(Error::System)?;
    for address in &addresses {
        log.info("listening", &[("address", address)]);
    }
    log.info("writing", &[("output", &config.output.target)]);
    let running = Running { config, log, telemetry, status, queue, writer, gate, auth, inbox };
    running.wait()
}

fn tell(events: &Sender<Event>, event: Event) {
    if events.send(event).is_err() {
        // OK because the main thread is ending already.
    }
}

/// Everything that has to be ended in order.
struct Running {
    config: Config,
    log: Arc<Log>,
    telemetry: Arc<Telemetry>,
    status: Arc<Status>,
    queue: queue::Sender,
    writer: JoinHandle<Outcome>,
    gate: Gate,
    auth: Arc<Auth>,
    inbox: Receiver<Event>,
}

impl Running {
    /// Waits for what ends the process, then ends it in order.
    fn wait(self) -> Result<(), Error> {
        loop {
            match self.inbox.recv() {
                Ok(Event::Signal(Request::Reopen)) => self.reopen(),
                Ok(Event::Signal(Request::Stop)) => return self.drain(),
                Ok(Event::WriterEnded) => return Err(self.output_ended()),
                Ok(Event::ThreadLost(what)) => {
                    self.log.error("an essential thread is lost, ending", &[("thread", &what)]);
                    return self.drain().and(Err(Error::ThreadLost(what)));
                }
                Err(mpsc::RecvError) => return self.drain(),
            }
        }
    }

    fn reopen(&self) {
        self.queue.reopen();
        match self.auth.reload() {
            Ok(()) => self.log.info("output reopened, credentials read again", &[]),
            Err(error) => self.log.error("the credentials stay as they were", &[("error", &error)]),
        }
    }

    /// Nothing more can be written: what is in hand gets its answer, a push that was written its
    /// 200, and then the process ends.
    fn output_ended(self) -> Error {
        const PATIENCE: Duration = Duration::from_millis(500);
        self.gate.close(Instant::now() + PATIENCE);
        match self.writer.join() {
            Ok(Outcome::OutputEnded(error)) => Error::OutputEnded(error),
            Ok(_) | Err(_) => Error::ThreadLost("the writer ended"),
        }
    }

    fn drain(self) -> Result<(), Error> {
        self.status.drains();
        let Running { config, log, telemetry, queue, writer, gate, inbox, .. } = self;
        let after = config.output.drain_timeout;
        let deadline = Instant::now() + after;
        log.info("draining", &[("at_most_s", &after.as_secs_f64())]);
        let gate_closed = std::thread::spawn(move || {
            let cut_off = gate.close(deadline);
            queue.close(deadline);
            cut_off
        });
        // The writer may hang in a write that never returns: then the deadline ends the process.
        let patience = Duration::from_secs(1);
        loop {
            let left = (deadline + patience).saturating_duration_since(Instant::now());
            match inbox.recv_timeout(left) {
                Ok(Event::WriterEnded) => break,
                Ok(Event::Signal(Request::Stop)) => return Err(Error::Impatient),
                Ok(_) => {}
                Err(_) => {
                    let batch_count = telemetry.queue_batches.get();
                    return Err(Error::Undrained { batch_count, after });
                }
            }
        }
        let cut_off = gate_closed.join().unwrap_or_default();
        match writer.join() {
            Ok(Outcome::Drained) => {
                log.info("stopped", &[("connections_cut_off", &cut_off)]);
                Ok(())
            }
            Ok(Outcome::Undrained { batch_count }) => Err(Error::Undrained { batch_count, after }),
            Ok(Outcome::OutputEnded(error)) => Err(Error::OutputEnded(error)),
            Err(_) => Err(Error::ThreadLost("the writer panicked")),
        }
    }
}
