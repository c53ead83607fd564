//! What the operator asks of an HTTP output (`[output.http]`, `[output.tls]`).

use std::path::PathBuf;
use std::time::Duration;

/// How a store is reached and what it is sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct HttpOptions {
    /// Where the credential is (`output.http.auth_file`).
    pub(crate) auth_file: Option<PathBuf>,
    /// A block takes more pushes while it is smaller than this (`output.http.batch_bytes`).
    pub(crate) batch_bytes: usize,
    /// How long a smaller block waits for more (`output.http.linger`).
    pub(crate) linger: Duration,
    /// How long a request may take (`output.http.timeout`).
    pub(crate) timeout: Duration,
    /// How bodies are sent (`output.http.gzip`).
    pub(crate) coding: BodyCoding,
    /// Certificates (`[output.tls]`).
    pub(crate) tls: TlsFiles,
}

impl HttpOptions {
    /// The largest request that is tried, in bytes before packing. A block is a little larger than
    /// `batch_bytes`, as it takes whole pushes; a push that is much larger is sent in several
    /// requests, each of which has the whole timeout.
    pub(super) fn request_bytes_max(&self) -> usize {
        self.batch_bytes.saturating_mul(2)
    }
}

/// How bodies are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum BodyCoding {
    /// As they are.
    Identity,
    /// Packed.
    #[default]
    Gzip,
}

/// Files of certificates, PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TlsFiles {
    /// What is trusted; none for what the system trusts.
    pub(crate) ca: Option<PathBuf>,
    /// A certificate of our own, its chain included.
    pub(crate) cert: Option<PathBuf>,
    /// The key of that.
    pub(crate) key: Option<PathBuf>,
}
