//! Deflate in both directions (RFC 1950, 1951, 1952): the one file that names flate2.
//!
//! The backend is zlib-rs. Both ends keep their state from one body to the next: a new one costs
//! more than a small body does.

use crate::limits::KIB;
use flate2::{Compress, Compression, Crc, Decompress, FlushCompress, FlushDecompress, Status};
use std::fmt;

/// What is around the deflated bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrapping {
    /// Nothing (RFC 1951), as within a gzip member.
    Raw,
    /// zlib's header and checksum (RFC 1950).
    Zlib,
}

/// Why bytes cannot be inflated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InflateError {
    /// More than the bound.
    TooLarge,
    /// What is wrong with them: `is corrupt`.
    Corrupt(&'static str),
}

/// Inflates one stream after the other.
pub(crate) struct Inflater {
    state: Decompress,
    wrapping: Wrapping,
}

impl fmt::Debug for Inflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inflater").field("wrapping", &self.wrapping).finish_non_exhaustive()
    }
}

impl Inflater {
    /// An inflater of streams that are wrapped so.
    pub(crate) fn new(wrapping: Wrapping) -> Inflater {
        Inflater { state: Decompress::new(wrapping == Wrapping::Zlib), wrapping }
    }

    /// Inflates one stream, appends to `decoded` what it holds, and returns the bytes after its
    /// end. `decoded` grows as bytes appear, never beyond `bytes_max`.
    ///
    /// # Errors
    /// The stream is corrupt or cut short, or holds more than the bound allows.
    pub(crate) fn inflate<'s>(
        &mut self,
        sent: &'s [u8],
        decoded: &mut Vec<u8>,
        bytes_max: usize,
    ) -> Result<&'s [u8], InflateError> {
        self.state.reset(self.wrapping == Wrapping::Zlib);
        let stream = &mut self.state;
        let mut rest = sent;
        loop {
            if decoded.len() > bytes_max {
                return Err(InflateError::TooLarge);
            }
            if decoded.len() == decoded.capacity() {
                // One byte more than allowed, to tell a body of the exact size from one beyond it.
                let room = (bytes_max - decoded.len()).saturating_add(1);
                decoded.reserve_exact(decoded.len().max(64 * KIB).min(room));
            }
            let (in_before, out_before) = (stream.total_in(), decoded.len());
            let status = stream
                .decompress_vec(rest, decoded, FlushDecompress::None)
                .map_err(|_| InflateError::Corrupt("is corrupt"))?;
            let taken = usize::try_from(stream.total_in() - in_before).unwrap_or(rest.len());
            rest = rest.get(taken..).unwrap_or_default();
            match status {
                Status::StreamEnd if decoded.len() > bytes_max => {
                    return Err(InflateError::TooLarge);
                }
                Status::StreamEnd => return Ok(rest),
                _ if taken == 0 && decoded.len() == out_before => {
                    return Err(InflateError::Corrupt("is cut short"));
                }
                _ => {}
            }
        }
    }
}

/// The end of a gzip member that holds these bytes: their CRC-32 and their length (RFC 1952,
/// section 2.3.1).
pub(crate) fn gzip_trailer(bytes: &[u8]) -> [u8; 8] {
    let mut crc = Crc::new();
    crc.update(bytes);
    trailer(&crc)
}

fn trailer(crc: &Crc) -> [u8; 8] {
    let mut trailer = [0; 8];
    let (sum, length) = trailer.split_at_mut(4);
    sum.copy_from_slice(&crc.sum().to_le_bytes());
    length.copy_from_slice(&crc.amount().to_le_bytes());
    trailer
}

/// Packs bytes into gzip members, one after the other.
pub(crate) struct Gzip {
    state: Compress,
    packed: Vec<u8>,
}

impl fmt::Debug for Gzip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gzip").field("capacity", &self.packed.capacity()).finish_non_exhaustive()
    }
}

impl Gzip {
    /// A packer at the fastest level: lines repeat so much that higher ones gain little.
    pub(crate) fn new() -> Gzip {
        Gzip { state: Compress::new(Compression::fast(), false), packed: Vec::new() }
    }

    /// One gzip member that holds `bytes`.
    pub(crate) fn pack(&mut self, bytes: &[u8]) -> &[u8] {
        /// No name, no time, the fastest level, Unix.
        const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 3];
        self.state.reset();
        self.packed.clear();
        self.packed.extend_from_slice(&HEADER);
        let mut rest = bytes;
        loop {
            self.packed.reserve(rest.len() / 4 + 4 * KIB);
            let before = self.state.total_in();
            let status = self.state.compress_vec(rest, &mut self.packed, FlushCompress::Finish);
            let taken = usize::try_from(self.state.total_in() - before).unwrap_or(rest.len());
            rest = rest.get(taken..).unwrap_or_default();
            // OK because a compressor that has room and is told to finish never fails.
            if matches!(status, Ok(Status::StreamEnd) | Err(_)) {
                break;
            }
        }
        self.packed.extend_from_slice(&gzip_trailer(bytes));
        &self.packed
    }

    /// Gives back what an unusually large body took.
    pub(crate) fn shrink_to(&mut self, bytes: usize) {
        self.packed.clear();
        self.packed.shrink_to(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn what_is_packed_is_unpacked_by_others() {
        let mut gzip = Gzip::new();
        let mut random = crate::testing::random::Random::new(1);
        let noise: Vec<u8> = (0..300_000).map(|_| random.byte()).collect();
        for bytes in
            [&b""[..], b"a b=1 1\n", &b"cpu,host=a value=1 1\n".repeat(50_000), &noise, b"x"]
        {
            let mut unpacked = Vec::new();
            let packed = gzip.pack(bytes);
            flate2::read::GzDecoder::new(packed).read_to_end(&mut unpacked).unwrap();
            assert_eq!(unpacked, bytes);
        }
        gzip.shrink_to(1024);
        assert!(gzip.packed.capacity() <= 1024);
    }
}
