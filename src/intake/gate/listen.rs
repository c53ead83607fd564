//! Addresses → listening sockets, bound here or handed over by a supervisor.

use super::socket::Listener;
use crate::system;
use listenfd::ListenFd;
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::net::TcpListener;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

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

/// Listening sockets, bound but not yet served: what can go wrong at the start goes wrong here.
#[derive(Debug)]
pub struct Listeners {
    pub(super) open: Vec<(Listener, String)>,
    /// Sockets of the file system that are to be removed at the end.
    pub(super) own: Vec<OwnPath>,
}

impl Listeners {
    /// Takes the sockets that a supervisor hands over (`LISTEN_FDS`), or else binds `listen`.
    ///
    /// # Errors
    /// An address that cannot be bound.
    pub(crate) fn open(listen: &[Listen]) -> Result<Listeners, Error> {
        let mut open =
            handed_over().map_err(|error| Error { listen: "LISTEN_FDS".into(), error })?;
        let mut own = Vec::new();
        if open.is_empty() {
            for place in listen {
                let bound = bind(place);
                open.push(bound.map_err(|error| Error { listen: place.to_string(), error })?);
                if let Listen::Unix(path) = place {
                    own.extend(OwnPath::of(path));
                }
            }
        }
        Ok(Listeners { open, own })
    }

    /// The addresses, as an operator would write them.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = &str> {
        self.open.iter().map(|(_, address)| address.as_str())
    }
}

/// The path of a socket that this process has made.
#[derive(Debug)]
pub(super) struct OwnPath {
    path: PathBuf,
    /// What is there, held so that its inode is not given to another file.
    held: File,
}

impl OwnPath {
    fn of(path: &Path) -> Option<OwnPath> {
        let held = File::from(system::hold_path(path).ok()?);
        Some(OwnPath { path: path.to_owned(), held })
    }

    /// Removes it, unless another process has put a socket of its own there since.
    pub(super) fn remove(self) {
        let (found, held) = (fs::symlink_metadata(&self.path), self.held.metadata());
        let identity = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
        let is_ours = matches!(
            (found.map(identity), held.map(identity)),
            (Ok(found), Ok(held)) if found == held
        );
        if is_ours && fs::remove_file(&self.path).is_err() {
            // OK because somebody else has removed it.
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_that_a_successor_has_bound_since_is_not_removed() {
        let folder = std::env::temp_dir().join(format!("pushline-listen-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("socket");
        let places = [Listen::Unix(path.clone())];
        let ours = Listeners::open(&places).unwrap();
        let Listeners { open, own } = ours;
        // It listens no more, and has not come to remove its path yet.
        drop(open);
        let successor = Listeners::open(&places).unwrap();
        own.into_iter().for_each(OwnPath::remove);
        assert!(UnixStream::connect(&path).is_ok(), "the successor is reached");
        successor.own.into_iter().for_each(OwnPath::remove);
        assert!(!path.exists());
        fs::remove_dir_all(folder).unwrap();
    }
}
