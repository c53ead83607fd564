//! Foreign connections → complete, bounded, well-formed requests.
//!
//! tiny_http trusts its peers, so it must not meet a stranger. The gate accepts, gives each
//! connection a thread with a small stack, reads one whole request under deadlines and limits,
//! hands it, rebuilt from what was understood, to a worker over a private connection, and relays
//! the answer. A slow client costs a gate thread, never a worker.
//!
//! ```text
//! accept ─▶ registry ─▶ connection: head ─▶ auth ─▶ body (budget, chunked) ─▶ lanes ─▶ worker
//!                                   refusal ◀── whatever is wrong
//! ```

mod budget;
mod chunked;
mod connection;
mod head;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod invariants;
mod lanes;
mod refusal;
mod registry;
mod stream;

use crate::auth::Auth;
use crate::limits::KIB;
use crate::log::Log;
use crate::server::{KEY_HEADER, Private};
use crate::telemetry::Telemetry;
use budget::Budget;
use connection::{Connection, Shared};
use lanes::Lanes;
use listenfd::ListenFd;
use registry::Registry;
use std::fmt;
use std::fs;
use std::io;
use std::net::TcpListener;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use stream::{Listener, Stream};

/// One place to listen (`server.listen`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// `host:port`; port 0 lets the system choose.
    Tcp(String),
    /// `unix:/path`
    Unix(PathBuf),
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Listen::Tcp(address) => f.write_str(address),
            Listen::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// What the operator asks of the gate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Where it listens, unless a supervisor hands sockets over.
    pub listen: Vec<Listen>,
    /// Connections at once, all listeners together (`server.max_connections`).
    pub connections_max: usize,
    /// The body of one request as sent, in bytes (`server.max_body_bytes`).
    pub body_bytes_max: usize,
    /// Bodies in hand, all connections together, in bytes (`server.max_buffered_bytes`).
    pub buffered_bytes_max: usize,
    /// From a request's first byte to the end of its head (`server.head_timeout`).
    pub head_timeout: Duration,
    /// From the end of its head to the end of its body (`server.body_timeout`).
    pub body_timeout: Duration,
    /// Between two requests of one connection (`server.idle_timeout`).
    pub idle_timeout: Duration,
}

/// The stack of a connection's thread: its deepest call parses a head with its headers on the
/// stack.
const STACK_BYTES: usize = 128 * KIB;
/// How long a client may take nothing of its answer.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// The pause after an `accept` or a thread that failed: descriptors or memory may come back.
const FAILURE_PAUSE: Duration = Duration::from_millis(50);

/// Why the gate cannot open.
#[derive(Debug)]
pub struct Error {
    listen: String,
    error: io::Error,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot listen on {} (server.listen): {}", self.listen, self.error)
    }
}

impl std::error::Error for Error {}

/// What the gate needs besides its options.
#[derive(Debug)]
pub struct Links {
    /// The way to the workers.
    pub private: Private,
    /// Who may push.
    pub auth: Arc<Auth>,
    /// What is counted.
    pub telemetry: Arc<Telemetry>,
    /// Where events go.
    pub log: Arc<Log>,
}

/// Listening sockets, bound but not yet served: what can go wrong at the start goes wrong here.
#[derive(Debug)]
pub struct Listeners {
    open: Vec<(Listener, String)>,
    /// Sockets of the file system that are to be removed at the end.
    paths: Vec<PathBuf>,
}

/// The open gate.
#[derive(Debug)]
pub struct Gate {
    listeners: Vec<Arc<Listener>>,
    acceptors: Vec<JoinHandle<()>>,
    registry: Arc<Registry>,
    paths: Vec<PathBuf>,
}

impl Listeners {
    /// Takes the sockets that a supervisor hands over (`LISTEN_FDS`), or else binds `listen`.
    ///
    /// # Errors
    /// An address that cannot be bound.
    pub fn open(listen: &[Listen]) -> Result<Listeners, Error> {
        let mut open =
            handed_over().map_err(|error| Error { listen: "LISTEN_FDS".into(), error })?;
        let mut paths = Vec::new();
        if open.is_empty() {
            for place in listen {
                let bound = bind(place);
                open.push(bound.map_err(|error| Error { listen: place.to_string(), error })?);
                if let Listen::Unix(path) = place {
                    paths.push(path.clone());
                }
            }
        }
        Ok(Listeners { open, paths })
    }

    /// The addresses, as an operator would write them.
    pub fn addresses(&self) -> impl Iterator<Item = &str> {
        self.open.iter().map(|(_, address)| address.as_str())
    }
}

fn handed_over() -> io::Result<Vec<(Listener, String)>> {
    let mut sockets = ListenFd::from_env();
    let mut open = Vec::new();
    for index in 0..sockets.len() {
        // It is of one kind or the other; the wrong one is told by an error, and stays.
        if let Ok(Some(listener)) = sockets.take_tcp_listener(index) {
            listener.set_nonblocking(false)?;
            let address = listener.local_addr()?.to_string();
            open.push((Listener::Tcp(listener), address));
        } else if let Some(listener) = sockets.take_unix_listener(index)? {
            listener.set_nonblocking(false)?;
            let address = listener.local_addr()?;
            let address = address
                .as_pathname()
                .map_or("unix".to_owned(), |path| format!("unix:{}", path.display()));
            open.push((Listener::Unix(listener), address));
        }
    }
    Ok(open)
}

