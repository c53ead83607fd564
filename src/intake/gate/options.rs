//! What the operator asks of the gate.

use super::listen::Listen;
use crate::tls::{CertificateError, TlsFile, TlsKey, TlsServer};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// What the operator asks of the gate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GateOptions {
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
    /// `[server.tls]`
    pub(crate) tls: ListenerTls,
}

/// The files that TCP listeners speak TLS with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ListenerTls {
    /// The certificate, with its chain.
    pub(crate) cert: Option<PathBuf>,
    /// Its key.
    pub(crate) key: Option<PathBuf>,
    /// Who signs the certificates of clients; none: clients need no certificate.
    pub(crate) client_ca: Option<PathBuf>,
}

/// Why listeners cannot speak TLS.
#[derive(Debug)]
pub struct ListenerTlsError(ListenerTlsProblem);

#[derive(Debug)]
enum ListenerTlsProblem {
    /// A certificate without its key, or the other way round, or neither with a `client_ca`.
    InPart,
    /// A file cannot be used.
    Certificate(CertificateError),
}

impl fmt::Display for ListenerTlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            ListenerTlsProblem::InPart => write!(
                f,
                "server.tls.cert and server.tls.key are of use only together, and \
                 server.tls.client_ca only with them"
            ),
            ListenerTlsProblem::Certificate(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ListenerTlsError {}

impl ListenerTls {
    /// Reads the files; none where TLS is not asked for.
    ///
    /// # Errors
    /// One of them is missing, or cannot be used at `now_s`, in seconds since the Unix epoch.
    pub(crate) fn open(&self, now_s: i64) -> Result<Option<TlsServer>, ListenerTlsError> {
        let file = |key, path| TlsFile { key, path };
        let client_ca = self.client_ca.as_deref().map(|path| file(TlsKey::ServerClientCa, path));
        match (&self.cert, &self.key) {
            (None, None) if client_ca.is_none() => Ok(None),
            (Some(cert), Some(key)) => {
                let pair = (file(TlsKey::ServerCert, cert), file(TlsKey::ServerKey, key));
                let opened = TlsServer::open(pair, client_ca, now_s).map(Some);
                opened.map_err(|error| ListenerTlsError(ListenerTlsProblem::Certificate(error)))
            }
            _ => Err(ListenerTlsError(ListenerTlsProblem::InPart)),
        }
    }
}
