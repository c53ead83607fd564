//! Foreign connections → complete, bounded, well-formed requests.
//!
//! tiny_http trusts its peers, so it must not meet a stranger. The gate accepts, reads one whole
//! request at a time of each connection under deadlines and limits, hands it, rebuilt from what was
//! understood, to a worker over a private connection, and relays the answer. One thread does all of
//! it and never waits for a peer: a slow client costs memory, but no thread and no worker.
//!
//! ```text
//! reactor: accept ─▶ connection: head ─▶ auth ─▶ body (budget, chunked) ─▶ lanes ─▶ worker
//!                                refusal ◀── whatever is wrong
//! ```
//!
//! A thread for each connection was simpler, but each of its waits is two switches of context, and
//! small pushes cost more in them than in everything else (measured: see the commit that replaced
//! it).

pub mod auth;
mod budget;
pub(crate) mod chunked;
mod connection;
pub(crate) mod head;
mod input;
mod lanes;
mod reactor;
mod refusal;
mod stream;

use crate::current::Live;
use crate::intake::bridge::Private;
use crate::intake::gate::auth::Auth;
use crate::observe::log::Log;
use crate::observe::telemetry::Telemetry;
use crate::status::Status;
use budget::Budget;
use connection::Shared;
use listenfd::ListenFd;
use reactor::{Bell, Order, Reactor, Workers};
use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::net::TcpListener;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use stream::Listener;

/// One place to listen (`server.listen`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Listen {
    /// `host:port`, or `:port` for every address; port 0 lets the system choose.
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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Where it listens, unless a supervisor hands sockets over.
    pub(crate) listen: Vec<Listen>,
    /// Connections at once, all listeners together (`server.max_connections`).
    pub(crate) connections_max: usize,
    /// The body of one request as sent, in bytes (`server.max_body_bytes`).
    pub body_bytes_max: usize,
    /// Bodies in hand, all connections together, in bytes (`server.max_buffered_bytes`).
    pub(crate) buffered_bytes_max: usize,
    /// From a request's first byte to the end of its head (`server.head_timeout`).
    pub(crate) head_timeout: Duration,
    /// From the end of its head to the end of its body (`server.body_timeout`).
    pub body_timeout: Duration,
    /// Between two requests of one connection (`server.idle_timeout`).
    pub(crate) idle_timeout: Duration,
}

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
    pub auth: Live<Auth>,
    /// What is counted.
    pub telemetry: Arc<Telemetry>,
    /// Who is told of what is refused here.
    pub status: Arc<Status>,
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
    rope: UnixStream,
    orders: Sender<Order>,
    options: Live<Options>,
    thread: JoinHandle<usize>,
    paths: Vec<PathBuf>,
}

impl Listeners {
    /// Takes the sockets that a supervisor hands over (`LISTEN_FDS`), or else binds `listen`.
    ///
    /// # Errors
    /// An address that cannot be bound.
    pub(crate) fn open(listen: &[Listen]) -> Result<Listeners, Error> {
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
    pub(crate) fn addresses(&self) -> impl Iterator<Item = &str> {
        self.open.iter().map(|(_, address)| address.as_str())
    }
}

fn handed_over() -> io::Result<Vec<(Listener, String)>> {
    let mut sockets = ListenFd::from_env();
    let mut open = Vec::new();
    for index in 0..sockets.len() {
        // It is of one kind or the other; the wrong one is told by an error, and stays.
        if let Ok(Some(listener)) = sockets.take_tcp_listener(index) {
            let address = listener.local_addr()?.to_string();
            open.push((Listener::Tcp(listener), address));
        } else if let Some(listener) = sockets.take_unix_listener(index)? {
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
            let listener = match address.strip_prefix(':') {
                Some(port) => bind_every_address(port)?,
                None => TcpListener::bind(address)?,
            };
            let address = listener.local_addr()?.to_string();
            Ok((Listener::Tcp(listener), address))
        }
        Listen::Unix(path) => {
            remove_stale(path);
            Ok((Listener::Unix(UnixListener::bind(path)?), place.to_string()))
        }
    }
}

/// Every address of IPv6 and IPv4, or of IPv4 alone where the system has no IPv6.
fn bind_every_address(port: &str) -> io::Result<TcpListener> {
    TcpListener::bind(format!("[::]:{port}")).or_else(|error| match error.kind() {
        io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied => Err(error),
        _ => TcpListener::bind(format!("0.0.0.0:{port}")),
    })
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
    /// Begins to serve. `on_lost` is called when the gate ends though nobody closed it.
    ///
    /// # Errors
    /// The system has no thread or no descriptor for it.
    pub fn open(
        listeners: Listeners,
        options: Options,
        links: Links,
        on_lost: impl FnOnce(&'static str) + Send + 'static,
    ) -> io::Result<Gate> {
        let Links { private, auth, telemetry, status, log } = links;
        let options = Live::new(options);
        let shared = Shared {
            budget: Arc::new(Budget::new(Arc::clone(&telemetry))),
            key: private.key,
            options: options.clone(),
            auth,
            telemetry,
            status,
            log,
        };
        let Listeners { open, paths } = listeners;
        let listeners = open.into_iter().map(|(listener, _)| listener).collect();
        let (rope, stream) = UnixStream::pair()?;
        let (orders, inbox) = mpsc::channel();
        let bell = Bell { stream, inbox };
        let workers = Workers { streams: private.streams, answers: private.answers };
        let reactor = Reactor::new(shared, listeners, workers, bell)?;
        let thread = thread::Builder::new().name("gate".to_owned()).spawn(move || {
            let ended = catch_unwind(AssertUnwindSafe(|| reactor.run()));
            if let Ok(Ok(cut_off)) = ended {
                return cut_off;
            }
            on_lost("the gate ended");
            0
        })?;
        Ok(Gate { rope, orders, options, thread, paths })
    }

    /// Serves by these options from here on: a request by those that it began with, an idle
    /// connection's wait likewise. Where it listens does not change.
    pub fn replace(&self, options: Options) {
        self.options.replace(options);
        self.order(Order::KeepBound);
    }

    /// Closes in order: no new connections, idle ones closed, requests in hand answered, at the
    /// latest at `deadline`. Returns how many connections had to be cut off then.
    pub fn close(self, deadline: Instant) -> usize {
        self.order(Order::Close(deadline));
        let Gate { thread, paths, .. } = self;
        let cut_off = thread.join().unwrap_or_default();
        for path in paths {
            if fs::remove_file(path).is_err() {
                // OK because somebody else has removed it.
            }
        }
        cut_off
    }

    fn order(&self, order: Order) {
        if self.orders.send(order).is_err() || (&self.rope).write_all(b"!").is_err() {
            // OK because a gate that has ended is closed, and serves by no options.
        }
    }
}