fn bind(place: &Listen) -> io::Result<(Listener, String)> {
    match place {
        Listen::Tcp(address) => {
            let listener = TcpListener::bind(address)?;
            let address = listener.local_addr()?.to_string();
            Ok((Listener::Tcp(listener), address))
        }
        Listen::Unix(path) => {
            remove_stale(path);
            Ok((Listener::Unix(UnixListener::bind(path)?), place.to_string()))
        }
    }
}

/// Removes a socket that a process before has left and nobody listens on.
fn remove_stale(path: &Path) {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
    let is_refused = || {
        let connected = UnixStream::connect(path);
        connected.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
    };
    if is_socket && is_refused() && fs::remove_file(path).is_err() {
        // OK because binding will tell.
    }
}

impl Gate {
    /// Begins to serve. `on_lost` is called when an acceptor ends though the gate is open.
    ///
    /// # Errors
    /// The system has no thread for an acceptor.
    pub fn open(
        listeners: Listeners,
        options: Options,
        links: Links,
        on_lost: impl Fn(&'static str) + Clone + Send + 'static,
    ) -> io::Result<Gate> {
        let Links { private, auth, telemetry, log } = links;
        let registry = Arc::new(Registry::new(options.connections_max, Arc::clone(&telemetry)));
        let shared = Arc::new(Shared {
            budget: Arc::new(Budget::new(options.buffered_bytes_max, Arc::clone(&telemetry))),
            lanes: Lanes::new(private.streams),
            key_line: format!("{KEY_HEADER}: {}\r\n", private.key),
            options,
            auth,
            telemetry,
            log,
        });
        let Listeners { open, paths } = listeners;
        let listeners: Vec<_> = open.into_iter().map(|(listener, _)| Arc::new(listener)).collect();
        let mut acceptors = Vec::new();
        for listener in &listeners {
            let acceptor = Acceptor {
                listener: Arc::clone(listener),
                registry: Arc::clone(&registry),
                shared: Arc::clone(&shared),
            };
            let (registry, on_lost) = (Arc::clone(&registry), on_lost.clone());
            acceptors.push(thread::Builder::new().name("acceptor".to_owned()).spawn(
                move || {
                    let ended =
                        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| acceptor.run()));
                    if ended.is_err() || !registry.is_closing() {
                        on_lost("an acceptor ended");
                    }
                },
            )?);
        }
        Ok(Gate { listeners, acceptors, registry, paths })
    }

    /// Closes in order: no new connections, idle ones closed, requests in hand answered, at the
    /// latest at `deadline`. Returns how many connections had to be cut off then.
    pub fn close(self, deadline: Instant) -> usize {
        let Gate { listeners, acceptors, registry, paths } = self;
        // The registry closes first: an acceptor must know that its listener was shut on purpose.
        registry.stop_taking();
        for listener in &listeners {
            if listener.shut().is_err() {
                // OK because it is shut already.
            }
        }
        let cut_off = registry.close(deadline);
        for acceptor in acceptors {
            if acceptor.join().is_err() {
                // OK because a panic of an acceptor was told when it happened.
            }
        }
        for path in paths {
            if fs::remove_file(path).is_err() {
                // OK because somebody else has removed it.
            }
        }
        cut_off
    }
}

/// Accepts the connections of one listener.
struct Acceptor {
    listener: Arc<Listener>,
    registry: Arc<Registry>,
    shared: Arc<Shared>,
}

impl Acceptor {
    /// Accepts until the gate closes; no error ends it.
    fn run(&self) {
        let mut has_failed = false;
        // Room is made only for a connection that is there: nobody is closed to no purpose.
        while !self.registry.is_closing() {
            let accepted = self.listener.wait().and_then(|()| {
                self.registry.wait_for_room();
                self.listener.accept()
            });
            match accepted {
                Ok(stream) => {
                    has_failed = false;
                    self.serve(stream);
                }
                Err(_) if self.registry.is_closing() => return,
                Err(error) => {
                    self.shared.telemetry.accept_errors.increment();
                    if !has_failed {
                        self.shared.log.warn("cannot accept, trying again", &[("error", &error)]);
                    }
                    has_failed = true;
                    thread::sleep(FAILURE_PAUSE);
                }
            }
        }
    }

    /// Gives a connection its thread. Where there is none, the connection is closed unserved.
    fn serve(&self, stream: Stream) {
        if stream.prepare(WRITE_TIMEOUT).is_err() {
            // The client is gone already.
            return;
        }
        let stream = Arc::new(stream);
        let place = self.registry.enter(&stream);
        let connection = Connection::new(stream, place, Arc::clone(&self.shared));
        let thread = thread::Builder::new().name("connection".to_owned()).stack_size(STACK_BYTES);
        if let Err(error) = thread.spawn(move || connection.serve()) {
            self.shared.telemetry.connections_refused.increment();
            self.shared.log.warn("no thread for a connection", &[("error", &error)]);
            thread::sleep(FAILURE_PAUSE);
        }
    }
}
