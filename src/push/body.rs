//! Content type and content coding → format and decoded bytes, bounded while decoding (SPEC 1.2).
//!
//! A [`Decoder`] belongs to a worker and uses its inflater and its buffer again for each push.
//! Memory is taken as decoded bytes appear, never by what a body announces, and never beyond the
//! bound: a bomb costs the bound once, and is refused there.
//!
//! flate2's backend is zlib-rs, by measurement against miniz_oxide, each with one inflater used
//! again: 12 times faster on a push of 200 bytes, 0.8 of its speed on one of 900 KB. Small pushes
//! are the many. Using the inflater again is 1.7 times faster than a new one on the small push.
//! Snappy inflates the large one at 3.5 times the speed of zlib-rs, a tenth of a memcpy.

use crate::bytes::deflate::{InflateError, Inflater, Wrapping, gzip_trailer};
use crate::limits::KEPT_BUFFER_BYTES_MAX;
use crate::observe::telemetry::Reason;
use crate::push::sample::{Format, Quoted};
use std::borrow::Cow;
use std::fmt;
use std::io::Read;

/// How the body was compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Coding {
    /// Not at all.
    #[default]
    Identity,
    /// gzip, any number of members (RFC 1952).
    Gzip,
    /// zlib (RFC 1950), and not raw deflate.
    Deflate,
    /// Snappy, framed or one block.
    Snappy,
}

/// Why a body is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// 415: a content coding that is not known.
    Coding {
        /// The header's value.
        found: String,
    },
    /// 415: a protobuf parameter that is not supported.
    Parameter {
        /// Its name.
        name: &'static str,
        /// Its value.
        found: String,
        /// The only value.
        allowed: &'static str,
    },
    /// 415: a version of OpenMetrics that is not read.
    Version {
        /// What the `Content-Type` says.
        found: String,
    },
    /// 413: more than the bound once decoded.
    TooLarge {
        /// The bound, in bytes.
        bytes_max: usize,
    },
    /// 400: the compressed bytes are corrupt.
    Corrupt {
        /// The coding.
        coding: Coding,
        /// What is wrong.
        what: &'static str,
    },
}

impl Error {
    /// The status of the answer.
    pub fn status(&self) -> u16 {
        match self {
            Error::Coding { .. } | Error::Parameter { .. } | Error::Version { .. } => 415,
            Error::TooLarge { .. } => 413,
            Error::Corrupt { .. } => 400,
        }
    }

    /// How it is counted.
    pub(crate) fn reason(&self) -> Reason {
        match self {
            Error::Coding { .. } => Reason::Coding,
            Error::Parameter { .. } | Error::Version { .. } => Reason::Parameter,
            Error::TooLarge { .. } => Reason::DecodedTooLarge,
            Error::Corrupt { .. } => Reason::Corrupt,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Coding { found } => {
                let found = Quoted(found.as_bytes());
                write!(f, "Content-Encoding {found} is not supported, allowed are ")?;
                write!(f, "gzip, deflate, snappy and identity")
            }
            Error::Parameter { name, found, allowed } => {
                let found = Quoted(found.as_bytes());
                write!(f, "Content-Type: {name}={found} is not supported, allowed is {allowed}")
            }
            Error::Version { found } => {
                let found = Quoted(found.as_bytes());
                write!(f, "Content-Type: OpenMetrics version={found} is not read yet, ")?;
                write!(f, "allowed are versions below 2")
            }
            Error::TooLarge { bytes_max } => {
                write!(f, "the body is larger than {bytes_max} bytes once decoded ")?;
                write!(f, "(server.max_decoded_bytes)")
            }
            Error::Corrupt { coding, what } => write!(f, "the {} body {what}", coding.name()),
        }
    }
}

impl std::error::Error for Error {}

