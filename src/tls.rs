//! Certificates and keys → what TLS is spoken with: the one file that names rustls.
//!
//! Files are PEM. The cryptography is ring's.

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why a certificate or a key cannot be used.
#[derive(Debug)]
pub(crate) struct CertificateError {
    /// None for those of the system.
    path: Option<PathBuf>,
    fault: CertificateFault,
}

#[derive(Debug)]
enum CertificateFault {
    Read(io::Error),
    Malformed(String),
    None,
}

impl fmt::Display for CertificateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.path {
            Some(path) => write!(f, "{}: ", path.display())?,
            None => f.write_str("the system's certificates: ")?,
        }
        match &self.fault {
            CertificateFault::Read(error) => write!(f, "cannot be read: {error}"),
            CertificateFault::Malformed(what) => write!(f, "is no PEM: {what}"),
            CertificateFault::None if self.path.is_none() => {
                write!(f, "there are none; install ca-certificates, or set output.tls.ca")
            }
            CertificateFault::None => write!(f, "has no certificate, expected PEM"),
        }
    }
}

impl std::error::Error for CertificateError {}

/// The cryptography.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// The certificates that are trusted, as DER: those of a file, or the system's.
///
/// # Errors
/// They cannot be read, or there are none.
pub(crate) fn trusted(ca: Option<&Path>) -> Result<Vec<Vec<u8>>, CertificateError> {
    if let Some(path) = ca {
        return certificates(path);
    }
    let found = rustls_native_certs::load_native_certs();
    let certificates: Vec<_> = found.certs.iter().map(|it| it.to_vec()).collect();
    match certificates.is_empty() {
        true => Err(CertificateError { path: None, fault: CertificateFault::None }),
        false => Ok(certificates),
    }
}

/// The certificates of a file, as DER, in their order.
///
/// # Errors
/// The file cannot be read, is no PEM, or has no certificate.
pub(crate) fn certificates(path: &Path) -> Result<Vec<Vec<u8>>, CertificateError> {
    let error = |fault| CertificateError { path: Some(path.to_owned()), fault };
    let pem = std::fs::read(path).map_err(|io| error(CertificateFault::Read(io)))?;
    let found = CertificateDer::pem_slice_iter(&pem).map(|it| it.map(|it| it.to_vec()));
    let found = found.collect::<Result<Vec<_>, _>>();
    let found = found.map_err(|what| error(CertificateFault::Malformed(what.to_string())))?;
    if found.is_empty() { Err(error(CertificateFault::None)) } else { Ok(found) }
}

/// The PEM of a private key.
///
/// # Errors
/// The file cannot be read, or has no key.
pub(crate) fn private_key(path: &Path) -> Result<Vec<u8>, CertificateError> {
    let error = |fault| CertificateError { path: Some(path.to_owned()), fault };
    let pem = std::fs::read(path).map_err(|io| error(CertificateFault::Read(io)))?;
    let key = rustls::pki_types::PrivateKeyDer::from_pem_slice(&pem);
    key.map_err(|what| error(CertificateFault::Malformed(what.to_string())))?;
    Ok(pem)
}
