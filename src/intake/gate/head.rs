//! The head of a request → what the gate must know of it, and the request that a worker gets (RFC
//! 9112).
//!
//! Only what was understood is passed on, and of that the fields that the method needs. Framing is
//! strict: exactly one `Content-Length` of digits, or `Transfer-Encoding: chunked` alone, or no
//! body.

use super::refusal::Refusal;
use crate::intake::bridge::{Method, Request};
use crate::limits::{HEAD_BYTES_MAX, HEADERS_MAX};
use crate::push::route::{self, Delivery, HealthCheck};
use httparse::{Header, Status};
use std::ops::Range;

/// How the body of a request is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// So many bytes.
    Length(usize),
    /// In chunks.
    Chunked,
}

/// What becomes of the connection after the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Persistence {
    /// The client may send another request.
    KeepAlive,
    /// The same for a client of HTTP/1.0, which must be told.
    KeepAliveTold,
    /// It is closed.
    Close,
}

/// What a head says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// Its length, in bytes.
    pub(crate) len: usize,
    /// The method, as telemetry counts it.
    pub(crate) method: Method,
    /// What becomes of its lines, if it is a push.
    pub(crate) delivery: Delivery,
    /// Where its body ends.
    pub(crate) framing: Framing,
    /// What becomes of its connection.
    pub(crate) persistence: Persistence,
    /// `Expect: 100-continue`
    pub(crate) expects_continue: bool,
    /// Where in the head the value of `Authorization` is.
    pub(crate) authorization: Option<Range<usize>>,
    /// What a probe asks: the gate answers that itself, and to all.
    pub(crate) probe: Option<HealthCheck>,
}

impl Default for Head {
    /// Of no request.
    fn default() -> Head {
        Head {
            len: 0,
            method: Method::Other,
            delivery: Delivery::Output,
            framing: Framing::Length(0),
            persistence: Persistence::Close,
            expects_continue: false,
            authorization: None,
            probe: None,
        }
    }
}

/// What a head begins with, whether or not the rest of it can be read: its method, and what its
/// target says of a push. Empty lines may come before it, as for [`read`].
pub(crate) fn start(received: &[u8]) -> (Method, Delivery) {
    let mut words = received.trim_ascii_start().split(|byte| byte.is_ascii_whitespace());
    let name = words.next().unwrap_or_default();
    // A word that is not followed by another one may not be whole.
    let Some(target) = words.next() else { return (Method::Other, Delivery::Output) };
    (Method::of(std::str::from_utf8(name).unwrap_or_default()), route::delivery(target))
}

/// Reads the head at the start of `received`: what the gate must know of it; none where its end has
/// not come yet. What a worker needs of it is put into `request`.
///
/// # Errors
/// 400, 431 or 505; where the next request would begin is not known then.
pub(crate) fn read(received: &[u8], request: &mut Request) -> Result<Option<Head>, Refusal> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut parsed = httparse::Request::new(&mut headers);
    let len = match parsed.parse(received) {
        Ok(Status::Complete(len)) => len,
        Ok(Status::Partial) if received.len() < HEAD_BYTES_MAX => return Ok(None),
        Ok(Status::Partial) => return Err(Refusal::HeadTooLarge),
        Err(httparse::Error::TooManyHeaders) => return Err(Refusal::HeadTooLarge),
        Err(httparse::Error::Version) if has_blank_in_target(received) => {
            return Err(Refusal::Malformed("the request target has a blank"));
        }
        Err(httparse::Error::Version) => return Err(Refusal::Version),
        Err(error) => return Err(Refusal::Malformed(what(error))),
    };
    if len > HEAD_BYTES_MAX {
        return Err(Refusal::HeadTooLarge);
    }
    let is_1_0 = parsed.version == Some(0);
    let method = Method::of(parsed.method.unwrap_or_default());
    let (target, headers) = (parsed.path.unwrap_or_default(), &*parsed.headers);
    let head = Head {
        len,
        method,
        delivery: route::delivery(target.as_bytes()),
        framing: framing(headers, is_1_0)?,
        persistence: persistence(headers, is_1_0),
        expects_continue: !is_1_0 && has_token(headers, "Expect", "100-continue"),
        authorization: authorization(headers, received)?,
        probe: route::health_check(method.name(), target.as_bytes()),
    };
    if values(headers, "Host").nth(1).is_some() {
        return Err(Refusal::Malformed("Host was sent twice"));
    }
    if head.probe.is_none() && is_cross_site(headers) {
        return Err(Refusal::CrossSite);
    }
    request.begin(method, target);
    take_fields(request, headers);
    Ok(Some(head))
}

