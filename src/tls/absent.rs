//! What stands in for TLS in a binary that is built without it: nothing of it can exist.

use super::fault::{CertificateError, CertificateFault, SessionError, TlsFile};
use super::validity::Validity;
use std::io;

/// No listener speaks TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NoServer {}

impl NoServer {
    /// # Errors
    /// Always: this binary has no TLS.
    pub(crate) fn open(
        (cert, _): (TlsFile<'_>, TlsFile<'_>),
        _: Option<TlsFile<'_>>,
        _: i64,
    ) -> Result<NoServer, CertificateError> {
        Err(CertificateError::new(cert, CertificateFault::Absent))
    }

    pub(crate) fn chain_ends_s(&self) -> i64 {
        match *self {}
    }

    pub(crate) fn session(&self) -> Option<NoSession> {
        match *self {}
    }
}

/// No connection speaks TLS.
#[derive(Debug)]
pub(crate) enum NoSession {}

impl NoSession {
    pub(crate) fn is_shaking_hands(&self) -> bool {
        match *self {}
    }

    pub(crate) fn is_resumed(&self) -> bool {
        match *self {}
    }

    pub(crate) fn client_name(&self) -> Option<String> {
        match *self {}
    }

    pub(crate) fn client_ends_s(&self) -> Option<i64> {
        match *self {}
    }

    pub(crate) fn receive(&mut self, _: &[u8], _: &mut Vec<u8>) -> Result<(), SessionError> {
        match *self {}
    }

    pub(crate) fn open(&mut self, _: &mut Vec<u8>) -> usize {
        match *self {}
    }

    pub(crate) fn has_opened(&mut self) -> bool {
        match *self {}
    }

    pub(crate) fn has_ended(&self) -> bool {
        match *self {}
    }

    pub(crate) fn seal(&mut self, _: &[u8]) -> usize {
        match *self {}
    }

    pub(crate) fn has_sealed(&self) -> bool {
        match *self {}
    }

    pub(crate) fn send(&mut self, _: &mut dyn io::Write) -> io::Result<usize> {
        match *self {}
    }

    pub(crate) fn end(&mut self) {
        match *self {}
    }
}

/// # Errors
/// Always: this binary has no TLS.
pub(crate) fn validity_of(file: TlsFile<'_>) -> Result<Validity, CertificateError> {
    Err(CertificateError::new(file, CertificateFault::Absent))
}
