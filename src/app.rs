//! Wires everything, owns the threads, keeps the order of shutdown.
//!
//! The order: accept no more, answer what is in hand, close the queue, let the writer write what
//! stands in it, end. All of it within `drain_timeout`. A supervisor is told of each step.
//!
//! SIGHUP reads the configuration and the credentials again and hands each stage its new options,
//! once all of them are known to be good: nothing that can fail stands behind the first of these
//! steps. A request keeps, in each stage, the options that it came in with.

use crate::auth::{self, Auth};
use crate::config::{self, Change, Config};
use crate::emitter::{self, Emitter};
use crate::gate::{self, Gate, Links, Listeners};
use crate::live::Live;
use crate::log::{self, Log};
use crate::queue;
use crate::server::{self, Lifeline, Pending, Service, Settings};
use crate::shutdown::{self, Request};
use crate::sink;
use crate::status::{Setup, Status};
use crate::supervisor::Supervisor;
use crate::system;
use crate::telemetry::Telemetry;
use crate::watchdog::{self, Health};
use crate::writer::{self, Outcome};
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
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
    Watched(Health),
    /// Nothing new comes any more: the gate and the queue are closed.
    Closed,
}

/// How often the main thread looks whether the status that a supervisor shows is still true.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// What the end may take beyond `drain_timeout`: the writer may hang in a write for good.
const DRAIN_PATIENCE: Duration = Duration::from_secs(1);

/// Reads the configuration from where it came from (SIGHUP).
pub type Load = Box<dyn Fn() -> Result<Config, config::Error>>;

/// What the process gets from outside besides its configuration.
pub struct Outside {
    /// The configuration that follows.
    pub load: Load,
    /// Who is told of each step.
    pub supervisor: Supervisor,
    /// Where events go.
    pub log: Arc<Log>,
}

impl fmt::Debug for Outside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outside").finish_non_exhaustive()
    }
}