impl Coding {
    /// The coding that a `Content-Encoding` header names, in any case; none is identity. `x-gzip`
    /// is an old name of gzip (RFC 9110, section 8.4.1.3).
    ///
    /// # Errors
    /// [`Error::Coding`] for every other coding, a list of several included.
    pub(crate) fn from_header(value: Option<&str>) -> Result<Coding, Error> {
        let value = value.unwrap_or_default().trim_matches([' ', '\t']);
        const NAMES: [(&str, Coding); 6] = [
            ("", Coding::Identity),
            ("identity", Coding::Identity),
            ("gzip", Coding::Gzip),
            ("x-gzip", Coding::Gzip),
            ("deflate", Coding::Deflate),
            ("snappy", Coding::Snappy),
        ];
        let known = NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(value));
        known.map(|(_, coding)| *coding).ok_or_else(|| Error::Coding { found: value.to_owned() })
    }

    /// Its name in HTTP.
    pub fn name(self) -> &'static str {
        match self {
            Coding::Identity => "identity",
            Coding::Gzip => "gzip",
            Coding::Deflate => "deflate",
            Coding::Snappy => "snappy",
        }
    }
}

/// The format that a `Content-Type` header names. Anything that is neither protobuf nor OpenMetrics
/// is text, a header that cannot be read included.
///
/// # Errors
/// [`Error::Parameter`] for a protobuf that is not length-delimited metric families,
/// [`Error::Version`] for OpenMetrics 2 and above.
pub fn format(content_type: Option<&str>) -> Result<Format, Error> {
    let (media_type, parameters) = split_at(content_type.unwrap_or_default(), ';');
    let media_type = media_type.trim_matches([' ', '\t']);
    if media_type.eq_ignore_ascii_case("application/openmetrics-text") {
        for (name, value) in (Parameters { rest: parameters }) {
            if name.eq_ignore_ascii_case("version") && major(&value) >= Some(2) {
                return Err(Error::Version { found: value.into_owned() });
            }
        }
        return Ok(Format::OpenMetrics);
    }
    if !media_type.eq_ignore_ascii_case("application/vnd.google.protobuf") {
        return Ok(Format::Text);
    }
    for (name, value) in (Parameters { rest: parameters }) {
        for (known, allowed) in
            [("proto", "io.prometheus.client.MetricFamily"), ("encoding", "delimited")]
        {
            if name.eq_ignore_ascii_case(known) && value != allowed {
                return Err(Error::Parameter { name: known, found: value.into_owned(), allowed });
            }
        }
    }
    Ok(Format::Protobuf)
}

/// The number before the first dot of a version; none where that is no number. One of many digits
/// is as good as any other above 1.
fn major(version: &str) -> Option<u64> {
    let digits = split_at(version, '.').0;
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().unwrap_or(u64::MAX))
}

/// The parameters of a media type (RFC 9110, section 5.6.6): `*( OWS ";" OWS [ name "=" value ] )`,
/// where a value may be quoted and have escapes.
struct Parameters<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Parameters<'a> {
    type Item = (&'a str, Cow<'a, str>);

    fn next(&mut self) -> Option<(&'a str, Cow<'a, str>)> {
        while !self.rest.is_empty() {
            let name_end = self.rest.find(['=', ';']).unwrap_or(self.rest.len());
            let (name, rest) = self.rest.split_at_checked(name_end)?;
            let name = name.trim_matches([' ', '\t']);
            let Some(value) = rest.strip_prefix('=') else {
                self.rest = rest.strip_prefix(';').unwrap_or(rest);
                continue;
            };
            let value = value.trim_start_matches([' ', '\t']);
            if let Some(quoted) = value.strip_prefix('"') {
                let (value, rest) = unquote(quoted);
                self.rest = split_at(rest, ';').1;
                return Some((name, Cow::Owned(value)));
            }
            let (value, rest) = split_at(value, ';');
            self.rest = rest;
            return Some((name, Cow::Borrowed(value.trim_matches([' ', '\t']))));
        }
        None
    }
}

