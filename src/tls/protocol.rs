//! Certificates and keys → what TLS is spoken with: the one file that names rustls.
//!
//! Files are PEM. The cryptography is ring's. A [`ServerSession`] is the protocol and no socket: it
//! takes the bytes that came, gives what they hold, and says what is to be sent.
//!
//! What a session holds is bounded: a message of the handshake, all of those that come before it
//! is done ([`HANDSHAKE_BYTES_MAX`]), one record that is not whole, one record that is opened and
//! not taken, and the records of [`SEALED_BYTES_MAX`] bytes that the client has not taken.

use super::certificate;
use super::fault::{CertificateError, CertificateFault, SessionError, SessionFault, TlsFile};
use super::validity::Validity;
use crate::limits::{HANDSHAKE_BYTES_MAX, SEALED_BYTES_MAX, TLS_SESSIONS_MAX};
use crate::system;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ServerSessionMemoryCache, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{HandshakeKind, InconsistentKeys, RootCertStore, ServerConfig, ServerConnection};
use std::fmt;
use std::io::{self, BufRead, Write};
use std::sync::Arc;

/// The cryptography.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// The certificates that are trusted, as DER: those of a file, or the system's.
///
/// # Errors
/// They cannot be read, or there are none.
pub(crate) fn trusted(ca: Option<TlsFile<'_>>) -> Result<Vec<Vec<u8>>, CertificateError> {
    if let Some(file) = ca {
        let found = certificates_of(file, &read(file)?)?;
        roots(file, &found)?;
        return Ok(found.iter().map(|it| it.to_vec()).collect());
    }
    let found = rustls_native_certs::load_native_certs();
    let certificates: Vec<_> = found.certs.iter().map(|it| it.to_vec()).collect();
    match certificates.is_empty() {
        true => Err(CertificateError::of_system(CertificateFault::Empty)),
        false => Ok(certificates),
    }
}

/// A certificate of our own: its chain, as DER, and its key, as PEM.
#[derive(Debug)]
pub(crate) struct ClientIdentity {
    pub(crate) chain: Vec<Vec<u8>>,
    pub(crate) key_pem: Vec<u8>,
}

impl ClientIdentity {
    /// Reads both files.
    ///
    /// # Errors
    /// A file cannot be used, or the key is another one's.
    pub(crate) fn read(
        cert: TlsFile<'_>,
        key: TlsFile<'_>,
    ) -> Result<ClientIdentity, CertificateError> {
        let (chain, key_pem) = (certificates_of(cert, &read(cert)?)?, read(key)?);
        let secret = key_of(key, &key_pem)?;
        CertifiedKey::from_der(chain.clone(), secret, &provider())
            .map_err(|what| unfit((cert, key), what))?;
        let chain = chain.iter().map(|it| it.to_vec()).collect();
        Ok(ClientIdentity { chain, key_pem })
    }
}

/// When all certificates of a file are valid.
///
/// # Errors
/// The file has no certificate that can be read.
pub(crate) fn validity_of(file: TlsFile<'_>) -> Result<Validity, CertificateError> {
    let found = certificates_of(file, &read(file)?)?;
    let starts_s = found.iter().filter_map(|it| certificate::starts_s(it)).max();
    let ends_s = certificate::chain_ends_s(found.iter().map(|it| &**it));
    match (starts_s, ends_s) {
        (Some(starts_s), Some(ends_s)) => Ok(Validity { starts_s, ends_s }),
        _ => Err(unusable(file, "its start and its end cannot be read".to_owned())),
    }
}

fn read(file: TlsFile<'_>) -> Result<Vec<u8>, CertificateError> {
    let read = system::read_file(file.path).map(|(bytes, _)| bytes);
    read.map_err(|io| CertificateError::new(file, CertificateFault::Read(io)))
}

fn unusable(file: TlsFile<'_>, what: String) -> CertificateError {
    CertificateError::new(file, CertificateFault::Unusable(what))
}

/// Why a certificate and a key are of no use together.
fn unfit((cert, key): (TlsFile<'_>, TlsFile<'_>), what: rustls::Error) -> CertificateError {
    match what {
        rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            CertificateError::new(key, CertificateFault::OtherKey { cert: cert.path.to_owned() })
        }
        rustls::Error::InvalidCertificate(what) => unusable(cert, format!("{what:?}")),
        what => unusable(key, what.to_string()),
    }
}