/// Serves until a signal or a failure ends it.
///
/// # Errors
/// Why it could not start, or why its end is no good one.
pub fn run(config: Config, outside: Outside) -> Result<(), Error> {
    let Outside { load, supervisor, log } = outside;
    let telemetry = Arc::new(Telemetry::new());
    let (events, inbox) = mpsc::channel();
    if let Err(error) = system::raise_descriptor_limit() {
        log.warn("the limit of descriptors stays as it is", &[("error", &error)]);
    }
    let auth = Live::new(Auth::open(config.server.auth_file.as_deref()).map_err(Error::Auth)?);
    let settings = Live::new(Settings::new(config.inputs(), config.push()));
    let listeners = Listeners::open(&config.server.gate.listen).map_err(Error::Gate)?;
    let sink = sink::open(&config.output.target, config.output.durability, Arc::clone(&log))
        .map_err(Error::Sink)?;
    // One worker more than may wait for room in the queue: it answers probes while the others wait.
    let workers = config.workers() + 1;
    let (queue, receiver, warden) =
        queue::channel(config.output.queue, workers - 1, Arc::clone(&telemetry));
    thread::Builder::new()
        .name("warden".to_owned())
        .spawn(|| warden.run())
        .map_err(Error::System)?;
    let ended = events.clone();
    let writer =
        writer::spawn(receiver, sink, Arc::clone(&telemetry), Arc::clone(&log), move |_| {
            tell(&ended, Event::WriterEnded);
        })
        .map_err(Error::System)?;
    let lost = events.clone();
    let on_lost = move |what| tell(&lost, Event::ThreadLost(what));
    let addresses: Vec<String> = listeners.addresses().map(str::to_owned).collect();
    let setup = Setup {
        started_ns: server::now_ns(),
        listen: addresses.clone(),
        target: config.output.target.to_string(),
        workers,
        telemetry: Arc::clone(&telemetry),
        flow: queue.flow(),
    };
    let status = Arc::new(Status::new(setup, config.facts()));
    let service = Service {
        settings: settings.clone(),
        queue: queue.clone(),
        telemetry: Arc::clone(&telemetry),
        status: Arc::clone(&status),
        log: Arc::clone(&log),
    };
    let private = server::start(workers, service, on_lost.clone());
    let (private, lifeline) = private.map_err(Error::System)?;
    watch(&supervisor, lifeline, &log, events.clone()).map_err(Error::System)?;
    let signalled = events.clone();
    shutdown::listen(move |request| tell(&signalled, Event::Signal(request)))
        .map_err(Error::System)?;
    let links = Links {
        private,
        auth: auth.clone(),
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
    let mut running = Running {
        config,
        load,
        log,
        telemetry,
        status,
        queue,
        writer,
        gate,
        auth,
        settings,
        emitter: None,
        events,
        inbox,
        supervisor,
        health: Health::Good,
    };
    running.emit().map_err(Error::System)?;
    running.wait()
}

/// Watches over the workers where a supervisor wants that.
fn watch(
    supervisor: &Supervisor,
    lifeline: Lifeline,
    log: &Arc<Log>,
    events: Sender<Event>,
) -> io::Result<()> {
    let Some(period) = supervisor.watchdog() else { return Ok(()) };
    watchdog::spawn(lifeline, period, Arc::clone(log), move |health| {
        tell(&events, Event::Watched(health));
    })
}

fn tell(events: &Sender<Event>, event: Event) {
    if events.send(event).is_err() {
        // OK because the main thread is ending already.
    }
}

/// Says what was taken, in one line, and what was not, in one each.
fn tell_changes(log: &Log, changes: &[Change], credentials: &str) {
    let (fixed, taken): (Vec<_>, Vec<_>) = changes.iter().partition(|one| one.needs_restart());
    for Change { key, old, new } in fixed {
        let fields: [log::Field<'_>; 3] = [("key", key), ("running", old), ("configured", new)];
        log.warn("a changed key needs a restart and stays as it runs", &fields);
    }
    let taken: Vec<_> = taken.iter().map(|change| change.to_string()).collect();
    let taken = if taken.is_empty() { "nothing".to_owned() } else { taken.join(", ") };
    let fields: [log::Field<'_>; 2] = [("changed", &taken), ("credentials", &credentials)];
    log.info("configuration and credentials read again", &fields);
}

/// Everything that has to be ended in order.
struct Running {
    config: Config,
    load: Load,
    log: Arc<Log>,
    telemetry: Arc<Telemetry>,
    status: Arc<Status>,
    queue: queue::Sender<Pending>,
    writer: JoinHandle<Outcome>,
    gate: Gate,
    auth: Live<Auth>,
    settings: Live<Settings>,
    /// Where own figures go to the output.
    emitter: Option<Emitter>,
    events: Sender<Event>,
    inbox: Receiver<Event>,
    supervisor: Supervisor,
    health: Health,
}

impl Running {
    /// Waits for what ends the process, then ends it in order.
    fn wait(mut self) -> Result<(), Error> {
        self.supervisor.ready(&self.status());
        loop {
            match self.inbox.recv_timeout(LOOK_EVERY) {
                Ok(Event::Signal(Request::Reload)) => {
                    self.supervisor.reloading();
                    self.reload();
                    self.supervisor.ready(&self.status());
                }
                Ok(Event::Signal(Request::Stop)) => return self.drain(),
                Ok(Event::WriterEnded) => return Err(self.output_ended()),
                Ok(Event::ThreadLost(what)) => {
                    self.log.error("an essential thread is lost, ending", &[("thread", &what)]);
                    return self.drain().and(Err(Error::ThreadLost(what)));
                }
                Ok(Event::Watched(health)) => self.watched(health),
                Err(RecvTimeoutError::Timeout) => self.supervisor.status(&self.status()),
                // Neither comes before the end has begun.
                Ok(Event::Closed) | Err(RecvTimeoutError::Disconnected) => return self.drain(),
            }
        }
    }

    /// The supervisor hears of the workers only while they are well, through this loop.
    fn watched(&mut self, health: Health) {
        self.health = health;
        self.supervisor.status(&self.status());
        if health == Health::Good {
            self.supervisor.alive();
        }
    }

    /// How the process is, in one sentence that does not change while nothing does.
    fn status(&self) -> String {
        let output = &self.config.output.target;
        match (self.health, self.queue.ready()) {
            (Health::Good, Ok(())) => format!("serving, lines go to {output}"),
            (Health::Good, Err(queue::Refusal::Stalled { .. })) => {
                format!("the output is stalled, {output} takes no lines: pushes get 503")
            }
            (Health::Good, Err(refusal)) => refusal.to_string(),
            (health, _) => format!("{health}, a restart is due"),
        }
    }

    /// Opens the output anew, whatever the configuration says, then takes what can change of it,
    /// and the credentials: all of that, or none where there is a mistake.
    fn reload(&mut self) {
        self.queue.reopen();
        match self.read_again() {
            Ok((config, auth)) => self.take(config, auth),
            Err(mistakes) => {
                for mistake in mistakes.lines() {
                    self.log.error("the configuration stays as it was", &[("error", &mistake)]);
                }
            }
        }
    }

    /// # Errors
    /// Every mistake, one a line.
    fn read_again(&self) -> Result<(Config, Auth), String> {
        let config = (self.load)().map_err(|mistakes| mistakes.to_string())?;
        let auth = Auth::open(config.server.auth_file.as_deref());
        auth.map(|auth| (config, auth)).map_err(|error| error.to_string())
    }

    fn take(&mut self, new: Config, auth: Auth) {
        let changes = self.config.changes(&new);
        let credentials = if auth == *self.auth.read() { "unchanged" } else { "changed" };
        let config = new.keeping_fixed(&self.config);
        self.auth.replace(auth);
        self.settings.replace(Settings::new(config.inputs(), config.push()));
        self.queue.replace(config.output.queue);
        self.gate.replace(config.server.gate.clone());
        self.log.replace(config.log.level, config.log.format);
        self.status.set_facts(config.facts());
        let is_other_interval = config.telemetry != self.config.telemetry;
        // As much as the old level or the new one lets through: its own change is told too.
        let level = config.log.level.max(self.config.log.level);
        tell_changes(&Log::new(level, config.log.format), &changes, credentials);
        self.config = config;
        if is_other_interval && let Err(error) = self.emit() {
            self.log.error("own figures cannot be emitted", &[("error", &error)]);
        }
    }

    /// Begins to emit own figures as the configuration says now.
    fn emit(&mut self) -> io::Result<()> {
        if let Some(emitter) = self.emitter.take() {
            emitter.stop();
        }
        let links = emitter::Links {
            push: self.config.push(),
            queue: self.queue.clone(),
            telemetry: Arc::clone(&self.telemetry),
            log: Arc::clone(&self.log),
        };
        let interval = self.config.telemetry.emit_interval;
        self.emitter = interval.map(|interval| Emitter::start(interval, links)).transpose()?;
        Ok(())
    }

    /// Nothing more can be written: what is in hand gets its answer, a push that was written its
    /// 200, and then the process ends.
    fn output_ended(mut self) -> Error {
        const PATIENCE: Duration = Duration::from_millis(500);
        self.supervisor.stopping(PATIENCE, "ending: the output has ended");
        self.gate.close(Instant::now() + PATIENCE);
        match self.writer.join() {
            Ok(Outcome::OutputEnded(error)) => Error::OutputEnded(error),
            Ok(_) | Err(_) => Error::ThreadLost("the writer ended"),
        }
    }

    fn drain(self) -> Result<(), Error> {
        self.status.drains();
        let Running { config, log, telemetry, queue, writer, gate, inbox, mut supervisor, .. } =
            self;
        let (emitter, events) = (self.emitter, self.events);
        let after = config.output.drain_timeout;
        supervisor
            .stopping(after + 2 * DRAIN_PATIENCE, "draining: no new pushes, writing the rest");
        let deadline = Instant::now() + after;
        log.info("draining", &[("at_most_s", &after.as_secs_f64())]);
        if let Some(emitter) = emitter {
            emitter.stop();
        }
        let gate_closed = thread::spawn(move || {
            let cut_off = gate.close(deadline);
            queue.close(deadline);
            tell(&events, Event::Closed);
            cut_off
        });
        let left = wait_for_writer(&inbox, &telemetry, &supervisor, deadline);
        let batch_count = telemetry.queue_batches.get();
        match left {
            Left::Ended => {}
            Left::Impatient => return Err(Error::Impatient),
            Left::Hanging if batch_count > 0 => {
                return Err(Error::Undrained { batch_count, after });
            }
            Left::Hanging => {
                log.info("stopped, the output did not take our own figures", &[]);
                return Ok(());
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

/// How the writer is left at the end.
enum Left {
    /// It has ended.
    Ended,
    /// It has not: it hangs in a write that never returns.
    Hanging,
    /// A second signal came.
    Impatient,
}

/// Waits for the writer to end: until `deadline`, and a moment more, since its write may never
/// return; no longer than that moment where only lines of our own are left.
fn wait_for_writer(
    inbox: &Receiver<Event>,
    telemetry: &Telemetry,
    supervisor: &Supervisor,
    deadline: Instant,
) -> Left {
    let mut end = deadline + DRAIN_PATIENCE;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        match inbox.recv_timeout(left) {
            Ok(Event::WriterEnded) => return Left::Ended,
            Ok(Event::Signal(Request::Stop)) => return Left::Impatient,
            Ok(Event::Closed) if telemetry.queue_batches.get() == 0 => {
                end = end.min(Instant::now() + DRAIN_PATIENCE);
            }
            Ok(Event::Watched(Health::Good)) => supervisor.alive(),
            Ok(_) => {}
            Err(_) => return Left::Hanging,
        }
    }
}
