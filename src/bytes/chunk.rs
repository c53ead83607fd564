//! Sixteen bytes of a text at a time: the one place that names the crate wide.
//!
//! Its vectors are safe, and become single instructions on x86-64 and ARM64.

use std::ops::{BitOr, Not};
use wide::u8x16;

/// Bytes in a chunk.
pub(crate) const CHUNK_BYTES: usize = 16;

/// Sixteen bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chunk(u8x16);

/// Some of the sixteen places of a chunk.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Places(u8x16);

impl Chunk {
    /// The chunk of these bytes.
    #[inline]
    #[must_use]
    pub(crate) fn new(bytes: [u8; CHUNK_BYTES]) -> Chunk {
        Chunk(u8x16::new(bytes))
    }

    /// All bytes of a text of up to sixteen and nothing else, some of them more than once.
    #[inline]
    fn covering(text: &[u8]) -> Chunk {
        // Two blocks that may overlap cover a text of up to twice their size.
        let (low, high) = if let (Some(first), Some(last)) = (text.first_chunk(), text.last_chunk())
        {
            (u64::from_le_bytes(*first), u64::from_le_bytes(*last))
        } else {
            let (first, last) = match (text.first_chunk(), text.last_chunk()) {
                (Some(first), Some(last)) => {
                    (u32::from_le_bytes(*first), u32::from_le_bytes(*last))
                }
                _ => {
                    let byte = |at: usize| text.get(at).copied().unwrap_or_default();
                    let (first, last) = (byte(0), byte(text.len().saturating_sub(1)));
                    let all = u32::from_le_bytes([first, byte(text.len() / 2), last, last]);
                    (all, all)
                }
            };
            let all = u64::from(last) << 32 | u64::from(first);
            (all, all)
        };
        Chunk(u8x16::new((u128::from(high) << 64 | u128::from(low)).to_le_bytes()))
    }

    /// Where `byte` is.
    #[inline]
    #[must_use]
    pub(crate) fn equal(self, byte: u8) -> Places {
        Places(self.0.simd_eq(u8x16::splat(byte)))
    }

    /// Where bytes from `first` to `last` stand.
    #[inline]
    #[must_use]
    pub(crate) fn within(self, first: u8, last: u8) -> Places {
        let distance = self.0 - u8x16::splat(first);
        Places(distance.min(u8x16::splat(last - first)).simd_eq(distance))
    }

    /// Where `[a-zA-Z]` is: a letter differs from its capital in one bit.
    #[inline]
    #[must_use]
    pub(crate) fn letters(self) -> Places {
        Chunk(self.0 | u8x16::splat(b'a' - b'A')).within(b'a', b'z')
    }

    /// Where the two differ.
    #[inline]
    #[must_use]
    pub(crate) fn differing(self, other: Chunk) -> Places {
        !Places(self.0.simd_eq(other.0))
    }
}

impl Places {
    /// The first place. That there is none is a branch, so that a walk need not wait for it.
    #[inline]
    #[must_use]
    pub(crate) fn first(self) -> Option<usize> {
        let bits = self.bits();
        if bits == 0 { None } else { Some(bits.trailing_zeros() as usize) }
    }

    /// Whether there is one.
    #[inline]
    #[must_use]
    pub(crate) fn is_any(self) -> bool {
        self.bits() != 0
    }

    /// Bit n stands for place n.
    #[inline]
    #[must_use]
    pub(crate) fn bits(self) -> u32 {
        self.0.to_bitmask()
    }
}

impl BitOr for Places {
    type Output = Places;

    #[inline]
    fn bitor(self, other: Places) -> Places {
        Places(self.0 | other.0)
    }
}

impl Not for Places {
    type Output = Places;

    #[inline]
    fn not(self) -> Places {
        Places(!self.0)
    }
}