/// What is before `separator` and what is after it.
fn split_at(text: &str, separator: char) -> (&str, &str) {
    text.split_once(separator).unwrap_or((text, ""))
}

/// The text up to the closing quote, unescaped, and what is after it.
fn unquote(quoted: &str) -> (String, &str) {
    let mut value = String::new();
    let mut chars = quoted.chars();
    while let Some(char) = chars.next() {
        match char {
            '"' => break,
            '\\' => value.extend(chars.next()),
            other => value.push(other),
        }
    }
    (value, chars.as_str())
}

/// Decodes bodies, one after the other.
pub struct Decoder {
    inflate: Inflater,
    inflate_raw: Inflater,
    decoded: Vec<u8>,
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder").field("capacity", &self.decoded.capacity()).finish()
    }
}

impl Default for Decoder {
    fn default() -> Decoder {
        Decoder {
            inflate: Inflater::new(Wrapping::Zlib),
            inflate_raw: Inflater::new(Wrapping::Raw),
            decoded: Vec::new(),
        }
    }
}

impl Decoder {
    /// The decoded body; one without a coding is `sent` itself.
    ///
    /// # Errors
    /// [`Error::TooLarge`] beyond `bytes_max` decoded bytes, [`Error::Corrupt`] where `sent` is cut
    /// short, damaged, or goes on after its end.
    pub fn decode<'a>(
        &'a mut self,
        coding: Coding,
        sent: &'a [u8],
        bytes_max: usize,
    ) -> Result<&'a [u8], Error> {
        self.decoded.clear();
        match coding {
            Coding::Identity if sent.len() > bytes_max => {
                return Err(Error::TooLarge { bytes_max });
            }
            Coding::Identity => return Ok(sent),
            Coding::Gzip => self.gunzip(sent, bytes_max)?,
            Coding::Deflate => {
                let inflated = self.inflate.inflate(sent, &mut self.decoded, bytes_max);
                if !inflated.map_err(|error| inflate_error(error, coding, bytes_max))?.is_empty() {
                    return Err(Error::Corrupt { coding, what: "goes on after its end" });
                }
            }
            Coding::Snappy if sent.starts_with(SNAPPY_MAGIC) => {
                self.unsnap_frames(sent, bytes_max)?
            }
            Coding::Snappy => self.unsnap_block(sent, bytes_max)?,
        }
        Ok(&self.decoded)
    }

    /// Gives back what an unusually large body took; what was decoded is gone.
    pub fn release(&mut self) {
        self.decoded.clear();
        self.decoded.shrink_to(KEPT_BUFFER_BYTES_MAX);
    }

    /// `1*member` (RFC 1952, section 2.2)
    fn gunzip(&mut self, sent: &[u8], bytes_max: usize) -> Result<(), Error> {
        let coding = Coding::Gzip;
        let mut rest = sent;
        loop {
            let member_start = self.decoded.len();
            let data = gzip_data(rest)?;
            let inflated = self.inflate_raw.inflate(data, &mut self.decoded, bytes_max);
            let after = inflated.map_err(|error| inflate_error(error, coding, bytes_max))?;
            let (trailer, after) = after
                .split_first_chunk::<8>()
                .ok_or(Error::Corrupt { coding, what: "is cut short" })?;
            let member = self.decoded.get(member_start..).unwrap_or_default();
            if gzip_trailer(member) != *trailer {
                return Err(Error::Corrupt { coding, what: "has a wrong checksum or length" });
            }
            if after.is_empty() {
                return Ok(());
            }
            rest = after;
        }
    }

    fn unsnap_block(&mut self, sent: &[u8], bytes_max: usize) -> Result<(), Error> {
        // A copy of 64 bytes takes three, and no element says more with less.
        const RATIO_MAX: usize = 22;
        let coding = Coding::Snappy;
        let corrupt = |_| Error::Corrupt { coding, what: "is corrupt" };
        let len = snap::raw::decompress_len(sent).map_err(corrupt)?;
        if len > bytes_max {
            return Err(Error::TooLarge { bytes_max });
        }
        if len > sent.len().saturating_mul(RATIO_MAX) {
            return Err(Error::Corrupt { coding, what: "announces more than it can hold" });
        }
        self.decoded.resize(len, 0);
        let written = snap::raw::Decoder::new().decompress(sent, &mut self.decoded);
        self.decoded.truncate(written.map_err(corrupt)?);
        Ok(())
    }

    fn unsnap_frames(&mut self, sent: &[u8], bytes_max: usize) -> Result<(), Error> {
        let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
        let mut frames = snap::read::FrameDecoder::new(sent).take(limit);
        frames.read_to_end(&mut self.decoded).map_err(|_| Error::Corrupt {
            coding: Coding::Snappy,
            what: "is corrupt or cut short",
        })?;
        if self.decoded.len() > bytes_max {
            return Err(Error::TooLarge { bytes_max });
        }
        Ok(())
    }
}

