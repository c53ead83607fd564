//! The bounds of buckets and quantiles, which come again in every series of a family.

use super::super::number::{self, NumberError};
use crate::bytes::recent::Cycle;

/// A longer text is read anew each time.
const TEXT_BYTES_MAX: usize = 8;

/// Reads bounds, and knows the short ones that it read before.
#[derive(Clone, Debug, Default)]
pub(super) struct BoundReader {
    /// By their length and their [`key`].
    known: Cycle<(usize, u64), f64>,
}

impl BoundReader {
    /// Reads a decimal float, `NaN` or an infinity.
    #[inline(always)]
    pub(super) fn read(&mut self, text: &str) -> Result<f64, NumberError> {
        let len = text.len();
        if len == 0 || len > TEXT_BYTES_MAX {
            return number::float(text);
        }
        let key = (len, key(text.as_bytes()));
        match self.known.get(key) {
            Some(number) => Ok(*number),
            None => {
                let number = number::float(text)?;
                self.known.insert(key, number);
                Ok(number)
            }
        }
    }
}

/// All bytes of a short text, some of them more than once: no two texts of one length have the same
/// key.
#[inline]
fn key(text: &[u8]) -> u64 {
    if let (Some(first), Some(last)) = (text.first_chunk(), text.last_chunk()) {
        return u64::from(u32::from_le_bytes(*first)) << 32 | u64::from(u32::from_le_bytes(*last));
    }
    let byte = |at: usize| u64::from(text.get(at).copied().unwrap_or_default());
    byte(0) << 16 | byte(text.len() / 2) << 8 | byte(text.len().saturating_sub(1))
}