/// The first byte of `text` that is `wanted`.
#[inline]
pub(crate) fn find(text: &[u8], wanted: impl Fn(Chunk) -> Places) -> Option<usize> {
    let (chunks, rest) = text.as_chunks();
    let mut before = 0;
    for chunk in chunks {
        if let Some(place) = wanted(Chunk::new(*chunk)).first() {
            return Some(before + place);
        }
        before += CHUNK_BYTES;
    }
    rest.iter().position(|byte| wanted(Chunk::covering(&[*byte])).is_any()).map(|at| before + at)
}

/// Whether a byte of `text` is `wanted`.
#[inline(always)]
pub(crate) fn has(text: &[u8], wanted: impl Fn(Chunk) -> Places) -> bool {
    let Some(last) = text.last_chunk() else {
        return !text.is_empty() && wanted(Chunk::covering(text)).is_any();
    };
    let (chunks, _) = text.as_chunks();
    chunks.iter().any(|chunk| wanted(Chunk::new(*chunk)).is_any())
        || wanted(Chunk::new(*last)).is_any()
}

/// Whether two short texts are the same: names are, and for them a call of memcmp costs more than
/// the comparison.
#[inline]
#[must_use]
pub(crate) fn is_same(one: &str, other: &str) -> bool {
    is_same_bytes(one.as_bytes(), other.as_bytes())
}

/// The same of bytes.
#[inline(always)]
#[must_use]
pub(crate) fn is_same_bytes(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    if let (Some(last), Some(other_last)) = (one.last_chunk::<8>(), other.last_chunk::<8>()) {
        let (chunks, other_chunks) = (one.as_chunks::<8>().0, other.as_chunks::<8>().0);
        chunks.iter().zip(other_chunks).all(|(chunk, other)| chunk == other) && last == other_last
    } else if let (Some(first), Some(other_first)) = (one.first_chunk::<4>(), other.first_chunk()) {
        first == other_first && one.last_chunk::<4>() == other.last_chunk()
    } else {
        one.iter().zip(other).all(|(byte, other)| byte == other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wanted_byte_is_seen_wherever_it_stands_and_no_other() {
        for len in 0..70 {
            let mut text = vec![b'a'; len];
            assert!(!has(&text, |chunk| !chunk.equal(b'a')));
            assert_eq!(find(&text, |chunk| !chunk.equal(b'a')), None);
            for place in 0..len {
                text[place] = b'b';
                assert!(has(&text, |chunk| chunk.equal(b'b')));
                assert_eq!(find(&text, |chunk| chunk.equal(b'b')), Some(place));
                text[place] = b'a';
            }
        }
    }

    #[test]
    fn texts_of_any_length_are_compared_to_their_last_byte() {
        for len in 0..26 {
            let one = "a".repeat(len);
            assert!(is_same(&one, &one));
            assert!(!is_same(&one, &"a".repeat(len + 1)));
            for place in 0..len {
                let other = format!("{}b{}", "a".repeat(place), "a".repeat(len - place - 1));
                assert!(!is_same(&one, &other), "{other}");
            }
        }
    }

    #[test]
    fn any_byte_is_found_where_it_stands() {
        for byte in 0..=u8::MAX {
            for place in 0..CHUNK_BYTES {
                let other = byte.wrapping_add(1);
                let mut bytes = [other; CHUNK_BYTES];
                bytes[place] = byte;
                let chunk = Chunk::new(bytes);
                assert_eq!(chunk.equal(byte).first(), Some(place));
                assert_eq!(chunk.within(byte, byte).bits(), 1 << place);
                let letters: u32 = (0..CHUNK_BYTES)
                    .filter(|at| bytes[*at].is_ascii_alphabetic())
                    .map(|at| 1 << at)
                    .sum();
                assert_eq!(chunk.letters().bits(), letters);
                let digits = bytes.iter().position(u8::is_ascii_digit);
                assert_eq!(chunk.within(b'0', b'9').first(), digits);
                assert_eq!(chunk.differing(Chunk::new([other; CHUNK_BYTES])).bits(), 1 << place);
            }
        }
    }
}
