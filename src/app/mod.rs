//! Wires everything, owns the threads, keeps the order of shutdown.
//!
//! The order: accept no more, answer what is in hand, close the queue, let the writer write what
//! stands in it, end. All of it within `drain_timeout`. A supervisor is told of each step.
//!
//! SIGHUP reads the configuration and the credentials again and hands each stage its new options,
//! once all of them are known to be good: nothing that can fail stands behind the first of these
//! steps. A request keeps, in each stage, the options that it came in with.

pub mod cli;
pub mod convert;
mod reload;
mod shutdown;
pub mod signals;

use crate::config::{self, Config};
use crate::current::Live;
use crate::delivery::condition::Condition;
use crate::delivery::emitter::Emitter;
use crate::delivery::queue;
use crate::delivery::sink::{self, SinkOptions};
use crate::delivery::writer::{self, WriterEnd};
use crate::heartbeat::Heartbeats;
use crate::intake::bridge::{self, Probe};
use crate::intake::gate::auth::{self, Auth};
use crate::intake::gate::{self, Gate, GateLinks, Listeners};
use crate::intake::worker::{self, InputSettings, Pending, Records, Service};
use crate::observe::log::{self, Log};
use crate::observe::telemetry::Telemetry;
use crate::status::{Setup, Status};
use crate::supervise::notify::Supervisor;
use crate::supervise::watchdog::{self, Health};
use crate::system;
use signals::Request;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
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
    start(config, outside)?.wait()
}

/// Begins to serve.
fn start(config: Config, outside: Outside) -> Result<Running, Error> {
    let log = &outside.log;
    log::take_panics(log);
    if let Err(error) = system::raise_descriptor_limit() {
        log.warn("the limit of descriptors stays as it is", &[("error", &error)]);
    }
    let telemetry = Arc::new(Telemetry::new());
    let (events, inbox) = mpsc::channel();
    // What a mistake of the operator can spoil comes first: then nothing has begun yet.
    let auth = Live::new(Auth::open(config.server.auth_file.as_deref()).map_err(Error::Auth)?);
    let listeners = Listeners::open(&config.server.gate.listen).map_err(Error::Gate)?;
    let (queue, writer) = open_output(&config, log, &telemetry, &events)?;
    let status = status(&config, &listeners, &telemetry, &queue);
    let settings = Live::new(InputSettings::new(config.inputs(), config.push()));
    let records = Records { telemetry: Arc::clone(&telemetry), status: Arc::clone(&status) };
    let service =
        Service { settings: settings.clone(), queue: queue.clone(), records, log: Arc::clone(log) };
    let lost = events.clone();
    let on_lost = move |what| tell(&lost, Event::ThreadLost(what));
    let (gate_end, worker_end) = bridge::open().map_err(Error::System)?;
    let heartbeats = Arc::new(Heartbeats::new(config.workers()));
    let started = worker::start(worker_end, Arc::clone(&heartbeats), service, on_lost.clone());
    started.map_err(Error::System)?;
    let probe = gate_end.probe();
    watch(&outside, probe, heartbeats, events.clone()).map_err(Error::System)?;
    listen_to_signals(events.clone()).map_err(Error::System)?;
    let links = GateLinks {
        bridge: gate_end,
        auth: auth.clone(),
        telemetry: Arc::clone(&telemetry),
        status: Arc::clone(&status),
        log: Arc::clone(log),
    };
    let addresses: Vec<String> = listeners.addresses().map(str::to_owned).collect();
    let gate = Gate::open(listeners, config.server.gate.clone(), links, on_lost);
    let gate = gate.map_err(Error::System)?;
    for address in &addresses {
        log.info("listening", &[("address", address)]);
    }
    log.info("writing", &[("output", &config.output.target)]);
    let Outside { load, supervisor, log } = outside;
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
    Ok(running)
}

fn listen_to_signals(events: Sender<Event>) -> io::Result<()> {
    signals::listen(move |request| tell(&events, Event::Signal(request)))
}

/// The queue, and the writer behind it.
fn open_output(
    config: &Config,
    log: &Arc<Log>,
    telemetry: &Arc<Telemetry>,
    events: &Sender<Event>,
) -> Result<(queue::QueueSender<Pending>, JoinHandle<WriterEnd>), Error> {
    let output = &config.output;
    let options = SinkOptions { target: output.target.clone(), durability: output.durability };
    let sink = sink::open(&options, Arc::clone(log));
    let sink = sink.map_err(Error::Sink)?;
    let (queue, receiver, warden) = queue::channel(output.queue, Arc::clone(telemetry));
    let lost = events.clone();
    let on_lost = move |what| tell(&lost, Event::ThreadLost(what));
    warden.spawn(Arc::clone(log), on_lost).map_err(Error::System)?;
    let ended = events.clone();
    let on_end = move |_: &WriterEnd| tell(&ended, Event::WriterEnded);
    let writer = writer::spawn(receiver, sink, Arc::clone(telemetry), Arc::clone(log), on_end);
    Ok((queue, writer.map_err(Error::System)?))
}

