//! Starts everything, owns the threads, and ends them in order.
//!
//! [`run`] wires the rooms in the order in which lines flow back: the output first, the gate last,
//! so that nothing is accepted that could not be written. Then `running` waits for what ends the
//! process, `reload` takes a new configuration on SIGHUP, and `shutdown` ends in order: accept
//! nothing more, answer the requests that have arrived, close the queue, let the writer empty it;
//! all of it within `drain_timeout`. A supervisor is told of each step.
//!
//! An essential thread that ends, by a panic or otherwise, tells the main thread
//! ([`Event::ThreadLost`]), which logs it and ends the process in order.

mod check;
pub mod cli;
pub mod convert;
mod error;
mod event;
mod greeting;
mod reload;
mod running;
mod shutdown;
pub mod signals;
pub mod spool;
mod surroundings;

use crate::config::Config;
use crate::current::Current;
use crate::delivery::queue;
use crate::delivery::sink::{self, SinkOptions};
use crate::delivery::spool::{self as spool_log, SpoolOptions};
use crate::delivery::writer::{self, SpoolParts, WriterEnd, WriterParts};
use crate::heartbeat::Heartbeats;
use crate::intake::bridge::{self, GateEnd, Probe};
use crate::intake::gate::auth::Auth;
use crate::intake::gate::{Gate, GateLinks, Listeners};
use crate::intake::worker::{self, InputSettings, Pending, Records, Service};
use crate::limits::EXTRA_CONNECTIONS_MAX;
use crate::observe::log::{self, Log};
use crate::observe::telemetry::Telemetry;
use crate::status::{Setup, Status};
use crate::supervise::notify::Supervisor;
use crate::supervise::watchdog::{Liveness, Watchdog};
use crate::system;
use check::chain_ends_s;
use event::{Event, on_lost, tell};
use running::Running;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::thread::JoinHandle;

pub use check::{Unfit, check, warnings};
pub use error::Error;
pub use greeting::Greeting;
pub use surroundings::{Load, Surroundings};

/// Descriptors for what are no connections: listeners, the output, files, the bridge.
const OWN_DESCRIPTORS: usize = 32;

/// Serves until a signal or a failure ends it.
///
/// # Errors
/// Why it could not start, or why it did not end in order.
pub fn run(config: Config, surroundings: Surroundings) -> Result<(), Error> {
    start(config, surroundings)?.wait()
}

/// Wires everything; it serves from the moment in which the gate opens.
fn start(config: Config, surroundings: Surroundings) -> Result<Running, Error> {
    let Surroundings { load, supervisor, log, signals, greeting } = surroundings;
    prepare(&log, config.server.gate.connections_max);
    let telemetry = Arc::new(Telemetry::new());
    let (events, inbox) = mpsc::channel();
    // What a mistake of the operator can spoil comes first: then nothing has begun yet.
    let auth = Current::new(Auth::open(&config.credential_files()).map_err(Error::Auth)?);
    let tls = config.server.gate.tls.open(system::now_s()).map_err(Error::Tls)?;
    telemetry.tls_ends_s.set(chain_ends_s(tls.as_ref()));
    let tls = Current::new(tls);
    let listeners = Listeners::open(&config.server.gate.listen).map_err(Error::Gate)?;
    let (queue, writer) = open_output(&config, &log, &telemetry, &events)?;
    let status = status(&config, &listeners, &telemetry, &queue);
    let settings = Current::new(InputSettings::new(config.inputs(), config.push()));
    let records = Records { telemetry: Arc::clone(&telemetry), status: Arc::clone(&status) };
    let (workers, worker_log) = (settings.clone(), Arc::clone(&log));
    let service = Service { settings: workers, queue: queue.clone(), records, log: worker_log };
    let (gate_end, worker_end) = bridge::open().map_err(Error::System)?;
    let heartbeats = heartbeats(&config, &queue, &gate_end);
    let started = worker::start(worker_end, Arc::clone(&heartbeats), service, on_lost(&events));
    started.map_err(Error::System)?;
    let watching = watch(&supervisor, gate_end.probe(), heartbeats, (&log, &events));
    watching.map_err(Error::System)?;
    let requests = events.clone();
    let listening = signals.listen(move |request| tell(&requests, Event::Signal(request)));
    listening.map_err(Error::System)?;
    let links = GateLinks {
        bridge: gate_end,
        auth: auth.clone(),
        tls: tls.clone(),
        telemetry: Arc::clone(&telemetry),
        status: Arc::clone(&status),
        log: Arc::clone(&log),
    };
    let addresses: Vec<String> = listeners.addresses().map(str::to_owned).collect();
    let gate = Gate::open(listeners, config.server.gate.clone(), links, on_lost(&events));
    let gate = gate.map_err(Error::System)?;
    announce(&config, &addresses, greeting, &log);
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
        tls,
        settings,
        emitter: None,
        events,
        inbox,
        supervisor,
        liveness: Liveness::Good,
    };
    running.emit().map_err(Error::System)?;
    Ok(running)
}

/// What holds for the whole process.
fn prepare(log: &Arc<Log>, connections_max: usize) {
    log::take_panics(log);
    raise_descriptor_limit(log, connections_max);
}

