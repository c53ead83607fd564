//! What holds for any bytes that reach the gate: the entry points of fuzzing (`tests/fuzz`) and of
//! the seeded tests that damage good requests.
//!
//! Heads and chunks are private to the gate; this is the one door to them, and it is built only for
//! tests and under `cfg(fuzzing)`, which cargo-fuzz sets. A claim that does not hold panics.

use crate::intake::bridge::Request;
use crate::intake::gate::chunked::{Chunked, Piece};
use crate::intake::gate::head::{self, Framing, Head};
use crate::limits::HEAD_BYTES_MAX;

/// A head is read, awaited or refused, and is what it is by its own bytes alone; what a worker gets
/// of it is one head without surprises. Tells whether it was read.
pub fn head(received: &[u8]) -> bool {
    let mut request = Request::default();
    match head::read(received, &mut request) {
        Ok(Some(head)) => {
            assert!(head.len <= received.len() && head.len <= HEAD_BYTES_MAX);
            let own = received.get(..head.len).unwrap_or_default();
            assert_head_is_its_own(own, &head);
            assert_eq!(Some(head.framing), plain_framing(own), "{}", own.escape_ascii());
            assert_request_is_of_head(own, &head, &request);
            true
        }
        Ok(None) => {
            assert!(received.len() < HEAD_BYTES_MAX);
            false
        }
        Err(refusal) => {
            assert!(matches!(refusal.status(), 400 | 431 | 505));
            assert!(!refusal.to_string().contains('\n'));
            false
        }
    }
}

/// What is after a head does not change it, and no byte of it is missed.
fn assert_head_is_its_own(own: &[u8], head: &Head) {
    let mut request = Request::default();
    assert_eq!(head::read(own, &mut request).as_ref(), Ok(&Some(head.clone())));
    let cut = own.split_last().map_or(own, |(_, cut)| cut);
    assert_eq!(head::read(cut, &mut request), Ok(None));
}

/// It asks for what the request line says, and is without surprises.
fn assert_request_is_of_head(own: &[u8], head: &Head, request: &Request) {
    assert_eq!(request.method, head.method);
    let is_plain = |byte: u8| byte > b' ' && byte != 0x7f;
    assert!(request.target.bytes().all(is_plain), "{}", own.escape_ascii());
    let line = own.trim_ascii_start();
    let target = line.split(|byte| *byte == b' ').nth(1);
    assert_eq!(target, Some(request.target.as_bytes()), "{}", own.escape_ascii());
    let fields = [&request.content_type, &request.content_encoding, &request.accept];
    for value in fields.into_iter().flatten() {
        let is_text = |byte: u8| byte == b'\t' || (b' '..0x7f).contains(&byte);
        assert!(value.bytes().all(is_text), "{}", own.escape_ascii());
    }
}

/// The framing of a head that was accepted, looked for line by line; none where it should not have
/// been.
fn plain_framing(head: &[u8]) -> Option<Framing> {
    let lines = || head.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let values = |name: &str| -> Vec<&[u8]> {
        let pairs = lines().filter_map(|line| {
            let colon = line.iter().position(|byte| *byte == b':')?;
            line.split_at_checked(colon)
        });
        let named = pairs.filter(|(found, _)| found.eq_ignore_ascii_case(name.as_bytes()));
        named.map(|(_, value)| value.get(1..).unwrap_or_default().trim_ascii()).collect()
    };
    let request_line = lines().find(|line| !line.is_empty())?;
    match (values("content-length").as_slice(), values("transfer-encoding").as_slice()) {
        ([], []) => Some(Framing::Length(0)),
        ([length], []) if length.iter().all(u8::is_ascii_digit) && !length.is_empty() => {
            let digits = std::str::from_utf8(length).ok()?;
            Some(Framing::Length(digits.parse().unwrap_or(usize::MAX)))
        }
        ([], [coding]) if coding.eq_ignore_ascii_case(b"chunked") => {
            request_line.ends_with(b"HTTP/1.1").then_some(Framing::Chunked)
        }
        _ => None,
    }
}

/// Chunks give the same body, the same end or the same refusal however they arrive, and what a
/// plain reader of whole chunks finds. Tells whether a whole body was there.
pub fn chunked(sent: &[u8]) -> bool {
    let at_once = decode(sent, sent.len().max(1));
    for step in [1, 2, 7] {
        assert_eq!(decode(sent, step), at_once, "{step} bytes at a time: {}", sent.escape_ascii());
    }
    match at_once {
        Ok(Some((body, end))) => {
            assert_eq!(plain_body(sent.get(..end).unwrap_or_default()), Some(body));
            // Each byte of it was needed.
            assert_eq!(decode(sent.get(..end - 1).unwrap_or_default(), 1), Ok(None));
            true
        }
        Ok(None) => false,
        Err(what) => {
            assert!(!what.is_empty());
            false
        }
    }
}

/// A body, and how many bytes it took with its framing.
type Whole = (Vec<u8>, usize);

/// The body once all of it came; fed at most `step` bytes more at a time.
pub(crate) fn decode(sent: &[u8], step: usize) -> Result<Option<Whole>, &'static str> {
    let (mut chunked, mut body, mut at, mut came) = (Chunked::Size, Vec::new(), 0, 0);
    loop {
        let received = sent.get(at..came).unwrap_or_default();
        match chunked.step(received)? {
            Piece::Framing(len) => {
                assert!(len > 0 && len <= received.len());
                at += len;
            }
            Piece::Data(len) => {
                assert!(len > 0);
                body.extend(received.get(..len).into_iter().flatten());
                at += len;
            }
            Piece::Incomplete if chunked == Chunked::Done => return Ok(Some((body, at))),
            Piece::Incomplete if came == sent.len() => return Ok(None),
            Piece::Incomplete => came = (came + step).min(sent.len()),
        }
    }
}

/// The body of whole chunks.
fn plain_body(mut sent: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = sent.windows(2).position(|pair| pair == b"\r\n")?;
        let line =
            std::str::from_utf8(sent.get(..end)?.split(|byte| *byte == b';').next()?).ok()?;
        let size = usize::from_str_radix(line.trim(), 16).ok()?;
        sent = sent.get(end + 2..)?;
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(sent.get(..size)?);
        sent = sent.get(size..)?;
        sent = sent.strip_prefix(b"\r\n")?;
    }
}
