//! The bounds of buckets and quantiles, which come again in every series of a family.

use super::super::number::{self, NumberError};

const SLOTS: usize = 64;
/// A longer text is read anew each time.
const TEXT_BYTES_MAX: usize = 7;

/// Reads bounds, and knows the short ones that it read before.
#[derive(Clone, Debug)]
pub(super) struct Bounds {
    /// A key of 0 is nobody's.
    slots: [(u64, f64); SLOTS],
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds { slots: [(0, 0.0); SLOTS] }
    }
}

impl Bounds {
    /// Reads a decimal float, `NaN` or an infinity.
    #[inline]
    pub(super) fn read(&mut self, text: &str) -> Result<f64, NumberError> {
        if text.len() > TEXT_BYTES_MAX {
            return number::float(text);
        }
        // No two texts have the same key: it begins with their length, which is never all of it.
        let length = text.len() as u64 + 1;
        let key = text.bytes().fold(length, |key, byte| key << 8 | u64::from(byte));
        // The upper bits of the product depend on all bits of the key.
        let slot = (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58) as usize % SLOTS;
        match self.slots[slot] {
            (known, number) if known == key => Ok(number),
            _ => {
                let number = number::float(text)?;
                self.slots[slot] = (key, number);
                Ok(number)
            }
        }
    }
}
