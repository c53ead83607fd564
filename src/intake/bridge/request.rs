//! A whole request, as a worker gets it.

use super::budget::Body;
use crate::limits::{KEPT_BODY_BYTES_MAX, KNOWN_TARGET_BYTES_MAX as KEPT_TARGET_BYTES_MAX};
use crate::push::route::{self, Delivery};
use std::sync::Arc;

/// The methods that are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// PUT and POST: they push.
    Push(&'static str),
    /// HEAD: its answer has no body.
    Head,
    /// GET, DELETE and OPTIONS.
    Quick(&'static str),
    /// Any other.
    Other,
}

impl Method {
    /// The method of that name. Names are case-sensitive (RFC 9110, section 9.1).
    pub(crate) fn of(name: &str) -> Method {
        match name {
            "PUT" => Method::Push("PUT"),
            "POST" => Method::Push("POST"),
            "HEAD" => Method::Head,
            "GET" => Method::Quick("GET"),
            "DELETE" => Method::Quick("DELETE"),
            "OPTIONS" => Method::Quick("OPTIONS"),
            _ => Method::Other,
        }
    }

    /// Whether it pushes.
    pub(crate) fn is_push(self) -> bool {
        matches!(self, Method::Push(_))
    }

    /// Its name, `other` for those that are not told apart.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Method::Push(name) | Method::Quick(name) => name,
            Method::Head => "HEAD",
            Method::Other => "other",
        }
    }
}

/// A whole request: only what a worker needs of it.
#[derive(Debug)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The request target as it was sent: UTF-8 without blanks and control characters.
    pub target: String,
    /// The first `Content-Type`, of a push only.
    pub content_type: Option<String>,
    /// Every `Content-Encoding`, joined with commas, of a push only.
    pub content_encoding: Option<String>,
    /// Every `Accept`, joined with commas; a push has none.
    pub accept: Option<String>,
    /// The body of a push; empty for any other method.
    pub(crate) body: Body,
    /// The name in the certificate of the client, where it has one.
    pub(crate) client: Option<Arc<str>>,
    /// When its last byte came, in nanoseconds since the Unix epoch.
    pub received_ns: i64,
}

impl Default for Request {
    /// Of no method, without any header and without a body.
    fn default() -> Request {
        Request {
            method: Method::Other,
            target: String::new(),
            content_type: None,
            content_encoding: None,
            accept: None,
            client: None,
            body: Body::default(),
            received_ns: 0,
        }
    }
}

impl Request {
    /// Whether it is counted as a push, written or refused: a dry run is not.
    pub(crate) fn counts_as_push(&self) -> bool {
        self.method.is_push() && route::delivery(self.target.as_bytes()) == Delivery::Output
    }

    /// Makes it one without headers and without a body, in the buffers that it has.
    pub(crate) fn begin(&mut self, method: Method, target: &str) {
        self.clear();
        self.method = method;
        self.target.push_str(target);
    }

    /// Drops what it has, and keeps small buffers.
    pub(super) fn clear(&mut self) {
        self.target.clear();
        self.target.shrink_to(KEPT_TARGET_BYTES_MAX);
        (self.content_type, self.content_encoding, self.accept) = (None, None, None);
        self.client = None;
        self.body.clear(KEPT_BODY_BYTES_MAX);
    }
}
