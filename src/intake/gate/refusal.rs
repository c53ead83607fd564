//! What the gate answers by itself, without a worker.

use crate::intake::bridge::Answer;
use crate::limits::{HEAD_BYTES_MAX, HEADERS_MAX};
use crate::observe::telemetry::Reason;
use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

/// Why a request does not reach a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// 400: the head or the framing is malformed.
    Malformed(&'static str),
    /// 400: the body ended before it was whole.
    CutShort {
        /// Bytes that came.
        received: usize,
    },
    /// 400: a request without TLS, where TLS is spoken.
    PlainToTls,
    /// 400: a hello of TLS, where none is spoken.
    TlsToPlain,
    /// 401: credentials are asked for.
    Unauthorized {
        /// The schemes that are configured, as `WWW-Authenticate` lines with their CRLF.
        challenges: String,
    },
    /// 403: a browser says that a page of another site asks.
    CrossSite,
    /// 408: the head or the body took too long.
    TimedOut {
        /// Which.
        what: &'static str,
        /// How long it may take.
        after: Duration,
    },
    /// 413: the body as sent is over its limit.
    BodyTooLarge {
        /// The limit, in bytes.
        bytes_max: usize,
    },
    /// 431: the head is over its limit.
    HeadTooLarge,
    /// 503: memory for bodies is used up.
    OutOfMemory {
        /// The limit, in bytes.
        bytes_max: usize,
    },
    /// 503: no worker was free.
    NoWorker,
    /// 503: all connections are in use.
    Crowded {
        /// The limit.
        connections_max: usize,
    },
    /// 505: neither HTTP/1.0 nor HTTP/1.1.
    Version,
}

impl Refusal {
    pub(crate) fn status(&self) -> u16 {
        match self {
            Refusal::Malformed(_)
            | Refusal::CutShort { .. }
            | Refusal::PlainToTls
            | Refusal::TlsToPlain => 400,
            Refusal::Unauthorized { .. } => 401,
            Refusal::CrossSite => 403,
            Refusal::TimedOut { .. } => 408,
            Refusal::BodyTooLarge { .. } => 413,
            Refusal::HeadTooLarge => 431,
            Refusal::OutOfMemory { .. } | Refusal::NoWorker | Refusal::Crowded { .. } => 503,
            Refusal::Version => 505,
        }
    }

    /// How it is counted.
    pub(super) fn reason(&self) -> Reason {
        match self {
            Refusal::Malformed(_) | Refusal::PlainToTls | Refusal::TlsToPlain => Reason::Request,
            Refusal::CutShort { .. } => Reason::CutShort,
            Refusal::Unauthorized { .. } => Reason::Unauthorized,
            Refusal::CrossSite => Reason::CrossSite,
            Refusal::TimedOut { .. } => Reason::TimedOut,
            Refusal::BodyTooLarge { .. } => Reason::BodyTooLarge,
            Refusal::HeadTooLarge => Reason::HeadTooLarge,
            Refusal::OutOfMemory { .. } => Reason::Memory,
            Refusal::NoWorker => Reason::NoWorker,
            Refusal::Crowded { .. } => Reason::Connections,
            Refusal::Version => Reason::HttpVersion,
        }
    }

    /// What the client is told.
    pub(super) fn answer(&self) -> Answer {
        let mut answer = Answer::text(self.status(), self);
        if let Refusal::Unauthorized { challenges } = self {
            answer.headers = Cow::Owned(format!("{}{challenges}", answer.headers));
        }
        answer
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Malformed(what) => f.write_str(what),
            Refusal::CutShort { received } => {
                write!(f, "the body ended after {received} bytes, before it was whole")
            }
            Refusal::PlainToTls => {
                write!(
                    f,
                    "this port speaks TLS: begin the URL with https:// (server.tls.cert is set)"
                )
            }
            Refusal::TlsToPlain => {
                write!(
                    f,
                    "this port speaks plain HTTP: begin the URL with http://, or set server.tls.cert"
                )
            }
            Refusal::Unauthorized { .. } => write!(f, "valid credentials are needed"),
            Refusal::CrossSite => {
                write!(f, "a web page of another site must not ask here (Sec-Fetch-Site)")
            }
            Refusal::TimedOut { what, after } => {
                write!(f, "the {what} did not arrive within {} s", after.as_secs_f64())
            }
            Refusal::BodyTooLarge { bytes_max } => {
                write!(f, "the body is larger than {bytes_max} bytes (server.max_body_bytes)")
            }
            Refusal::HeadTooLarge => write!(
                f,
                "the request head is larger than {HEAD_BYTES_MAX} bytes or {HEADERS_MAX} headers"
            ),
            Refusal::OutOfMemory { bytes_max } => write!(
                f,
                "the bodies in hand take all of {bytes_max} bytes (server.max_buffered_bytes), \
                 this push was not written"
            ),
            Refusal::Crowded { connections_max } => write!(
                f,
                "all {connections_max} connections are in use (server.max_connections), this \
                 request was not served"
            ),
            Refusal::NoWorker => write!(f, "no worker became free, this request was not served"),
            Refusal::Version => write!(f, "only HTTP/1.0 and HTTP/1.1 are spoken here"),
        }
    }
}
