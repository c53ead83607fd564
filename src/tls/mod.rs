//! Certificates and keys → what TLS is spoken with, to stores and to clients.
//!
//! `protocol` is the one file that names rustls. `absent` takes its place where the binary is built
//! without the feature `tls`: types without a value, so that whoever uses them needs no second
//! version, and nothing of TLS is left in the binary.

#[cfg(not(feature = "tls"))]
mod absent;
#[cfg(feature = "tls")]
mod certificate;
mod fault;
#[cfg(feature = "tls")]
mod protocol;
mod validity;

#[cfg(not(feature = "tls"))]
pub(crate) use absent::{NoServer as TlsServer, NoSession as ServerSession, validity_of};
pub(crate) use fault::{CertificateError, SessionError, SessionFault, TlsFile, TlsKey};
#[cfg(feature = "tls")]
pub(crate) use protocol::{
    ClientIdentity, ServerSession, TlsServer, provider, trusted, validity_of,
};
