//! What a request is answered. The gate adds what belongs to the connection, and renders it.

use std::borrow::Cow;
use std::fmt;

/// Header line of every answer in plain text: no browser may guess another type.
const NOT_SNIFFED: &str = "X-Content-Type-Options: nosniff\r\n";

/// What a request is answered.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The type of the body; empty without a body.
    pub content_type: &'static str,
    /// Further header lines, each with its CRLF.
    pub headers: Cow<'static, str>,
    /// The body.
    pub body: Cow<'static, [u8]>,
}

impl Answer {
    /// Without a body.
    pub(crate) fn empty(status: u16) -> Answer {
        Answer { status, content_type: "", headers: Cow::Borrowed(""), body: Cow::Borrowed(b"") }
    }

    /// One line of text.
    pub(crate) fn text(status: u16, line: impl fmt::Display) -> Answer {
        Answer {
            status,
            content_type: "text/plain; charset=utf-8",
            headers: Cow::Borrowed(NOT_SNIFFED),
            body: Cow::Owned(format!("{line}\n").into_bytes()),
        }
    }

    /// The lines of a dry run, and each remark on a line of its own that begins with `#`.
    pub(crate) fn lines(mut lines: Vec<u8>, remarks: &[String]) -> Answer {
        for remark in remarks {
            lines.extend_from_slice(format!("# {remark}\n").as_bytes());
        }
        Answer { body: Cow::Owned(lines), ..Answer::text(200, "") }
    }

    /// 500: what a client is told of a defect.
    pub(crate) fn defect() -> Answer {
        Answer::text(500, "a defect of pushline, see its log")
    }
}
