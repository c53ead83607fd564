//! Content type and content coding → format and decoded bytes, bounded while decoding (SPEC 1.2).
//!
//! A [`Decoder`] belongs to a worker and uses its inflater and its buffer again for each push.
//! Memory is taken as decoded bytes appear, never by what a body announces, and never beyond the
//! bound: a bomb costs the bound once, and is refused there.

use crate::limits::{KEPT_BUFFER_BYTES_MAX, KIB};
use crate::sample::{Format, Quoted};
use flate2::{Crc, Decompress, FlushDecompress, Status};
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
    /// zlib (RFC 1950): raw deflate is no such thing.
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
            Error::Coding { .. } | Error::Parameter { .. } => 415,
            Error::TooLarge { .. } => 413,
            Error::Corrupt { .. } => 400,
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
    /// The coding that a `Content-Encoding` header names, in any case; none is identity.
    ///
    /// # Errors
    /// [`Error::Coding`] for every other coding, a list of several included.
    pub fn from_header(value: Option<&str>) -> Result<Coding, Error> {
        let value = value.unwrap_or_default().trim_matches([' ', '\t']);
        [Coding::Identity, Coding::Gzip, Coding::Deflate, Coding::Snappy]
            .into_iter()
            .find(|coding| coding.name().eq_ignore_ascii_case(value))
            .or(value.is_empty().then_some(Coding::Identity))
            .ok_or_else(|| Error::Coding { found: value.to_owned() })
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
/// [`Error::Parameter`] for a protobuf that is not length-delimited metric families.
pub fn format(content_type: Option<&str>) -> Result<Format, Error> {
    let (media_type, parameters) = split_at(content_type.unwrap_or_default(), ';');
    let media_type = media_type.trim_matches([' ', '\t']);
    if media_type.eq_ignore_ascii_case("application/openmetrics-text") {
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
                return Err(Error::Parameter { name: known, found: value, allowed });
            }
        }
    }
    Ok(Format::Protobuf)
}

/// The parameters of a media type (RFC 9110, section 5.6.6): `*( OWS ";" OWS [ name "=" value ] )`,
/// where a value may be quoted and have escapes.
struct Parameters<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Parameters<'a> {
    type Item = (&'a str, String);

    fn next(&mut self) -> Option<(&'a str, String)> {
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
                return Some((name, value));
            }
            let (value, rest) = split_at(value, ';');
            self.rest = rest;
            return Some((name, value.trim_matches([' ', '\t']).to_owned()));
        }
        None
    }
}

/// What stands before `separator` and what stands behind it.
fn split_at(text: &str, separator: char) -> (&str, &str) {
    text.split_once(separator).unwrap_or((text, ""))
}

/// The text up to the closing quote, unescaped, and what stands behind it.
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
    inflate: Decompress,
    inflate_raw: Decompress,
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
            inflate: Decompress::new(true),
            inflate_raw: Decompress::new(false),
            decoded: Vec::new(),
        }
    }
}

impl Decoder {
    /// The decoded body; one without a coding is `sent` itself.
    ///
    /// # Errors
    /// [`Error::TooLarge`] beyond `bytes_max` decoded bytes, [`Error::Corrupt`] where `sent` is cut
    /// short, damaged, or goes on behind its end.
    pub fn decode<'a>(
        &'a mut self,
        coding: Coding,
        sent: &'a [u8],
        bytes_max: usize,
    ) -> Result<&'a [u8], Error> {
        self.decoded.clear();
        self.decoded.shrink_to(KEPT_BUFFER_BYTES_MAX);
        match coding {
            Coding::Identity if sent.len() > bytes_max => {
                return Err(Error::TooLarge { bytes_max });
            }
            Coding::Identity => return Ok(sent),
            Coding::Gzip => self.gunzip(sent, bytes_max)?,
            Coding::Deflate => {
                self.inflate.reset(true);
                let target = Target { decoded: &mut self.decoded, bytes_max, coding };
                if !inflate(&mut self.inflate, sent, target)?.is_empty() {
                    return Err(Error::Corrupt { coding, what: "goes on behind its end" });
                }
            }
            Coding::Snappy if sent.starts_with(SNAPPY_MAGIC) => {
                self.unsnap_frames(sent, bytes_max)?
            }
            Coding::Snappy => self.unsnap_block(sent, bytes_max)?,
        }
        Ok(&self.decoded)
    }

    /// `1*member` (RFC 1952, section 2.2)
    fn gunzip(&mut self, sent: &[u8], bytes_max: usize) -> Result<(), Error> {
        let coding = Coding::Gzip;
        let mut rest = sent;
        loop {
            let member_start = self.decoded.len();
            self.inflate_raw.reset(false);
            let target = Target { decoded: &mut self.decoded, bytes_max, coding };
            let behind = inflate(&mut self.inflate_raw, gzip_data(rest)?, target)?;
            let (trailer, behind) = behind
                .split_first_chunk::<8>()
                .ok_or(Error::Corrupt { coding, what: "is cut short" })?;
            let mut crc = Crc::new();
            crc.update(self.decoded.get(member_start..).unwrap_or_default());
            let found = [crc.sum().to_le_bytes(), crc.amount().to_le_bytes()].concat();
            if found != trailer {
                return Err(Error::Corrupt { coding, what: "has a wrong checksum or length" });
            }
            if behind.is_empty() {
                return Ok(());
            }
            rest = behind;
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

/// Where inflated bytes go.
struct Target<'a> {
    decoded: &'a mut Vec<u8>,
    bytes_max: usize,
    coding: Coding,
}

/// Inflates one stream behind what is decoded already; returns what stands behind its end.
fn inflate<'s>(
    stream: &mut Decompress,
    sent: &'s [u8],
    target: Target<'_>,
) -> Result<&'s [u8], Error> {
    let Target { decoded, bytes_max, coding } = target;
    let mut rest = sent;
    loop {
        if decoded.len() > bytes_max {
            return Err(Error::TooLarge { bytes_max });
        }
        if decoded.len() == decoded.capacity() {
            // One byte more than allowed, to tell a body of the exact size from one beyond it.
            let room = (bytes_max - decoded.len()).saturating_add(1);
            decoded.reserve_exact(decoded.len().max(64 * KIB).min(room));
        }
        let (in_before, out_before) = (stream.total_in(), decoded.len());
        let status = stream
            .decompress_vec(rest, decoded, FlushDecompress::None)
            .map_err(|_| Error::Corrupt { coding, what: "is corrupt" })?;
        let taken = usize::try_from(stream.total_in() - in_before).unwrap_or(rest.len());
        rest = rest.get(taken..).unwrap_or_default();
        match status {
            Status::StreamEnd if decoded.len() > bytes_max => {
                return Err(Error::TooLarge { bytes_max });
            }
            Status::StreamEnd => return Ok(rest),
            _ if taken == 0 && decoded.len() == out_before => {
                return Err(Error::Corrupt { coding, what: "is cut short" });
            }
            _ => {}
        }
    }
}

/// The compressed data of the gzip member that `member` begins with, and what stands behind it
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
        .ok_or(error("is cut short, or has bytes behind its end"))?;
    let [0x1f, 0x8b, 8, flags, ..] = *header else {
        return Err(error("does not begin with a gzip header, or has bytes behind its end"));
    };
    if flags & RESERVED != 0 {
        return Err(error("has reserved flags"));
    }
    let cut = || error("is cut short");
    if flags & EXTRA != 0 {
        let (len, behind) = rest.split_first_chunk::<2>().ok_or_else(cut)?;
        rest = behind.get(usize::from(u16::from_le_bytes(*len))..).ok_or_else(cut)?;
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