/// The stream identifier that every framed snappy begins with (framing format, section 4.1).
const SNAPPY_MAGIC: &[u8] = b"\xff\x06\x00\x00sNaPpY";

fn inflate_error(error: InflateError, coding: Coding, bytes_max: usize) -> Error {
    match error {
        InflateError::TooLarge => Error::TooLarge { bytes_max },
        InflateError::Corrupt(what) => Error::Corrupt { coding, what },
    }
}

/// The compressed data of the gzip member that `member` begins with, and what is after it
/// (RFC 1952, section 2.3): the header is skipped.
fn gzip_data(member: &[u8]) -> Result<&[u8], Error> {
    const HEADER_CHECK: u8 = 2;
    const EXTRA: u8 = 4;
    const NAME: u8 = 8;
    const COMMENT: u8 = 16;
    const RESERVED: u8 = 0xe0;
    let error = |what| Error::Corrupt { coding: Coding::Gzip, what };
    let (header, mut rest) = member
        .split_first_chunk::<10>()
        .ok_or(error("is cut short, or has bytes after its end"))?;
    let [0x1f, 0x8b, 8, flags, ..] = *header else {
        return Err(error("does not begin with a gzip header, or has bytes after its end"));
    };
    if flags & RESERVED != 0 {
        return Err(error("has reserved flags"));
    }
    let cut = || error("is cut short");
    if flags & EXTRA != 0 {
        let (len, after) = rest.split_first_chunk::<2>().ok_or_else(cut)?;
        rest = after.get(usize::from(u16::from_le_bytes(*len))..).ok_or_else(cut)?;
    }
    for flag in [NAME, COMMENT] {
        if flags & flag != 0 {
            let end = rest.iter().position(|byte| *byte == 0).ok_or_else(cut)?;
            rest = rest.get(end + 1..).ok_or_else(cut)?;
        }
    }
    if flags & HEADER_CHECK != 0 {
        rest = rest.get(2..).ok_or_else(cut)?;
    }
    Ok(rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::KIB;
    use crate::testing::random::Random;
    use std::io::Write;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn zlib(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn snap_frames(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = snap::write::FrameEncoder::new(Vec::new());
        encoder.write_all(bytes).unwrap();
        encoder.into_inner().unwrap()
    }

    fn snap_block(bytes: &[u8]) -> Vec<u8> {
        snap::raw::Encoder::new().compress_vec(bytes).unwrap()
    }

    fn all_codings(bytes: &[u8]) -> [(Coding, Vec<u8>); 4] {
        [
            (Coding::Gzip, gzip(bytes)),
            (Coding::Deflate, zlib(bytes)),
            (Coding::Snappy, snap_frames(bytes)),
            (Coding::Snappy, snap_block(bytes)),
        ]
    }

    #[test]
    fn what_was_compressed_comes_back_and_one_decoder_serves_all() {
        let mut decoder = Decoder::default();
        let mut noise = 1_u32;
        let mut next = || {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            u8::try_from(noise >> 24).unwrap()
        };
        let random: Vec<u8> = (0..300_000).map(|_| next()).collect();
        let repeated = b"ab_c 1\n".repeat(100_000);
        for body in [&b""[..], b"ab_c 1\n", &random, &repeated] {
            // The frames of nothing are nothing, not even the magic: that is no snappy.
            for (coding, sent) in all_codings(body).into_iter().filter(|(_, sent)| !sent.is_empty())
            {
                assert_eq!(decoder.decode(coding, &sent, body.len()).unwrap(), body);
                if !body.is_empty() {
                    let bytes_max = body.len() - 1;
                    let refused = decoder.decode(coding, &sent, bytes_max);
                    assert_eq!(refused, Err(Error::TooLarge { bytes_max }), "{coding:?}");
                }
            }
            assert_eq!(decoder.decode(Coding::Identity, body, body.len()).unwrap(), body);
        }
    }

    #[test]
    fn gzip_headers_may_have_every_part() {
        let plain = gzip(b"ab_c 1\n");
        let mut full = vec![0x1f, 0x8b, 8, 2 | 4 | 8 | 16, 0, 0, 0, 0, 0, 3, 2, 0, b'x', b'y'];
        full.extend_from_slice(b"name\0comment\0\x12\x34");
        full.extend_from_slice(&plain[10..]);
        let mut decoder = Decoder::default();
        assert_eq!(decoder.decode(Coding::Gzip, &full, 100).unwrap(), b"ab_c 1\n");
        for len in 0..full.len() {
            let cut = decoder.decode(Coding::Gzip, &full[..len], 100);
            assert!(cut.is_err(), "{len} bytes were taken for the whole");
        }
    }

    #[test]
    fn a_bomb_costs_no_more_memory_than_the_bound() {
        const BYTES_MAX: usize = 4 << 20;
        let zeros = vec![0; 256 << 20];
        let mut decoder = Decoder::default();
        for (coding, sent) in [(Coding::Gzip, gzip(&zeros)), (Coding::Snappy, snap_frames(&zeros))]
        {
            let refused = decoder.decode(coding, &sent, BYTES_MAX);
            assert_eq!(refused, Err(Error::TooLarge { bytes_max: BYTES_MAX }));
            // The vector of a frame decoder may double once.
            assert!(decoder.decoded.capacity() <= 2 * BYTES_MAX + 64 * KIB);
        }
        let many_members = gzip(&zeros[..1 << 20]).repeat(100);
        let refused = decoder.decode(Coding::Gzip, &many_members, BYTES_MAX);
        assert_eq!(refused, Err(Error::TooLarge { bytes_max: BYTES_MAX }));
        let announces_4_gib = b"\xff\xff\xff\xff\x0f\x00";
        let refused = decoder.decode(Coding::Snappy, announces_4_gib, BYTES_MAX);
        assert_eq!(refused, Err(Error::TooLarge { bytes_max: BYTES_MAX }));
        let announces_3_mib = b"\x80\x80\xc0\x01\x00a";
        let refused = decoder.decode(Coding::Snappy, announces_3_mib, BYTES_MAX);
        assert!(matches!(refused, Err(Error::Corrupt { .. })), "{refused:?}");
        decoder.release();
        assert!(decoder.decoded.capacity() <= KEPT_BUFFER_BYTES_MAX, "a bomb keeps no memory");
    }

    #[test]
    fn damaged_bodies_are_decoded_or_refused() {
        let mut random = Random::new(0x9e37_79b9_7f4a_7c15);
        let body = b"# TYPE ab_c gauge\nab_c{x=\"1\"} 1\nab_c{x=\"2\"} 2\n".repeat(20);
        let mut decoder = Decoder::default();
        let mut refused = 0;
        for (coding, sent) in all_codings(&body) {
            for len in 0..sent.len() {
                let cut = decoder.decode(coding, &sent[..len], 1 << 20).map(<[u8]>::to_vec);
                let is_start = cut.as_ref().is_ok_and(|decoded| body.starts_with(decoded));
                // Only frames end at a border that a cut can meet.
                assert!(cut.is_err() || is_start, "{coding:?} cut at {len}");
            }
            for _ in 0..3000 {
                let mut damaged = sent.clone();
                for _ in 0..=random.below(2) {
                    let at = random.below(damaged.len());
                    damaged[at] = random.byte();
                }
                match decoder.decode(coding, &damaged, 1 << 20) {
                    Ok(decoded) => assert!(decoded.len() <= 1 << 20),
                    Err(error) => {
                        refused += 1;
                        assert!(matches!(error.status(), 400 | 413), "{error}");
                    }
                }
            }
        }
        assert!(refused > 6000, "only {refused} were refused");
    }

    #[test]
    fn headers_name_coding_and_format() {
        for (value, want) in [
            (None, Some(Coding::Identity)),
            (Some(""), Some(Coding::Identity)),
            (Some(" GZip "), Some(Coding::Gzip)),
            (Some("snappy"), Some(Coding::Snappy)),
            (Some("x-gzip"), Some(Coding::Gzip)),
            (Some("X-GZIP"), Some(Coding::Gzip)),
            (Some("x-deflate"), None),
            (Some("gzip, gzip"), None),
            (Some("br"), None),
        ] {
            assert_eq!(Coding::from_header(value).ok(), want, "{value:?}");
        }
        for (value, want) in [
            (None, Ok(Format::Text)),
            (Some("text/plain; version=0.0.4"), Ok(Format::Text)),
            (Some("Application/OpenMetrics-Text; version=1.0.0"), Ok(Format::OpenMetrics)),
            (Some("application/openmetrics-text; version=0.0.1"), Ok(Format::OpenMetrics)),
            (Some("application/openmetrics-text; version=next"), Ok(Format::OpenMetrics)),
            (
                Some("application/openmetrics-text; VERSION=\"2.0.0\"; charset=utf-8"),
                Err("Content-Type: OpenMetrics version=\"2.0.0\" is not read yet, allowed are \
                     versions below 2"),
            ),
            (
                Some("application/openmetrics-text; version=99999999999999999999"),
                Err("Content-Type: OpenMetrics version=\"99999999999999999999\" is not read yet, \
                     allowed are versions below 2"),
            ),
            (Some("text/openmetrics; version=2.0.0"), Ok(Format::Text)),
            (Some("application/vnd.google.protobuf"), Ok(Format::Protobuf)),
            (
                Some("application/vnd.google.protobuf;x;; ENCODING = \"delim\\ited\""),
                Ok(Format::Protobuf),
            ),
            (
                Some("application/vnd.google.protobuf; a=\"x;proto=y\"; encoding=delimited"),
                Ok(Format::Protobuf),
            ),
            (
                Some("application/vnd.google.protobuf; encoding=text"),
                Err("Content-Type: encoding=\"text\" is not supported, allowed is delimited"),
            ),
        ] {
            let found = format(value).map_err(|error| error.to_string());
            assert_eq!(
                found.as_ref().map_err(String::as_str),
                want.as_ref().map_err(|want| *want),
                "{value:?}"
            );
        }
    }

    #[test]
    fn an_error_says_what_was_found_and_what_is_allowed() {
        for (error, want) in [
            (
                Coding::from_header(Some("br")).unwrap_err(),
                "Content-Encoding \"br\" is not supported, allowed are gzip, deflate, snappy and identity",
            ),
            (
                Error::TooLarge { bytes_max: 5 },
                "the body is larger than 5 bytes once decoded (server.max_decoded_bytes)",
            ),
            (
                Error::Corrupt { coding: Coding::Gzip, what: "is cut short" },
                "the gzip body is cut short",
            ),
        ] {
            assert_eq!(error.to_string(), want);
        }
    }
}