/// Whether more than two blanks are in the request line (RFC 9112, section 3: method SP target SP
/// version).
fn has_blank_in_target(received: &[u8]) -> bool {
    let line = received.trim_ascii_start();
    let end = line.iter().position(|byte| *byte == b'\n').unwrap_or(line.len());
    let line = line.get(..end).unwrap_or_default().trim_ascii_end();
    line.iter().filter(|byte| **byte == b' ').count() > 2
}

/// Whether a browser says that a page of another site asks (Fetch Metadata, section 2.3).
fn is_cross_site(headers: &[Header<'_>]) -> bool {
    ["cross-site", "same-site"].iter().any(|site| has_token(headers, "Sec-Fetch-Site", site))
}

fn what(error: httparse::Error) -> &'static str {
    match error {
        httparse::Error::HeaderName => "the head has a malformed header name",
        httparse::Error::HeaderValue => "the head has a malformed header value",
        httparse::Error::NewLine => "the head has a malformed line end",
        httparse::Error::Token => "the request line is malformed",
        _ => "the head is malformed",
    }
}

/// All values of a header, by its name in any case.
fn values<'h>(headers: &'h [Header<'h>], name: &'h str) -> impl Iterator<Item = &'h [u8]> {
    headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name)).map(|h| h.value)
}

