//! Sixteen bytes of a text at a time: the one place that names the crate wide.
//!
//! Its vectors are safe, and become single instructions on x86-64 and ARM64.

use std::ops::{BitOr, Not};
use wide::u8x16;

/// Bytes in a chunk.
pub const CHUNK_BYTES: usize = 16;

/// Sixteen bytes.
#[derive(Clone, Copy, Debug)]
pub struct Chunk(u8x16);

/// Some of the sixteen places of a chunk.
#[derive(Clone, Copy, Debug)]
pub struct Places(u8x16);

impl Chunk {
    /// The chunk of these bytes.
    #[inline]
    #[must_use]
    pub fn new(bytes: [u8; CHUNK_BYTES]) -> Chunk {
        Chunk(u8x16::new(bytes))
    }

    /// Where `byte` stands.
    #[inline]
    #[must_use]
    pub fn equal(self, byte: u8) -> Places {
        Places(self.0.simd_eq(u8x16::splat(byte)))
    }

    /// Where bytes from `first` to `last` stand.
    #[inline]
    #[must_use]
    pub fn within(self, first: u8, last: u8) -> Places {
        let distance = self.0 - u8x16::splat(first);
        Places(distance.min(u8x16::splat(last - first)).simd_eq(distance))
    }

    /// Where `[a-zA-Z]` stands: a letter differs from its capital in one bit.
    #[inline]
    #[must_use]
    pub fn letters(self) -> Places {
        Chunk(self.0 | u8x16::splat(b'a' - b'A')).within(b'a', b'z')
    }

    /// Where the two differ.
    #[inline]
    #[must_use]
    pub fn differing(self, other: Chunk) -> Places {
        !Places(self.0.simd_eq(other.0))
    }
}

impl Places {
    /// The first place. That there is none is a branch, so that a walk need not wait for it.
    #[inline]
    #[must_use]
    pub fn first(self) -> Option<usize> {
        let bits = self.bits();
        if bits == 0 { None } else { Some(bits.trailing_zeros() as usize) }
    }

    /// Bit n stands for place n.
    #[inline]
    #[must_use]
    pub fn bits(self) -> u32 {
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

/// Whether two short texts are the same: names are, and for them a call of memcmp costs more than
/// the comparison.
#[inline]
#[must_use]
pub fn is_same(one: &str, other: &str) -> bool {
    let (mut one, mut other) = (one.as_bytes(), other.as_bytes());
    if one.len() != other.len() {
        return false;
    }
    while let (Some((first, rest)), Some((other_first, other_rest))) =
        (one.split_first_chunk::<8>(), other.split_first_chunk::<8>())
    {
        if first != other_first {
            return false;
        }
        (one, other) = (rest, other_rest);
    }
    one.iter().zip(other).all(|(byte, other)| byte == other)
}

#[cfg(test)]
mod tests {
    use super::*;

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
