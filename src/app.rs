//! Wires everything, owns the threads, keeps the order of shutdown.
//!
//! The order: accept no more, answer what is in hand, close the queue, let the writer write what
//! stands in it, end. All of it within `drain_timeout`.
//!
//! SIGHUP reads the configuration and the credentials again and hands each stage its new options,
//! once all of them are known to be good: nothing that can fail stands behind the first of these
//! steps. A request keeps, in each stage, the options that it came in with.

use crate::auth::{self, Auth};
use crate::config::{self, Change, Config};
use crate::gate::{self, Gate, Links, Listeners};
use crate::live::Live;
use crate::log::{self, Log};
use crate::queue;
use crate::server::{self, Pending, Service, Settings};
use crate::shutdown::{self, Request};
use crate::sink;
use crate::system;
use crate::telemetry::Telemetry;
use crate::writer::{self, Outcome};
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, SendError, Sender};
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
}

/// Reads the configuration from where it came from (SIGHUP).
pub type Load = Box<dyn Fn() -> Result<Config, config::Error>>;

/// Serves until a signal or a failure ends it; `load` gives the configuration that follows.
///
/// # Errors
/// Why it could not start, or why its end is no good one.
pub fn run(config: Config, load: Load, log: Arc<Log>) -> Result<(), Error> {
    log::take_panics(&log);
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
    let service = Service {
        settings: settings.clone(),
        queue: queue.clone(),
        telemetry: Arc::clone(&telemetry),
        log: Arc::clone(&log),
    };
    let private = server::start(workers, service, on_lost.clone());
    let private = private.map_err(Error::System)?;
    let signalled = events;
    shutdown::listen(move |request| tell(&signalled, Event::Signal(request)))
        .map_err(Error::System)?;
    let addresses: Vec<String> = listeners.addresses().map(str::to_owned).collect();
    let links = Links {
        private,
        auth: auth.clone(),
        telemetry: Arc::clone(&telemetry),
        log: Arc::clone(&log),
    };
    let gate = Gate::open(listeners, config.server.gate.clone(), links, on_lost);
    let gate = gate.map_err(Error::System)?;
    for address in &addresses {
        log.info("listening", &[("address", address)]);
    }
    log.info("writing", &[("output", &config.output.target)]);
    let running =
        Running { config, load, log, telemetry, queue, writer, gate, auth, settings, inbox };
    running.wait()
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
    queue: queue::Sender<Pending>,
    writer: JoinHandle<Outcome>,
    gate: Gate,
    auth: Live<Auth>,
    settings: Live<Settings>,
    inbox: Receiver<Event>,
}

impl Running {
    /// Waits for what ends the process, then ends it in order.
    fn wait(mut self) -> Result<(), Error> {
        loop {
            match self.inbox.recv() {
                Ok(Event::Signal(Request::Reload)) => self.reload(),
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
        // As much as the old level or the new one lets through: its own change is told too.
        let level = config.log.level.max(self.config.log.level);
        tell_changes(&Log::new(level, config.log.format), &changes, credentials);
        self.config = config;
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
        let Running { config, log, telemetry, queue, writer, gate, inbox, .. } = self;
        let after = config.output.drain_timeout;
        let deadline = Instant::now() + after;
        log.info("draining", &[("at_most_s", &after.as_secs_f64())]);
        let closed = Closing { gate, queue, deadline }.begin();
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
        let cut_off = closed.recv().unwrap_or_default();
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

/// What has to be closed before the writer ends.
struct Closing {
    gate: Gate,
    queue: queue::Sender<Pending>,
    deadline: Instant,
}

impl Closing {
    /// Closes beside the caller, who can see a second signal meanwhile, or before it returns where
    /// the system has no thread any more. How many connections were cut off is received when all
    /// is closed.
    fn begin(self) -> Receiver<usize> {
        let (done, closed) = mpsc::channel();
        let (hand_over, handed_over) = mpsc::channel::<Closing>();
        let from_beside = done.clone();
        let closer = thread::Builder::new().name("closer".to_owned()).spawn(move || {
            if let Ok(closing) = handed_over.recv() {
                closing.close(&from_beside);
            }
        });
        drop(closer);
        // Without the thread there is nobody to hand it over to: it comes back.
        if let Err(SendError(closing)) = hand_over.send(self) {
            closing.close(&done);
        }
        closed
    }

    fn close(self, done: &Sender<usize>) {
        let cut_off = self.gate.close(self.deadline);
        self.queue.close(self.deadline);
        if done.send(cut_off).is_err() {
            // OK because the time was over, and nobody waits any more.
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alone;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;
    use std::path::Path;

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
        if let Some(stderr) = alone::stderr_of(name) {
            let mut rest = stderr.as_str();
            for part in [
                "level=error msg=\"a thread panicked",
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
        let log = Arc::new(Log::new(log::Level::Info, log::Format::Logfmt));
        let running = std::thread::spawn(move || run(config, Box::new(load), log));
        assert_eq!(ask(&socket, "POST /metrics/job/x", "a_b 1 9\n"), "HTTP/1.1 200 OK");
        let status = ask(&socket, "GET /fault/worker", "");
        assert_eq!(status, "HTTP/1.1 500 Internal Server Error");
        let ended = running.join().unwrap();
        assert!(matches!(ended, Err(Error::ThreadLost("a worker panicked"))), "{ended:?}");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "a,job=x b=1 9000000\n");
        assert!(!socket.exists(), "the gate is closed");
        std::fs::remove_dir_all(folder).unwrap();
    }
}
