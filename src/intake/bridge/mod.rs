//! The way between the gate and the workers.

mod mailbox;
mod probe;

pub use mailbox::{Answered, Answers};
pub(crate) use probe::Lifeline;

use std::os::unix::net::UnixStream;
use std::sync::Arc;

/// The header of a private request: the key, and, behind a blank, the number of the gate's
/// connection that the answer is for. Without a number the answer goes back the way of the request.
pub const KEY_HEADER: &str = "K";

/// Connections to the workers: what is written to one of them must be a complete, well-formed
/// request with the key, one at a time.
#[derive(Debug)]
pub struct Private {
    /// The connections; the last one is to be kept for what is no push.
    pub streams: Vec<UnixStream>,
    /// What [`KEY_HEADER`] must begin with.
    pub key: String,
    /// Where the answers come.
    pub answers: Arc<Answers>,
}

/// The reason phrases of the statuses of SPEC 1 (RFC 9110, section 15; RFC 6585).
pub fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        202 => "Accepted",
        400 => "Bad Request",
        401 => "Unauthorized",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "Unknown",
    }
}
