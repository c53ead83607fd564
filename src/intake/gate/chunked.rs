//! Chunked bytes → the body they carry (RFC 9112, section 7.1).
//!
//! ```text
//! chunked-body = *( chunk-size [ chunk-ext ] CRLF chunk-data CRLF ) 1*"0" [ chunk-ext ] CRLF
//!                *( field-line CRLF ) CRLF
//! ```
//!
//! Fed with whatever has come; extensions and trailers are checked, bounded, and dropped. A line
//! ends in CRLF: where one side takes a bare LF and the other does not, a body hides a request.

/// The longest line of a chunk size with its extension, in bytes.
const SIZE_LINE_MAX: usize = 256;
/// All trailers together, in bytes.
const TRAILERS_MAX: usize = 8 * 1024;
/// More hexadecimal digits than any chunk within the limits needs.
const SIZE_DIGITS_MAX: usize = 15;

/// How far a chunked body has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Chunked {
    /// Within a chunk-size line.
    Size,
    /// Within chunk data: so many bytes are left of it.
    Data(usize),
    /// After chunk data: its line end comes.
    DataEnd,
    /// Within the trailers, of which so many bytes came.
    Trailers(usize),
    /// All of it came.
    Done,
}

/// What is at the start of the bytes that were fed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// So many bytes are framing: to be dropped.
    Framing(usize),
    /// So many bytes are the body's.
    Data(usize),
    /// More must come.
    Incomplete,
}

impl Chunked {
    /// Takes one piece from the start of `received`.
    ///
    /// # Errors
    /// What is malformed.
    pub(crate) fn step(&mut self, received: &[u8]) -> Result<Piece, &'static str> {
        match *self {
            Chunked::Size => {
                let Some(line) = line(received, SIZE_LINE_MAX, "a chunk size line is too long")?
                else {
                    return Ok(Piece::Incomplete);
                };
                *self = match size(line)? {
                    0 => Chunked::Trailers(0),
                    size => Chunked::Data(size),
                };
                Ok(Piece::Framing(line.len()))
            }
            Chunked::Data(_) if received.is_empty() => Ok(Piece::Incomplete),
            Chunked::Data(left) => {
                let taken = left.min(received.len());
                *self = if taken == left { Chunked::DataEnd } else { Chunked::Data(left - taken) };
                Ok(Piece::Data(taken))
            }
            Chunked::DataEnd => {
                *self = match received {
                    [] | [b'\r'] => return Ok(Piece::Incomplete),
                    [b'\r', b'\n', ..] => Chunked::Size,
                    _ => {
                        return Err(
                            "a chunk must end in CRLF after as many bytes as its size says",
                        );
                    }
                };
                Ok(Piece::Framing(2))
            }
            Chunked::Trailers(came) => {
                let room = TRAILERS_MAX - came;
                let Some(line) = line(received, room, "the trailers are too long")? else {
                    return Ok(Piece::Incomplete);
                };
                *self = match line {
                    b"\r\n" => Chunked::Done,
                    _ => {
                        check_trailer(line)?;
                        Chunked::Trailers(came + line.len())
                    }
                };
                Ok(Piece::Framing(line.len()))
            }
            Chunked::Done => Ok(Piece::Incomplete),
        }
    }
}

/// The first line with its end, which is CRLF; none where that has not come.
fn line<'r>(
    received: &'r [u8],
    len_max: usize,
    too_long: &'static str,
) -> Result<Option<&'r [u8]>, &'static str> {
    let end = received.iter().take(len_max).position(|byte| *byte == b'\n');
    match end {
        Some(end) if end > 0 && received.get(end - 1) == Some(&b'\r') => Ok(received.get(..=end)),
        Some(_) => Err("a line of the chunked framing must end in CRLF"),
        None if received.len() >= len_max => Err(too_long),
        None => Ok(None),
    }
}

/// `1*HEXDIG [ BWS ";" any ]`
fn size(line: &[u8]) -> Result<usize, &'static str> {
    let line = line.strip_suffix(b"\r\n").unwrap_or(line);
    if line.iter().any(|byte| matches!(byte, 0..=0x08 | 0x0a..=0x1f | 0x7f)) {
        return Err("a chunk size line has a control character");
    }
    let len = line.iter().position(|byte| !byte.is_ascii_hexdigit()).unwrap_or(line.len());
    let (digits, extension) = line.split_at(len);
    let is_extension = matches!(extension.trim_ascii_start(), [] | [b';', ..]);
    let significant = digits.iter().position(|byte| *byte != b'0').map_or(0, |zeros| len - zeros);
    if digits.is_empty() || !is_extension || significant > SIZE_DIGITS_MAX {
        return Err("a chunk size must be hexadecimal digits");
    }
    let text = std::str::from_utf8(digits).unwrap_or_default();
    // OK because what is too large for this machine's addresses is above any limit, and refused so.
    Ok(usize::from_str_radix(text, 16).unwrap_or(usize::MAX))
}

