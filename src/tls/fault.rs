//! Why certificates cannot be used, and why a session comes to nothing.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// The keys that name a file of certificates, or that of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TlsKey {
    /// The certificate of the listeners.
    ServerCert,
    /// Its key.
    ServerKey,
    /// Who signs the certificates of clients.
    ServerClientCa,
    /// What is trusted in stores.
    OutputCa,
    /// The certificate that stores are shown.
    OutputCert,
    /// Its key.
    #[cfg_attr(not(feature = "tls"), expect(dead_code, reason = "only TLS reads it"))]
    OutputKey,
}

impl fmt::Display for TlsKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TlsKey::ServerCert => "server.tls.cert",
            TlsKey::ServerKey => "server.tls.key",
            TlsKey::ServerClientCa => "server.tls.client_ca",
            TlsKey::OutputCa => "output.tls.ca",
            TlsKey::OutputCert => "output.tls.cert",
            TlsKey::OutputKey => "output.tls.key",
        })
    }
}

/// A file and the key that names it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TlsFile<'p> {
    pub(crate) key: TlsKey,
    pub(crate) path: &'p Path,
}

/// Why a certificate or a key cannot be used.
#[derive(Debug)]
pub(crate) struct CertificateError {
    /// None for those of the system.
    file: Option<(TlsKey, PathBuf)>,
    fault: CertificateFault,
}

/// What is wrong with it.
#[derive(Debug)]
#[cfg_attr(not(feature = "tls"), expect(dead_code, reason = "only TLS has certificates"))]
pub(super) enum CertificateFault {
    /// The file cannot be read.
    Read(io::Error),
    /// It is no PEM; the words are the reader's.
    Malformed(String),
    /// It has no certificate.
    Empty,
    /// The certificate cannot be read, or is of a kind that TLS does not use.
    Unusable(String),
    /// The certificate has ended, at that second since the Unix epoch.
    Ended(i64),
    /// The key is not that of the certificate.
    OtherKey { cert: PathBuf },
    /// This binary has no TLS.
    #[cfg(not(feature = "tls"))]
    Absent,
}

impl CertificateError {
    pub(super) fn new(file: TlsFile<'_>, fault: CertificateFault) -> CertificateError {
        CertificateError { file: Some((file.key, file.path.to_owned())), fault }
    }

    #[cfg(feature = "tls")]
    pub(super) fn of_system(fault: CertificateFault) -> CertificateError {
        CertificateError { file: None, fault }
    }
}

impl fmt::Display for CertificateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.file {
            Some((key, path)) => write!(f, "{key}: {}: ", path.display())?,
            None => f.write_str("the system's certificates: ")?,
        }
        match &self.fault {
            CertificateFault::Read(error) => write!(f, "cannot be read: {error}"),
            CertificateFault::Malformed(what) => write!(f, "is no PEM: {what}"),
            CertificateFault::Empty if self.file.is_none() => {
                write!(f, "there are none; install ca-certificates, or set output.tls.ca")
            }
            CertificateFault::Empty => write!(f, "has no certificate, expected PEM"),
            CertificateFault::Unusable(what) => write!(f, "cannot be used: {what}"),
            CertificateFault::Ended(at_s) => {
                write!(f, "ended on {}; a client would refuse it", Date(*at_s))
            }
            CertificateFault::OtherKey { cert } => {
                write!(f, "is not the key of the first certificate in {}", cert.display())
            }
            #[cfg(not(feature = "tls"))]
            CertificateFault::Absent => {
                write!(f, "is of no use, this binary was built without the feature tls")
            }
        }
    }
}

impl std::error::Error for CertificateError {}

/// A day of the calendar, `2026-11-28`, of a second since the Unix epoch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Date(pub(crate) i64);

impl fmt::Display for Date {
    /// Days → civil date, as Howard Hinnant's `civil_from_days` has it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days = self.0.div_euclid(24 * 3600) + 719_468;
        let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = (month_from_march + 2) % 12 + 1;
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

/// Why a session of a client comes to nothing.
#[derive(Debug)]
pub(crate) struct SessionError {
    /// Which kind of reason it is.
    pub(crate) fault: SessionFault,
    text: String,
}

/// The kinds of reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "tls"), expect(dead_code, reason = "only TLS has sessions"))]
pub(crate) enum SessionFault {
    /// The client has no certificate and needs one.
    NoCertificate,
    /// The certificate of the client is not accepted.
    Certificate,
    /// The client and pushline have no version, suite or protocol in common.
    Incompatible,
    /// The client has ended it by an alert, as one that does not trust our certificate.
    Alert,
    /// What the client sent is no TLS, or breaks its rules.
    Malformed,
}

impl SessionError {
    #[cfg(feature = "tls")]
    pub(super) fn new(fault: SessionFault, text: String) -> SessionError {
        SessionError { fault, text }
    }
}

impl fmt::Display for SessionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for SessionError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_its_date() {
        for (seconds, want) in [
            (0, "1970-01-01"),
            (951_782_399, "2000-02-28"),
            (951_782_400, "2000-02-29"),
            (1_795_910_399, "2026-11-28"),
            (4_733_510_400, "2120-01-01"),
            (-1, "1969-12-31"),
        ] {
            assert_eq!(Date(seconds).to_string(), want, "{seconds}");
        }
    }
}
