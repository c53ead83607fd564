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

#[cfg(not(feature = "tls"))]
pub(crate) use absent::{NoServer as TlsServer, NoSession as ServerSession, validity};
use fault::Date;
pub(crate) use fault::{CertificateError, SessionError, SessionFault};
#[cfg(feature = "tls")]
pub(crate) use protocol::{ClientIdentity, ServerSession, TlsServer, provider, trusted, validity};

use std::fmt;

/// When a certificate ends that ends soon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EndsSoon {
    /// The end, in seconds since the Unix epoch.
    pub(crate) ends_s: i64,
    /// Whole days until then.
    pub(crate) days: i64,
}

/// How long before its end a certificate is warned of.
const WARNED_DAYS: i64 = 30;
const DAY_S: i64 = 24 * 3600;

impl EndsSoon {
    /// Whether an end is near, seen from `now_s`.
    pub(crate) fn of(ends_s: i64, now_s: i64) -> Option<EndsSoon> {
        let days = (ends_s - now_s).div_euclid(DAY_S);
        (days < WARNED_DAYS).then_some(EndsSoon { ends_s, days })
    }
}

impl fmt::Display for EndsSoon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let date = Date(self.ends_s);
        match self.days {
            ..0 => write!(f, "a certificate in it has ended on {date}"),
            0 => write!(f, "a certificate in it ends today, {date}"),
            days => write!(f, "a certificate in it ends in {days} days, on {date}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_warned_of_for_thirty_days() {
        let end = 1_795_910_400;
        for (before, want) in [
            (31 * DAY_S, None),
            (30 * DAY_S, None),
            (30 * DAY_S - 1, Some("a certificate in it ends in 29 days, on 2026-11-29")),
            (60, Some("a certificate in it ends today, 2026-11-29")),
            (-60, Some("a certificate in it has ended on 2026-11-29")),
        ] {
            let told = EndsSoon::of(end, end - before).map(|soon| soon.to_string());
            assert_eq!(told.as_deref(), want, "{before} s before");
        }
    }
}