/// What is shown of all of it.
fn status(
    config: &Config,
    listeners: &Listeners,
    telemetry: &Arc<Telemetry>,
    queue: &queue::QueueSender<Pending>,
) -> Arc<Status> {
    let setup = Setup {
        started_ns: system::now_ns(),
        listen: listeners.addresses().map(str::to_owned).collect(),
        target: config.output.target.to_string(),
        workers: config.workers(),
        telemetry: Arc::clone(telemetry),
        output: queue.state(),
    };
    Arc::new(Status::new(setup, config.facts()))
}

/// Watches over the workers where a supervisor wants that.
fn watch(
    outside: &Outside,
    probe: Probe,
    heartbeats: Arc<Heartbeats>,
    events: Sender<Event>,
) -> io::Result<()> {
    let Some(period) = outside.supervisor.watchdog() else { return Ok(()) };
    watchdog::spawn(probe, heartbeats, period, Arc::clone(&outside.log), move |health| {
        tell(&events, Event::Watched(health));
    })
}

fn tell(events: &Sender<Event>, event: Event) {
    if events.send(event).is_err() {
        // OK because the main thread is ending already.
    }
}

/// Everything that has to be ended in order.
struct Running {
    config: Config,
    load: Load,
    log: Arc<Log>,
    telemetry: Arc<Telemetry>,
    status: Arc<Status>,
    queue: queue::QueueSender<Pending>,
    writer: JoinHandle<WriterEnd>,
    gate: Gate,
    auth: Live<Auth>,
    settings: Live<InputSettings>,
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
            self.status.note(system::now_ns());
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
        if self.health != Health::Good {
            return format!("{}, a restart is due", self.health);
        }
        match self.queue.state().look() {
            Condition::Flowing { .. } => format!("serving, lines go to {output}"),
            Condition::Spooling { because, .. } => {
                let why =
                    because.map_or(String::new(), |why| format!(": {}", why.in_short(output)));
                format!("serving, lines go to the spool{why}")
            }
            Condition::NotReady(not_ready) => {
                format!("{}: pushes get 503", not_ready.in_short(output))
            }
        }
    }

    /// Nothing more can be written: what is in hand gets its answer, a push that was written its
    /// 200, and then the process ends.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::child_process;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;
    use std::path::Path;

    fn outside(
        load: impl Fn() -> Result<Config, config::Error> + 'static,
        log: Arc<Log>,
    ) -> Outside {
        let supervisor = Supervisor::read(|_| None, 1, Arc::clone(&log));
        Outside { load: Box::new(load), supervisor, log }
    }

    /// Sends a request on a connection of its own; the status line of its answer.
    fn ask(socket: &Path, request_line: &str, body: &str) -> String {
        let mut stream = loop {
            match UnixStream::connect(socket) {
                Ok(stream) => break stream,
                // It is not open yet.
                Err(_) => std::thread::yield_now(),
            }
        };
        let length = body.len();
        let head = format!("{request_line} HTTP/1.0\r\nContent-Length: {length}\r\n\r\n");
        stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.lines().next().unwrap_or_default().to_owned()
    }

    #[test]
    fn the_loss_of_an_essential_thread_is_told_and_ends_the_process_in_order() {
        let name = "app::tests::\
                    the_loss_of_an_essential_thread_is_told_and_ends_the_process_in_order";
        if let Some(stderr) = child_process::stderr_of(name) {
            let mut rest = stderr.as_str();
            for part in [
                "msg=\"an essential thread is lost, ending\" thread=\"a worker panicked\"",
                "msg=draining",
                "msg=stopped",
            ] {
                let (_, behind) =
                    rest.split_once(part).unwrap_or_else(|| panic!("no {part} in {stderr}"));
                rest = behind;
            }
            return;
        }
        let folder = std::env::temp_dir().join(format!("pushline-app-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let (socket, file) = (folder.join("socket"), folder.join("lines"));
        let environment = [
            ("PUSHLINE_SERVER_LISTEN", format!("unix:{}", socket.display())),
            ("PUSHLINE_OUTPUT_TARGET", format!("file:{}", file.display())),
            ("PUSHLINE_OUTPUT_ACK", "queued".to_owned()),
        ];
        let environment = environment.map(|(name, value)| (name.to_owned(), value));
        let load = move || Config::load(None, environment.clone().into_iter());
        let config = load().unwrap();
        let log = Arc::new(Log::new(log::Level::Info, log::LogFormat::Logfmt));
        let (events, begun) = mpsc::channel();
        let running = std::thread::spawn(move || {
            let running = start(config, outside(load, log))?;
            events.send(running.events.clone()).unwrap();
            running.wait()
        });
        let events = begun.recv().unwrap();
        assert_eq!(ask(&socket, "POST /metrics/job/x", "a_b 1 9\n"), "HTTP/1.1 200 OK");
        events.send(Event::ThreadLost("a worker panicked")).unwrap();
        let ended = running.join().unwrap();
        assert!(matches!(ended, Err(Error::ThreadLost("a worker panicked"))), "{ended:?}");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "a,job=x b=1 9000000\n");
        assert!(!socket.exists(), "the gate is closed");
        std::fs::remove_dir_all(folder).unwrap();
    }
}