/// These certificates of a file as those that are trusted.
fn roots(
    file: TlsFile<'_>,
    found: &[CertificateDer<'static>],
) -> Result<RootCertStore, CertificateError> {
    let mut roots = RootCertStore::empty();
    for certificate in found {
        roots.add(certificate.clone()).map_err(|what| unusable(file, what.to_string()))?;
    }
    Ok(roots)
}

fn malformed(file: TlsFile<'_>, what: rustls::pki_types::pem::Error) -> CertificateError {
    CertificateError::new(file, CertificateFault::Malformed(what.to_string()))
}

fn certificates_of(
    file: TlsFile<'_>,
    pem: &[u8],
) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let found = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
    let found = found.map_err(|what| malformed(file, what))?;
    let is_empty = found.is_empty();
    if is_empty { Err(CertificateError::new(file, CertificateFault::Empty)) } else { Ok(found) }
}

fn key_of(file: TlsFile<'_>, pem: &[u8]) -> Result<PrivateKeyDer<'static>, CertificateError> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|what| malformed(file, what))
}

/// What a listener speaks TLS with. It never changes: SIGHUP puts another one in its place.
#[derive(Clone)]
pub(crate) struct TlsServer {
    config: Arc<ServerConfig>,
    chain_ends_s: i64,
    /// What the files held, to tell whether they have changed.
    sources: Vec<Vec<u8>>,
}

impl fmt::Debug for TlsServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsServer")
            .field("chain_ends_s", &self.chain_ends_s)
            .finish_non_exhaustive()
    }
}

impl PartialEq for TlsServer {
    /// Whether both were made of the same.
    fn eq(&self, other: &TlsServer) -> bool {
        self.sources == other.sources
    }
}

impl Eq for TlsServer {}

