//! A typed answer → its bytes (RFC 9112): the one place where an answer is written.

use super::head::Persistence;
use crate::intake::bridge::Answer;
use std::io::Write;

/// When a client that is answered 503 may come again.
const RETRY_AFTER: &str = "Retry-After: 5\r\n";

/// Writes the head of an answer.
pub(super) fn head(answer: &Answer, persistence: Persistence, head: &mut Vec<u8>) {
    let Answer { status, content_type, headers, body } = answer;
    let connection = match persistence {
        Persistence::KeepAlive => "",
        Persistence::KeepAliveTold => "Connection: keep-alive\r\n",
        Persistence::Close => "Connection: close\r\n",
    };
    let retry_after = if *status == 503 { RETRY_AFTER } else { "" };
    let (reason, length) = (reason(*status), body.len());
    // OK because writing to a Vec never fails.
    write!(head, "HTTP/1.1 {status} {reason}\r\n{headers}{retry_after}").ok();
    if !content_type.is_empty() {
        write!(head, "Content-Type: {content_type}\r\n").ok();
    }
    write!(head, "Content-Length: {length}\r\n{connection}\r\n").ok();
}

/// The reason phrases of the statuses of SPEC 1 (RFC 9110, section 15; RFC 6585).
fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        202 => "Accepted",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        422 => "Unprocessable Content",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "Unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_written_with_what_its_connection_is_told() {
        for (answer, persistence, want) in [
            (
                Answer::empty(200),
                Persistence::KeepAlive,
                "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            ),
            (
                Answer::empty(202),
                Persistence::KeepAliveTold,
                "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n",
            ),
            (
                Answer::text(503, "full"),
                Persistence::Close,
                "HTTP/1.1 503 Service Unavailable\r\nX-Content-Type-Options: nosniff\r\n\
                 Retry-After: 5\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 5\r\n\
                 Connection: close\r\n\r\n",
            ),
        ] {
            let mut written = Vec::new();
            head(&answer, persistence, &mut written);
            assert_eq!(String::from_utf8(written).unwrap(), want);
        }
    }
}