/// Says so where it cannot be raised to what so many connections need.
fn raise_descriptor_limit(log: &Log, connections_max: usize) {
    let others = EXTRA_CONNECTIONS_MAX + OWN_DESCRIPTORS;
    let needed = connections_max.saturating_add(others) as u64;
    match system::raise_descriptor_limit() {
        Err(error) => {
            log.warn("the limit of descriptors cannot be raised", &[("error", &error)]);
        }
        Ok(Some(limit)) if limit < needed => {
            let why = "the limit of descriptors is too low for server.max_connections: the longest \
                       idle connection makes room for a new one";
            log.warn(why, &[("limit", &limit), ("needed", &needed)]);
        }
        Ok(_) => {}
    }
}

/// Says that it serves.
fn announce(config: &Config, addresses: &[String], greeting: Greeting, log: &Log) {
    let is_tls = config.server.gate.tls.cert.is_some();
    for address in addresses {
        if is_tls && !address.starts_with("unix") {
            log.info("listening", &[("address", address), ("tls", &"on")]);
        } else {
            log.info("listening", &[("address", address)]);
        }
    }
    log.info("writing", &[("output", &config.output.target)]);
    if greeting == Greeting::Given {
        greeting::greet(config, addresses);
    }
}

/// The beats of all essential threads.
fn heartbeats(
    config: &Config,
    queue: &queue::QueueSender<Pending>,
    gate: &GateEnd,
) -> Arc<Heartbeats> {
    let mut heartbeats = Heartbeats::new(config.workers());
    for (name, beat) in queue.beats().into_iter().chain([("gate", gate.beat())]) {
        heartbeats.add(name, beat);
    }
    Arc::new(heartbeats)
}

/// The queue, and the writer that empties it into the output.
fn open_output(
    config: &Config,
    log: &Arc<Log>,
    telemetry: &Arc<Telemetry>,
    events: &Sender<Event>,
) -> Result<(queue::QueueSender<Pending>, JoinHandle<WriterEnd>), Error> {
    let output = &config.output;
    let sink = sink::open(&sink_options(config), telemetry, Arc::clone(log));
    let sink = sink.map_err(Error::Sink)?;
    let spool = config.spool.options().map(|options| open_spool(options, telemetry, log));
    let spool = spool.transpose().map_err(Error::Spool)?;
    let (queue, receiver, warden) = queue::channel(output.queue, Arc::clone(telemetry));
    warden.spawn(Arc::clone(log), on_lost(events)).map_err(Error::System)?;
    let ended = events.clone();
    let on_end = move |_: &WriterEnd| tell(&ended, Event::WriterEnded);
    let (telemetry, log) = (Arc::clone(telemetry), Arc::clone(log));
    let target = output.target.to_string();
    let parts = WriterParts { receiver, sink, target, spool, telemetry, log };
    let writer = writer::spawn(parts, on_end);
    Ok((queue, writer.map_err(Error::System)?))
}

fn sink_options(config: &Config) -> SinkOptions {
    let output = &config.output;
    SinkOptions {
        target: output.target.clone(),
        durability: output.durability,
        replay: output.replay,
        http: output.http.clone(),
        rejected: output.rejected.clone(),
    }
}

fn open_spool(
    options: SpoolOptions,
    telemetry: &Arc<Telemetry>,
    log: &Arc<Log>,
) -> Result<SpoolParts, spool_log::UnusableSpool> {
    let after = options.after;
    let (appender, drainer) = spool_log::open(options, Arc::clone(telemetry), Arc::clone(log))?;
    Ok(SpoolParts { appender, drainer, after })
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
        spool_bytes_max: config.spool.options().map(|options| options.bytes_max),
        workers: config.workers(),
        telemetry: Arc::clone(telemetry),
        output: queue.state(),
    };
    Arc::new(Status::new(setup, config.facts()))
}

/// Looks after the essential threads where a supervisor wants that.
fn watch(
    supervisor: &Supervisor,
    probe: Probe,
    heartbeats: Arc<Heartbeats>,
    (log, events): (&Arc<Log>, &Sender<Event>),
) -> io::Result<()> {
    let Some(period) = supervisor.watchdog() else { return Ok(()) };
    let events = events.clone();
    let watchdog = Watchdog::new(probe, heartbeats, period, Arc::clone(log));
    watchdog.start(move |liveness| tell(&events, Event::Watched(liveness)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, Sources};
    use crate::testing::child_process;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;
    use std::path::Path;

    fn surroundings(
        load: impl Fn() -> Result<Config, config::Error> + 'static,
        log: Arc<Log>,
    ) -> Surroundings {
        let supervisor = Supervisor::read(|_| None, 1, Arc::clone(&log));
        let signals = signals::SignalHandlers::install().unwrap();
        let greeting = Greeting::Omitted;
        Surroundings { load: Box::new(load), supervisor, log, signals, greeting }
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
                let (_, after) =
                    rest.split_once(part).unwrap_or_else(|| panic!("no {part} in {stderr}"));
                rest = after;
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
        let load = move || Config::load(&Sources::default(), environment.clone().into_iter());
        let config = load().unwrap();
        let log = Arc::new(Log::new(log::Level::Info, log::LogFormat::Logfmt));
        let (events, begun) = mpsc::channel();
        let running = std::thread::spawn(move || {
            let running = start(config, surroundings(load, log))?;
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