impl TlsServer {
    /// TLS 1.2 and 1.3 with that certificate and its key; with a `client_ca`, for clients that
    /// have a certificate of it. Sessions are resumed by tickets, whose keys this process makes and
    /// changes; a client that knows no tickets has one of [`TLS_SESSIONS_MAX`] places.
    ///
    /// # Errors
    /// A file cannot be used, its first certificate has ended, or the key is another one's.
    pub(crate) fn open(
        (cert, key): (TlsFile<'_>, TlsFile<'_>),
        client_ca: Option<TlsFile<'_>>,
        now_s: i64,
    ) -> Result<TlsServer, CertificateError> {
        let (cert_pem, key_pem) = (read(cert)?, read(key)?);
        let chain = certificates_of(cert, &cert_pem)?;
        let ends_s = chain.first().and_then(|first| certificate::ends_s(first));
        let ends_s = ends_s.ok_or_else(|| unusable(cert, "its end cannot be read".to_owned()))?;
        if ends_s < now_s {
            return Err(CertificateError::new(cert, CertificateFault::Ended(ends_s)));
        }
        // Others of the chain that have ended are warned of: a client may know a way around them.
        let chain_ends_s = certificate::chain_ends_s(chain.iter().map(|it| &**it));
        let chain_ends_s = chain_ends_s.unwrap_or(ends_s);
        let mut sources = vec![cert_pem, key_pem];
        let builder = ServerConfig::builder_with_provider(provider());
        let builder = builder.with_safe_default_protocol_versions();
        let builder = builder.map_err(|what| unusable(cert, what.to_string()))?;
        let builder = match client_ca {
            None => builder.with_no_client_auth(),
            Some(file) => {
                let pem = read(file)?;
                let roots = Arc::new(roots(file, &certificates_of(file, &pem)?)?);
                sources.push(pem);
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider());
                let verifier = verifier.build().map_err(|what| unusable(file, what.to_string()))?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let secret = key_of(key, sources.get(1).map(Vec::as_slice).unwrap_or_default())?;
        let mut config =
            builder.with_single_cert(chain, secret).map_err(|what| unfit((cert, key), what))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config.session_storage = ServerSessionMemoryCache::new(TLS_SESSIONS_MAX);
        config.ticketer = ring::Ticketer::new().map_err(|what| unusable(key, what.to_string()))?;
        Ok(TlsServer { config: Arc::new(config), chain_ends_s, sources })
    }

    /// The earliest end of the chain that is sent, in seconds since the Unix epoch.
    pub(crate) fn chain_ends_s(&self) -> i64 {
        self.chain_ends_s
    }

    /// A session of a new connection; none where the system has no random bytes for it.
    pub(crate) fn session(&self) -> Option<ServerSession> {
        let mut connection = ServerConnection::new(Arc::clone(&self.config)).ok()?;
        connection.set_buffer_limit(Some(SEALED_BYTES_MAX));
        Some(ServerSession { connection, handshake_bytes: 0, has_ended: false })
    }
}

/// The TLS of one connection.
#[derive(Debug)]
pub(crate) struct ServerSession {
    connection: ServerConnection,
    /// What came before the handshake was done.
    handshake_bytes: usize,
    /// The client has said that it sends no more.
    has_ended: bool,
}

impl ServerSession {
    /// The handshake is not done.
    pub(crate) fn is_shaking_hands(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// It goes on from an earlier session.
    pub(crate) fn is_resumed(&self) -> bool {
        self.connection.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// The common name in the certificate of the client.
    pub(crate) fn client_name(&self) -> Option<String> {
        certificate::common_name(self.client_certificate()?)
    }

    /// When the certificate of the client ends, in seconds since the Unix epoch.
    pub(crate) fn client_ends_s(&self) -> Option<i64> {
        certificate::ends_s(self.client_certificate()?)
    }

    fn client_certificate(&self) -> Option<&[u8]> {
        self.connection.peer_certificates()?.first().map(|it| &**it)
    }

    /// Takes bytes that came, and appends what they hold to `opened`, as far as that has room
    /// without growing; the rest of it stays for [`ServerSession::open`]. There is always room for
    /// that rest where `opened` has room for as many bytes as came: then it is less than a record.
    ///
    /// # Errors
    /// They are no TLS, or the client is refused; an alert is to be sent then.
    pub(crate) fn receive(
        &mut self,
        mut sealed: &[u8],
        opened: &mut Vec<u8>,
    ) -> Result<(), SessionError> {
        while !sealed.is_empty() && !self.has_ended {
            let is_shaking_hands = self.is_shaking_hands();
            let taken = self.connection.read_tls(&mut sealed);
            let taken = taken.map_err(|what| malformed_session(what.to_string()))?;
            if taken == 0 {
                break;
            }
            let state = self.connection.process_new_packets().map_err(session_error)?;
            self.has_ended = state.peer_has_closed();
            if is_shaking_hands && self.is_shaking_hands() {
                self.handshake_bytes += taken;
                if self.handshake_bytes > HANDSHAKE_BYTES_MAX {
                    let what = format!("a handshake of more than {HANDSHAKE_BYTES_MAX} bytes");
                    return Err(malformed_session(what));
                }
            }
            self.open(opened);
        }
        Ok(())
    }

    /// Moves what is opened already; how many bytes.
    pub(crate) fn open(&mut self, opened: &mut Vec<u8>) -> usize {
        let before = opened.len();
        while let Ok(chunk) = self.connection.reader().into_first_chunk() {
            let room = opened.capacity() - opened.len();
            let Some(part) = chunk.get(..chunk.len().min(room)).filter(|part| !part.is_empty())
            else {
                break;
            };
            opened.extend_from_slice(part);
            let count = part.len();
            self.connection.reader().consume(count);
        }
        opened.len() - before
    }

    /// Something is opened and not moved yet.
    pub(crate) fn has_opened(&mut self) -> bool {
        self.connection.reader().into_first_chunk().is_ok_and(|chunk| !chunk.is_empty())
    }

    /// The client has said that it sends no more (close_notify).
    pub(crate) fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Seals bytes to be sent, as many as there is room for; how many.
    pub(crate) fn seal(&mut self, bytes: &[u8]) -> usize {
        // OK because a Writer takes what it has room for, and never fails.
        self.connection.writer().write(bytes).unwrap_or(0)
    }

    /// Something is to be sent.
    pub(crate) fn has_sealed(&self) -> bool {
        self.connection.wants_write()
    }

    /// Sends as much as one call takes; how many bytes.
    ///
    /// # Errors
    /// Those of `to`.
    pub(crate) fn send(&mut self, to: &mut dyn Write) -> io::Result<usize> {
        self.connection.write_tls(to)
    }

    /// Nothing follows (close_notify), which is to be sent.
    pub(crate) fn end(&mut self) {
        self.connection.send_close_notify();
    }
}

fn malformed_session(what: String) -> SessionError {
    SessionError::new(SessionFault::Malformed, what)
}

fn session_error(error: rustls::Error) -> SessionError {
    let fault = match error {
        rustls::Error::NoCertificatesPresented => SessionFault::NoCertificate,
        rustls::Error::InvalidCertificate(_) => SessionFault::Certificate,
        rustls::Error::PeerIncompatible(_) | rustls::Error::NoApplicationProtocol => {
            SessionFault::Incompatible
        }
        rustls::Error::AlertReceived(_) => SessionFault::Alert,
        _ => SessionFault::Malformed,
    };
    SessionError::new(fault, error.to_string())
}
