//! The bounds of buckets and quantiles, which come again in every series of a family.

use super::super::number::{self, NumberError};

const SLOTS: usize = 64;
/// A longer text is read anew each time.
const TEXT_BYTES_MAX: usize = 8;

/// Reads bounds, and knows the short ones that it read before.
#[derive(Clone, Debug)]
pub(super) struct Bounds {
    slots: [Slot; SLOTS],
}

/// A bound; a length of 0 is nobody's.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    len: usize,
    key: u64,
    number: f64,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds { slots: [Slot::default(); SLOTS] }
    }
}

impl Bounds {
    /// Reads a decimal float, `NaN` or an infinity.
    #[inline]
    pub(super) fn read(&mut self, text: &str) -> Result<f64, NumberError> {
        let len = text.len();
        if len == 0 || len > TEXT_BYTES_MAX {
            return number::float(text);
        }
        let key = key(text.as_bytes());
        // The upper bits of the product depend on all bits of the key.
        let slot = (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58) as usize % SLOTS;
        match self.slots[slot] {
            known if known.key == key && known.len == len => Ok(known.number),
            _ => {
                let number = number::float(text)?;
                self.slots[slot] = Slot { len, key, number };
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