/// `field-line = field-name ":" OWS field-value OWS` (RFC 9112, section 5). What frames a message
/// has no place in it (RFC 9110, section 6.5.1).
fn check_trailer(line: &[u8]) -> Result<(), &'static str> {
    let line = line.strip_suffix(b"\r\n").unwrap_or(line);
    let colon = line.iter().position(|byte| *byte == b':').unwrap_or(0);
    let (name, value) = line.split_at(colon);
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    if name.is_empty() || !name.iter().all(is_token) {
        return Err("a trailer must be a field: its name, a colon, its value");
    }
    if value.iter().any(|byte| matches!(byte, 0..=0x08 | 0x0a..=0x1f | 0x7f)) {
        return Err("a trailer has a control character");
    }
    let frames = [&b"Content-Length"[..], b"Transfer-Encoding", b"Host"];
    if frames.iter().any(|framing| framing.eq_ignore_ascii_case(name)) {
        return Err("a trailer must not frame the message");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::gate_claims::{self, decode};
    use crate::testing::random::Random;

    #[test]
    fn a_chunked_body_is_put_together_however_it_arrives() {
        let sent =
            b"5;name=\"x\"\r\nhello\r\n0001 ;x\r\n \r\nB\r\n12345678901\r\n000\r\nA: b\r\n\r\nGET";
        for step in [1, 2, 7, 100] {
            let (body, end) = decode(sent, step).unwrap().unwrap();
            assert_eq!(body, b"hello 12345678901");
            assert_eq!(&sent[end..], b"GET");
        }
        for len in 0..sent.len() - 3 {
            assert_eq!(decode(&sent[..len], 3), Ok(None), "{len} bytes are not the whole");
        }
    }

    #[test]
    fn malformed_chunks_are_refused() {
        for sent in [
            &b"\r\n"[..],
            b"g\r\n",
            b"-1\r\n",
            b"+5\r\nhello\r\n",
            b"0x5\r\nhello\r\n",
            b"5 5\r\nhello\r\n",
            b" 5\r\nhello\r\n",
            b"5\r\nhello!\r\n0\r\n\r\n",
            b"5\r\nhello\rX",
            b"5\x00\r\nhello\r\n",
            b"ffffffffffffffff\r\n",
            b"10000000000000000000005\r\nhello\r\n",
            b"5\nhello\r\n0\r\n\r\n",
            b"5\r\nhello\n0\r\n\r\n",
            b"5\r\nhello\r\n0\n\r\n",
            b"0\r\n\n",
            b"0\r\nA: b\n\r\n",
            b"0\r\nGET / HTTP/1.1\r\n\r\n",
            b"0\r\n: b\r\n\r\n",
            b"0\r\nA b: c\r\n\r\n",
            b"0\r\n A: b\r\n\r\n",
            b"0\r\nA: b\x01\r\n\r\n",
            b"0\r\nA: b\rc\r\n\r\n",
            b"0\r\ncontent-length: 5\r\n\r\n",
            b"0\r\nTransfer-Encoding: chunked\r\n\r\n",
        ] {
            assert!(decode(sent, 100).is_err(), "{}", sent.escape_ascii());
        }
        assert!(decode(&[b'1'; 300], 100).is_err());
        let trailers = [&b"0\r\n"[..], &b"a: b\r\n".repeat(2000)].concat();
        assert_eq!(decode(&trailers, 100), Err("the trailers are too long"));
    }

    #[test]
    fn damaged_chunks_are_one_body_or_refused_however_they_arrive() {
        const PIECES: [&[u8]; 12] = [
            b"\r\n",
            b"\n",
            b"\r",
            b"0",
            b"5",
            b"0\r\n\r\n",
            b";x",
            b" ",
            b"5\r\nhello\r\n",
            b"f",
            b"\0",
            b"a: b\r\n",
        ];
        const GOOD: &[u8] = b"5;x\r\nhello\r\n0a\r\n0123456789\r\n0\r\nA: b\r\n\r\nGET";
        let mut random = Random::new(0x2545_f491_4f6c_dd1d);
        let mut whole = 0;
        for _ in 0..30_000 {
            let mut sent = GOOD.to_vec();
            for _ in 0..=random.below(3) {
                let at = random.below(sent.len());
                match random.below(4) {
                    0 => sent[at] = random.byte(),
                    1 => {
                        sent.remove(at);
                    }
                    _ => {
                        let piece = PIECES[random.below(PIECES.len())];
                        sent.splice(at..at, piece.iter().copied());
                    }
                }
            }
            whole += usize::from(gate_claims::chunked(&sent));
        }
        assert!((3_000..27_000).contains(&whole), "{whole} were whole");
    }
}