/// Whether a comma-separated header has a token, in any case.
fn has_token(headers: &[Header<'_>], name: &str, token: &str) -> bool {
    values(headers, name)
        .flat_map(|value| value.split(|byte| *byte == b','))
        .any(|found| found.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
}

/// RFC 9112, section 6, without its leniencies.
fn framing(headers: &[Header<'_>], is_1_0: bool) -> Result<Framing, Refusal> {
    let mut lengths = values(headers, "Content-Length");
    let mut codings = values(headers, "Transfer-Encoding");
    match (lengths.next(), codings.next()) {
        (None, None) => Ok(Framing::Length(0)),
        (Some(_), Some(_)) => {
            Err(Refusal::Malformed("Content-Length and Transfer-Encoding exclude each other"))
        }
        (Some(length), None) if lengths.next().is_none() => content_length(length),
        (Some(_), None) => Err(Refusal::Malformed("Content-Length was sent twice")),
        (None, Some(coding)) => {
            let is_chunked = coding.trim_ascii().eq_ignore_ascii_case(b"chunked");
            if is_chunked && codings.next().is_none() && !is_1_0 {
                Ok(Framing::Chunked)
            } else {
                Err(Refusal::Malformed("Transfer-Encoding must be chunked, once, in HTTP/1.1"))
            }
        }
    }
}

fn content_length(value: &[u8]) -> Result<Framing, Refusal> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(Refusal::Malformed("Content-Length must be digits"));
    }
    let digits = std::str::from_utf8(value).unwrap_or_default();
    // More digits than a number can have are more bytes than any limit allows.
    Ok(Framing::Length(digits.parse().unwrap_or(usize::MAX)))
}

fn persistence(headers: &[Header<'_>], is_1_0: bool) -> Persistence {
    if has_token(headers, "Connection", "close") {
        Persistence::Close
    } else if !is_1_0 {
        Persistence::KeepAlive
    } else if has_token(headers, "Connection", "keep-alive") {
        Persistence::KeepAliveTold
    } else {
        Persistence::Close
    }
}

fn authorization(headers: &[Header<'_>], received: &[u8]) -> Result<Option<Range<usize>>, Refusal> {
    let mut found = values(headers, "Authorization");
    let Some(value) = found.next() else { return Ok(None) };
    if found.next().is_some() {
        return Err(Refusal::Malformed("Authorization was sent twice"));
    }
    // OK because the value is a part of what was received.
    let start = (value.as_ptr() as usize).saturating_sub(received.as_ptr() as usize);
    Ok(Some(start..start + value.len()))
}

/// What a worker needs of the head: the fields that its method needs and no other.
fn take_fields(request: &mut Request, headers: &[Header<'_>]) {
    if request.method.is_push() {
        request.content_type = values(headers, "Content-Type").next().map(text);
        request.content_encoding = joined(headers, "Content-Encoding");
    } else {
        request.accept = joined(headers, "Accept");
    }
}

/// All values of a header, as one list.
fn joined(headers: &[Header<'_>], name: &str) -> Option<String> {
    let mut values = values(headers, name);
    let mut list = text(values.next()?);
    for value in values {
        list.push_str(", ");
        list.push_str(&text(value));
    }
    Some(list)
}

/// A value in ASCII: other bytes name no type and no coding that is known.
fn text(value: &[u8]) -> String {
    value.iter().map(|byte| if byte.is_ascii() { char::from(*byte) } else { '?' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::gate_claims;
    use crate::testing::random::Random;

    const GOOD: &[u8] = b"POST /metrics/job/caf\xc3\xa9 HTTP/1.1\r\nHost: x\r\nContent-Type: a\r\n\
        content-encoding: gzip\r\nContent-Encoding: b\r\nAuthorization: Basic eA==\r\nX: y\r\n\
        Content-Length: 12\r\n\r\n";

    #[test]
    fn a_request_has_what_its_worker_needs() {
        let mut request = Request::default();
        let head = read(GOOD, &mut request).unwrap().unwrap();
        assert_eq!((head.len, head.framing), (GOOD.len(), Framing::Length(12)));
        assert_eq!(GOOD.get(head.authorization.unwrap()), Some(&b"Basic eA=="[..]));
        assert_eq!((request.method, &*request.target), (Method::Push("POST"), "/metrics/job/café"));
        assert_eq!(request.content_type.as_deref(), Some("a"));
        assert_eq!(request.content_encoding.as_deref(), Some("gzip, b"));
        assert_eq!(request.accept, None);
    }

    #[test]
    fn what_is_asked_for_is_known_before_the_head_is_whole() {
        use Delivery::{DryRun, Output};
        for (received, want) in [
            (&b"POST /metrics/job/x HTTP/9"[..], (Method::Push("POST"), Output)),
            (b"POST /metrics/job/x?dry_run HTTP/9", (Method::Push("POST"), DryRun)),
            (b"POST /metrics/job/x?dry_run=1\r\n", (Method::Push("POST"), DryRun)),
            (b"\r\n\nPUT ", (Method::Push("PUT"), Output)),
            (b"HEAD /\0", (Method::Head, Output)),
            (b"POST", (Method::Other, Output)),
            (b"post / HTTP/1.1", (Method::Other, Output)),
            (b"\xff\xfe \xfd", (Method::Other, Output)),
            (b"", (Method::Other, Output)),
        ] {
            assert_eq!(start(received), want, "{}", received.escape_ascii());
        }
    }

    #[test]
    fn what_a_client_accepts_is_passed_on_but_for_pushes() {
        let fields = "Content-Type: a\r\naccept: text/html\r\nAccept: caf\u{e9}\r\n";
        for (method, accept, content_type) in [
            ("GET", Some("text/html, caf??"), None),
            ("HEAD", Some("text/html, caf??"), None),
            ("POST", None, Some("a")),
        ] {
            let head = format!("{method} / HTTP/1.1\r\n{fields}\r\n");
            let mut request = Request::default();
            read(head.as_bytes(), &mut request).unwrap().unwrap();
            let found = (request.accept.as_deref(), request.content_type.as_deref());
            assert_eq!(found, (accept, content_type), "{method}");
        }
    }

    #[test]
    fn every_prefix_of_a_head_is_incomplete() {
        for len in 0..GOOD.len() {
            assert_eq!(read(&GOOD[..len], &mut Request::default()), Ok(None), "{len} bytes");
        }
    }

    #[test]
    fn damaged_heads_are_read_or_refused() {
        let mut random = Random::new(0x9e37_79b9_7f4a_7c15);
        let mut refused = 0;
        for _ in 0..60_000 {
            let mut head = GOOD.to_vec();
            for _ in 0..=random.below(3) {
                let at = random.below(head.len());
                match random.below(3) {
                    0 => head[at] = random.byte(),
                    1 => head.insert(at, b"\r\n: ,\0\t"[random.below(7)]),
                    _ => {
                        head.remove(at);
                    }
                }
            }
            refused += usize::from(!gate_claims::head(&head));
        }
        assert!(refused > 10_000, "only {refused} were refused or cut");
    }
}
