//! The texts of bounds, which come again in every series of a family.

use super::lines::Lines;
use super::number;
use crate::short::ShortText;

const SLOTS: usize = 64;

/// Writes bounds, and knows those that it wrote before.
#[derive(Debug)]
pub(super) struct Bounds {
    /// The bits of a bound and its text, which is empty where there is no bound.
    slots: [(u64, ShortText); SLOTS],
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds { slots: [(0, ShortText::default()); SLOTS] }
    }
}

impl Bounds {
    /// Appends `le` or `quantile`; `number` is not NaN.
    #[inline]
    pub(super) fn push(&mut self, out: &mut Lines, number: f64) {
        let bits = number.to_bits();
        // The upper bits of the product depend on all bits of the number.
        let slot = (bits.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58) as usize % SLOTS;
        let (known, text) = &mut self.slots[slot];
        if *known == bits && !text.is_empty() {
            return out.extend_short(text);
        }
        let start = out.len();
        number::push_bound(out, number);
        // OK because Go's longest has 24 bytes.
        (*known, *text) = (bits, ShortText::new(out.between(start, out.len())));
    }
}
